//! One round: all questions that one name needs.
//!
//! In: a line to ask over, what was known before. Out: endpoints, for how long they hold, and what is odd about them.
//! Cost: a question per family; for SRV, one more per target and family that the answer did not bring, [`TOGETHER`] at
//! a time.
//! When one part of the answers is missing (one family, the address of one target), what was last known of that part
//! stands in for it: neither does a broken record freeze all others, nor does a lost packet remove an endpoint.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use hickory_resolver::proto::rr::Name as WireName;
use tokio::time::Instant;

use super::answer::{Answer, Kind, LONGEST_CHAIN, Nothing, Question, Service, What};
use super::client::{Line, now};
use super::error::DnsError;
use super::name::{DomainName, shown};
use super::tiers;
use super::watch::{Families, Query, Records};
use crate::source::Found;

/// Targets that are looked up at the same time.
const TOGETHER: usize = 16;

/// What a round brought.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) endpoints: Vec<Found>,
    /// Seconds.
    pub(crate) ttl: Option<u32>,
    /// What a person should know, one sentence each, in a steady order.
    pub(crate) remarks: Vec<String>,
    /// What could not be asked, although the rest could, and the age of the oldest answer that stands in for it.
    pub(crate) missing: Option<(DnsError, Duration)>,
    /// For the next round.
    pub(crate) memory: Memory,
}

/// The last addresses of every name and family of a round.
pub(crate) type Memory = HashMap<Question, Known>;

#[derive(Clone, Debug)]
pub(crate) struct Known {
    addresses: Vec<IpAddr>,
    ttl: Option<u32>,
    nothing: Option<Nothing>,
    since: Instant,
}

pub(crate) async fn gather<L: Line>(line: &L, query: &Query, memory: &Memory) -> Result<Gathered, DnsError> {
    let until = now() + line.deadline();
    let round = Round { line, memory, until, families: query.families };
    let name = match &query.records {
        Records::Addresses { name, .. } => &name.name,
        Records::Services { name } => name,
    };
    let mut first_nothing = None;
    let mut negative = None;
    for candidate in line.candidates(name).await? {
        let mut sum = Sum::default();
        let endpoints = match &query.records {
            Records::Addresses { name, weight, drained, capacity } => {
                let found = round.addresses(&candidate, name.port, &mut sum).await?;
                found
                    .into_iter()
                    .map(|found| Found { weight: *weight, drained: *drained, capacity: *capacity, ..found })
                    .collect()
            }
            Records::Services { .. } => round.services(&candidate, &mut sum).await?,
        };
        // An empty list would say that there are none, and nobody said so of the part that is missing.
        if endpoints.is_empty()
            && let Some((error, _)) = sum.missing
        {
            return Err(error);
        }
        if !endpoints.is_empty() || !sum.remarks.is_empty() {
            return Ok(sum.gathered(endpoints));
        }
        first_nothing = first_nothing.or(sum.nothing);
        negative = least(negative, sum.negative);
    }
    let remarks = vec![nothing(name, &query.records, query.families, first_nothing.unwrap_or(Nothing::NoRecord))];
    Ok(Gathered { endpoints: Vec::new(), ttl: negative, remarks, missing: None, memory: Memory::new() })
}

struct Round<'a, L> {
    line: &'a L,
    memory: &'a Memory,
    until: Instant,
    families: Families,
}

/// What the answers of a round add up to.
#[derive(Default)]
struct Sum {
    ttl: Option<u32>,
    negative: Option<u32>,
    nothing: Option<Nothing>,
    remarks: BTreeSet<String>,
    missing: Option<(DnsError, Duration)>,
    memory: Memory,
}

/// What one question for addresses came to.
struct Part {
    question: Question,
    known: Result<Known, DnsError>,
}

impl Sum {
    fn gathered(self, endpoints: Vec<Found>) -> Gathered {
        let ttl = if endpoints.is_empty() { least(self.ttl, self.negative) } else { self.ttl };
        let remarks = self.remarks.into_iter().collect();
        Gathered { endpoints, ttl, remarks, missing: self.missing, memory: self.memory }
    }

