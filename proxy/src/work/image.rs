//! How many pixels a request body claims to have, and how far that is believed.
//!
//! In: the pieces of a body. Out: pixels, if it begins with a JPEG, PNG or WebP, or is a form whose first files are.
//! Nothing is decoded. Cost: 100 ns for a picture whose header comes first; at most one walk through 256 KiB of segments.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;

/// As far as a header is looked for: a camera's metadata, 64 KiB, and a colour profile of a few times that before it.
const REACH: usize = 256 * 1024;

/// As far as the first file of a form is looked for, and in so many parts.
const FORM_REACH: usize = 8 * 1024;
const FORM_PARTS: usize = 8;

/// A real picture takes at least 0.05 bits for a pixel: 160 pixels a byte.
const MOST_PIXELS_PER_BYTE: u64 = 160;
/// And 8 bits at most, beyond which it could as well not be compressed: a pixel a byte.
const FEWEST_PIXELS_PER_BYTE: u64 = 1;

/// The pixels of the picture in a body of so many bytes, as far as that can be true; `None` when there is no picture.
///
/// Trust is bounded by the bytes, which cannot lie: whoever claims less than they can hold, or more, gains nothing.
pub(crate) fn pixels(chunks: &[Bytes], bytes: u64) -> Option<u64> {
    let claimed = claimed(chunks)?;
    let fewest = bytes.saturating_mul(FEWEST_PIXELS_PER_BYTE);
    Some(claimed.clamp(fewest, bytes.saturating_mul(MOST_PIXELS_PER_BYTE)))
}

fn claimed(chunks: &[Bytes]) -> Option<u64> {
    let first = chunks.first()?;
    let first = first.get(..REACH).unwrap_or(first);
    // Mostly all is in the first piece, and nothing is copied.
    dimensions(first)
        .or_else(|| (chunks.len() > 1 && first.len() < REACH).then(|| dimensions(&beginning(chunks))).flatten())
}

fn beginning(chunks: &[Bytes]) -> Cow<'_, [u8]> {
    let mut all = Vec::with_capacity(REACH);
    for chunk in chunks {
        let room = REACH - all.len();
        all.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        if all.len() == REACH {
            break;
        }
    }
    Cow::Owned(all)
}

fn dimensions(start: &[u8]) -> Option<u64> {
    if start.starts_with(b"--") {
        return of_form(start);
    }
    let size = imagesize::blob_size(start).ok()?;
    let pixels = u64::try_from(size.width).ok()?.saturating_mul(u64::try_from(size.height).ok()?);
    (pixels > 0).then_some(pixels)
}

/// `multipart/form-data`: whatever follows the head of a part is tried, so that its boundaries need not be known.
fn of_form(form: &[u8]) -> Option<u64> {
    let heads = memmem::find_iter(form.get(..FORM_REACH).unwrap_or(form), b"\r\n\r\n");
    heads.take(FORM_PARTS).find_map(|end| {
        let part = form.get(end + 4..)?;
        if part.starts_with(b"--") { None } else { dimensions(part) }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A PNG's beginning with this size.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut start = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
        start.extend_from_slice(&width.to_be_bytes());
        start.extend_from_slice(&height.to_be_bytes());
        start.extend_from_slice(&[8, 2, 0, 0, 0, 0, 0, 0, 0]);
        start
    }

    /// A JPEG's beginning with this size behind so many bytes of metadata.
    fn jpeg(width: u16, height: u16, metadata: u16) -> Vec<u8> {
        let mut start = vec![0xff, 0xd8, 0xff, 0xe1];
        start.extend_from_slice(&(metadata + 2).to_be_bytes());
        start.extend(std::iter::repeat_n(0x20, metadata.into()));
        start.extend_from_slice(&[0xff, 0xc0, 0, 17, 8]);
        start.extend_from_slice(&height.to_be_bytes());
        start.extend_from_slice(&width.to_be_bytes());
        start.extend_from_slice(&[3; 40]);
        start
    }

    fn of(body: &[u8], piece: usize, bytes: u64) -> Option<u64> {
        let chunks: Vec<Bytes> = body.chunks(piece.max(1)).map(Bytes::copy_from_slice).collect();
        pixels(&chunks, bytes)
    }

    #[test]
    fn the_pixels_are_found_whatever_comes_before_them_and_however_it_is_cut() {
        assert_eq!(of(&png(720, 480), 1 << 20, 100_000), Some(345_600));
        for (metadata, piece) in [(100, 1 << 20), (65_000, 16_384), (40_000, 1000)] {
            assert_eq!(of(&jpeg(720, 480, metadata), piece, 100_000), Some(345_600), "{metadata} in {piece}");
        }
    }

    #[test]
    fn a_form_is_looked_into() {
        let mut form = b"--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nweir\r\n--b\r\n\
            Content-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n"
            .to_vec();
        form.extend_from_slice(&png(720, 480));
        assert_eq!(of(&form, 1 << 20, 100_000), Some(345_600));
        assert_eq!(of(b"--b\r\n\r\nno picture\r\n--b--", 1 << 20, 100_000), None);
    }

    #[test]
    fn what_is_no_picture_has_no_pixels() {
        for body in [&b""[..], b"GIF89a", b"text", b"\xff\xd8\xff", b"RIFF....WEBP", &png(0, 10)] {
            assert_eq!(of(body, 1 << 20, 1000), None, "{body:?}");
        }
    }

    #[test]
    fn a_claim_is_believed_only_as_far_as_the_bytes_can_hold_it() {
        // 100 KB that claim to be 8K, and 4 MB that claim to be a stamp.
        assert_eq!(of(&jpeg(7680, 4320, 0), 1 << 20, 100_000), Some(16_000_000));
        assert_eq!(of(&jpeg(100, 100, 0), 1 << 20, 4_000_000), Some(4_000_000));
        // As it comes from a camera.
        assert_eq!(of(&jpeg(7680, 4320, 0), 1 << 20, 6_000_000), Some(7680 * 4320));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..3000) {
            of(&body, piece, body.len() as u64);
        }

        #[test]
        fn no_change_of_a_picture_makes_it_panic_or_believe_too_much(
            changes in proptest::collection::vec((0_usize..400, any::<u8>()), 0..20),
            cut in 0_usize..400, which in 0..4, piece in 1_usize..500, bytes in 0..1_u64 << 40,
        ) {
            let mut body = match which {
                0 => png(720, 480),
                1 => jpeg(720, 480, 200),
                2 => [b"--b\r\na: b\r\n\r\n".as_slice(), &jpeg(720, 480, 100)].concat(),
                _ => [b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0\x20\0\0\x20\0\0".as_slice(), &[7; 300]].concat(),
            };
            for (at, byte) in changes {
                let at = at % body.len();
                body[at] = byte;
            }
            body.truncate(cut);
            if let Some(pixels) = of(&body, piece, bytes) {
                prop_assert!((bytes..=bytes * 160).contains(&pixels));
            }
        }
    }
}
