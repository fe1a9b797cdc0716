//! The metrics are a contract: these names with these labels, as `docs/reference/metrics.md` lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use weir_testkit::{Endpoint, Plan, Raw, Reply, Weir, eventually};

use crate::support::{Setup, WEIR, ask, get, post, wait_for_exchanges};

#[path = "../../src/admin/observe.rs"]
#[expect(dead_code, reason = "of the binary's own list only the names are looked at")]
mod of_admin;

/// Those that need an accident of the system: no descriptors left, and a log that nobody reads, which `life` has.
const ACCIDENTS: [&str; 2] = ["weir_accept_errors_total", "weir_access_log_dropped_total"];

/// Name, kind, labels, help, by name; two crates count ejections.
fn contract() -> BTreeMap<&'static str, (&'static str, &'static [&'static str], &'static str)> {
    weir_proxy::METRICS
        .into_iter()
        .chain(weir_discovery::observe::METRICS)
        .chain(of_admin::METRICS)
        .map(|(name, kind, labels, help)| (name, (kind, labels, help)))
        .collect()
}

/// What weir exposes after a bit of everything.
fn exposition() -> String {
    let dying = Endpoint::scripted([Plan::new().read_body().reset()]);
    let cutting = Endpoint::scripted([Plan::new().part_of(&Reply::new(200).pattern(1, 1000), 500).reset()]);
    let good = Endpoint::replying(Reply::new(200));
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.toml");
    std::fs::write(&none, "endpoints = []").unwrap();
    let files = format!("file = [{{ path = \"{}\" }}, {{ path = \"/nowhere/list.toml\" }}]", none.display());
    let weir = Setup::before(&[&dying, &cutting, &good])
        .service(&files)
        .service("work = \"content-length\"\nqueue = { capacity = 100 }\nslow_start = \"1h\"")
        .route("host = \"weir.test\"\nretry = { budget = \"0%\", budget_floor = 1 }")
        .service("health = { kind = \"http\", path = \"/\", interval = \"20ms\", failures = 2 }")
        .start();
    weir.wait_for_metric("weir_ejections_total", &[("cause", "probe")], |ejections| ejections >= 1.0);
    let mut client = Raw::connect(weir.address());
    ask(&mut client, "GET / HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n");
    ask(&mut client, post("/", b"body"));
    good.follow(|_| Plan::new().read_body().reset());
    // The floor is ten retries in ten seconds, so soon there is one too many.
    while weir.metric("weir_retry_budget_empty_total", &[]) < 1.0 {
        Raw::ask(weir.address(), get("/"));
    }
    let cut = || weir.metric("weir_answers_cut_total", &[]) >= 1.0;
    eventually("an answer is cut", || {
        drop(Raw::connect(weir.address()).write(get("/")).try_response("GET"));
        cut()
    });
    Raw::get(weir.admin(), "/metrics").text()
}

#[test]
fn every_metric_is_exposed_with_its_labels_and_no_other_is() {
    let contract = contract();
    let text = exposition();
    let mut seen = BTreeMap::<&str, BTreeSet<&str>>::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let plain = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let name = plain.filter(|name| contract.contains_key(name)).unwrap_or(name);
        let labels = labels.trim_end_matches('}').split("\",").filter_map(|pair| Some(pair.split_once('=')?.0));
        let labels: BTreeSet<&str> = labels.filter(|label| *label != "le").collect();
        let expected = contract.get(name).unwrap_or_else(|| panic!("`{name}` is not in the contract: {line}")).1;
        assert_eq!(labels, expected.iter().copied().collect(), "{line}");
        seen.insert(name, labels);
    }
    let missing: Vec<_> =
        contract.keys().filter(|name| !seen.contains_key(*name) && !ACCIDENTS.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} in\n{text}");
    for (name, (kind, _, help)) in contract.iter().filter(|(name, _)| !ACCIDENTS.contains(name)) {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is a {kind}");
        assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name} says what it is");
    }
}

