//! One scan into a store.
//!
//! In: the data of a scan, tables, planes. Out: the planes with what the scan says, and what follows it. Cost: one
//! look-up for a code and its value together where both are short; a block without news in a scan takes about a
//! nanosecond.
//! Source: ITU-T T.81, annexes F and G; libjpeg's `jdphuff.c` for the order of the correction bits.

use super::block::{TOO_FAR, Values, after, signed};
use super::store::{NONE, Plane};
use crate::kernel::huffman::{Bits, Fault, Scan, Table, Tables};
use crate::kernel::jpeg::Frame;

const MISSING: Fault = Fault::Broken("a scan uses a table that is not there");
const TWICE: Fault = Fault::Broken("a scan gives bits that came before, or whose upper bits did not come");

/// Reads the scan at `data` and gives back what comes after it.
pub(super) fn read<'a>(
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    interval: u32,
    data: &'a [u8],
    planes: &mut [Plane],
) -> Result<&'a [u8], Fault> {
    for (number, (part, ..)) in scan.parts.iter().take(scan.count).enumerate() {
        if scan.parts[..number].iter().any(|(other, ..)| other == part) {
            return Err(Fault::Broken("a scan names a component twice"));
        }
        note(planes.get_mut(*part).ok_or(MISSING)?, frame, scan)?;
    }
    let mut bits = Bits::new(data);
    if scan.band.0 > 0 {
        let (part, _, table) = scan.parts[0];
        let table = tables.ac[table].as_ref().ok_or(MISSING)?;
        let plane = planes.get_mut(part).ok_or(MISSING)?;
        if scan.refines {
            refine(&mut bits, table, scan, interval, plane)?;
        } else {
            first(&mut bits, &Values::new(table), scan, interval, plane)?;
        }
        return Ok(bits.rest());
    }
    units(&mut bits, frame, scan, tables, interval, planes)?;
    Ok(bits.rest())
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

