//! An open loop: requests leave when the trace says, whatever became of those before.
//!
//! In: an address, a trace. Out: one [`Record`] per job. A latency is counted from the moment at which the trace wanted the request
//! sent, not from when it was: a load that falls behind makes its contender look worse, never better, and
//! [`Record::late`] tells by how much. Cost: one thread that sleeps between arrivals, since the runtime's timers go in
//! milliseconds; one task per request in flight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Answer, Client};
use super::endpoint::WORK;
use super::picture::jpeg;
use super::trace::{Job, Picture, Trace};
use crate::error::chain;
use crate::rig::clock;

/// How long the last answers may take after the last arrival: longer than every timeout of every contender.
const PATIENCE: Duration = Duration::from_secs(90);

/// What became of one job.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// From the moment it was to be sent to the last byte of its answer.
    pub(crate) latency: Duration,
    /// How much later than wanted it was sent.
    pub(crate) late: Duration,
    /// Its answer, or why there is none.
    pub(crate) outcome: Result<Answer, String>,
}

/// What is sent: the path, and the photos that jobs name.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) path: &'static str,
    pub(crate) photos: Vec<Bytes>,
}

impl Target {
    /// The request of a job.
    pub(crate) fn request(&self, job: &Job) -> Result<Request<Full<Bytes>>, String> {
        let body = match job.picture {
            Picture::Drawn { width, height, bytes } => jpeg(width, height, bytes),
            Picture::Photo(number) => self.photos.get(number).cloned().unwrap_or_default(),
        };
        let request = Request::post(self.path).header("host", "bench.example").header("content-type", "image/jpeg");
        let request = request.header(WORK, format!("{:.3}", job.work.as_secs_f64() * 1e3));
        request.body(Full::new(body)).map_err(|error| error.to_string())
    }
}

/// Sends all of `trace` to `address` from `start` on, and waits for all answers.
///
/// # Errors
/// Words, when the load itself failed.
pub(crate) async fn run(
    address: SocketAddr,
    trace: Arc<Trace>,
    target: Arc<Target>,
    start: Instant,
) -> Result<Vec<Record>, String> {
    let client = Arc::new(Client::new(address));
    let (due, mut next) = unbounded_channel();
    let pacer = trace.clone();
    std::thread::Builder::new()
        .name("arrivals".to_owned())
        .spawn(move || {
            for (number, job) in pacer.jobs.iter().enumerate() {
                clock::pause((start + job.at).saturating_duration_since(clock::now()));
                if due.send(number).is_err() {
                    return;
                }
            }
        })
        .map_err(|error| error.to_string())?;
    let mut running = JoinSet::new();
    while let Some(number) = next.recv().await {
        let Some(job) = trace.jobs.get(number).copied() else { continue };
        let (client, target) = (client.clone(), target.clone());
        running.spawn(async move { (number, one(&client, &target, &job, start + job.at).await) });
    }
    let mut records: Vec<Option<Record>> = vec![None; trace.jobs.len()];
    let all = async {
        while let Some(done) = running.join_next().await {
            let (number, record) = done.map_err(|error| error.to_string())?;
            if let Some(place) = records.get_mut(number) {
                *place = Some(record);
            }
        }
        Ok::<_, String>(())
    };
    // Those that are missing then have no answer, which is their record.
    if let Ok(result) = timeout(PATIENCE, all).await {
        result?;
    }
    let hung = || Record { latency: PATIENCE, late: Duration::ZERO, outcome: Err("no answer came".to_owned()) };
    Ok(records.into_iter().map(|record| record.unwrap_or_else(hung)).collect())
}

async fn one(client: &Client, target: &Target, job: &Job, intended: Instant) -> Record {
    let late = clock::now().saturating_duration_since(intended);
    let outcome = match target.request(job) {
        Ok(request) => client.ask(request).await.map_err(|failure| chain(&failure)),
        Err(words) => Err(words),
    };
    Record { latency: clock::now().saturating_duration_since(intended), late, outcome }
}
