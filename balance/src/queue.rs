//! Who is next among the exchanges that wait for an endpoint.
//!
//! In: entries with an arrival, a predicted work, a class, a client and a deadline; then, whenever something is free, the
//! question who takes it. Out: the waiting values, each once: taken, displaced, expired or removed. Pure: moments are
//! arguments, ties go to the earlier push.
//! Cost: push, take, remove and expire are O(log n) each, plus O(log n) for every waiter that a take passes over.
//! Source: the key is arrival plus a multiple of the size, a static form of "highest response ratio next" (Brinch
//! Hansen 1971), so ageing is built in; the shares of clients are weighted fair queueing (Demers, Keshav, Shenker 1989)
//! with a virtual time that advances by work handed out. Laws: `tests/it/queue.rs`.
//!
//! **The order.** Smallest key first, `key = arrival + factor × work + class × handicap`. Factor 0 is first come, first
//! served. A key never changes, so **an entry is overtaken only by entries that arrive less than
//! `factor × work + class × handicap` after it**, as long as its client keeps within its share. Work is believed up to
//! [`Rules::believed`], so that bound is a number: nobody starves.
//!
//! **The shares.** Every take charges the client for the work. A client whose account is more than [`Rules::slack`]
//! ahead of the virtual time stands back until the others caught up; virtual time advances by the work handed out,
//! divided by the clients that wait, so it cannot be held up by newcomers. A client that is alone is never held back,
//! and one with a single request at a time has no account to speak of. When nobody waits all accounts are forgotten.
//!
//! **The places.** A full queue lets the newest of its last class go for an entry of a better one; within a class the client
//! that has most waiting gives up its last place to one that has fewer. So neither a batch nor one client can keep the
//! others out by being there first.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Client, Entry, Nanos, Rules};

/// Names a waiting entry. Good for one queue; worthless once the entry is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    place: Place,
    client: Client,
    deadline: Nanos,
    class: u8,
}

/// The order within a client: by key, and the earlier push of equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    key: u64,
    /// No two have the same, so what comes after it orders nothing.
    number: u64,
    small: bool,
}

/// What somebody says who is asked to take what is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit<R> {
    /// It took it; this is what came of it.
    Takes(R),
    /// Not this one; the next in order may.
    NotThis,
    /// Nothing is free for this one, nor for any other that is not small: ask the small ones.
    OnlySmall,
    /// Nothing is free for anybody: stop asking.
    Nothing,
}

/// An entry was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed<T> {
    /// Its name.
    pub ticket: Ticket,
    /// Who had to go for it, if the queue was full.
    pub displaced: Option<T>,
}

/// The waiting entries.
#[derive(Debug)]
pub struct Queue<T> {
    rules: Rules,
    /// How many may wait for now, if that is less than [`Rules::max`].
    most: usize,
    /// Counts pushes.
    number: u64,
    length: usize,
    /// How many of them are small.
    small: usize,
    /// Clients with entries here.
    clients: u64,
    /// The work that a client within its share has been handed.
    virtual_time: u64,
    accounts: BTreeMap<Client, Account<T>>,
    /// The first place of each client within its share: among its large entries, and among its small ones.
    open: [BTreeSet<(Place, Client)>; 2],
    /// Clients that wait but are ahead of their share.
    ahead: BTreeSet<(u64, Client)>,
    /// Clients that do not wait but are ahead of virtual time.
    idle: BTreeSet<(u64, Client)>,
    deadlines: BTreeMap<(Nanos, u64), (Place, Client)>,
    classes: BTreeMap<(u8, u64), (Place, Client)>,
    /// Clients that wait, by how many entries they have.
    places: BTreeSet<(usize, Client)>,
}

#[derive(Debug)]
struct Account<T> {
    /// The work it has been handed, as virtual time counts it.
    tag: u64,
    /// Large entries, and small ones.
    waiting: [BTreeMap<Place, Waiting<T>>; 2],
}

#[derive(Debug)]
struct Waiting<T> {
    value: T,
    /// Predicted work within the bounds of belief.
    work: u64,
    deadline: Nanos,
    class: u8,
}

impl<T> Queue<T> {
    /// Nobody waits.
    pub const fn new(rules: Rules) -> Self {
        Self {
            rules,
            most: usize::MAX,
            number: 0,
            length: 0,
            small: 0,
            clients: 0,
            virtual_time: 0,
            accounts: BTreeMap::new(),
            open: [const { BTreeSet::new() }; 2],
            ahead: BTreeSet::new(),
            idle: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            classes: BTreeMap::new(),
            places: BTreeSet::new(),
        }
    }

