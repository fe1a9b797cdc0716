//! What a configuration asks of the sources, beside what runs already.
//!
//! In: a configuration and, unless weir starts, the one that runs. Out: new sources, opened, and a [`Plan`] that becomes
//! the next memberships once those have answered. Nothing that runs is touched before.
//! A source goes on as it is when its service has the same name and `empty_after` and it is configured the same to the
//! letter. One whose settings changed is another one; until it answers, its service keeps what the one in its place said
//! last: an agent that is away just then must not empty a service.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::Hasher as _;
use std::sync::Arc;

use weir_config::{Config, Service, SourceKind};
use weir_snapshot::Moment;

use super::DiscoveryError;
use super::memberships::{Known, Memberships, say};
use super::sources::{Numbers, Order, SourceId};
use crate::assemble::fixed;
use crate::cache::Cache;
use crate::membership::{Belief, Membership, Outcome, Standing};
use crate::source::{Kind, Opener};
use crate::{Found, News, Tier, observe};

/// A source and its name.
pub(super) type Named = (SourceId, Arc<str>);

/// What runs already: a configuration, and for each of its services the sources with their names.
pub(super) struct Running {
    pub(super) config: Arc<Config>,
    pub(super) sources: Vec<Vec<Named>>,
}

/// What is needed to open sources, on a thread that may block.
pub(super) struct Opening {
    pub(super) config: Arc<Config>,
    pub(super) running: Option<Running>,
    pub(super) opener: Opener,
    pub(super) numbers: Numbers,
    pub(super) cache: Option<Cache>,
}

/// New sources that nobody follows yet.
pub(super) struct Opened {
    pub(super) plan: Plan,
    pub(super) sources: Vec<(Order, Kind)>,
    pub(super) opener: Opener,
    pub(super) numbers: Numbers,
}

/// The memberships to be.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) config: Arc<Config>,
    /// The sources of each service.
    services: Vec<Vec<SourceId>>,
    new: HashMap<SourceId, New>,
}

/// A source that nothing is published of yet.
#[derive(Debug)]
struct New {
    service: Arc<str>,
    belief: Belief,
    empty_after: std::time::Duration,
    /// Whose place it takes, and whether that one is asked the same.
    replaces: Option<(SourceId, bool)>,
}

