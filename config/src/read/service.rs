//! `[[service]]` with its endpoints and what its policy needs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use weir_balance::{Endpoints, Policy, VirtualNodes, Weight};
use weir_snapshot::{KeySource, WhenAllEjected};

use super::health;
use crate::near::nearest;
use crate::raw::{
    Flag, Item, Key, Kind, Otherwise, Required, Section, Spec, Tables, Text, Value, Whole, Word, line_of,
};
use crate::sink::{Fault, Reported, Sink};
use crate::{Endpoint, Service, defaults, names};

pub(crate) static SERVICE: Spec = Spec {
    header: "[[service]]",
    keys: &[&NAME, &POLICY, &HASH_TABLE, &IP_PREFIX_TABLE, &ENDPOINTS, &HEALTH_TABLE, &ALL_EJECTED],
    later: &[
        ("queue", "queues with permits"),
        ("work", "predicted work"),
        ("consul", "endpoints from Consul"),
        ("dns", "endpoints from DNS"),
        ("file", "endpoints from a watched file"),
        ("kubernetes", "endpoints from Kubernetes"),
    ],
    example: "[[service]]",
    about: "A named group of endpoints that can stand in for one another, and how one of them is picked.",
};
pub(crate) static ENDPOINT: Spec = Spec {
    header: "[[service.endpoints]]",
    keys: &[&ADDRESS, &WEIGHT, &DRAIN],
    later: &[],
    example: "{ address = \"127.0.0.1:3001\" }",
    about: "One endpoint, mostly written in place: `endpoints = [{ address = \"127.0.0.1:3001\", weight = 2 }]`.",
};
pub(crate) static HASH: Spec = Spec {
    header: "[service.hash]",
    keys: &[&HASH_KEY, &VIRTUAL],
    later: &[("bounded_load", "bounded load")],
    example: "hash = { key = \"path\" }",
    about: "Only under `consistent-hash`, and required there.",
};
pub(crate) static IP_PREFIX: Spec = Spec {
    header: "[service.ip_prefix]",
    keys: &[&V4, &V6],
    later: &[],
    example: "ip_prefix = { v4 = 24 }",
    about: "How much of a client's address is hashed. Only under `ip-hash`, or `consistent-hash` with `key = \"client-ip\"`.",
};

/// The words of `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    RoundRobin,
    Weighted,
    LeastConnections,
    IpHash,
    ConsistentHash,
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
            ("ip-hash", Choice::IpHash),
            ("consistent-hash", Choice::ConsistentHash),
        ],
        later: &["p2c", "random", "peak-ewma", "maglev", "slots"],
    },
    absent: Required,
    meaning: "How an endpoint is picked: in turn, in turn by weight, the least busy, by client, by `hash.key`.",
};
static HASH_TABLE: Tables = Tables {
    name: "hash",
    spec: &HASH,
    shape: "table",
    default: "required under `consistent-hash`",
    meaning: "What `consistent-hash` hashes.",
};
static IP_PREFIX_TABLE: Tables = Tables {
    name: "ip_prefix",
    spec: &IP_PREFIX,
    shape: "table",
    default: "all defaults",
    meaning: "How much of a client's address is hashed.",
};
static ENDPOINTS: Tables = Tables {
    name: "endpoints",
    spec: &ENDPOINT,
    shape: "array of `\"ip:port\"` or tables, not empty",
    default: "required",
    meaning: "The endpoints.",
};
static HEALTH_TABLE: Tables = Tables {
    name: "health",
    spec: &health::HEALTH,
    shape: "table",
    default: "all defaults",
    meaning: "How endpoints are found broken and found well again.",
};
static ALL_EJECTED: Key<Word<WhenAllEjected>, Otherwise<WhenAllEjected>> = Key {
    name: "all_ejected",
    kind: Word { words: &[("try-all", WhenAllEjected::TryAll), ("refuse", WhenAllEjected::Refuse)], later: &[] },
    absent: Otherwise(WhenAllEjected::TryAll),
    meaning: "When no endpoint is healthy: try them all the same, or answer 503.",
};

