//! What one who looks at events was told, and what of a status is another than that.
//!
//! In: one status after the other. Out: of each only what is another than in the one before: keys of the whole, keys of a
//! service, keys of an endpoint. Cost: an endpoint that did not change is written and digested once; one that did, twice.
//! Memory: some 200 bytes for each endpoint.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};

use serde::Serialize;
use serde_json::{Map, Value};

use super::endpoint::Endpoint;
use super::status::Status;
use crate::traffic::Traffic;

/// What was told last.
#[derive(Default)]
pub(crate) struct Told {
    whole: Digests,
    services: HashMap<Box<str>, ToldService>,
    /// Where endpoints are written to be digested.
    room: Vec<u8>,
}

#[derive(Default)]
struct ToldService {
    own: Digests,
    endpoints: HashMap<Box<str>, ToldEndpoint>,
}

#[derive(Default)]
struct ToldEndpoint {
    /// Of all of it, to be done with those that stay as they are.
    whole: u64,
    own: Digests,
}

/// A digest of the value of each key, in the order of the keys. A document has the same keys each time.
#[derive(Default)]
struct Digests(Vec<u64>);

/// What was told of and is no more.
#[derive(Serialize)]
struct Gone<'a> {
    service: &'a str,
    /// None: the service itself.
    address: Option<&'a str>,
}

impl Told {
    /// What of this is another than before, with the traffic of its services; everything at first.
    pub(crate) fn changes(&mut self, mut status: Status<'_>, traffic: &mut HashMap<&str, Traffic>) -> Value {
        let present: HashSet<&str> = status.services.iter().map(|service| service.name).collect();
        let mut gone: Vec<Value> = Vec::new();
        self.services.retain(|service, _| {
            let stays = present.contains(&**service);
            if !stays {
                gone.push(value(&Gone { service, address: None }));
            }
            stays
        });
        let mut services: Vec<Value> = Vec::new();
        for service in std::mem::take(&mut status.services) {
            services.extend(self.service(service, traffic, &mut gone));
        }
        let mut changed = self.whole.differing(map(&status), &["now_unix_seconds", "uptime_seconds"]);
        // It is empty here, whatever there is.
        changed.remove("services");
        for (name, list) in [("services", services), ("gone", gone)] {
            if !list.is_empty() {
                changed.insert(name.to_owned(), Value::Array(list));
            }
        }
        Value::Object(changed)
    }

    /// What is new about one service, if anything.
    fn service(
        &mut self,
        mut service: super::status::Service<'_>,
        traffic: &mut HashMap<&str, Traffic>,
        gone: &mut Vec<Value>,
    ) -> Option<Value> {
        let name = service.name;
        let endpoints = std::mem::take(&mut service.endpoints);
        let known = self.services.entry(name.into()).or_default();
        let present: HashSet<&str> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        known.endpoints.retain(|address, _| {
            let stays = present.contains(&**address);
            if !stays {
                gone.push(value(&Gone { service: name, address: Some(address) }));
            }
            stays
        });
        let room = &mut self.room;
        let changed = |endpoint: &Endpoint<'_>| {
            known.endpoints.entry(endpoint.address.into()).or_default().changes(endpoint, room)
        };
        let endpoints: Vec<Value> = endpoints.iter().filter_map(changed).collect();
        let mut all = map(&service);
        all.remove("endpoints");
        all.insert("traffic".to_owned(), value(&traffic.remove(name).unwrap_or_default()));
        let mut changed = known.own.differing(all, &["name"]);
        if !endpoints.is_empty() {
            changed.insert("endpoints".to_owned(), Value::Array(endpoints));
        }
        // Its name alone is no news.
        (changed.len() > 1).then_some(Value::Object(changed))
    }
}

impl ToldEndpoint {
    fn changes(&mut self, endpoint: &Endpoint<'_>, room: &mut Vec<u8>) -> Option<Value> {
        room.clear();
        // Writing to memory does not fail, and all keys are text.
        serde_json::to_writer(&mut *room, endpoint).ok()?;
        let whole = digest(room);
        if std::mem::replace(&mut self.whole, whole) == whole {
            return None;
        }
        Some(Value::Object(self.own.differing(map(endpoint), &["address"])))
    }
}

impl Digests {
    /// The keys whose value is another than before, and these.
    fn differing(&mut self, all: Map<String, Value>, always: &[&str]) -> Map<String, Value> {
        let before = std::mem::take(&mut self.0);
        let mut changed = Map::new();
        for (index, (key, value)) in all.into_iter().enumerate() {
            let digest = digest(value.to_string().as_bytes());
            self.0.push(digest);
            if before.get(index) != Some(&digest) || always.contains(&&*key) {
                changed.insert(key, value);
            }
        }
        changed
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

fn value(of: &impl Serialize) -> Value {
    // Numbers that are none, and maps whose keys are no text, cannot be written; there are none.
    serde_json::to_value(of).unwrap_or_default()
}

fn map(of: &impl Serialize) -> Map<String, Value> {
    match value(of) {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
