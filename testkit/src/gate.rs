//! Holds a scripted endpoint until the test says go.
//!
//! In: [`Gate::open`]. Out: everyone waiting goes on. It replaces sleeping: the test decides when the delay ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::deadline::{Deadline, PATIENCE};

/// A door that starts closed and, once opened, stays open. Clones are the same door.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    open: AtomicBool,
    waiting: Mutex<usize>,
    changed: Condvar,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self::default()
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.0.open.store(true, Ordering::SeqCst);
    }

    /// Whether [`Gate::open`] was called.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::SeqCst)
    }

    /// Waits until `count` exchanges have arrived at the gate, in total. Panics after [`PATIENCE`].
    pub fn wait_for_arrivals(&self, count: usize) {
        let deadline = Deadline::after(PATIENCE);
        let mut waiting = self.0.waiting.lock().unwrap();
        while *waiting < count {
            let Some(left) = deadline.left() else {
                panic!("{waiting} of {count} exchanges arrived at the gate within {PATIENCE:?}", waiting = *waiting)
            };
            waiting = self.0.changed.wait_timeout(waiting, left).unwrap().0;
        }
    }

    pub(crate) fn arrive(&self) {
        *self.0.waiting.lock().unwrap() += 1;
        self.0.changed.notify_all();
    }
}
