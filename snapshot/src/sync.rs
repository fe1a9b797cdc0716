//! The atomics and the lock that this crate shares state with: std's, or loom's when the model checker runs.
//!
//! `RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p weir-snapshot --release --test loom` tries every
//! interleaving (up to two forced switches) of the cases in `tests/loom.rs`. Use a target folder of its own.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
