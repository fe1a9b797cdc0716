//! Walks the entropy-coded data of a JPEG to see that every block is there.
//!
//! In: a file. Out: nothing, or where it ends or breaks. Cost: about a third of decoding; for a progressive file eight
//! bytes per block besides, once its data has proved that the blocks exist.
//! No coefficient is kept: codes are read, their extra bits skipped. A progressive refinement scan needs to know which
//! coefficients are not zero yet, and that is one bit each.
//! Source: ITU-T T.81, annexes F and G; libjpeg's `jdphuff.c` for the order of the correction bits.

mod bits;

pub(super) use self::bits::{Bits, Fault, Place, Table, WINDOW, WINDOWS, data_byte};
use super::codec;
use super::jpeg::{self, Component, Frame, Segments, corrupt, truncated};
use crate::refusal::Refusal;

/// A progressive file has about ten scans; each costs the decoder a pass over the whole picture.
pub(super) const MOST_SCANS: usize = 100;

/// Refuses a file whose scans do not hold all blocks of its frame.
pub(super) fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let mut segments = Segments::new(bytes);
    let mut frame: Option<Frame> = None;
    let mut walk = Walk::default();
    let mut scans = 0;
    loop {
        let segment = segments.next()?;
        match segment.marker {
            jpeg::DHT => walk.tables.read(segment.body)?,
            jpeg::DRI => walk.interval = jpeg::restart_interval(segment.body)?,
            jpeg::SOS => {
                scans += 1;
                if scans > MOST_SCANS {
                    return Err(corrupt("it has more than 100 scans"));
                }
                let frame = frame.as_ref().ok_or_else(|| corrupt("its data comes before its dimensions"))?;
                let scan = Scan::parse(segment.body, frame)?;
                let first = frame.components()[0];
                let subsampled = frame.components().iter().any(|c| (c.across, c.down) != (first.across, first.down));
                if !codec::SEPARATE_SCANS && !frame.progressive && scan.count < frame.components().len() && subsampled {
                    // Its decoder returns a black picture for these (zune-jpeg 0.5.15), without an error.
                    return Err(Refusal::Unsupported { what: "a baseline JPEG with separate scans".to_owned() });
                }
                let rest = walk.scan(frame, &scan, segments.rest())?;
                segments.resume(rest);
            }
            jpeg::EOI => {
                let all = frame.is_some_and(|frame| walk.seen[..frame.components().len()].iter().all(|seen| *seen));
                return if all { Ok(()) } else { Err(truncated("a component of the picture is missing")) };
            }
            marker if jpeg::is_frame(marker) => {
                let found = Frame::parse(marker, segment.body)?;
                if frame.replace(found).is_some() {
                    return Err(corrupt("it has two frame headers"));
                }
            }
            _ => {}
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Ends => truncated("its picture data ends early"),
            Fault::Broken(why) => corrupt(why),
        }
    }
}

/// What a start-of-scan segment says.
pub(super) struct Scan {
    /// Index into the frame's components, DC table, AC table.
    pub(super) parts: [(usize, usize, usize); 4],
    pub(super) count: usize,
    /// First and last coefficient.
    pub(super) band: (u32, u32),
    /// Whether an earlier scan gave the upper bits.
    pub(super) refines: bool,
    /// The lowest bit of a coefficient that came before, and that comes now.
    pub(super) high: u8,
    pub(super) low: u8,
}

