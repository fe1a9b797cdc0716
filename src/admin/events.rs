//! `GET /api/events`: the status as it changes, for as long as someone looks.
//!
//! In: the status once a second. Out: server-sent events (WHATWG HTML, 9.2): `whole` first, then `change`, which has of
//! the endpoints only those that are another than before. Cost: a status a second for each who looks, made away from
//! the threads that serve; so few may look at once.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Admin;
use super::answer::Mistake;
use super::reloads::Configuration;
use super::status::{self, Parts, Status};
use super::times::Times;
use crate::traffic::{self, Traffic};

/// How often.
const PERIOD: Duration = Duration::from_secs(1);
/// How many may look at once.
pub(crate) const LOOKERS: usize = 16;

/// What one who looks was told.
struct Looker {
    admin: Arc<Admin>,
    times: Times,
    /// A digest of each endpoint, by service and address.
    told: HashMap<Box<str>, HashMap<Box<str>, u64>>,
    first: bool,
    ticks: Interval,
    _place: OwnedSemaphorePermit,
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
pub(crate) async fn events(State(admin): State<Arc<Admin>>) -> Result<Response, Mistake> {
    let Ok(place) = Arc::clone(&admin.lookers).try_acquire_owned() else {
        let error = format!("{LOOKERS} look already");
        return Err(Mistake::new(StatusCode::SERVICE_UNAVAILABLE, error, "close a page, or ask GET /api/status"));
    };
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let times = Times::read(admin.clock);
    let looker = Looker { admin, times, told: HashMap::new(), first: true, ticks, _place: place };
    let events = futures_util::stream::unfold(looker, |mut looker| async move {
        looker.ticks.tick().await;
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
            work: admin.proxy.work_reports(&snapshot),
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
