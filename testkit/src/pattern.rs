//! Bodies of any size that need not be held to be checked.
//!
//! In: a seed and a length. Out: the same bytes every time, in pieces or whole, and their hash.
//! Cost: one multiplication per 8 bytes. Blocks differ from each other, so a lost, doubled or moved piece shows.

use std::io::{self, Write};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const PIECE: usize = 64 * 1024;

/// XXH3 (64 bits) of `bytes`: what [`crate::Body::hash`] is compared with.
pub fn hash(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The first `length` bytes of the pattern of `seed`, held in memory.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut whole = Vec::with_capacity(length);
    write_pattern(&mut whole, seed, length as u64).expect("a Vec takes every write");
    whole
}

/// [`hash`] of the first `length` bytes of the pattern of `seed`, without holding them.
pub fn pattern_hash(seed: u64, length: u64) -> u64 {
    let mut hasher = Hasher(Xxh3::new());
    write_pattern(&mut hasher, seed, length).expect("a hasher takes every write");
    hasher.0.digest()
}

/// Writes the first `length` bytes of the pattern of `seed` in pieces of at most 64 KiB.
pub(crate) fn write_pattern(out: &mut dyn Write, seed: u64, length: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut word = 0_u64;
    let mut left = length;
    while left > 0 {
        for eight in piece.chunks_exact_mut(8) {
            // SplitMix64's constants: neighbouring words share nothing.
            let mixed = (seed ^ word).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            eight.copy_from_slice(&(mixed ^ (mixed >> 29)).to_le_bytes());
            word += 1;
        }
        let take = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        out.write_all(piece.get(..take).unwrap_or(&piece))?;
        left -= take as u64;
    }
    Ok(())
}

struct Hasher(Xxh3);

impl Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
