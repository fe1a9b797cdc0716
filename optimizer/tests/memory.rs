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

/// A grey picture of noise in 3 MB whose AC table has a code for everything but sixteen zeros, so that all bits after a
/// mark move.
fn without_zeros(side: u16) -> Vec<u8> {
    let segment = |marker: u8, body: &[u8]| {
        let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
        [&[0xff, marker], &length[..], body].concat()
    };
    let symbols: Vec<u8> = (0..16).flat_map(|run| (1..=10).map(move |size| run << 4 | size)).chain([0]).collect();
    let mut lengths = [0; 16];
    lengths[7] = u8::try_from(symbols.len()).unwrap();
    let ac = [&[0x10], &lengths[..], &symbols].concat();
    let mut lengths = [0; 16];
    lengths[3] = 12;
    let dc = [&[0], &lengths[..], &(0..12).collect::<Vec<u8>>()].concat();
    let sides = [side.to_be_bytes(), side.to_be_bytes()].concat();
    let mut file = [
        vec![0xff, 0xd8],
        segment(0xdb, &[&[0][..], &[1; 64]].concat()),
        segment(0xc0, &[&[8], &sides[..], &[1, 1, 0x11, 0]].concat()),
        segment(0xc4, &dc),
        segment(0xc4, &ac),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
    ]
    .concat();
    let (mut hold, mut held) = (0_u64, 0);
    let mut put = |value: u32, count: u32, file: &mut Vec<u8>| {
        hold = hold << count | u64::from(value);
        held += count;
        while held >= 8 {
            held -= 8;
            let byte = (hold >> held).to_le_bytes()[0];
            file.push(byte);
            if byte == 0xff {
                file.push(0);
            }
        }
    };
    let mut dice: u32 = 1;
    for _ in 0..u32::from(side / 8).pow(2) {
        put(0, 4, &mut file);
        for _ in 0..63 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // No run, a size of five.
            put(4, 8, &mut file);
            put(dice >> 27, 5, &mut file);
        }
    }
    put(0xff, 8, &mut file);
    file.extend([0xff, 0xd9]);
    file
}

#[test]
fn a_file_whose_bits_all_move_takes_no_more_than_was_said_and_about_its_own_size() {
    let file = without_zeros(1_504);
    assert!(file.len() > 3 << 20);
    // Of eight marks one may need no move.
    let mut moved = 0;
    for size in ["20px", "24px", "28px"] {
        let query = format!("position=tl&size={size}");
        let (path, said, most) = held(&file, &query);
        assert_eq!(path, Path::Splice);
        assert!(most <= said, "held {most}, said {said}");
        assert!(most < file.len() as u64 * 3 / 2 + (4 << 20), "held {most} for {}", file.len());
        moved += u32::from(most > file.len() as u64);
        assert_eq!(image::load_from_memory(&made(&file, &query)).unwrap().width(), 1_504);
    }
    assert!(moved > 0);
}

#[test]
fn the_most_segments_and_chunks_there_may_be_take_no_more_than_was_said() {
    let segments = [&PHOTO[..2], &b"\xff\xfe\0\x02".repeat(4_000), &PHOTO[2..]].concat();
    let progressive = [&PROGRESSIVE[..2], &b"\xff\xfe\0\x02".repeat(4_000), &PROGRESSIVE[2..]].concat();
    let png = written(&DynamicImage::new_rgb8(64, 64), ImageFormat::Png);
    let chunk = |name: &[u8; 4], body: &[u8]| {
        let named = [&name[..], body].concat();
        let sum = named.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
        });
        [&u32::try_from(body.len()).unwrap().to_be_bytes(), &named[..], &(!sum).to_be_bytes()].concat()
    };
    let with = |chunks: &[u8]| [&png[..33], chunks, &png[33..]].concat();
    let long = |name| with(&chunk(name, &[b"a\0".as_slice(), &vec![0xe9; 20 << 20]].concat()));
    let files = [
        ("segments", segments, ""),
        ("segments", progressive, "metadata=keep"),
        ("texts", with(&chunk(b"tEXt", b"a\0").repeat(990)), ""),
        ("compressed texts", with(&chunk(b"zTXt", b"a\0\0\x78\x9c\x03\0\0\0\0\x01").repeat(990)), ""),
        ("a long text", long(b"tEXt"), ""),
        ("long EXIF data", long(b"eXIf"), "metadata=keep"),
    ];
    for (name, file, query) in files {
        let (_, said, most) = held(&file, query);
        assert!(most <= said, "{name}: held {most}, said {said}");
    }
}