    /// The addresses of one name; an error when nothing is known and something could not be asked.
    fn add(&mut self, parts: Vec<Part>, before: &Memory) -> Result<Vec<IpAddr>, DnsError> {
        let mut addresses = Vec::new();
        let mut failed = None;
        for Part { question, known } in parts {
            let known = match known {
                Ok(known) => known,
                Err(error) => {
                    let Some(last) = before.get(&question) else {
                        failed = failed.or(Some(error));
                        continue;
                    };
                    self.miss(error, now().saturating_duration_since(last.since));
                    last.clone()
                }
            };
            if known.addresses.is_empty() {
                self.negative = least(self.negative, known.ttl);
                self.nothing = self.nothing.or(known.nothing);
            } else {
                self.ttl = least(self.ttl, known.ttl);
                addresses.extend(&known.addresses);
            }
            self.memory.insert(question, known);
        }
        match failed {
            Some(error) if addresses.is_empty() => return Err(error),
            Some(error) => self.miss(error, Duration::ZERO),
            None => {}
        }
        Ok(addresses)
    }

    fn miss(&mut self, error: DnsError, age: Duration) {
        match &mut self.missing {
            Some((_, oldest)) => *oldest = age.max(*oldest),
            none @ None => *none = Some((error, age)),
        }
    }
}

impl<L: Line> Round<'_, L> {
    async fn addresses(&self, name: &WireName, port: u16, sum: &mut Sum) -> Result<Vec<Found>, DnsError> {
        let mut parts = self.resolve(name, &[]).await;
        // With no answer at all there is nothing to stand in for: that is a failure, and known as one.
        if parts.iter().all(|part| part.known.is_err())
            && let Some(Part { known: Err(error), .. }) = parts.pop()
        {
            return Err(error);
        }
        let addresses = sum.add(parts, self.memory)?;
        let one = (Service { priority: 0, weight: 1, port, target: name.clone() }, addresses);
        Ok(tiers::endpoints(&usable(vec![one], sum)))
    }

    async fn services(&self, name: &WireName, sum: &mut Sum) -> Result<Vec<Found>, DnsError> {
        let answer = self.chase(Question { name: name.clone(), kind: Kind::Srv }).await?;
        let Answer { what, ttl, beside } = answer;
        let services = match what {
            What::Services(services) => services,
            What::Nothing(nothing) => {
                (sum.nothing, sum.negative) = (Some(nothing), ttl);
                return Ok(Vec::new());
            }
            What::Addresses(_) | What::Alias(_) => return Ok(Vec::new()),
        };
        sum.ttl = ttl;
        let targets: BTreeSet<WireName> = services.iter().map(|service| service.target.clone()).collect();
        // RFC 2782: a root as target says that the service is decidedly not there.
        let mut waiting = targets.into_iter().filter(|target| !target.is_root());
        let lookup = |target: WireName| {
            let beside = &beside;
            async move {
                let parts = self.resolve(&target, beside).await;
                (target, parts)
            }
        };
        let mut running: FuturesUnordered<_> = waiting.by_ref().take(TOGETHER).map(lookup).collect();
        let mut resolved: HashMap<WireName, Vec<IpAddr>> = HashMap::new();
        while let Some((target, parts)) = running.next().await {
            running.extend(waiting.next().map(lookup));
            match sum.add(parts, self.memory) {
                Ok(addresses) if addresses.is_empty() => {
                    sum.remarks
                        .insert(format!("the target `{}` has no address: correct the SRV record", shown(&target)));
                }
                Ok(addresses) => drop(resolved.insert(target, addresses)),
                Err(error) => {
                    sum.remarks.insert(format!("the target `{}` is left out: {}", shown(&target), error.explain()));
                    sum.miss(error, Duration::ZERO);
                }
            }
        }
        if services.iter().all(|service| service.target.is_root()) {
            sum.remarks.insert(format!(
                "`{}` is declared as not available, by an SRV record with the target `.`",
                shown(name)
            ));
        }
        let with = |service: Service| {
            let addresses = resolved.get(&service.target).cloned().unwrap_or_default();
            (service, addresses)
        };
        let entries = services.into_iter().map(with).collect();
        Ok(tiers::endpoints(&usable(entries, sum)))
    }

    /// The addresses of `name` in all families wanted: those that came `beside` are not asked for.
    async fn resolve(&self, name: &WireName, beside: &[(WireName, IpAddr, u32)]) -> Vec<Part> {
        let one = async |kind| {
            let question = Question { name: name.clone(), kind };
            let brought: Vec<_> =
                beside.iter().filter(|(owner, ip, _)| owner == name && ip.is_ipv4() == (kind == Kind::A)).collect();
            if brought.is_empty() {
                return self.asked(question).await;
            }
            let ttl = brought.iter().map(|(_, _, ttl)| *ttl).min();
            let addresses = brought.iter().map(|(_, ip, _)| *ip).collect();
            Part { question, known: Ok(Known { addresses, ttl, nothing: None, since: now() }) }
        };
        match self.families {
            Families::Both => {
                let (v4, v6) = tokio::join!(one(Kind::A), one(Kind::Aaaa));
                vec![v4, v6]
            }
            Families::V4 => vec![one(Kind::A).await],
            Families::V6 => vec![one(Kind::Aaaa).await],
        }
    }

    async fn asked(&self, question: Question) -> Part {
        let known = self.chase(question.clone()).await.map(|answer| {
            let (addresses, nothing) = match answer.what {
                What::Addresses(addresses) => (addresses, None),
                What::Nothing(nothing) => (Vec::new(), Some(nothing)),
                What::Services(_) | What::Alias(_) => (Vec::new(), Some(Nothing::NoRecord)),
            };
            Known { addresses, ttl: answer.ttl, nothing, since: now() }
        });
        Part { question, known }
    }

    /// Asks, and asks again for what the name is an alias of.
    async fn chase(&self, question: Question) -> Result<Answer, DnsError> {
        let mut next = question.clone();
        let mut ttl = None;
        for _ in 0..=LONGEST_CHAIN {
            let mut answer = self.line.ask(&next, self.until).await?;
            ttl = least(ttl, answer.ttl);
            let What::Alias(target) = answer.what else {
                answer.ttl = ttl;
                return Ok(answer);
            };
            next.name = target;
        }
        Err(DnsError::Loop { name: shown(&question.name) })
    }
}

