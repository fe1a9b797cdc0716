//! Exchanges that wait for an endpoint to have room: how many are served at once, who is next, and who must not wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use weir_testkit::{Call, Endpoint, Gate, Plan, Raw, Reply, Weir, eventually};

use crate::support::{NEVER_EJECT, Setup, ask, assert_metric, get, post, wait_for_exchanges};

/// Who waits here waits as long as a test does.
pub(crate) const PATIENT: &str = "capacity = 1, timeout = \"60s\"";

/// An endpoint that answers a request when the door of its target is opened.
pub(crate) struct Shop {
    pub(crate) endpoint: Endpoint,
    pub(crate) doors: Doors,
}

#[derive(Clone, Default)]
pub(crate) struct Doors(Arc<Mutex<HashMap<String, Gate>>>);

impl Doors {
    fn of(&self, target: &str) -> Gate {
        self.0.lock().unwrap().entry(target.to_owned()).or_default().clone()
    }

    pub(crate) fn open(&self, target: &str) {
        self.of(target).open();
    }

    pub(crate) fn open_all(&self, targets: &[&str]) {
        for target in targets {
            self.open(target);
        }
    }
}

impl Shop {
    pub(crate) fn new() -> Self {
        Self::replying(|_| Reply::new(200))
    }

    /// What it replies when the door is opened.
    pub(crate) fn replying(reply: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        let doors = Doors::default();
        let inside = doors.clone();
        let endpoint = Endpoint::start(move |call: &Call| {
            let door = inside.of(call.target());
            Plan::new().read_body().wait(&door).reply(reply(call))
        });
        Self { endpoint, doors }
    }

    /// The targets that it was asked for, in order.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.endpoint.requests().iter().map(|request| request.target().to_owned()).collect()
    }

    /// Waits until it was asked for so many, and for no more than these.
    pub(crate) fn wait_for(&self, targets: &[&str]) {
        self.endpoint.wait_for_requests(targets.len());
        assert_eq!(self.targets(), targets);
    }
}

pub(crate) fn before(shops: &[&Shop], queue: &str) -> Setup {
    let endpoints: Vec<&Endpoint> = shops.iter().map(|shop| &shop.endpoint).collect();
    Setup::before(&endpoints).service(&format!("queue = {{ {queue} }}")).service(NEVER_EJECT)
}

/// Sends without waiting for an answer.
pub(crate) fn send(weir: &Weir, request: impl AsRef<[u8]>) -> Raw {
    let mut client = Raw::connect(weir.address());
    client.write(request);
    client
}

pub(crate) fn wait_for_waiting(weir: &Weir, count: u32) {
    weir.wait_for_metric("weir_queue_waiting", &[], |waiting| (waiting - f64::from(count)).abs() < f64::EPSILON);
}

/// Sends these one after the other, each when the one before waits.
pub(crate) fn queue_up(weir: &Weir, requests: &[Vec<u8>]) -> Vec<Raw> {
    let before = weir.metric("weir_queue_waiting", &[]);
    let mut waiting = Vec::new();
    for request in requests {
        waiting.push(send(weir, request));
        let count = before + f64::from(u32::try_from(waiting.len()).unwrap());
        weir.wait_for_metric("weir_queue_waiting", &[], |now| (now - count).abs() < f64::EPSILON);
    }
    waiting
}

pub(crate) fn gets(targets: &[&str]) -> Vec<Vec<u8>> {
    targets.iter().map(|target| get(target).into_bytes()).collect()
}

/// Whoever waits for an answer gets a good one.
#[track_caller]
pub(crate) fn all_answered(clients: &mut [Raw]) {
    for client in clients {
        assert_eq!(client.response().status, 200);
    }
}

/// Opens the doors in this order and checks that each is the next to be asked for; the first is served already.
fn served_in_order(shop: &Shop, expected: &[&str]) {
    for served in 1..=expected.len() {
        shop.wait_for(&expected[..served]);
        shop.doors.open(expected[served - 1]);
    }
}