    /// How entries are ordered.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Other rules from now on. Who waits keeps its place, even if there are more than the new most.
    pub fn change(&mut self, rules: Rules) {
        // Who is ahead of its share is so by a slack: another one parts the clients anew.
        let clients: Vec<Client> = self.accounts.keys().copied().collect();
        for &client in &clients {
            self.hide(client);
        }
        self.rules = rules;
        for client in clients {
            self.show(client);
        }
    }

    /// From now on no more than this may wait, even if there are more places. Who waits stays: see [`Queue::trim`].
    pub const fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// Whether a further entry finds no place, or only that of another.
    pub fn is_full(&self) -> bool {
        self.length >= self.most.min(self.rules.max)
    }

    /// How many wait.
    pub const fn len(&self) -> usize {
        self.length
    }

    /// How many of them are small: up to [`Rules::small`] when they came.
    pub const fn small(&self) -> usize {
        self.small
    }

    /// Whether nobody waits.
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The value of an entry that waits still.
    pub fn get(&self, ticket: &Ticket) -> Option<&T> {
        let account = self.accounts.get(&ticket.client)?;
        account.waiting[lane(ticket.place)].get(&ticket.place).map(|waiting| &waiting.value)
    }

    /// Who may wait for longest.
    pub fn most_patient(&self) -> Option<(Ticket, &T)> {
        let (&(deadline, _), &(place, client)) = self.deadlines.last_key_value()?;
        let waiting = self.accounts.get(&client)?.waiting[lane(place)].get(&place)?;
        Some((Ticket { place, client, deadline, class: waiting.class }, &waiting.value))
    }

    /// Everybody who waits, in no particular order, with their names.
    pub fn iter(&self) -> impl Iterator<Item = (Ticket, &T)> {
        self.accounts.iter().flat_map(|(&client, account)| {
            account
                .waiting
                .iter()
                .flatten()
                .map(move |(&place, it)| (Ticket { place, client, deadline: it.deadline, class: it.class }, &it.value))
        })
    }

    /// Lets an entry wait. A full queue lets somebody go for it: the newest entry of the last class, if that comes after
    /// this entry's, or else the last in order of the client that has most waiting, if that leaves it with no fewer than
    /// this entry's client has then, and is no better class. Otherwise it refuses.
    ///
    /// # Errors
    /// The value, when the queue is full.
    pub fn push(&mut self, entry: &Entry, value: T) -> Result<Pushed<T>, T> {
        let mut displaced = None;
        if self.is_full() {
            match self.gives_way(entry) {
                Some((place, client)) => displaced = self.pull(client, place).map(|it| it.value),
                None => return Err(value),
            }
        }
        let small = entry.work <= self.rules.small;
        let place = Place { key: self.rules.key(entry), number: self.number, small };
        self.number += 1;
        let Entry { client, deadline, class, .. } = *entry;
        let waiting = Waiting { value, work: self.rules.believe(entry.work), deadline, class };
        // While it did not wait it gained no claim on what the others were handed.
        self.link(client, place, waiting, self.virtual_time);
        Ok(Pushed { ticket: Ticket { place, client, deadline, class }, displaced })
    }

    /// Asks those who wait, in order, who takes what is free; the one who takes it leaves the queue and its client is
    /// charged. `None` if nobody does.
    pub fn take<R>(&mut self, mut fit: impl FnMut(&mut T) -> Fit<R>) -> Option<(T, R)> {
        let mut passed = Vec::new();
        let mut taken = None;
        let mut only_small = false;
        while let Some((place, client)) = self.first(only_small) {
            let Some(account) = self.accounts.get_mut(&client) else { break };
            let tag = account.tag;
            let Some(waiting) = account.waiting[lane(place)].get_mut(&place) else { break };
            match fit(&mut waiting.value) {
                Fit::Nothing => break,
                // From a small one it would be asked again and again.
                Fit::OnlySmall if only_small || place.small => break,
                Fit::OnlySmall => only_small = true,
                // Out of the way of the next one, and back again below.
                Fit::NotThis => passed.extend(self.pull(client, place).map(|waiting| (client, place, waiting, tag))),
                Fit::Takes(result) => {
                    taken = self.pull(client, place).map(|it| (it, result, client, tag));
                    break;
                }
            }
        }
        for (client, place, waiting, tag) in passed {
            // It never ceased to wait, so it keeps what it is behind the others.
            self.link(client, place, waiting, tag);
        }
        let (waiting, result, client, tag) = taken?;
        self.charge(client, waiting.work, tag);
        self.forgive();
        Some((waiting.value, result))
    }

