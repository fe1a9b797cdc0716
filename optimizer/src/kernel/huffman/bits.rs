//! The bits of one scan, and the codes in them.
//!
//! In: bytes with stuffing and restart markers. Out: bits, symbols, and where in the file the next bit is. Cost: one
//! load for seven bytes that hold no 0xff, one per byte around one; a code of up to twelve bits is one look-up, a
//! longer one a short search.
//! Source: ITU-T T.81, sections B.1.1.5, C and F.2.2.3.

/// Why a scan cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kernel) enum Fault {
    /// The data is over before the picture is.
    Ends,
    /// The data is not what an encoder writes.
    Broken(&'static str),
}

/// Where a bit is: in which byte of the data, stuffing and markers counted, and how many bits of it come before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::kernel) struct Place {
    pub(in crate::kernel) byte: usize,
    /// 0..=7.
    pub(in crate::kernel) bit: u32,
}

impl Place {
    /// The start of the first byte that holds no bit before this place.
    pub(in crate::kernel) fn rounded_up(self, data: &[u8]) -> Self {
        let byte = if self.bit == 0 { self.byte } else { data_byte(data, self.byte).1 };
        Self { byte, bit: 0 }
    }
}

/// The byte that is meant at `at` of entropy-coded data, and where the next one is.
pub(in crate::kernel) fn data_byte(data: &[u8], mut at: usize) -> (u8, usize) {
    // Fill bytes may come before a stuffed one.
    while matches!(data.get(at..), Some([0xff, 0xff, ..])) {
        at += 1;
    }
    match data.get(at) {
        Some(0xff) => (0xff, at + 2),
        Some(byte) => (*byte, at + 1),
        None => (0, at),
    }
}

/// Reads the bits of a scan, up to the next marker. A copy is another reader: a loop that keeps one for itself, instead of
/// changing its caller's, has it in registers.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to load.
    at: usize,
    /// The next bits, from the top. Below `held` of them are either zeros or what the next load puts there again.
    hold: u64,
    /// How many bits of `hold` count, at most 63.
    held: u32,
    /// A marker or the end of the file is next.
    ended: bool,
}

