//! What is said about a picture, and how much of it goes out again.
//!
//! In: the segments before the scan. Out: those kept. Cost: O(segments).
//! Kept always: what a decoder needs, JFIF, Adobe's marker, the colour profile, and the orientation, since the picture
//! stays stored as it was. Other metadata, position and camera data first of all, only when asked for.
//! Never kept: the small pictures that JFIF has room for, which show the picture without its mark, and segments without a
//! use in a file of this kind, whatever is in them. A small picture inside of EXIF data goes out with it, if that is kept.
//! Source: JFIF 1.02; Exif 2.32, sections 4.5.4 and 4.6.2; CIPA DC-007 for the index of several pictures, whose offsets would be
//! wrong, and which is dropped with what follows the picture.

use image::metadata::Orientation;

use super::file::Piece;
use super::pieces::Pieces;
use crate::kernel::jpeg;
use crate::plan::Metadata;

const EXIF: &[u8] = b"Exif\0\0";
/// Bytes of a JFIF segment without a small picture, whose sides are the last two.
const JFIF: usize = 14;

/// How the viewer turns the picture.
pub(super) fn orientation(head: &[Piece<'_>]) -> Orientation {
    let exif = head.iter().filter(|piece| piece.marker == jpeg::APP1).find_map(|piece| piece.body.strip_prefix(EXIF));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// Which tables go out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Coding<'a> {
    /// The file's own.
    Own,
    /// This DHT segment instead.
    Huffman(&'a [u8]),
    /// These segments, from tables to scan header, instead of all that say how the data is coded.
    Fresh(&'a [u8]),
}

/// Adds what goes before the data.
pub(super) fn head(
    head: &[Piece<'_>],
    metadata: Metadata,
    orientation: Orientation,
    coding: Coding<'_>,
    pieces: &mut Pieces,
) {
    // The start of the image.
    pieces.keep(0..2);
    let mut turned = false;
    for Piece { marker, body, range } in head {
        let kept = match *marker {
            jpeg::DHT => matches!(coding, Coding::Own),
            jpeg::DQT | jpeg::DRI | jpeg::SOS => !matches!(coding, Coding::Fresh(_)),
            marker if jpeg::is_frame(marker) => !matches!(coding, Coding::Fresh(_)),
            // With a small picture it is written again without.
            jpeg::APP0 if body.starts_with(b"JFIF\0") => body.len() == JFIF && body.ends_with(&[0, 0]),
            jpeg::APP0 if body.starts_with(b"JFXX\0") => false,
            jpeg::APP2 if body.starts_with(b"ICC_PROFILE\0") => true,
            jpeg::APP2 if body.starts_with(b"MPF\0") => false,
            jpeg::APP14 if body.starts_with(b"Adobe") => true,
            jpeg::APP0..=jpeg::APP15 | jpeg::COM => metadata == Metadata::Keep,
            _ => false,
        };
        if *marker == jpeg::APP0 && !kept && jpeg::is_jfif(body) {
            let said = body.get(..JFIF - 2).unwrap_or_default();
            pieces.make([&[0xff, jpeg::APP0, 0, 16], said, &[0, 0]].concat());
        }
        if *marker == jpeg::APP1
            && body.starts_with(EXIF)
            && !kept
            && !turned
            && orientation != Orientation::NoTransforms
        {
            pieces.make(minimal(orientation));
            turned = true;
        }
        if *marker == jpeg::SOS {
            match coding {
                Coding::Own => {}
                Coding::Huffman(segments) | Coding::Fresh(segments) => pieces.make(segments.to_vec()),
            }
        }
        if kept {
            pieces.keep(range.clone());
        }
    }
}

/// An APP1 segment that says the orientation and nothing else.
fn minimal(orientation: Orientation) -> Vec<u8> {
    let mut segment = vec![0xff, jpeg::APP1, 0, 34];
    segment.extend_from_slice(EXIF);
    // A TIFF header, most significant byte first; one directory of one entry, tag 0x112, one 16-bit number.
    segment.extend_from_slice(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0");
    segment.extend_from_slice(&[orientation.to_exif(), 0, 0, 0, 0, 0, 0]);
    segment
}
