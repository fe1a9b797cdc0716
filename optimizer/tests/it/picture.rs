//! What comes back for a good picture.

use image::codecs::{jpeg, png, webp};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GenericImageView, ImageDecoder, ImageEncoder, ImageFormat, Rgba, RgbaImage};
use std::io::Cursor;
use weir_optimizer::kernel::Format;

use super::fixture::{self, decoded, detail, encoded, kind, optimize};

pub(crate) const NINE: [&str; 9] = ["tl", "tc", "tr", "cl", "cc", "cr", "bl", "bc", "br"];

/// Left, top, right, bottom of what differs between two pictures; right and bottom are inclusive.
pub(crate) fn changed(before: &DynamicImage, after: &DynamicImage) -> Option<[u32; 4]> {
    assert_eq!(before.dimensions(), after.dimensions());
    let differs = before.pixels().zip(after.pixels()).filter(|(a, b)| a != b).map(|((x, y, _), _)| (x, y));
    differs.fold(None, |found, (x, y)| {
        let [left, top, right, bottom] = found.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    })
}

/// The photo as it is decoded for other formats.
fn unmarked() -> DynamicImage {
    decoded(&optimize(fixture::PHOTO, "opacity=0&format=png").unwrap())
}

/// Mean difference of all samples.
pub(crate) fn distance(a: &DynamicImage, b: &DynamicImage) -> f64 {
    let (a, b) = (a.to_rgb8(), b.to_rgb8());
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    #[expect(clippy::cast_precision_loss, reason = "small pictures")]
    let mean = sum as f64 / a.len() as f64;
    mean
}

#[test]
fn each_of_the_nine_positions_puts_the_whole_mark_within_its_margins_and_changes_nothing_else() {
    let before = unmarked();
    for position in NINE {
        let query = format!("position={position}&format=png&opacity=1&margin=20px");
        let after = decoded(&optimize(fixture::PHOTO, &query).unwrap());
        let [left, top, right, bottom] = changed(&before, &after).unwrap();
        assert!(right - left < 100 && bottom - top < 36, "{position}: {left} {top} {right} {bottom}");
        // The outline is opaque white on a photo: its very edge may be one pixel inside the mask.
        let near = |is: u32, should: u32| is.abs_diff(should) <= 1;
        let mut letters = position.chars();
        assert!(match letters.next().unwrap() {
            't' => near(top, 20),
            'c' => near(top + bottom, 479) || near(top + bottom, 480),
            _ => near(bottom, 459),
        });
        assert!(match letters.next().unwrap() {
            'l' => near(left, 20),
            'c' => near(left + right, 719) || near(left + right, 720),
            _ => near(right, 699),
        });
    }
}

#[test]
fn a_tiled_mark_reaches_every_part_of_the_picture() {
    let before = unmarked();
    for query in ["position=tile&format=png", "position=tile&format=png&margin=0", "position=tile&format=png&rotate=45"]
    {
        let after = decoded(&optimize(fixture::PHOTO, query).unwrap());
        for (x, y) in (0..6).flat_map(|x| (0..4).map(move |y| (x * 120, y * 120))) {
            let cell = |picture: &DynamicImage| picture.crop_imm(x, y, 120, 120);
            assert!(changed(&cell(&before), &cell(&after)).is_some(), "{query}: nothing at {x} {y}");
        }
    }
}

#[test]
fn opacity_0_leaves_the_picture_alike() {
    let before = decoded(fixture::PHOTO);
    // Decoders make chroma smooth in different ways: `codec` holds ours against djpeg.
    assert!(distance(&decoded(&optimize(fixture::PHOTO, "opacity=0&format=png").unwrap()), &before) < 1.0);
    assert!(distance(&decoded(&optimize(fixture::PHOTO, "opacity=0").unwrap()), &before) < 1.5);
    let png = encoded(&detail(100, 80), ImageFormat::Png);
    assert_eq!(decoded(&optimize(&png, "opacity=0").unwrap()), decoded(&png));
}

#[test]
fn a_mark_of_full_opacity_has_exactly_its_colour() {
    let after = decoded(&optimize(fixture::PHOTO, "opacity=1&color=ff8000&format=png&size=0.5&position=cc").unwrap());
    assert!(after.pixels().filter(|(_, _, pixel)| *pixel == Rgba([255, 128, 0, 255])).count() > 10_000);
}

#[test]
fn a_quarter_turn_turns_the_box_of_the_mark() {
    let before = unmarked();
    let sides = |query: &str| {
        let after = decoded(&optimize(fixture::PHOTO, query).unwrap());
        let [left, top, right, bottom] = changed(&before, &after).unwrap();
        (right - left, bottom - top)
    };
    let (width, height) = sides("format=png&opacity=1&size=60px");
    let (turned_width, turned_height) = sides("format=png&opacity=1&size=60px&rotate=90");
    assert!(width.abs_diff(turned_height) <= 1 && height.abs_diff(turned_width) <= 1);
    assert!(width > 2 * height);
}

