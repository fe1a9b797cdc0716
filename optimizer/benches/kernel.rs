//! What marking a JPEG costs, by the way it is done: `cargo bench -p weir-optimizer`.
//!
//! In: the photo of the demo, 720 x 480, and the same enlarged. Out: times, and bytes of input per second.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use image::imageops::FilterType;
use weir_optimizer::kernel::{Format, Header, Kernel, Limits};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PHOTO: &[u8] = include_bytes!("../photos/life.jpg");

fn main() {
    divan::main();
}

/// The query that takes this way.
const WAYS: [&str; 3] = ["", "position=tl", "quality=85"];

#[divan::bench(args = WAYS)]
fn small(bencher: Bencher<'_, '_>, query: &str) {
    run(bencher, &Bytes::from_static(PHOTO), query);
}

#[divan::bench(args = WAYS)]
fn large(bencher: Bencher<'_, '_>, query: &str) {
    let mut file = std::io::Cursor::new(Vec::new());
    let Ok(photo) = image::load_from_memory(PHOTO) else { return };
    let large = photo.resize_exact(3600, 2400, FilterType::CatmullRom);
    if large.write_to(&mut file, image::ImageFormat::Jpeg).is_ok() {
        run(bencher, &Bytes::from(file.into_inner()), query);
    }
}

fn run(bencher: Bencher<'_, '_>, input: &Bytes, query: &str) {
    let Ok(kernel) = Kernel::new() else { return };
    let (Ok(plan), Ok(header)) = (kernel.plan(query), Header::read(input, &Limits::default())) else { return };
    bencher
        .counter(BytesCount::new(input.len()))
        .bench_local(|| kernel.optimize(black_box(input), &header, &plan, Format::Jpeg, &mut |_| {}));
}
