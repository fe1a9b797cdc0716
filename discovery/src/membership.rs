//! What is believed to exist: several sources, one list per service.
//!
//! In: what the sources tell, with the moments. Out: the endpoints, and what is worth saying. Pure. Cost: a sort of each
//! list that changed.
//! A source that fails keeps its last good list. A source that says it has none keeps it too until it says so still, after
//! `empty_after` without a failure (silence is no confirmation): Consul answers `[]` to a token that lost its rights, a registry restored from nothing
//! says the same, and both are mended sooner than a pool that was emptied. Of two endpoints with one address the one of
//! the lower tier counts, else the one listed first.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use weir_balance::Endpoints;
use weir_snapshot::{Moment, Tier};

use crate::{Found, Listing, News, SourceError, Stale};

/// The sources of one service and what they said.
#[derive(Debug)]
pub(crate) struct Membership {
    fixed: Arc<[Found]>,
    empty_after: Duration,
    sources: Vec<Belief>,
    had_endpoints: bool,
}

/// One source, as far as it is believed.
#[derive(Clone, Debug)]
pub(crate) struct Belief {
    pub(crate) name: Arc<str>,
    backup: bool,
    /// What counts now, by address.
    held: Arc<[Found]>,
    pub(crate) standing: Standing,
    /// Why it does not answer, and since when.
    pub(crate) failing: Option<(SourceError, Moment)>,
    pub(crate) last_contact: Option<Moment>,
    pub(crate) stale: Option<Stale>,
    remarks: Vec<String>,
    /// It said that there are none, which is not believed yet.
    doubted: bool,
    /// Since when it has said so without a failure.
    empty_since: Option<Moment>,
}

/// Where the list of a source is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing was said yet.
    Unheard,
    /// From before the start.
    Cached,
    /// Another source said it, whose place this one takes.
    Inherited {
        /// Whether that one was asked the same.
        alike: bool,
    },
    /// The source said it.
    Told,
}

/// Most remarks on a list: a registry may have thousands of entries that are wrong alike, and a person reads a few.
const REMARKS: usize = 20;
/// Most letters of one.
const LETTERS: usize = 400;

/// What is worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// The list changed.
    Changed { endpoints: usize, added: usize, removed: usize },
    /// It fails, for the first time or for another reason than before.
    Failing(SourceError),
    /// It answers again.
    Recovered { after: Duration },
    /// It says that there are none; the last good ones stay.
    Doubted { kept: usize },
    /// It has said so for long enough.
    Emptied,
    /// Its answers may be old.
    Stale(Stale),
    /// They are vouched for again.
    Fresh,
    /// To the person who configured it.
    Remark(String),
}

/// What came of a piece of news.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether the endpoints of the service are to be published anew.
    pub(crate) changed: bool,
    /// Whether what counts now is from the source itself, and was not before.
    pub(crate) first: bool,
    pub(crate) notes: Vec<Note>,
}

impl Standing {
    /// Whether it is an answer to what the source asks, and so one to keep for the next start.
    pub(crate) fn answers(self) -> bool {
        match self {
            Self::Told | Self::Cached => true,
            Self::Inherited { alike } => alike,
            Self::Unheard => false,
        }
    }
}

impl Belief {
    /// Nothing heard yet.
    pub(crate) fn new(name: Arc<str>, backup: bool) -> Self {
        Self {
            name,
            backup,
            held: Arc::default(),
            standing: Standing::Unheard,
            failing: None,
            last_contact: None,
            stale: None,
            remarks: Vec::new(),
            doubted: false,
            empty_since: None,
        }
    }

    /// Whether its endpoints are picked only when no others admit.
    pub(crate) fn is_backup(&self) -> bool {
        self.backup
    }

    /// What it is believed to have said before; nothing when it has said something since.
    pub(crate) fn restore(&mut self, mut endpoints: Vec<Found>) {
        if self.standing == Standing::Unheard && !endpoints.is_empty() {
            by_address(&mut endpoints);
            self.held = endpoints.into();
            self.standing = Standing::Cached;
        }
    }