impl Scan {
    pub(super) fn parse(body: &[u8], frame: &Frame) -> Result<Self, Refusal> {
        let short = || corrupt("a scan header is too short");
        let count = usize::from(*body.first().ok_or_else(short)?);
        let (Some(listed), Some([start, end, approximation])) =
            (body.get(1..1 + 2 * count), body.get(1 + 2 * count..4 + 2 * count))
        else {
            return Err(short());
        };
        if !(1..=4).contains(&count) {
            return Err(corrupt("a scan has no components, or more than four"));
        }
        let mut parts = [(0, 0, 0); 4];
        for (part, listed) in parts.iter_mut().zip(listed.chunks_exact(2)) {
            let component = frame.components().iter().position(|component| component.id == listed[0]);
            let component = component.ok_or_else(|| corrupt("a scan names a component the frame has not"))?;
            *part = (component, usize::from(listed[1] >> 4), usize::from(listed[1] & 15));
            if part.1 > 3 || part.2 > 3 {
                return Err(corrupt("a scan names a table above 3"));
            }
        }
        let band = if frame.progressive { (u32::from(*start), u32::from(*end)) } else { (0, 63) };
        let legal = band.0 <= band.1 && band.1 <= 63 && (band.0 == 0 || count == 1);
        if !legal || (frame.progressive && band.0 == 0 && band.1 != 0) {
            return Err(corrupt("a scan has an impossible range of coefficients"));
        }
        let (high, low) = if frame.progressive { (approximation >> 4, approximation & 15) } else { (0, 0) };
        Ok(Self { parts, count, band, refines: high != 0, high, low })
    }
}

/// The Huffman tables read so far, by their number.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
}

impl Tables {
    /// Reads the body of a DHT segment.
    pub(super) fn read(&mut self, mut body: &[u8]) -> Result<(), Refusal> {
        while let Some((head, rest)) = body.split_first() {
            let broken = || corrupt("a Huffman table is broken");
            let (table, length) = Table::parse(rest).ok_or_else(broken)?;
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *tables.get_mut(usize::from(head & 15)).ok_or_else(broken)? = Some(table);
            body = &rest[length..];
        }
        Ok(())
    }
}

/// What is carried from segment to segment.
#[derive(Default)]
struct Walk {
    tables: Tables,
    interval: u32,
    /// Components whose DC coefficients came.
    seen: [bool; 4],
    /// Per component and block, the coefficients that are not zero; filled by progressive AC scans.
    nonzero: [Vec<u64>; 4],
}

impl Walk {
    /// Walks one scan and gives back what comes after it.
    fn scan<'a>(&mut self, frame: &Frame, scan: &Scan, data: &'a [u8]) -> Result<&'a [u8], Fault> {
        let most = |side: fn(&Component) -> u32| frame.components().iter().map(side).max().unwrap_or(1);
        let (across, down) = (most(|c| c.across), most(|c| c.down));
        let parts = &scan.parts[..scan.count];
        // Blocks of each part in one unit, and the number of units.
        let mut blocks = [1; 4];
        let units = if let [(only, ..)] = parts {
            let component = frame.components()[*only];
            let side = |pixels: u32, factor: u32, most: u32| (pixels * factor).div_ceil(most).div_ceil(8);
            side(frame.width, component.across, across) * side(frame.height, component.down, down)
        } else {
            for (count, (index, ..)) in blocks.iter_mut().zip(parts) {
                let component = frame.components()[*index];
                *count = component.across * component.down;
            }
            frame.width.div_ceil(8 * across) * frame.height.div_ceil(8 * down)
        };
        let mut bits = Bits::new(data);
        if scan.band.0 > 0 {
            let [(only, _, table), ..] = scan.parts;
            let table = self.tables.ac[table].as_ref().ok_or(Fault::Broken("a scan uses a table that is not there"))?;
            let nonzero = &mut self.nonzero[only];
            // Only now: the DC scan before this one was read to its end, so the file has paid for the blocks.
            if !self.seen[only] {
                return Err(Fault::Broken("a component has AC coefficients before its DC coefficients"));
            }
            nonzero.resize(units as usize, 0);
            ac_scan(&mut bits, table, scan, nonzero, self.interval)?;
            return Ok(bits.rest());
        }
        for unit in 0..units {
            if self.interval > 0 && unit > 0 && unit % self.interval == 0 {
                bits.restart(unit / self.interval - 1)?;
            }
            for ((_, dc, ac), blocks) in parts.iter().zip(blocks) {
                for _ in 0..blocks {
                    if scan.refines {
                        bits.skip(1)?;
                        continue;
                    }
                    let none = Fault::Broken("a scan uses a table that is not there");
                    let length = self.tables.dc[*dc].as_ref().ok_or(none)?.read(&mut bits)?;
                    if length > 15 {
                        return Err(Fault::Broken("a DC difference is too long"));
                    }
                    bits.skip(u32::from(length))?;
                    if !frame.progressive {
                        let none = Fault::Broken("a scan uses a table that is not there");
                        sequential_ac(&mut bits, self.tables.ac[*ac].as_ref().ok_or(none)?)?;
                    }
                }
            }
        }
        for (index, ..) in parts {
            self.seen[*index] = true;
        }
        Ok(bits.rest())
    }
}

