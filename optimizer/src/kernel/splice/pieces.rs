//! A file made of parts of another and of new bytes.
//!
//! In: ranges and bytes, in order. Out: slices. Cost: O(pieces), and a copy of what is short: nothing long is copied, nor
//! grown, which would hold it twice.

use std::ops::Range;

use bytes::Bytes;

/// A range shorter than this is copied: a slice and its writing cost about as much.
const SHORT: usize = 512;
/// Bytes that are this long get no more at their end.
const LONG: usize = 64 << 10;

/// The parts, in order.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    done: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Kept(Range<usize>),
    Made(Vec<u8>),
}

impl Pieces {
    /// Adds new bytes.
    pub(super) fn make(&mut self, bytes: Vec<u8>) {
        match self.done.last_mut() {
            _ if bytes.is_empty() => {}
            Some(Piece::Made(last)) if last.len().max(bytes.len()) < LONG => last.extend_from_slice(&bytes),
            _ => self.done.push(Piece::Made(bytes)),
        }
    }

    /// Adds a part of the file.
    pub(super) fn keep(&mut self, range: Range<usize>) {
        match self.done.last_mut() {
            _ if range.is_empty() => {}
            Some(Piece::Kept(last)) if last.end == range.start => last.end = range.end,
            _ => self.done.push(Piece::Kept(range)),
        }
    }

    /// The parts as slices of `file`. Ranges beyond it are cut.
    pub(super) fn slices(self, file: &Bytes) -> Vec<Bytes> {
        let mut slices: Vec<Bytes> = Vec::with_capacity(self.done.len());
        let mut new = Vec::new();
        for piece in self.done {
            match piece {
                Piece::Kept(range) => {
                    let end = range.end.min(file.len());
                    let kept = file.slice(range.start.min(end)..end);
                    if kept.len() < SHORT && new.len() < LONG {
                        new.extend_from_slice(&kept);
                    } else {
                        if !new.is_empty() {
                            slices.push(Bytes::from(std::mem::take(&mut new)));
                        }
                        slices.push(kept);
                    }
                }
                Piece::Made(bytes) if new.is_empty() => new = bytes,
                Piece::Made(bytes) if new.len().max(bytes.len()) < LONG => new.extend_from_slice(&bytes),
                Piece::Made(bytes) => slices.push(Bytes::from(std::mem::replace(&mut new, bytes))),
            }
        }
        if !new.is_empty() {
            slices.push(Bytes::from(new));
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_give_the_bytes_they_were_made_of_and_short_ones_are_joined() {
        let file: Bytes = (0..4000_u32).map(|at| (at % 251) as u8).collect();
        let mut pieces = Pieces::default();
        pieces.make(b"head".to_vec());
        for range in [0..10, 10..20, 20..20, 30..1000, 1000..2000] {
            pieces.keep(range);
        }
        pieces.make(b"new".to_vec());
        pieces.keep(3990..5000);
        let slices = pieces.slices(&file);
        assert_eq!(slices.concat(), [b"head", &file[..20], &file[30..2000], b"new", &file[3990..]].concat());
        assert_eq!(slices.len(), 3);
    }

    #[test]
    fn what_is_long_is_moved_and_never_grown() {
        let mut pieces = Pieces::default();
        let long = vec![1; LONG];
        let at = long.as_ptr();
        pieces.make(b"head".to_vec());
        pieces.make(long);
        pieces.make(b"tail".to_vec());
        pieces.keep(0..3);
        let slices = pieces.slices(&Bytes::from_static(b"end"));
        assert_eq!(slices.concat(), [&b"head"[..], &vec![1; LONG], b"tail", b"end"].concat());
        assert!(slices.iter().any(|slice| slice.as_ptr() == at && slice.len() == LONG));
    }
}