impl Opening {
    /// Opens every source that does not run yet. Blocks on files.
    ///
    /// # Errors
    /// Why each source that cannot be set up cannot.
    pub(super) fn open(mut self) -> Result<Opened, Vec<DiscoveryError>> {
        let config = Arc::clone(&self.config);
        let before = self.running.take();
        let by_name: HashMap<&str, usize> = before
            .iter()
            .flat_map(|before| before.config.services.iter().enumerate())
            .map(|(index, service)| (&*service.name, index))
            .collect();
        let mut opened = Vec::new();
        let mut errors = Vec::new();
        let mut plan = Plan { config: Arc::clone(&config), services: Vec::new(), new: HashMap::new() };
        for service in &config.services {
            let old = by_name.get(&*service.name).zip(before.as_ref()).and_then(|(&index, before)| {
                let (settings, sources) = (before.config.services.get(index)?, before.sources.get(index)?);
                Some((settings, &**sources))
            });
            match self.open_all(service, old, &mut plan) {
                Ok(sources) => opened.extend(sources),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let Self { opener, numbers, .. } = self;
        Ok(Opened { plan, sources: opened, opener, numbers })
    }

    fn open_all(
        &mut self,
        service: &Service,
        old: Option<(&Service, &[Named])>,
        plan: &mut Plan,
    ) -> Result<Vec<(Order, Kind)>, DiscoveryError> {
        let empty_after = service.empty_after.duration();
        let mut rest: Vec<_> = match old {
            Some((settings, sources)) => settings.sources.iter().zip(sources).collect(),
            None => Vec::new(),
        };
        let same_doubt = old.is_some_and(|(settings, _)| settings.empty_after == service.empty_after);
        // First those that are asked as before, so that no new one takes the name or the place of one of them.
        let alike: Vec<Option<&Named>> = service
            .sources
            .iter()
            .map(|wanted| Some(rest.remove(rest.iter().position(|(settings, _)| *settings == wanted)?).1))
            .collect();
        let mut names: Vec<(Arc<str>, bool)> = Vec::new();
        if same_doubt {
            names.extend(alike.iter().flatten().map(|(_, name)| (Arc::clone(name), false)));
        }
        let mut ids = Vec::new();
        let mut opened = Vec::new();
        for (wanted, alike) in service.sources.iter().zip(alike) {
            if let Some((id, _)) = alike.filter(|_| same_doubt) {
                ids.push(*id);
                continue;
            }
            let source = self.opener.open(&wanted.kind, &names, empty_after).map_err(|error| {
                let (service, kind) = (service.name.clone(), kind(&wanted.kind));
                DiscoveryError::Source { service, kind, source: error }
            })?;
            names.push((Arc::clone(&source.name), wanted.backup));
            let replaces = alike.map(|(id, _)| (*id, true)).or_else(|| {
                let place = rest.iter().position(|(settings, _)| kind(&settings.kind) == kind(&wanted.kind))?;
                Some((rest.remove(place).1.0, false))
            });
            let id = self.numbers.next();
            let belief = Belief::new(source.name, wanted.backup);
            plan.new.insert(id, New { service: (&*service.name).into(), belief, empty_after, replaces });
            opened.push((Order { id, settings: wanted.kind.clone(), empty_after }, source.kind));
            ids.push(id);
        }
        if let Some(cache) = self.cache.as_ref().filter(|_| !opened.is_empty()) {
            restore(cache, service, &ids, plan);
        }
        plan.services.push(ids);
        Ok(opened)
    }
}

/// What the new sources of the service said in an earlier life.
fn restore(cache: &Cache, service: &Service, ids: &[SourceId], plan: &mut Plan) {
    for (kept, endpoints) in cache.load(&service.name) {
        let known = ids
            .iter()
            .zip(&service.sources)
            .find(|(id, settings)| plan.new.get(*id).is_some_and(|new| kept_as(&new.belief.name, settings) == kept));
        if let Some(new) = known.and_then(|(id, _)| plan.new.get_mut(id)) {
            new.belief.restore(endpoints);
        }
    }
}

impl Plan {
    /// Lets each new source hold what the one whose place it takes said last, until it says otherwise itself: if that is
    /// that there are none, it is doubted like any other that says so. Again whenever the old ones may have said more.
    pub(super) fn inherit(&mut self, before: &Memberships) {
        for new in self.new.values_mut() {
            let Some((old, alike)) = new.replaces else { continue };
            if let Some(old) = before.belief(old) {
                new.belief.take_over(old, alike);
            }
        }
    }

    /// Whether the first answer, or failure, of one of the new sources is still out.
    pub(super) fn is_awaited(&self) -> bool {
        self.new.values().any(|new| new.belief.is_awaited())
    }

    /// The new sources that have not answered, as `service: source`.
    pub(super) fn unanswered(&self) -> Vec<String> {
        let silent = self.new.values().filter(|new| new.belief.last_contact.is_none());
        let mut silent: Vec<_> = silent.map(|new| format!("service `{}`, {}", new.service, new.belief.name)).collect();
        silent.sort_unstable();
        silent
    }

    /// A new source told something; what one told that is none of these is nothing.
    pub(super) fn hear(&mut self, id: SourceId, news: News, now: Moment) {
        let Some(new) = self.new.get_mut(&id) else { return };
        observe::news(&new.service, &new.belief.name, &news);
        let Outcome { notes, .. } = new.belief.hear(news, now, new.empty_after);
        for note in notes {
            say(&new.service, &new.belief.name, note);
        }
    }

    /// The memberships that follow, with what is believed of the sources that go on, and the services whose sources are
    /// not those of before or whose change was still to be published.
    pub(super) fn carry_out(mut self, before: &Memberships) -> (Memberships, Vec<usize>) {
        let routed: HashSet<&str> = self.config.routes.iter().map(|route| &*route.service).collect();
        let mut touched = Vec::new();
        let mut services = Vec::with_capacity(self.services.len());
        for (index, (settings, ids)) in self.config.services.iter().zip(self.services).enumerate() {
            let old = before.get(&settings.name);
            let beliefs: Vec<Belief> = ids
                .iter()
                .filter_map(|id| match self.new.remove(id) {
                    Some(new) => Some(new.belief),
                    None => before.belief(*id).cloned(),
                })
                .collect();
            let differs = old.is_none_or(|old| old.ids != ids) || before.awaits_publishing(&settings.name);
            if differs && !ids.is_empty() {
                touched.push(index);
            }
            let written = fixed(settings);
            let had = old.is_some_and(|old| old.membership.had_endpoints());
            let membership = Membership::of(written, settings.empty_after.duration(), beliefs, had);
            let found: Arc<[Found]> = membership.endpoints();
            // The same list as before is the same memory, so that nobody compares it again.
            let found = old.map(|old| Arc::clone(&old.found)).filter(|old| *old == found).unwrap_or(found);
            let name = old.map_or_else(|| (&*settings.name).into(), |old| Arc::clone(&old.name));
            services.push(Known { name, routed: routed.contains(&*settings.name), membership, ids, found });
        }
        (Memberships::new(services), touched)
    }
}

impl Belief {
    fn take_over(&mut self, old: &Self, alike: bool) {
        if old.standing == Standing::Unheard {
            return;
        }
        let mut endpoints = old.held().to_vec();
        if self.is_backup() != old.is_backup() {
            let tier = if self.is_backup() { Tier::BACKUP } else { Tier::PRIMARY };
            for found in &mut endpoints {
                found.tier = tier;
            }
        }
        let standing = match old.standing {
            Standing::Cached if alike => Standing::Cached,
            standing => Standing::Inherited { alike: alike && standing.answers() },
        };
        self.inherit(endpoints, standing);
    }
}

/// What the endpoints of a source are kept under: its name, and a number that is another one for other settings.
pub(super) fn kept_as(name: &str, settings: &weir_config::Source) -> Arc<str> {
    let mut hasher = DefaultHasher::new();
    // All of them, whatever is added; another spelling after an update costs one start without.
    hasher.write(format!("{settings:?}").as_bytes());
    format!("{name} {:016x}", hasher.finish()).into()
}

/// The key that a source is configured by.
fn kind(kind: &SourceKind) -> &'static str {
    match kind {
        SourceKind::Consul(_) => "consul",
        SourceKind::Dns(_) => "dns",
        SourceKind::File(_) => "file",
    }
}
