//! Request bodies that are held whole, and the memory they may take together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};

/// The bytes that all held bodies may take together. A clone is the same budget.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Ledger>);

#[derive(Debug)]
struct Ledger {
    used: AtomicU64,
    limit: AtomicU64,
}

/// Bytes taken from a [`Budget`]; given back on drop.
#[derive(Debug)]
struct Share {
    budget: Budget,
    bytes: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self(Arc::new(Ledger { used: AtomicU64::new(0), limit: AtomicU64::new(limit) }))
    }

    /// Bytes taken now.
    pub(crate) fn used(&self) -> u64 {
        self.0.used.load(Relaxed)
    }

    /// From now on bodies take no more than this together; what is held already stays.
    pub(crate) fn change(&self, limit: u64) {
        self.0.limit.store(limit, Relaxed);
    }

    fn take(&self, bytes: u64) -> bool {
        // Relaxed: the sum is exact whatever the order, and nothing else is published by it.
        let limit = self.0.limit.load(Relaxed);
        let fits = |used: u64| used.checked_add(bytes).filter(|&sum| sum <= limit);
        self.0.used.fetch_update(Relaxed, Relaxed, fits).is_ok()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.0.used.fetch_sub(self.bytes, Relaxed);
    }
}

/// A request body, or its beginning, in memory.
///
/// A list of chunks rather than one buffer: nothing is copied when it grows, and to send it again costs references.
#[derive(Debug)]
pub(crate) struct Held {
    chunks: Vec<Bytes>,
    /// Small pieces gather here: a client may send a megabyte in chunks of one byte.
    tail: BytesMut,
    length: u64,
    share: Share,
    limit: u64,
}

/// Pieces smaller than this are gathered.
const SMALL: usize = 16 * 1024;

impl Held {
    /// An empty one that will hold `limit` bytes at most.
    pub(crate) fn new(budget: &Budget, limit: u64) -> Self {
        Self {
            chunks: Vec::new(),
            tail: BytesMut::new(),
            length: 0,
            share: Share { budget: budget.clone(), bytes: 0 },
            limit,
        }
    }

    /// Whether a body of this length may be held at all.
    pub(crate) fn may_hold(&self, length: u64) -> bool {
        length <= self.limit
    }

    /// Sets memory for `bytes` in all aside; `false` when they exceed the limit or the budget.
    pub(crate) fn reserve(&mut self, bytes: u64) -> bool {
        if bytes > self.limit {
            return false;
        }
        let more = bytes.saturating_sub(self.share.bytes);
        if !self.share.budget.take(more) {
            return false;
        }
        self.share.bytes += more;
        true
    }

    /// Counts what is held, whatever the limit: at most one read's worth beyond it.
    pub(crate) fn reserve_anyway(&mut self) {
        let more = self.length.saturating_sub(self.share.bytes);
        self.share.budget.0.used.fetch_add(more, Relaxed);
        self.share.bytes += more;
    }

    /// Adds a piece whatever the limits: what was read must go somewhere.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        if piece.len() < SMALL {
            self.tail.extend_from_slice(&piece);
            if self.tail.len() >= SMALL {
                self.chunks.push(self.tail.split().freeze());
            }
        } else {
            self.flush();
            self.chunks.push(piece);
        }
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// Ends the growth.
    pub(crate) fn finish(&mut self) {
        self.flush();
    }

    /// Bytes held.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// The pieces, for one try.
    pub(crate) fn pieces(&self) -> VecDeque<Bytes> {
        let tail = (!self.tail.is_empty()).then(|| Bytes::copy_from_slice(&self.tail));
        self.chunks.iter().cloned().chain(tail).collect()
    }

    /// The pieces, for reading.
    pub(crate) fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_comes_back_whole() {
        let budget = Budget::new(100);
        let mut first = Held::new(&budget, 100);
        let mut second = Held::new(&budget, 100);
        assert!(first.reserve(60));
        assert!(!second.reserve(41));
        assert!(second.reserve(40));
        assert!(!first.reserve(61));
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_byte_pieces_become_few_chunks_with_the_same_bytes() {
        let budget = Budget::new(1 << 20);
        let mut held = Held::new(&budget, 1 << 20);
        let sent: Vec<u8> = (0..100_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
        for byte in &sent {
            held.push(Bytes::copy_from_slice(&[*byte]));
        }
        held.finish();
        assert!(held.chunks().len() < 10);
        assert_eq!(held.chunks().concat(), sent);
        assert_eq!(held.len(), 100_000);
    }
}