    /// Lets an entry go: its client left. `None` when it is out already.
    pub fn remove(&mut self, ticket: &Ticket) -> Option<T> {
        let removed = self.pull(ticket.client, ticket.place).map(|waiting| waiting.value);
        self.forgive();
        removed
    }

    /// One entry beyond [`Queue::limit`], the newest of the last class; call it until there is none.
    pub fn trim(&mut self) -> Option<T> {
        if self.length <= self.most {
            return None;
        }
        let (_, &(place, client)) = self.classes.last_key_value()?;
        let trimmed = self.pull(client, place).map(|waiting| waiting.value);
        self.forgive();
        trimmed
    }

    /// One entry whose deadline is `now` or earlier, the earliest deadline first; call it until there is none.
    pub fn expire(&mut self, now: Nanos) -> Option<T> {
        let (&(deadline, _), &(place, client)) = self.deadlines.first_key_value()?;
        if deadline > now {
            return None;
        }
        let expired = self.pull(client, place).map(|waiting| waiting.value);
        self.forgive();
        expired
    }

    /// Tells what an entry that was taken really cost, so that a client gains nothing by understating it for long. Does
    /// nothing while nobody waits.
    pub fn correct(&mut self, client: Client, predicted: Nanos, real: Nanos) {
        if self.length == 0 {
            return;
        }
        let (charged, real) = (self.rules.believe(predicted), real.0.max(self.rules.least.0));
        self.hide(client);
        let now = self.virtual_time;
        let account = self.accounts.entry(client).or_insert_with(|| Account::new(now));
        account.tag = account.tag.saturating_add(real).saturating_sub(charged);
        self.show(client);
    }

    /// Who lets this entry have its place.
    fn gives_way(&self, entry: &Entry) -> Option<(Place, Client)> {
        let (&(class, _), &newest) = self.classes.last_key_value()?;
        if class > entry.class {
            return Some(newest);
        }
        let &(most, client) = self.places.last()?;
        let own = self.accounts.get(&entry.client).map_or(0, Account::len);
        let (place, waiting) = self.accounts.get(&client)?.last()?;
        (most > own + 1 && waiting.class >= entry.class).then_some((place, client))
    }

    /// The first in order: of the clients within their share, or, if there is none, of the one least ahead of it.
    fn first(&self, only_small: bool) -> Option<(Place, Client)> {
        let [large, small] = [0, 1].map(|lane| self.open[lane].first().filter(|_| lane == 1 || !only_small));
        large.into_iter().chain(small).min().copied().or_else(|| {
            self.ahead.iter().find_map(|&(_, client)| Some((self.accounts.get(&client)?.first(only_small)?, client)))
        })
    }

    /// Charges a client, whose account stood at `tag`, for work that it was handed while it and the others wait.
    fn charge(&mut self, client: Client, work: u64, tag: u64) {
        let waits = self.accounts.get(&client).is_some_and(Account::waits);
        let sharing = self.clients + u64::from(!waits);
        let (before, after) = (self.virtual_time, self.virtual_time.saturating_add(work / sharing));
        let within = |tag: u64, now: u64| tag <= now.saturating_add(self.rules.slack.0);
        match self.accounts.get_mut(&client) {
            // It waits and stays within its share: it is where it was.
            Some(it) if waits && within(it.tag, before) && within(it.tag.saturating_add(work), after) => {
                it.tag = it.tag.saturating_add(work);
                self.virtual_time = after;
            }
            _ => {
                self.hide(client);
                let account = self.accounts.entry(client).or_insert_with(|| Account::new(tag));
                account.tag = account.tag.saturating_add(work);
                self.virtual_time = after;
                self.show(client);
            }
        }
        // Nobody within its share: the one least ahead is.
        if let (true, Some(&(tag, _))) = (self.open.iter().all(BTreeSet::is_empty), self.ahead.first()) {
            self.virtual_time = self.virtual_time.max(tag.saturating_sub(self.rules.slack.0));
        }
        while let Some(&(_, client)) = self.ahead.first().filter(|(tag, _)| self.is_open(*tag)) {
            self.hide(client);
            self.show(client);
        }
        while let Some(&(_, client)) = self.idle.first().filter(|(tag, _)| *tag <= self.virtual_time) {
            self.hide(client);
            self.show(client);
        }
    }

