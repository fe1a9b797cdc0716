//! `GET /api/events`: the status as it changes, for as long as someone looks.
//!
//! In: the status once a second. Out: server-sent events (WHATWG HTML, 9.2): `whole` first, then `change`, which has only
//! what is another than before (`told.rs`), each service with its `traffic`. `gone` lists endpoints that have left, and, with
//! no address, services. Cost: a status a second for each who looks, made away from the threads that serve; so few may
//! look at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
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
/// How long one who looks may leave an event unread before the place is another's: far longer than a page that lives.
const PATIENCE: Duration = Duration::from_secs(15);
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
    let (send, receive) = mpsc::channel(1);
    tokio::spawn(tell(looker, Looker::next, send));
    let events = futures_util::stream::unfold(receive, |mut receive: mpsc::Receiver<String>| async move {
        receive.recv().await.map(|event| (Ok::<_, std::convert::Infallible>(event), receive))
    });
    let mut answer = Response::new(Body::from_stream(events));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}

/// Tells one event after the other until nobody hears them. By a task of its own, because an answer that is not read is not
/// asked for more either, and would keep its place for ever.
async fn tell<L, Next>(mut looker: L, next: impl Fn(L) -> Next, send: mpsc::Sender<String>)
where
    Next: Future<Output = Option<(String, L)>>,
{
    loop {
        let told = tokio::select! {
            told = next(looker) => told,
            () = send.closed() => return,
        };
        let Some((event, back)) = told else { return };
        looker = back;
        if send.send_timeout(event, PATIENCE).await.is_err() {
            return;
        }
    }
}

impl Looker {
    /// The next event, when it is time for it. A panic gives none: it ends this answer, and the page asks anew.
    async fn next(mut self) -> Option<(String, Self)> {
        self.ticks.tick().await;
        let told = tokio::task::spawn_blocking(move || {
            let event = self.event();
            (event, self)
        });
        told.await.ok()
    }

    fn event(&mut self) -> String {
        let Self { admin, times, told, first, .. } = self;
        // Not read anew: the two clocks differ a little each time, and every endpoint would seem to have changed.
        *times = times.later(admin.clock.now());
        let snapshot = admin.reader.load();
        let report = admin.report();
        let parts = Parts {
            times: *times,
            started_unix_seconds: admin.started_unix_seconds,
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

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Tells numbers, one each second, and holds the place.
    async fn numbers((number, place): (u32, OwnedSemaphorePermit)) -> Option<(String, (u32, OwnedSemaphorePermit))> {
        tokio::time::sleep(PERIOD).await;
        Some((number.to_string(), (number + 1, place)))
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_keeps_no_place() {
        let places = Arc::new(Semaphore::new(1));
        let place = || Arc::clone(&places).try_acquire_owned().unwrap();
        let (send, mut receive) = mpsc::channel(1);
        let telling = tokio::spawn(tell((0, place()), numbers, send));
        for expected in ["0", "1", "2"] {
            assert_eq!(receive.recv().await.unwrap(), expected);
        }
        // Still connected, but not reading.
        telling.await.unwrap();
        drop(place());
        let (send, receive) = mpsc::channel(1);
        let telling = tokio::spawn(tell((0, place()), numbers, send));
        drop(receive);
        telling.await.unwrap();
        drop(place());
    }
}
