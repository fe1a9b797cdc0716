//! `endpoints`: a list in a `[[service]]`, or in a file of its own.

mod print;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::Range;

use toml::de::DeTable;
use weir_balance::{Endpoints, Weight};

use super::queue::{CAPACITIES, QUEUE, capacity};
use crate::names::Place;
use crate::raw::{
    Flag, Item, Key, Kind, Optional, Otherwise, Required, Section, Spec, Tables, Text, Value, Whole, line_of,
};
use crate::sink::{Fault, Reported, Sink};
use crate::{Dns, Endpoint, Family, Records, Source, SourceKind, defaults, names};

pub(super) use print::{Row, print};

pub(crate) static ENDPOINT: Spec = Spec {
    header: "[[service.endpoints]]",
    keys: &[&ADDRESS, &WEIGHT, &DRAIN, &BACKUP, &CAPACITY],
    later: &[],
    example: "{ address = \"127.0.0.1:3001\" }",
    about: "One endpoint, mostly written in place: `endpoints = [{ address = \"127.0.0.1:3001\", weight = 2 }]`.",
};
/// A file of endpoints.
static LIST: Spec =
    Spec { header: "", keys: &[&ENDPOINTS], later: &[], example: "endpoints = [\"127.0.0.1:3001\"]", about: "" };

pub(super) static ENDPOINTS: Tables = Tables {
    name: "endpoints",
    spec: &ENDPOINT,
    shape: "array of `\"ip:port\"`, `\"name:port\"` or tables, not empty",
    default: "none, if there is another source",
    meaning: "Endpoints that are written here.",
};

