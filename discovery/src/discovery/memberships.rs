//! What all services are believed to have, and which source tells of which.
//!
//! In: news, by the number of the source. Out: lists of endpoints, and the services whose list changed. Pure but for the
//! log and the metrics.

use std::collections::HashMap;
use std::sync::Arc;

use tracing::{info, warn};
use weir_snapshot::Moment;

use super::sources::SourceId;
use crate::membership::{Belief, Membership, Note, Outcome};
use crate::{Found, News, Overrides, Report, SourceError, observe};

/// All services, in the order configured.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    services: Vec<Known>,
    /// Service and source.
    places: HashMap<SourceId, (usize, usize)>,
    by_name: HashMap<Arc<str>, usize>,
    /// Services whose endpoints are not in a snapshot yet.
    changed: Vec<usize>,
}

/// One service.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: Arc<str>,
    /// Whether a route leads there.
    pub(super) routed: bool,
    pub(super) membership: Membership,
    /// Of the sources of the membership.
    pub(super) ids: Vec<SourceId>,
    /// What is to be in the next snapshot.
    pub(super) found: Arc<[Found]>,
}

impl Memberships {
    pub(super) fn new(services: Vec<Known>) -> Self {
        let mut places = HashMap::new();
        let mut by_name = HashMap::new();
        for (service, known) in services.iter().enumerate() {
            by_name.insert(Arc::clone(&known.name), service);
            places.extend(known.ids.iter().enumerate().map(|(source, &id)| (id, (service, source))));
        }
        Self { services, places, by_name, changed: Vec::new() }
    }

    pub(super) fn get(&self, service: &str) -> Option<&Known> {
        self.services.get(*self.by_name.get(service)?)
    }

    pub(super) fn services(&self) -> &[Known] {
        &self.services
    }

    pub(super) fn at(&self, index: usize) -> Option<&Known> {
        self.services.get(index)
    }

    /// Whether this source is of one of the services.
    pub(super) fn has(&self, id: SourceId) -> bool {
        self.places.contains_key(&id)
    }

    /// What is believed of this source.
    pub(super) fn belief(&self, id: SourceId) -> Option<&Belief> {
        let &(service, source) = self.places.get(&id)?;
        self.services.get(service)?.membership.sources().get(source)
    }

    /// Whether what is published is not what is believed.
    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Whether this service has changed and is not published so yet.
    pub(super) fn awaits_publishing(&self, service: &str) -> bool {
        self.by_name.get(service).is_some_and(|index| self.changed.contains(index))
    }

    /// A source told something; what one told that is none of these is nothing. Gives its service when it is the first
    /// time that it vouches for what is published anyway.
    pub(super) fn hear(&mut self, id: SourceId, news: News, now: Moment) -> Option<usize> {
        let &(service, source) = self.places.get(&id)?;
        let known = self.services.get_mut(service)?;
        let name = known.membership.sources().get(source).map(|source| Arc::clone(&source.name))?;
        observe::news(&known.name, &name, &news);
        let Outcome { changed, first, notes } = known.membership.hear(source, news, now);
        for note in notes {
            say(&known.name, &name, note);
        }
        if changed && !self.changed.contains(&service) {
            self.changed.push(service);
        }
        (first && !changed).then_some(service)
    }

    /// The endpoints of this service are to be published anew.
    pub(super) fn touch(&mut self, service: &str) {
        let index = self.by_name.get(service).copied();
        self.changed.extend(index.filter(|index| !self.changed.contains(index)));
    }

    /// Brings the lists of the changed services up to date, and gives those services.
    pub(super) fn settle(&mut self) -> Vec<usize> {
        let changed = std::mem::take(&mut self.changed);
        for &service in &changed {
            if let Some(known) = self.services.get_mut(service) {
                known.found = known.membership.endpoints();
            }
        }
        changed
    }

    /// What was settled was not published.
    pub(super) fn unsettle(&mut self, changed: Vec<usize>) {
        self.changed = changed;
    }

    /// What each service has.
    pub(super) fn found(&self) -> Vec<Arc<[Found]>> {
        self.services.iter().map(|known| Arc::clone(&known.found)).collect()
    }

    /// How many endpoints of this service get new exchanges.
    pub(super) fn serving(&self, service: &str, overrides: &Overrides) -> usize {
        let found = self.get(service).map(|known| known.found.iter());
        found.map_or(0, |found| found.filter(|found| overrides.serves(service, found)).count())
    }

    pub(super) fn report(&self, overrides: &Overrides) -> Report {
        let services = self.services.iter();
        Report::of(services.map(|known| (&known.name, known.routed, &known.membership, &*known.found)), overrides)
    }
}

/// Tells of a source in the log.
pub(super) fn say(service: &str, source: &str, note: Note) {
    match note {
        Note::Changed { endpoints, added, removed } => {
            info!(service, source, endpoints, added, removed, "endpoints changed");
        }
        Note::Failing(SourceError { reason, text }) => {
            warn!(service, source, reason, why = %text, "the source does not answer, the last good endpoints stay");
        }
        Note::Recovered { after } => info!(service, source, ?after, "the source answers again"),
        Note::Doubted { kept } => warn!(
            service,
            source, kept, "the source lists no endpoints; those of before stay until it has said so for `empty_after`"
        ),
        Note::Emptied => {
            warn!(service, source, "the source has listed no endpoints for `empty_after`: now there are none");
        }
        Note::Stale(stale) => warn!(
            service,
            source,
            last_contact = ?stale.last_contact,
            known_leader = stale.known_leader,
            why = %stale.because,
            "the source's answers may be old"
        ),
        Note::Fresh => info!(service, source, "the source's answers are current again"),
        Note::Remark(remark) => warn!(service, source, "{remark}"),
    }
}