#[test]
fn durations_are_a_histogram_with_fixed_buckets_from_a_millisecond_to_a_minute() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = Setup::before(&[&endpoint]).start();
    for _ in 0..5 {
        assert_eq!(Raw::get(weir.address(), "/").status, 200);
    }
    wait_for_exchanges(&weir, 5);
    let metrics = weir.metrics();
    let buckets = metrics.matching("weir_request_seconds_bucket", &[("route", "/"), ("service", "s")]);
    let bounds: Vec<&str> = buckets.iter().map(|(labels, _)| labels["le"].as_str()).collect();
    let expected = weir_proxy::SECONDS.map(|bound| bound.to_string());
    assert_eq!(bounds, expected.iter().map(String::as_str).chain(["+Inf"]).collect::<Vec<_>>());
    assert_eq!((bounds[0], bounds[14]), ("0.001", "60"));
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "each bucket counts those before it: {buckets:?}");
    assert!((buckets[15].1 - 5.0).abs() < f64::EPSILON);
    assert!((metrics.sum("weir_request_seconds_count", &[]) - 5.0).abs() < f64::EPSILON);
}

#[test]
fn a_client_cannot_make_a_series() {
    let endpoint = Endpoint::start(|call| Reply::new(call.target().trim_matches('/').parse().unwrap()).into());
    let weir = Setup::before(&[&endpoint]).start();
    let series = || {
        let metrics = weir.metrics();
        metrics.names().map(|name| metrics.matching(name, &[]).len()).sum::<usize>()
    };
    let mut client = Raw::connect(weir.address());
    for status in [200, 300, 400, 500] {
        ask(&mut client, get(&format!("/{status}")));
    }
    wait_for_exchanges(&weir, 4);
    let before = series();
    for status in 201..204 {
        ask(&mut client, format!("GET /{status} HTTP/1.1\r\nHost: h{status}.test\r\nX-{status}: x\r\n\r\n"));
    }
    wait_for_exchanges(&weir, 7);
    assert_eq!(series(), before);
}

/// The names of the gauges in this text, each with the labels of its series.
fn gauges(text: &str) -> Vec<(&str, &str)> {
    let kinds = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" gauge"));
    let gauges: BTreeSet<&str> = kinds.collect();
    let series = text.lines().filter_map(|line| line.split_once('{'));
    series.filter(|(name, _)| gauges.contains(name)).collect()
}

#[test]
fn what_a_reload_takes_away_leaves_no_gauge_behind() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let address = endpoint.address();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.toml");
    std::fs::write(&list, format!("endpoints = [\"{address}\"]")).unwrap();
    let file = format!("file = {{ path = \"{}\" }}\n", list.display());
    let more = format!("{file}work = \"content-length\"\nqueue = {{ capacity = 100 }}\nslow_start = \"1h\"\n");
    let toml = |s: &str, t: &str| format!("{}{s}{t}", Setup::of(&[address]).toml());
    let t = format!("[[route]]\npath = \"/t/\"\nservice = \"t\"\n[[service]]\nname = \"t\"\npolicy = \"p2c\"\n{more}");
    let weir = Weir::start(WEIR, &toml(&more, &t));
    let mut client = Raw::connect(weir.address());
    for target in ["/", "/t/"] {
        assert_eq!(ask(&mut client, post(target, b"body")).status, 200);
    }
    wait_for_exchanges(&weir, 2);
    let text = || Raw::get(weir.admin(), "/metrics").text();
    let before = text();
    let all = [
        "weir_endpoint_up",
        "weir_in_flight",
        "weir_permits",
        "weir_slow_start_percent",
        "weir_queue_waiting",
        "weir_work_milliseconds",
        "weir_discovery_up",
        "weir_discovery_endpoints",
        "weir_discovery_age_seconds",
        "weir_discovery_stale_seconds",
        "weir_discovery_known_leader",
    ];
    for (name, service) in all.iter().flat_map(|name| [(name, "s"), (name, "t")]) {
        let of = format!("service=\"{service}\"");
        assert!(
            gauges(&before).iter().any(|(gauge, labels)| gauge == name && labels.contains(&of)),
            "{name} {service}"
        );
    }
    weir.rewrite(&toml("", ""));
    weir.wait_for_metric("weir_reloads_total", &[("result", "applied")], |reloads| reloads >= 1.0);
    let after = text();
    let mut left: Vec<_> =
        gauges(&after).into_iter().filter(|(_, labels)| labels.contains("service=")).map(|(name, _)| name).collect();
    left.dedup();
    assert_eq!(left, ["weir_endpoint_up", "weir_in_flight"], "{after}");
    // The endpoint is there still, but not in the service that is not.
    let of_endpoint = |line: &&str| line.contains("service=\"t\"") && line.contains("endpoint=");
    assert_eq!(after.lines().filter(of_endpoint).collect::<Vec<_>>(), Vec::<&str>::new());
    // What was counted was counted.
    assert!(after.contains("weir_requests_total{route=\"/t/\",service=\"t\",code=\"2xx\"} 1\n"), "{after}");
    weir.rewrite(&toml(&more, &t));
    eventually("they are back", || gauges(&text()).len() == gauges(&before).len());
}

