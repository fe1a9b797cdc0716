//! What other people's decoders say about our files when every warning is an error.

use std::path::{Path as FilePath, PathBuf};
use std::process::Command;

use image::ImageFormat;
use tempfile::TempDir;
use weir_optimizer::kernel::{Format, Output, Path};
use weir_testkit::require;

use super::fixture::{self, decoded, detail, encoded, run};

/// Optimised tables, which lack what a mark needs.
const OPTIMISED: &[u8] = include_bytes!("../../fuzz/seeds/jpeg/optimised_420.jpg");

/// A decoder that takes warnings for errors, as a command for a file.
struct Decoder {
    name: &'static str,
    command: fn(&FilePath, &FilePath) -> Command,
    jpeg_only: bool,
}

const DECODERS: [Decoder; 3] = [
    Decoder {
        name: "djpeg",
        command: |program, file| {
            let mut command = Command::new(program);
            command.args(["-strict", "-outfile", "/dev/null"]).arg(file);
            command
        },
        jpeg_only: true,
    },
    Decoder {
        name: "vips",
        command: |program, file| {
            let mut command = Command::new(program);
            // The average needs every pixel.
            command.arg("avg").arg(format!("{}[fail_on=warning]", file.display()));
            command
        },
        jpeg_only: false,
    },
    Decoder {
        name: "identify",
        command: |program, file| {
            let mut command = Command::new(program);
            // The number of colours needs every pixel.
            command.args(["-regard-warnings", "-format", "%k"]).arg(file);
            command
        },
        jpeg_only: false,
    },
];

/// What a decoder says about a file: whether it read it, and its words.
fn say(decoder: &Decoder, program: &FilePath, file: &FilePath) -> (bool, String) {
    let output = (decoder.command)(program, file).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    (output.status.success() && words.is_empty(), words)
}

fn written(folder: &TempDir, number: usize, output: &Output, format: Format) -> PathBuf {
    let extension = format.media_type().trim_start_matches("image/");
    let file = folder.path().join(format!("{number}.{extension}"));
    std::fs::write(&file, output.to_vec()).unwrap();
    file
}

#[test]
fn every_path_over_every_kind_of_photo_is_read_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let small = detail(160, 120);
    let turned = fixture::with_orientation(fixture::RESTARTS, 6);
    let (png, webp) = (encoded(&small, ImageFormat::Png), encoded(&small, ImageFormat::WebP));
    let photos = [
        ("photo", fixture::PHOTO),
        ("grey", fixture::GREY),
        ("restarts", fixture::RESTARTS),
        ("progressive", fixture::PROGRESSIVE),
        ("progressive with restarts", fixture::PROGRESSIVE_RESTARTS),
        ("cmyk", fixture::CMYK),
        ("optimised", OPTIMISED),
        ("turned", &turned),
        ("png", &png),
        ("webp", &webp),
    ];
    let mut files = Vec::new();
    for (name, photo) in photos {
        for query in
            ["", "position=tile&color=ff2000&metadata=keep", "quality=40", "format=png", "format=webp&quality=60"]
        {
            let output = run(photo, query).unwrap();
            let format = fixture::kind(&output.to_vec()).0;
            files.push((
                format!("{name} {query}"),
                output.path,
                format,
                written(&folder, files.len(), &output, format),
            ));
        }
    }
    assert!(Path::ALL.iter().all(|path| files.iter().any(|(_, taken, ..)| taken == path)), "a path was not taken");
    for decoder in DECODERS {
        let Some(program) = require(decoder.name) else { continue };
        for (name, path, format, file) in &files {
            if decoder.jpeg_only && *format != Format::Jpeg {
                continue;
            }
            let (fine, words) = say(&decoder, &program, file);
            assert!(fine, "{}, {name}, {}: {words}", decoder.name, path.name());
        }
    }
}

#[test]
fn the_decoders_would_notice_missing_data_and_djpeg_stray_bytes_too() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.jpg");
    std::fs::write(&file, &fixture::PHOTO[..fixture::PHOTO.len() / 2]).unwrap();
    let stray = folder.path().join("stray.jpg");
    let end = fixture::PHOTO.len() - 2;
    std::fs::write(&stray, [&fixture::PHOTO[..end], &[0x12; 5], &fixture::PHOTO[end..]].concat()).unwrap();
    for decoder in DECODERS {
        let Some(program) = require(decoder.name) else { continue };
        assert!(!say(&decoder, &program, &file).0, "{} reads a truncated file", decoder.name);
        assert!(!decoder.jpeg_only || !say(&decoder, &program, &stray).0, "{} reads stray bytes", decoder.name);
    }
}

/// A grey picture of 64 x 64 pixels in which every DC coefficient is this many times 2,047, far beyond white.
fn glaring(times: usize) -> Vec<u8> {
    let mut file = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
    file.extend([1; 64]);
    file.extend([0xff, 0xc0, 0, 11, 8, 0, 64, 0, 64, 1, 1, 0x11, 0]);
    // A DC table for no difference and for eleven bits, of two bits each; an AC table for the end of a block, of one.
    file.extend([&[0xff, 0xc4, 0, 21, 0, 0, 2][..], &[0; 14], &[0, 11]].concat());
    file.extend([&[0xff, 0xc4, 0, 20, 0x10, 1][..], &[0; 15], &[0]].concat());
    file.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
    let mut bits = "01111111111110".repeat(times) + &"000".repeat(64 - times);
    while !bits.len().is_multiple_of(8) {
        bits.push('1');
    }
    for byte in bits.as_bytes().chunks(8) {
        let byte = u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap();
        file.push(byte);
        if byte == 0xff {
            file.push(0);
        }
    }
    file.extend([0xff, 0xd9]);
    file
}

#[test]
fn a_mark_on_coefficients_beyond_white_is_written_again_and_again_or_refused_at_once() {
    let query = "position=br&size=0.3&color=000000&opacity=1";
    let first = run(&glaring(3), query).unwrap();
    assert_eq!(first.path, Path::Transcode);
    let again = run(&first.to_vec(), query).unwrap().to_vec();
    assert_eq!(decoded(&again).to_luma8().get_pixel(0, 60).0, [255]);
    let refusal = run(&glaring(9), query).unwrap_err();
    assert_eq!(refusal.status_and_label().1, "corrupt", "{refusal}");
}
