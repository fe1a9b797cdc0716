//! Whether a browser shows what we wrote.
//!
//! One page with a picture of each path, one to one; its screenshot is held against what our own decoder makes of each.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use image::{DynamicImage, ImageFormat};
use weir_optimizer::kernel::Path;
use weir_testkit::require;

use super::fixture::{self, decoded, detail, encoded, kind, run};
use super::picture::{as_seen, changed};
use super::splice::psnr;

/// Least likeness in decibels. Decoders differ in how they smooth chroma and round; a mark that is somewhere else, or a
/// picture on its side, is below 25.
const LIKENESS: f64 = 35.0;
const WIDTH: u32 = 1200;
const HEIGHT: u32 = 1000;
/// Between pictures, so that one that is shown too large covers the next.
const GAP: u32 = 8;

#[test]
fn chromium_shows_the_pictures_of_every_path_as_our_decoder_reads_them() {
    let Some(chromium) = require("chromium") else { return };
    let small = detail(200, 140);
    let optimised = include_bytes!("../../fuzz/seeds/jpeg/optimised_420.jpg");
    let turned = fixture::with_orientation(fixture::RESTARTS, 6);
    let (png, webp) = (encoded(&small, ImageFormat::Png), encoded(&small, ImageFormat::WebP));
    let cases: [(&str, &[u8], &str); 11] = [
        ("spliced", fixture::PHOTO, "size=0.1"),
        ("spliced with restarts", fixture::RESTARTS, "size=0.2"),
        ("spliced, tiled", fixture::RESTARTS, "position=tile&rotate=30&color=ff2000"),
        ("spliced and turned", &turned, "size=0.2&position=tl"),
        ("spliced grey", fixture::GREY, "size=0.2"),
        ("transcoded", optimised, "size=0.3&color=101010&opacity=1"),
        ("progressive", fixture::PROGRESSIVE, "size=0.2"),
        ("re-encoded", fixture::RESTARTS, "size=0.2&quality=60"),
        ("PNG", &png, "size=0.2"),
        ("lossy WebP", &webp, "size=0.2&quality=85"),
        ("lossless WebP", &webp, "size=0.2"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut page = "<!doctype html><style>body{margin:0;background:#808080}img{position:absolute}</style>".to_owned();
    let (mut left, mut top, mut row) = (0, 0, 0);
    let mut places = Vec::new();
    let mut paths = Vec::new();
    for (number, (name, file, query)) in cases.iter().enumerate() {
        let output = run(file, query).unwrap();
        paths.push(output.path);
        let bytes = output.to_vec();
        let extension = kind(&bytes).0.media_type().trim_start_matches("image/");
        let shown = if extension == "jpeg" { as_seen(&bytes) } else { decoded(&bytes) };
        let before = if file.starts_with(b"\xff\xd8") { as_seen(file) } else { decoded(file) };
        if left + shown.width() > WIDTH {
            (left, top, row) = (0, top + row + GAP, 0);
        }
        let file_name = format!("{number}.{extension}");
        std::fs::write(folder.path().join(&file_name), &bytes).unwrap();
        write!(page, "<img src='{file_name}' style='left:{left}px;top:{top}px'>").unwrap();
        places.push((*name, left, top, shown, before));
        let (_, _, _, shown, _) = places.last().unwrap();
        left += shown.width() + GAP;
        row = row.max(shown.height());
    }
    assert!(top + row <= HEIGHT, "the page is too small: {}", top + row);
    assert!(Path::ALL.iter().all(|path| paths.contains(path)), "{paths:?}");
    std::fs::write(folder.path().join("page.html"), page).unwrap();

    let here = folder.path().display();
    let screenshot = folder.path().join("shot.png");
    let ended = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--force-color-profile=srgb", "--force-device-scale-factor=1"])
        .arg(format!("--window-size={WIDTH},{HEIGHT}"))
        .arg(format!("--user-data-dir={here}/profile"))
        .arg(format!("--screenshot={}", screenshot.display()))
        .arg(format!("file://{here}/page.html"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(ended.status.success() && screenshot.exists(), "{}", String::from_utf8_lossy(&ended.stderr));
    let shot = decoded(&std::fs::read(screenshot).unwrap());
    for (name, left, top, shown, before) in places {
        let [l, t, r, b] = changed(&to_rgb(&before), &to_rgb(&shown)).unwrap();
        let seen = shot.crop_imm(left, top, shown.width(), shown.height());
        let mark = |picture: &DynamicImage| picture.crop_imm(l, t, r + 1 - l, b + 1 - t);
        let (whole, part) = (psnr(&seen, &shown), psnr(&mark(&seen), &mark(&shown)));
        assert!(whole >= LIKENESS && part >= LIKENESS, "{name}: {whole:.1} dB, {part:.1} dB at the mark");
        let unmarked = psnr(&mark(&seen), &mark(&before));
        assert!(unmarked < 25.0, "{name}: as like the picture without the mark, {unmarked:.1} dB");
    }
}

fn to_rgb(picture: &DynamicImage) -> DynamicImage {
    picture.to_rgb8().into()
}
