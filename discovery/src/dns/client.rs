//! Whom to ask, and in which order.
//!
//! In: resolvers, by configuration or by the system's `resolv.conf`, which is read anew for every round. Out: answers.
//! Cost: a clone is a pointer; share one among all watches, then questions under way together are asked once.
//! The resolver that answered last is asked first, so that a dead one costs its time once and not at every question.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU8;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hickory_resolver::proto::rr::Name as WireName;
use tokio::time::Instant;

use super::answer::{Answer, Kind, Nothing, Question, What};
use super::error::{DnsError, Fault};
use super::name::{DomainName, shown};
use super::resolver::Resolver;
use super::system::{ResolvConf, hosts};

/// Default time for one question to one resolver. Enough for a resolver that asks others in turn.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Default number of times that each resolver is asked.
const ATTEMPTS: NonZeroU8 = NonZeroU8::MIN.saturating_add(1);
/// Default time for a round: all questions about one name, all resolvers.
const DEADLINE: Duration = Duration::from_secs(10);
/// The longest deadline that makes sense; more could overflow a clock.
const LONGEST: Duration = Duration::from_hours(1);
/// Seconds after which the `hosts` file is looked at again.
const HOSTS_TTL: u32 = 10;
/// The most that is read of a system's file.
const MOST_BYTES: u64 = 4 << 20;

/// How to resolve names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whom to ask.
    pub resolvers: Resolvers,
    /// For one question to one resolver, at most three quarters of `deadline`. Over TCP, after UDP, it is up to a quarter
    /// more.
    pub timeout: Duration,
    /// How often each resolver is asked, as long as none answers.
    pub attempts: NonZeroU8,
    /// For all questions about one name, at most an hour.
    pub deadline: Duration,
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolvers {
    /// These, in this order.
    List {
        /// Where they listen.
        addresses: Vec<SocketAddr>,
        /// What is appended to a name of one label, in this order; a name with a dot is tried as it is first.
        search: Vec<DomainName>,
    },
    /// Those of the system, with its search list; names in its hosts file are not asked for.
    System {
        /// Commonly `/etc/resolv.conf`.
        resolv_conf: PathBuf,
        /// Commonly `/etc/hosts`.
        hosts: PathBuf,
    },
}

impl Options {
    /// Asks whom the system asks.
    pub fn system() -> Self {
        let resolvers = Resolvers::System { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into() };
        Self { resolvers, timeout: TIMEOUT, attempts: ATTEMPTS, deadline: DEADLINE }
    }

    /// Asks these, and appends nothing to names.
    pub fn list(addresses: Vec<SocketAddr>) -> Self {
        Self { resolvers: Resolvers::List { addresses, search: Vec::new() }, ..Self::system() }
    }
}

/// Asks resolvers.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// A client as long as somebody else has it.
#[derive(Clone)]
pub(crate) struct WeakClient(Weak<Inner>);

struct Inner {
    options: Options,
    current: Mutex<Option<Arc<Setup>>>,
}

/// What was made of one state of the configuration.
struct Setup {
    /// The text it was made of; empty for a list.
    text: String,
    resolvers: Vec<Resolver>,
    search: Vec<DomainName>,
    ndots: usize,
    hosts: HashMap<String, Vec<IpAddr>>,
    /// Index of the resolver that is asked first.
    first: AtomicUsize,
}

/// What a round asks: the client, or a script.
pub(crate) trait Line: Send + Sync {
    /// Begins a round: the names that `name` may mean, in the order in which they are tried.
    fn candidates(&self, name: &DomainName) -> impl Future<Output = Result<Vec<WireName>, DnsError>> + Send;
    /// Asks until `until` at most.
    fn ask(&self, question: &Question, until: Instant) -> impl Future<Output = Result<Answer, DnsError>> + Send;
    /// What a round may take.
    fn deadline(&self) -> Duration;
}

