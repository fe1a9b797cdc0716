//! The segments before the data of a baseline JPEG that is written anew.
//!
//! In: a frame, quantisation and Huffman tables. Out: DQT, SOF, DHT, DRI and SOS. Cost: some hundred bytes.
//! Sampling factors and component numbers stay those of the source, so that what its other segments say stays true.
//! Source: ITU-T T.81, annex B.

use crate::kernel::jpeg::{self, Frame};

/// Two Huffman tables: for DC and for AC, each as in a DHT segment without its head byte.
pub(super) type Bodies = (Vec<u8>, Vec<u8>);

/// The segments. `quantisers` has a table in zigzag order for each component, `tables` one for luma and one for chroma;
/// `interval` is the number of units between restart markers, 0 for none.
pub(super) fn segments(frame: &Frame, quantisers: &[[u16; 64]], tables: &[Bodies], interval: u32) -> Vec<u8> {
    let components = frame.components();
    let number_of = |quantiser: &[u16; 64]| quantisers.iter().position(|known| known == quantiser).unwrap_or(0);
    let mut out = Vec::with_capacity(1024);
    let mut wide = false;
    for (number, quantiser) in quantisers.iter().enumerate() {
        if number_of(quantiser) < number {
            continue;
        }
        let precise = quantiser.iter().any(|step| *step > 255);
        wide |= precise;
        let mut body = vec![byte(number) | u8::from(precise) << 4];
        for step in quantiser {
            let [upper, lower] = step.to_be_bytes();
            body.extend([upper, lower].iter().skip(usize::from(!precise)));
        }
        segment(&mut out, jpeg::DQT, &body);
    }
    let ([h0, h1], [w0, w1]) = (side(frame.height), side(frame.width));
    let mut body = vec![8, h0, h1, w0, w1, byte(components.len())];
    for (component, quantiser) in components.iter().zip(quantisers) {
        // The blocks of a single component come one by one whatever its factors.
        let factors =
            if components.len() == 1 { 0x11 } else { byte((component.across << 4 | component.down) as usize) };
        body.extend([component.id, factors, byte(number_of(quantiser))]);
    }
    // Steps of 16 bits are for extended files only.
    segment(&mut out, if wide { 0xc1 } else { 0xc0 }, &body);
    let tables = tables.iter().take(components.len().min(2));
    let body: Vec<u8> = tables
        .zip(0..)
        .flat_map(|((dc, ac), number)| [&[number], &dc[..], &[0x10 | number], &ac[..]].concat())
        .collect();
    segment(&mut out, jpeg::DHT, &body);
    if interval > 0 {
        segment(&mut out, jpeg::DRI, &side(interval));
    }
    let mut body = vec![byte(components.len())];
    for (number, component) in components.iter().enumerate() {
        body.extend([component.id, if number == 0 { 0x00 } else { 0x11 }]);
    }
    body.extend([0, 63, 0]);
    segment(&mut out, jpeg::SOS, &body);
    out
}

fn segment(out: &mut Vec<u8>, marker: u8, body: &[u8]) {
    let length = u16::try_from(body.len() + 2).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[0xff, marker]);
    out.extend_from_slice(&length);
    out.extend_from_slice(body);
}

fn byte(small: usize) -> u8 {
    u8::try_from(small).unwrap_or(u8::MAX)
}

fn side(pixels: u32) -> [u8; 2] {
    u16::try_from(pixels).unwrap_or(u16::MAX).to_be_bytes()
}
