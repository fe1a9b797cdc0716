//! `GET /api/events`: the status as it changes, for as long as someone looks.
//!
//! In: the status once a second. Out: server-sent events (WHATWG HTML, 9.2): `whole` first, then `change`, which has of
//! the endpoints only those that are another than before. Cost: a status a second for each who looks, made away from
//! the threads that serve; so few may look at once, and who does not read is cut off (`door.rs`).

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Admin;
use super::access::Aim;
use super::answer::Mistake;
use super::door::Peer;
use super::places::of_one;
use super::query::Query;
use super::reloads::Configuration;
use super::status::{self, Parts, Status};
use super::times::Times;
use crate::traffic::{self, Traffic};

/// How often.
const PERIOD: Duration = Duration::from_secs(1);
/// How many may look at once.
const LOOKERS: usize = 16;
/// And how many of them from one address that is not this machine's: here all who come through a tunnel have the same.
const SHARE: usize = LOOKERS / 2;

/// Who looks.
#[derive(Debug, Default)]
pub(crate) struct Lookers(Mutex<Vec<IpAddr>>);

/// A place among them; left when dropped.
#[derive(Debug)]
struct Seat {
    client: IpAddr,
    lookers: Arc<Lookers>,
}

impl Lookers {
    fn take(self: &Arc<Self>, client: IpAddr) -> Result<Seat, Mistake> {
        let client = of_one(client);
        let full = |error: String, help: &'static str| Mistake::new(StatusCode::SERVICE_UNAVAILABLE, error, help);
        let mut all = self.all();
        if all.len() >= LOOKERS {
            let help = "close a page, or look with `weir status --watch` (GET /api/status)";
            return Err(full(format!("{LOOKERS} look already"), help));
        }
        if !client.is_loopback() && all.iter().filter(|other| **other == client).count() >= SHARE {
            let help = "close a page there, or look with `weir status --watch` (GET /api/status)";
            return Err(full(format!("{SHARE} look already from {client}"), help));
        }
        all.push(client);
        Ok(Seat { client, lookers: Arc::clone(self) })
    }

    fn all(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        // Each change is a whole one, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.lookers.all();
        if let Some(index) = all.iter().position(|client| *client == self.client) {
            all.swap_remove(index);
        }
    }
}

/// What one who looks was told.
struct Looker {
    admin: Arc<Admin>,
    /// What it asked with: a token that holds no longer ends this.
    fields: HeaderMap,
    times: Times,
    /// A digest of each endpoint, by service and address.
    told: HashMap<Box<str>, HashMap<Box<str>, u64>>,
    first: bool,
    ticks: Interval,
    _seat: Seat,
}

/// The data of an event.
#[derive(Serialize)]
struct Frame<'a> {
    #[serde(flatten)]
    status: Status<'a>,
    /// Endpoints that were told of and are no more.
    gone: Vec<Gone>,
    traffic: Vec<TrafficOf<'a>>,
}

#[derive(Serialize)]
struct Gone {
    service: Box<str>,
    address: Box<str>,
}

#[derive(Serialize)]
struct TrafficOf<'a> {
    service: &'a str,
    #[serde(flatten)]
    traffic: Traffic,
}

/// `GET /api/events`.
pub(crate) async fn events(
    State(admin): State<Arc<Admin>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Result<Response, Mistake> {
    Query::read(request.uri(), &[], &[])?;
    let seat = admin.lookers.take(peer.ip())?;
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let times = Times::read(admin.clock);
    let fields = request.headers().clone();
    let looker = Looker { admin, fields, times, told: HashMap::new(), first: true, ticks, _seat: seat };
    let events = futures_util::stream::unfold(looker, |mut looker| async move {
        tokio::select! {
            _ = looker.ticks.tick() => {}
            () = looker.admin.over.cancelled() => return None,
        }
        looker.admin.access.check(Aim::Look, &looker.fields).await.ok()?;
        let told = tokio::task::spawn_blocking(move || {
            let event = looker.event();
            (event, looker)
        });
        // A panic ends this answer, and the page asks anew.
        told.await.ok().map(|(event, looker)| (Ok::<_, std::convert::Infallible>(event), looker))
    });
    let mut answer = Response::new(Body::from_stream(events));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

impl Looker {
    fn event(&mut self) -> String {
        let Self { admin, times, told, first, .. } = self;
        // Not read anew: the two clocks differ a little each time, and every endpoint would seem to have changed.
        *times = times.later(admin.clock.now());
        let snapshot = admin.reader.load();
        let report = admin.report();
        let parts = Parts {
            times: *times,
            readiness: admin.readiness(),
            snapshot: &snapshot,
            report: &report,
            listeners: admin.proxy.listeners(),
            work: admin.proxy.work_reports(),
            configuration: Configuration::of(&admin.reloader),
        };
        let mut status = status::status(&parts, None);
        let gone = changes(&mut status, told);
        let text = admin.exposition.of_services();
        let mut traffic = traffic::by_service(&text);
        let traffic = snapshot.pools.iter().map(|pool| {
            let service = &**pool.service();
            TrafficOf { service, traffic: traffic.remove(service).unwrap_or_default() }
        });
        let frame = Frame { status, gone, traffic: traffic.collect() };
        let name = if std::mem::take(first) { "whole" } else { "change" };
        // Written by serde_json, so that no line of it ends before the last.
        let data = serde_json::to_string(&frame).unwrap_or_default();
        format!("event: {name}\ndata: {data}\n\n")
    }
}

/// Leaves of the endpoints those that were told otherwise, and gives those that are gone.
fn changes(status: &mut Status<'_>, told: &mut HashMap<Box<str>, HashMap<Box<str>, u64>>) -> Vec<Gone> {
    let mut gone = Vec::new();
    let services: HashSet<&str> = status.services.iter().map(|service| service.name).collect();
    told.retain(|service, _| services.contains(&**service));
    for service in &mut status.services {
        let known = told.entry(service.name.into()).or_default();
        let present: HashSet<&str> = service.endpoints.iter().map(|endpoint| endpoint.address).collect();
        known.retain(|address, _| {
            let stays = present.contains(&**address);
            if !stays {
                gone.push(Gone { service: service.name.into(), address: address.clone() });
            }
            stays
        });
        service.endpoints.retain(|endpoint| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&serde_json::to_vec(endpoint).unwrap_or_default());
            let digest = hasher.finish();
            known.insert(endpoint.address.into(), digest) != Some(digest)
        });
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_from_elsewhere_holds_every_place_and_who_leaves_makes_room() {
        let lookers = Arc::new(Lookers::default());
        let take = |client: &str| lookers.take(client.parse().unwrap());
        let mut few: Vec<Seat> = (0..SHARE).map(|_| take("10.0.0.1").unwrap()).collect();
        assert!(take("10.0.0.1").unwrap_err().error.contains("from 10.0.0.1"));
        let here: Vec<Seat> = (SHARE..LOOKERS).map(|_| take("127.0.0.1").unwrap()).collect();
        assert_eq!(take("10.0.0.2").unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        few.pop();
        few.push(take("10.0.0.1").unwrap());
        drop(few);
        let all_here: Vec<Seat> = (here.len()..LOOKERS).map(|_| take("::1").unwrap()).collect();
        assert_eq!(all_here.len() + here.len(), LOOKERS);
    }
}
