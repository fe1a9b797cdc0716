//! Predicted work: pictures order the queue by what they cost, lies buy nothing, and nothing is lost when an optimizer dies.

use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddr};

use image::{GrayImage, ImageFormat, Luma};
use weir_testkit::{Call, Endpoint, Gate, Plan, Raw, Reply, Weir, free_port};

use crate::load::under_load;
use crate::support::{NEVER_EJECT, Setup, assert_metric, get, optimizer, photo, post, wait_for_exchanges};

/// An endpoint that holds the request `/first` until told, and answers the others at once, each with this much work.
fn holding(gate: &Gate, work: &'static str) -> Endpoint {
    let gate = gate.clone();
    Endpoint::start(move |call: &Call| {
        let plan = Plan::new().read_body();
        let plan = if call.target() == "/first" { plan.wait(&gate) } else { plan };
        plan.reply(Reply::new(200).header("Server-Timing", &format!("queue;dur=9999, work;dur={work}")))
    })
}

fn weir(endpoint: &Endpoint, work: &str) -> Weir {
    Setup::before(&[endpoint])
        .route("body = { max = \"64MiB\", buffer = \"32MiB\" }")
        .service(&format!("work = \"{work}\"\nqueue = {{ capacity = 1, extra = 0, timeout = \"60s\", ageing = 1000 }}"))
        .service(NEVER_EJECT)
        .start()
}

/// In which order these are served that come one after the other while the endpoint is busy.
fn order(endpoint: &Endpoint, gate: &Gate, weir: &Weir, bodies: &[(&str, Vec<u8>)]) -> Vec<String> {
    let already = endpoint.requests().len();
    let send = |request: &[u8]| {
        let mut client = Raw::connect(weir.address());
        client.write(request);
        client
    };
    let mut clients = vec![send(get("/first").as_bytes())];
    endpoint.wait_for_requests(already + 1);
    for (waiting, (target, body)) in (1_u32..).zip(bodies) {
        clients.push(send(&post(target, body)));
        weir.wait_for_metric("weir_queue_waiting", &[], |now| (now - f64::from(waiting)).abs() < f64::EPSILON);
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
    }
    endpoint.requests()[already + 1..].iter().map(|request| request.target().to_owned()).collect()
}

/// A smooth picture of 8K, which takes few bytes for its size.
fn smooth_8k() -> Vec<u8> {
    let picture = GrayImage::from_pixel(7680, 4320, Luma([200]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The photo with this size written into its frame header, and bytes behind it up to a length.
fn claiming(width: u16, height: u16, length: usize) -> Vec<u8> {
    let mut photo = photo();
    let frame = photo.windows(4).position(|bytes| bytes == [0xff, 0xc0, 0x00, 0x11]).unwrap();
    photo[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    photo[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    photo.resize(length.max(photo.len()), 7);
    photo
}

/// The photo as a form uploads it.
fn form(photo: &[u8]) -> Vec<u8> {
    let mut form = b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n".to_vec();
    form.extend_from_slice(photo);
    form.extend_from_slice(b"\r\n--b--\r\n");
    form
}

#[test]
fn a_photo_overtakes_an_8k_one_by_its_dimensions_whatever_their_bytes() {
    let gate = Gate::closed();
    let endpoint = holding(&gate, "10");
    let weir = weir(&endpoint, "image");
    let large = smooth_8k();
    // More bytes than the large one has, of which a pixel takes one at most.
    let dense = claiming(720, 480, large.len() + 10_000);
    let bodies = [("/8k", large), ("/dense", dense), ("/form", form(&photo())), ("/photo", photo())];
    assert_eq!(order(&endpoint, &gate, &weir, &bodies), ["/form", "/photo", "/dense", "/8k"]);
    wait_for_exchanges(&weir, 5);
    assert_metric(&weir, "weir_work_predicted_seconds_count", &[("service", "s")], 5);
    assert_metric(&weir, "weir_work_error_ratio_count", &[("service", "s")], 5);
    assert_eq!(weir.metrics().matching("weir_work_milliseconds", &[("service", "s")]).len(), 6);
}

#[test]
fn a_header_that_lies_about_the_size_buys_no_place_before_honest_ones() {
    let gate = Gate::closed();
    let endpoint = holding(&gate, "10");
    let weir = weir(&endpoint, "image");
    // Claims to be a stamp and is large; claims to be 8K and is small, which only its sender has to suffer from.
    let bodies = [("/stamp", claiming(16, 16, 6_000_000)), ("/8k", claiming(7680, 4320, 0)), ("/honest", photo())];
    let order = order(&endpoint, &gate, &weir, &bodies);
    assert_eq!(order, ["/honest", "/stamp", "/8k"]);
}

#[test]
fn what_an_endpoint_says_of_its_work_is_learnt() {
    let gate = Gate::closed();
    gate.open();
    let endpoint = holding(&gate, "400");
    let weir = weir(&endpoint, "content-length");
    for _ in 0..20 {
        assert_eq!(Raw::ask(weir.address(), post("/learn", &[7; 1000])).status, 200);
    }
    wait_for_exchanges(&weir, 20);
    let labels = [("service", "s"), ("of", "body"), ("per", "exchange")];
    let learnt = weir.metric("weir_work_milliseconds", &labels);
    // Not the 9999 ms that it waited there, nor the moment that the answer really took.
    assert!((350.0..450.0).contains(&learnt), "{learnt}");
    assert_metric(&weir, "weir_work_predicted_seconds_count", &[("service", "s")], 20);
}

#[test]
fn an_optimizer_that_is_killed_while_photos_wait_for_it_costs_none() {
    let addresses = [(); 2].map(|()| SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    let [_first, mut second] = [0, 1].map(|at: usize| optimizer(addresses[at], &format!("optimizer-{}", at + 1)));
    let weir = Setup::of(&addresses)
        .policy("least-connections")
        .route("retry = { non_idempotent = true }\nbody = { max = \"8MiB\", buffer = \"8MiB\" }")
        .service("work = \"image\"\nqueue = { capacity = 1, timeout = \"60s\" }")
        .service("health = { kind = \"http\", interval = \"2s\", timeout = \"2s\" }")
        .start();
    let labels = addresses[1].to_string();
    let answers = under_load(weir.address(), 6, |seen| {
        seen.wait_for("optimizer-2", 3);
        second.kill();
        weir.wait_for_metric("weir_ejections_total", &[("endpoint", &labels)], |ejections| ejections >= 1.0);
        seen.wait_for("optimizer-1", 20);
    });
    weir.wait_for_metric("weir_requests_total", &[("code", "2xx")], |count| count >= f64::from(answers));
    assert_metric(&weir, "weir_requests_total", &[], answers);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
    assert!(weir.metric("weir_queue_seconds_sum", &[]) > 0.0, "six clients and two permits: somebody waited");
    assert_metric(&weir, "weir_permits", &[], 0);
}
