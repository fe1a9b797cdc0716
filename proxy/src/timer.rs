//! One timer per connection, for whatever it waits for at the moment.
//!
//! Deadlines mostly move away: each read renews one. So the timer is armed for the first and, when it fires too early,
//! for the one that holds by then; a short exchange arms it once at most.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;
use weir_snapshot::{Clock, Moment};

/// A timer that a task polls with its deadline of the moment.
pub(crate) struct Timer {
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
    armed: Moment,
}

impl Timer {
    /// A timer that costs nothing before it is polled.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, sleep: None, armed: Moment::from_nanos(u64::MAX) }
    }

    /// The clock it runs on.
    pub(crate) fn now(&self) -> Moment {
        self.clock.now()
    }

    /// Ready when it is `deadline`.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, deadline: Moment) -> Poll<()> {
        loop {
            if self.clock.now() >= deadline {
                return Poll::Ready(());
            }
            let instant = self.clock.instant(deadline);
            let sleep = self.sleep.get_or_insert_with(|| {
                self.armed = deadline;
                Box::pin(tokio::time::sleep_until(instant))
            });
            if self.armed > deadline || sleep.is_elapsed() {
                sleep.as_mut().reset(instant);
                self.armed = deadline;
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
