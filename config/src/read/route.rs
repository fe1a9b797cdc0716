//! `[[route]]` with its `body`, `timeout` and `retry`; what it changes in messages and answers by itself is in `edits`.

mod print;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;

use weir_snapshot::{BudgetRules, Bytes, KeySource, Millis, Queueing, RetryRules, RouteSettings, Timeouts};

use super::edits;
use super::health::each_of;
use super::listener::ListenerRead;
use super::queue::QUEUE;
use super::service::ServiceRead;
use super::{ONE_DAY, SHORTEST};
use crate::near::{any_of, nearest};
use crate::raw::{
    Duration, Flag, Key, Kind, List, Optional, Otherwise, OtherwiseAll, Required, Section, Size, Spec, Statuses,
    Tables, Text, Value, Whole, Word,
};
use crate::sink::{Fault, Reported, Sink};
use crate::text::parse_percent;
use crate::{Route, defaults, names};

pub(super) use print::print;

pub(crate) static ROUTE: Spec = Spec {
    header: "[[route]]",
    keys: &[
        &HOST,
        &PATH,
        &MATCH,
        &LISTENERS,
        &SERVICE,
        &edits::ANSWER_TABLE,
        &BODY_TABLE,
        &TIMEOUT_TABLE,
        &RETRY_TABLE,
        &PRIORITY,
        &edits::REPLACE,
        &edits::HEADERS_TABLE,
        &edits::ANSWER_HEADERS_TABLE,
    ],
    later: &[],
    example: "[[route]]",
    about: "Which requests go to which service. The most specific host wins, then the exact path, then the longest one.",
};
pub(crate) static BODY: Spec = Spec {
    header: "[route.body]",
    keys: &[&MAX, &BUFFER],
    later: &[],
    example: "body = { max = \"64MiB\" }",
    about: "Request bodies.",
};
pub(crate) static TIMEOUT: Spec = Spec {
    header: "[route.timeout]",
    keys: &[&CONNECT, &READ, &WRITE, &IDLE, &TOTAL],
    later: &[],
    example: "timeout = { total = \"30s\" }",
    about: "Deadlines towards the endpoint; a passed one is answered 504.",
};
pub(crate) static RETRY: Spec = Spec {
    header: "[route.retry]",
    keys: &[&ON, &TRIES, &NON_IDEMPOTENT, &BUDGET, &BUDGET_FLOOR],
    later: &[],
    example: "retry = { tries = 3 }",
    about: "When a failed try is followed by another, on another endpoint.",
};

static HOST: Key<Text<Box<str>>, Optional> = Key {
    name: "host",
    kind: Text { shape: "host name, or `\"*.example.org\"`", parse: names::host, show: ToString::to_string },
    absent: Optional(|| "any host".to_owned()),
    meaning: "The host that requests are for, without port; `*.` is every name below.",
};
static PATH: Key<Text<Box<str>>, Optional> = Key {
    name: "path",
    kind: Text { shape: "path", parse: names::route_path, show: ToString::to_string },
    absent: Optional(|| format!("`\"{}\"`", defaults::PATH)),
    meaning: "What the path of a request begins with, once it is decoded, `//` merged and `..` resolved, as nginx does it. \
              Written as in a URL: `/a%20b`.",
};
static MATCH: Key<Word<bool>, Otherwise<bool>> = Key {
    name: "match",
    kind: Word { words: &[("prefix", false), ("exact", true)], later: &[] },
    absent: Otherwise(defaults::EXACT),
    meaning: "Whether `path` is what the path of a request begins with, or all of it.",
};
static LISTENERS: Key<List<Text<SocketAddr>>, Optional> = Key {
    name: "listeners",
    kind: List {
        each: Text {
            shape: "address of a `[[listener]]`",
            parse: names::listener_address,
            show: SocketAddr::to_string,
        },
    },
    absent: Optional(|| "all listeners".to_owned()),
    meaning: "The listeners whose requests it is for, by their `address`.",
};
static SERVICE: Key<Text<Box<str>>, Required> = Key {
    name: "service",
    // Any text: whether a service has this name is found out with all services at hand.
    kind: Text { shape: "name of a `[[service]]`", parse: |text| Ok(text.into()), show: ToString::to_string },
    absent: Required,
    meaning: "The service that answers.",
};
static BODY_TABLE: Tables = Tables {
    name: "body",
    spec: &BODY,
    shape: "table",
    default: "all defaults",
    meaning: "Request bodies: how large, how much of them is held.",
};
static TIMEOUT_TABLE: Tables = Tables {
    name: "timeout",
    spec: &TIMEOUT,
    shape: "table",
    default: "all defaults",
    meaning: "Deadlines towards the endpoint.",
};
static RETRY_TABLE: Tables = Tables {
    name: "retry",
    spec: &RETRY,
    shape: "table",
    default: "all defaults",
    meaning: "When a failed try is followed by another.",
};