#[test]
fn an_endpoint_never_serves_more_than_its_capacity_and_every_permit_that_comes_back_is_used() {
    let shops = [Shop::new(), Shop::new()];
    let [first, second] = shops.each_ref().map(|shop| shop.endpoint.address());
    let weir = before(&shops.each_ref(), "capacity = 2, timeout = \"60s\"")
        .endpoints(&format!("{{ address = \"{first}\", capacity = 3 }}, \"{second}\""))
        .start();
    let targets: Vec<String> = (0..12).map(|number| format!("/{number}")).collect();
    let mut clients: Vec<Raw> = targets.iter().map(|target| send(&weir, get(target))).collect();
    wait_for_waiting(&weir, 7);
    let permits = |shop: &Shop| {
        let label = shop.endpoint.address().to_string();
        weir.metric("weir_permits", &[("service", "s"), ("endpoint", &label)]).to_string()
    };
    // Those that have a permit may still be on their way.
    eventually("five are served", || shops.each_ref().map(|shop| shop.targets().len()) == [3, 2]);
    assert_eq!(shops.each_ref().map(permits), ["3", "2"]);
    let mut answered = [0, 0];
    for done in 0..12 {
        let busy = |at: &usize| shops[*at].targets().len() > answered[*at];
        let which = [done % 2, 1 - done % 2].into_iter().find(busy).unwrap();
        let target = shops[which].targets()[answered[which]].clone();
        shops[which].doors.open(&target);
        let number: usize = target.trim_start_matches('/').parse().unwrap();
        assert_eq!(clients[number].response().status, 200);
        answered[which] += 1;
        let asked = || shops.iter().map(|shop| shop.targets().len()).sum::<usize>();
        eventually("the next one is served", || asked() == (5 + done + 1).min(12));
        for (shop, (answered, capacity)) in shops.iter().zip(answered.into_iter().zip([3, 2])) {
            assert!(shop.targets().len() - answered <= capacity, "{:?}", shop.targets());
        }
    }
    wait_for_waiting(&weir, 0);
    assert_metric(&weir, "weir_permits", &[], 0);
    assert_metric(&weir, "weir_queue_seconds_count", &[("service", "s")], 12);
}

#[test]
fn first_come_first_served() {
    let shop = Shop::new();
    let weir = before(&[&shop], PATIENT).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let _waiting = queue_up(&weir, &gets(&["/1", "/2", "/3"]));
    served_in_order(&shop, &["/0", "/1", "/2", "/3"]);
}

/// A service that predicts work from the length of a body, of which half a megabyte is some 30 ms.
fn by_length(shop: &Shop, queue: &str) -> Setup {
    before(&[shop], &format!("{PATIENT}, extra = 0, {queue}")).service("work = \"content-length\"")
}

#[test]
fn a_small_one_overtakes_large_ones_that_came_just_before() {
    let shop = Shop::new();
    let weir = by_length(&shop, "ageing = 1000").start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let large = vec![7; 500_000];
    let _waiting = queue_up(&weir, &[post("/large", &large), post("/middle", &large[..200_000]), post("/small", b"7")]);
    served_in_order(&shop, &["/0", "/small", "/middle", "/large"]);
}

#[test]
fn a_large_one_is_overtaken_only_by_those_that_come_within_a_multiple_of_its_work() {
    let shop = Shop::new();
    shop.doors.open("/healthz");
    let probed = "health = { kind = \"http\", interval = \"200ms\", timeout = \"200ms\", failures = 100 }";
    let weir = Setup::before(&[&shop.endpoint])
        .service(&format!("queue = {{ {PATIENT}, extra = 0, ageing = 1 }}\nwork = \"content-length\"\n{probed}"))
        .start();
    let _first = send(&weir, get("/0"));
    eventually("it is served", || shop.targets().contains(&"/0".to_owned()));
    let _large = queue_up(&weir, &[post("/large", &vec![7; 500_000])]);
    // Between two probes 180 ms pass at least, which is far more than once the work of the large one.
    let probes = || shop.targets().iter().filter(|target| *target == "/healthz").count();
    let now = probes();
    eventually("three more probes", || probes() >= now + 3);
    let _small = queue_up(&weir, &gets(&["/small"]));
    shop.doors.open("/0");
    let asked = || shop.targets().into_iter().filter(|target| target != "/healthz").collect::<Vec<_>>();
    eventually("the next one is served", || asked().len() == 2);
    assert_eq!(asked(), ["/0", "/large"]);
    shop.doors.open("/large");
    shop.doors.open("/small");
}

