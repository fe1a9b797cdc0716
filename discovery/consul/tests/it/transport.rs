//! What happens on the wire, against scripted agents.

use std::time::Duration;

use weir_consul::{Client, Event, Options, Secret, Watch};

use super::scripted::{Agent, Reply, list, status};
use super::support::{client, options, query, until, until_ids};

const ONE: &str = r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "a", "Port": 1}}]"#;

/// The first thing that a watch on such an agent tells, as a label and in full.
async fn first(reply: Reply) -> (&'static str, String) {
    // The same again for the `?stale` query of those failures that have one.
    let agent = Agent::start([vec![reply.clone()], vec![reply]]).await;
    let mut query = query();
    query.slack = Duration::from_millis(200);
    query.most_bytes = 1000;
    match Watch::new(&client(agent.address), query, 1).next().await {
        Event::Failed(error) => (error.label(), error.explain()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_ends_too_soon_is_a_cut_connection() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nX-Cons", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[{"] {
        assert_eq!(first(Reply::Last(bytes.to_owned())).await.0, "cut", "{bytes:?}");
    }
}

#[tokio::test]
async fn an_agent_that_stops_in_the_middle_of_the_body_is_too_slow() {
    for bytes in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n[{"] {
        assert_eq!(first(Reply::Stuck(bytes.to_owned())).await.0, "too_slow", "{bytes:?}");
    }
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_held() {
    let (label, story) = first(list(1, &" ".repeat(1001))).await;
    assert_eq!(label, "too_large");
    assert!(story.contains("1000 bytes"), "{story}");
}

#[tokio::test]
async fn what_is_not_consul_is_named_with_the_address_to_write() {
    for reply in [
        Reply::Last("SSH-2.0-OpenSSH_9.2p1 Debian\r\n".to_owned()),
        list(1, "<!DOCTYPE html>"),
        status("404 Not Found", "nothing here"),
        status("301 Moved Permanently", ""),
        status("400 Bad Request", "Client sent an HTTP request to an HTTPS server.\n"),
    ] {
        let (label, story) = first(reply.clone()).await;
        assert_eq!(label, "not_consul", "{reply:?}");
        assert!(story.contains("http://127.0.0.1:") && story.contains("`http://HOST:8500`"), "{story}");
    }
}

#[tokio::test]
async fn a_host_without_an_address_and_a_port_without_a_listener_are_told_apart() {
    // Too long for any resolver to ask about.
    let long = "a".repeat(64);
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (address, label, words) in [
        (format!("http://{long}.example:8500"), "unresolved", "write the IP address"),
        (format!("http://{nobody}"), "unreachable", "is the agent running there"),
    ] {
        let client = Client::new(Options::new(address.parse().unwrap())).unwrap();
        let Event::Failed(error) = Watch::new(&client, query(), 1).next().await else { panic!("{address}") };
        assert_eq!(error.label(), label);
        assert!(error.explain().contains(words), "{}", error.explain());
    }
}

#[tokio::test]
async fn queries_follow_each_other_on_one_connection() {
    let agent = Agent::start([vec![list(5, ONE), list(6, "[]"), list(7, ONE)]]).await;
    let mut watch = Watch::new(&client(agent.address), query(), 1);
    for ids in [&["a"][..], &[], &["a"]] {
        until_ids(&mut watch, ids).await;
    }
    let targets = agent.targets();
    assert!(targets.iter().all(|(connection, _)| *connection == 0), "{targets:?}");
    assert!(targets[2].1.contains("&index=6&wait=800ms"), "{targets:?}");
}

#[tokio::test]
async fn an_index_never_reaches_another_connection() {
    let closing =
        "HTTP/1.1 200 OK\r\nX-Consul-Index: 30\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]".to_owned();
    let agent = Agent::start([
        // Cut in the wait: the second query has an index, and must not be sent again with it.
        vec![list(29, ONE), Reply::Last(String::new())],
        // Ended in order between two queries.
        vec![Reply::Last(closing)],
        vec![list(31, ONE)],
    ])
    .await;
    let mut watch = Watch::new(&client(agent.address), query(), 1);
    until_ids(&mut watch, &["a"]).await;
    until_ids(&mut watch, &[]).await;
    until_ids(&mut watch, &["a"]).await;
    let indexed: Vec<_> =
        agent.targets().into_iter().map(|(number, target)| (number, target.contains("index"))).collect();
    assert_eq!(indexed, [(0, false), (0, true), (1, false), (2, false)]);
}

#[tokio::test]
async fn a_kept_connection_that_turns_out_dead_is_no_failure_where_asking_again_is_harmless() {
    // After the error the index is gone, so the next query may be sent twice.
    let agent =
        Agent::start([vec![status("403 Forbidden", "no"), Reply::Last(String::new())], vec![list(5, ONE)]]).await;
    let mut watch = Watch::new(&client(agent.address), query(), 1);
    assert!(matches!(watch.next().await, Event::Failed(_)));
    assert!(matches!(watch.next().await, Event::Update(_)));
}

#[tokio::test]
async fn the_token_travels_in_its_header_and_a_prefix_in_the_path_and_neither_prints_it() {
    let agent = Agent::start([vec![list(5, ONE)]]).await;
    let mut options = options(agent.address, Some("5e4d9f"));
    options.address = format!("http://{}/gate/", agent.address).parse().unwrap();
    let client = Client::new(options).unwrap();
    let mut watch = Watch::new(&client, query(), 1);
    until(&mut watch, |event| matches!(event, Event::Update(_)).then_some(())).await;
    let head = agent.first_request();
    assert!(head.starts_with("GET /gate/v1/health/service/shop?passing HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-consul-token: 5e4d9f\r\n"), "{head}");
    assert!(!head.contains("5e4d9f HTTP"), "not in the target");
    let shown = format!("{client:?} {watch:?} {:?}", Secret::new("5e4d9f"));
    assert!(!shown.contains("5e4d9f"), "{shown}");
}

#[tokio::test]
async fn what_the_agent_says_about_the_token_is_told_with_what_to_give() {
    let (label, story) = first(status("403 Forbidden", "Permission denied\n")).await;
    assert_eq!(label, "denied");
    assert!(story.contains("`Permission denied`") && story.contains("CONSUL_HTTP_TOKEN"), "{story}");
}
