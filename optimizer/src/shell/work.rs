//! Bounds the images worked on at once, and those that wait.
//!
//! In: jobs. Out: their results and how long they waited and worked. Cost: two semaphores, first come, first served.
//! A job whose client leaves while it waits is dropped there; one that runs keeps its worker until it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::refusal::Refusal;

/// Measures stretches of time. The only place here that reads a clock.
#[derive(Debug)]
pub(super) struct Stopwatch {
    last: Instant,
}

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this is the place that reads time")]
    pub(super) fn start() -> Self {
        Self { last: Instant::now() }
    }

    /// The time since the start or the last lap.
    pub(super) fn lap(&mut self) -> Duration {
        let before = std::mem::replace(self, Self::start());
        self.last.saturating_duration_since(before.last)
    }
}

/// A bounded crew with a bounded queue.
#[derive(Debug)]
pub(super) struct Workers {
    /// One permit per image that may be here, worked on or waiting.
    places: Arc<Semaphore>,
    /// One permit per image that may be worked on.
    hands: Arc<Semaphore>,
    total_places: usize,
    total_hands: usize,
    abandoned: AtomicU64,
}

impl Workers {
    /// `workers` at once, of which there is at least one, and `queue` waiting.
    pub(super) fn new(workers: usize, queue: usize) -> Self {
        let hands = workers.clamp(1, Semaphore::MAX_PERMITS / 2);
        let places = hands.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            hands: Arc::new(Semaphore::new(hands)),
            total_places: places,
            total_hands: hands,
            abandoned: AtomicU64::new(0),
        }
    }

    /// Images being worked on.
    pub(super) fn running(&self) -> usize {
        self.total_hands - self.hands.available_permits()
    }

    /// Images waiting. A hint: the two counts it comes from are read one after the other.
    pub(super) fn waiting(&self) -> usize {
        (self.total_places - self.places.available_permits()).saturating_sub(self.running())
    }

    /// Images whose client left while they waited.
    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }

    /// Runs `job` on a worker, after waiting for one; gives back how long it waited too.
    ///
    /// # Errors
    /// [`Refusal::QueueFull`] at once when there is no place to wait, [`Refusal::Internal`] when the job panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(T, Duration), Refusal> {
        let mut watch = Stopwatch::start();
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::QueueFull)?;
        let closed = |_| Refusal::Internal { why: "the workers are gone".to_owned() };
        let waits = Waits { abandoned: &self.abandoned };
        let hand = Arc::clone(&self.hands).acquire_owned().await.map_err(closed)?;
        std::mem::forget(waits);
        let waited = watch.lap();
        let done = tokio::task::spawn_blocking(move || {
            let result = job();
            // Given back by the job, not by the request: a request that is dropped leaves its job running.
            drop((hand, place));
            result
        });
        match done.await {
            Ok(result) => Ok((result, waited)),
            Err(error) => {
                tracing::error!("a job failed: {error}");
                Err(Refusal::Internal { why: "the kernel panicked".to_owned() })
            }
        }
    }
}

/// Dropped while a job waits: then nobody waits for the job.
struct Waits<'a> {
    abandoned: &'a AtomicU64,
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.abandoned.fetch_add(1, Relaxed);
    }
}