const TOO_FAR: Fault = Fault::Broken("a run of coefficients goes past the end of its block");

fn sequential_ac(bits: &mut Bits<'_>, table: &Table) -> Result<(), Fault> {
    let mut at = 1;
    while at < 64 {
        let symbol = table.read(bits)?;
        let (run, length) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (run, length) {
            (15, 0) => at += 16,
            (_, 0) => return Ok(()),
            _ => {
                at += run + 1;
                if at > 64 {
                    return Err(TOO_FAR);
                }
                bits.skip(length)?;
            }
        }
    }
    // Sixteen zeros at the very end may reach past it in files that decoders read all the same.
    Ok(())
}

/// A progressive scan of AC coefficients of one component.
fn ac_scan(bits: &mut Bits<'_>, table: &Table, scan: &Scan, nonzero: &mut [u64], interval: u32) -> Result<(), Fault> {
    let mut ended = 0; // Blocks still to come that have nothing new in this band.
    let mut left = interval;
    let mut restarts = 0;
    for block in nonzero {
        if interval > 0 {
            if left == 0 {
                bits.restart(restarts)?;
                restarts += 1;
                ended = 0;
                left = interval;
            }
            left -= 1;
        }
        if scan.refines {
            refine(bits, table, scan.band, block, &mut ended)?;
        } else {
            first(bits, table, scan.band, block, &mut ended)?;
        }
    }
    Ok(())
}

fn first(
    bits: &mut Bits<'_>,
    table: &Table,
    (start, end): (u32, u32),
    block: &mut u64,
    ended: &mut u32,
) -> Result<(), Fault> {
    if *ended > 0 {
        *ended -= 1;
        return Ok(());
    }
    let mut at = start;
    while at <= end {
        let symbol = table.read(bits)?;
        let (run, length) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match (run, length) {
            (15, 0) => at += 16,
            (_, 0) => {
                *ended = (1 << run) - 1 + bits.take(run)?;
                return Ok(());
            }
            _ => {
                at += run;
                if at > end {
                    return Err(TOO_FAR);
                }
                bits.skip(length)?;
                *block |= 1 << at;
                at += 1;
            }
        }
    }
    Ok(())
}

fn refine(
    bits: &mut Bits<'_>,
    table: &Table,
    (start, end): (u32, u32),
    block: &mut u64,
    ended: &mut u32,
) -> Result<(), Fault> {
    let mut at = start;
    if *ended == 0 {
        while at <= end {
            let symbol = table.read(bits)?;
            let (mut run, length) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            if length == 0 && run < 15 {
                *ended = (1 << run) + bits.take(run)?;
                break;
            }
            if length > 0 {
                bits.skip(1)?;
            }
            // Each coefficient that is not zero has its correction bit; `run` counts only those that stay zero.
            while at <= end {
                if *block >> at & 1 == 1 {
                    bits.skip(1)?;
                } else if run == 0 {
                    break;
                } else {
                    run -= 1;
                }
                at += 1;
            }
            if length > 0 {
                if at > end {
                    return Err(TOO_FAR);
                }
                *block |= 1 << at;
            }
            at += 1;
        }
    }
    if *ended > 0 {
        *ended -= 1;
        if at <= end {
            let band = (u64::MAX >> (63 - end)) & (u64::MAX << at);
            bits.skip((*block & band).count_ones())?;
        }
    }
    Ok(())
}