    /// What the source whose place it takes said last, which counts more than what was restored and then stands as
    /// `standing` says; nothing when it has said something itself.
    pub(crate) fn inherit(&mut self, mut endpoints: Vec<Found>, standing: Standing) {
        if self.standing == Standing::Told {
            return;
        }
        self.standing = match (endpoints.is_empty(), self.doubted) {
            (false, _) => standing,
            // It said that there are none, and nothing is left that this could be doubted for.
            (true, true) => Standing::Told,
            (true, false) => Standing::Unheard,
        };
        if endpoints.is_empty() {
            self.doubted = false;
            self.empty_since = None;
        }
        by_address(&mut endpoints);
        self.held = endpoints.into();
    }

    /// It told something.
    pub(crate) fn hear(&mut self, news: News, now: Moment, empty_after: Duration) -> Outcome {
        let mut outcome = Outcome::default();
        let had_told = self.standing == Standing::Told;
        match news {
            News::Unchanged => {
                self.contact(now, &mut outcome.notes);
                outcome.changed = self.believe(now, empty_after, &mut outcome.notes);
            }
            News::Failed(error) => self.fail(error, now, &mut outcome.notes),
            News::Endpoints(listing) => {
                outcome.changed = self.listed(listing, now, empty_after.is_zero(), &mut outcome.notes)
                    || self.believe(now, empty_after, &mut outcome.notes);
            }
        }
        outcome.first = !had_told && self.standing == Standing::Told;
        outcome
    }

    pub(crate) fn endpoints(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn held(&self) -> &Arc<[Found]> {
        &self.held
    }

    /// Since when it has said that there are none, which is not believed yet.
    pub(crate) fn doubted_since(&self) -> Option<Moment> {
        self.empty_since
    }

    /// What a person should know of its last list.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Whether the first answer, or failure, is still out.
    pub(crate) fn is_awaited(&self) -> bool {
        self.last_contact.is_none() && self.failing.is_none()
    }

    fn contact(&mut self, now: Moment, notes: &mut Vec<Note>) {
        self.last_contact = Some(now);
        if let Some((_, since)) = self.failing.take() {
            notes.push(Note::Recovered { after: now.since(since) });
        }
        if self.doubted {
            self.empty_since.get_or_insert(now);
        }
    }

    /// Believes that there are none if the source, which was heard just now, has said so for long enough.
    fn believe(&mut self, now: Moment, empty_after: Duration, notes: &mut Vec<Note>) -> bool {
        if self.empty_since.is_none_or(|since| now < since.after(empty_after)) {
            return false;
        }
        notes.push(Note::Emptied);
        self.doubted = false;
        self.empty_since = None;
        self.standing = Standing::Told;
        self.hold(Vec::new(), notes)
    }

    fn fail(&mut self, error: SourceError, now: Moment, notes: &mut Vec<Note>) {
        // What it would say now nobody knows: an empty list must be said anew, and for as long.
        self.empty_since = None;
        match &mut self.failing {
            Some((before, _)) if *before == error => {}
            Some((before, _)) => {
                *before = error.clone();
                notes.push(Note::Failing(error));
            }
            none => {
                *none = Some((error.clone(), now));
                notes.push(Note::Failing(error));
            }
        }
    }

    fn listed(&mut self, listing: Listing, now: Moment, trusts_empty: bool, notes: &mut Vec<Note>) -> bool {
        let Listing { mut endpoints, stale, remarks } = listing;
        self.contact(now, notes);
        if self.stale.is_some() != stale.is_some() {
            notes.push(stale.clone().map_or(Note::Fresh, Note::Stale));
        }
        self.stale = stale;
        let remarks = legible(remarks);
        notes.extend(remarks.iter().filter(|remark| !self.remarks.contains(remark)).cloned().map(Note::Remark));
        self.remarks = remarks;
        if endpoints.is_empty() && !self.held.is_empty() && !trusts_empty {
            if !self.doubted {
                notes.push(Note::Doubted { kept: self.held.len() });
            }
            self.doubted = true;
            self.empty_since.get_or_insert(now);
            return false;
        }
        self.doubted = false;
        self.empty_since = None;
        self.standing = Standing::Told;
        if self.backup {
            for found in &mut endpoints {
                found.tier = Tier::BACKUP;
            }
        }
        by_address(&mut endpoints);
        self.hold(endpoints, notes)
    }

    fn hold(&mut self, endpoints: Vec<Found>, notes: &mut Vec<Note>) -> bool {
        if *endpoints == *self.held {
            return false;
        }
        let is_in = |list: &[Found], found: &Found| list.binary_search_by_key(&found.address, |it| it.address).is_ok();
        let added = endpoints.iter().filter(|found| !is_in(&self.held, found)).count();
        let removed = self.held.iter().filter(|found| !is_in(&endpoints, found)).count();
        notes.push(Note::Changed { endpoints: endpoints.len(), added, removed });
        self.held = endpoints.into();
        true
    }
}

/// A few, each a short line: they hold names from elsewhere, and go into logs and answers.
fn legible(mut remarks: Vec<String>) -> Vec<String> {
    let more = remarks.len().saturating_sub(REMARKS);
    remarks.truncate(REMARKS);
    for remark in &mut remarks {
        if remark.contains(char::is_control) {
            *remark = remark.replace(char::is_control, " ");
        }
        if let Some((end, _)) = remark.char_indices().nth(LETTERS) {
            remark.truncate(end);
            remark.push('…');
        }
    }
    remarks.extend((more > 0).then(|| format!("and {more} more such remarks")));
    remarks
}

/// Sorts by address and leaves one for each: the first.
fn by_address(endpoints: &mut Vec<Found>) {
    endpoints.sort_by_key(|found| found.address);
    endpoints.dedup_by_key(|found| found.address);
}

impl Membership {
    /// What is written, and what is believed of the sources. `had_endpoints` says whether there was one before.
    pub(crate) fn of(fixed: Arc<[Found]>, empty_after: Duration, sources: Vec<Belief>, had_endpoints: bool) -> Self {
        let had_endpoints = had_endpoints || !fixed.is_empty() || sources.iter().any(|source| !source.held.is_empty());
        Self { fixed, empty_after, sources, had_endpoints }
    }

