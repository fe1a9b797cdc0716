//! Writes entropy-coded data.
//!
//! In: codes and bits. Out: bytes with stuffing. Cost: amortised one step per byte.
//! Source: ITU-T T.81, sections B.1.1.5 and F.1.2.3.

use crate::kernel::huffman::{Place, data_byte};

/// Bits that become bytes, stuffed where a byte is 0xff.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// The bits that are not bytes yet, from the top.
    hold: u64,
    /// How many there are, at most 31 between calls.
    held: u32,
}

/// A state a [`Writer`] can go back to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    length: usize,
    hold: u64,
    held: u32,
}

impl Writer {
    /// A writer that has room for `bytes` without growing.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Writes the low `count` bits of `value`, at most 32; its other bits must be zero.
    #[inline]
    pub(super) fn put(&mut self, value: u32, count: u32) {
        self.held += count;
        self.hold |= u64::from(value) << (64 - self.held).min(63);
        if self.held >= 32 {
            self.flush();
        }
    }

    /// Moves four bytes out; there are at least as many.
    #[inline]
    fn flush(&mut self) {
        let four = (self.hold >> 32) as u32;
        // The test for a zero byte, on the complement; a false alarm costs a moment.
        if (!four).wrapping_sub(0x0101_0101) & four & 0x8080_8080 == 0 {
            self.bytes.extend_from_slice(&four.to_be_bytes());
        } else {
            for byte in four.to_be_bytes() {
                self.push(byte);
            }
        }
        self.hold <<= 32;
        self.held -= 32;
    }

    fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
        if byte == 0xff {
            self.bytes.push(0);
        }
    }

    /// Moves all whole bytes out.
    fn settle(&mut self) {
        while self.held >= 8 {
            let [byte, ..] = self.hold.to_be_bytes();
            self.push(byte);
            self.hold <<= 8;
            self.held -= 8;
        }
    }

    /// How many bits of the last byte are written, 0..=7.
    pub(super) fn phase(&self) -> u32 {
        self.held % 8
    }

    /// Whole bytes written and not taken yet, but for the last few.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Notes where it is.
    pub(super) fn mark(&self) -> Mark {
        Mark { length: self.bytes.len(), hold: self.hold, held: self.held }
    }

    /// Forgets what was written since `mark`.
    pub(super) fn go_back(&mut self, mark: Mark) {
        self.bytes.truncate(mark.length);
        (self.hold, self.held) = (mark.hold, mark.held);
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
        self.bytes.extend_from_slice(&[0xff, marker]);
    }

    /// Takes the bytes written, all of them after a [`Writer::pad`].
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.settle();
        std::mem::take(&mut self.bytes)
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
