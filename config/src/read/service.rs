//! `[[service]]` and what its policy needs.

mod print;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use weir_balance::{LoadFactor, Policy, VirtualNodes};
use weir_snapshot::{KeySource, Millis, Queueing, WhenAllEjected};

use super::endpoints::{self, ENDPOINTS, EndpointRead};
use super::queue::{self, QUEUE_TABLE, WORK};
use super::source::{self, CONSUL_TABLES, DNS_TABLES, FILE_TABLES};
use super::{ONE_DAY, health};
use crate::near::nearest;
use crate::raw::{Duration, Factor, Key, Optional, Otherwise, Required, Section, Spec, Tables, Text, Whole, Word};
use crate::sink::{Fault, Reported, Sink};
use crate::{Service, Source, defaults, names};

pub(super) use print::print;

pub(crate) static SERVICE: Spec = Spec {
    header: "[[service]]",
    keys: &[
        &NAME,
        &POLICY,
        &HASH_TABLE,
        &IP_PREFIX_TABLE,
        &ENDPOINTS,
        &CONSUL_TABLES,
        &DNS_TABLES,
        &FILE_TABLES,
        &EMPTY_AFTER,
        &HEALTH_TABLE,
        &ALL_EJECTED,
        &QUEUE_TABLE,
        &WORK,
    ],
    later: &[("kubernetes", "endpoints from Kubernetes")],
    example: "[[service]]",
    about: "A named group of endpoints that can stand in for one another, and how one of them is picked. Its endpoints come \
            from `endpoints`, `consul`, `dns` and `file`, from one of them or several together.",
};
pub(crate) static HASH: Spec = Spec {
    header: "[service.hash]",
    keys: &[&HASH_KEY, &VIRTUAL, &BOUNDED],
    later: &[],
    example: "hash = { key = \"path\" }",
    about: "Only under `consistent-hash`, `maglev` and `slots`, and required there.",
};
pub(crate) static IP_PREFIX: Spec = Spec {
    header: "[service.ip_prefix]",
    keys: &[&V4, &V6],
    later: &[],
    example: "ip_prefix = { v4 = 24 }",
    about: "How much of a client's address is hashed. Only under `ip-hash`, or where `hash.key` is `\"client-ip\"`.",
};

/// The words of `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    RoundRobin,
    Weighted,
    LeastConnections,
    P2c,
    Random,
    PeakEwma,
    IpHash,
    ConsistentHash,
    Maglev,
    Slots,
}

impl Choice {
    /// The word, where the policy hashes what the `hash` table says.
    const fn hashing(self) -> Option<&'static str> {
        match self {
            Self::ConsistentHash => Some("consistent-hash"),
            Self::Maglev => Some("maglev"),
            Self::Slots => Some("slots"),
            _ => None,
        }
    }
}

static NAME: Key<Text<Box<str>>, Required> = Key {
    name: "name",
    kind: Text {
        shape: "letters, digits, `-`, `_`, `.`; at most 63",
        parse: names::service_name,
        show: ToString::to_string,
    },
    absent: Required,
    meaning: "What routes, metrics and the log call it.",
};
static POLICY: Key<Word<Choice>, Required> = Key {
    name: "policy",
    kind: Word {
        words: &[
            ("round-robin", Choice::RoundRobin),
            ("weighted", Choice::Weighted),
            ("least-connections", Choice::LeastConnections),
            ("p2c", Choice::P2c),
            ("random", Choice::Random),
            ("peak-ewma", Choice::PeakEwma),
            ("ip-hash", Choice::IpHash),
            ("consistent-hash", Choice::ConsistentHash),
            ("maglev", Choice::Maglev),
            ("slots", Choice::Slots),
        ],
        later: &[],
    },
    absent: Required,
    meaning: "How an endpoint is picked: in turn; in turn by weight; the least busy; the less busy of two by chance; by \
              chance; the faster and less busy of two by chance; by client; by `hash.key`, on a ring, by Maglev's table, or by \
              the slots of Redis Cluster.",
};
static HASH_TABLE: Tables = Tables {
    name: "hash",
    spec: &HASH,
    shape: "table",
    default: "required under `consistent-hash`, `maglev` and `slots`",
    meaning: "What these policies hash.",
};
static IP_PREFIX_TABLE: Tables = Tables {
    name: "ip_prefix",
    spec: &IP_PREFIX,
    shape: "table",
    default: "all defaults",
    meaning: "How much of a client's address is hashed.",
};
static HEALTH_TABLE: Tables = Tables {
    name: "health",
    spec: &health::HEALTH,
    shape: "table",
    default: "all defaults",
    meaning: "How endpoints are found broken and found well again.",
};
static EMPTY_AFTER: Key<Duration, Otherwise<Millis>> = Key {
    name: "empty_after",
    kind: Duration { min: Millis::new(0), max: ONE_DAY },
    absent: Otherwise(defaults::EMPTY_AFTER),
    meaning: "After this time a source that says once more that there are no endpoints is believed; its silence is not.",
};
static ALL_EJECTED: Key<Word<WhenAllEjected>, Otherwise<WhenAllEjected>> = Key {
    name: "all_ejected",
    kind: Word { words: &[("try-all", WhenAllEjected::TryAll), ("refuse", WhenAllEjected::Refuse)], later: &[] },
    absent: Otherwise(WhenAllEjected::TryAll),
    meaning: "When no endpoint is healthy: try them all the same, or answer 503.",
};