#[test]
fn a_small_one_is_served_beside_the_capacity_and_a_large_one_is_not() {
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, extra = 1, small = \"10ms\""))
        .service("work = \"content-length\"")
        .start();
    let large = vec![7; 500_000];
    let _first = send(&weir, post("/0", &large));
    shop.wait_for(&["/0"]);
    let _large = queue_up(&weir, &[post("/large", &large)]);
    let _small = send(&weir, get("/small"));
    shop.wait_for(&["/0", "/small"]);
    wait_for_waiting(&weir, 1);
    shop.doors.open_all(&["/0", "/small"]);
    shop.wait_for(&["/0", "/small", "/large"]);
    shop.doors.open("/large");
}

#[test]
fn who_finds_the_queue_full_is_told_when_to_come_back() {
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, max = 1")).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let mut waiting = queue_up(&weir, &gets(&["/1"]));
    let answer = Raw::get(weir.address(), "/2");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("\"reason\":\"queue_full\""), "{}", answer.text());
    // Nothing is known yet of how fast permits come back: the longest that anybody waits.
    assert_eq!(answer.field("retry-after"), Some("60"));
    assert_metric(&weir, "weir_refusals_total", &[("reason", "queue_full")], 1);
    shop.doors.open("/0");
    shop.doors.open("/1");
    assert_eq!(waiting[0].response().status, 200);
    assert_eq!(shop.targets(), ["/0", "/1"]);
}

#[test]
fn who_waits_too_long_is_answered_503_whichever_deadline_comes_first() {
    for (queue, route) in [("timeout = \"50ms\"", ""), ("timeout = \"1h\"", "timeout = { total = \"50ms\" }")] {
        let shop = Shop::new();
        let weir = before(&[&shop], &format!("capacity = 1, {queue}"))
            .route(&format!("host = \"slow.test\"\n[[route]]\nservice = \"s\"\n{route}"))
            .log("access = \"stdout\"")
            .start();
        let _first = send(&weir, get("/0").replace("weir.test", "slow.test"));
        shop.wait_for(&["/0"]);
        let answer = Raw::ask(weir.address(), get("/late"));
        assert_eq!(answer.status, 503, "{queue}: {}", answer.text());
        assert!(answer.text().contains("\"reason\":\"queue_timeout\""), "{}", answer.text());
        let seconds: u32 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!(seconds >= 1);
        wait_for_waiting(&weir, 0);
        assert_metric(&weir, "weir_refusals_total", &[("reason", "queue_timeout")], 1);
        assert_metric(&weir, "weir_ejections_total", &[], 0);
        eventually("its wait is in the log", || {
            let line = weir.output().lines().find(|line| line.contains("/late")).map(str::to_owned);
            line.and_then(|line| serde_json::from_str::<serde_json::Value>(&line).ok())
                .is_some_and(|line| line["queue_ms"].as_f64().is_some_and(|waited| waited >= 50.0))
        });
        assert_eq!(shop.targets(), ["/0"]);
        shop.doors.open("/0");
    }
}

#[test]
fn a_client_that_leaves_is_out_of_the_queue_at_once() {
    let shop = Shop::new();
    let weir = before(&[&shop], PATIENT).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let mut waiting =
        queue_up(&weir, &[get("/leaves").into_bytes(), post("/resets", b"body"), get("/stays").into_bytes()]);
    drop(waiting.remove(0));
    wait_for_waiting(&weir, 2);
    waiting.remove(0).reset();
    wait_for_waiting(&weir, 1);
    weir.wait_for_metric("weir_requests_total", &[("code", "499")], |gone| gone >= 2.0);
    served_in_order(&shop, &["/0", "/stays"]);
    assert_eq!(waiting[0].response().status, 200);
}

#[test]
fn who_waits_goes_elsewhere_when_an_endpoint_dies_and_a_retry_keeps_its_place() {
    let (mut dying, other) = (Shop::new(), Shop::new());
    let weir = before(&[&dying, &other], PATIENT).start();
    let mut clients = vec![send(&weir, get("/a"))];
    dying.wait_for(&["/a"]);
    clients.push(send(&weir, get("/b")));
    other.wait_for(&["/b"]);
    clients.extend(queue_up(&weir, &gets(&["/c", "/d"])));
    dying.endpoint.stop();
    // Those that waited try the dead one, once each, and wait again; so does the one whose answer was lost.
    wait_for_waiting(&weir, 3);
    served_in_order(&other, &["/b", "/a", "/c", "/d"]);
    all_answered(&mut clients);
    assert_eq!(dying.targets(), ["/a"]);
    assert_metric(&weir, "weir_refusals_total", &[], 0);
    assert_metric(&weir, "weir_permits", &[], 0);
}