/// The page as it should be.
fn page() -> String {
    let mut page = "# Metrics\n\nThis page is made from the lists in the three `observe.rs` of `proxy/src`, `discovery/src` and `src/admin`; \
        change those, then run\n`UPDATE=1 cargo nextest run -p weir metrics`. Names and labels are a contract.\n\n\
        `GET /metrics` on the admin listener, in the text format of Prometheus. Labels come from the configuration and from\n\
        fixed lists, never from requests. What is not there is not shown: an endpoint, source or service that has left, or a queue\n\
        that a reload has taken away, has no gauge any more, and an endpoint no counter. Counters and histograms of routes,\n\
        services and sources stay until weir ends, for what was counted was counted.\n\n\
        | metric | kind | labels | meaning |\n|---|---|---|---|\n"
        .to_owned();
    for (name, (kind, labels, help)) in contract() {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        writeln!(page, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    let bounds = weir_proxy::SECONDS.map(|bound| bound.to_string()).join(", ");
    let ratios = weir_proxy::RATIOS.map(|bound| bound.to_string()).join(", ");
    write!(
        page,
        "\n## Histograms\n\nBuckets in seconds: {bounds}, +Inf; of `weir_work_error_ratio`: {ratios}, +Inf.\n\n## Labels\n\n\
         | label | values |\n|---|---|\n\
         | `route` | host and path prefix, as configured |\n\
         | `service` | its name |\n\
         | `endpoint` | its address |\n\
         | `listener` | the address it got |\n\
         | `code` | `2xx` and so on; `499`: the client left first; `none`: there was no answer |\n\
         | `outcome` | `answered`, `busy`, `stopped` (by the client, or the whole deadline passed while it was waited for), else as `reason` of a retry |\n\
         | `reason` of a retry | `connect`, `connect_timeout`, `broken`, `timeout`, `bad_answer`, `status`, `busy` |\n\
         | `reason` of a refusal | see `docs/runbook/refusals.md` |\n\
         | `reason` of a refused admin call | see `docs/reference/admin.md` |\n\
         | `reason` of an accept error | `exhausted` (descriptors or memory), `connection` |\n\
         | `reason` of a source's failure | of Consul `denied`, `unreachable`, `tls`, `failing`, …; of a file `unreadable`, `wrong`, `too_large`; of DNS see `docs/guide/dns.md` |\n\
         | `source` | what it is, as configured: `consul optimizer`, `dns optimizer.example:3001`, `file /etc/weir/a.toml` |\n\
         | `cause` | `exchange`, `probe`, `operator` |\n\
         | `of` | `picture`: a body whose dimensions are known; `body`: any other |\n\
         | `per` | `exchange`, `megapixel`, `mebibyte` |\n\
         | `kind` | `new`, `reused`, `stale` |\n\
         | `mode` | `held`, `streamed` |\n\
         | `result` of a reload | `applied`, `unchanged`, `rejected` |\n\
         | `result` of a probe | `ok`, `connect`, `timeout`, `broken`, `status`, `body`, `unasked` (weir could not even ask) |\n"
    )
    .unwrap();
    page
}

#[test]
fn the_metrics_page_says_what_the_lists_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/metrics.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, page(), "UPDATE=1 cargo nextest run -p weir metrics");
}
