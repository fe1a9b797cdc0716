//! Bounds the images worked on at once, the memory they take, and those that wait.
//!
//! In: jobs. Out: their results and how long they waited. Cost: three semaphores, first come, first served.
//! A job whose client leaves while it waits is dropped there; one that runs keeps its worker until it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::budget::Budget;
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
    /// What the images being worked on may take. Asked for by those who have a hand, so that what is set aside is in use.
    memory: Budget,
    total_places: usize,
    running: Arc<AtomicUsize>,
    abandoned: AtomicU64,
}

/// What came of a job.
#[derive(Debug)]
pub(super) struct Finished<T> {
    /// What it gave.
    pub(super) result: T,
    /// How long it waited for a worker and for memory.
    pub(super) waited: Duration,
    /// The memory its result may still take of what was set aside for it.
    pub(super) memory: OwnedSemaphorePermit,
}

impl Workers {
    /// `workers` at once, of which there is at least one, and `queue` waiting; `memory` bytes for those at work.
    pub(super) fn new(workers: usize, queue: usize, memory: u64) -> Self {
        let hands = workers.clamp(1, Semaphore::MAX_PERMITS / 2);
        let places = hands.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(places)),
            hands: Arc::new(Semaphore::new(hands)),
            memory: Budget::new(memory),
            total_places: places,
            running: Arc::new(AtomicUsize::new(0)),
            abandoned: AtomicU64::new(0),
        }
    }

    /// Images being worked on.
    pub(super) fn running(&self) -> usize {
        self.running.load(Relaxed)
    }

    /// The memory for images being worked on.
    pub(super) fn memory(&self) -> &Budget {
        &self.memory
    }

    /// Images waiting, for a worker or for memory. A hint: the two counts it comes from are read one after the other.
    pub(super) fn waiting(&self) -> usize {
        (self.total_places - self.places.available_permits()).saturating_sub(self.running())
    }

    /// Images whose client left while they waited.
    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned.load(Relaxed)
    }

    /// Runs `job`, which may take `bytes` of memory, on a worker, after waiting for both.
    ///
    /// # Errors
    /// [`Refusal::KernelMemory`] at once when it could never have so much, [`Refusal::QueueFull`] at once when there is
    /// no place to wait, [`Refusal::Internal`] when the job panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        bytes: u64,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Finished<T>, Refusal> {
        let mut watch = Stopwatch::start();
        let need = self.memory.need(bytes)?;
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refusal::QueueFull)?;
        let closed = |_| Refusal::Internal { why: "the workers are gone".to_owned() };
        let waits = Waits { abandoned: &self.abandoned };
        let hand = Arc::clone(&self.hands).acquire_owned().await.map_err(closed)?;
        let memory = self.memory.take(need).await?;
        std::mem::forget(waits);
        let waited = watch.lap();
        let running = Running::begin(&self.running);
        let done = tokio::task::spawn_blocking(move || {
            let result = job();
            // Given back by the job, not by the request: a request that is dropped leaves its job running.
            drop((running, hand, place));
            (result, memory)
        });
        match done.await {
            Ok((result, memory)) => Ok(Finished { result, waited, memory }),
            Err(error) => {
                tracing::error!("a job failed: {error}");
                Err(Refusal::Internal { why: "the kernel panicked".to_owned() })
            }
        }
    }
}

/// Counts a job for as long as it runs.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
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