static ADDRESS: Key<Text<SocketAddr>, Required> = Key {
    name: "address",
    kind: Text { shape: "`\"ip:port\"`", parse: names::endpoint_address, show: SocketAddr::to_string },
    absent: Required,
    meaning: "Where it listens.",
};
static WEIGHT: Key<Weighing, Otherwise<Weight>> = Key {
    name: "weight",
    kind: Weighing,
    absent: Otherwise(defaults::WEIGHT),
    meaning: "Its share relative to the others; not under `round-robin`.",
};
static DRAIN: Key<Flag, Otherwise<bool>> = Key {
    name: "drain",
    kind: Flag,
    absent: Otherwise(defaults::DRAIN),
    meaning: "Whether it gets no new exchanges; those that run may end.",
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
    meaning: "Places on the ring of an endpoint of weight 1: more spread better and take more memory.",
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

/// A weight; its own kind, because zero deserves its own advice.
struct Weighing;

impl Kind for Weighing {
    type Out = Weight;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Weight, Reported> {
        let number = Whole { min: i128::MIN, max: i128::MAX }.read(name, value, sink)?;
        let weight = u16::try_from(number).ok().and_then(|number| Weight::new(number).ok());
        weight.ok_or_else(|| {
            let message = format!("a weight is between 1 and {}", Weight::MAX);
            let fault = match number {
                0 => Fault::new(message, "this endpoint would never be picked")
                    .help("write `drain = true` to stop new requests to this endpoint"),
                1.. => Fault::new(message, "too large").help("divide all weights of the service by the same number"),
                _ => Fault::new(message, "too small"),
            };
            sink.wrong(value.span(), fault)
        })
    }

    fn shape(&self) -> String {
        format!("whole number, 1 to {}", Weight::MAX)
    }

    fn show(&self, value: &Weight) -> String {
        value.get().to_string()
    }
}

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
    let endpoints = read_endpoints(section, text, sink);
    if matches!(choice, Ok(Choice::RoundRobin)) {
        refuse_weights(&endpoints, sink);
    }
    let health = section.table(&HEALTH_TABLE, sink).and_then(|section| health::read(&section, sink));
    let when_all_ejected = section.take(&ALL_EJECTED, sink);
    let addresses = endpoints.iter().flatten().filter_map(|read| Some((read.address?, read.span.clone()))).collect();
    let settings = || {
        let endpoints = endpoints?.into_iter().map(|read| read.settings).collect::<Result<_, _>>()?;
        Ok(Service {
            name: name.clone()?,
            policy: policy?,
            endpoints,
            health: health?,
            when_all_ejected: when_all_ejected?,
        })
    };
    ServiceRead { settings: settings(), name: name.clone().ok(), name_span: section.span(NAME.name), key, addresses }
}
/// The `hash` table; `None` where there is none and none is needed.
fn read_hash(
    section: &Section<'_>,
    choice: Option<Choice>,
    sink: &mut Sink,
) -> Result<Option<(KeyWord, VirtualNodes)>, Reported> {
    let name = HASH_TABLE.name;
    if !section.has(name) {
        if choice != Some(Choice::ConsistentHash) {
            return Ok(None);
        }
        let fault = Fault::new("`consistent-hash` needs a `hash` table", "what does it hash?");
        return Err(sink.missing(section.span(POLICY.name), fault.help(format!("add `{}`", HASH.example))));
    }
    let table = section.table(&HASH_TABLE, sink)?;
    let key = table.take(&HASH_KEY, sink);
    let virtual_nodes = table.take(&VIRTUAL, sink);
    if let Some(choice) = choice.filter(|choice| *choice != Choice::ConsistentHash) {
        let label = if choice == Choice::IpHash {
            "`ip-hash` hashes the client's address"
        } else {
            "this policy hashes nothing"
        };
        let fault = Fault::new("`hash` belongs to the policy `consistent-hash`", label);
        sink.wrong(section.key_span(name), fault.help("write `policy = \"consistent-hash\"`, or leave `hash` out"));
    }
    let nodes = VirtualNodes::new(virtual_nodes?).unwrap_or(VirtualNodes::DEFAULT);
    Ok(Some((key?, nodes)))
}

