//! Damaged JPEGs: an answer each time, never a panic, and never more memory than was set aside.
//!
//! In a process of its own, whose allocator counts.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, as it should")]

use std::collections::BTreeMap;

use bytes::Bytes;
use weir_optimizer::kernel::{Header, Kernel, Limits};

#[path = "it/dice.rs"]
mod dice;

use dice::Dice;

/// What reading a header may take: no size that a file chooses.
const HEADER: u64 = 64 << 10;

const PHOTO: &[u8] = include_bytes!("../photos/life.jpg");
const RESTARTS: &[u8] = include_bytes!("photos/restarts.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("photos/progressive.jpg");
/// Of some kilobytes, so that ten thousand of them are soon done.
const SMALL: [(&str, &[u8]); 5] = [
    ("baseline", include_bytes!("../fuzz/seeds/jpeg/baseline_420.jpg")),
    ("restarts", include_bytes!("../fuzz/seeds/jpeg/restarts_420.jpg")),
    ("optimised", include_bytes!("../fuzz/seeds/jpeg/optimised_420.jpg")),
    ("progressive", include_bytes!("../fuzz/seeds/jpeg/progressive_420.jpg")),
    ("progressive with restarts", include_bytes!("../fuzz/seeds/jpeg/progressive_444_restarts.jpg")),
];

/// The label of what `file` gets, after holding the memory it takes against what would have been set aside for it.
fn answer(kernel: &Kernel, file: &[u8], query: &str) -> &'static str {
    let plan = kernel.plan(query).unwrap();
    let file = Bytes::copy_from_slice(file);
    let mut header = None;
    let took = allocation_counter::measure(|| header = Some(Header::read(&file, &Limits::default()))).bytes_max;
    assert!(took <= HEADER, "{took} bytes for a header");
    let header = match header.unwrap() {
        Ok(header) => header,
        Err(refusal) => return refusal.status_and_label().1,
    };
    let most = kernel.memory(file.len() as u64, &header, &plan, header.format);
    let mut result = None;
    let took = allocation_counter::measure(|| {
        result = Some(kernel.optimize(&file, &header, &plan, header.format, &mut |_| {}));
    });
    assert!(took.bytes_max <= most, "{} bytes of {most} for {header:?}", took.bytes_max);
    result.unwrap().map_or_else(|refusal| refusal.status_and_label().1, |_| "ok")
}

#[test]
fn a_jpeg_cut_at_every_997th_byte_gets_an_answer_within_its_memory() {
    let kernel = Kernel::new().unwrap();
    for (name, file) in [("baseline", PHOTO), ("restarts", RESTARTS), ("progressive", PROGRESSIVE)] {
        for end in (0..file.len()).step_by(997) {
            let label = answer(&kernel, &file[..end], "");
            assert_eq!(label, if end == 0 { "no_image" } else { "truncated" }, "{name} at {end}");
        }
        assert_eq!(answer(&kernel, file, ""), "ok", "{name}");
    }
}

#[test]
fn ten_thousand_jpegs_with_one_wrong_byte_get_an_answer_within_their_memory() {
    let kernel = Kernel::new().unwrap();
    let mut dice = Dice::new(0x2545_f491_4f6c_dd1d);
    let mut answers = BTreeMap::<&str, u32>::new();
    for turn in 0..10_000 {
        let (_, file) = SMALL[turn % SMALL.len()];
        let mut broken = file.to_vec();
        let at = dice.roll(file.len());
        broken[at] = dice.byte();
        let query = ["", "position=tile&color=ff0000", "quality=70"][turn / SMALL.len() % 3];
        *answers.entry(answer(&kernel, &broken, query)).or_default() += 1;
    }
    assert!(!answers.contains_key("internal") && !answers.contains_key("decoder_panicked"), "{answers:?}");
    assert!(answers["ok"] > 1_000 && answers["corrupt"] > 100 && answers["truncated"] > 100, "{answers:?}");
}
