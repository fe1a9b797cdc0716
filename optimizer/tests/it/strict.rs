//! What other people's decoders say about our files when every warning is an error.

use std::path::{Path as FilePath, PathBuf};
use std::process::Command;

use image::ImageFormat;
use tempfile::TempDir;
use weir_optimizer::kernel::{Format, Output, Path};
use weir_testkit::require;

use super::fixture::{self, detail, encoded, run};

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
            ["", "position=tile&color=ff2000&metadata=keep", "quality=80", "format=png", "format=webp&quality=60"]
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
