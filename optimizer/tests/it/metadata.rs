//! What is said about a picture: kept, dropped, and never wrong.

use std::collections::BTreeSet;
use std::io::Cursor;

use image::ImageDecoder as _;
use image::codecs::{jpeg, png, webp};
use image::metadata::Orientation;
use weir_optimizer::kernel::{Format, Path};

use super::fixture::{PHOTO, PROGRESSIVE, kind, optimize, run, with_orientation, with_segment};

/// A photo with an orientation, a position, a comment, a colour profile and an index of further pictures.
fn talkative() -> Vec<u8> {
    let mut profile = [7; 200];
    profile[16..20].copy_from_slice(b"RGB ");
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0".to_vec();
    exif.extend(b"GPS 52.5 N 13.4 E");
    let mut file = with_segment(PHOTO, 0xfe, b"taken at home");
    file = with_segment(&file, 0xe1, b"http://ns.adobe.com/xap/1.0/\0<xmp>at home</xmp>");
    file = with_segment(&file, 0xe2, &[b"ICC_PROFILE\0\x01\x01", &profile[..]].concat());
    file = with_segment(&file, 0xe2, b"MPF\0MM\0*offsets");
    with_segment(&file, 0xe1, &exif)
}

fn has(file: &[u8], words: &[u8]) -> bool {
    file.windows(words.len()).any(|window| window == words)
}

#[test]
fn a_spliced_photo_says_nothing_but_its_orientation_and_its_colours() {
    let output = run(&talkative(), "").unwrap();
    assert_eq!(output.path, Path::Splice);
    let file = output.to_vec();
    for words in [&b"GPS"[..], b"home", b"xmp", b"MPF"] {
        assert!(!has(&file, words));
    }
    let mut decoder = jpeg::JpegDecoder::new(Cursor::new(&file)).unwrap();
    assert_eq!(decoder.orientation().unwrap(), Orientation::Rotate90);
    assert_eq!(decoder.icc_profile().unwrap().map(|profile| profile.len()), Some(200));
    // Once more changes nothing but the picture.
    let again = optimize(&file, "").unwrap();
    assert_eq!(jpeg::JpegDecoder::new(Cursor::new(&again)).unwrap().orientation().unwrap(), Orientation::Rotate90);
}

#[test]
fn a_spliced_photo_keeps_all_that_is_asked_to_be_kept_but_what_would_be_wrong() {
    let output = run(&talkative(), "metadata=keep").unwrap();
    assert_eq!(output.path, Path::Splice);
    let file = output.to_vec();
    for words in [&b"GPS 52.5"[..], b"taken at home", b"<xmp>at home"] {
        assert!(has(&file, words));
    }
    assert!(!has(&file, b"MPF"), "the offsets of the other pictures are not right any more");
}

#[test]
fn a_decoded_photo_keeps_its_exif_data_without_the_turn_that_was_made() {
    for (query, format) in
        [("format=png", Format::Png), ("format=webp", Format::WebP), ("format=webp&quality=70", Format::WebP)]
    {
        let stripped = optimize(&talkative(), query).unwrap();
        assert!(!has(&stripped, b"GPS"), "{query}");
        let file = optimize(&talkative(), &format!("{query}&metadata=keep")).unwrap();
        // The photo is 720 wide and turned.
        assert_eq!(kind(&file), (format, 480, 720));
        let (exif, orientation) = match format {
            Format::Jpeg => said(jpeg::JpegDecoder::new(Cursor::new(&file)).unwrap()),
            Format::Png => said(png::PngDecoder::new(Cursor::new(&file)).unwrap()),
            Format::WebP => said(webp::WebPDecoder::new(Cursor::new(&file)).unwrap()),
        };
        assert!(has(&exif, b"GPS 52.5") && orientation == Orientation::NoTransforms, "{query}");
    }
}

fn said(mut decoder: impl image::ImageDecoder) -> (Vec<u8>, Orientation) {
    (decoder.exif_metadata().unwrap().unwrap(), decoder.orientation().unwrap())
}

#[test]
fn an_upright_photo_gets_no_exif_data() {
    assert!(!has(&optimize(&with_orientation(PHOTO, 1), "").unwrap(), b"Exif"));
    assert!(!has(&optimize(&with_orientation(PHOTO, 77), "").unwrap(), b"Exif"));
    assert!(has(&optimize(&with_orientation(PHOTO, 3), "").unwrap(), b"Exif"));
}

#[test]
fn the_small_pictures_of_jfif_and_segments_without_a_use_never_go_out() {
    let mut file = PHOTO.to_vec();
    // Another JFIF segment than the photo has: with a small picture of 3 x 2 pixels.
    assert_eq!(&file[2..11], b"\xff\xe0\0\x10JFIF\0");
    file.drain(2..20);
    for (marker, body) in [(0xf3, &b"SECRET"[..]), (0x0a, b"SECRET"), (0xde, b"SECRET"), (0xe0, b"JFXX\0\x13SECRET")] {
        file = with_segment(&file, marker, body);
    }
    let jfif = [&b"JFIF\0\x01\x02\x01\x01\x2c\x01\x2c\x03\x02"[..], b"SECRET", &[7; 12]].concat();
    let one_scan = with_segment(&file, 0xe0, &jfif);
    let several = with_segment(&with_segment(PROGRESSIVE, 0xf3, b"SECRET"), 0xe0, &jfif);
    let mut paths = BTreeSet::new();
    for file in [&one_scan, &several] {
        for query in
            ["", "metadata=keep", "quality=60", "quality=60&metadata=keep", "color=00ff00&opacity=1&position=tile"]
        {
            let output = run(file, query).unwrap();
            paths.insert(output.path.name());
            let file = output.to_vec();
            assert!(!has(&file, b"SECRET"), "{query}");
            let plain = b"\xff\xe0\0\x10JFIF\0\x01\x02\x01\x01\x2c\x01\x2c\0\0";
            assert!(file[2..].starts_with(plain), "{query}");
        }
    }
    assert!(paths.contains("splice") && paths.contains("coefficients") && paths.contains("requantise"), "{paths:?}");
}

#[test]
fn a_jfif_segment_without_a_small_picture_is_kept_as_it_is() {
    assert_eq!(optimize(PHOTO, "").unwrap()[..20], PHOTO[..20]);
}