static PRIORITY: Key<Whole<u8>, Otherwise<u8>> = Key {
    name: "priority",
    kind: Whole { min: 0, max: 7 },
    absent: Otherwise(defaults::PRIORITY),
    meaning: "In the queue of the service: 0 is first, each further one stands back by `priority_step`, so that none starves.",
};

const MOST: Bytes = Bytes::from_mib(1 << 20);

static MAX: Key<Size, Otherwise<Bytes>> = Key {
    name: "max",
    kind: Size { min: Bytes::new(1), max: MOST },
    absent: Otherwise(defaults::MAX_BODY),
    meaning: "Largest request body; a larger one is answered 413.",
};
static BUFFER: Key<Size, Optional> = Key {
    name: "buffer",
    kind: Size { min: Bytes::new(0), max: MOST },
    absent: Optional(|| format!("`\"{}\"`, or `max` or `body_memory` if that is less", defaults::BUFFER_BODY)),
    meaning: "Bodies up to this size are held whole before an endpoint is picked, so that they can be sent again.",
};

const DEADLINE: Duration = Duration { min: SHORTEST, max: ONE_DAY };

static CONNECT: Key<Duration, Optional> = Key {
    name: "connect",
    kind: DEADLINE,
    absent: Optional(|| format!("`\"{}\"`, or `total` if that is less", defaults::CONNECT_TIMEOUT)),
    meaning: "One TCP connection attempt.",
};
static READ: Key<Duration, Otherwise<Millis>> = Key {
    name: "read",
    kind: DEADLINE,
    absent: Otherwise(defaults::READ_TIMEOUT),
    meaning: "From the request's last byte to the answer's head, and between two reads of the answer.",
};
static WRITE: Key<Duration, Otherwise<Millis>> = Key {
    name: "write",
    kind: DEADLINE,
    absent: Otherwise(defaults::WRITE_TIMEOUT),
    meaning: "Longest that a write may wait for the endpoint to read.",
};
static IDLE: Key<Duration, Otherwise<Millis>> = Key {
    name: "idle",
    kind: DEADLINE,
    absent: Otherwise(defaults::ENDPOINT_IDLE_TIMEOUT),
    meaning: "How long an unused connection to the endpoint is kept.",
};
static TOTAL: Key<Duration, Otherwise<Millis>> = Key {
    name: "total",
    kind: DEADLINE,
    absent: Otherwise(defaults::TOTAL_TIMEOUT),
    meaning: "The whole exchange, tries and waits included; upgraded connections excepted.",
};

