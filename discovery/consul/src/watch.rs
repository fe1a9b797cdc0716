//! One service, watched by blocking queries.
//!
//! In: what to watch. Out: [`Event`]s, for ever. Cost: one connection and one request per wait; a list larger than
//! [`INLINE`] is read on a blocking thread, off the caller's.
//! What an empty list means is not judged here: Consul also answers `[]` to a query without the token it needs.

use std::num::NonZeroU64;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::{Instant, sleep_until};
use xxhash_rust::xxh3::xxh3_128;

use crate::client::{Answer, Ask, Client, Session};
use crate::instance::{Instance, Status};
use crate::pace::{News, Pace};
use crate::text::encoded;
use crate::wire::{self, Listed};
use crate::{Address, ConsulError};

/// Default wait: a query a minute costs an agent nothing, and a frozen one is found out a good minute later.
const WAIT: Duration = Duration::from_mins(1);
/// Default slack. Above the 7 s for which an agent holds a query without a leader before it says so.
const SLACK: Duration = Duration::from_secs(10);
/// What a `?stale` query has at most: any server answers it from memory, in a millisecond.
const STALE_LIMIT: Duration = Duration::from_secs(2);
/// How long a list that is older than what was told must stay the only one before it is told after all. A leader just
/// elected answers from before its last entries for some milliseconds; an agent that lost its memory, for good.
const SETTLE: Duration = Duration::from_secs(1);
/// Default bound of an answer: some 50,000 instances.
const MOST_BYTES: usize = 64 << 20;
/// Bytes that are read on the caller's thread: about a millisecond.
const INLINE: usize = 256 << 10;

/// What to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The name of the service.
    pub service: Box<str>,
    /// Which of its instances.
    pub include: Include,
    /// Only instances with all of these tags.
    pub tags: Vec<Box<str>>,
    /// Only instances for which this expression is true, in Consul's own language.
    pub filter: Option<Box<str>>,
    /// How long a query waits for a change, before Consul adds up to a sixteenth: above zero; Consul makes 10 min of more.
    pub wait: Duration,
    /// What the exchange may take beyond that; and in all when it does not wait.
    pub slack: Duration,
    /// Most bytes of an answer.
    pub most_bytes: usize,
}

/// Which instances are listed, by what their checks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Include {
    /// Those whose checks all pass.
    #[default]
    Passing,
    /// Those that pass or warn.
    Warning,
    /// All, critical and in maintenance too.
    All,
}

impl Query {
    /// Passing instances of `service`, whatever their tags, with waits of a minute.
    pub fn new(service: impl Into<Box<str>>) -> Self {
        Self {
            service: service.into(),
            include: Include::default(),
            tags: Vec::new(),
            filter: None,
            wait: WAIT,
            slack: SLACK,
            most_bytes: MOST_BYTES,
        }
    }
}

/// What a watch tells.
#[derive(Debug)]
pub enum Event {
    /// The instances there are: a first list, a changed one, the first after a failure, or a stale one.
    Update(Update),
    /// The agent answered, and nothing has changed.
    Unchanged,
    /// There is no answer that is newer than what was told. The watch goes on, after a pause; what was told before is the best that is known.
    Failed(ConsulError),
}

/// A whole list.
#[derive(Debug)]
pub struct Update {
    /// All of them, in Consul's order, which means nothing. It may be empty.
    pub instances: Vec<Instance>,
    /// Ids of instances left out because they have no port, or no address.
    pub unusable: Vec<Box<str>>,
    /// Consul's index of this state; 0 when it gave none.
    pub index: u64,
    /// Whether Consul says that the token hid some. Only versions from 1.11 on say so.
    pub filtered_by_token: bool,
    /// How old the list may be; `None` when the leader vouches for it.
    pub stale: Option<Stale>,
}

/// Why a list may be old: it is what a server other than the leader remembers.
#[derive(Debug)]
pub struct Stale {
    /// Since that server heard of the leader.
    pub last_contact: Duration,
    /// Whether it knows of a leader at all.
    pub known_leader: bool,
    /// Why the leader was not asked, or did not answer.
    pub because: ConsulError,
}

