//! `GET /api/explain`: where a request would go now, and why there.
//!
//! In: what the proxy says it would do, at each listener. Out: that in words, with every endpoint that might have had it.
//! Cost: that of a request up to its lease for each listener, and a status of the service.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use weir_discovery::Report;
use weir_proxy::{Explanation, ListenerReport, Proxy, Question, Refused};
use weir_snapshot::{Chosen, Condition, KeySource, LeaseKind, Member, Outlook, Pool, QueueReport, Route};

use super::endpoint::{Common, Endpoint, right, word};
use super::recent::Exchange;
use super::status::{self, WRITTEN};
use super::times::{Times, seconds};

/// What would become of a request.
#[derive(Serialize)]
pub(crate) struct Explained<'a> {
    revision: u64,
    now_unix_seconds: f64,
    /// What became of the exchange that was asked about.
    recorded: Option<Exchange>,
    #[serde(flatten)]
    here: Here<'a>,
    /// What would become of it at the other listeners, where that is something else.
    elsewhere: Vec<Here<'a>>,
}

/// What would become of a request at some listeners.
#[derive(Serialize)]
pub(crate) struct Here<'a> {
    /// Their addresses.
    listeners: Vec<String>,
    host: Option<&'a str>,
    /// As routes are matched against.
    path: Option<&'a str>,
    client: String,
    route: Option<RouteChoice<'a>>,
    service: Option<&'a str>,
    policy: Option<&'static str>,
    key: Option<Key>,
    queue: Option<QueueNow>,
    candidates: Vec<Candidate<'a>>,
    outcome: Outcome<'a>,
}

#[derive(Serialize)]
struct RouteChoice<'a> {
    name: &'a str,
    why: String,
}

/// What a hash policy hashes.
#[derive(Serialize)]
struct Key {
    source: String,
    /// Sixteen hexadecimal digits; null when the request has no key.
    hash: Option<String>,
}

#[derive(Serialize)]
struct QueueNow {
    waiting: usize,
    max: usize,
    /// The work that the queue would be told, where it is predicted.
    work_seconds: Option<f64>,
}

#[derive(Serialize)]
struct Candidate<'a> {
    #[serde(flatten)]
    endpoint: Endpoint<'a>,
    chosen: bool,
    /// Whether it may have an exchange now, and if not, why.
    why: &'static str,
}

/// What would happen.
#[derive(Serialize)]
struct Outcome<'a> {
    /// `chosen`, `waits`, `answered` (by the route itself) or `refused`.
    what: &'static str,
    endpoint: Option<&'a str>,
    /// `normal`, `trial` or `last_resort`.
    right: Option<&'static str>,
    /// Those who wait already.
    ahead: Option<usize>,
    status: Option<u16>,
    reason: Option<&'static str>,
    /// All of it in a sentence.
    why: String,
}

/// The whole explanation: of the first of these, and of the others as elsewhere. `recorded` is the exchange that was asked
/// about, if one was.
pub(crate) fn explained<'a>(
    found: &'a [Found],
    report: &'a Report,
    recorded: Option<Exchange>,
    times: &Times,
) -> Option<Explained<'a>> {
    let mut each = found.iter().map(|found| here(found, report, times));
    Some(Explained {
        revision: found.first()?.explanation.revision,
        now_unix_seconds: times.unix_now(),
        recorded,
        here: each.next()?,
        elsewhere: each.collect(),
    })
}

/// What the proxy says of a request, and at which listeners.
pub(crate) struct Found {
    pub(crate) listeners: Vec<SocketAddr>,
    pub(crate) explanation: Explanation,
}

/// What the proxy says of a request at each of these listeners, those together where it is the same.
pub(crate) fn ask(proxy: &Proxy, listeners: &[ListenerReport], question: &Question) -> Vec<Found> {
    let mut all: Vec<Found> = Vec::new();
    for listener in listeners {
        let explanation = proxy.explain(&listener.settings, question);
        match all.iter_mut().find(|found| is_same(&found.explanation, &explanation)) {
            Some(found) => found.listeners.push(listener.address),
            None => all.push(Found { listeners: vec![listener.address], explanation }),
        }
    }
    all
}

/// Whether two listeners do the same with a request. After the route they do: what may differ then is what happened
/// between the two questions.
fn is_same(one: &Explanation, other: &Explanation) -> bool {
    match (&one.route, &other.route) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => one.refused == other.refused && one.path == other.path,
        _ => false,
    }
}

fn here<'a>(Found { listeners, explanation: found }: &'a Found, report: &'a Report, times: &Times) -> Here<'a> {
    let route = found.route.as_deref();
    let pool = route.filter(|_| found.answered.is_none()).map(|route| &*route.pool);
    let queue = pool.and_then(Pool::permits).map(|permits| permits.report());
    let chosen = match found.outlook {
        Some(Outlook::Chosen(chosen)) => Some(chosen),
        _ => None,
    };
    let candidates = |pool: &'a Pool| {
        let origins = status::origins(status::sources(report, pool.service()));
        let common = Common::of(pool, queue.as_ref(), times);
        let candidate = |member: &'a Member| {
            let source = origins.get(&member.address).copied().unwrap_or(WRITTEN);
            Candidate {
                endpoint: common.endpoint(member, source),
                chosen: chosen.is_some_and(|chosen| std::ptr::eq(pool.member(chosen.slot), member)),
                why: standing(pool, member, queue.as_ref(), times),
            }
        };
        pool.members().iter().map(candidate).collect()
    };
    Here {
        listeners: listeners.iter().map(ToString::to_string).collect(),
        host: found.host.as_deref(),
        path: found.path.as_deref(),
        client: found.client.to_string(),
        route: route.map(|route| RouteChoice { name: &route.name, why: matched(route) }),
        service: pool.map(|pool| &**pool.service()),
        policy: pool.map(|pool| pool.policy().word()),
        key: route.filter(|_| pool.is_some()).and_then(|route| key(route, found)),
        queue: queue.as_ref().map(|queue| QueueNow {
            waiting: queue.waiting,
            max: queue.rules.order.max,
            work_seconds: found.work.map(|work| seconds(Duration::from_nanos(work.0))),
        }),
        candidates: pool.map(candidates).unwrap_or_default(),
        outcome: outcome(found, times),
    }
}

