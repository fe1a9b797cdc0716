//! Writes entropy-coded data.
//!
//! In: codes and bits. Out: bytes with stuffing. Cost: a few instructions a code and no branch that is hard to foresee:
//! bytes are written as they come to a page, and stuffed when that is full, sixteen at a time.
//! Source: ITU-T T.81, sections B.1.1.5 and F.1.2.3.

use bytes::Bytes;

use crate::kernel::huffman::{Place, data_byte};

/// Bytes of a page. It stays in the fastest cache beside the tables.
const PAGE: usize = 4096;
/// Bytes of a part, about.
pub(super) const PART: usize = 256 << 10;
/// Bytes looked at together for one that is 0xff.
const LOOK: usize = 16;

/// Bits that become bytes, stuffed where a byte is 0xff.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    tip: Tip,
    page: Page,
}

/// Where the next bit goes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tip {
    /// The last bits written, from the bottom. Above `held` of them are some that are on the page already.
    hold: u64,
    /// How many are not a byte yet, at most 7 between calls.
    held: u32,
    /// The next byte of the page.
    at: usize,
}

/// The bytes.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// With stuffing.
    bytes: Vec<u8>,
    /// What comes after them, without.
    plain: Box<[u8; PAGE]>,
}

impl Default for Page {
    fn default() -> Self {
        Self { bytes: Vec::new(), plain: Box::new([0; PAGE]) }
    }
}

impl Page {
    /// Stuffs the first `count` bytes.
    #[inline(never)]
    fn stuff(&mut self, count: usize) {
        let plain = self.plain.get(..count).unwrap_or_default();
        let (chunks, rest) = plain.as_chunks::<LOOK>();
        for chunk in chunks {
            if chunk.iter().fold(0, |any, byte| any | u8::from(*byte == 0xff)) > 0 {
                stuffed(chunk, &mut self.bytes);
            } else {
                self.bytes.extend_from_slice(chunk);
            }
        }
        stuffed(rest, &mut self.bytes);
    }
}

fn stuffed(plain: &[u8], bytes: &mut Vec<u8>) {
    for byte in plain {
        bytes.push(*byte);
        if *byte == 0xff {
            bytes.push(0);
        }
    }
}

/// A writer while a loop writes with it: the tip is a copy, so that it is in registers.
pub(super) struct Hand<'a> {
    pub(super) tip: Tip,
    pub(super) page: &'a mut Page,
}

impl Hand<'_> {
    /// Writes the low `count` bits of `value`, at most 32; its other bits must be zero.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: u32) {
        self.push(value, count);
        self.flush();
    }

    /// As [`Hand::put`], for a [`Hand::flush`] that must come before there are more than 57 bits.
    #[inline]
    pub(super) fn push(&mut self, value: u32, count: u32) {
        self.tip.hold = self.tip.hold << (count & 63) | u64::from(value);
        self.tip.held += count;
    }

    /// Makes bytes of bits.
    #[inline]
    pub(super) fn flush(&mut self) {
        let held = self.tip.held;
        let eight = (self.tip.hold << (64_u32.wrapping_sub(held) & 63)).to_be_bytes();
        if self.tip.at > PAGE - 8 {
            self.page.stuff(self.tip.at);
            self.tip.at = 0;
        }
        if let Some(next) = self.page.plain.get_mut(self.tip.at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *next = eight;
        }
        // Those of the last byte that are not a byte yet are written again with what comes.
        self.tip.at += (held >> 3) as usize;
        self.tip.held = held & 7;
    }
}

/// A state a [`Writer`] can go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    length: usize,
    tip: Tip,
}

