//! The last failures of one endpoint, for whoever asks why it is where it is.
//!
//! In: each failure with who saw it. Out: the newest [`KEPT`]. Cost: a lock and a few words for a failure, nothing for
//! anything else, and no memory before the first one. No decision reads it: those are `verdict.rs`.

use std::borrow::Cow;
use std::collections::VecDeque;
// Not `crate::sync`: nothing waits for it, so that there is nothing for the model checker to find.
use std::sync::{Mutex, PoisonError};

use crate::Moment;

/// How many are kept: what ejects by default, and as many before.
const KEPT: usize = 6;

/// Who saw a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Witness {
    /// A client's exchange.
    Exchange,
    /// A probe.
    Probe,
    /// An operator, who said so.
    Operator,
}

impl Witness {
    /// One word, also the value of metric labels.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Probe => "probe",
            Self::Operator => "operator",
        }
    }
}

/// One failure of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it was noticed.
    pub at: Moment,
    /// Who saw it.
    pub by: Witness,
    /// Which kind it is, as metrics call it: `connect`, `timeout`, `status`, ….
    pub reason: &'static str,
    /// What happened, for people.
    pub text: Cow<'static, str>,
    /// The id of the exchange that saw it.
    pub exchange: Option<Box<str>>,
}

/// The newest failures of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    pub(crate) fn push(&self, failure: Failure) {
        self.with(|failures| {
            if failures.len() == KEPT {
                failures.pop_front();
            }
            failures.push_back(failure);
        });
    }

    /// Newest first.
    pub(crate) fn newest(&self) -> Vec<Failure> {
        self.with(|failures| failures.iter().rev().cloned().collect())
    }

    fn with<T>(&self, change: impl FnOnce(&mut VecDeque<Failure>) -> T) -> T {
        // A panic under the lock would leave a list that is whole.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