/// Why this route.
fn matched(route: &Route) -> String {
    let whose = match &*route.host.as_deref().map_or("any host".to_owned(), |host| format!("host `{host}`")) {
        whose if route.host.is_none() => format!("{whose}, for no route of this very host matches"),
        whose => whose.to_owned(),
    };
    if route.exact {
        return format!("it is for exactly this path, among the routes of {whose}");
    }
    format!("the longest path that begins the request's among the routes of {whose}")
}

fn key(route: &Route, found: &Explanation) -> Option<Key> {
    if !route.pool.policy().reads_keys() {
        return None;
    }
    let source = match &route.settings.key {
        KeySource::ClientIp { .. } => "client-ip".to_owned(),
        KeySource::Path => "path".to_owned(),
        KeySource::Query(name) => format!("query:{name}"),
        KeySource::Header(name) => format!("header:{name}"),
        KeySource::Cookie(name) => format!("cookie:{name}"),
        KeySource::Body => "body".to_owned(),
    };
    Some(Key { source, hash: found.key.map(|key| format!("{:016x}", key.0)) })
}

/// Whether an endpoint may have an exchange now, and if not, why.
fn standing(pool: &Pool, member: &Member, queue: Option<&QueueReport>, times: &Times) -> &'static str {
    if member.drained {
        return "no: it is drained";
    }
    let full = queue.is_some_and(|queue| {
        let capacity = member.live.lowered(member.capacity.unwrap_or(queue.rules.capacity), times.now);
        member.live.permits() >= capacity.get()
    });
    let is_backup = pool.members().first().is_some_and(|first| first.tier < member.tier);
    match member.live.condition(times.now, pool.health()) {
        Condition::Healthy if is_backup => "only if none before it can: it is a backup",
        Condition::Healthy if full => "no: all its permits are out",
        Condition::Healthy => "yes",
        Condition::TrialDue => "yes: an exchange may find out whether it is well again",
        Condition::Unproven => "only if no other can: its first probe is still out",
        Condition::Trial => "no: it is ejected, and another exchange is finding out whether it is well again",
        Condition::Ejected => "no: it is ejected",
    }
}

fn outcome<'a>(found: &'a Explanation, times: &Times) -> Outcome<'a> {
    let pool = found.route.as_deref().map(|route| &*route.pool);
    let mut outcome = Outcome {
        what: "refused",
        endpoint: None,
        right: None,
        ahead: None,
        status: None,
        reason: None,
        why: String::new(),
    };
    if let Some(status) = found.answered {
        outcome.what = "answered";
        outcome.status = Some(status);
        outcome.why.push_str("the route answers by itself (`answer`), without a service");
        return outcome;
    }
    match (found.outlook, pool) {
        (Some(Outlook::Chosen(chosen)), Some(pool)) => {
            let member = pool.member(chosen.slot);
            outcome.what = "chosen";
            outcome.endpoint = Some(&member.label);
            outcome.right = Some(right(chosen.kind));
            outcome.why = why(pool, member, &chosen, found, times);
        }
        (Some(Outlook::Waits { ahead }), _) => {
            outcome.what = "waits";
            outcome.ahead = Some(ahead);
            outcome.why = format!("no endpoint has a permit left: it would wait, with {ahead} others");
        }
        _ => {
            if let Some(Refused { status, reason, message }) = found.refused {
                outcome.status = Some(status);
                outcome.reason = Some(reason);
                outcome.why.push_str(message);
            }
        }
    }
    outcome
}

/// Why this endpoint.
fn why(pool: &Pool, member: &Member, chosen: &Chosen, found: &Explanation, times: &Times) -> String {
    let policy = pool.policy();
    let mut text = match chosen.owner {
        _ if policy.reads_keys() && found.key.is_none() => {
            format!("the request has no key: by turn {} and weight", chosen.turn)
        }
        Some(owner) if owner == chosen.slot => format!("the key's own endpoint: {}", policy.rule()),
        Some(owner) => {
            let owner = pool.member(owner);
            let state = word(owner.live.condition(times.now, pool.health()));
            let state = if owner.drained { "drained" } else { state };
            format!(
                "it stands in for the key's own endpoint {}, which is {state} with {} in flight",
                owner.label,
                owner.live.in_flight()
            )
        }
        None => format!(
            "turn {}: {}; {} in flight, weight {}",
            chosen.turn,
            policy.rule(),
            member.live.in_flight(),
            member.weight.get()
        ),
    };
    if pool.members().first().is_some_and(|first| first.tier < member.tier) {
        text.push_str("; a backup, for none before it admits");
    }
    match chosen.kind {
        LeaseKind::Normal => {}
        LeaseKind::Trial => text.push_str("; it is ejected, and this exchange would find out whether it is well again"),
        LeaseKind::LastResort => text.push_str("; all endpoints are ejected, and `when_all_ejected` says to try them"),
    }
    text
}