/// A watch on one service. Nothing is asked until [`Watch::next`].
#[derive(Debug)]
pub struct Watch(Course<Session>);

impl Watch {
    /// `seed` spreads the pauses after errors: different for each process and service.
    pub fn new(client: &Client, query: Query, seed: u64) -> Self {
        let path = path(client, &query);
        Self(Course::new(client.session(), client.address().clone(), query, path, seed))
    }

    /// How long the queries after this one wait for a change: above zero.
    pub fn wait(&mut self, wait: Duration) {
        self.0.query.wait = wait;
    }

    /// The next thing to tell: at once the first time, then when something changes, at the latest after the wait.
    ///
    /// May be dropped and called again: a pause goes on where it was, a query is asked anew.
    pub async fn next(&mut self) -> Event {
        self.0.next().await
    }
}

fn path(client: &Client, query: &Query) -> String {
    let mut parts = client.scope(true);
    if query.include == Include::Passing {
        parts.push("passing".to_owned());
    }
    parts.extend(query.tags.iter().map(|tag| format!("tag={}", encoded(tag))));
    parts.extend(query.filter.iter().map(|filter| format!("filter={}", encoded(filter))));
    format!("/v1/health/service/{}?{}", encoded(&query.service), parts.join("&"))
}

/// What a course asks over: a session, or a script.
trait Line {
    /// Whether the next question reaches the same process as the one before.
    async fn is_open(&mut self) -> bool;
    /// Any status is an answer.
    async fn ask(&mut self, ask: Ask) -> Result<Answer, ConsulError>;
    /// What a status other than 200 means.
    fn refusal(&self, answer: &Answer) -> ConsulError;
}

impl Line for Session {
    async fn is_open(&mut self) -> bool {
        Session::is_open(self).await
    }

    async fn ask(&mut self, ask: Ask) -> Result<Answer, ConsulError> {
        self.exchange(ask).await
    }

    fn refusal(&self, answer: &Answer) -> ConsulError {
        self.client().refusal(answer)
    }
}

#[derive(Debug)]
struct Course<L> {
    line: L,
    address: Address,
    query: Query,
    path: String,
    pace: Pace,
    start: Instant,
    /// Digest of the list that was told last, when the leader vouched for it and no failure was told since.
    known: Option<u128>,
    /// Index of the list that was told last.
    told: u64,
    /// Since when only lists with a lower index have come.
    doubted: Option<Duration>,
}

impl<L: Line> Course<L> {
    fn new(line: L, address: Address, query: Query, path: String, seed: u64) -> Self {
        Self { line, address, query, path, pace: Pace::new(seed), start: now(), known: None, told: 0, doubted: None }
    }