impl Client {
    /// Nothing is read or asked yet: a configuration that names nobody is told by the first round.
    pub fn new(mut options: Options) -> Self {
        options.deadline = options.deadline.min(LONGEST);
        // Else the deadline would cut off the first question, and with it leave a dead connection in use.
        options.timeout = options.timeout.min(options.deadline * 3 / 4);
        Self(Arc::new(Inner { options, current: Mutex::new(None) }))
    }

    pub(crate) fn downgrade(&self) -> WeakClient {
        WeakClient(Arc::downgrade(&self.0))
    }

    fn current(&self) -> Option<Arc<Setup>> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh(&self) -> Result<Arc<Setup>, DnsError> {
        let known = self.current();
        let (text, made) = match &self.0.options.resolvers {
            Resolvers::List { addresses, search } => {
                if let Some(known) = known {
                    return Ok(known);
                }
                (String::new(), Setup::new(addresses, search.clone(), 1, HashMap::new(), self.0.options.timeout))
            }
            Resolvers::System { resolv_conf, hosts: path } => {
                let text = match read(resolv_conf).await {
                    Ok(text) => text,
                    // It is being replaced, perhaps. What it said before still holds.
                    Err(why) => return known.ok_or(DnsError::Unreadable { path: resolv_conf.clone(), why }),
                };
                // Having no hosts file is not a fault.
                let names = read(path).await.unwrap_or_default();
                let both = format!("{text}\0{names}");
                if let Some(known) = known.filter(|known| known.text == both) {
                    return Ok(known);
                }
                let conf = ResolvConf::parse(&text);
                let ResolvConf { resolvers, search, ndots } = conf;
                (both, Setup::new(&resolvers, search, ndots, hosts(&names), self.0.options.timeout))
            }
        };
        let made = Arc::new(Setup { text, ..made });
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.clone());
        Ok(made)
    }
}

impl WeakClient {
    pub(crate) fn upgrade(&self) -> Option<Client> {
        self.0.upgrade().map(Client)
    }
}

impl Setup {
    fn new(
        addresses: &[SocketAddr],
        search: Vec<DomainName>,
        ndots: usize,
        hosts: HashMap<String, Vec<IpAddr>>,
        limit: Duration,
    ) -> Self {
        let resolvers = addresses.iter().filter_map(|address| match Resolver::new(*address, limit) {
            Ok(resolver) => Some(resolver),
            Err(fault) => {
                tracing::error!(%address, "no resolver can be made: {fault}");
                None
            }
        });
        Self { text: String::new(), resolvers: resolvers.collect(), search, ndots, hosts, first: AtomicUsize::new(0) }
    }

    /// What needs no resolver: `localhost`, and what the hosts file names.
    fn local(&self, question: &Question) -> Option<Answer> {
        let name = shown(&question.name).to_ascii_lowercase();
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let known = match self.hosts.get(&name) {
            Some(known) => known.as_slice(),
            // RFC 6761 §6.3: no resolver is to be asked for it.
            None if name == "localhost" || name.ends_with(".localhost") => &loopback,
            None => return None,
        };
        let of_kind = |ip: &&IpAddr| match question.kind {
            Kind::A => ip.is_ipv4(),
            Kind::Aaaa => ip.is_ipv6(),
            Kind::Srv => false,
        };
        let found: Vec<_> = known.iter().filter(of_kind).copied().collect();
        Some(if found.is_empty() {
            Answer::nothing(Nothing::NoRecord, Some(HOSTS_TTL))
        } else {
            Answer { what: What::Addresses(found), ttl: Some(HOSTS_TTL), beside: Vec::new() }
        })
    }