/// Goes through the blocks of a component that is alone in its scan.
fn alone(
    bits: &mut Bits<'_>,
    plane: &mut Plane,
    interval: u32,
    mut each: impl FnMut(&mut Bits<'_>, &mut [i16; 64], &mut u64, &mut u32) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (across, down) = plane.own;
    let (mut left, mut restarts) = (interval, 0);
    // Blocks still to come that have nothing new in this band.
    let mut ended = 0;
    let rows = plane.blocks.chunks_exact_mut(plane.across.max(1) as usize);
    let masks = plane.nonzero.chunks_exact_mut(plane.across.max(1) as usize);
    for (row, masks) in rows.zip(masks).take(down as usize) {
        for (block, nonzero) in row.iter_mut().zip(masks).take(across as usize) {
            if interval > 0 {
                if left == 0 {
                    bits.restart(restarts)?;
                    restarts += 1;
                    ended = 0;
                    left = interval;
                }
                left -= 1;
            }
            each(bits, block, nonzero, &mut ended)?;
        }
    }
    Ok(())
}

fn first(bits: &mut Bits<'_>, values: &Values<'_>, scan: &Scan, interval: u32, plane: &mut Plane) -> Result<(), Fault> {
    let ((start, end), low) = (scan.band, scan.low);
    alone(bits, plane, interval, |bits, block, nonzero, ended| {
        if *ended > 0 {
            *ended -= 1;
            return Ok(());
        }
        let mut at = start;
        while at <= end {
            bits.fill();
            let entry = values.entry(bits);
            let (run, value) = if entry != 0 {
                bits.drop_bits(entry & 31)?;
                (entry >> 8 & 15, entry.cast_signed() >> 16)
            } else {
                let symbol = values.table.read(bits)?;
                let (run, size) = (u32::from(symbol >> 4), symbol & 15);
                if size == 0 {
                    if run == 15 {
                        at += 16;
                        continue;
                    }
                    *ended = (1 << run) - 1 + bits.take(run)?;
                    return Ok(());
                }
                (run, signed(bits.take(u32::from(size))?, size))
            };
            at += run;
            if at > end {
                return Err(TOO_FAR);
            }
            block[at as usize & 63] = short(value << low);
            *nonzero |= 1 << at;
            at += 1;
        }
        Ok(())
    })
}

fn refine(bits: &mut Bits<'_>, table: &Table, scan: &Scan, interval: u32, plane: &mut Plane) -> Result<(), Fault> {
    let ((start, end), low) = (scan.band, scan.low);
    let band = (u64::MAX >> (63 - end)) & (u64::MAX << start);
    let one = 1_i16 << low;
    alone(bits, plane, interval, |bits, block, nonzero, ended| {
        // What of the band is still to be gone through.
        let mut rest = band;
        while *ended == 0 && rest != 0 {
            let symbol = table.read(bits)?;
            let (run, size) = (u32::from(symbol >> 4), symbol & 15);
            let value = match size {
                0 if run < 15 => {
                    *ended = (1 << run) + bits.take(run)?;
                    break;
                }
                0 => 0,
                1 if bits.take(1)? == 1 => one,
                1 => -one,
                _ => return Err(Fault::Broken("a correction is larger than a bit")),
            };
            // `run` counts the coefficients that stay zero.
            let mut zeros = rest & !*nonzero;
            for _ in 0..run {
                zeros &= zeros.wrapping_sub(1);
            }
            // All below the next zero, and that too.
            let upto = zeros ^ zeros.wrapping_sub(1);
            correct(bits, block, rest & *nonzero & upto, one)?;
            rest &= !upto;
            if value != 0 {
                if zeros == 0 {
                    return Err(TOO_FAR);
                }
                let at = zeros.trailing_zeros();
                block[at as usize & 63] = value;
                *nonzero |= 1 << at;
            }
        }
        if *ended > 0 {
            *ended -= 1;
            correct(bits, block, rest & *nonzero, one)?;
        }
        Ok(())
    })
}

/// Reads a bit for each coefficient of `which`: whether it is one more, away from zero.
#[inline]
fn correct(bits: &mut Bits<'_>, block: &mut [i16; 64], mut which: u64, one: i16) -> Result<(), Fault> {
    while which != 0 {
        if bits.take(1)? == 1 {
            let value = &mut block[which.trailing_zeros() as usize & 63];
            *value = value.saturating_add(if *value < 0 { -one } else { one });
        }
        which &= which - 1;
    }
    Ok(())
}

/// A scan of DC coefficients, or of all.
fn units(
    bits: &mut Bits<'_>,
    frame: &Frame,
    scan: &Scan,
    tables: &Tables,
    interval: u32,
    planes: &mut [Plane],
) -> Result<(), Fault> {
    let parts = &scan.parts[..scan.count];
    let whole = !frame.progressive;
    let mut codings = Vec::with_capacity(4);
    for (part, dc, ac) in parts {
        let plane = planes.get(*part).ok_or(MISSING)?;
        let component = frame.components()[*part];
        let blocks = if parts.len() == 1 { (1, 1) } else { (component.across, component.down) };
        let dc = if scan.refines { None } else { Some(tables.dc[*dc].as_ref().ok_or(MISSING)?) };
        let ac = if whole { Some(Values::new(tables.ac[*ac].as_ref().ok_or(MISSING)?)) } else { None };
        codings.push((*part, blocks, plane.across, dc, ac));
    }
    let (across, down) = if let [(only, ..)] = parts {
        planes.get(*only).ok_or(MISSING)?.own
    } else {
        let (across, down) = frame.most();
        (frame.width.div_ceil(8 * across), frame.height.div_ceil(8 * down))
    };
    let (mut left, mut restarts) = (interval, 0);
    let mut before = [0_i32; 4];
    for (row, column) in (0..down).flat_map(|row| (0..across).map(move |column| (row, column))) {
        if interval > 0 {
            if left == 0 {
                bits.restart(restarts)?;
                restarts += 1;
                before = [0; 4];
                left = interval;
            }
            left -= 1;
        }
        for ((part, (wide, high), stride, dc, ac), before) in codings.iter().zip(&mut before) {
            let plane = &mut planes[*part];
            for down in 0..*high {
                let from = (row * high + down) * stride + column * wide;
                for at in from as usize..(from + wide) as usize {
                    let block = plane.blocks.get_mut(at).ok_or(TOO_FAR)?;
                    let Some(dc) = dc else {
                        block[0] |= i16::from(bits.take(1)? == 1) << scan.low;
                        continue;
                    };
                    let size = dc.read(bits)?;
                    if size > 15 {
                        return Err(Fault::Broken("a DC difference is too long"));
                    }
                    *before = before.wrapping_add(signed(bits.take(u32::from(size))?, size));
                    block[0] = short(*before << scan.low);
                    if let (Some(ac), Some(nonzero)) = (ac, plane.nonzero.get_mut(at)) {
                        sequential(bits, ac, block, nonzero)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The AC coefficients of a block of a file that is not progressive.
fn sequential(bits: &mut Bits<'_>, values: &Values<'_>, block: &mut [i16; 64], nonzero: &mut u64) -> Result<(), Fault> {
    let mut at = 1;
    while at < 64 {
        bits.fill();
        let entry = values.entry(bits);
        let (next, value) = if entry != 0 {
            bits.drop_bits(entry & 31)?;
            let next = at + (entry >> 8 & 15) + 1;
            if next > 64 {
                return Err(TOO_FAR);
            }
            (next, entry.cast_signed() >> 16)
        } else {
            let symbol = values.table.read(bits)?;
            let Some(next) = after(symbol, at)? else { break };
            let size = symbol & 15;
            if size == 0 {
                at = next;
                continue;
            }
            (next, signed(bits.take(u32::from(size))?, size))
        };
        block[(next - 1) as usize & 63] = short(value);
        *nonzero |= 1 << (next - 1);
        at = next;
    }
    Ok(())
}

/// What no encoder writes is cut to what any decoder reads.
#[inline]
fn short(value: i32) -> i16 {
    i16::try_from(value.clamp(-i32::from(i16::MAX), i32::from(i16::MAX))).unwrap_or(0)
}
