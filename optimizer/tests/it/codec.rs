//! JPEG to pixels and back: what is read, and how it is written.

use std::io::{Cursor, Write as _};
use std::process::{Command, Stdio};

use image::codecs::{jpeg, png};
use image::{DynamicImage, ImageDecoder as _, ImageEncoder as _, ImageFormat};
use weir_optimizer::kernel::{CODEC_BACK_END, Header, Limits};
use weir_testkit::require;

use super::fixture::{self, decoded, detail, encoded, optimize};
use super::picture::distance;

/// The sampling factors in the frame of a JPEG.
fn sampling(file: &[u8]) -> Vec<u8> {
    let frame = file.windows(2).position(|pair| matches!(pair, [0xff, 0xc0..=0xc2])).unwrap();
    let count = usize::from(file[frame + 9]);
    file[frame + 10..].chunks_exact(3).take(count).map(|component| component[1]).collect()
}

/// What `name` writes for `input`, if it is there.
fn piped(name: &str, flags: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut process =
        Command::new(require(name)?).args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = process.stdin.take().unwrap();
    let input = input.to_vec();
    // It may read all before it writes, or not.
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = process.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "{name}");
    Some(output.stdout)
}

#[test]
fn colours_have_half_the_samples_each_way_below_quality_90_and_all_from_there_on() {
    let png = encoded(&detail(120, 90), ImageFormat::Png);
    for (quality, factors) in [(20, [0x22, 0x11, 0x11]), (89, [0x22, 0x11, 0x11]), (90, [0x11; 3]), (100, [0x11; 3])] {
        let file = optimize(&png, &format!("format=jpeg&quality={quality}")).unwrap();
        assert_eq!(sampling(&file), factors, "{quality}");
        let header = Header::read(&file, &Limits::default()).unwrap();
        assert!(header.quality.unwrap().get().abs_diff(quality) <= 1, "{quality}");
    }
    let grey = encoded(&DynamicImage::from(detail(120, 90).to_luma8()), ImageFormat::Png);
    assert_eq!(sampling(&optimize(&grey, "format=jpeg").unwrap()).len(), 1);
    assert_eq!(sampling(&optimize(&grey, "format=jpeg&color=ff0000").unwrap()).len(), 3);
}

#[test]
fn a_picture_written_as_a_jpeg_looks_like_itself_whatever_its_sides() {
    for (width, height) in [(1, 1), (7, 9), (8, 16), (17, 1), (1, 33), (160, 120)] {
        let picture = detail(width, height);
        let file = optimize(&encoded(&picture, ImageFormat::Png), "format=jpeg&quality=95&opacity=0").unwrap();
        assert!(distance(&decoded(&file), &picture) < 3.0, "{width} x {height}");
    }
}

#[test]
fn a_long_profile_and_exif_data_go_through_a_jpeg_whole() {
    let mut profile: Vec<u8> = (0..150_000_u32).map(|at| ((at * 31) >> 3).to_le_bytes()[0]).collect();
    profile[16..20].copy_from_slice(b"RGB ");
    let exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x01\0\0\0\0\0\0 taken at home".to_vec();
    let mut file = Vec::new();
    let mut encoder = png::PngEncoder::new(&mut file);
    encoder.set_icc_profile(profile.clone()).unwrap();
    encoder.set_exif_metadata(exif.clone()).unwrap();
    detail(64, 48).write_with_encoder(encoder).unwrap();
    let jpeg = optimize(&file, "format=jpeg&metadata=keep").unwrap();
    let mut decoder = jpeg::JpegDecoder::new(Cursor::new(&jpeg)).unwrap();
    assert_eq!(decoder.icc_profile().unwrap().as_ref(), Some(&profile));
    let said = decoder.exif_metadata().unwrap().unwrap();
    assert!(said.ends_with(b" taken at home") && said.len() == exif.len());
    let png = optimize(&jpeg, "format=png&metadata=keep").unwrap();
    let mut decoder = png::PngDecoder::new(Cursor::new(&png)).unwrap();
    assert_eq!(decoder.icc_profile().unwrap(), Some(profile));
    assert!(decoder.exif_metadata().unwrap().unwrap().ends_with(b" taken at home"));
    // Without a part of it, there is no profile.
    let second = jpeg.windows(14).position(|at| at.starts_with(b"ICC_PROFILE\0\x02")).unwrap();
    let broken = [&jpeg[..second], b"XCC", &jpeg[second + 3..]].concat();
    let png = optimize(&broken, "format=png").unwrap();
    assert_eq!(png::PngDecoder::new(Cursor::new(&png)).unwrap().icc_profile().unwrap(), None);
}

