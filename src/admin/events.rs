//! `GET /api/events`: the status as it changes, for as long as someone looks.
//!
//! In: the status once a second. Out: server-sent events (WHATWG HTML, 9.2): `whole` first, then `change`, which has only
//! what is another than before (`told.rs`), each service with its `traffic`. `gone` lists endpoints that have left, and, with
//! no address, services. Cost: a status a second for each who looks, made away from the threads that serve; so few may
//! look at once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Admin;
use super::answer::Mistake;
use super::reloads::Configuration;
use super::status::{self, Parts};
use super::times::Times;
use super::told::Told;
use crate::traffic;

/// How often.
const PERIOD: Duration = Duration::from_secs(1);
/// How many may look at once.
pub(crate) const LOOKERS: usize = 16;

/// One who looks.
struct Looker {
    admin: Arc<Admin>,
    times: Times,
    told: Told,
    first: bool,
    ticks: Interval,
    _place: OwnedSemaphorePermit,
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
    let looker = Looker { admin, times, told: Told::default(), first: true, ticks, _place: place };
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
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
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
        let text = admin.exposition.of_services();
        let data = told.changes(status::status(&parts, None), &mut traffic::by_service(&text));
        let name = if std::mem::take(first) { "whole" } else { "change" };
        // Written by serde_json, so that no line of it ends before the last.
        format!("event: {name}\ndata: {data}\n\n")
    }
}