#[test]
fn a_text_that_would_not_fit_is_drawn_smaller_and_whole() {
    let before = unmarked();
    let text = "x".repeat(256);
    for rotate in [0, 33, 90] {
        let query = format!("text={text}&size=1&format=png&opacity=1&margin=30px&rotate={rotate}");
        let [left, top, right, bottom] =
            changed(&before, &decoded(&optimize(fixture::PHOTO, &query).unwrap())).unwrap();
        assert!(left >= 29 && top >= 29 && right <= 690 && bottom <= 450);
        assert!(right - left > 600 || bottom - top > 380, "it uses the room there is");
    }
}

/// As a viewer shows it, who follows the EXIF orientation.
pub(crate) fn as_seen(file: &[u8]) -> DynamicImage {
    let mut decoder = jpeg::JpegDecoder::new(Cursor::new(file)).unwrap();
    let orientation = decoder.orientation().unwrap();
    let mut picture = DynamicImage::from_decoder(decoder).unwrap();
    picture.apply_orientation(orientation);
    picture
}

#[test]
fn the_mark_is_upright_at_the_viewers_corner_whatever_the_exif_orientation() {
    let upright = detail(240, 120);
    let plain = encoded(&upright, ImageFormat::Png);
    let marked = decoded(&optimize(&plain, "opacity=1&size=0.2").unwrap());
    for orientation in 1..=8 {
        // What the camera stores, so that the viewer who follows the tag sees `upright`.
        let undo = match orientation {
            6 => Orientation::Rotate270,
            8 => Orientation::Rotate90,
            other => Orientation::from_exif(other).unwrap(),
        };
        let mut stored = upright.clone();
        stored.apply_orientation(undo);
        let mut file = Vec::new();
        stored.write_with_encoder(jpeg::JpegEncoder::new_with_quality(&mut file, 98)).unwrap();
        let output = optimize(&fixture::with_orientation(&file, orientation), "opacity=1&size=0.2").unwrap();
        assert!(distance(&as_seen(&output), &marked) < 3.0, "orientation {orientation}");
        let quality =
            optimize(&fixture::with_orientation(&file, orientation), "opacity=1&size=0.2&quality=98").unwrap();
        assert!(distance(&as_seen(&quality), &marked) < 3.0, "orientation {orientation}, decoded");
    }
}

#[test]
fn a_png_keeps_its_alpha_beside_the_mark_and_shows_the_mark_on_transparent_ground() {
    let picture = RgbaImage::from_fn(300, 200, |x, y| Rgba([10, 20, 30, u8::try_from((x + y) % 200).unwrap()]));
    let before = DynamicImage::from(picture);
    let output = optimize(&encoded(&before, ImageFormat::Png), "color=ff0000&opacity=1&margin=10px").unwrap();
    let after = decoded(&output);
    assert_eq!(after.color(), ColorType::Rgba8);
    let [left, top, right, bottom] = changed(&before, &after).unwrap();
    assert!(left > 240 && top > 170 && right < 290 && bottom < 190);
    assert!(after.pixels().any(|(_, _, pixel)| pixel == Rgba([255, 0, 0, 255])));
}

#[test]
fn every_pixel_format_of_a_png_stays_what_it_is_and_a_coloured_mark_makes_grey_rgb() {
    let photo = detail(120, 90);
    let all: [DynamicImage; 8] = [
        photo.to_luma8().into(),
        photo.to_luma_alpha8().into(),
        photo.to_rgb8().into(),
        photo.to_rgba8().into(),
        photo.to_luma16().into(),
        photo.to_luma_alpha16().into(),
        photo.to_rgb16().into(),
        photo.to_rgba16().into(),
    ];
    for picture in all {
        let file = encoded(&picture, ImageFormat::Png);
        let marked = decoded(&optimize(&file, "").unwrap());
        assert_eq!(marked.color(), picture.color());
        assert!(changed(&picture, &marked).is_some());
        let coloured = decoded(&optimize(&file, "color=00ff00").unwrap());
        assert!(coloured.color().has_color());
        assert_eq!(coloured.color().has_alpha(), picture.color().has_alpha());
    }
}

#[test]
fn every_kind_of_jpeg_that_is_read_comes_back_as_itself_with_a_mark() {
    let grey = decoded(fixture::GREY);
    for (name, file) in [
        ("progressive", fixture::PROGRESSIVE),
        ("progressive with restarts", fixture::PROGRESSIVE_RESTARTS),
        ("restarts", fixture::RESTARTS),
        ("grey", fixture::GREY),
        ("cmyk", fixture::CMYK),
    ] {
        let output = optimize(file, "").unwrap();
        assert_eq!(kind(&output), (Format::Jpeg, 240, 160), "{name}");
        assert!(distance(&DynamicImage::from(decoded(&output).to_luma8()), &grey) < 8.0, "{name}");
    }
    assert_eq!(decoded(&optimize(fixture::GREY, "").unwrap()).color(), ColorType::L8);
}