/// How many bits of a client's address are hashed, IPv4 and IPv6.
fn read_prefix(
    section: &Section<'_>,
    choice: Option<Choice>,
    hash: Option<&Option<(KeyWord, VirtualNodes)>>,
    sink: &mut Sink,
) -> Result<(u8, u8), Reported> {
    let table = section.table(&IP_PREFIX_TABLE, sink)?;
    let v4 = table.take(&V4, sink);
    let v6 = table.take(&V6, sink);
    let idle = match (choice, hash) {
        (None | Some(Choice::IpHash), _) | (Some(Choice::ConsistentHash), None) => false,
        (Some(Choice::ConsistentHash), Some(hash)) => !matches!(hash, Some((KeyWord::ClientIp, _))),
        _ => true,
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

fn policy_of(choice: Choice, hash: Result<&Option<(KeyWord, VirtualNodes)>, &Reported>) -> Result<Policy, Reported> {
    Ok(match choice {
        Choice::RoundRobin => Policy::RoundRobin,
        Choice::Weighted => Policy::Weighted,
        Choice::LeastConnections => Policy::LeastConnections,
        Choice::IpHash => Policy::IpHash,
        Choice::ConsistentHash => {
            let virtual_nodes =
                hash.map_err(|reported| *reported)?.as_ref().map_or(VirtualNodes::DEFAULT, |(_, nodes)| *nodes);
            Policy::ConsistentHash { virtual_nodes }
        }
    })
}

fn key_of(
    (v4_prefix, v6_prefix): (u8, u8),
    hash: Result<Option<(KeyWord, VirtualNodes)>, Reported>,
) -> Result<KeySource, Reported> {
    Ok(match hash?.map(|(key, _)| key) {
        None | Some(KeyWord::ClientIp) => KeySource::ClientIp { v4_prefix, v6_prefix },
        Some(KeyWord::Path) => KeySource::Path,
        Some(KeyWord::Body) => KeySource::Body,
        Some(KeyWord::Header(name)) => KeySource::Header(name),
        Some(KeyWord::Cookie(name)) => KeySource::Cookie(name),
        Some(KeyWord::Query(name)) => KeySource::Query(name),
    })
}

/// An endpoint as far as it could be read.
struct EndpointRead {
    settings: Result<Endpoint, Reported>,
    address: Option<SocketAddr>,
    /// Where the address is written.
    span: Range<usize>,
    weight_span: Range<usize>,
}

fn read_endpoints(section: &Section<'_>, text: &str, sink: &mut Sink) -> Result<Vec<EndpointRead>, Reported> {
    let name = ENDPOINTS.name;
    let Some(items) = section.items(&ENDPOINTS, sink) else {
        // A source of a later version was meant to bring the endpoints, and has been reported.
        let sourced = SERVICE.later.iter().any(|(later, _)| section.has(later));
        if !section.has(name) && !section.is_misspelt(name) && !sourced {
            let fault =
                Fault::new("`endpoints` is missing from `[[service]]`", "a service without endpoints serves nobody");
            return Err(sink.missing(section.header_span(), fault.help("add `endpoints = [\"127.0.0.1:3001\"]`")));
        }
        return Err(Reported);
    };
    if items.is_empty() {
        let fault = Fault::new("a service has at least one endpoint", "none");
        return Err(sink.wrong(section.span(name), fault.help("write `[\"127.0.0.1:3001\"]`")));
    }
    if items.len() > Endpoints::MAX {
        let fault =
            Fault::new(format!("a service has at most {} endpoints", Endpoints::MAX), format!("{}", items.len()));
        return Err(sink.wrong(section.span(name), fault));
    }
    let read: Vec<EndpointRead> = items.into_iter().flatten().map(|item| read_endpoint(item, sink)).collect();
    let mut first: HashMap<SocketAddr, Range<usize>> = HashMap::new();
    for endpoint in &read {
        let Some(address) = endpoint.address else { continue };
        if let Some(earlier) = first.get(&address) {
            let fault = Fault::new(format!("endpoint `{address}` is listed twice in one service"), "again");
            let line = line_of(text, earlier.start);
            sink.wrong(
                endpoint.span.clone(),
                fault.help(format!("line {line} has it; for a larger share write a weight")),
            );
        } else {
            first.insert(address, endpoint.span.clone());
        }
    }
    Ok(read)
}

fn read_endpoint(item: Item<'_>, sink: &mut Sink) -> EndpointRead {
    match item {
        Item::Text(text, span) => {
            let address = names::endpoint_address(text).map_err(|fault| sink.wrong(span.clone(), fault));
            let settings =
                address.map(|address| Endpoint { address, weight: defaults::WEIGHT, drain: defaults::DRAIN });
            EndpointRead { settings, address: address.ok(), span: span.clone(), weight_span: span }
        }
        Item::Table(section) => {
            let address = section.take(&ADDRESS, sink);
            let weight = section.take(&WEIGHT, sink);
            let drain = section.take(&DRAIN, sink);
            let settings = || Ok(Endpoint { address: address?, weight: weight?, drain: drain? });
            EndpointRead {
                settings: settings(),
                address: address.ok(),
                span: section.span(ADDRESS.name),
                weight_span: section.span(WEIGHT.name),
            }
        }
    }
}

/// Round robin gives each endpoint the same; a weight beside it is a wish that would be ignored.
fn refuse_weights(endpoints: &Result<Vec<EndpointRead>, Reported>, sink: &mut Sink) {
    for endpoint in endpoints.iter().flatten() {
        if endpoint.settings.as_ref().is_ok_and(|settings| settings.weight != Weight::ONE) {
            let fault = Fault::new("`round-robin` knows no weights", "would be ignored");
            sink.wrong(endpoint.weight_span.clone(), fault.help("write `policy = \"weighted\"`"));
        }
    }
}
