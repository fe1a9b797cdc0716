//! Real optimizers that die and come back under load, and what they make of input that is no photo.

use std::net::{Ipv4Addr, SocketAddr};

use weir_testkit::{Process, Raw, Response, Weir, free_port};

use crate::load::under_load;
use crate::support::{Setup, assert_metric, optimizer, photo, post, up, wait_for_words};

#[test]
fn an_optimizer_that_is_killed_and_returns_under_load_costs_no_request() {
    let addresses = [(); 3].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let [_first, mut second, _third] =
        [0, 1, 2].map(|at: usize| optimizer(addresses[at], &format!("optimizer-{}", at + 1)));
    let dead = addresses[1];
    let labels = dead.to_string();
    let labels = [("endpoint", labels.as_str())];
    let mut weir = Setup::of(&addresses)
        .policy("least-connections")
        .route("retry = { non_idempotent = true }\nbody = { max = \"8MiB\", buffer = \"8MiB\" }")
        .service("health = { kind = \"http\", interval = \"2s\", timeout = \"2s\" }")
        .start();
    let answers = under_load(weir.address(), 3, |seen| {
        seen.wait_for("optimizer-2", 3);

        second.kill();
        weir.wait_for_metric("weir_ejections_total", &labels, |ejections| ejections >= 1.0);
        assert!(up(&weir, dead).abs() < f64::EPSILON);
        seen.wait_for("", 10);

        let _again = optimizer(dead, "optimizer-2-again");
        weir.wait_for_metric("weir_endpoint_up", &labels, |up| up >= 1.0);
        seen.wait_for("optimizer-2-again", 3);
    });

    weir.wait_for_metric("weir_requests_total", &[("code", "2xx")], |count| count >= f64::from(answers));
    assert_metric(&weir, "weir_requests_total", &[], answers);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
    assert_metric(&weir, "weir_ejections_total", &[], 1);
    assert!(weir.metric("weir_retries_total", &[]) >= 1.0, "its requests went elsewhere");
    for words in ["endpoint ejected", "failures=3", "endpoint restored"] {
        wait_for_words(&weir, words);
    }
    assert!(weir.is_running());
}

/// A weir before one real optimizer.
fn before_an_optimizer() -> (Process, Weir) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let process = optimizer(address, "optimizer-1");
    (process, Setup::of(&[address]).route("retry = { non_idempotent = true }").start())
}

/// What a client gets for this body.
fn optimized(weir: &Weir, body: &[u8]) -> Response {
    Raw::ask(weir.address(), post("/optimize?text=weir", body))
}

/// The photo with this size written into its frame header.
fn claiming(width: u16, height: u16) -> Vec<u8> {
    let mut photo = photo();
    let frame = photo.windows(4).position(|bytes| bytes == [0xff, 0xc0, 0x00, 0x11]).unwrap();
    photo[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    photo[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    photo
}

#[test]
fn what_is_no_image_is_answered_415_through_weir_and_the_next_photo_is_drawn() {
    let (_optimizer, weir) = before_an_optimizer();
    assert_eq!(optimized(&weir, b"this is not an image").status, 415);
    assert_eq!(optimized(&weir, &photo()).status, 200);
}

#[test]
fn a_truncated_photo_is_answered_422_through_weir_and_blamed_on_nobody() {
    let (_optimizer, weir) = before_an_optimizer();
    let photo = photo();
    for _ in 0..3 {
        assert_eq!(optimized(&weir, &photo[..photo.len() / 2]).status, 422);
    }
    assert_metric(&weir, "weir_ejections_total", &[], 0);
    assert_eq!(optimized(&weir, &photo).status, 200);
}

#[test]
fn a_photo_that_claims_65535_by_65535_is_answered_413_without_the_memory() {
    let (optimizer, weir) = before_an_optimizer();
    assert_eq!(optimized(&weir, &photo()).status, 200);
    let before = optimizer.memory().peak;
    assert_eq!(optimized(&weir, &claiming(65_535, 65_535)).status, 413);
    let more = optimizer.memory().peak - before;
    assert!(more < 20 << 20, "{more} bytes for a picture of 4 gigapixels that was refused");
}
