//! `health` of a `[[service]]`.

mod print;

use std::sync::Arc;

use weir_snapshot::{HealthRules, Millis, Probe, ProbeKind};

use super::ONE_DAY;
use crate::raw::{Duration, Key, List, Optional, Otherwise, OtherwiseAll, Section, Spec, Statuses, Text, Whole, Word};
use crate::sink::{Fault, Reported, Sink};
use crate::{defaults, names};

pub(super) use print::{print, ranges_of};

pub(crate) static HEALTH: Spec = Spec {
    header: "[service.health]",
    keys: &[&KIND, &PATH, &HOST, &STATUSES, &BODY, &INTERVAL, &TIMEOUT, &FAILURES, &WINDOW, &SUCCESSES, &BLAME],
    later: &[],
    example: "health = { kind = \"http\", path = \"/healthz\" }",
    about: "How endpoints are found broken and found well again. Without it failures of real exchanges alone count.",
};

/// What is probed; the words of `kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Http,
    Tcp,
    Passive,
}

static KIND: Key<Word<How>, Otherwise<How>> = Key {
    name: "kind",
    kind: Word { words: &[("http", How::Http), ("tcp", How::Tcp), ("passive", How::Passive)], later: &["grpc"] },
    absent: Otherwise(How::Passive),
    meaning: "`http`: `GET path` is answered well. `tcp`: a connection opens. `passive`: no probes.",
};
static PATH: Key<Text<Box<str>>, Optional> = Key {
    name: "path",
    kind: Text { shape: "path, perhaps with a query", parse: names::probe_path, show: ToString::to_string },
    absent: Optional(|| format!("`\"{}\"`", defaults::PROBE_PATH)),
    meaning: "What an `http` probe asks for.",
};
static HOST: Key<Text<Box<str>>, Optional> = Key {
    name: "host",
    kind: Text { shape: "host name, perhaps with a port", parse: names::probe_host, show: ToString::to_string },
    absent: Optional(|| "the endpoint's address".to_owned()),
    meaning: "The `Host` field of an `http` probe.",
};
static STATUSES: Key<List<Statuses>, OtherwiseAll<(u16, u16)>> = Key {
    name: "statuses",
    kind: List { each: Statuses { min: 200, max: 599 } },
    absent: OtherwiseAll(&[defaults::PROBE_STATUSES]),
    meaning: "Answers to an `http` probe that count as well.",
};
static BODY: Key<Text<Box<str>>, Optional> = Key {
    name: "body",
    kind: Text { shape: "text", parse: parse_body, show: ToString::to_string },
    absent: Optional(|| "any body".to_owned()),
    meaning: "Text that must occur in the first 64 KiB of the answer to an `http` probe.",
};
static INTERVAL: Key<Duration, Otherwise<Millis>> = Key {
    name: "interval",
    kind: PAUSE,
    absent: Otherwise(defaults::PROBE_INTERVAL),
    meaning: "From one probe's start to the next one's, give or take 10 %.",
};
static TIMEOUT: Key<Duration, Optional> = Key {
    name: "timeout",
    kind: PAUSE,
    absent: Optional(|| format!("`\"{}\"`, or `interval` if that is less", defaults::PROBE_TIMEOUT)),
    meaning: "For a whole probe: connection, request and answer.",
};
static FAILURES: Key<Whole<u16>, Otherwise<u16>> = Key {
    name: "failures",
    kind: Whole { min: 1, max: 100 },
    absent: Otherwise(defaults::FAILURES),
    meaning: "Failures within `window` that eject an endpoint, probes and real exchanges together.",
};
static WINDOW: Key<Duration, Otherwise<Millis>> = Key {
    name: "window",
    kind: PAUSE,
    absent: Otherwise(defaults::WINDOW),
    meaning: "Over which failures are counted; without probes also how long until an ejected endpoint gets a trial.",
};
static SUCCESSES: Key<Whole<u16>, Otherwise<u16>> = Key {
    name: "successes",
    kind: Whole { min: 1, max: 100 },
    absent: Otherwise(defaults::SUCCESSES),
    meaning: "Successes in a row that bring an ejected endpoint back.",
};
static BLAME: Key<List<Statuses>, OtherwiseAll<(u16, u16)>> = Key {
    name: "blame",
    kind: List { each: Statuses { min: 400, max: 599 } },
    absent: OtherwiseAll(&[]),
    meaning: "Answers to real exchanges that count as failures of the endpoint.",
};

/// Below 10 ms a probe costs more than what it looks after.
const PAUSE: Duration = Duration { min: Millis::new(10), max: ONE_DAY };
/// As much of a body as a probe reads.
const MOST_BODY: usize = 64 << 10;

