//! The probes of one endpoint, one after another.
//!
//! In: the endpoint, its rules, the clock. Out: its verdict's signals, lines in the log, metrics.
//! The first probe starts at once, each further one an interval ± 10 % after the start of the one before it, or when
//! that one has ended.

use std::sync::Arc;

use tracing::{debug, info, warn};
use weir_snapshot::{Clock, Failure, HealthRules, Member, Moment, Probe, Transition, Witness};

use crate::observe;
use crate::pace::Pace;
use crate::probe::ProbeFailure;

/// An endpoint that is probed.
#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) service: Arc<str>,
    pub(crate) member: Member,
    pub(crate) rules: Arc<HealthRules>,
}

impl Watched {
    /// Whether the probes of `self` go on as they are for `other`: same endpoint and state, same rules.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.service == other.service
            && self.member.address == other.member.address
            && Arc::ptr_eq(&self.member.live, &other.member.live)
            && self.rules == other.rules
    }

    /// Probes until dropped.
    pub(crate) async fn run(self, probe: Probe, clock: Clock, ask: impl AsyncFn(&Probe) -> Result<(), ProbeFailure>) {
        let mut pace = Pace::new((&self.service, self.member.address), probe.interval);
        loop {
            let next = clock.now().after(pace.next());
            let found = ask(&probe).await;
            self.report(found, clock.now());
            tokio::time::sleep_until(clock.instant(next)).await;
        }
    }

    fn report(&self, found: Result<(), ProbeFailure>, now: Moment) {
        let Self { service, member, rules } = self;
        observe::probed(service, member, found.as_ref().map_or_else(ProbeFailure::label, |()| "ok"));
        let endpoint = &*member.label;
        match found {
            Ok(()) => {
                if let Some(Transition::Restored) = member.live.succeeded(now, rules) {
                    info!(%service, endpoint, cause = "probe", "endpoint restored");
                }
            }
            Err(why @ ProbeFailure::Unasked(_)) => warn!(%service, endpoint, why = why.chain(), "probe not sent"),
            Err(why) => {
                let (by, reason, text) = (Witness::Probe, why.label(), why.chain().into());
                member.live.remember(Failure { at: now, by, reason, text, exchange: None });
                let Some(Transition::Ejected { failures }) = member.live.failed(now, rules) else {
                    debug!(%service, endpoint, why = why.chain(), "probe failed");
                    return;
                };
                observe::ejected_by_probe(service, member);
                warn!(%service, endpoint, cause = "probe", failures, why = why.chain(), "endpoint ejected");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::rc::Rc;
    use std::time::Duration;

    use tokio::time::timeout;
    use weir_snapshot::{Live, Millis, ProbeKind};

    use super::*;

    const PROBE: Probe = Probe { kind: ProbeKind::Tcp, interval: Millis::from_secs(5), timeout: Millis::from_secs(1) };

    fn watched() -> Watched {
        let rules = HealthRules {
            failures: 3,
            window: Millis::from_secs(30),
            successes: 1,
            statuses: Vec::new(),
            probe: Some(PROBE),
        };
        let member = Member::new(([127, 0, 0, 1], 1).into(), Arc::new(Live::new(&rules)));
        Watched { service: "optimizers".into(), member, rules: Arc::new(rules) }
    }

    /// The moments of the probes within this time, each of which takes `lasting`.
    async fn moments(within: Duration, lasting: Duration) -> Vec<Moment> {
        let clock = Clock::start();
        let moments = Rc::new(RefCell::new(Vec::new()));
        let ask = async |_: &Probe| {
            moments.borrow_mut().push(clock.now());
            tokio::time::sleep(lasting).await;
            Ok(())
        };
        timeout(within, watched().run(PROBE, clock, ask)).await.unwrap_err();
        moments.take()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_probe_starts_at_once_and_the_others_an_interval_apart_give_or_take_a_tenth() {
        let moments = moments(Duration::from_mins(10), Duration::from_millis(300)).await;
        assert_eq!(moments[0], Moment::default());
        assert!((109..=134).contains(&moments.len()), "{}", moments.len());
        for pair in moments.windows(2) {
            let gap = pair[1].since(pair[0]);
            // Timers tick in milliseconds.
            assert!((Duration::from_millis(4500)..=Duration::from_millis(5501)).contains(&gap), "{gap:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_outlasts_the_interval_is_followed_by_the_next_one_not_joined_by_it() {
        let moments = moments(Duration::from_secs(59), Duration::from_secs(10)).await;
        assert_eq!(moments.len(), 6);
        assert!(moments.windows(2).all(|pair| pair[1].since(pair[0]) == Duration::from_secs(10)));
    }

    #[tokio::test(start_paused = true)]
    async fn three_failed_probes_eject_and_one_good_one_restores() {
        let watched = watched();
        let live = Arc::clone(&watched.member.live);
        let seen = RefCell::new(Vec::new());
        let ask = async |_: &Probe| {
            seen.borrow_mut().push(live.is_ejected());
            let probes = seen.borrow().len();
            match probes {
                1..=3 => Err(ProbeFailure::Status(503)),
                4 => Ok(()),
                _ => pending().await,
            }
        };
        timeout(Duration::from_mins(1), watched.run(PROBE, Clock::start(), ask)).await.unwrap_err();
        assert_eq!(*seen.borrow(), [false, false, false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_is_not_blamed_for_probes_that_could_not_be_sent() {
        let watched = watched();
        let live = Arc::clone(&watched.member.live);
        let ask = async |_: &Probe| Err(ProbeFailure::Unasked("no descriptors".into()));
        timeout(Duration::from_mins(1), watched.run(PROBE, Clock::start(), ask)).await.unwrap_err();
        assert!(!live.is_ejected());
        assert_eq!(live.last_failure(), None);
    }
}