static ADDRESS: Key<Text<Place>, Required> = Key {
    name: "address",
    kind: Text { shape: "`\"ip:port\"` or `\"name:port\"`", parse: names::endpoint_place, show: Place::to_string },
    absent: Required,
    meaning: "Where it listens. A name stands for all addresses that DNS has for it, and is looked up again by TTL.",
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
pub(super) static BACKUP: Key<Flag, Otherwise<bool>> = Key {
    name: "backup",
    kind: Flag,
    absent: Otherwise(defaults::BACKUP),
    meaning: "Whether it is picked only when nothing else admits.",
};
static CAPACITY: Key<Whole<u32>, Optional> = Key {
    name: "capacity",
    kind: CAPACITIES,
    absent: Optional(|| "`capacity` of the `queue`".to_owned()),
    meaning: "Exchanges that it serves at once, usually its cores; only in a service with a `queue`.",
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

/// An endpoint as far as it could be read.
pub(super) struct EndpointRead {
    place: Result<Place, Reported>,
    weight: Result<Weight, Reported>,
    drain: Result<bool, Reported>,
    backup: Result<bool, Reported>,
    capacity: Result<Option<NonZeroU32>, Reported>,
    /// Where the capacity is written, if it is.
    capacity_span: Option<Range<usize>>,
    /// Where the address is written.
    pub(super) span: Range<usize>,
    weight_span: Range<usize>,
}

impl EndpointRead {
    /// The address, if it is one.
    pub(super) fn socket(&self) -> Option<SocketAddr> {
        match &self.place {
            Ok(Place::Socket(address)) => Some(*address),
            _ => None,
        }
    }

    pub(super) fn is_backup(&self) -> bool {
        self.backup == Ok(true)
    }
}

/// The endpoints of a service; none when it has other sources.
pub(super) fn read_all(section: &Section<'_>, text: &str, sink: &mut Sink) -> Result<Vec<EndpointRead>, Reported> {
    let name = ENDPOINTS.name;
    let Some(items) = section.items(&ENDPOINTS, sink) else {
        if section.has(name) {
            return Err(Reported);
        }
        let sources = ["consul", "dns", "file"];
        // `kubernetes` is of a later version and has been reported.
        let sourced = sources.iter().any(|source| section.has(source)) || section.has("kubernetes");
        if sourced || sources.iter().chain([&name]).any(|name| section.is_misspelt(name)) {
            return Ok(Vec::new());
        }
        let fault =
            Fault::new("`endpoints` is missing from `[[service]]`", "a service without endpoints serves nobody");
        let help = "add `endpoints = [\"127.0.0.1:3001\"]`, or `consul`, `dns` or `file` to find them";
        return Err(sink.missing(section.header_span(), fault.help(help)));
    };
    if items.is_empty() {
        let fault = Fault::new("a service has at least one endpoint", "none");
        let help =
            "write `[\"127.0.0.1:3001\"]`, or leave `endpoints` out if they are found by `consul`, `dns` or `file`";
        return Err(sink.wrong(section.span(name), fault.help(help)));
    }
    read_items(section, items, text, sink)
}

/// The endpoints of a file.
pub(super) fn read_file(root: &DeTable<'_>, text: &str, sink: &mut Sink) -> Result<Vec<Endpoint>, Reported> {
    let section = Section::root(root, text.len(), &LIST, sink);
    let Some(items) = section.items(&ENDPOINTS, sink) else {
        if section.has(ENDPOINTS.name) || section.is_misspelt(ENDPOINTS.name) {
            return Err(Reported);
        }
        let fault = Fault::new("there is no `endpoints`", "the file ends without it");
        let help = "add `endpoints = [\"127.0.0.1:3001\"]`, or `endpoints = []` when there are none";
        return Err(sink.missing(section.header_span(), fault.help(help)));
    };
    let read = read_items(&section, items, text, sink)?;
    for endpoint in &read {
        if let Ok(Place::Name(..)) = endpoint.place {
            let fault = Fault::new("an endpoint in a file is an IP address and a port", "this is a name");
            sink.wrong(endpoint.span.clone(), fault.help("write it as `endpoints` or `dns` of the service"));
        }
    }
    split(read).map(|(endpoints, _)| endpoints)
}

/// Those written by address, and a source for each written by name.
pub(super) fn split(read: Vec<EndpointRead>) -> Result<(Vec<Endpoint>, Vec<Source>), Reported> {
    let (mut endpoints, mut sources) = (Vec::new(), Vec::new());
    for EndpointRead { place, weight, drain, backup, capacity, .. } in read {
        let (weight, drain, backup, capacity) = (weight?, drain?, backup?, capacity?);
        match place? {
            Place::Socket(address) => endpoints.push(Endpoint { address, weight, drain, backup, capacity }),
            Place::Name(name, port) => {
                let records = Records::Addresses { family: Family::Both, port };
                let dns = Dns { name, records, resolvers: Vec::new(), weight, drain, capacity };
                sources.push(Source { kind: SourceKind::Dns(dns), backup });
            }
        }
    }
    Ok((endpoints, sources))
}

fn read_items(
    section: &Section<'_>,
    items: Vec<Result<Item<'_>, Reported>>,
    text: &str,
    sink: &mut Sink,
) -> Result<Vec<EndpointRead>, Reported> {
    if items.len() > Endpoints::MAX {
        let fault =
            Fault::new(format!("a service has at most {} endpoints", Endpoints::MAX), format!("{}", items.len()));
        return Err(sink.wrong(section.span(ENDPOINTS.name), fault));
    }
    let count = items.len();
    let read: Vec<EndpointRead> = items.into_iter().flatten().map(|item| read_endpoint(item, sink)).collect();
    let mut first: HashMap<&Place, Range<usize>> = HashMap::new();
    for endpoint in &read {
        let Ok(place) = &endpoint.place else { continue };
        if let Some(earlier) = first.get(place) {
            let fault = Fault::new(format!("endpoint `{place}` is listed twice in one service"), "again");
            let line = line_of(text, earlier.start);
            sink.wrong(
                endpoint.span.clone(),
                fault.help(format!("line {line} has it; for a larger share write a weight")),
            );
        } else {
            first.insert(place, endpoint.span.clone());
        }
    }
    if read.len() < count { Err(Reported) } else { Ok(read) }
}

fn read_endpoint(item: Item<'_>, sink: &mut Sink) -> EndpointRead {
    match item {
        Item::Text(text, span) => EndpointRead {
            place: names::endpoint_place(text).map_err(|fault| sink.wrong(span.clone(), fault)),
            weight: Ok(defaults::WEIGHT),
            drain: Ok(defaults::DRAIN),
            backup: Ok(defaults::BACKUP),
            capacity: Ok(None),
            capacity_span: None,
            span: span.clone(),
            weight_span: span,
        },
        Item::Table(section) => EndpointRead {
            place: section.take(&ADDRESS, sink),
            weight: section.take(&WEIGHT, sink),
            drain: section.take(&DRAIN, sink),
            backup: section.take(&BACKUP, sink),
            capacity: section.take(&CAPACITY, sink).map(|number| number.map(capacity)),
            capacity_span: section.has(CAPACITY.name).then(|| section.key_span(CAPACITY.name)),
            span: section.span(ADDRESS.name),
            weight_span: section.span(WEIGHT.name),
        },
    }
}

/// Without a queue nothing keeps to a capacity.
pub(super) fn refuse_capacities(endpoints: &Result<Vec<EndpointRead>, Reported>, sink: &mut Sink) {
    for span in endpoints.iter().flatten().filter_map(|endpoint| endpoint.capacity_span.clone()) {
        let fault = Fault::new("a capacity belongs to a service with a queue", "would be ignored");
        sink.wrong(span, fault.help(format!("add `{}` to the service", QUEUE.example)));
    }
}

/// Round robin gives each endpoint the same; a weight beside it is a wish that would be ignored.
pub(super) fn refuse_weights(endpoints: &Result<Vec<EndpointRead>, Reported>, sink: &mut Sink) {
    for endpoint in endpoints.iter().flatten() {
        if endpoint.weight.as_ref().is_ok_and(|weight| *weight != Weight::ONE) {
            let fault = Fault::new("`round-robin` knows no weights", "would be ignored");
            sink.wrong(endpoint.weight_span.clone(), fault.help("write `policy = \"weighted\"`"));
        }
    }
}
