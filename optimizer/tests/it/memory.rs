//! The memory of a whole process: what is admitted, what waits, what is refused, and what it comes to.

use std::io::Write as _;
use std::thread;

use image::{DynamicImage, ImageFormat};
use weir_optimizer::kernel::{Header, Kernel, Limits};
use weir_optimizer::plan::FormatAsk;

use super::fixture::{self, HEAVY, PHOTO, Reply, Server, detail, encoded, post_head};

/// What a process takes besides the memory for bodies, twice, and for images: code, fonts, threads, what an allocator
/// keeps. As the documentation of the crate says.
const FIXED: u64 = 64 << 20;

/// Flags with which one such image at a time has room.
fn room_for_one(file: &[u8], query: &str) -> [String; 2] {
    let kernel = Kernel::new().unwrap();
    let plan = kernel.plan(query.trim_start_matches('?')).unwrap();
    let header = Header::read(file, &Limits::default()).unwrap();
    let target = if let FormatAsk::Is(format) = plan.format { format } else { header.format };
    let bytes = kernel.memory(file.len() as u64, &header, &plan, target);
    ["--kernel-memory".to_owned(), (bytes + bytes / 2).to_string()]
}

/// A PNG of some megapixels that takes little to send.
fn large(width: u32, height: u32) -> Vec<u8> {
    encoded(&DynamicImage::new_rgb8(width, height), ImageFormat::Png)
}

#[test]
fn an_image_that_could_never_fit_gets_413_with_both_numbers_and_a_smaller_one_is_served() {
    let server = Server::start(&["--kernel-memory", "60000000"]);
    let reply = server.post(HEAVY, &[], &large(4000, 3000));
    assert_eq!((reply.status, reply.reason().as_str()), (413, "kernel_memory"));
    let said = String::from_utf8(reply.body).unwrap();
    assert!(said.contains("MiB of memory to work on, and 57 MiB are set aside"), "{said}");
    assert_eq!(server.post("", &[], PHOTO).status, 200);
    assert!((server.metric("weir_optimizer_kernel_memory_limit_bytes") - 59_999_232.0).abs() < 1.0);
}

#[test]
fn images_beyond_the_memory_wait_in_the_queue_and_beyond_the_queue_are_refused() {
    let heavy = fixture::heavy();
    let [flag, bytes] = room_for_one(&heavy, HEAVY);
    let server = Server::start(&[&flag, &bytes, "--workers", "4", "--queue", "0"]);
    thread::scope(|scope| {
        let send = || server.post(HEAVY, &[], &heavy);
        let runs = scope.spawn(send);
        server.until("weir_optimizer_running", 1.0);
        let waits = scope.spawn(send);
        server.until("weir_optimizer_waiting", 1.0);
        assert!((server.metric("weir_optimizer_running") - 1.0).abs() < 0.1, "it has a worker and no memory");
        let small: Vec<_> = (0..2).map(|_| scope.spawn(|| server.post("", &[], PHOTO))).collect();
        server.until("weir_optimizer_waiting", 3.0);
        let refused = server.post("", &[], PHOTO);
        assert_eq!((refused.status, refused.reason().as_str()), (503, "queue_full"));
        assert_eq!(refused.header("retry-after"), Some("1"));
        let second = waits.join().unwrap();
        let waited = second.header("server-timing").unwrap();
        assert!(!waited.contains("wait;dur=0.0"), "{waited}");
        assert_eq!((runs.join().unwrap().status, second.status), (200, 200));
        assert!(small.into_iter().all(|reply| reply.join().unwrap().status == 200));
    });
    assert!((server.metric("weir_optimizer_kernel_memory_waits_total") - 3.0).abs() < 0.1);
    server.until("weir_optimizer_kernel_memory_bytes", 0.0);
    server.until("weir_optimizer_body_memory_bytes", 0.0);
}

