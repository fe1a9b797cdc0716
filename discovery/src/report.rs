//! How the sources stand: for `/readyz`, metrics and status pages.
//!
//! In: the memberships. Out: a value that is replaced whole at every change, and read at leisure.

use std::fmt::Write as _;
use std::sync::Arc;

use weir_snapshot::Moment;

use crate::membership::{Belief, Membership, Standing};
use crate::{Found, Overrides, SourceError, Stale};

/// How the sources of all services stand.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each service, in the order configured.
    pub services: Vec<ServiceReport>,
}

/// How the sources of one service stand.
#[derive(Clone, Debug)]
pub struct ServiceReport {
    /// Its name.
    pub service: Arc<str>,
    /// Whether a route leads to it.
    pub routed: bool,
    /// Whether it ever had an endpoint, kept ones of before the start included.
    pub had_endpoints: bool,
    /// How many endpoints it has now, wherever they are from.
    pub endpoints: usize,
    /// Whether one of them gets new exchanges: is not drained.
    pub serves: bool,
    /// Its sources, beside the endpoints that are written in the configuration.
    pub sources: Vec<SourceReport>,
}

/// How one source stands.
#[derive(Clone, Debug)]
pub struct SourceReport {
    /// What it is: `consul optimizer`.
    pub source: Arc<str>,
    /// How many of its endpoints count now.
    pub endpoints: usize,
    /// Those, by address.
    pub listed: Arc<[Found]>,
    /// When it last answered.
    pub last_contact: Option<Moment>,
    /// Why it does not answer, and since when.
    pub failing: Option<(SourceError, Moment)>,
    /// Whether its endpoints are those of before the start.
    pub cached: bool,
    /// Since when it has said that there are none, which is not believed yet.
    pub doubted_since: Option<Moment>,
    /// Why its answers may be old.
    pub stale: Option<Stale>,
    /// What a person should know of its last list, each in a sentence.
    pub remarks: Vec<String>,
}

/// Whether clients should be sent here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Everything is as it should be.
    Ready,
    /// Clients are served, but not all sources are well: what is wrong, in one line each.
    Degraded(String),
    /// A route leads to a service without an endpoint that takes new exchanges: what is wrong, in one line each.
    NotReady(String),
}

impl Report {
    /// Of each service its name, whether a route leads there, what is believed, and what it has in the current snapshot.
    pub(crate) fn of<'a>(
        services: impl Iterator<Item = (&'a Arc<str>, bool, &'a Membership, &'a [Found])>,
        overrides: &Overrides,
    ) -> Self {
        let services = services.map(|(service, routed, membership, found)| ServiceReport {
            service: Arc::clone(service),
            routed,
            had_endpoints: membership.had_endpoints(),
            endpoints: found.len(),
            serves: found.iter().any(|found| overrides.serves(service, found)),
            sources: membership.sources().iter().map(SourceReport::of).collect(),
        });
        Self { services: services.collect() }
    }

    /// Not ready while a service that a route leads to has no endpoint that takes new exchanges: each of its requests is
    /// refused here, and whoever sends clients has better places. A source that fails takes none away: what is known then
    /// is the best there is, and to go on with it is the point of keeping it.
    pub fn readiness(&self, now: Moment) -> Readiness {
        let mut text = String::new();
        let mut ready = true;
        for service in &self.services {
            let refuses = service.routed && !service.serves;
            if refuses {
                ready = false;
                let why = match (service.endpoints, service.had_endpoints) {
                    (0, false) => "has never had an endpoint".to_owned(),
                    (0, true) => "has no endpoint left: its sources list none".to_owned(),
                    (endpoints, _) => format!("has no endpoint in service: {endpoints} are drained"),
                };
                // Writing to a String does not fail.
                writeln!(text, "service `{}` {why}", service.service).ok();
            }
            for source in &service.sources {
                if let Some(trouble) = source.trouble(now, refuses) {
                    writeln!(text, "service `{}`, {}: {trouble}", service.service, source.source).ok();
                }
            }
        }
        match (ready, text.is_empty()) {
            (false, _) => Readiness::NotReady(text),
            (true, true) => Readiness::Ready,
            (true, false) => Readiness::Degraded(text),
        }
    }
}

impl SourceReport {
    fn of(source: &Belief) -> Self {
        Self {
            source: Arc::clone(&source.name),
            endpoints: source.endpoints(),
            listed: Arc::clone(source.held()),
            last_contact: source.last_contact,
            failing: source.failing.clone(),
            cached: matches!(source.standing, Standing::Cached | Standing::Inherited { .. }),
            doubted_since: source.doubted_since(),
            stale: source.stale.clone(),
            remarks: source.remarks().to_vec(),
        }
    }