static ON: Key<List<RetryOn>, OtherwiseAll<Class>> = Key {
    name: "on",
    kind: List { each: RetryOn { statuses: Statuses { min: 400, max: 599 } } },
    // nginx's `proxy_next_upstream`.
    absent: OtherwiseAll(&[Class::Error, Class::Timeout]),
    meaning: "What counts as a failed try: `error` is a connection refused, reset or broken, `timeout` a passed deadline.",
};
static TRIES: Key<Whole<u8>, Otherwise<u8>> = Key {
    name: "tries",
    kind: Whole { min: 1, max: 10 },
    absent: Otherwise(defaults::TRIES),
    meaning: "Tries in all, the first included: 1 is no retry.",
};
static NON_IDEMPOTENT: Key<Flag, Otherwise<bool>> = Key {
    name: "non_idempotent",
    kind: Flag,
    absent: Otherwise(defaults::NON_IDEMPOTENT),
    meaning: "Whether POST and PATCH are sent again after they were sent once. Right for pure services.",
};
static BUDGET: Key<Text<u8>, Otherwise<u8>> = Key {
    name: "budget",
    kind: Text { shape: "share, `\"0%\"` to `\"100%\"`", parse: parse_percent, show: |percent| format!("{percent}%") },
    absent: Otherwise(defaults::RETRY_BUDGET),
    meaning: "Most retries, as a share of the requests of the last ten seconds.",
};
static BUDGET_FLOOR: Key<Whole<u32>, Otherwise<u32>> = Key {
    name: "budget_floor",
    kind: Whole { min: 0, max: 1_000_000 },
    absent: Otherwise(defaults::RETRY_BUDGET_FLOOR),
    meaning: "Retries per second that are allowed whatever the budget says.",
};

/// One element of `retry.on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Error,
    Timeout,
    Statuses(u16, u16),
}

struct RetryOn {
    statuses: Statuses,
}

impl Kind for RetryOn {
    type Out = Class;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Class, Reported> {
        match value.get_ref().as_str() {
            Some("error") => return Ok(Class::Error),
            Some("timeout") => return Ok(Class::Timeout),
            Some(word) if !word.chars().any(|letter| letter.is_ascii_digit()) => {
                let fault =
                    Fault::new(format!("`{name}` lists `\"error\"`, `\"timeout\"` and statuses"), "none of them");
                let fault = match (word, nearest(word, &["error", "timeout"])) {
                    ("off" | "never", _) => fault.help("write `on = []`, or `tries = 1`"),
                    (_, Some(near)) => fault.help(format!("did you mean `\"{near}\"`?")),
                    _ => fault,
                };
                return Err(sink.wrong(value.span(), fault));
            }
            _ => {}
        }
        let statuses = self.statuses.read_one(name, value).map_err(|fault| sink.wrong(value.span(), fault))?;
        Ok(Class::Statuses(statuses.0, statuses.1))
    }

    fn shape(&self) -> String {
        format!("`\"error\"`, `\"timeout\"`, {}", self.statuses.shape())
    }

    fn show(&self, value: &Class) -> String {
        match value {
            Class::Error => "\"error\"".to_owned(),
            Class::Timeout => "\"timeout\"".to_owned(),
            Class::Statuses(first, last) => self.statuses.show(&(*first, *last)),
        }
    }
}

/// The requests that a route is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Matches {
    pub(super) host: Option<Box<str>>,
    pub(super) path: Box<str>,
    pub(super) exact: bool,
    /// Ascending; empty for all.
    pub(super) listeners: Box<[SocketAddr]>,
}

/// A route as far as it could be read.
pub(super) struct RouteRead {
    pub(super) settings: Result<Route, Reported>,
    /// What it matches, when all of it is legal.
    pub(super) matches: Option<Matches>,
    /// Where a twin of it is reported: the path, or the header when no path is written.
    pub(super) span: Range<usize>,
}

/// `memory` is what all held bodies may take, unless that could not be read.
pub(super) fn read_all(
    sections: &[Section<'_>],
    (services, listeners): (&[ServiceRead], &[ListenerRead]),
    memory: Option<Bytes>,
    sink: &mut Sink,
) -> Vec<RouteRead> {
    let services = &Services::of(services);
    sections.iter().map(|section| read(section, services, listeners, memory, sink)).collect()
}

/// The services, to be found by name: of two with one name the first.
struct Services<'a> {
    all: &'a [ServiceRead],
    by_name: HashMap<&'a str, &'a ServiceRead>,
}

impl<'a> Services<'a> {
    fn of(all: &'a [ServiceRead]) -> Self {
        let named = all.iter().rev().filter_map(|service| Some((service.name.as_deref()?, service)));
        Self { all, by_name: named.collect() }
    }
}