    fn now(&self) -> Duration {
        now().saturating_duration_since(self.start)
    }

    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.step().await {
                return event;
            }
        }
    }

    /// One query; `None` when it brought a list that must not be told yet.
    async fn step(&mut self) -> Option<Event> {
        let due = self.pace.next(self.now());
        if due > self.now() {
            sleep_until(self.start + due).await;
        }
        if !self.line.is_open().await {
            self.pace.reconnects();
        }
        let started = self.now();
        let index = self.pace.started(started);
        let answer = match self.ask(index, false).await {
            Ok(answer) => answer,
            Err(error) => return Some(self.fail(error).await),
        };
        if self.doubts(answer_index(&answer)) {
            self.pace.doubted(self.now());
            return None;
        }
        let digest = xxh3_128(&answer.body);
        let waited = index.is_some() && self.now().saturating_sub(started) >= self.query.wait;
        let news = match (self.known == Some(digest), waited) {
            (false, _) => News::Changed,
            (true, true) => News::WaitedInVain,
            (true, false) => News::Early,
        };
        if news != News::Changed {
            self.pace.answered(self.now(), answer_index(&answer), news);
            return Some(Event::Unchanged);
        }
        Some(match self.update(answer, None).await {
            Ok(update) => {
                self.pace.answered(self.now(), Some(update.index), news);
                (self.known, self.told, self.doubted) = (Some(digest), update.index, None);
                Event::Update(update)
            }
            Err(error) => self.fail(error).await,
        })
    }

    /// Whether a list with this index is older than what was told, and not yet the only one for long.
    fn doubts(&mut self, index: Option<u64>) -> bool {
        let now = self.now();
        if index.is_none_or(|index| index == 0 || index >= self.told) {
            self.doubted = None;
            return false;
        }
        let since = *self.doubted.get_or_insert(now);
        now.saturating_sub(since) < SETTLE
    }

    /// A failed question: whatever server is there may remember, if that can be the reason.
    async fn fail(&mut self, error: ConsulError) -> Event {
        self.known = None;
        // Lists that came before a failure say nothing of how long the next old one has been the only one.
        self.doubted = None;
        self.pace.failed(self.now());
        if !error.stale_may_help() {
            return Event::Failed(error);
        }
        let Ok(answer) = self.ask(None, true).await else { return Event::Failed(error) };
        // A server that never heard of the leader's last words remembers less than was told: an instance that has just
        // registered would vanish, or all of them, from a server that has just started.
        if answer_index(&answer).unwrap_or(0) < self.told {
            return Event::Failed(error);
        }
        let stale = Stale {
            last_contact: Duration::from_millis(number(&answer.headers, "x-consul-lastcontact").unwrap_or(0)),
            known_leader: answer.headers.get("x-consul-knownleader").is_some_and(|known| known == "true"),
            because: error,
        };
        match self.update(answer, Some(stale)).await {
            Ok(update) => {
                self.told = update.index;
                Event::Update(update)
            }
            Err(error) => Event::Failed(error),
        }
    }

    async fn ask(&mut self, index: Option<NonZeroU64>, stale: bool) -> Result<Answer, ConsulError> {
        let Query { wait, slack, most_bytes, .. } = self.query;
        let mut path = self.path.clone();
        let mut limit = slack;
        if let Some(index) = index {
            path = format!("{path}&index={index}&wait={}ms", wait.as_millis());
            // Consul spreads the ends of waits by up to a sixteenth.
            limit = wait + wait / 16 + slack;
        }
        if stale {
            path.push_str("&stale");
            limit = limit.min(STALE_LIMIT);
        }
        // With an index it must not reach another process: see `Pace`.
        let again = index.is_none();
        let ask = Ask { method: Method::GET, path, body: Bytes::new(), again, limit, most: most_bytes };
        let answer = self.line.ask(ask).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(self.line.refusal(&answer)) }
    }

    async fn update(&self, answer: Answer, stale: Option<Stale>) -> Result<Update, ConsulError> {
        let index = answer_index(&answer).unwrap_or(0);
        let filtered_by_token =
            answer.headers.get("x-consul-results-filtered-by-acls").is_some_and(|filtered| filtered == "true");
        let Listed { mut instances, unusable } = self.listed(answer.body).await?;
        if self.query.include == Include::Warning {
            instances.retain(|instance| instance.status <= Status::Warning);
        }
        Ok(Update { instances, unusable, index, filtered_by_token, stale })
    }

    async fn listed(&self, body: Bytes) -> Result<Listed, ConsulError> {
        let listed = if body.len() <= INLINE {
            wire::listed(&body).map_err(|error| error.to_string())
        } else {
            match tokio::task::spawn_blocking(move || wire::listed(&body)).await {
                Ok(listed) => listed.map_err(|error| error.to_string()),
                Err(broken) => Err(broken.to_string()),
            }
        };
        listed.map_err(|seen| ConsulError::NotConsul { address: self.address.clone(), seen: seen.into() })
    }
}

fn answer_index(answer: &Answer) -> Option<u64> {
    number(&answer.headers, "x-consul-index")
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[expect(
    clippy::disallowed_methods,
    reason = "this crate knows no `Clock`; time is read here alone, and it is tokio's"
)]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