pub(super) fn read(section: &Section<'_>, sink: &mut Sink) -> Result<HealthRules, Reported> {
    let kind = section.take(&KIND, sink);
    let path = section.take(&PATH, sink);
    let host = section.take(&HOST, sink);
    let statuses = section.take(&STATUSES, sink);
    let body = section.take(&BODY, sink);
    let interval = section.take(&INTERVAL, sink);
    let timeout = section.take(&TIMEOUT, sink);
    let failures = section.take(&FAILURES, sink);
    let window = section.take(&WINDOW, sink);
    let successes = section.take(&SUCCESSES, sink);
    let blame = section.take(&BLAME, sink);
    if let Ok(kind) = kind {
        refuse_idle_keys(section, kind, sink);
    }
    let timeout = match (timeout?, interval?) {
        (Some(timeout), interval) if timeout > interval => {
            let fault =
                Fault::new(format!("a probe ends before the next begins, after `{interval}`"), "longer than that");
            Err(sink.wrong(section.span(TIMEOUT.name), fault.help("write less here or more at `interval`")))
        }
        (Some(timeout), _) => Ok(timeout),
        (None, interval) => Ok(defaults::PROBE_TIMEOUT.min(interval)),
    };
    let kind = match kind? {
        How::Passive => None,
        How::Tcp => Some(ProbeKind::Tcp),
        How::Http => Some(ProbeKind::Http {
            path: path?.map_or_else(|| Arc::from(defaults::PROBE_PATH), Arc::from),
            host: host?.map(Arc::from),
            statuses: statuses?,
            body: body?.map(Arc::from),
        }),
    };
    let rules = HealthRules {
        failures: failures?,
        window: window?,
        successes: successes?,
        statuses: each_of(&blame?),
        probe: match kind {
            Some(kind) => Some(Probe { kind, interval: interval?, timeout: timeout? }),
            None => None,
        },
    };
    refuse_hopeless_window(section, &rules, sink)?;
    Ok(rules)
}

/// Keys that would do nothing under this kind.
fn refuse_idle_keys(section: &Section<'_>, kind: How, sink: &mut Sink) {
    let of_http = [PATH.name, HOST.name, STATUSES.name, BODY.name];
    let of_probes = [INTERVAL.name, TIMEOUT.name];
    let (idle, owner, cure) = match kind {
        How::Http => return,
        How::Tcp => (&of_http[..], "an `http` probe", "write `kind = \"http\"`, or leave it out"),
        How::Passive => (
            &[of_http.as_slice(), &of_probes].concat()[..],
            "a probe",
            "write `kind = \"http\"` or `\"tcp\"`, or leave it out",
        ),
    };
    for name in idle.iter().filter(|name| section.has(name)) {
        let label = if kind == How::Tcp { "a `tcp` probe only connects" } else { "there are no probes" };
        sink.wrong(section.key_span(name), Fault::new(format!("`{name}` belongs to {owner}"), label).help(cure));
    }
}

/// Probes so rare that not enough of them fall into one window would never eject anything.
fn refuse_hopeless_window(section: &Section<'_>, rules: &HealthRules, sink: &mut Sink) -> Result<(), Reported> {
    let Some(probe) = &rules.probe else { return Ok(()) };
    let gaps = u64::from(rules.failures.saturating_sub(1));
    // A probe may come 10 % late.
    let needed = probe.interval.get().saturating_mul(gaps).saturating_mul(11) / 10;
    if needed <= rules.window.get() {
        return Ok(());
    }
    let message =
        format!("{} failures `{}` apart never fall within `{}`", rules.failures, probe.interval, rules.window);
    let name = [WINDOW.name, INTERVAL.name].into_iter().find(|name| section.has(name)).unwrap_or(FAILURES.name);
    let enough = Millis::new(probe.interval.get().saturating_mul(u64::from(rules.failures)).max(needed));
    let fault = Fault::new(message, "probes alone would never eject an endpoint");
    Err(sink.wrong(section.span(name), fault.help(format!("write `window = \"{enough}\"`, or probe more often"))))
}

/// Each status of the ranges once, ascending.
pub(super) fn each_of(ranges: &[(u16, u16)]) -> Vec<u16> {
    let mut statuses: Vec<u16> = ranges.iter().flat_map(|(first, last)| *first..=*last).collect();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
}

fn parse_body(text: &str) -> Result<Box<str>, Fault> {
    match text.len() {
        0 => Err(Fault::new("`body` is text to look for", "empty: found in every body").help("leave `body` out")),
        1..=MOST_BODY => Ok(text.into()),
        _ => Err(Fault::new("a probe reads 64 KiB of a body", "longer than that")),
    }
}
