//! What counts as an answer, seen by the verdict.

use weir_snapshot::{Millis, ProbeKind};

use crate::support::{Act, Running, Scripted, config, http, probed, service, until};

/// Whether an endpoint that acts so is found well by such probes: ejected in the end, or still healthy after six.
async fn is_well(act: Act, kind: ProbeKind) -> bool {
    let endpoint = Scripted::start(act).await;
    let mut rules = probed(kind);
    if let Some(probe) = &mut rules.probe {
        probe.timeout = Millis::from_secs(1);
    }
    let running = Running::start(&config(vec![], vec![service("s", &[endpoint.address], rules)]));
    let live = running.live(0);
    until("a verdict", || live.is_ejected() || endpoint.heads().len() > 6).await;
    let well = !live.is_ejected();
    running.stop().await;
    well
}

#[tokio::test]
async fn a_status_in_one_of_the_ranges_is_well_and_no_other() {
    let kind = || ProbeKind::Http { path: "/".into(), host: None, statuses: vec![(200, 204), (404, 404)], body: None };
    for (status, well) in [(200, true), (204, true), (404, true), (205, false), (403, false), (500, false)] {
        assert_eq!(is_well(Act::status(status), kind()).await, well, "{status}");
    }
}

#[tokio::test]
async fn the_expected_text_is_looked_for_in_the_body() {
    assert!(is_well(Act::answer(200, "all is well"), http("/", Some("is w"))).await);
    assert!(!is_well(Act::answer(200, "all is lost"), http("/", Some("is w"))).await);
    assert!(!is_well(Act::answer(200, ""), http("/", Some("is w"))).await);
}

#[tokio::test]
async fn the_expected_text_is_found_across_chunks() {
    let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n4\r\n is \r\n4\r\nwell\r\n0\r\n\r\n";
    assert!(is_well(Act::Reply(chunks.into()), http("/", Some("all is well"))).await);
}

#[tokio::test]
async fn the_text_counts_only_in_the_first_64_kib() {
    let filled = |before: usize| Act::answer(200, &format!("{}well{}", ".".repeat(before), ".".repeat(99)));
    assert!(is_well(filled((64 << 10) - 4), http("/", Some("well"))).await);
    assert!(!is_well(filled((64 << 10) - 3), http("/", Some("well"))).await);
}

#[tokio::test]
async fn an_endless_answer_is_well_as_soon_as_the_text_was_seen_and_ill_without() {
    let endless = || Act::Endless("HTTP/1.1 200 OK\r\n\r\nwell".into(), ".".repeat(4096));
    assert!(is_well(endless(), http("/", Some("well"))).await);
    assert!(!is_well(endless(), http("/", Some("healed"))).await);
    assert!(is_well(endless(), http("/", None)).await);
}

#[tokio::test]
async fn whoever_hangs_up_or_answers_nonsense_is_ill_over_http_and_well_over_tcp() {
    for act in [Act::Hangup, Act::Reply("nonsense\r\n\r\n".into())] {
        assert!(!is_well(act.clone(), http("/", None)).await, "{act:?}");
        assert!(is_well(act, ProbeKind::Tcp).await);
    }
}

#[tokio::test]
async fn no_answer_within_the_timeout_is_a_failure() {
    let endpoint = Scripted::start(Act::Silence).await;
    let mut rules = probed(http("/", None));
    if let Some(probe) = &mut rules.probe {
        probe.timeout = Millis::new(20);
    }
    let running = Running::start(&config(vec![], vec![service("s", &[endpoint.address], rules)]));
    until("ejected", || running.live(0).is_ejected()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_probe_says_who_it_is_whom_it_asks_and_that_it_will_not_stay() {
    let endpoint = Scripted::start(Act::status(200)).await;
    let named = ProbeKind::Http {
        path: "/healthz?deep=1".into(),
        host: Some("img.example.org".into()),
        statuses: vec![(200, 200)],
        body: None,
    };
    let services = vec![
        service("named", &[endpoint.address], probed(named)),
        service("unnamed", &[endpoint.address], probed(http("/", None))),
    ];
    let running = Running::start(&config(vec![], services));
    let head = |start: &str| endpoint.heads().into_iter().find(|head| head.starts_with(start));
    until("both were asked", || head("GET /healthz?deep=1 HTTP/1.1\r\n").and(head("GET / HTTP/1.1\r\n")).is_some())
        .await;
    let named = head("GET /healthz").unwrap().to_ascii_lowercase();
    assert!(named.contains("\r\nhost: img.example.org\r\n"), "{named}");
    assert!(named.contains(&format!("\r\nuser-agent: weir-health/{}\r\n", env!("CARGO_PKG_VERSION"))), "{named}");
    assert!(named.contains("\r\nconnection: close\r\n"), "{named}");
    let unnamed = head("GET / ").unwrap().to_ascii_lowercase();
    assert!(unnamed.contains(&format!("\r\nhost: {}\r\n", endpoint.address)), "{unnamed}");
    running.stop().await;
}
