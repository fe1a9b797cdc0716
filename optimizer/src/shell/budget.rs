//! The memory that all images being worked on may take together.
//!
//! In: how many bytes an image may take at most. Out: a permit for as many, sooner or later. Cost: one semaphore.
//! First come, first served: a large image waits until enough is free, and nobody overtakes it, so small ones do not
//! starve it. What could never fit is refused instead of waiting for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::refusal::Refusal;

/// Bytes a permit stands for: a semaphore gives at most 2^32 permits to one.
const UNIT: u64 = 1024;

/// A number of bytes, given out and taken back.
#[derive(Debug)]
pub(super) struct Budget {
    units: Arc<Semaphore>,
    total: u64,
    waits: AtomicU64,
}

/// Units that fit in the budget they were asked of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need(u32);

impl Budget {
    /// A budget of `bytes`, in steps of 1 KiB.
    pub(super) fn new(bytes: u64) -> Self {
        let most = u64::try_from(Semaphore::MAX_PERMITS).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
        let total = (bytes / UNIT).min(most);
        let units = Arc::new(Semaphore::new(usize::try_from(total).unwrap_or(Semaphore::MAX_PERMITS)));
        Self { units, total, waits: AtomicU64::new(0) }
    }

    /// All of it, in bytes.
    pub(super) fn limit(&self) -> u64 {
        self.total * UNIT
    }

    /// Bytes given out at this moment.
    pub(super) fn used(&self) -> u64 {
        (self.total - self.units.available_permits() as u64) * UNIT
    }

    /// How many times somebody had to wait.
    pub(super) fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }

    /// What `bytes` are in this budget.
    ///
    /// # Errors
    /// [`Refusal::KernelMemory`] when they are more than all of it.
    pub(super) fn need(&self, bytes: u64) -> Result<Need, Refusal> {
        let units = bytes.div_ceil(UNIT);
        let fits = u32::try_from(units).ok().filter(|_| units <= self.total);
        fits.map(Need).ok_or(Refusal::KernelMemory { needed: bytes, limit: self.limit() })
    }

    /// Takes what is needed, after waiting for those who came before and for enough to be free.
    ///
    /// # Errors
    /// [`Refusal::Internal`] when the budget is gone, which it never is.
    pub(super) async fn take(&self, Need(units): Need) -> Result<OwnedSemaphorePermit, Refusal> {
        // Tried first, because the semaphore does not tell whether it made anybody wait. It refuses those who would
        // overtake somebody, too.
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Ok(permit);
        }
        self.waits.fetch_add(1, Relaxed);
        let gone = |_| Refusal::Internal { why: "the memory for images is gone".to_owned() };
        Arc::clone(&self.units).acquire_many_owned(units).await.map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn now<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_could_never_fit_is_refused_and_what_fits_exactly_is_not() {
        let budget = Budget::new(10 * UNIT);
        assert!(matches!(budget.need(10 * UNIT + 1), Err(Refusal::KernelMemory { limit: 10_240, .. })));
        assert!(matches!(Budget::new(u64::MAX).need(u64::MAX), Err(Refusal::KernelMemory { .. })));
        assert!(budget.need(10 * UNIT).is_ok());
    }

    #[test]
    fn nobody_overtakes_a_large_image_that_waits() {
        let budget = Budget::new(10 * UNIT);
        let (small, large) = (budget.need(4 * UNIT).unwrap(), budget.need(10 * UNIT).unwrap());
        let Poll::Ready(Ok(first)) = now(budget.take(small)) else { panic!("there was room") };
        let mut waits = pin!(budget.take(large));
        let mut context = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut context).is_pending());
        let mut late = pin!(budget.take(small));
        assert!(late.as_mut().poll(&mut context).is_pending(), "six units are free, and not for those who come late");
        assert_eq!((budget.used(), budget.waits()), (10 * UNIT, 2));
        drop(first);
        let Poll::Ready(Ok(second)) = waits.as_mut().poll(&mut context) else { panic!("all is free") };
        assert!(late.as_mut().poll(&mut context).is_pending());
        drop(second);
        assert!(late.as_mut().poll(&mut context).is_ready());
    }

    #[test]
    fn one_who_leaves_while_waiting_gives_back_what_was_set_aside() {
        let budget = Budget::new(10 * UNIT);
        let Poll::Ready(Ok(held)) = now(budget.take(budget.need(UNIT).unwrap())) else { panic!("there was room") };
        assert!(now(budget.take(budget.need(10 * UNIT).unwrap())).is_pending());
        assert_eq!(budget.used(), UNIT);
        drop(held);
        assert_eq!(budget.used(), 0);
    }
}