impl<'a> Bits<'a> {
    pub(in crate::kernel) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, hold: 0, held: 0, ended: false }
    }

    /// What follows the bits read so far, give or take the bytes looked at ahead: those hold no marker.
    pub(in crate::kernel) fn rest(&self) -> &'a [u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// Where the next bit is. Cost: a few steps back over the bytes loaded ahead.
    pub(in crate::kernel) fn place(&self) -> Place {
        let before_fill = |mut byte: usize| {
            // An 0xff that belongs to the data has a zero behind it, so these are fill bytes.
            while byte > 0 && self.data.get(byte - 1) == Some(&0xff) {
                byte -= 1;
            }
            byte
        };
        let mut byte = before_fill(self.at);
        for _ in 0..self.held.div_ceil(8) {
            let stuffed = byte >= 2 && self.data.get(byte - 2..byte) == Some(&[0xff, 0x00]);
            byte = if stuffed { before_fill(byte - 1) } else { byte.saturating_sub(1) };
        }
        Place { byte, bit: (8 - self.held % 8) % 8 }
    }

    /// Loads bits, so that there are 32 unless a marker is near.
    #[inline]
    pub(in crate::kernel) fn fill(&mut self) {
        if self.held < 32 {
            self.refill();
        }
    }

    /// Loads bits, so that there are 56 unless a marker is near. Without asking whether they are needed: the answer is
    /// hard to foresee, and a branch foreseen wrong costs more than a load.
    #[inline]
    pub(in crate::kernel) fn refill(&mut self) {
        if let Some(next) = self.data.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            let next = u64::from_be_bytes(*next);
            // The classic test for a zero byte, on the complement.
            let any_ff = (!next).wrapping_sub(0x0101_0101_0101_0101) & next & 0x8080_8080_8080_8080;
            if any_ff == 0 {
                self.hold |= next >> self.held;
                self.at += ((63 - self.held) >> 3) as usize;
                self.held |= 0b11_1000;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    // By value, so that the fast way needs no address.
    #[cold]
    #[inline(never)]
    fn refilled_bytewise(mut self) -> Self {
        // One more byte would leave no room for the shift above.
        while self.held < 56 && !self.ended {
            let (byte, used) = match self.rest() {
                [0xff, 0x00, ..] => (0xff, 2),
                // A fill byte before a marker.
                [0xff, 0xff, _, ..] => {
                    self.at += 1;
                    continue;
                }
                [0xff, ..] | [] => {
                    self.ended = true;
                    break;
                }
                [byte, ..] => (*byte, 1),
            };
            self.at += used;
            self.hold |= u64::from(byte) << (56 - self.held);
            self.held += 8;
        }
        self
    }

    /// The next twelve bits, as far as they are loaded.
    #[inline]
    pub(in crate::kernel) fn window(&self) -> usize {
        (self.hold >> (64 - WINDOW)) as usize & (WINDOWS - 1)
    }

    /// Whether so many bits are loaded.
    #[inline]
    pub(in crate::kernel) fn has(&self, count: u32) -> bool {
        count <= self.held
    }

    /// Passes over `count` bits that are loaded, at most 63.
    #[inline]
    pub(in crate::kernel) fn drop_bits(&mut self, count: u32) -> Result<(), Fault> {
        if count > self.held {
            return Err(Fault::Ends);
        }
        self.hold <<= count;
        self.held -= count;
        Ok(())
    }

    /// Passes over `count` bits, at most 64.
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Fault> {
        let mut left = count;
        while left > 0 {
            self.fill();
            let step = left.min(self.held).min(63);
            if step == 0 {
                return Err(Fault::Ends);
            }
            self.drop_bits(step)?;
            left -= step;
        }
        Ok(())
    }

    /// The next `count` bits as a number, at most 16.
    #[inline]
    pub(in crate::kernel) fn take(&mut self, count: u32) -> Result<u32, Fault> {
        if count == 0 {
            return Ok(0);
        }
        self.fill();
        let value = u32::try_from(self.hold >> (64 - count)).unwrap_or(0);
        self.drop_bits(count)?;
        Ok(value)
    }

    /// The next `count` bits as a number, at most 32 of as many that are loaded.
    #[inline]
    pub(in crate::kernel) fn take_loaded(&mut self, count: u32) -> Result<u64, Fault> {
        let value = self.hold >> 1 >> (63_u32.wrapping_sub(count) & 63);
        self.drop_bits(count)?;
        Ok(value)
    }

    /// Passes over the restart marker that must be next; `number` counts from 0.
    pub(in crate::kernel) fn restart(&mut self, number: u32) -> Result<(), Fault> {
        // Bits left in the last byte are padding. A whole byte would be data nobody asked for.
        let whole = self.held >= 8;
        (self.hold, self.held) = (0, 0);
        self.fill();
        if whole || !self.ended || self.held > 0 {
            return Err(Fault::Broken("a restart marker is not where it should be"));
        }
        match self.rest() {
            [0xff, marker, ..] if u32::from(*marker) == 0xd0 + number % 8 => {
                self.at += 2;
                self.ended = false;
                Ok(())
            }
            [0xff, 0xd0..=0xd7, ..] => Err(Fault::Broken("a restart marker is out of turn")),
            _ => Err(Fault::Ends),
        }
    }
}

/// Bits looked up at once; longer codes are rare.
pub(in crate::kernel) const WINDOW: u32 = 12;
/// What they can be.
pub(in crate::kernel) const WINDOWS: usize = 1 << WINDOW;

/// A Huffman table.
#[derive(Clone)]
pub(in crate::kernel) struct Table {
    /// By the next twelve bits: symbol and length, length 0 for a longer code.
    quick: Box<[(u8, u8)]>,
    /// By length: the first code, how many there are, and the index of the first symbol.
    lengths: [(u32, u32, usize); 17],
    symbols: [u8; 256],
}

impl Table {
    /// Reads a table without its head byte, and tells how many bytes it took. `None` when it is no prefix code.
    pub(in crate::kernel) fn parse(body: &[u8]) -> Option<(Self, usize)> {
        let (counts, listed) = body.split_first_chunk::<16>()?;
        let total: usize = counts.iter().copied().map(usize::from).sum();
        let listed = listed.get(..total).filter(|_| total <= 256)?;
        let mut table =
            Self { quick: vec![(0, 0); WINDOWS].into_boxed_slice(), lengths: [(0, 0, 0); 17], symbols: [0; 256] };
        table.symbols[..total].copy_from_slice(listed);
        let mut code = 0;
        let mut index = 0;
        for (length, count) in (1..=16).zip(counts.iter().copied().map(u32::from)) {
            table.lengths[length as usize] = (code, count, index);
            if code + count > 1 << length {
                return None;
            }
            for (offset, symbol) in (0..count).zip(&listed[index..]) {
                if length <= WINDOW {
                    let first = ((code + offset) << (WINDOW - length)) as usize;
                    let entry = (*symbol, u8::try_from(length).ok()?);
                    table.quick[first..first + (1 << (WINDOW - length))].fill(entry);
                }
            }
            index += count as usize;
            code = (code + count) << 1;
        }
        Some((table, 16 + total))
    }

    /// Every symbol with its code and the length of that.
    pub(in crate::kernel) fn codes(&self) -> impl Iterator<Item = (u8, u32, u32)> {
        self.lengths.iter().zip(0..).flat_map(|((code, count, index), length)| {
            let symbols = self.symbols.iter().skip(*index);
            symbols.zip(*code..*code + *count).map(move |(symbol, code)| (*symbol, code, length))
        })
    }

    /// The symbol of a code of up to twelve bits at the top of `window`, and its length; length 0 for a longer code.
    #[inline]
    pub(in crate::kernel) fn look_up(&self, window: usize) -> (u8, u32) {
        let (symbol, length) = self.quick.get(window).copied().unwrap_or_default();
        (symbol, u32::from(length))
    }

    /// Reads the symbol whose code is next.
    #[inline]
    pub(in crate::kernel) fn read(&self, bits: &mut Bits<'_>) -> Result<u8, Fault> {
        bits.fill();
        let (symbol, length) = self.look_up(bits.window());
        if length > 0 {
            bits.drop_bits(length)?;
            return Ok(symbol);
        }
        self.search(bits)
    }

    #[cold]
    fn search(&self, bits: &mut Bits<'_>) -> Result<u8, Fault> {
        for length in WINDOW + 1..=16 {
            let next = u32::try_from(bits.hold >> (64 - length)).unwrap_or(u32::MAX);
            let (code, count, index) = self.lengths[length as usize];
            if next >= code && next - code < count {
                bits.drop_bits(length)?;
                return self.symbols.get(index + (next - code) as usize).copied().ok_or(Fault::Ends);
            }
        }
        // The zeros behind the last bit may look like a code that does not exist.
        Err(if bits.held < 16 { Fault::Ends } else { Fault::Broken("a code is in no Huffman table") })
    }
}