#[test]
fn exif_data_that_no_segment_holds_is_left_out_and_the_picture_is_written() {
    let mut file = Vec::new();
    let mut encoder = png::PngEncoder::new(&mut file);
    encoder.set_exif_metadata(vec![b'M'; 70_000]).unwrap();
    detail(64, 48).write_with_encoder(encoder).unwrap();
    let jpeg = optimize(&file, "format=jpeg&metadata=keep").unwrap();
    assert_eq!(jpeg::JpegDecoder::new(Cursor::new(&jpeg)).unwrap().exif_metadata().unwrap(), None);
}

#[test]
fn the_name_of_the_codecs_says_which_are_built_in() {
    assert_eq!(CODEC_BACK_END.contains("libjpeg-turbo"), cfg!(feature = "turbojpeg"));
    assert_eq!(CODEC_BACK_END.contains("jpeg-encoder"), !cfg!(feature = "turbojpeg"));
    let lock = include_str!("../../../Cargo.lock");
    let versions = [
        ("turbojpeg", "1.5.1"),
        ("turbojpeg-sys", "1.2.0"),
        ("jpeg-encoder", "0.7."),
        ("zune-jpeg", "0.5.15"),
        ("image", "0.25."),
        ("image-webp", "0.2."),
        ("webp", "0.3.1"),
        ("libwebp-sys", "0.9.6"),
        ("png", "0.18."),
        ("fdeflate", "0.3."),
    ];
    for (name, version) in versions {
        // Another one may write other bytes: its name goes into `CODEC_BACK_END`, and then here.
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}")), "{name}");
    }
}

#[test]
fn jpegs_become_the_pixels_that_djpeg_makes_of_them() {
    let files = [
        ("photo", fixture::PHOTO),
        ("grey", fixture::GREY),
        ("restarts", fixture::RESTARTS),
        ("progressive", fixture::PROGRESSIVE),
    ];
    for (name, file) in files {
        let Some(theirs) = piped("djpeg", &["-strict", "-rgb"], file) else { return };
        let ours = decoded(&optimize(file, "format=png&opacity=0").unwrap());
        let samples = theirs[theirs.len() - ours.to_rgb8().len()..].to_vec();
        let theirs = image::RgbImage::from_raw(ours.width(), ours.height(), samples).unwrap().into();
        // Other decoders make chroma smooth in other ways.
        let most = if cfg!(feature = "turbojpeg") { 0.0 } else { 1.0 };
        assert!(distance(&ours, &theirs) <= most, "{name}: {}", distance(&ours, &theirs));
    }
}

/// What libjpeg-turbo reads, and what it refuses.
#[cfg(feature = "turbojpeg")]
mod libjpeg {
    use super::*;
    use crate::fixture::label;

    fn ppm(picture: &DynamicImage) -> Vec<u8> {
        let rgb = picture.to_rgb8();
        [format!("P6\n{} {}\n255\n", rgb.width(), rgb.height()).as_bytes(), rgb.as_raw()].concat()
    }

    #[test]
    fn arithmetic_coding_is_read_in_every_form_and_refused_when_cut() {
        let photo = detail(200, 150);
        for form in
            [&["-arithmetic"][..], &["-arithmetic", "-progressive"], &["-arithmetic", "-restart", "1", "-grayscale"]]
        {
            let Some(file) = piped("cjpeg", &[&["-quality", "90"], form].concat(), &ppm(&photo)) else { return };
            let marked = optimize(&file, "").unwrap();
            let expected = if form.contains(&"-grayscale") { photo.to_luma8().into() } else { photo.clone() };
            assert!(distance(&decoded(&marked), &expected) < 4.0, "{form:?}");
            for end in (20..file.len()).step_by(173) {
                assert_eq!(label(&file[..end]), "truncated", "{form:?} at {end}");
            }
        }
    }

    #[test]
    fn an_arithmetic_file_of_scans_without_end_is_refused_before_it_is_decoded() {
        let file = fixture::ARITHMETIC;
        let scan = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        let length = usize::from(u16::from_be_bytes([file[scan + 2], file[scan + 3]]));
        let again = file[scan..scan + 2 + length].repeat(30);
        assert_eq!(label(&[&file[..scan], &again, &file[scan..]].concat()), "corrupt");
    }

    #[test]
    fn what_libjpeg_warns_of_is_refused() {
        let at = fixture::PHOTO.len() - 2;
        let stray = [&fixture::PHOTO[..at], &[0x12; 5], &fixture::PHOTO[at..]].concat();
        let refusal = optimize(&stray, "format=png").unwrap_err();
        assert_eq!(refusal.status_and_label().1, "corrupt", "{refusal}");
    }
}