/// Leaves out what cannot be connected to, and says so.
fn usable(entries: Vec<(Service, Vec<IpAddr>)>, sum: &mut Sum) -> Vec<(Service, Vec<IpAddr>)> {
    let mut kept = Vec::with_capacity(entries.len());
    for (service, mut addresses) in entries {
        if service.port == 0 {
            let target = shown(&service.target);
            sum.remarks.insert(format!("the target `{target}` is left out, its port is 0: correct the SRV record"));
            continue;
        }
        addresses.retain(|ip| {
            let odd = ip.is_unspecified() || ip.is_multicast() || *ip == IpAddr::from([255; 4]);
            if odd {
                let target = shown(&service.target);
                sum.remarks.insert(format!("`{ip}` of `{target}` is left out: nothing listens at such an address"));
            }
            !odd
        });
        kept.push((service, addresses));
    }
    kept
}

/// What to tell a person about a name that resolves to nothing.
fn nothing(name: &DomainName, records: &Records, families: Families, why: Nothing) -> String {
    let kinds = match (records, families) {
        (Records::Services { .. }, _) => {
            "SRV record: ask for its addresses, with a port, or write it as `_http._tcp.NAME`"
        }
        (_, Families::Both) => "A or AAAA record",
        (_, Families::V4) => "A record",
        (_, Families::V6) => "AAAA record",
    };
    match why {
        Nothing::NoName => format!("`{name}` does not exist, say the resolvers: check how it is written, or create it"),
        Nothing::NoRecord => format!("`{name}` exists, but it has no {kinds}"),
    }
}

fn least(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    a.into_iter().chain(b).min()
}