fn read(
    section: &Section<'_>,
    services: &Services<'_>,
    listeners: &[ListenerRead],
    memory: Option<Bytes>,
    sink: &mut Sink,
) -> RouteRead {
    let host = section.take(&HOST, sink);
    let path = section.take(&PATH, sink).map(|path| path.unwrap_or_else(|| defaults::PATH.into()));
    let exact = section.take(&MATCH, sink);
    let listeners = read_listeners(section, listeners, sink);
    let matches =
        || Ok(Matches { host: host.clone()?, path: path.clone()?, exact: exact?, listeners: listeners.clone()? });
    let matches: Result<Matches, Reported> = matches();
    let answer = edits::read_answer(section, sink);
    let service = if section.has(edits::ANSWER_TABLE.name) {
        refuse_beside_answer(section, sink);
        Ok(("".into(), KeySource::Path, Queueing::default()))
    } else {
        read_service(section, services, sink)
    };
    let priority = section.take(&PRIORITY, sink);
    let body = section.table(&BODY_TABLE, sink).and_then(|section| read_body(&section, memory, sink));
    let timeouts = section.table(&TIMEOUT_TABLE, sink).and_then(|section| read_timeouts(&section, sink));
    let retry = section.table(&RETRY_TABLE, sink).and_then(|section| read_retry(&section, sink));
    let edits = edits::read(section, sink);
    let span = section.span(PATH.name);
    let settings = || {
        let ((max_body, buffer_body), (service, key, queueing)) = (body?, service?);
        let queueing = Queueing { priority: priority?, ..queueing };
        let (edits, answer) = (edits?, answer?);
        let settings =
            RouteSettings { max_body, buffer_body, timeouts: timeouts?, retry: retry?, key, queueing, edits, answer };
        let Matches { host, path, exact, listeners } = matches.clone()?;
        Ok(Route { host, path, exact, listeners, service, settings })
    };
    RouteRead { settings: settings(), matches: matches.ok(), span }
}

/// The addresses of listeners, ascending; each is one of those there are.
fn read_listeners(
    section: &Section<'_>,
    listeners: &[ListenerRead],
    sink: &mut Sink,
) -> Result<Box<[SocketAddr]>, Reported> {
    let Some(mut named) = section.take(&LISTENERS, sink)? else { return Ok(Box::default()) };
    let span = section.span(LISTENERS.name);
    if named.is_empty() {
        let fault = Fault::new("a route is for at least one listener", "none");
        return Err(sink.wrong(span, fault.help("leave `listeners` out for all")));
    }
    // A listener whose address could not be read may be the one that is meant.
    if listeners.iter().any(|listener| listener.address.is_none()) {
        return Err(Reported);
    }
    let known: Vec<SocketAddr> = listeners.iter().filter_map(|listener| listener.address).collect();
    if let Some(stranger) = named.iter().find(|address| !known.contains(address)) {
        let fault = Fault::new(format!("there is no listener `{stranger}`"), "no `[[listener]]` has this address");
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(sink.missing(span, fault.help(format!("write {}", any_of(&known)))));
    }
    named.sort_unstable();
    named.dedup();
    Ok(named.into())
}

/// Keys about requests that an endpoint gets; a route that answers by itself has none.
fn refuse_beside_answer(section: &Section<'_>, sink: &mut Sink) {
    let idle = [SERVICE.name, BODY_TABLE.name, TIMEOUT_TABLE.name, RETRY_TABLE.name, PRIORITY.name];
    for name in idle.into_iter().chain([edits::REPLACE.name, edits::HEADERS_TABLE.name]) {
        if section.has(name) {
            let fault = Fault::new("a route with `answer` asks no endpoint", "would be ignored");
            sink.wrong(section.key_span(name), fault.help(format!("leave `{name}` out, or `answer`")));
        }
    }
}

