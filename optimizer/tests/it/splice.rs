//! JPEGs that are spliced: what changes, what does not, and what strict decoders say.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use image::{DynamicImage, GenericImageView};
use weir_optimizer::kernel::{Output, Path};
use weir_testkit::require;

use super::dice::Dice;
use super::fixture::{self, decoded, detail, run};
use super::picture::{NINE, as_seen, changed};

/// The tools of libjpeg-turbo, or a loud note that they are missing.
pub(crate) struct Tools {
    cjpeg: PathBuf,
    djpeg: PathBuf,
    jpegtran: PathBuf,
}

impl Tools {
    pub(crate) fn find() -> Option<Self> {
        Some(Self { cjpeg: require("cjpeg")?, djpeg: require("djpeg")?, jpegtran: require("jpegtran")? })
    }

    /// The same coefficients, coded as `flags` say.
    pub(crate) fn recode(&self, file: &[u8], flags: &str) -> Vec<u8> {
        let (worked, file, said) = pipe(Command::new(&self.jpegtran).args(flags.split_whitespace()), file);
        assert!(worked && said.is_empty(), "{said}");
        file
    }

    /// What libjpeg shows of a file: its head of three lines, and the pixels.
    pub(crate) fn shown(&self, file: &[u8]) -> Vec<u8> {
        let (worked, pixels, said) = pipe(Command::new(&self.djpeg).args(["-strict", "-pnm"]), file);
        assert!(worked && said.is_empty(), "{said}");
        pixels
    }

    /// Writes a picture as `flags` say.
    pub(super) fn write(&self, picture: &DynamicImage, flags: &str) -> Vec<u8> {
        let mut plain = format!("P6 {} {} 255\n", picture.width(), picture.height()).into_bytes();
        plain.extend(picture.to_rgb8().into_raw());
        let (worked, file, said) = pipe(Command::new(&self.cjpeg).args(flags.split_whitespace()), &plain);
        assert!(worked, "{said}");
        file
    }

    /// Whether a decoder that takes a warning for an error reads the file.
    pub(crate) fn check(&self, file: &[u8], name: &str) {
        let (worked, _, said) = pipe(Command::new(&self.djpeg).args(["-strict", "-pnm"]), file);
        assert!(worked && said.is_empty(), "{name}: {said}");
    }
}

