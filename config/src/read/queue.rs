//! `queue` of a `[[service]]`, and `work`.

mod print;

use std::num::NonZeroU32;

use weir_balance::{Nanos, Rules};
use weir_snapshot::{Millis, QueueRules, WorkFrom};

use super::{ONE_DAY, SHORTEST};
use crate::defaults;
use crate::raw::{Duration, Flag, Key, Optional, Otherwise, Required, Section, Spec, Tables, Whole, Word};
use crate::sink::{Fault, Reported, Sink};

pub(super) use print::print;

pub(crate) static QUEUE: Spec = Spec {
    header: "[service.queue]",
    keys: &[&CAPACITY, &MAX, &TIMEOUT, &TARGET, &ORDER, &AGEING, &BELIEVED, &EXTRA, &SMALL, &STEP, &SLACK, &ADAPTIVE],
    later: &[],
    example: "queue = { capacity = 2 }",
    about: "With this table an endpoint never serves more exchanges at once than its capacity; the rest wait here, for \
            whichever endpoint has room first. See `docs/guide/queue.md`.",
};

/// The words of `order`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Fifo,
    SmallestFirst,
}

pub(super) static QUEUE_TABLE: Tables = Tables {
    name: "queue",
    spec: &QUEUE,
    shape: "table",
    default: "no queue: every exchange goes to an endpoint at once",
    meaning: "How many exchanges an endpoint serves at once, and how the others wait.",
};
pub(super) static WORK: Key<Word<WorkFrom>, Otherwise<WorkFrom>> = Key {
    name: "work",
    kind: Word {
        words: &[("none", WorkFrom::Nothing), ("content-length", WorkFrom::Length), ("image", WorkFrom::Image)],
        later: &[],
    },
    absent: Otherwise(defaults::WORK),
    meaning: "What the work of an exchange is predicted from: nothing, the length of its body, or the dimensions of the \
              picture in it as well. Only with a `queue`.",
};

static CAPACITY: Key<Whole<u32>, Required> = Key {
    name: "capacity",
    kind: CAPACITIES,
    absent: Required,
    meaning: "Exchanges that an endpoint serves at once unless it has a `capacity` of its own; usually its cores.",
};
static MAX: Key<Whole<usize>, Otherwise<usize>> = Key {
    name: "max",
    kind: Whole { min: 0, max: 1_000_000 },
    absent: Otherwise(defaults::QUEUE_MAX),
    meaning: "Exchanges that wait; a further one is answered 503 with `Retry-After`.",
};
static TIMEOUT: Key<Duration, Otherwise<Millis>> = Key {
    name: "timeout",
    kind: Duration { min: SHORTEST, max: ONE_DAY },
    absent: Otherwise(defaults::QUEUE_TIMEOUT),
    meaning: "Longest wait; then 503 with `Retry-After`.",
};
static TARGET: Key<Duration, Optional> = Key {
    name: "target",
    kind: Duration { min: SHORTEST, max: ONE_DAY },
    absent: Optional(|| "nobody is refused before `max` and `timeout`".to_owned()),
    meaning: "When everybody has waited longer than this, for as long again, only as many may wait as get through within \
              this time; the newest of the last `priority` go first, answered 503 with `Retry-After`.",
};
static ORDER: Key<Word<Order>, Optional> = Key {
    name: "order",
    kind: Word { words: &[("fifo", Order::Fifo), ("smallest-first", Order::SmallestFirst)], later: &[] },
    absent: Optional(|| "`\"smallest-first\"`, or `\"fifo\"` if nothing predicts the `work`".to_owned()),
    meaning: "Who is next: the first that came, or the first by arrival and predicted work.",
};
static AGEING: Key<Whole<u16>, Optional> = Key {
    name: "ageing",
    kind: Whole { min: 1, max: 1000 },
    absent: Optional(|| format!("`{}`", defaults::AGEING)),
    meaning: "Under `smallest-first`: an exchange is overtaken only by those that come within so many times its work after it.",
};
static BELIEVED: Key<Duration, Otherwise<Millis>> = Key {
    name: "believed",
    kind: Duration { min: SHORTEST, max: ONE_DAY },
    absent: Otherwise(defaults::BELIEVED),
    meaning: "The most work that a prediction is believed; more counts as this.",
};
static EXTRA: Key<Whole<u32>, Optional> = Key {
    name: "extra",
    kind: Whole { min: 0, max: 1000 },
    absent: Optional(|| format!("`{}` under `smallest-first`, else `0`", defaults::EXTRA)),
    meaning: "How many small exchanges an endpoint serves beside its capacity, while several of them wait or none is being served.",
};
static SMALL: Key<Duration, Otherwise<Millis>> = Key {
    name: "small",
    kind: Duration { min: Millis::new(0), max: ONE_DAY },
    absent: Otherwise(defaults::SMALL),
    meaning: "Up to this predicted work an exchange is small.",
};
static STEP: Key<Duration, Otherwise<Millis>> = Key {
    name: "priority_step",
    kind: Duration { min: Millis::new(0), max: ONE_DAY },
    absent: Otherwise(defaults::PRIORITY_STEP),
    meaning: "How much later each further `priority` of a route counts as having come.",
};
static SLACK: Key<Duration, Otherwise<Millis>> = Key {
    name: "slack",
    kind: Duration { min: Millis::new(0), max: ONE_DAY },
    absent: Otherwise(defaults::SLACK),
    meaning: "How much work a client may be ahead of its fair share, while others wait, before it stands back.",
};
static ADAPTIVE: Key<Flag, Otherwise<bool>> = Key {
    name: "adaptive",
    kind: Flag,
    absent: Otherwise(defaults::ADAPTIVE),
    meaning: "Whether an endpoint that answers 503 with `Retry-After` gets one exchange less at a time for that long.",
};