#[test]
fn who_waits_is_served_by_whoever_is_there_when_endpoints_come_and_go() {
    let shops = [Shop::new(), Shop::new(), Shop::new()];
    let [leaving, draining, new] = shops.each_ref().map(|shop| shop.endpoint.address());
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.toml");
    let write = |endpoints: &str| {
        std::fs::write(list.with_extension("new"), format!("endpoints = [{endpoints}]")).unwrap();
        std::fs::rename(list.with_extension("new"), &list).unwrap();
    };
    write(&format!("\"{leaving}\", \"{draining}\""));
    let toml = Setup::of(&[])
        .service(&format!("queue = {{ {PATIENT} }}\nfile = {{ path = \"{}\" }}", list.display()))
        .toml()
        .replace("endpoints = []\n", "");
    let weir = Weir::start(crate::support::WEIR, &toml);
    let _held = [send(&weir, get("/0")), send(&weir, get("/1"))];
    eventually("both are busy", || shops[0].targets().len() + shops[1].targets().len() == 2);
    let mut waiting = queue_up(&weir, &gets(&["/2", "/3"]));
    write(&format!("{{ address = \"{draining}\", drain = true }}, \"{new}\""));
    shops[2].wait_for(&["/2"]);
    // Neither the one that left nor the one that is drained gets what waits, now that they have room.
    for shop in &shops {
        shop.doors.open_all(&["/0", "/1"]);
    }
    wait_for_exchanges(&weir, 2);
    wait_for_waiting(&weir, 1);
    served_in_order(&shops[2], &["/2", "/3"]);
    all_answered(&mut waiting);
    assert_eq!(shops[0].targets().len() + shops[1].targets().len(), 2);
}

/// A second route, for what may wait.
pub(crate) const BATCH: &str = "priority = 0\n[[route]]\npath = \"/batch\"\nservice = \"s\"\npriority = 1";

#[test]
fn a_route_of_lower_priority_stands_back() {
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, priority_step = \"1h\"")).route(BATCH).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let _waiting = queue_up(&weir, &gets(&["/batch/1", "/1", "/batch/2", "/2"]));
    served_in_order(&shop, &["/0", "/1", "/2", "/batch/1", "/batch/2"]);
}

#[test]
fn a_full_queue_makes_room_for_a_better_priority() {
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, max = 1")).route(BATCH).start();
    let _first = send(&weir, get("/0"));
    shop.wait_for(&["/0"]);
    let mut batch = queue_up(&weir, &gets(&["/batch"]));
    let _better = send(&weir, get("/1"));
    let answer = batch[0].response();
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("queue_displaced") && answer.field("retry-after").is_some(), "{}", answer.text());
    served_in_order(&shop, &["/0", "/1"]);
}

