//! More work than can be done: who is refused, who is not, and that nobody gets more by asking for more.

use weir_testkit::{Call, Raw, Reply, eventually};

use crate::queue::{BATCH, PATIENT, Shop, all_answered, before, gets, queue_up, send, wait_for_waiting};
use crate::support::{assert_metric, get, photo, post, wait_for_exchanges};

#[test]
fn under_overload_the_batch_is_refused_and_whoever_is_interactive_is_served() {
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, target = \"100ms\"")).route(BATCH).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let mut interactive = queue_up(&weir, &gets(&["/1"]));
    // A batch keeps coming while nobody is served, until everybody has waited for too long.
    let mut batch = Vec::new();
    eventually("the batch is shed", || {
        batch.push(send(&weir, get("/batch")));
        weir.metric("weir_refusals_total", &[("reason", "queue_shed")]) > 0.0
    });
    wait_for_waiting(&weir, 1);
    for client in &mut batch {
        let answer = client.response();
        assert_eq!(answer.status, 503);
        assert!(answer.text().contains("\"reason\":\"queue_shed\""), "{}", answer.text());
        let seconds: u32 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!(seconds >= 1);
    }
    shop.doors.open_all(&["/0", "/1"]);
    assert_eq!(interactive[0].response().status, 200);
    assert_eq!(shop.targets(), ["/0", "/1"]);
    let count = u32::try_from(batch.len()).unwrap();
    assert_metric(&weir, "weir_refusals_total", &[("reason", "queue_shed")], count);
    assert_metric(&weir, "weir_refusals_total", &[], count);
    // And once it is over the batch is served again.
    shop.doors.open("/batch");
    assert_eq!(Raw::get(weir.address(), "/batch").status, 200);
}

#[test]
fn without_a_target_a_batch_waits_as_long_as_it_may() {
    let shop = Shop::new();
    let weir = before(&[&shop], PATIENT).route(BATCH).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let mut waiting = queue_up(&weir, &gets(&["/batch", "/1", "/batch"]));
    shop.doors.open_all(&["/0", "/1", "/batch"]);
    all_answered(&mut waiting);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
}

#[test]
fn where_nobody_may_wait_an_endpoint_that_is_full_is_passed_over_and_503_is_the_answer_when_all_are() {
    let shops = [Shop::new(), Shop::new()];
    let weir = before(&shops.each_ref(), "capacity = 2, max = 0").start();
    let mut held: Vec<Raw> = Vec::new();
    for number in 0..4 {
        held.push(send(&weir, get(&format!("/{number}"))));
        eventually("it is served", || shops.iter().map(|shop| shop.targets().len()).sum::<usize>() == number + 1);
    }
    assert_eq!(shops.each_ref().map(|shop| shop.targets().len()), [2, 2]);
    let answer = Raw::get(weir.address(), "/5");
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(answer.text().contains("\"reason\":\"queue_full\""), "{}", answer.text());
    // The first has room again: it gets the next ones, whosever turn it is.
    let targets = shops[0].targets();
    shops[0].doors.open_all(&targets.iter().map(String::as_str).collect::<Vec<_>>());
    wait_for_exchanges(&weir, 3);
    shops[0].doors.open("/6");
    for _ in 0..4 {
        assert_eq!(Raw::get(weir.address(), "/6").status, 200);
    }
    assert_eq!(shops.each_ref().map(|shop| shop.targets().len()), [6, 2]);
    for shop in &shops {
        shop.doors.open_all(&["/0", "/1", "/2", "/3"]);
    }
    all_answered(&mut held);
    assert_metric(&weir, "weir_refusals_total", &[], 1);
}

/// A request of a client behind a proxy that is trusted.
fn of(client: &str, request: impl AsRef<[u8]>) -> Vec<u8> {
    let request = request.as_ref();
    let field = format!("X-Forwarded-For: {client}\r\n");
    let line = request.windows(2).position(|bytes| bytes == b"\r\n").unwrap() + 2;
    [&request[..line], field.as_bytes(), &request[line..]].concat()
}

const TRUSTING: &str = "shutdown_delay = \"0s\"\ntrusted_proxies = [\"127.0.0.0/8\"]";

#[test]
fn a_client_that_fills_the_queue_does_not_keep_another_one_out() {
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, slack = \"0s\", max = 300")).server(TRUSTING).start();
    let _first = send(&weir, of("10.0.0.1", get("/first")));
    shop.wait_for(&["/first"]);
    let mut greedy: Vec<Raw> = (0..400).map(|_| send(&weir, of("10.0.0.1", get("/greedy")))).collect();
    wait_for_waiting(&weir, 300);
    weir.wait_for_metric("weir_refusals_total", &[("reason", "queue_full")], |refused| refused >= 100.0);
    let mut modest: Vec<Raw> = (0..5).map(|_| send(&weir, of("10.0.0.2", get("/modest")))).collect();
    weir.wait_for_metric("weir_refusals_total", &[("reason", "queue_displaced")], |displaced| displaced >= 5.0);
    wait_for_waiting(&weir, 300);
    shop.doors.open_all(&["/first", "/greedy", "/modest"]);
    all_answered(&mut modest);
    let answers: Vec<u16> = greedy.iter_mut().map(|client| client.response().status).collect();
    assert_eq!(answers.iter().filter(|&&status| status == 200).count(), 295);
    assert_eq!(answers.iter().filter(|&&status| status == 503).count(), 105);
    let targets = shop.targets();
    let last = targets.iter().rposition(|target| target == "/modest").unwrap();
    assert!(last <= 12, "its last one came after {last} others: {:?}", &targets[..20]);
}

#[test]
fn a_client_whose_pictures_are_more_work_than_they_look_is_charged_for_it() {
    // They look alike; one client's cost a hundred times as much.
    let shop = Shop::replying(|call: &Call| {
        let work = if call.target() == "/liar" { 1000 } else { 10 };
        Reply::new(200).header("Server-Timing", &format!("work;dur={work}"))
    });
    let weir = before(&[&shop], &format!("{PATIENT}, extra = 0, slack = \"0s\""))
        .server(TRUSTING)
        .route("body = { max = \"8MiB\", buffer = \"8MiB\" }")
        .service("work = \"image\"")
        .start();
    let _first = send(&weir, of("10.0.0.3", get("/first")));
    shop.wait_for(&["/first"]);
    let picture = photo();
    let requests = |client, target| (0..20).map(|_| of(client, post(target, &picture))).collect::<Vec<_>>();
    let mut clients = queue_up(&weir, &requests("10.0.0.1", "/liar"));
    clients.extend(queue_up(&weir, &requests("10.0.0.2", "/honest")));
    shop.doors.open_all(&["/first", "/liar", "/honest"]);
    all_answered(&mut clients);
    let targets = shop.targets();
    let honest = targets.iter().rposition(|target| target == "/honest").unwrap();
    let before = targets[..honest].iter().filter(|target| *target == "/liar").count();
    assert!(before <= 4, "{before} of the liar's were served before the last honest one: {targets:?}");
}
