//! An emulated endpoint: real HTTP, and work that is waited for instead of done, so that a fleet of eight cores fits on two.
//!
//! In: requests that say their own work in `X-Work-Ms`, a field that no contender looks at. Out: 200 with `Server-Timing:
//! work;dur=MS` (how long an idle endpoint takes), `X-Endpoint: NUMBER`, and how many it has served; `GET /healthz` is
//! answered at once. A request is read whole before its work begins, and stops working when its client leaves.
//! Cost: one thread, which sleeps until the next job is done: the runtime's own timers go in milliseconds, and a core that
//! idles for one after each job would be a slower endpoint for those who queue.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::cores::{Cores, Discipline};
use crate::rig::clock;

/// The field in which a request says its work, in milliseconds.
pub(crate) const WORK: &str = "x-work-ms";
/// The field in which an answer says its endpoint's number.
pub(crate) const NUMBER: &str = "x-endpoint";
/// How long an idle thread of an endpoint waits before it looks again; only the end of the endpoint hurries it.
const IDLE: Duration = Duration::from_hours(1);

/// What an endpoint is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plan {
    /// Its cores.
    pub(crate) cores: u32,
    /// Its share relative to the others, as the contenders are told.
    pub(crate) weight: u16,
    /// How many times longer than ordinary it takes.
    pub(crate) slowness: f64,
}

impl Plan {
    /// Seconds of ordinary work that it does per second.
    pub(crate) fn capacity(&self) -> f64 {
        f64::from(self.cores) / self.slowness
    }
}

/// A running endpoint; ends, with its connections and its jobs, when dropped, as if it had been killed.
pub(crate) struct Endpoint {
    address: SocketAddr,
    served: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    /// Serves on `port` of the loopback address; on a free one when it is 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub(crate) async fn start(number: usize, port: u16, plan: Plan, discipline: Discipline) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let (jobs, inbox) = channel();
        std::thread::Builder::new()
            .name(format!("endpoint-{number}"))
            .spawn(move || work(&inbox, Cores::new(discipline, plan.cores, plan.slowness)))?;
        let served = Arc::new(AtomicU64::new(0));
        let desk = Desk { number, slowness: plan.slowness, jobs, served: served.clone(), next: Arc::default() };
        let accepting = tokio::spawn(accept(listener, desk));
        Ok(Self { address, served, accepting })
    }

    /// Where it serves.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many jobs it has done so far, whether anybody still wanted the answer or not.
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Relaxed)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

enum Message {
    Begin { ticket: u64, work: Duration, done: oneshot::Sender<()> },
    Leave { ticket: u64 },
}

/// Runs the cores in real time, until nobody can send jobs any more.
fn work(inbox: &Receiver<Message>, mut cores: Cores<(u64, oneshot::Sender<()>)>) {
    let start = clock::now();
    let mut numbers = std::collections::HashMap::new();
    loop {
        let pause = cores.next().map_or(IDLE, |at| {
            let at = Duration::from_secs_f64(at / 1e9);
            at.saturating_sub(start.elapsed())
        });
        let message = match inbox.recv_timeout(pause) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = nanos(start.elapsed());
        while let Some((_, (ticket, done))) = cores.done(now) {
            numbers.remove(&ticket);
            // Nobody waits for it any more: the message that says so is on its way.
            done.send(()).unwrap_or_default();
        }
        match message {
            Some(Message::Begin { ticket, work, done }) => {
                numbers.insert(ticket, cores.begin(now, nanos(work), (ticket, done)));
            }
            Some(Message::Leave { ticket }) => {
                if let Some(number) = numbers.remove(&ticket) {
                    cores.leave(now, number);
                }
            }
            None => {}
        }
    }
}

fn nanos(span: Duration) -> f64 {
    span.as_secs_f64() * 1e9
}

/// What every connection of an endpoint shares.
#[derive(Clone)]
struct Desk {
    number: usize,
    slowness: f64,
    jobs: Sender<Message>,
    served: Arc<AtomicU64>,
    next: Arc<AtomicU64>,
}

async fn accept(listener: TcpListener, desk: Desk) {
    let mut connections = JoinSet::new();
    // An error of accept ends it; the load then sees what its contender makes of that, and says so.
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        if stream.set_nodelay(true).is_err() {
            continue;
        }
        let desk = desk.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| {
                let desk = desk.clone();
                async move { Ok::<_, Infallible>(desk.answer(request).await) }
            });
            // How a connection ends is the contender's affair.
            http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await.unwrap_or_default();
        });
    }
}

/// Takes a job off its endpoint when nobody waits for the answer any more.
struct Hold {
    jobs: Sender<Message>,
    ticket: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // The endpoint may have ended; then so has the job.
        self.jobs.send(Message::Leave { ticket: self.ticket }).unwrap_or_default();
    }
}

impl Desk {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/healthz" {
            return plain(StatusCode::OK, "ok\n");
        }
        let field = request.headers().get(WORK).and_then(|value| value.to_str().ok());
        let work = field.and_then(|text| text.parse::<f64>().ok()).filter(|ms| (0.0..1e9).contains(ms));
        let Some(ms) = work else { return plain(StatusCode::BAD_REQUEST, "no X-Work-Ms\n") };
        if request.into_body().collect().await.is_err() {
            return plain(StatusCode::BAD_REQUEST, "the body broke off\n");
        }
        let (done, wait) = oneshot::channel();
        let ticket = self.next.fetch_add(1, Relaxed);
        let begin = Message::Begin { ticket, work: Duration::from_secs_f64(ms / 1e3), done };
        if self.jobs.send(begin).is_err() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the endpoint has ended\n");
        }
        let hold = Hold { jobs: self.jobs.clone(), ticket };
        if wait.await.is_err() {
            return plain(StatusCode::SERVICE_UNAVAILABLE, "the endpoint has ended\n");
        }
        drop(hold);
        self.served.fetch_add(1, Relaxed);
        let mut response = plain(StatusCode::OK, "watermarked\n");
        let timing = format!("work;dur={:.3}", ms * self.slowness);
        for (name, value) in [("server-timing", timing), (NUMBER, self.number.to_string())] {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}

/// The moment `span` after `start`.
pub(crate) fn after(start: Instant, span: Duration) -> tokio::time::Instant {
    tokio::time::Instant::from_std(start + span)
}
