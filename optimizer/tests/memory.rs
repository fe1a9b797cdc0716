//! What the kernel says it takes, held against what it allocates. A program of its own, for its allocator counts.

#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

use std::io::Cursor;

use bytes::Bytes;
use image::{DynamicImage, ImageFormat};
use weir_optimizer::kernel::{Header, Kernel, Limits, Logos, Path};
use weir_optimizer::plan::FormatAsk;

const PHOTO: &[u8] = include_bytes!("../photos/life.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("photos/progressive.jpg");

/// The way, what was said, and the most that was held.
fn held(file: &[u8], query: &str) -> (Path, u64, u64) {
    let mut logos = Logos::default();
    logos.add("photo", PHOTO).unwrap();
    let kernel = Kernel::with_logos(logos).unwrap();
    let plan = kernel.plan(query).unwrap();
    let input = Bytes::copy_from_slice(file);
    let header = Header::read(&input, &Limits::default()).unwrap();
    let target = match plan.format {
        FormatAsk::Is(format) => format,
        FormatAsk::Keep | FormatAsk::Auto => header.format,
    };
    let said = kernel.memory(input.len() as u64, &header, &plan, target);
    let mut path = Path::Rgb;
    let info = allocation_counter::measure(|| {
        path = kernel.optimize(&input, &header, &plan, target, &mut |_| {}).unwrap().path;
    });
    (path, said, info.bytes_max)
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// What the kernel makes of `file`.
fn made(file: &[u8], query: &str) -> Vec<u8> {
    let kernel = Kernel::new().unwrap();
    let plan = kernel.plan(query).unwrap();
    let input = Bytes::copy_from_slice(file);
    let header = Header::read(&input, &Limits::default()).unwrap();
    kernel.optimize(&input, &header, &plan, header.format, &mut |_| {}).unwrap().to_vec()
}

/// A file with an EXIF orientation that turns it.
fn turned(file: &[u8]) -> Vec<u8> {
    let exif = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    [&file[..2], &exif[..], &file[2..]].concat()
}

#[test]
fn no_way_through_the_kernel_holds_more_than_was_said_nor_is_much_more_said() {
    let photo = image::load_from_memory(PHOTO).unwrap();
    let large = photo.resize_exact(1_500, 1_000, image::imageops::FilterType::Triangle);
    let mut dice: u32 = 0x9e37_79b9;
    let noise = DynamicImage::from(image::RgbaImage::from_fn(500, 400, |_, _| {
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        image::Rgba(dice.to_le_bytes())
    }));
    let mut finest = Vec::new();
    let best = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut finest, 100);
    noise.to_rgb8().write_with_encoder(best).unwrap();
    let jpeg = written(&large, ImageFormat::Jpeg);
    // With tables made for it, which lack symbols that a mark needs.
    let own = made(PROGRESSIVE, "opacity=0");
    let files = [
        ("own tables", own),
        ("photo", jpeg.clone()),
        ("turned photo", turned(&jpeg)),
        ("progressive", PROGRESSIVE.to_vec()),
        ("turned progressive", turned(PROGRESSIVE)),
        ("noise", finest),
        ("grey", written(&DynamicImage::from(large.to_luma8()), ImageFormat::Jpeg)),
        ("PNG", written(&large, ImageFormat::Png)),
        ("PNG of noise", written(&noise, ImageFormat::Png)),
        ("deep PNG", written(&DynamicImage::from(noise.to_rgba16()), ImageFormat::Png)),
        ("WebP", written(&noise, ImageFormat::WebP)),
    ];
    let mut ways = std::collections::BTreeSet::new();
    for (name, file) in &files {
        for query in [
            "",
            "position=tile&opacity=0.9",
            "size=1&text=W&margin=0&position=cc",
            "outline=0.1&shadow=0.2&shadow_color=204060",
            "size=1&outline=0.5&shadow=0.5&text=W&rotate=30",
            "logo=photo&size=0.3&rotate=10",
            "logo=photo&position=tile&size=0.2&shadow=0.1",
            "quality=75",
            "quality=100&position=tile",
            "format=png&color=ff0000",
            "format=webp&quality=90",
            "format=jpeg&quality=100",
        ] {
            let (path, said, most) = held(file, query);
            assert!(most <= said, "{name} {query}: {} held {most}, said {said}", path.name());
            // Not without measure: a few MiB are for tables and profiles, and a tiled mark could be all edges.
            assert!(said < most * 32 + (80 << 20), "{name} {query}: {} held {most}, said {said}", path.name());
            ways.insert(path.name());
        }
    }
    assert_eq!(ways.len(), Path::ALL.len(), "{ways:?}");
}