impl Writer {
    /// For about `bytes`, of which there is room for a part.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let bytes = Vec::with_capacity(bytes.min(PART) + 4 * PAGE);
        Self { page: Page { bytes, ..Page::default() }, ..Self::default() }
    }

    /// Lets `act` write.
    #[inline]
    pub(super) fn with<T>(&mut self, act: impl FnOnce(&mut Hand<'_>) -> T) -> T {
        let mut hand = Hand { tip: self.tip, page: &mut self.page };
        let done = act(&mut hand);
        self.tip = hand.tip;
        done
    }

    /// As [`Hand::put`].
    pub(super) fn put(&mut self, value: u32, count: u32) {
        self.with(|hand| hand.put(value, count));
    }

    /// Moves all whole bytes out.
    fn settle(&mut self) {
        self.page.stuff(self.tip.at);
        self.tip.at = 0;
    }

    /// How many bits of the last byte are written, 0..=7.
    pub(super) fn phase(&self) -> u32 {
        self.tip.held
    }

    /// Whole bytes written and not taken yet, some of them before they are stuffed.
    pub(super) fn len(&self) -> usize {
        self.page.bytes.len() + self.tip.at
    }

    /// Notes where it is.
    pub(super) fn mark(&mut self) -> Mark {
        self.settle();
        Mark { length: self.page.bytes.len(), tip: self.tip }
    }

    /// Forgets what was written since `mark`.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.page.bytes.truncate(mark.length);
        self.tip = mark.tip;
    }

    /// Writes the bits of `data` from one place to another.
    pub(super) fn copy(&mut self, data: &[u8], from: Place, to: Place) {
        let mut at = from.byte;
        let mut skip = from.bit;
        while at < to.byte {
            let (byte, next) = data_byte(data, at);
            self.put(u32::from(byte) & (0xff >> skip), 8 - skip);
            skip = 0;
            at = next;
        }
        if to.bit > skip {
            let (byte, _) = data_byte(data, at);
            self.put((u32::from(byte) & (0xff >> skip)) >> (8 - to.bit), to.bit - skip);
        }
    }

    /// Fills the last byte with ones, as encoders do before a marker, and moves everything out.
    pub(super) fn pad(&mut self) {
        let missing = (8 - self.phase()) % 8;
        self.put((1 << missing) - 1, missing);
        self.settle();
    }

    /// Writes a marker after [`Writer::pad`].
    pub(super) fn marker(&mut self, marker: u8) {
        self.page.bytes.extend_from_slice(&[0xff, marker]);
    }

    /// Takes the bytes written so far once they fill a part. A large file in one piece would be memory that the allocator
    /// has from the system, and that it clears, every time.
    pub(super) fn part(&mut self) -> Option<Bytes> {
        let full = self.page.bytes.len() >= PART;
        full.then(|| std::mem::replace(&mut self.page.bytes, Vec::with_capacity(PART + 4 * PAGE)).into())
    }

    /// Takes a copy of the bytes written, as [`Writer::take`], and keeps the room for the next.
    pub(super) fn copied(&mut self) -> Box<[u8]> {
        self.settle();
        let copy = self.page.bytes.as_slice().into();
        self.page.bytes.clear();
        copy
    }

    /// Takes the bytes written, all of them after a [`Writer::pad`].
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.settle();
        std::mem::take(&mut self.page.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |at| byte >> (7 - at) & 1 == 1)).collect()
    }

    #[test]
    fn a_byte_of_ones_is_stuffed_wherever_it_falls() {
        let mut writer = Writer::default();
        for (value, count) in [(0b101, 3), (0b11111, 5), (0x7fff, 15), (1, 1), (0xffff_ffff, 32), (0, 4)] {
            writer.put(value, count);
        }
        writer.pad();
        assert_eq!(writer.take(), [0xbf, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0, 0x0f]);
    }

    #[test]
    fn more_than_a_page_is_stuffed_like_one_byte_and_forgotten_to_where_it_was_marked() {
        let mut writer = Writer::default();
        writer.put(0b101, 3);
        let mark = writer.mark();
        for _ in 0..2 {
            writer.go_back(mark);
            writer.put(0b11111, 5);
            for _ in 0..PAGE {
                writer.put(0xffff, 16);
            }
        }
        writer.pad();
        let written = writer.take();
        assert_eq!(written.len(), 1 + 4 * PAGE);
        assert!(written[0] == 0xbf && written[1..].chunks(2).all(|pair| pair == [0xff, 0]));
    }

    #[test]
    fn bits_between_any_two_places_are_copied_as_they_are() {
        let data = [0x12, 0xff, 0x00, 0x34, 0xff, 0xff, 0x00, 0x56];
        let plain = [0x12_u8, 0xff, 0x34, 0xff, 0x56];
        let places = [0, 1, 3, 4, 7, 8].map(|byte| (0..8).map(move |bit| Place { byte, bit }));
        let places: Vec<_> = places.into_iter().flatten().take(41).collect();
        let bits = bits(&plain);
        for (start, from) in places.iter().enumerate() {
            for (end, to) in places.iter().enumerate().skip(start) {
                let mut writer = Writer::default();
                writer.copy(&data, *from, *to);
                writer.put(1, 1);
                writer.pad();
                let mut written = writer.take();
                let mut before = 0;
                written.retain(|byte| std::mem::replace(&mut before, *byte) != 0xff || *byte != 0);
                let written = super::tests::bits(&written);
                assert!(written.starts_with(bits.get(start..end).unwrap()), "{from:?} {to:?}");
            }
        }
    }
}
