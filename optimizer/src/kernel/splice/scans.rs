//! One scan into a store, a row of units at a time.
//!
//! In: the data of a scan, tables, planes. Out: the planes with what the scan says. Cost: one look-up for a code and its
//! value together where both are short; a block without news in a scan takes about a nanosecond.
//! Source: ITU-T T.81, annexes F and G; libjpeg's `jdphuff.c` for the order of the correction bits.

use super::block::{Dc, ENDS, TOO_FAR, Values};
use super::store::{NONE, Plane};
use crate::kernel::huffman::{Bits, Fault, Scan, Table, Tables};
use crate::kernel::jpeg::Frame;

const MISSING: Fault = Fault::Broken("a scan uses a table that is not there");
const TWICE: Fault = Fault::Broken("a scan gives bits that came before, or whose upper bits did not come");

/// A scan that is read as far as a row.
pub(super) struct Reader<'a> {
    bits: Bits<'a>,
    news: News,
    /// Bits that are still to come of each coefficient.
    low: u8,
    marks: Restarts,
}

/// What a scan tells.
enum News {
    /// Of one component: the number of its plane, the band, what is read by, and how many blocks have nothing new.
    Band { part: usize, band: (u32, u32), by: By, ended: u32 },
    /// DC coefficients, or all: the components, and how many units there are in a row of several.
    Units { parts: Vec<Part>, across: u32 },
}

/// What the coefficients of a band are read by.
enum By {
    /// Their first bits.
    First(Box<Values>),
    /// One more of each.
    Refine(Box<Values>),
}

/// A component of a scan of DC coefficients.
struct Part {
    plane: usize,
    /// Blocks across and down in a unit.
    blocks: (u32, u32),
    /// `None` when one more bit comes.
    dc: Option<Dc>,
    /// `None` in a progressive file.
    ac: Option<Values>,
    /// As last read.
    before: i32,
}

/// Makes the scan at `data` ready to be read.
pub(super) fn open<'a>(
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    interval: u32,
    data: &'a [u8],
    planes: &mut [Plane],
) -> Result<Reader<'a>, Fault> {
    let parts = &scan.parts[..scan.count];
    for (number, (part, ..)) in parts.iter().enumerate() {
        if parts[..number].iter().any(|(other, ..)| other == part) {
            return Err(Fault::Broken("a scan names a component twice"));
        }
        note(planes.get_mut(*part).ok_or(MISSING)?, frame, scan)?;
    }
    let table = |tables: &[Option<Table>; 4], number: usize| tables[number & 3].clone().ok_or(MISSING);
    let news = if scan.band.0 > 0 {
        let (part, _, number) = scan.parts[0];
        let values = Box::new(Values::new(table(&tables.ac, number)?, true));
        let by = if scan.refines { By::Refine(values) } else { By::First(values) };
        News::Band { part, band: scan.band, by, ended: 0 }
    } else {
        let part = |(plane, dc, ac): &(usize, usize, usize)| {
            let component = frame.components()[*plane];
            Ok(Part {
                plane: *plane,
                blocks: if parts.len() == 1 { (1, 1) } else { (component.across, component.down) },
                dc: if scan.refines { None } else { Some(Dc::new(table(&tables.dc, *dc)?)) },
                ac: if frame.progressive { None } else { Some(Values::new(table(&tables.ac, *ac)?, false)) },
                before: 0,
            })
        };
        let across = frame.width.div_ceil(8 * frame.most().0);
        News::Units { parts: parts.iter().map(part).collect::<Result<_, Fault>>()?, across }
    };
    Ok(Reader { bits: Bits::new(data), news, low: scan.low, marks: Restarts { interval, left: interval, passed: 0 } })
}

impl Reader<'_> {
    /// Reads row `row`, after those before it.
    pub(super) fn row(&mut self, row: u32, planes: &mut [Plane]) -> Result<(), Fault> {
        let Self { bits, marks, .. } = self;
        match &mut self.news {
            News::Band { part, band, by, ended } => {
                let plane = planes.get_mut(*part).ok_or(MISSING)?;
                match by {
                    By::First(values) => first(bits, values, (*band, self.low), ended, marks, row, plane),
                    By::Refine(values) => refine(bits, values, (*band, self.low), ended, marks, row, plane),
                }
            }
            News::Units { parts, across } => units(bits, parts, (*across, self.low), marks, row, planes),
        }
    }
}

/// The restart markers of a scan.
#[derive(Clone, Copy)]
struct Restarts {
    /// Units between two of them, 0 for none.
    interval: u32,
    /// Units until the next.
    left: u32,
    /// How many came.
    passed: u32,
}