/// The name of the service, what its policy hashes, and what its queue is told.
fn read_service(
    section: &Section<'_>,
    services: &Services<'_>,
    sink: &mut Sink,
) -> Result<(Box<str>, KeySource, Queueing), Reported> {
    let name = section.take(&SERVICE, sink)?;
    if let Some(service) = services.by_name.get(&*name) {
        let queueing = service.queueing?;
        if queueing.is_none() && section.has(PRIORITY.name) {
            let fault = Fault::new("a priority is one in a queue", format!("service `{name}` has none"));
            let help = format!("add `{}` to the service, or leave `priority` out", QUEUE.example);
            sink.wrong(section.key_span(PRIORITY.name), fault.help(help));
        }
        return Ok((name, service.key.clone()?, queueing.unwrap_or_default()));
    }
    // A service whose name could not be read may be the one that is meant.
    if services.all.is_empty() || services.all.iter().any(|service| service.name.is_none()) {
        return Err(Reported);
    }
    let known: Vec<&str> = services.all.iter().filter_map(|service| service.name.as_deref()).collect();
    let fault = Fault::new(format!("there is no service `{name}`"), "no `[[service]]` has this name");
    let fault = match nearest(&name, &known) {
        Some(near) => fault.help(format!("did you mean `\"{near}\"`?")),
        None => fault.help(format!("write {}", any_of(&known))),
    };
    Err(sink.missing(section.span(SERVICE.name), fault))
}

fn read_body(section: &Section<'_>, memory: Option<Bytes>, sink: &mut Sink) -> Result<(Bytes, Bytes), Reported> {
    let max = section.take(&MAX, sink);
    let buffer = section.take(&BUFFER, sink);
    let (max, buffer) = (max?, buffer?);
    let Some(buffer) = buffer else {
        return Ok((max, defaults::BUFFER_BODY.min(max).min(memory.unwrap_or(max))));
    };
    let fault = if buffer > max {
        Fault::new(format!("no body is larger than `max`, which is `{max}`"), "more than any body")
            .help(format!("write `max = \"{buffer}\"`, or less here"))
    } else if let Some(memory) = memory.filter(|memory| buffer > *memory) {
        Fault::new(format!("all held bodies together take at most `{memory}`"), "more than all together")
            .help("write less here or more at `body_memory` in `[server]`")
    } else {
        return Ok((max, buffer));
    };
    Err(sink.wrong(section.span(BUFFER.name), fault))
}

fn read_timeouts(section: &Section<'_>, sink: &mut Sink) -> Result<Timeouts, Reported> {
    let connect = section.take(&CONNECT, sink);
    let read = section.take(&READ, sink);
    let write = section.take(&WRITE, sink);
    let idle = section.take(&IDLE, sink);
    let total = section.take(&TOTAL, sink);
    let connect = match (connect?, total?) {
        (Some(connect), total) if connect > total => {
            let fault = Fault::new(format!("an exchange takes `{total}` in total"), "longer than that");
            Err(sink.wrong(section.span(CONNECT.name), fault.help("write less here or more at `total`")))
        }
        (Some(connect), _) => Ok(connect),
        (None, total) => Ok(defaults::CONNECT_TIMEOUT.min(total)),
    };
    Ok(Timeouts { connect: connect?, read: read?, write: write?, idle: idle?, total: total? })
}

fn read_retry(section: &Section<'_>, sink: &mut Sink) -> Result<RetryRules, Reported> {
    let on = section.take(&ON, sink);
    let tries = section.take(&TRIES, sink);
    let non_idempotent = section.take(&NON_IDEMPOTENT, sink);
    let budget = section.take(&BUDGET, sink);
    let floor = section.take(&BUDGET_FLOOR, sink);
    let on = on?;
    let statuses: Vec<(u16, u16)> = on
        .iter()
        .filter_map(|class| match class {
            Class::Statuses(first, last) => Some((*first, *last)),
            Class::Error | Class::Timeout => None,
        })
        .collect();
    Ok(RetryRules {
        on_error: on.contains(&Class::Error),
        on_timeout: on.contains(&Class::Timeout),
        on_statuses: each_of(&statuses),
        tries: tries?,
        non_idempotent: non_idempotent?,
        budget: BudgetRules { percent: budget?, floor_per_second: floor? },
    })
}
