//! The bits of one scan, and the codes in them.
//!
//! In: bytes with stuffing and restart markers. Out: bits and symbols. Cost: amortised one load per byte; a code of up
//! to nine bits is one look-up, a longer one a short search.
//! Source: ITU-T T.81, sections B.1.1.5, C and F.2.2.3.

/// Why a scan cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data is over before the picture is.
    Ends,
    /// The data is not what an encoder writes.
    Broken(&'static str),
}

/// Reads the bits of a scan, up to the next marker.
pub(super) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, from the top; zeros after the last.
    hold: u64,
    /// How many bits of `hold` there are.
    held: u32,
    /// A marker or the end of the file is next in `rest`.
    ended: bool,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, hold: 0, held: 0, ended: false }
    }

    /// What follows the bits read so far, give or take the bytes looked at ahead: those hold no marker.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn fill(&mut self) {
        while self.held <= 56 && !self.ended {
            let (byte, used) = match self.rest {
                [0xff, 0x00, ..] => (0xff, 2),
                // A fill byte before a marker.
                [0xff, 0xff, _, ..] => {
                    self.rest = &self.rest[1..];
                    continue;
                }
                [0xff, ..] | [] => {
                    self.ended = true;
                    return;
                }
                [byte, ..] => (*byte, 1),
            };
            self.rest = &self.rest[used..];
            self.hold |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
    }

    /// Passes over `count` bits, at most 64.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Fault> {
        let mut left = count;
        while left > 0 {
            if self.held < left {
                self.fill();
            }
            let step = left.min(self.held);
            if step == 0 {
                return Err(Fault::Ends);
            }
            self.hold = if step == 64 { 0 } else { self.hold << step };
            self.held -= step;
            left -= step;
        }
        Ok(())
    }

    /// The next `count` bits as a number, at most 16.
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Fault> {
        if count == 0 {
            return Ok(0);
        }
        if self.held < count {
            self.fill();
        }
        let value = u32::try_from(self.hold >> (64 - count)).unwrap_or(0);
        self.skip(count)?;
        Ok(value)
    }

    /// Passes over the restart marker that must be next; `number` counts from 0.
    pub(super) fn restart(&mut self, number: u32) -> Result<(), Fault> {
        (self.hold, self.held) = (0, 0);
        self.fill();
        // Bits left in the last byte are padding. A whole byte would be data nobody asked for.
        if !self.ended || self.held > 0 {
            return Err(Fault::Broken("a restart marker is not where it should be"));
        }
        match self.rest {
            [0xff, marker, rest @ ..] if u32::from(*marker) == 0xd0 + number % 8 => {
                self.rest = rest;
                self.ended = false;
                Ok(())
            }
            [0xff, 0xd0..=0xd7, ..] => Err(Fault::Broken("a restart marker is out of turn")),
            _ => Err(Fault::Ends),
        }
    }
}

/// Code length looked up at once; longer codes are rare.
const QUICK: u32 = 9;

/// A Huffman table.
pub(super) struct Table {
    /// By the next nine bits: symbol and length, length 0 for a longer code.
    quick: [(u8, u8); 1 << QUICK],
    /// By length: the first code, how many there are, and the index of the first symbol.
    lengths: [(u32, u32, usize); 17],
    symbols: [u8; 256],
}

impl Table {
    /// Reads a table without its head byte, and tells how many bytes it took. `None` when it is no prefix code.
    pub(super) fn parse(body: &[u8]) -> Option<(Self, usize)> {
        let (counts, listed) = body.split_first_chunk::<16>()?;
        let total: usize = counts.iter().copied().map(usize::from).sum();
        let listed = listed.get(..total).filter(|_| total <= 256)?;
        let mut table = Self { quick: [(0, 0); 1 << QUICK], lengths: [(0, 0, 0); 17], symbols: [0; 256] };
        table.symbols[..total].copy_from_slice(listed);
        let mut code = 0;
        let mut index = 0;
        for (length, count) in (1..=16).zip(counts.iter().copied().map(u32::from)) {
            table.lengths[length as usize] = (code, count, index);
            if code + count > 1 << length {
                return None;
            }
            for (offset, symbol) in (0..count).zip(&listed[index..]) {
                if length <= QUICK {
                    let first = ((code + offset) << (QUICK - length)) as usize;
                    let entry = (*symbol, u8::try_from(length).ok()?);
                    table.quick[first..first + (1 << (QUICK - length))].fill(entry);
                }
            }
            index += count as usize;
            code = (code + count) << 1;
        }
        Some((table, 16 + total))
    }

    /// Reads the symbol whose code is next.
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Result<u8, Fault> {
        if bits.held < 16 {
            bits.fill();
        }
        let (symbol, length) = self.quick[(bits.hold >> (64 - QUICK)) as usize];
        if length > 0 {
            bits.skip(u32::from(length))?;
            return Ok(symbol);
        }
        for length in QUICK + 1..=16 {
            let next = u32::try_from(bits.hold >> (64 - length)).unwrap_or(u32::MAX);
            let (code, count, index) = self.lengths[length as usize];
            if next >= code && next - code < count {
                bits.skip(length)?;
                return self.symbols.get(index + (next - code) as usize).copied().ok_or(Fault::Ends);
            }
        }
        // The zeros behind the last bit may look like a code that does not exist.
        Err(if bits.held < 16 { Fault::Ends } else { Fault::Broken("a code is in no Huffman table") })
    }
}
