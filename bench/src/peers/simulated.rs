//! What the simulator says of the same requests: whether the proxy does what its design promises, and how far it is from that.
//!
//! In: a contender, a trace, the endpoints. Out: the numbers of a run, or none where the simulator has no such contender or
//! scenario. Pure. The decisions are made by the code that the proxy runs; what is missing is the proxy, the network and
//! the learning, for the simulated one knows what each photo takes.

use std::time::Duration;

use weir_balance::Policy;

use super::client::Answer;
use super::contender::Contender;
use super::cores::Discipline;
use super::endpoint::Plan;
use super::fleet::Scenario;
use super::load::Record;
use super::promise::Conditions;
use super::summary::Summary;
use super::trace::{Bytes, Class, Trace};
use crate::sim::endpoint::Discipline as Simulated;
use crate::sim::engine::{self, Choice, Site};
use crate::sim::scenario::{FACTOR, rules};
use crate::sim::trace::Job;

/// As the contenders' configurations have it.
const TIMEOUT: Duration = Duration::from_secs(5);
const SMALL: u64 = 25;

/// The run that a contender ought to have had.
pub(crate) fn run(contender: &Contender, conditions: &Conditions, trace: &Trace, plans: &[Plan]) -> Option<Summary> {
    let plays = matches!(conditions.scenario, Scenario::Steady | Scenario::Slow) && !conditions.real;
    let choice = choice(contender.name, conditions.bytes).filter(|_| plays)?;
    let cores = plans.first()?.cores;
    let site = Site {
        discipline: match conditions.discipline {
            Discipline::Sharing => Simulated::Sharing,
            Discipline::Fifo => Simulated::Fifo,
        },
        cores,
        speeds: plans.iter().map(|plan| 1.0 / plan.slowness).collect(),
        turns: Vec::new(),
        proxies: 1,
        turnaround: 0,
    };
    let jobs: Vec<Job> = (0..).zip(&trace.jobs).map(|(number, job)| simulated(number, job)).collect();
    let fates = engine::run(&jobs, &site, &choice).fates;
    let records: Vec<Record> = jobs.iter().zip(fates).map(|(job, fate)| record(job, fate)).collect();
    Summary::new(trace, &records, plans).ok()
}

/// The same decisions; `None` for the peers, whose code the simulator does not have, and where they go by bytes that tell nothing.
fn choice(name: &str, bytes: Bytes) -> Option<Choice> {
    let permits = |factor, extra| Choice::Permits {
        policy: Policy::LeastConnections,
        per_core: 1.0,
        rules: rules(factor, false, SMALL),
        classes: false,
        timeout: u64::try_from(TIMEOUT.as_nanos()).ok(),
        target: None,
        extra,
        eager: false,
        large: u32::MAX,
    };
    match name {
        "weir-rr" => Some(Choice::Policy(Policy::RoundRobin)),
        "weir-lc" => Some(Choice::Policy(Policy::LeastConnections)),
        "weir-fifo" => Some(permits(0, 0)),
        "weir-bytes" => (bytes == Bytes::Telling).then(|| permits(FACTOR, 1)),
        "weir-image" => Some(permits(FACTOR, 1)),
        "weir-strict" => Some(permits(FACTOR, 0)),
        _ => None,
    }
}

fn simulated(number: u64, job: &super::trace::Job) -> Job {
    let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
    let work = nanos(job.work).max(1);
    Job { arrival: nanos(job.at), work, predicted: work, small: job.class == Class::Small, class: 0, dice: number }
}

fn record(job: &Job, fate: engine::Fate) -> Record {
    let status = if fate.is_some() { 200 } else { 503 };
    let latency = fate.map_or(TIMEOUT, |end| Duration::from_nanos(end.saturating_sub(job.arrival)));
    Record { latency, late: Duration::ZERO, outcome: Ok(Answer { status, endpoint: None, work: None }) }
}

#[cfg(test)]
mod tests {
    use super::super::contender::all;
    use super::super::trace::Wanted;
    use super::*;

    fn found(name: &str, scenario: Scenario, load: f64) -> Option<Summary> {
        let plans = scenario.plans(4, 2);
        let wanted = Wanted { seed: 1, load, span: Duration::from_secs(20), capacity: 8.0 };
        let trace = Trace::emulated(&wanted, Bytes::Telling);
        let (bytes, discipline) = (Bytes::Telling, Discipline::Sharing);
        let conditions = Conditions { scenario, bytes, discipline, real: false, load };
        run(all().find(|contender| contender.name == name).unwrap(), &conditions, &trace, &plans)
    }

    #[test]
    fn an_idle_site_takes_as_long_as_the_work_and_a_busy_one_longer() {
        let idle = found("weir-lc", Scenario::Steady, 0.05).unwrap();
        assert!((1.0..1.01).contains(&idle.slowdown), "{idle:?}");
        let busy = found("weir-lc", Scenario::Steady, 0.95).unwrap();
        assert!(busy.slowdown > 1.5 && busy.refused == 0, "{busy:?}");
        assert!(found("weir-image", Scenario::Steady, 0.95).unwrap().p50 < 0.8 * busy.p50);
    }

    #[test]
    fn whatever_cannot_be_simulated_has_no_run() {
        assert_eq!(found("nginx", Scenario::Steady, 0.5), None);
        assert_eq!(found("weir-lc", Scenario::Killed, 0.5), None);
        assert_eq!(found("weir-lc", Scenario::Weights, 0.5), None);
    }
}
