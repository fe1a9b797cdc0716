//! What the fuzz targets do with their bytes, and what must hold for every one of them.
//!
//! `cargo +nightly fuzz run splice fuzz/corpus/splice fuzz/seeds/jpeg` in the folder of the optimizer runs a target for as
//! long as wanted. The tests of the optimizer include this file and feed it the seeds and some thousand changes of them,
//! so that it cannot rot.

use bytes::Bytes;
use weir_optimizer::Refusal;
use weir_optimizer::kernel::{Format, Header, Kernel, Limits, Path};
use weir_optimizer::plan::FormatAsk;

/// Small, so that a run is many pictures and not few large ones: each is made and marked twice, under a sanitizer.
const LIMITS: Limits = Limits { pixels: 1 << 16, bytes: 1 << 20 };

/// Lets panics that are caught pass: those of third-party decoders are, and are an answer.
pub fn only_what_is_not_caught_ends_the_process() {
    // libFuzzer's own hook, set before, ends the process on every panic. One that nobody catches still ends it.
    std::panic::set_hook(Box::new(|info| eprintln!("{info}")));
}

/// The header of a file keeps what it is held against.
pub fn header(data: &[u8]) {
    if let Ok(header) = Header::read(data, &LIMITS) {
        let pixels = u64::from(header.width) * u64::from(header.height);
        assert!((1..=LIMITS.pixels).contains(&pixels), "{header:?}");
    }
}

/// A JPEG with the mark in one place.
pub fn splice(data: &[u8]) -> Option<Path> {
    data.starts_with(b"\xff\xd8\xff").then(|| made(data, "position=cc&size=0.3"))?
}

/// A JPEG with a mark all over, in a colour that few tables have the symbols for.
pub fn transcode(data: &[u8]) -> Option<Path> {
    data.starts_with(b"\xff\xd8\xff").then(|| made(data, "position=tile&size=0.2&color=ff2000&opacity=1"))?
}

/// A JPEG at another quality: its coefficients are read and written, whatever its scans.
pub fn coefficients(data: &[u8]) -> Option<Path> {
    data.starts_with(b"\xff\xd8\xff").then(|| made(data, "quality=40&position=tl&size=0.3&metadata=keep"))?
}

/// Anything under any options: `?`, a query, the end of a line and a file, or a file alone.
pub fn optimize(data: &[u8]) -> Option<Path> {
    let split = || {
        data.strip_prefix(b"?").and_then(|rest| rest.iter().position(|byte| *byte == b'\n').map(|at| rest.split_at(at)))
    };
    let (query, file) = split().unwrap_or((b"", data));
    made(file.strip_prefix(b"\n").unwrap_or(file), &String::from_utf8_lossy(query))
}

/// What `file` becomes is whole, as large as it was, and can be marked again.
fn made(file: &[u8], query: &str) -> Option<Path> {
    let kernel = Kernel::new().unwrap();
    let plan = kernel.plan(query).ok()?;
    let header = Header::read(file, &LIMITS).ok()?;
    let target = match plan.format {
        FormatAsk::Is(format) => format,
        FormatAsk::Keep | FormatAsk::Auto => header.format,
    };
    let mark = |file: &[u8], header: &Header, target: Format| {
        kernel.optimize(&Bytes::copy_from_slice(file), header, &plan, target, &mut |_| {})
    };
    let output = match mark(file, &header, target) {
        Ok(output) => output,
        Err(refusal) => {
            assert!(!matches!(refusal, Refusal::Internal { .. }), "{refusal}");
            return None;
        }
    };
    let bytes = output.to_vec();
    let after = Header::read(&bytes, &LIMITS).unwrap_or_else(|refusal| panic!("{query}: {refusal}"));
    let (one, other) = ((header.width, header.height), (header.height, header.width));
    let sides = (after.width, after.height);
    // Decoded pictures are turned as their orientation says.
    assert!(
        after.format == target && (sides == one || output.path == Path::Rgb && sides == other),
        "{after:?} of {header:?}"
    );
    if let Err(refusal) = mark(&bytes, &after, target) {
        panic!("{query}, marked again: {refusal}");
    }
    Some(output.path)
}
