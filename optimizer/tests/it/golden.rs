//! The bytes that each path writes, as they were: what is cached by an `ETag` is what would be made again.

use std::path::PathBuf;

use weir_optimizer::kernel::KERNEL_VERSION;
use xxhash_rust::xxh3::xxh3_128;

use super::fixture::{GREY, OPTIMISED, PHOTO, PROGRESSIVE, RESTARTS, run};

const RGB: &[u8] = include_bytes!("../../fuzz/seeds/other/rgb.png");
const PALETTE: &[u8] = include_bytes!("../../fuzz/seeds/other/palette.png");

#[test]
fn the_same_request_gives_the_same_bytes_as_ever_or_the_version_of_the_kernel_is_another() {
    let mut cases: Vec<(&str, &[u8], &str)> = vec![
        ("photo", PHOTO, ""),
        ("photo", PHOTO, "position=tile&opacity=0.9&color=ff2000"),
        ("photo", PHOTO, "outline=0.1&shadow=0.2&metadata=keep"),
        ("photo", PHOTO, "quality=60"),
        ("photo", PHOTO, "quality=100"),
        ("restarts", RESTARTS, "position=cc&size=0.3"),
        ("grey", GREY, "position=tl"),
        ("optimised", OPTIMISED, "size=0.3&color=0040ff&opacity=1"),
        ("progressive", PROGRESSIVE, ""),
        ("progressive", PROGRESSIVE, "quality=50&position=tc"),
        ("png", RGB, ""),
        ("png", RGB, "format=webp"),
        ("palette", PALETTE, "color=ff0000"),
    ];
    if cfg!(feature = "turbojpeg") {
        // By transforms that are the same with and without SIMD.
        cases.push(("photo", PHOTO, "format=png"));
        cases.push(("png", RGB, "format=jpeg&quality=90"));
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden.txt");
    let known = std::fs::read_to_string(file).unwrap();
    let mut lines = known.lines();
    assert_eq!(lines.next(), Some(KERNEL_VERSION), "the first line of tests/golden.txt; the others change with it");
    let known: Vec<_> = lines.collect();
    let made: Vec<String> = cases
        .iter()
        .map(|(name, input, query)| {
            let output = run(input, query).unwrap();
            format!("{} {name} ?{query} {:032x}", output.path.name(), xxh3_128(&output.to_vec()))
        })
        .collect();
    // Other bytes need another `KERNEL_VERSION`, so that no cache answers for them by an old tag; then these lines here.
    let other: Vec<_> = made.iter().filter(|line| !known.contains(&line.as_str())).collect();
    assert!(other.is_empty(), "{other:#?}");
    for path in ["splice", "transcode", "coefficients", "requantise", "rgb"] {
        assert!(made.iter().any(|line| line.starts_with(path)), "{path}");
    }
}
