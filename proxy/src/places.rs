//! How many connections a listener serves at once, which may change while it does.
//!
//! In: a limit. Out: places, one at a time. Cost: a semaphore's; a place given back is one atomic read more.
//! A lower limit closes no connection: places in excess are taken away as they are given back.

use std::sync::atomic::{AtomicUsize, Ordering::AcqRel, Ordering::Acquire};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one listener. A clone is the same places.
#[derive(Clone, Debug)]
pub(crate) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    /// Changes take turns.
    limit: Mutex<usize>,
    /// Places to be taken away once they are given back.
    excess: AtomicUsize,
}

/// One place; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    permit: Option<OwnedSemaphorePermit>,
    places: Places,
}

impl Places {
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            free: Arc::new(Semaphore::new(limit)),
            limit: Mutex::new(limit),
            excess: AtomicUsize::new(0),
        }))
    }

    /// Waits for a place; `None` never comes, for nobody closes the semaphore.
    pub(crate) async fn take(&self) -> Option<Place> {
        Arc::clone(&self.0.free).acquire_owned().await.ok().map(|permit| self.place(permit))
    }

    /// A place, if there is one.
    pub(crate) fn try_take(&self) -> Option<Place> {
        Arc::clone(&self.0.free).try_acquire_owned().ok().map(|permit| self.place(permit))
    }

    /// From now on there are this many.
    pub(crate) fn change(&self, limit: usize) {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        let mut known = self.0.limit.lock().unwrap_or_else(PoisonError::into_inner);
        if limit < *known {
            let fewer = *known - limit;
            let rest = fewer - self.0.free.forget_permits(fewer);
            self.0.excess.fetch_add(rest, AcqRel);
        } else {
            let mut more = limit - *known;
            while more > 0 && self.settle() {
                more -= 1;
            }
            self.0.free.add_permits(more);
        }
        *known = limit;
    }

    /// One place less is in excess; `false` when none was.
    fn settle(&self) -> bool {
        self.0.excess.fetch_update(AcqRel, Acquire, |excess| excess.checked_sub(1)).is_ok()
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        Place { permit: Some(permit), places: self.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take()
            && self.places.settle()
        {
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(places: &Places) -> usize {
        places.0.free.available_permits()
    }

    #[test]
    fn a_lower_limit_takes_places_away_as_they_are_given_back_and_a_higher_one_counts_at_once() {
        let places = Places::new(4);
        let mut taken: Vec<_> = (0..4).map(|_| places.try_take().unwrap()).collect();
        places.change(2);
        taken.pop();
        assert!(places.try_take().is_none(), "three are out, two may be");
        taken.truncate(1);
        assert_eq!(free(&places), 1);
        places.change(5);
        assert_eq!(free(&places), 4);
        drop(taken);
        assert_eq!(free(&places), 5);
    }

    #[test]
    fn what_is_raised_again_before_places_came_back_is_in_excess_no_more() {
        let places = Places::new(3);
        let taken: Vec<_> = (0..3).map(|_| places.try_take().unwrap()).collect();
        places.change(1);
        places.change(3);
        assert_eq!(free(&places), 0);
        drop(taken);
        assert_eq!(free(&places), 3);
    }
}
