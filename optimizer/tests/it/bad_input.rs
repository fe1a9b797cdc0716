//! What a file that is not a whole picture gets: an answer, before the memory and the time it asks for.

use image::ImageFormat;
use weir_optimizer::Refusal;
use weir_optimizer::kernel::{Header, Limits};

use super::dice::Dice;
use super::fixture::{self, claiming, detail, encoded, label, optimize, png_chunk};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

fn png_claiming(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    [SIGNATURE, &png_chunk(*b"IHDR", &header), &png_chunk(*b"IDAT", b"")].concat()
}

fn webp(chunks: &[u8]) -> Vec<u8> {
    let length = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
    [b"RIFF", &length[..], b"WEBP", chunks].concat()
}

fn webp_canvas(flags: u8, side: u32) -> Vec<u8> {
    let side = (side - 1).to_le_bytes();
    let body = [&[flags, 0, 0, 0], &side[..3], &side[..3]].concat();
    webp(&[b"VP8X\x0a\0\0\0", &body[..]].concat())
}

#[test]
fn what_is_no_image_or_no_image_read_here_is_told_apart() {
    assert_eq!(label(b""), "no_image");
    assert_eq!(label(b"hello, this is text"), "not_an_image");
    assert_eq!(label(&[0; 4096]), "not_an_image");
    assert_eq!(label(b"RIFF\x04\0\0\0WAVE"), "not_an_image");
    for other in
        [&b"GIF89a\x01\0\x01\0"[..], b"II*\0\x08\0\0\0", b"\0\0\0\x1cftypavif", b"\0\0\0\x18ftypheic", b"<svg/>"]
    {
        assert_eq!(label(other), "unsupported_image");
    }
    let by_libjpeg = if cfg!(feature = "turbojpeg") { "ok" } else { "unsupported_image" };
    assert_eq!(label(fixture::ARITHMETIC), by_libjpeg);
    // Decoded to black by zune-jpeg 0.5.15; as a JPEG that stays one it needs no decoder.
    let apart = optimize(fixture::SEPARATE_SCANS, "format=png");
    assert_eq!(apart.map_or_else(|refusal| refusal.status_and_label().1, |_| "ok"), by_libjpeg);
    assert_eq!(label(fixture::SEPARATE_SCANS), "ok");
}

#[test]
fn a_claim_of_65535_by_65535_is_refused_in_every_format() {
    for file in [
        claiming(fixture::PHOTO, 65_535, 65_535),
        claiming(fixture::PROGRESSIVE, 65_535, 65_535),
        png_claiming(65_535, 65_535),
        png_claiming(1, 70_000),
        png_claiming(u32::MAX, u32::MAX),
        webp_canvas(0, 65_535),
        webp_canvas(0, 1 << 24),
    ] {
        let refusal = Header::read(&file, &Limits::default()).unwrap_err();
        assert!(matches!(refusal, Refusal::TooManyPixels { .. }), "{refusal}");
    }
    let small = Limits { pixels: 720 * 480 - 1, ..Limits::default() };
    assert!(matches!(Header::read(fixture::PHOTO, &small), Err(Refusal::TooManyPixels { .. })));
}

#[test]
fn a_picture_that_claims_more_than_its_data_holds_is_truncated_and_not_grey() {
    for (width, height) in [(8_000, 8_000), (720, 496), (736, 480), (8, 65_535)] {
        assert_eq!(label(&claiming(fixture::PHOTO, width, height)), "truncated", "{width} x {height}");
    }
    for (width, height) in [(8_000, 8_000), (240, 176), (256, 160)] {
        for file in [fixture::PROGRESSIVE, fixture::PROGRESSIVE_RESTARTS, fixture::RESTARTS] {
            let label = label(&claiming(file, width, height));
            assert!(matches!(label, "truncated" | "corrupt"), "{width} x {height}: {label}");
        }
    }
    assert_eq!(label(&png_claiming(8_000, 8_000)), "truncated");
    assert_eq!(label(&webp_canvas(0, 8_000)), "truncated");
    assert_eq!(label(&claiming(fixture::PHOTO, 0, 480)), "corrupt");
    assert_eq!(label(&claiming(fixture::PHOTO, 720, 0)), "unsupported_image");
    assert_eq!(label(&png_claiming(0, 5)), "corrupt");
}

#[test]
fn a_jpeg_cut_at_every_997th_byte_is_truncated_even_with_an_end_marker() {
    for end in (997..fixture::PHOTO.len()).step_by(997) {
        let cut = &fixture::PHOTO[..end];
        assert_eq!(label(cut), "truncated", "at {end}");
        // A cut may fall between an 0xff of the data and the zero that belongs to it.
        let closed = [cut.strip_suffix(b"\xff").unwrap_or(cut), b"\xff\xd9"].concat();
        assert_eq!(label(&closed), "truncated", "at {end}, with an end marker");
    }
}