#[test]
fn a_client_that_leaves_while_its_image_waits_for_memory_holds_none() {
    let heavy = fixture::heavy();
    let [flag, bytes] = room_for_one(&heavy, HEAVY);
    let server = Server::start(&[&flag, &bytes, "--workers", "2"]);
    thread::scope(|scope| {
        let runs = scope.spawn(|| server.post(HEAVY, &[], &heavy));
        server.until("weir_optimizer_running", 1.0);
        let mut leaves = server.connect();
        leaves.write_all(&post_head(HEAVY, &[], heavy.len())).unwrap();
        leaves.write_all(&heavy).unwrap();
        server.until("weir_optimizer_kernel_memory_waits_total", 1.0);
        drop(leaves);
        server.until("weir_optimizer_abandoned_total", 1.0);
        assert_eq!(runs.join().unwrap().status, 200);
    });
    server.until("weir_optimizer_kernel_memory_bytes", 0.0);
    assert_eq!(server.post("", &[], PHOTO).status, 200);
}

#[test]
fn many_large_images_at_once_stay_below_the_stated_bound_and_are_all_served() {
    let (kernel, bodies) = (400 << 20, 32 << 20);
    let (kernel_flag, bodies_flag) = (format!("{kernel}"), format!("{bodies}"));
    let server = Server::start(&["--kernel-memory", &kernel_flag, "--body-memory", &bodies_flag, "--workers", "8"]);
    let photo =
        encoded(&detail(240, 160).resize_exact(2400, 1600, image::imageops::FilterType::Triangle), ImageFormat::Jpeg);
    let png = large(2000, 2000);
    let progressive = fixture::PROGRESSIVE.to_vec();
    let jobs = [
        (&photo, HEAVY),
        (&png, ""),
        (&photo, "?format=png"),
        (&png, "?format=webp"),
        (&progressive, ""),
        (&photo, ""),
    ];
    thread::scope(|scope| {
        let sent: Vec<_> = (0..24)
            .map(|number| {
                let (body, query) = jobs[number % jobs.len()];
                let server = &server;
                scope.spawn(move || server.post(query, &[], body))
            })
            .collect();
        for reply in sent {
            assert_eq!(reply.join().unwrap().status, 200);
        }
    });
    let peak = server.peak_memory() * 1024;
    assert!(peak <= kernel + 2 * bodies + FIXED, "{} MiB", peak >> 20);
    assert!(server.metric("weir_optimizer_kernel_memory_waits_total") > 0.0, "nobody had to wait");
}

/// A JPEG whose PNG is larger than what sockets take in.
fn noise() -> Vec<u8> {
    let mut dice: u32 = 1;
    let pixels = image::RgbImage::from_fn(1500, 1500, |_, _| {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [r, g, b, _] = dice.to_be_bytes();
        image::Rgb([r, g, b])
    });
    encoded(&pixels.into(), ImageFormat::Jpeg)
}

#[test]
fn an_answer_nobody_reads_is_memory_of_bodies_until_it_is_sent_or_given_up() {
    let server = Server::start(&["--body-memory", "60000000"]);
    let noise = noise();
    let mut silent = server.connect();
    silent.write_all(&post_head("?format=png", &[], noise.len())).unwrap();
    silent.write_all(&noise).unwrap();
    server.until("weir_optimizer_work_seconds_count", 1.0);
    let held = server.metric("weir_optimizer_body_memory_bytes");
    let reply = Reply::read(&mut silent);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body.len().to_string(), held.to_string(), "sent, and held before");
    server.until("weir_optimizer_body_memory_bytes", 0.0);
    let mut leaves = server.connect();
    leaves.write_all(&post_head("?format=png", &[], noise.len())).unwrap();
    leaves.write_all(&noise).unwrap();
    server.until("weir_optimizer_work_seconds_count", 2.0);
    drop(leaves);
    server.until("weir_optimizer_body_memory_bytes", 0.0);
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_let_go_when_its_time_is_over() {
    let server = Server::start(&["--send-timeout", "500ms"]);
    let noise = noise();
    let mut silent = server.connect();
    silent.write_all(&post_head("?format=png", &[], noise.len())).unwrap();
    silent.write_all(&noise).unwrap();
    server.until("weir_optimizer_work_seconds_count", 1.0);
    server.until("weir_optimizer_body_memory_bytes", 0.0);
    assert!(Reply::try_read(&mut silent).is_err(), "the answer is cut off");
}