fn pipe(command: &mut Command, input: &[u8]) -> (bool, Vec<u8>, String) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A tool that gave up does not read the rest, and then its words are what matters.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    (output.status.success(), output.stdout, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Signal to noise of two pictures in decibels, 99 when they are equal.
pub(crate) fn psnr(a: &DynamicImage, b: &DynamicImage) -> f64 {
    let (a, b) = (a.to_rgb8(), b.to_rgb8());
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    #[expect(clippy::cast_precision_loss, reason = "small pictures")]
    let mean = sum as f64 / a.len() as f64;
    if sum == 0 { 99.0 } else { 10.0 * (255.0 * 255.0 / mean).log10() }
}

/// Marks `file`, and holds the result against the same mark on decoded pixels: nothing is different outside the units
/// the mark touches, and inside it is as good as the file's own quality allows. Gives back the result.
///
/// As good means: not half a decibel worse than what `way` makes of the reference, which is the file's own loss.
fn hold(tools: &Tools, file: &[u8], query: &str, way: &str) -> Output {
    let name = &format!("{way} {query}");
    let output = run(file, query).unwrap();
    let bytes = output.to_vec();
    assert!(matches!(output.path, Path::Splice | Path::Transcode), "{name}: {:?}", output.path);
    tools.check(&bytes, name);
    let (before, after) = (decoded(file), decoded(&bytes));
    let wanted = decoded(&fixture::optimize(file, &format!("{query}&format=png")).unwrap());
    let [left, top, right, bottom] = changed(&before, &wanted).unwrap();
    // To the ends of units, and one sample on for decoders that smooth chroma; the outermost rows of a mask may be too
    // faint to be seen in the pixels.
    let (left, top) =
        ((left.saturating_sub(1) / 16 * 16).saturating_sub(2), (top.saturating_sub(1) / 16 * 16).saturating_sub(2));
    let (right, bottom) = ((right + 1) / 16 * 16 + 18, (bottom + 1) / 16 * 16 + 18);
    if let Some([l, t, r, b]) = changed(&before, &after) {
        assert!(
            l >= left && t >= top && r < right && b < bottom,
            "{name}: {l} {t} {r} {b} in {left} {top} {right} {bottom}"
        );
    }
    let part = |picture: &DynamicImage| {
        let (right, bottom) = (right.min(picture.width()), bottom.min(picture.height()));
        picture.crop_imm(left, top, right - left, bottom - top)
    };
    let found = psnr(&part(&after), &part(&wanted));
    let grey = if way.contains("grayscale") { DynamicImage::from(wanted.to_luma8()) } else { wanted.clone() };
    let written = psnr(&part(&decoded(&tools.write(&grey, way))), &part(&wanted));
    assert!(found >= written - 0.5, "{name}: {found:.1} dB, and {written:.1} dB when all of it is written again");
    output
}

/// Ways to write a baseline JPEG, and the name of each.
const WAYS: [&str; 12] = [
    "-quality 85 -sample 1x1",
    "-quality 85 -sample 2x1",
    "-quality 85 -sample 1x2",
    "-quality 85 -sample 2x2",
    "-quality 85 -grayscale",
    "-quality 85 -sample 2x2 -restart 1",
    "-quality 85 -sample 2x1 -restart 3B",
    "-quality 85 -sample 1x1 -restart 1B",
    "-quality 95 -sample 2x2",
    "-quality 60 -sample 2x2",
    "-quality 85 -sample 2x2 -optimize",
    "-quality 90 -sample 1x1 -optimize -restart 7B",
];

#[test]
fn every_way_to_write_a_baseline_jpeg_is_spliced_and_nothing_beside_the_mark_changes() {
    let Some(tools) = Tools::find() else { return };
    // Sides that end within a unit.
    let picture = detail(237, 155);
    for way in WAYS {
        let file = tools.write(&picture, way);
        for query in [
            "opacity=0.5&size=0.2",
            "opacity=1&size=30px&position=tl&margin=0",
            "opacity=0.7&color=000000&size=0.1&position=cc&rotate=30",
        ] {
            hold(&tools, &file, query, way);
        }
    }
}

#[test]
fn a_coloured_mark_is_as_it_should_be_in_every_sampling() {
    let Some(tools) = Tools::find() else { return };
    for sampling in ["1x1", "2x1", "1x2", "2x2"] {
        let way = format!("-quality 90 -sample {sampling}");
        let file = tools.write(&detail(240, 160), &way);
        hold(&tools, &file, "opacity=0.6&size=0.25&color=ff3000&position=cc", &way);
    }
}

#[test]
fn a_mark_over_the_whole_width_and_the_last_row_is_spliced() {
    let Some(tools) = Tools::find() else { return };
    let text = "x-".repeat(60);
    for way in
        ["-sample 2x2", "-sample 2x2 -restart 1", "-sample 1x1 -restart 5B", "-grayscale", "-sample 2x2 -optimize"]
    {
        let way = format!("-quality 85 {way}");
        let file = tools.write(&detail(333, 211), &way);
        for position in ["tl", "cc", "br"] {
            let query = format!("text={text}&size=1&margin=0&opacity=0.8&position={position}");
            hold(&tools, &file, &query, &way);
        }
    }
}

#[test]
fn a_tiled_mark_and_one_as_large_as_the_picture_are_spliced_as_the_reference_shows_them() {
    let Some(tools) = Tools::find() else { return };
    for way in ["-quality 85 -sample 2x2", "-quality 85 -sample 2x1 -restart 5B", "-quality 85 -sample 1x1 -optimize"] {
        let stored = tools.write(&detail(251, 133), way);
        for query in
            ["position=tile&size=0.1", "position=tile&rotate=30&margin=0", "size=1&text=W&margin=0&position=cc"]
        {
            for orientation in [1, 6, 7] {
                let file = fixture::with_orientation(&stored, orientation);
                let output = run(&file, query).unwrap();
                assert!(output.path != Path::Rgb, "{way} {query}");
                tools.check(&output.to_vec(), query);
                let wanted = decoded(&fixture::optimize(&file, &format!("{query}&format=png")).unwrap());
                let found = psnr(&as_seen(&output.to_vec()), &wanted);
                let written = psnr(&decoded(&tools.write(&wanted, way)), &wanted);
                assert!(
                    found > written - 1.0,
                    "{way} {query}, orientation {orientation}: {found:.1} to {written:.1} dB"
                );
            }
        }
    }
}

#[test]
fn a_picture_smaller_than_a_unit_is_marked() {
    let Some(tools) = Tools::find() else { return };
    for (width, height) in [(1, 1), (7, 5), (16, 16), (17, 1), (1, 40)] {
        for way in ["-sample 2x2", "-sample 1x1", "-grayscale"] {
            let file = tools.write(&detail(width, height), way);
            let marked = fixture::optimize(&file, "opacity=1").unwrap();
            tools.check(&marked, way);
            assert_eq!(decoded(&marked).dimensions(), (width, height));
        }
    }
}

#[test]
fn a_table_that_lacks_a_symbol_is_completed_and_the_pixels_beside_the_mark_stay() {
    let Some(tools) = Tools::find() else { return };
    // A smooth picture, whose own table knows little.
    let smooth = detail(60, 40).resize_exact(480, 320, image::imageops::FilterType::CatmullRom).blur(3.0);
    for way in ["-sample 2x2", "-sample 2x2 -restart 1", "-grayscale", "-sample 1x1 -restart 3B"] {
        let way = format!("-quality 75 -optimize {way}");
        let file = tools.write(&smooth, &way);
        let output = hold(&tools, &file, "opacity=0.9&size=0.15&color=101010", &way);
        assert_eq!(output.path, Path::Transcode, "{way}");
        // The mark itself takes some hundreds of bytes.
        assert!(output.len() < file.len() * 104 / 100 + 1500, "{way}: {} to {}", file.len(), output.len());
    }
}

#[test]
fn the_data_before_and_after_the_mark_is_that_of_the_file() {
    let output = run(fixture::PHOTO, "position=tl").unwrap();
    assert_eq!(output.path, Path::Splice);
    let last = output.pieces.last().unwrap();
    // Two thirds of the photo are below the mark, and its bits are where they were.
    let tail = &output.pieces[output.pieces.len() - 2];
    assert!(tail.len() > fixture::PHOTO.len() * 2 / 3 && last[..] == *b"\xff\xd9");
    assert!(fixture::PHOTO.ends_with(&[&tail[..], &last[..]].concat()));
}

#[test]
fn eight_orientations_and_nine_positions_show_what_the_reference_shows() {
    let Some(tools) = Tools::find() else { return };
    for way in ["-quality 92 -sample 2x1", "-quality 92 -sample 2x2 -restart 2"] {
        let stored = tools.write(&detail(250, 130), way);
        for orientation in 1..=8 {
            let file = fixture::with_orientation(&stored, orientation);
            let before = as_seen(&file);
            for position in NINE {
                let query = format!("position={position}&opacity=0.8&size=0.12&margin=7px&text=R4");
                let output = run(&file, &query).unwrap();
                assert!(output.path != Path::Rgb);
                let after = as_seen(&output.to_vec());
                // That way turns the picture and then draws.
                let wanted = decoded(&fixture::optimize(&file, &format!("{query}&format=png")).unwrap());
                let [left, top, right, bottom] = changed(&before, &wanted).unwrap();
                let part = |picture: &DynamicImage| picture.crop_imm(left, top, right + 1 - left, bottom + 1 - top);
                let found = psnr(&part(&after), &part(&wanted));
                assert!(found > 28.0, "{way}, orientation {orientation}, {position}: {found:.1} dB");
                assert!(psnr(&after, &wanted) > 40.0, "{way}, orientation {orientation}, {position}: elsewhere");
            }
            tools.check(&run(&file, "").unwrap().to_vec(), "turned");
        }
    }
}

#[test]
fn what_cannot_be_spliced_goes_the_long_way() {
    for (file, query) in [
        (fixture::PROGRESSIVE, "format=png"),
        (fixture::CMYK, ""),
        (fixture::CMYK, "quality=80"),
        (fixture::GREY, "color=ff0000"),
    ] {
        assert_eq!(run(file, query).unwrap().path, Path::Rgb, "{query}");
    }
    for (file, query) in [(fixture::PHOTO, "format=jpeg"), (fixture::RESTARTS, ""), (fixture::GREY, "color=777777")] {
        assert_eq!(run(file, query).unwrap().path, Path::Splice, "{query}");
    }
}

#[test]
fn a_mark_without_opacity_changes_no_pixel_and_the_same_request_gives_the_same_bytes() {
    let marked = fixture::optimize(fixture::PHOTO, "opacity=0").unwrap();
    assert_eq!(decoded(&marked), decoded(fixture::PHOTO));
    assert_eq!(fixture::optimize(fixture::PHOTO, "").unwrap(), fixture::optimize(fixture::PHOTO, "").unwrap());
}

#[test]
fn marking_twice_and_marking_a_marked_file_work() {
    let Some(tools) = Tools::find() else { return };
    let mut file = fixture::PHOTO.to_vec();
    for position in NINE {
        let output = run(&file, &format!("position={position}")).unwrap();
        assert_eq!(output.path, Path::Splice);
        file = output.to_vec();
        tools.check(&file, position);
    }
}

#[test]
fn bytes_between_segments_and_after_the_data_do_not_go_out() {
    let Some(tools) = Tools::find() else { return };
    let plain = fixture::optimize(fixture::RESTARTS, "").unwrap();
    let end = fixture::RESTARTS.len() - 2;
    let late = [&fixture::RESTARTS[..end], b"junk", b"\xff\xd9more junk"].concat();
    assert_eq!(fixture::optimize(&late, "").unwrap(), plain);
    let table = fixture::RESTARTS.windows(2).position(|pair| pair == [0xff, 0xdb]).unwrap();
    let early = [&fixture::RESTARTS[..table], b"junk\xff\xff", &fixture::RESTARTS[table..]].concat();
    assert_eq!(fixture::optimize(&early, "").unwrap(), plain);
    tools.check(&plain, "plain");
}

#[test]
fn a_file_whose_tables_are_all_called_1_is_spliced_as_if_they_were_called_0() {
    let mut file = fixture::GREY.to_vec();
    let at = |file: &[u8], marker: u8| -> Vec<usize> {
        (0..file.len() - 1).filter(|at| file[*at..].starts_with(&[0xff, marker])).collect()
    };
    for table in at(&file, 0xc4) {
        file[table + 4] |= 1;
    }
    let scan = at(&file, 0xda)[0];
    file[scan + 6] = 0x11;
    let output = run(&file, "").unwrap();
    assert_eq!(output.path, Path::Splice);
    assert_eq!(decoded(&output.to_vec()), decoded(&fixture::optimize(fixture::GREY, "").unwrap()));
}

#[test]
fn a_damaged_file_that_is_still_spliced_shows_beside_the_mark_what_it_showed() {
    let Some(tools) = Tools::find() else { return };
    let mut dice = Dice::new(0x1234_5678_9abc_def1);
    for way in ["-sample 2x2", "-sample 2x1 -restart 4B", "-sample 1x1 -optimize", "-grayscale -restart 1B"] {
        let file = tools.write(&detail(96, 80), &format!("-quality 80 {way}"));
        let data = file.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap() + 14;
        let mut spliced = 0;
        for _ in 0..400 {
            let mut broken = file.clone();
            let at = data + dice.roll(file.len() - 2 - data);
            broken[at] ^= 1 << dice.roll(8);
            let Ok(output) = run(&broken, "position=cc&size=0.2") else { continue };
            let Ok(before) = image::load_from_memory(&broken) else { continue };
            let after = decoded(&output.to_vec());
            if output.path == Path::Rgb {
                continue;
            }
            spliced += 1;
            if let Some([left, top, right, bottom]) = changed(&before, &after) {
                assert!(
                    left >= 14 && top >= 14 && right < 82 && bottom < 66,
                    "{way} at {at}: {left} {top} {right} {bottom}"
                );
            }
        }
        assert!(spliced > 50, "{way}: {spliced}");
    }
}