    async fn ask(&self, question: &Question, until: Instant, options: &Options) -> Result<Answer, DnsError> {
        let mut tries: Vec<(SocketAddr, Fault)> = Vec::new();
        let mut hopeless = vec![false; self.resolvers.len()];
        for _ in 0..options.attempts.get() {
            let first = self.first.load(Ordering::Relaxed);
            for step in 0..self.resolvers.len() {
                let index = (first + step) % self.resolvers.len();
                let (Some(resolver), Some(hopeless)) = (self.resolvers.get(index), hopeless.get_mut(index)) else {
                    continue;
                };
                let left = until.saturating_duration_since(now());
                if *hopeless || left.is_zero() {
                    continue;
                }
                match resolver.ask(question, left.min(options.timeout + options.timeout / 4)).await {
                    Ok(answer) => {
                        // Relaxed, because it is a hint: whoever is asked first, all are asked.
                        self.first.store(index, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(fault) => {
                        *hopeless = !fault.may_pass();
                        // One line per resolver: the last thing that it did.
                        tries.retain(|(address, _)| *address != resolver.address());
                        tries.push((resolver.address(), fault));
                    }
                }
            }
        }
        let question = question.to_string();
        if tries.is_empty() {
            return Err(DnsError::NoTime { question, limit: options.deadline });
        }
        Err(DnsError::NoAnswer { question, tries })
    }
}

impl Line for Client {
    async fn candidates(&self, name: &DomainName) -> Result<Vec<WireName>, DnsError> {
        let setup = self.refresh().await?;
        let names = candidates(name, &setup.search, setup.ndots);
        let needed = || names.iter().any(|name| setup.local(&Question { name: name.clone(), kind: Kind::A }).is_none());
        if setup.resolvers.is_empty() && needed() {
            let path = match &self.0.options.resolvers {
                Resolvers::List { .. } => None,
                Resolvers::System { resolv_conf, .. } => Some(resolv_conf.clone()),
            };
            return Err(DnsError::NoResolver { name: name.clone(), path });
        }
        Ok(names)
    }

    async fn ask(&self, question: &Question, until: Instant) -> Result<Answer, DnsError> {
        let setup = match self.current() {
            Some(setup) => setup,
            None => self.refresh().await?,
        };
        match setup.local(question) {
            Some(answer) => Ok(answer),
            None => setup.ask(question, until, &self.0.options).await,
        }
    }

    fn deadline(&self) -> Duration {
        self.0.options.deadline
    }
}

/// The names that a name may mean, as resolv.conf(5) has it.
fn candidates(name: &DomainName, search: &[DomainName], ndots: usize) -> Vec<WireName> {
    let bare = name.wire().clone();
    if name.is_absolute() || search.is_empty() {
        return vec![bare];
    }
    // What becomes too long is no name.
    let joined = search.iter().filter_map(|domain| {
        let mut relative = bare.clone();
        relative.set_fqdn(false);
        let mut joined = relative.append_domain(domain.wire()).ok()?;
        joined.set_fqdn(true);
        Some(joined)
    });
    let mut all: Vec<_> = joined.collect();
    all.insert(if name.dots() >= ndots { 0 } else { all.len() }, bare);
    all
}

async fn read(path: &Path) -> Result<String, String> {
    use tokio::io::AsyncReadExt;
    let read = async {
        let mut bytes = Vec::new();
        tokio::fs::File::open(path).await?.take(MOST_BYTES).read_to_end(&mut bytes).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read.await.map_err(|error: std::io::Error| error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "deadlines of sockets are in tokio's time; nothing is measured here")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_enough_dots_is_tried_as_it_is_first_and_an_absolute_one_alone() {
        let search: Vec<DomainName> =
            ["default.svc.cluster.local", "cluster.local"].map(|domain| domain.parse().unwrap()).into();
        for (name, ndots, wanted) in [
            ("optimizer", 1, &["optimizer.default.svc.cluster.local.", "optimizer.cluster.local.", "optimizer."][..]),
            ("a.b", 1, &["a.b.", "a.b.default.svc.cluster.local.", "a.b.cluster.local."]),
            ("a.b", 5, &["a.b.default.svc.cluster.local.", "a.b.cluster.local.", "a.b."]),
            ("a.b.", 5, &["a.b."]),
        ] {
            let names: Vec<_> =
                candidates(&name.parse().unwrap(), &search, ndots).iter().map(WireName::to_ascii).collect();
            assert_eq!(names, wanted, "{name} {ndots}");
        }
    }
}