    /// Forgets all accounts once nobody waits: then nobody was wronged.
    fn forgive(&mut self) {
        if self.length == 0 {
            self.accounts.clear();
            self.idle.clear();
        }
    }

    const fn is_open(&self, tag: u64) -> bool {
        tag <= self.virtual_time.saturating_add(self.rules.slack.0)
    }

    /// Puts an entry in its place. A client that did not wait begins with an account of `tag` at least.
    fn link(&mut self, client: Client, place: Place, waiting: Waiting<T>, tag: u64) {
        self.deadlines.insert((waiting.deadline, place.number), (place, client));
        self.classes.insert((waiting.class, place.number), (place, client));
        let account = self.accounts.entry(client).or_insert_with(|| Account::new(tag));
        let had = account.len();
        // Behind others of its client it changes nothing about when that is next.
        let leads = account.waiting[lane(place)].first_key_value().is_none_or(|(first, _)| place < *first);
        if leads {
            self.hide(client);
        }
        let Some(account) = self.accounts.get_mut(&client) else { return };
        if had == 0 {
            account.tag = account.tag.max(tag);
            self.clients += 1;
        }
        account.waiting[lane(place)].insert(place, waiting);
        self.places.remove(&(had, client));
        self.places.insert((had + 1, client));
        self.length += 1;
        self.small += usize::from(place.small);
        if leads {
            self.show(client);
        }
    }

    fn pull(&mut self, client: Client, place: Place) -> Option<Waiting<T>> {
        let account = self.accounts.get_mut(&client)?;
        let entries = &mut account.waiting[lane(place)];
        let waiting = entries.remove(&place)?;
        let next = entries.first_key_value().map(|(next, _)| *next);
        let (left, tag) = (account.len(), account.tag);
        // It was the first of its client, and that is within its share.
        let open = &mut self.open[lane(place)];
        if open.remove(&(place, client)) {
            open.extend(next.map(|next| (next, client)));
        }
        self.places.remove(&(left + 1, client));
        if left == 0 {
            self.clients -= 1;
            self.ahead.remove(&(tag, client));
            self.show(client);
        } else {
            self.places.insert((left, client));
        }
        self.length -= 1;
        self.small -= usize::from(place.small);
        self.deadlines.remove(&(waiting.deadline, place.number));
        self.classes.remove(&(waiting.class, place.number));
        Some(waiting)
    }

    /// Takes a client out of the indices, before its account changes.
    fn hide(&mut self, client: Client) {
        let Some(account) = self.accounts.get(&client) else { return };
        for (open, waiting) in self.open.iter_mut().zip(&account.waiting) {
            if let Some((&first, _)) = waiting.first_key_value() {
                open.remove(&(first, client));
            }
        }
        self.ahead.remove(&(account.tag, client));
        self.idle.remove(&(account.tag, client));
    }

    /// Puts a client into the indices where it belongs now, or forgets it.
    fn show(&mut self, client: Client) {
        let Some(account) = self.accounts.get(&client) else { return };
        if !account.waits() {
            if account.tag > self.virtual_time {
                self.idle.insert((account.tag, client));
            } else {
                self.accounts.remove(&client);
            }
        } else if self.is_open(account.tag) {
            for (open, waiting) in self.open.iter_mut().zip(&account.waiting) {
                open.extend(waiting.first_key_value().map(|(&first, _)| (first, client)));
            }
        } else {
            self.ahead.insert((account.tag, client));
        }
    }
}

impl<T> Account<T> {
    const fn new(tag: u64) -> Self {
        Self { tag, waiting: [const { BTreeMap::new() }; 2] }
    }

    fn waits(&self) -> bool {
        self.waiting.iter().any(|lane| !lane.is_empty())
    }

    fn len(&self) -> usize {
        self.waiting.iter().map(BTreeMap::len).sum()
    }

    /// The last in order.
    fn last(&self) -> Option<(Place, &Waiting<T>)> {
        let lasts = self.waiting.iter().filter_map(BTreeMap::last_key_value);
        lasts.max_by_key(|&(&place, _)| place).map(|(&place, waiting)| (place, waiting))
    }

    fn first(&self, only_small: bool) -> Option<Place> {
        let lanes = self.waiting.iter().skip(usize::from(only_small));
        lanes.filter_map(|lane| Some(*lane.first_key_value()?.0)).min()
    }
}

/// Those of its client among which a place is.
fn lane(place: Place) -> usize {
    usize::from(place.small)
}