    /// A source told something.
    pub(crate) fn hear(&mut self, source: usize, news: News, now: Moment) -> Outcome {
        let Some(belief) = self.sources.get_mut(source) else { return Outcome::default() };
        let outcome = belief.hear(news, now, self.empty_after);
        self.had_endpoints |= !belief.held.is_empty();
        outcome
    }

    /// All endpoints: the fixed ones in the order written, the others by address. At most [`Endpoints::MAX`].
    pub(crate) fn endpoints(&self) -> Arc<[Found]> {
        if self.sources.is_empty() {
            return Arc::clone(&self.fixed);
        }
        let mut found: Vec<Found> = self.sources.iter().flat_map(|source| source.held.iter().copied()).collect();
        found.sort_by_key(|found| (found.address, found.tier));
        found.dedup_by_key(|found| found.address);
        let mut all = self.fixed.to_vec();
        let places: HashMap<SocketAddr, usize> =
            all.iter().enumerate().map(|(index, found)| (found.address, index)).collect();
        for found in found {
            match places.get(&found.address).and_then(|&index| all.get_mut(index)) {
                // Who wrote that it is drained is obeyed, whatever a source says of it.
                Some(fixed) if found.tier < fixed.tier => {
                    *fixed = Found { drained: found.drained | fixed.drained, ..found }
                }
                Some(_) => {}
                None => all.push(found),
            }
        }
        all.truncate(Endpoints::MAX);
        all.into()
    }

    /// Whether there ever was an endpoint, of before the start too.
    pub(crate) fn had_endpoints(&self) -> bool {
        self.had_endpoints
    }

    pub(crate) fn sources(&self) -> &[Belief] {
        &self.sources
    }
}

#[cfg(test)]
mod tests;