#[test]
fn a_hash_policy_walks_past_full_endpoints_and_comes_back() {
    let shops = [Shop::new(), Shop::new()];
    let weir =
        before(&shops.each_ref(), PATIENT).policy("consistent-hash").service("hash = { key = \"query:k\" }").start();
    let mut first = send(&weir, get("/0?k=x"));
    eventually("one has it", || shops.iter().any(|shop| shop.targets().len() == 1));
    let own = usize::from(shops[1].targets().len() == 1);
    let _second = send(&weir, get("/1?k=x"));
    shops[1 - own].wait_for(&["/1?k=x"]);
    let _third = queue_up(&weir, &gets(&["/2?k=x"]));
    shops[own].doors.open("/0?k=x");
    assert_eq!(first.response().status, 200);
    shops[own].wait_for(&["/0?k=x", "/2?k=x"]);
    shops[own].doors.open("/2?k=x");
    shops[1 - own].doors.open("/1?k=x");
    wait_for_exchanges(&weir, 3);
    let _last = send(&weir, get("/3?k=x"));
    shops[own].wait_for(&["/0?k=x", "/2?k=x", "/3?k=x"]);
    shops[own].doors.open("/3?k=x");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what CI must not do with less")]
fn a_client_with_ten_thousand_waiting_requests_gets_its_share_and_no_more() {
    // Each of them has a connection of its own; weir takes as many files as the system allows, like us.
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let most = usize::try_from(files.saturating_sub(500)).unwrap_or(usize::MAX).min(10_000);
    if most < 10_000 {
        println!("only {most} requests instead of 10,000: the system allows no more than {files} open files");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "a limit of open files that is too low for this test");
    }
    let shop = Shop::new();
    let weir = before(&[&shop], &format!("{PATIENT}, slack = \"0s\", max = 20000"))
        .server("shutdown_delay = \"0s\"\ntrusted_proxies = [\"127.0.0.0/8\"]")
        .listener("max_connections = 20000")
        .start();
    let of = |client: &str, target: &str| {
        get(target).replace("Host:", &format!("X-Forwarded-For: {client}\r\nHost:")).into_bytes()
    };
    let _first = send(&weir, of("10.0.0.1", "/first"));
    shop.wait_for(&["/first"]);
    let greedy: Vec<Raw> = (0..most).map(|_| send(&weir, of("10.0.0.1", "/greedy"))).collect();
    wait_for_waiting(&weir, u32::try_from(most).unwrap());
    let mut modest: Vec<Raw> = (0..5).map(|_| send(&weir, of("10.0.0.2", "/modest"))).collect();
    wait_for_waiting(&weir, u32::try_from(most + 5).unwrap());
    for target in ["/first", "/greedy", "/modest"] {
        shop.doors.open(target);
    }
    all_answered(&mut modest);
    let targets = shop.targets();
    let last = targets.iter().rposition(|target| target == "/modest").unwrap();
    assert!(last <= 12, "its last one came after {last} others: {:?}", &targets[..20]);
    // Those that leave are out of the queue, all of them.
    drop(greedy);
    wait_for_waiting(&weir, 0);
}

#[test]
fn an_endpoint_that_says_it_is_busy_gets_fewer_only_where_that_is_asked_for() {
    for (adaptive, waits) in [(true, 1), (false, 0)] {
        let doors = Doors::default();
        let inside = doors.clone();
        let endpoint = Endpoint::start(move |call: &Call| match call.target() {
            "/busy" => Reply::new(503).header("Retry-After", "60").into(),
            target => Plan::new().wait(&inside.of(target)).reply(Reply::new(200)),
        });
        let queue = format!("queue = {{ capacity = 3, timeout = \"60s\", adaptive = {adaptive} }}");
        let weir = Setup::before(&[&endpoint]).service(&queue).start();
        let mut clients = vec![send(&weir, get("/0")), send(&weir, get("/1"))];
        endpoint.wait_for_requests(2);
        let busy = Raw::ask(weir.address(), get("/busy"));
        assert_eq!((busy.status, busy.field("retry-after")), (503, Some("60")));
        // It had three at once and asked for fewer: two.
        clients.push(send(&weir, get("/2")));
        wait_for_waiting(&weir, waits);
        if waits == 0 {
            endpoint.wait_for_requests(4);
        }
        assert_metric(&weir, "weir_ejections_total", &[], 0);
        doors.open_all(&["/0", "/1", "/2"]);
        all_answered(&mut clients);
    }
}

#[test]
fn a_service_without_a_queue_lets_everybody_through() {
    let shop = Shop::new();
    let weir = Setup::before(&[&shop.endpoint]).start();
    let mut clients: Vec<Raw> = (0..8).map(|_| send(&weir, get("/0"))).collect();
    shop.endpoint.wait_for_requests(8);
    assert!(weir.metrics().matching("weir_queue_waiting", &[]).is_empty());
    shop.doors.open("/0");
    all_answered(&mut clients);
}

#[test]
fn a_kept_connection_waits_again_for_each_of_its_requests() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).service("queue = { capacity = 1 }").start();
    let mut client = Raw::connect(weir.address());
    for _ in 0..20 {
        assert_eq!(ask(&mut client, get("/")).status, 200);
    }
    wait_for_exchanges(&weir, 20);
    assert_metric(&weir, "weir_permits", &[], 0);
}