#[test]
fn a_jpeg_keeps_about_its_quality_and_follows_the_one_asked_for() {
    let photo = detail(240, 160);
    for quality in [20, 50, 75, 90, 100] {
        let mut file = Vec::new();
        photo.write_with_encoder(jpeg::JpegEncoder::new_with_quality(&mut file, quality)).unwrap();
        let again = optimize(&file, "opacity=0").unwrap();
        assert!(again.len().abs_diff(file.len()) * 10 < file.len(), "{quality}: {} to {}", file.len(), again.len());
    }
    let sizes: Vec<_> = [10, 50, 95].map(|q| optimize(fixture::PHOTO, &format!("quality={q}")).unwrap().len()).into();
    assert!(sizes.is_sorted() && sizes[0] * 4 < sizes[2]);
}

#[test]
fn a_lossy_webp_stays_lossy_and_a_lossless_one_stays_exact_unless_a_quality_is_asked_for() {
    let photo = detail(200, 150);
    let exact = encoded(&photo, ImageFormat::WebP);
    let same = optimize(&exact, "opacity=0").unwrap();
    assert_eq!(decoded(&same), photo);
    let lossy = optimize(&exact, "quality=60").unwrap();
    assert!(lossy.len() * 2 < exact.len());
    let again = optimize(&lossy, "").unwrap();
    assert_eq!(kind(&again), (Format::WebP, 200, 150));
    assert!(again.len() < lossy.len() * 3 / 2 && distance(&decoded(&again), &photo) < 8.0);
}

#[test]
fn every_format_becomes_every_other_and_transparent_ground_becomes_white_paper_in_a_jpeg() {
    let clear = DynamicImage::from(RgbaImage::from_pixel(64, 48, Rgba([0, 0, 0, 0])));
    for from in [ImageFormat::Png, ImageFormat::WebP] {
        let file = encoded(&clear, from);
        let jpeg = optimize(&file, "format=jpeg&opacity=0").unwrap();
        assert_eq!(kind(&jpeg), (Format::Jpeg, 64, 48));
        assert!(decoded(&jpeg).pixels().all(|(_, _, pixel)| pixel == Rgba([255; 4])));
        for (query, format) in
            [("format=png", Format::Png), ("format=webp", Format::WebP), ("format=webp&quality=50", Format::WebP)]
        {
            let output = optimize(&file, query).unwrap();
            assert_eq!(kind(&output), (format, 64, 48));
            assert!(decoded(&output).color().has_alpha());
        }
    }
    assert_eq!(kind(&optimize(fixture::PHOTO, "format=png").unwrap()), (Format::Png, 720, 480));
    assert_eq!(kind(&optimize(fixture::PHOTO, "format=webp").unwrap()), (Format::WebP, 720, 480));
}

#[test]
fn a_colour_profile_is_kept_through_every_format_and_one_for_other_pixels_is_dropped() {
    let profile = |space: &[u8; 4]| {
        let mut profile = vec![7; 301];
        profile[16..20].copy_from_slice(space);
        profile
    };
    let with = |space| {
        let mut file = Vec::new();
        let mut encoder = png::PngEncoder::new(&mut file);
        encoder.set_icc_profile(profile(space)).unwrap();
        detail(64, 48).write_with_encoder(encoder).unwrap();
        file
    };
    let of = |file: &[u8]| match kind(file).0 {
        Format::Jpeg => jpeg::JpegDecoder::new(Cursor::new(file)).unwrap().icc_profile().unwrap(),
        Format::Png => png::PngDecoder::new(Cursor::new(file)).unwrap().icc_profile().unwrap(),
        Format::WebP => webp::WebPDecoder::new(Cursor::new(file)).unwrap().icc_profile().unwrap(),
    };
    for query in ["", "format=webp", "format=webp&quality=80", "format=jpeg"] {
        let output = optimize(&with(b"RGB "), query).unwrap();
        assert_eq!(of(&output).as_deref(), Some(&profile(b"RGB ")[..]), "{query}");
        assert_eq!(of(&optimize(&output, "").unwrap()).as_deref(), Some(&profile(b"RGB ")[..]), "{query}, again");
        assert_eq!(of(&optimize(&with(b"CMYK"), query).unwrap()), None, "{query}");
    }
}

#[test]
fn the_smallest_picture_there_is_gets_an_answer_for_every_position() {
    let dot = encoded(&detail(1, 1), ImageFormat::Png);
    for position in NINE.into_iter().chain(["tile"]) {
        for extra in ["", "&margin=0.5&size=1", "&margin=65535px&size=65535px", "&rotate=45"] {
            let output = optimize(&dot, &format!("position={position}{extra}")).unwrap();
            assert_eq!(kind(&output), (Format::Png, 1, 1));
        }
    }
}