    /// What is wrong with it, in one line; `None` when nothing is. That it lists none is wrong when its service `refuses`.
    fn trouble(&self, now: Moment, refuses: bool) -> Option<String> {
        // It names what to write or to check.
        let remark = self.remarks.iter().fold(String::new(), |all, remark| format!("{all}; {remark}"));
        let endpoints = self.endpoints;
        let kept = if self.cached { "kept from before the start" } else { "that it told last" };
        let seconds = |since: Moment| now.since(since).as_secs();
        if let Some((error, since)) = &self.failing {
            let line = error.text.lines().next().unwrap_or_default();
            return Some(format!("no answer for {} s, {endpoints} endpoints {kept}: {line}", seconds(*since)));
        }
        if self.last_contact.is_none() {
            return Some(format!("no answer yet, {endpoints} endpoints {kept}"));
        }
        if let Some(since) = self.doubted_since {
            return Some(format!(
                "lists none for {} s, {endpoints} endpoints {kept} stay for now{remark}",
                seconds(since)
            ));
        }
        if refuses && endpoints == 0 {
            return Some(format!("lists no endpoint{remark}"));
        }
        let stale = self.stale.as_ref()?;
        let leader = if stale.known_leader { "" } else { ", and it knows no leader" };
        Some(format!(
            "the answers may be old: who gave them heard of the leader {} ms ago{leader}",
            stale.last_contact.as_millis()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Found, Listing, News};

    fn at(secs: u64) -> Moment {
        Moment::from_nanos(secs * 1_000_000_000)
    }

    fn readiness(membership: &Membership, routed: bool) -> Readiness {
        let found = membership.endpoints();
        Report::of([(&"s".into(), routed, membership, &*found)].into_iter(), &Overrides::default()).readiness(at(10))
    }

    fn membership(fixed: &[Found]) -> Membership {
        Membership::new(fixed.into(), Duration::from_secs(30), vec![("consul a".into(), false)])
    }

    fn one() -> Found {
        Found::new(([127, 0, 0, 1], 1).into())
    }

    fn failed() -> News {
        News::Failed(SourceError { reason: "unreachable", text: "nobody there".to_owned() })
    }

    #[test]
    fn a_weir_whose_sources_all_answer_is_ready() {
        let mut members = membership(&[]);
        members.hear(0, News::Endpoints(Listing { endpoints: vec![one()], ..Listing::default() }), at(1));
        assert_eq!(readiness(&members, true), Readiness::Ready);
    }

    #[test]
    fn a_weir_is_not_ready_while_a_routed_service_never_had_an_endpoint() {
        let mut members = membership(&[]);
        members.hear(0, failed(), at(1));
        let Readiness::NotReady(text) = readiness(&members, true) else { panic!() };
        assert_eq!(
            text,
            "service `s` has never had an endpoint\n\
             service `s`, consul a: no answer for 9 s, 0 endpoints that it told last: nobody there\n"
        );
        assert!(matches!(readiness(&membership(&[]), false), Readiness::Degraded(_)), "nobody is sent there");
    }

    #[test]
    fn a_weir_is_not_ready_while_a_routed_service_has_no_endpoint_left() {
        let mut members = membership(&[]);
        let none = || News::Endpoints(Listing { remarks: vec!["is `a` its name?".to_owned()], ..Listing::default() });
        members.hear(0, News::Endpoints(Listing { endpoints: vec![one()], ..Listing::default() }), at(1));
        members.hear(0, none(), at(2));
        members.hear(0, none(), at(32));
        let Readiness::NotReady(text) = readiness(&members, true) else { panic!() };
        assert_eq!(
            text,
            "service `s` has no endpoint left: its sources list none\n\
             service `s`, consul a: lists no endpoint; is `a` its name?\n"
        );
    }

    #[test]
    fn a_weir_whose_endpoints_are_all_drained_is_not_ready() {
        let Readiness::NotReady(text) = readiness(&membership(&[Found { drained: true, ..one() }]), true) else {
            panic!()
        };
        assert!(text.starts_with("service `s` has no endpoint in service: 1 are drained\n"), "{text}");
    }

    #[test]
    fn a_weir_that_has_other_endpoints_or_kept_ones_is_ready_but_degraded() {
        let mut members = membership(&[one()]);
        members.hear(0, failed(), at(1));
        assert!(matches!(readiness(&members, true), Readiness::Degraded(_)));
        let mut members = membership(&[]);
        members.restore("consul a", vec![one()]);
        let Readiness::Degraded(text) = readiness(&members, true) else { panic!() };
        assert_eq!(text, "service `s`, consul a: no answer yet, 1 endpoints kept from before the start\n");
    }

    #[test]
    fn an_empty_list_that_is_not_believed_degrades() {
        let mut members = membership(&[]);
        members.hear(0, News::Endpoints(Listing { endpoints: vec![one()], ..Listing::default() }), at(1));
        members.hear(0, News::Endpoints(Listing::default()), at(4));
        let Readiness::Degraded(text) = readiness(&members, true) else { panic!() };
        assert!(text.contains("lists none for 6 s, 1 endpoints"), "{text}");
    }
}