static HASH_KEY: Key<Text<KeyWord>, Required> = Key {
    name: "key",
    kind: Text {
        shape: "`\"path\"`, `\"client-ip\"`, `\"body\"`, `\"header:NAME\"`, `\"cookie:NAME\"` or `\"query:NAME\"`",
        parse: parse_key,
        show: KeyWord::show,
    },
    absent: Required,
    meaning: "What is hashed: requests of one key go to one endpoint.",
};
static VIRTUAL: Key<Whole<u16>, Otherwise<u16>> = Key {
    name: "virtual_nodes",
    kind: Whole { min: 1, max: VirtualNodes::MAX },
    absent: Otherwise(defaults::VIRTUAL_NODES),
    meaning: "Places on the ring of an endpoint of weight 1: more spread better and take more memory. Only under \
              `consistent-hash`.",
};
static BOUNDED: Key<Factor, Optional> = Key {
    name: "bounded_load",
    kind: Factor { min: LoadFactor::MIN, max: LoadFactor::MAX },
    absent: Optional(|| "no bound".to_owned()),
    meaning: "How many times the mean load, by weight, an endpoint may have in flight before its keys go to the next: \
              1.25 keeps most keys at home, 1.0 spreads as evenly as can be.",
};
static V4: Key<Whole<u8>, Otherwise<u8>> = Key {
    name: "v4",
    kind: Whole { min: 1, max: 32 },
    absent: Otherwise(defaults::IP_PREFIX_V4),
    meaning: "Bits of an IPv4 address; 24 as nginx's `ip_hash`.",
};
static V6: Key<Whole<u8>, Otherwise<u8>> = Key {
    name: "v6",
    kind: Whole { min: 1, max: 128 },
    absent: Otherwise(defaults::IP_PREFIX_V6),
    meaning: "Bits of an IPv6 address.",
};

/// What `hash.key` says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyWord {
    Path,
    ClientIp,
    Body,
    Header(Arc<str>),
    Cookie(Arc<str>),
    Query(Arc<str>),
}

impl KeyWord {
    fn show(&self) -> String {
        match self {
            Self::Path => "path".to_owned(),
            Self::ClientIp => "client-ip".to_owned(),
            Self::Body => "body".to_owned(),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
            Self::Query(name) => format!("query:{name}"),
        }
    }
}

fn parse_key(text: &str) -> Result<KeyWord, Fault> {
    let rule = "a hash key is `path`, `client-ip`, `body`, `header:NAME`, `cookie:NAME` or `query:NAME`";
    let (word, name) = text.split_once(':').map_or((text, None), |(word, name)| (word, Some(name)));
    let named = |legal: bool, label: &str, key: fn(Arc<str>) -> KeyWord, name: &str| {
        if legal { Ok(key(name.into())) } else { Err(Fault::new(rule, label)) }
    };
    match (word, name) {
        ("path", None) => Ok(KeyWord::Path),
        ("client-ip", None) => Ok(KeyWord::ClientIp),
        ("body", None) => Ok(KeyWord::Body),
        ("header", Some(name)) => {
            named(names::is_token(name), "no header can have this name", KeyWord::Header, &name.to_ascii_lowercase())
        }
        ("cookie", Some(name)) => named(names::is_token(name), "no cookie can have this name", KeyWord::Cookie, name),
        ("query", Some(name)) => {
            let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'&' | b'=' | b'#');
            let legal = !name.is_empty() && name.bytes().all(plain);
            named(legal, "no query argument can have this name", KeyWord::Query, name)
        }
        ("header" | "cookie" | "query", None) => {
            Err(Fault::new(rule, "the name is missing").help(format!("write for example `\"{word}:user\"`")))
        }
        ("path" | "client-ip" | "body", Some(_)) => {
            Err(Fault::new(rule, "this key has no name").help(format!("write `\"{word}\"`")))
        }
        _ => {
            let fault = Fault::new(rule, "none of them");
            let nginx = match text {
                "$remote_addr" | "$binary_remote_addr" | "ip" | "source" => Some("client-ip"),
                "$uri" | "$request_uri" | "uri" | "url" => Some("path"),
                _ => None,
            };
            let near = nginx.or_else(|| nearest(word, &["path", "client-ip", "body", "header", "cookie", "query"]));
            Err(match (near, name) {
                (Some(near @ ("header" | "cookie" | "query")), name) => {
                    fault.help(format!("did you mean `\"{near}:{}\"`?", name.unwrap_or("NAME")))
                }
                (Some(near), _) => fault.help(format!("did you mean `\"{near}\"`?")),
                (None, _) => fault,
            })
        }
    }
}