#[test]
fn every_other_kind_of_file_cut_anywhere_is_refused_too() {
    let photo = detail(96, 64);
    let lossless = encoded(&photo, ImageFormat::WebP);
    let lossy = optimize(&lossless, "quality=80").unwrap();
    let png = encoded(&photo, ImageFormat::Png);
    let files = [
        ("progressive", fixture::PROGRESSIVE),
        ("progressive with restarts", fixture::PROGRESSIVE_RESTARTS),
        ("restarts", fixture::RESTARTS),
        ("lossless WebP", &lossless),
        ("lossy WebP", &lossy),
        ("PNG", &png),
    ];
    for (name, file) in files {
        for end in (16..file.len()).step_by(131) {
            assert_eq!(label(&file[..end]), "truncated", "{name} at {end} of {}", file.len());
        }
    }
}

#[test]
fn a_progressive_jpeg_cut_inside_a_scan_is_refused_even_with_an_end_marker() {
    let file = fixture::PROGRESSIVE;
    // Where scans end: a file that lacks whole scans is coarse, but it is a picture.
    let scans: Vec<_> = (0..file.len() - 1).filter(|at| file[*at..].starts_with(b"\xff\xda")).collect();
    let first = scans[0];
    for end in (first + 40..scans[1] - 40).step_by(61) {
        let cut = file[..end].strip_suffix(b"\xff").unwrap_or(&file[..end]);
        assert_eq!(label(&[cut, b"\xff\xd9"].concat()), "truncated", "at {end}");
    }
}

#[test]
fn animations_are_refused_and_never_flattened() {
    let header = [&16_u32.to_be_bytes()[..], &16_u32.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    let chunks = [png_chunk(*b"IHDR", &header), png_chunk(*b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0])].concat();
    assert_eq!(label(&[SIGNATURE, &chunks, &png_chunk(*b"IDAT", b"")].concat()), "animated");
    assert_eq!(label(&webp_canvas(0x02, 16)), "animated");
    assert_eq!(label(&webp(b"ANIM\x06\0\0\0\0\0\0\0\0\0")), "animated");
}

#[test]
fn a_wide_picture_that_webp_cannot_hold_is_refused_before_decoding() {
    let wide = encoded(&image::DynamicImage::new_luma8(16_384, 1), ImageFormat::Png);
    let refusal = optimize(&wide, "format=webp").unwrap_err();
    assert_eq!(refusal.status_and_label().1, "too_large_for_format");
    assert!(optimize(&wide, "").is_ok());
}

#[test]
fn no_single_changed_byte_makes_the_kernel_panic() {
    let photo = detail(48, 32);
    let lossless = encoded(&photo, ImageFormat::WebP);
    let lossy = optimize(&lossless, "quality=80").unwrap();
    let jpeg = encoded(&photo, ImageFormat::Jpeg);
    let png = encoded(&photo, ImageFormat::Png);
    let mut dice = Dice::new(0x9e37_79b9_7f4a_7c15);
    for file in
        [&jpeg, &png, &lossless, &lossy, fixture::PROGRESSIVE, fixture::RESTARTS, fixture::CMYK, fixture::ARITHMETIC]
    {
        for _ in 0..200 {
            let mut broken = file.to_vec();
            // Most faults that matter are in the first bytes.
            let reach = if dice.roll(2) == 0 { file.len().min(700) } else { file.len() };
            let at = dice.roll(reach);
            broken[at] = dice.byte();
            let label = label(&broken);
            assert_ne!(label, "internal", "byte {at}");
        }
    }
}

#[test]
fn segments_and_chunks_without_number_are_refused_and_many_are_not() {
    let jpeg = |count: usize| [&fixture::PHOTO[..2], &b"\xff\xfe\0\x02".repeat(count), &fixture::PHOTO[2..]].concat();
    assert_eq!(label(&jpeg(4000)), "ok");
    for count in [4097, 100_000] {
        let refusal = Header::read(&jpeg(count), &Limits::default()).unwrap_err();
        assert_eq!(refusal.status_and_label().1, "corrupt", "{refusal}");
    }
    // Between scans they are as many.
    let file = fixture::PROGRESSIVE;
    let second = (0..file.len() - 1).filter(|at| file[*at..].starts_with(b"\xff\xda")).nth(1).unwrap();
    let between = [&file[..second], &b"\xff\xfe\0\x02".repeat(4097), &file[second..]].concat();
    for query in ["", "format=png", "quality=50"] {
        assert_eq!(optimize(&between, query).unwrap_err().status_and_label().1, "corrupt", "{query}");
    }
    let png = encoded(&detail(16, 16), ImageFormat::Png);
    let header = 8 + 25;
    let before = |count: usize| [&png[..header], &png_chunk(*b"tEXt", b"a\0").repeat(count), &png[header..]].concat();
    let end = png.len() - 12;
    let after = |count: usize| [&png[..end], &png_chunk(*b"zTXt", b"a\0\0").repeat(count), &png[end..]].concat();
    assert_eq!((label(&before(900)), label(&after(900))), ("ok", "ok"));
    for count in [1001, 100_000] {
        assert_eq!((label(&before(count)), label(&after(count))), ("corrupt", "corrupt"), "{count}");
    }
    // Picture data may be in any number of chunks.
    let idat = png_chunk(*b"IDAT", b"");
    let idat = [&idat[..8], &0x35af_061e_u32.to_be_bytes()].concat();
    let first = png.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
    assert_eq!(label(&[&png[..first], &idat.repeat(5_000), &png[first..]].concat()), "ok");
}
