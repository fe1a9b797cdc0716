//! The bytes of a made-up photo: a true header, then nothing that anybody decodes.
//!
//! In: dimensions and a length. Out: a JPEG whose frame header says those dimensions, padded to that length, so that a proxy that
//! reads dimensions finds them where a camera puts them. Cost: one allocation. Source: ITU T.81, B.2.2 and table B.1.

use bytes::Bytes;

/// Length of the header: a shorter photo is not made.
pub(crate) const HEADER: usize = 39;

/// A photo of `width` times `height` pixels in `length` bytes, or in [`HEADER`] when that is more.
pub(crate) fn jpeg(width: u16, height: u16, length: usize) -> Bytes {
    let ([high, low], [wide, narrow]) = (height.to_be_bytes(), width.to_be_bytes());
    let mut all = Vec::with_capacity(length.max(HEADER));
    // SOI; APP0 "JFIF" 1.1 without units, 1 to 1, without a thumbnail.
    all.extend_from_slice(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00");
    // SOF0: 8 bits, the dimensions, three components, 4:2:0.
    all.extend_from_slice(&[0xff, 0xc0, 0, 17, 8, high, low, wide, narrow, 3]);
    all.extend_from_slice(&[1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
    all.resize(length.max(HEADER), 0);
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_its_dimensions_to_a_decoder() {
        let bytes = jpeg(7680, 4320, 5_000);
        assert_eq!(bytes.len(), 5_000);
        let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().unwrap();
        assert_eq!(reader.format(), Some(image::ImageFormat::Jpeg));
    }

    #[test]
    fn the_frame_header_lies_behind_the_first_segment() {
        let bytes = jpeg(0x1234, 0x5678, 0);
        assert_eq!(bytes.len(), HEADER);
        // SOI, then each segment says its own length.
        let segment = 4 + usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        assert_eq!(bytes[segment..segment + 2], [0xff, 0xc0]);
        assert_eq!(bytes[segment + 5..segment + 9], [0x56, 0x78, 0x12, 0x34]);
        assert_eq!(segment + 2 + usize::from(u16::from_be_bytes([bytes[segment + 2], bytes[segment + 3]])), HEADER);
    }
}