/// A service as far as it could be read.
pub(super) struct ServiceRead {
    pub(super) settings: Result<Service, Reported>,
    pub(super) name: Option<Box<str>>,
    pub(super) name_span: Range<usize>,
    /// What its policy hashes; for the others the client's address, which they do not look at.
    pub(super) key: Result<KeySource, Reported>,
    /// What its queue is told of an exchange; `None` when it has no queue.
    pub(super) queueing: Result<Option<Queueing>, Reported>,
    /// Every endpoint whose address could be read, and where that is written.
    pub(super) addresses: Vec<(SocketAddr, Range<usize>)>,
}

pub(super) fn read_all(sections: &[Section<'_>], text: &str, sink: &mut Sink) -> Vec<ServiceRead> {
    sections.iter().map(|section| read(section, text, sink)).collect()
}

fn read(section: &Section<'_>, text: &str, sink: &mut Sink) -> ServiceRead {
    let name = section.take(&NAME, sink);
    let choice = section.take(&POLICY, sink);
    let hash = read_hash(section, choice.ok(), sink);
    let prefix = read_prefix(section, choice.ok(), hash.as_ref().ok(), sink);
    let policy = choice.and_then(|choice| policy_of(choice, hash.as_ref()));
    let key = prefix.and_then(|prefix| key_of(prefix, hash));
    let sources = source::read_all(section, sink);
    let endpoints = endpoints::read_all(section, text, sink);
    if matches!(choice, Ok(Choice::RoundRobin)) {
        endpoints::refuse_weights(&endpoints, sink);
    }
    refuse_backups_alone(section, &endpoints, &sources, sink);
    let empty_after = section.take(&EMPTY_AFTER, sink);
    let health = section.table(&HEALTH_TABLE, sink).and_then(|section| health::read(&section, sink));
    let when_all_ejected = section.take(&ALL_EJECTED, sink);
    let work = section.take(&WORK, sink);
    let queue = queue::read(section, work, sink);
    if matches!(queue, Ok(None)) && !section.is_misspelt(QUEUE_TABLE.name) {
        endpoints::refuse_capacities(&endpoints, sink);
    }
    let queueing = queue.and_then(|queue| {
        let queueing = |work| queue.map(|queue| Queueing { work, priority: 0, adaptive: queue.adaptive });
        work.map(queueing)
    });
    let told = queueing.map(Option::unwrap_or_default);
    let addresses = endpoints.iter().flatten().filter_map(|read| Some((read.socket()?, read.span.clone()))).collect();
    let settings = || {
        let (endpoints, named) = endpoints::split(endpoints?)?;
        Ok(Service {
            name: name.clone()?,
            policy: policy?,
            key: key.clone()?,
            endpoints,
            sources: sources?.into_iter().chain(named).collect(),
            empty_after: empty_after?,
            health: health?,
            when_all_ejected: when_all_ejected?,
            queue: queue?.map(|queue| queue.rules),
            work: told?.work,
            adaptive: told?.adaptive,
        })
    };
    let (settings, name_span) = (settings(), section.span(NAME.name));
    ServiceRead { settings, name: name.ok(), name_span, key, queueing, addresses }
}

/// The `hash` table as far as it concerns the policy.
#[derive(Clone, Debug)]
struct Hash {
    key: KeyWord,
    virtual_nodes: VirtualNodes,
    bounded_load: Option<LoadFactor>,
}

/// The `hash` table; `None` where there is none and none is needed.
fn read_hash(section: &Section<'_>, choice: Option<Choice>, sink: &mut Sink) -> Result<Option<Hash>, Reported> {
    let name = HASH_TABLE.name;
    if !section.has(name) {
        let Some(word) = choice.and_then(Choice::hashing) else { return Ok(None) };
        let fault = Fault::new(format!("`{word}` needs a `hash` table"), "what does it hash?");
        return Err(sink.missing(section.span(POLICY.name), fault.help(format!("add `{}`", HASH.example))));
    }
    let table = section.table(&HASH_TABLE, sink)?;
    let key = table.take(&HASH_KEY, sink);
    let virtual_nodes = table.take(&VIRTUAL, sink);
    let bounded_load = table.take(&BOUNDED, sink);
    match choice {
        Some(choice) if choice.hashing().is_none() => {
            let label = if choice == Choice::IpHash {
                "`ip-hash` hashes the client's address"
            } else {
                "this policy hashes nothing"
            };
            let fault = Fault::new("`hash` belongs to the policies `consistent-hash`, `maglev` and `slots`", label);
            sink.wrong(section.key_span(name), fault.help("write `policy = \"consistent-hash\"`, or leave `hash` out"));
        }
        Some(Choice::Maglev | Choice::Slots) if table.has(VIRTUAL.name) => {
            let fault = Fault::new("`virtual_nodes` belongs to the policy `consistent-hash`", "there is no ring here");
            sink.wrong(
                table.key_span(VIRTUAL.name),
                fault.help("write `policy = \"consistent-hash\"`, or leave `virtual_nodes` out"),
            );
        }
        _ => {}
    }
    let virtual_nodes = VirtualNodes::new(virtual_nodes?).unwrap_or(VirtualNodes::DEFAULT);
    Ok(Some(Hash { key: key?, virtual_nodes, bounded_load: bounded_load?.and_then(LoadFactor::from_hundredths) }))
}

/// How many bits of a client's address are hashed, IPv4 and IPv6.
fn read_prefix(
    section: &Section<'_>,
    choice: Option<Choice>,
    hash: Option<&Option<Hash>>,
    sink: &mut Sink,
) -> Result<(u8, u8), Reported> {
    let table = section.table(&IP_PREFIX_TABLE, sink)?;
    let v4 = table.take(&V4, sink);
    let v6 = table.take(&V6, sink);
    let idle = match (choice, hash) {
        (None | Some(Choice::IpHash), _) => false,
        (Some(choice), _) if choice.hashing().is_none() => true,
        (Some(_), None) => false,
        (Some(_), Some(hash)) => hash.as_ref().is_none_or(|hash| hash.key != KeyWord::ClientIp),
    };
    if idle && table.is_written() {
        let fault = Fault::new("`ip_prefix` belongs to policies that hash the client's address", "this one does not");
        sink.wrong(
            section.key_span(IP_PREFIX_TABLE.name),
            fault.help("write `policy = \"ip-hash\"`, or leave `ip_prefix` out"),
        );
    }
    Ok((v4?, v6?))
}

fn policy_of(choice: Choice, hash: Result<&Option<Hash>, &Reported>) -> Result<Policy, Reported> {
    let bounded_load = || Ok(hash.map_err(|reported| *reported)?.as_ref().and_then(|hash| hash.bounded_load));
    Ok(match choice {
        Choice::RoundRobin => Policy::RoundRobin,
        Choice::Weighted => Policy::Weighted,
        Choice::LeastConnections => Policy::LeastConnections,
        Choice::P2c => Policy::P2c,
        Choice::Random => Policy::Random,
        Choice::PeakEwma => Policy::PeakEwma,
        Choice::IpHash => Policy::IpHash,
        Choice::ConsistentHash => {
            let hash = hash.map_err(|reported| *reported)?.as_ref();
            let virtual_nodes = hash.map_or(VirtualNodes::DEFAULT, |hash| hash.virtual_nodes);
            Policy::ConsistentHash { virtual_nodes, bounded_load: bounded_load()? }
        }
        Choice::Maglev => Policy::Maglev { bounded_load: bounded_load()? },
        Choice::Slots => Policy::Slots { bounded_load: bounded_load()? },
    })
}

fn key_of((v4_prefix, v6_prefix): (u8, u8), hash: Result<Option<Hash>, Reported>) -> Result<KeySource, Reported> {
    Ok(match hash?.map(|hash| hash.key) {
        None | Some(KeyWord::ClientIp) => KeySource::ClientIp { v4_prefix, v6_prefix },
        Some(KeyWord::Path) => KeySource::Path,
        Some(KeyWord::Body) => KeySource::Body,
        Some(KeyWord::Header(name)) => KeySource::Header(name),
        Some(KeyWord::Cookie(name)) => KeySource::Cookie(name),
        Some(KeyWord::Query(name)) => KeySource::Query(name),
    })
}

/// Backups stand in for others; where there are none, the word was probably put in the wrong place.
fn refuse_backups_alone(
    section: &Section<'_>,
    endpoints: &Result<Vec<EndpointRead>, Reported>,
    sources: &Result<Vec<Source>, Reported>,
    sink: &mut Sink,
) {
    let (Ok(endpoints), Ok(sources)) = (endpoints, sources) else { return };
    let serves = endpoints.iter().any(|read| !read.is_backup()) || sources.iter().any(|source| !source.backup);
    if !serves && endpoints.len() + sources.len() > 0 {
        let fault = Fault::new("all endpoints of the service are backups", "there is nobody that they stand in for");
        sink.missing(section.span(NAME.name), fault.help("leave `backup` out, or add `endpoints` that serve always"));
    }
}