/// What can be served at once.
pub(super) const CAPACITIES: Whole<u32> = Whole { min: 1, max: 65_535 };

/// As `value` of [`CAPACITIES`], whose least is 1.
pub(super) fn capacity(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
}

/// What `queue` says.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueRead {
    pub(super) rules: QueueRules,
    pub(super) adaptive: bool,
}

/// The queue of a service; `None` when it has none.
pub(super) fn read(
    service: &Section<'_>,
    work: Result<WorkFrom, Reported>,
    sink: &mut Sink,
) -> Result<Option<QueueRead>, Reported> {
    if !service.has(QUEUE_TABLE.name) {
        if work.is_ok_and(|work| work != WorkFrom::Nothing) && !service.is_misspelt(QUEUE_TABLE.name) {
            let fault = Fault::new("predicted work orders a queue", "this service has none");
            let help = format!("add `{}`, or leave `work` out", QUEUE.example);
            sink.wrong(service.key_span(WORK.name), fault.help(help));
        }
        return Ok(None);
    }
    let section = service.table(&QUEUE_TABLE, sink)?;
    let permits = section.take(&CAPACITY, sink);
    let max = section.take(&MAX, sink);
    let timeout = section.take(&TIMEOUT, sink);
    let target = section.take(&TARGET, sink);
    let order = section.take(&ORDER, sink);
    let ageing = section.take(&AGEING, sink);
    let believed = section.take(&BELIEVED, sink);
    let extra = section.take(&EXTRA, sink);
    let small = section.take(&SMALL, sink);
    let step = section.take(&STEP, sink);
    let slack = section.take(&SLACK, sink);
    let adaptive = section.take(&ADAPTIVE, sink);
    let predicts = work? != WorkFrom::Nothing;
    let order = order?.unwrap_or(if predicts { Order::SmallestFirst } else { Order::Fifo });
    refuse_idle_keys(&section, order, predicts, sink);
    refuse_idle_target(&section, target, timeout, max, sink);
    let nanos = |span: Millis| Nanos::from_millis(span.get());
    let (factor, otherwise) = match order {
        Order::Fifo => (0, 0),
        Order::SmallestFirst => (ageing?.unwrap_or(defaults::AGEING), defaults::EXTRA),
    };
    let rules = QueueRules {
        capacity: capacity(permits?),
        extra: extra?.unwrap_or(otherwise),
        timeout: timeout?,
        target: target?,
        order: Rules {
            max: max?,
            factor,
            believed: nanos(believed?),
            least: nanos(defaults::LEAST_WORK),
            handicap: nanos(step?),
            slack: nanos(slack?),
            small: nanos(small?),
        },
    };
    Ok(Some(QueueRead { rules, adaptive: adaptive? }))
}

/// A target that nobody can miss: who waits that long, and as long again, is refused already.
fn refuse_idle_target(
    section: &Section<'_>,
    target: Result<Option<Millis>, Reported>,
    timeout: Result<Millis, Reported>,
    max: Result<usize, Reported>,
    sink: &mut Sink,
) {
    let Ok(Some(target)) = target else { return };
    let fault = if max == Ok(0) {
        Fault::new("a queue with `max = 0` has no waits", "nobody waits here").help("leave `target` out")
    } else if timeout.is_ok_and(|timeout| timeout <= target) {
        Fault::new("a `target` is less than the `timeout`", "nobody waits for longer than that")
            .help("write a shorter `target`: a fifth of the `timeout` for example")
    } else {
        return;
    };
    sink.wrong(section.key_span(TARGET.name), fault);
}

/// Keys that would do nothing beside the others.
fn refuse_idle_keys(section: &Section<'_>, order: Order, predicts: bool, sink: &mut Sink) {
    if !predicts {
        let all_alike = "nothing predicts the work of an exchange: all are alike";
        let help = "add `work = \"content-length\"` or `work = \"image\"` to the service";
        if order == Order::SmallestFirst {
            sink.wrong(
                section.span(ORDER.name),
                Fault::new("`smallest-first` needs to know sizes", all_alike).help(help),
            );
        }
        for name in [EXTRA.name, SMALL.name, BELIEVED.name].into_iter().filter(|name| section.has(name)) {
            let fault = Fault::new(format!("`{name}` is about predicted work"), all_alike);
            sink.wrong(section.key_span(name), fault.help(help));
        }
    }
    if order == Order::Fifo && section.has(AGEING.name) {
        let fault = Fault::new("`ageing` belongs to `smallest-first`", "under `fifo` nobody is overtaken");
        sink.wrong(section.key_span(AGEING.name), fault.help("write `order = \"smallest-first\"`, or leave it out"));
    }
}