impl Restarts {
    /// Before a unit: whether all begins anew, since a marker was passed.
    #[inline]
    fn pass(&mut self, bits: &mut Bits<'_>) -> Result<bool, Fault> {
        if self.interval == 0 {
            return Ok(false);
        }
        let passes = self.left == 0;
        if passes {
            *bits = restarted(*bits, self.passed)?;
            self.passed += 1;
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(passes)
    }
}

// By value, so that a loop with bits in registers needs no address.
#[cold]
#[inline(never)]
fn restarted(mut bits: Bits<'_>, number: u32) -> Result<Bits<'_>, Fault> {
    bits.restart(number)?;
    Ok(bits)
}

/// Holds a scan against those before it: each bit of a coefficient comes once, from the top.
fn note(plane: &mut Plane, frame: &Frame, scan: &Scan) -> Result<(), Fault> {
    let (high, low) = if frame.progressive { (scan.high, scan.low) } else { (0, 0) };
    if scan.band.0 > 0 && plane.lowest[0] == NONE {
        return Err(Fault::Broken("a component has AC coefficients before its DC coefficients"));
    }
    let band = scan.band.0 as usize..=scan.band.1 as usize;
    for lowest in plane.lowest.get_mut(band).unwrap_or_default() {
        let follows = if high == 0 { *lowest == NONE && low <= 13 } else { *lowest == high && low + 1 == high };
        if !follows {
            return Err(TWICE);
        }
        *lowest = low;
    }
    Ok(())
}

/// Goes through the blocks of a row of a component that is alone in its scan.
#[inline]
fn alone(
    bits: &mut Bits<'_>,
    plane: &mut Plane,
    row: u32,
    ended: &mut u32,
    marks: &mut Restarts,
    mut each: impl FnMut(&mut Bits<'_>, &mut [i16; 64], &mut u64, &mut u32) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (across, lines) = (plane.own.0 as usize, plane.lines(row) as usize);
    let rows = plane.blocks.chunks_exact_mut(plane.across.max(1) as usize);
    let masks = plane.nonzero.chunks_exact_mut(plane.across.max(1) as usize);
    // Blocks still to come that have nothing new in this band.
    let mut without = *ended;
    // Copies, so that they are in registers.
    let (mut own, mut passed) = (*bits, *marks);
    for (row, masks) in rows.zip(masks).take(lines) {
        for (block, nonzero) in row.iter_mut().zip(masks).take(across) {
            if passed.pass(&mut own)? {
                without = 0;
            }
            each(&mut own, block, nonzero, &mut without)?;
        }
    }
    (*bits, *marks, *ended) = (own, passed, without);
    Ok(())
}

#[inline(never)]
fn first(
    bits: &mut Bits<'_>,
    values: &Values,
    ((start, end), low): ((u32, u32), u8),
    ended: &mut u32,
    marks: &mut Restarts,
    row: u32,
    plane: &mut Plane,
) -> Result<(), Fault> {
    alone(bits, plane, row, ended, marks, |bits, block, nonzero, ended| {
        if *ended > 0 {
            *ended -= 1;
            return Ok(());
        }
        *ended = coefficients(bits, values, (start, end), low, block, nonzero)?;
        Ok(())
    })
}

/// Reads the coefficients of a band of a block that are given at once. Gives how many blocks end after it.
#[expect(clippy::inline_always, reason = "a call would put the bits into memory")]
#[inline(always)]
fn coefficients(
    bits: &mut Bits<'_>,
    values: &Values,
    (start, end): (u32, u32),
    low: u8,
    block: &mut [i16; 64],
    nonzero: &mut u64,
) -> Result<u32, Fault> {
    let mut at = start;
    loop {
        bits.refill();
        // Four a load: each takes at most a window.
        for _ in 0..4 {
            let next = values.next(bits)?;
            if next & ENDS != 0 {
                return Ok(next >> 16);
            }
            let value = next.cast_signed() >> 16;
            at += next >> 8 & 15;
            if at > end {
                // Sixteen zeros may reach past the end in files that decoders read all the same.
                return if value == 0 { Ok(0) } else { Err(TOO_FAR) };
            }
            block[at as usize & 63] = short(value << low);
            *nonzero |= u64::from(value != 0) << at;
            if at == end {
                return Ok(0);
            }
            at += 1;
        }
    }
}

#[inline(never)]
fn refine(
    bits: &mut Bits<'_>,
    values: &Values,
    ((start, end), low): ((u32, u32), u8),
    ended: &mut u32,
    marks: &mut Restarts,
    row: u32,
    plane: &mut Plane,
) -> Result<(), Fault> {
    let band = (u64::MAX >> (63 - end)) & (u64::MAX << start);
    let one = 1_i16 << low;
    alone(bits, plane, row, ended, marks, |bits, block, nonzero, ended| {
        // Those that are not zero yet get a bit each, in their order, between the symbols.
        let known = *nonzero & band;
        if known == 0 && *ended > 0 {
            *ended -= 1;
            return Ok(());
        }
        let mut corrections = Corrections::default();
        let mut at = start;
        while *ended == 0 && at <= end {
            bits.refill();
            let next = values.next(bits)?;
            if next & ENDS != 0 {
                *ended = (next >> 16) + 1;
                break;
            }
            let value = next.cast_signed() >> 16;
            if value.unsigned_abs() > 1 {
                return Err(Fault::Broken("a correction is larger than a bit"));
            }
            // The run counts coefficients that stay zero. Each that is known puts off the one that is meant, and most
            // often there are few of them on the way.
            let first = at + (next >> 8 & 15);
            let mut meant = first;
            let mut passed = known & u64::MAX << at;
            while passed != 0 && passed.trailing_zeros() <= meant {
                passed &= passed.wrapping_sub(1);
                meant += 1;
            }
            if meant > end {
                if value != 0 {
                    return Err(TOO_FAR);
                }
                corrections.take(bits, (known & u64::MAX << at).count_ones())?;
                break;
            }
            corrections.take(bits, meant - first)?;
            block[meant as usize & 63] = if value < 0 { -one } else { one * i16::from(value != 0) };
            *nonzero |= u64::from(value != 0) << meant;
            at = meant + 1;
        }
        if *ended > 0 {
            *ended -= 1;
            bits.refill();
            // From the end of the band on there are none.
            corrections.take(bits, (known & u64::MAX << (at & 63)).count_ones())?;
        }
        corrections.make(block, known, one);
        Ok(())
    })
}

/// One more bit for each of some coefficients. They are read as symbols come and made at the end of the block, in one
/// loop: how often a loop goes round cannot be foreseen, so it is one guess a block instead of one a symbol.
#[derive(Default)]
struct Corrections {
    /// The last at the bottom.
    bits: u64,
    count: u32,
}

impl Corrections {
    /// Reads `count` more, of which 32 are loaded.
    #[inline]
    fn take(&mut self, bits: &mut Bits<'_>, count: u32) -> Result<(), Fault> {
        let mut left = count;
        if left > 32 {
            self.bits = self.bits << 32 | bits.take_loaded(32)?;
            bits.refill();
            left -= 32;
        }
        self.bits = self.bits << (left & 63) | bits.take_loaded(left)?;
        // A block has 63 of them at most.
        self.count += count;
        Ok(())
    }

    /// Makes them: each is one more for a coefficient of `which`, away from zero, or nothing.
    #[inline]
    fn make(&self, block: &mut [i16; 64], mut which: u64, one: i16) {
        let mut bits = self.bits << (64_u32.wrapping_sub(self.count) & 63);
        while which != 0 {
            let value = &mut block[which.trailing_zeros() as usize & 63];
            // Without a branch: what it is cannot be foreseen.
            let sign = *value >> 15;
            let more = one & if bits >> 63 == 0 { 0 } else { -1 };
            *value = value.saturating_add((more ^ sign).wrapping_sub(sign));
            bits <<= 1;
            which &= which.wrapping_sub(1);
        }
    }
}

/// A row of DC coefficients, or of all.
#[inline(never)]
fn units(
    bits: &mut Bits<'_>,
    parts: &mut [Part],
    (across, low): (u32, u8),
    marks: &mut Restarts,
    row: u32,
    planes: &mut [Plane],
) -> Result<(), Fault> {
    let (lines, across) = match parts {
        [only] => planes.get(only.plane).map(|plane| (plane.lines(row), plane.own.0)).ok_or(MISSING)?,
        _ => (1, across),
    };
    let mut own = *bits;
    for (line, column) in (0..lines).flat_map(|line| (0..across).map(move |column| (line, column))) {
        if marks.pass(&mut own)? {
            for part in parts.iter_mut() {
                part.before = 0;
            }
        }
        for part in parts.iter_mut() {
            let plane = planes.get_mut(part.plane).ok_or(MISSING)?;
            let (wide, high) = part.blocks;
            for down in 0..high {
                let from = (line * high + down) * plane.across + column * wide;
                for at in from as usize..(from + wide) as usize {
                    let block = plane.blocks.get_mut(at).ok_or(TOO_FAR)?;
                    let Some(dc) = &part.dc else {
                        block[0] |= i16::from(own.take(1)? == 1) << low;
                        continue;
                    };
                    part.before = part.before.wrapping_add(dc.read(&mut own)?);
                    block[0] = short(part.before << low);
                    if let (Some(ac), Some(nonzero)) = (&part.ac, plane.nonzero.get_mut(at)) {
                        coefficients(&mut own, ac, (1, 63), 0, block, nonzero)?;
                    }
                }
            }
        }
    }
    *bits = own;
    Ok(())
}

/// What no encoder writes is cut to what any decoder reads.
#[inline]
fn short(value: i32) -> i16 {
    i16::try_from(value.clamp(-i32::from(i16::MAX), i32::from(i16::MAX))).unwrap_or(0)
}
