//! One endpoint as status pages show it.

use serde::Serialize;
use weir_snapshot::{Condition, Failure, LeaseKind, Member, Percent, Pool, QueueReport, QueueRules, Tier};

use super::times::{Times, seconds};

/// How one endpoint stands.
#[derive(Serialize)]
pub(crate) struct Endpoint<'a> {
    pub(crate) address: &'a str,
    /// The verdict: `healthy`, `unproven`, `ejected`, `trial_due`, `trial`.
    pub(crate) state: &'static str,
    /// Gets no new exchanges, by configuration, source or operator.
    pub(crate) drained: bool,
    /// When the verdict last turned; null if it never did.
    pub(crate) since_unix_seconds: Option<f64>,
    /// From when on an exchange may find out whether it is well again, of an ejected one without probes.
    pub(crate) trial_from_unix_seconds: Option<f64>,
    /// The newest first.
    pub(crate) failures: Vec<Seen>,
    pub(crate) in_flight: u32,
    /// Permits that exchanges hold, where there is a queue.
    pub(crate) permits_out: Option<u32>,
    /// Permits it has, where there is a queue; less than configured for a while after it said that it is busy.
    pub(crate) capacity: Option<u32>,
    /// Estimate, under `peak-ewma` once it has answered.
    pub(crate) latency_seconds: Option<f64>,
    pub(crate) weight: u16,
    /// How much of its share it gets, next to the endpoint that has served longest, under a `slow_start`.
    pub(crate) slow_start_percent: Option<u32>,
    /// `primary`, `backup`, or the priority of SRV records.
    pub(crate) tier: TierName,
    /// Where it is known from.
    pub(crate) source: &'a str,
    /// What an operator said, over what is believed otherwise.
    #[serde(rename = "override")]
    pub(crate) overridden: Option<Override>,
}

/// What an operator said of an endpoint, and what it would be otherwise.
#[derive(Serialize)]
pub(crate) struct Override {
    /// What holds.
    drained: bool,
    weight: u16,
    /// What configuration and sources say.
    believed: Believed,
}

#[derive(Serialize)]
struct Believed {
    drained: bool,
    weight: u16,
}

/// A failure of an endpoint.
#[derive(Serialize)]
pub(crate) struct Seen {
    at_unix_seconds: f64,
    /// `exchange`, `probe` or `operator`.
    by: &'static str,
    reason: &'static str,
    text: String,
    /// The id of the exchange.
    exchange: Option<Box<str>>,
}

/// `primary`, `backup`, or a number between them.
#[derive(Clone, Copy, Serialize)]
#[serde(into = "String")]
pub(crate) struct TierName(Tier);

impl From<TierName> for String {
    fn from(TierName(tier): TierName) -> Self {
        match tier {
            Tier::PRIMARY => "primary".to_owned(),
            Tier::BACKUP => "backup".to_owned(),
            Tier(other) => format!("backup {other}"),
        }
    }
}

/// What the endpoints of one service have in common.
pub(crate) struct Common<'a> {
    pool: &'a Pool,
    queue: Option<QueueRules>,
    slow_start: Option<Percent>,
    times: Times,
}

impl<'a> Common<'a> {
    pub(crate) fn of(pool: &'a Pool, queue: Option<&QueueReport>, times: &Times) -> Self {
        let queue = queue.map(|queue| queue.rules);
        Self { pool, queue, slow_start: pool.slow_start(times.now), times: *times }
    }

    /// How one of them stands, which is known from this source.
    pub(crate) fn endpoint(&self, member: &'a Member, source: &'a str) -> Endpoint<'a> {
        let Self { pool, queue, slow_start, times } = self;
        let (live, now) = (&member.live, times.now);
        let since = Some(live.since()).filter(|since| since.as_nanos() > 0);
        let latency = live.latency(now).estimate;
        let capacity = queue.map(|rules| live.lowered(member.capacity.unwrap_or(rules.capacity), now).get());
        Endpoint {
            address: &member.label,
            state: word(live.condition(now, pool.health())),
            drained: member.drained,
            since_unix_seconds: since.map(|since| times.unix(since)),
            trial_from_unix_seconds: live.trial_from(pool.health()).map(|moment| times.unix(moment)),
            failures: live.failures().into_iter().map(|failure| Seen::of(failure, times)).collect(),
            in_flight: live.in_flight(),
            permits_out: queue.map(|_| live.permits()),
            capacity,
            latency_seconds: latency.map(|nanos| seconds(std::time::Duration::from_nanos(nanos.0))),
            weight: member.weight.get(),
            slow_start_percent: slow_start.as_ref().map(|percent| percent.of(member)),
            tier: TierName(member.tier),
            source,
            overridden: member.believed.map(|believed| Override {
                drained: member.drained,
                weight: member.weight.get(),
                believed: Believed { drained: believed.drained, weight: believed.weight.get() },
            }),
        }
    }
}

impl Seen {
    fn of(failure: Failure, times: &Times) -> Self {
        Self {
            at_unix_seconds: times.unix(failure.at),
            by: failure.by.word(),
            reason: failure.reason,
            text: failure.text.into_owned(),
            exchange: failure.exchange,
        }
    }
}

/// A condition in one word.
pub(crate) fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Healthy => "healthy",
        Condition::Unproven => "unproven",
        Condition::Ejected => "ejected",
        Condition::TrialDue => "trial_due",
        Condition::Trial => "trial",
    }
}

/// Why an endpoint may be given out at all, in one word.
pub(crate) fn right(kind: LeaseKind) -> &'static str {
    match kind {
        LeaseKind::Normal => "normal",
        LeaseKind::Trial => "trial",
        LeaseKind::LastResort => "last_resort",
    }
}
