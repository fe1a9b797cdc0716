//! Names, against a real Knot DNS, a real Consul, and a server that misbehaves as it is told.
#![expect(clippy::unwrap_used, reason = "test code: a failed expectation is a failed test")]

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;
use std::time::Duration;

use weir_discovery::dns::{Client, Families, Options, Query, Resolvers, Watch};
use weir_discovery::{Listing, News, Source};
use weir_testkit::{Consul, DnsData, DnsMessage, DnsQuestion, DnsRecord, DnsReply, DnsServer, Knot, PATIENCE, Signal};

/// Short where silence is waited for: a healthy server on loopback answers in less than a millisecond.
const SHORT: Duration = Duration::from_millis(300);

fn client(resolvers: &[SocketAddr]) -> Client {
    Client::new(Options::list(resolvers.to_vec()))
}

fn hasty(resolvers: &[SocketAddr]) -> Client {
    Client::new(Options { timeout: SHORT, attempts: NonZeroU8::MIN, ..Options::list(resolvers.to_vec()) })
}

fn addresses(client: &Client, name: &str) -> Watch {
    Watch::new(client, Query::addresses(name.parse().unwrap()), 1)
}

fn services(client: &Client, name: &str) -> Watch {
    Watch::new(client, Query::services(name.parse().unwrap()), 1)
}

/// Waits for news of which `pick` makes something.
async fn until<T>(watch: &mut Watch, mut pick: impl FnMut(&News) -> Option<T>) -> T {
    let mut seen = Vec::new();
    let wait = async {
        loop {
            let news = watch.next().await;
            if let Some(picked) = pick(&news) {
                return picked;
            }
            seen.push(news);
        }
    };
    let picked = tokio::time::timeout(PATIENCE, wait).await;
    picked.unwrap_or_else(|_| panic!("{} told only {seen:#?}", watch.describe()))
}

/// Address, weight, tier.
fn shown(listing: &Listing) -> Vec<String> {
    let one = |found: &weir_discovery::Found| format!("{} {} {}", found.address, found.weight.get(), found.tier.0);
    listing.endpoints.iter().map(one).collect()
}

async fn until_listed(watch: &mut Watch, wanted: &[&str]) -> Listing {
    until(watch, |news| match news {
        News::Endpoints(listing) if shown(listing) == wanted => Some(listing.clone()),
        _ => None,
    })
    .await
}

/// The label and the text of the next failure.
async fn until_failed(watch: &mut Watch) -> (&'static str, String) {
    until(watch, |news| match news {
        News::Failed(error) => Some((error.reason, error.text.clone())),
        _ => None,
    })
    .await
}

fn a(name: &str, ttl: u32, last: u8) -> DnsRecord {
    DnsRecord(name.to_owned(), ttl, DnsData::Address(IpAddr::from([10, 0, 0, last])))
}

/// Answers questions for A as told, and that there is nothing else.
fn only_a(question: &DnsQuestion, reply: impl FnOnce() -> DnsReply) -> DnsReply {
    if question.kind == "A" { reply() } else { DnsReply::nothing(0, 60) }
}

#[tokio::test]
async fn an_edited_zone_is_followed_while_the_watch_runs() {
    let Some(knot) = Knot::start("shop 1 A 10.0.0.1\nshop 1 AAAA fd00::1") else { return };
    let mut watch = addresses(&client(&[knot.address()]), "shop.weir.test:80");
    until_listed(&mut watch, &["10.0.0.1:80 1 0", "[fd00::1]:80 1 0"]).await;
    knot.edit(&["set shop 1 A 10.0.0.2", "unset shop AAAA"]);
    until_listed(&mut watch, &["10.0.0.1:80 1 0", "10.0.0.2:80 1 0"]).await;
    knot.edit(&["unset shop A 10.0.0.1"]);
    until_listed(&mut watch, &["10.0.0.2:80 1 0"]).await;
    knot.edit(&["unset shop A"]);
    let empty = until_listed(&mut watch, &[]).await;
    assert!(empty.remarks[0].contains("`shop.weir.test` does not exist"), "{empty:?}");
    knot.edit(&["set shop 1 A 10.0.0.3"]);
    until_listed(&mut watch, &["10.0.0.3:80 1 0"]).await;
}

#[tokio::test]
async fn service_records_are_followed_with_their_weights_and_priorities() {
    let zone = "_http._tcp.shop 1 SRV 10 3 8001 a\n_http._tcp.shop 1 SRV 10 1 8002 b\n_http._tcp.shop 1 SRV 20 5 8003 c\n\
                a 1 A 10.0.0.1\nb 1 A 10.0.0.2\nc 1 CNAME d\nd 1 A 10.0.0.3\nd 1 AAAA fd00::3";
    let Some(knot) = Knot::start(zone) else { return };
    let mut watch = services(&client(&[knot.address()]), "_http._tcp.shop.weir.test");
    until_listed(&mut watch, &["10.0.0.1:8001 3 0", "10.0.0.2:8002 1 0", "10.0.0.3:8003 5 1", "[fd00::3]:8003 5 1"])
        .await;
    knot.edit(&[
        "unset _http._tcp.shop SRV 10 1 8002 b",
        "set _http._tcp.shop 1 SRV 5 65535 8002 b",
        "set _http._tcp.shop 1 SRV 5 0 8004 b",
    ]);
    until_listed(
        &mut watch,
        &["10.0.0.2:8002 1000 0", "10.0.0.2:8004 1 0", "10.0.0.1:8001 3 1", "10.0.0.3:8003 5 2", "[fd00::3]:8003 5 2"],
    )
    .await;
}

#[tokio::test]
async fn an_answer_too_large_for_a_datagram_comes_whole_over_tcp() {
    let zone: Vec<_> = (0..200).map(|number| format!("shop 2 A 10.0.1.{number}")).collect();
    let Some(knot) = Knot::start(&zone.join("\n")) else { return };
    let mut watch = addresses(&client(&[knot.address()]), "shop.weir.test:80");
    let News::Endpoints(listing) = watch.next().await else { panic!("no list") };
    assert_eq!(listing.endpoints.len(), 200);
    assert_eq!((listing.remarks, listing.stale), (Vec::new(), None));
}

#[tokio::test]
async fn many_services_whose_addresses_do_not_come_along_are_all_found() {
    let zone: Vec<_> =
        (0..120).map(|number| format!("shop 2 SRV 1 1 80 host{number}\nhost{number} 2 A 10.0.1.{number}")).collect();
    let Some(knot) = Knot::start(&zone.join("\n")) else { return };
    let mut watch = services(&client(&[knot.address()]), "shop.weir.test");
    let News::Endpoints(listing) = watch.next().await else { panic!("no list") };
    assert_eq!((listing.endpoints.len(), listing.remarks, listing.stale), (120, Vec::new(), None));
}

#[tokio::test]
async fn an_alias_is_followed_and_a_name_that_is_not_there_says_what_to_check() {
    let Some(knot) =
        Knot::start("shop 2 CNAME www\nwww 2 CNAME host\nhost 2 A 10.0.0.1\nlost 2 CNAME nowhere\ntext 2 TXT hi")
    else {
        return;
    };
    let client = client(&[knot.address()]);
    until_listed(&mut addresses(&client, "shop.weir.test:80"), &["10.0.0.1:80 1 0"]).await;
    for (name, words) in [
        ("none.weir.test:80", "`none.weir.test` does not exist"),
        ("lost.weir.test:80", "`lost.weir.test` does not exist"),
        ("text.weir.test:80", "`text.weir.test` exists, but it has no A or AAAA record"),
    ] {
        let empty = until_listed(&mut addresses(&client, name), &[]).await;
        assert!(empty.remarks[0].contains(words), "{empty:?}");
    }
    let empty = until_listed(&mut services(&client, "shop.weir.test"), &[]).await;
    assert!(empty.remarks[0].contains("no SRV record"), "{empty:?}");
    // This server answers for its own zone alone, and says so.
    let (label, text) = until_failed(&mut addresses(&client, "shop.example:80")).await;
    assert!(label == "refused" && text.contains("said REFUSED") && text.contains("is it a resolver"), "{text}");
}

#[tokio::test]
async fn a_dead_server_is_a_failure_that_names_it_and_it_is_asked_again_until_it_is_back() {
    // One record for UDP; many, for TCP and a connection that dies with the server.
    for count in [1, 200] {
        let zone: Vec<_> = (0..count).map(|number| format!("shop 1 A 10.0.1.{number}")).collect();
        let Some(mut knot) = Knot::start(&zone.join("\n")) else { return };
        let mut watch = addresses(&hasty(&[knot.address()]), "shop.weir.test:80");
        let whole =
            |news: &News| matches!(news, News::Endpoints(listing) if listing.endpoints.len() == count).then_some(());
        until(&mut watch, whole).await;
        knot.process().kill();
        let (label, text) = until_failed(&mut watch).await;
        let wanted = format!("`{}` was silent for 300 ms", knot.address());
        assert!(label == "silent" && text.contains(&wanted) && text.contains("`shop.weir.test` (A"), "{text}");
        knot.restart();
        until(&mut watch, whole).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_of_a_real_consul_are_found_by_their_address_records_and_by_their_service_records() {
    let Some(program) = Consul::program() else { return };
    let config = r#"{"services": [
        {"name": "optimizer", "id": "a", "address": "10.0.0.1", "port": 3001, "weights": {"passing": 4, "warning": 1}},
        {"name": "optimizer", "id": "b", "address": "10.0.0.2", "port": 3002}]}"#;
    let consul = Consul::start(&program, config);
    let client = client(&[consul.dns()]);
    let mut by_address = addresses(&client, "optimizer.service.consul:80");
    until_listed(&mut by_address, &["10.0.0.1:80 1 0", "10.0.0.2:80 1 0"]).await;
    let mut by_service = services(&client, "optimizer.service.consul");
    until_listed(&mut by_service, &["10.0.0.1:3001 4 0", "10.0.0.2:3002 1 0"]).await;
    let empty = until_listed(&mut services(&client, "unknown.service.consul"), &[]).await;
    assert!(empty.remarks[0].contains("does not exist"), "{empty:?}");
}

#[tokio::test]
async fn the_next_resolver_is_asked_when_one_is_silent_or_refuses_and_is_asked_first_from_then_on() {
    let silent = DnsServer::start(|_, _| DnsReply::Silence);
    let broken = DnsServer::start(|_, _| DnsReply::code(2));
    let unwilling = DnsServer::start(|_, _| DnsReply::code(5));
    let good = DnsServer::start(|question, _| only_a(question, || DnsReply::records([a(&question.name, 1, 1)])));
    let all = [&silent, &broken, &unwilling, &good].map(DnsServer::address);
    let mut watch = addresses(&hasty(&all), "shop.test:80");
    watch_first(&mut watch).await;
    let before = silent.seen().len();
    assert!(before > 0 && !broken.seen().is_empty() && !unwilling.seen().is_empty());
    assert_eq!(watch.next().await, News::Unchanged);
    assert_eq!(silent.seen().len(), before, "a dead resolver costs its time once");

    let (label, text) = until_failed(&mut addresses(&hasty(&all[..3]), "shop.test:80")).await;
    assert_eq!(label, "refused");
    for (resolver, fault) in [(all[0], "was silent for 300 ms"), (all[1], "said SERVFAIL"), (all[2], "said REFUSED")] {
        assert!(text.contains(&format!("`{resolver}` {fault}")), "{text}");
    }
}

async fn watch_first(watch: &mut Watch) {
    until_listed(watch, &["10.0.0.1:80 1 0"]).await;
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_over_tcp_and_what_came_cut_is_not_used() {
    let server = DnsServer::start(|question, _| {
        only_a(question, || {
            let records = vec![a(&question.name, 1, if question.tcp { 1 } else { 9 })];
            let sections = [records, Vec::new(), Vec::new()];
            DnsReply::Message(DnsMessage { truncated: !question.tcp, sections, ..DnsMessage::default() })
        })
    });
    watch_first(&mut addresses(&hasty(&[server.address()]), "shop.test:80")).await;
    assert!(server.seen().iter().any(|question| question.tcp));
}

#[tokio::test]
async fn a_connection_on_which_nobody_answers_is_given_up_for_a_new_one() {
    // Also when a question is allowed as much time as its whole round.
    for deadline in [10 * SHORT, SHORT] {
        let server = DnsServer::start(|question, before| {
            only_a(question, || match (question.tcp, before) {
                (false, _) => DnsReply::Message(DnsMessage { truncated: true, ..DnsMessage::default() }),
                (true, 0) => DnsReply::Hang,
                (true, _) => DnsReply::records([a(&question.name, 1, 1)]),
            })
        });
        let list = Options::list(vec![server.address()]);
        let client = Client::new(Options { timeout: SHORT, deadline, attempts: NonZeroU8::MIN, ..list });
        let mut watch = addresses(&client, "shop.test:80");
        assert_eq!(until_failed(&mut watch).await.0, "silent");
        watch_first(&mut watch).await;
    }
}

#[tokio::test]
async fn a_frozen_server_is_a_failure_and_it_is_followed_again_when_it_goes_on() {
    let Some(mut knot) = Knot::start("shop 1 A 10.0.0.1") else { return };
    let mut watch = addresses(&hasty(&[knot.address()]), "shop.weir.test:80");
    watch_first(&mut watch).await;
    knot.process().signal(Signal::STOP);
    assert_eq!(until_failed(&mut watch).await.0, "silent");
    knot.process().signal(Signal::CONT);
    watch_first(&mut watch).await;
}

#[tokio::test]
async fn a_resolver_that_does_not_know_edns_is_asked_without() {
    let server = DnsServer::start(|question, _| {
        if question.edns {
            return DnsReply::code(1);
        }
        only_a(question, || DnsReply::records([a(&question.name, 1, 1)]))
    });
    watch_first(&mut addresses(&hasty(&[server.address()]), "shop.test:80")).await;
}

#[tokio::test]
async fn an_answer_with_another_id_or_to_another_question_is_not_believed() {
    let forged = DnsServer::start(|question, _| {
        let sections = [vec![a(&question.name, 1, 9)], Vec::new(), Vec::new()];
        DnsReply::Message(DnsMessage { wrong_id: true, sections, ..DnsMessage::default() })
    });
    let (label, _) = until_failed(&mut addresses(&hasty(&[forged.address()]), "shop.test:80")).await;
    assert_eq!(label, "silent");

    // Records of a name that was not asked for, in an answer to the right question.
    let strange = DnsServer::start(|_, _| DnsReply::records([a("bank.test", 1, 9)]));
    let empty = until_listed(&mut addresses(&hasty(&[strange.address()]), "shop.test:80"), &[]).await;
    assert!(empty.remarks[0].contains("`shop.test` exists"), "{empty:?}");
}

#[tokio::test]
async fn a_server_that_only_names_others_is_lame_and_not_an_empty_list() {
    let lame = DnsServer::start(|_, _| {
        let others = vec![DnsRecord("test".to_owned(), 60, DnsData::Ns("ns.test".to_owned()))];
        DnsReply::Message(DnsMessage { sections: [Vec::new(), others, Vec::new()], ..DnsMessage::default() })
    });
    let (label, text) = until_failed(&mut addresses(&hasty(&[lame.address()]), "shop.test:80")).await;
    assert!(label == "lame" && text.contains("only named other servers"), "{text}");
}

#[tokio::test]
async fn a_round_ends_at_its_deadline_however_many_resolvers_are_silent() {
    let silent: Vec<_> = (0..20).map(|_| DnsServer::start(|_, _| DnsReply::Silence)).collect();
    let all = silent.iter().map(DnsServer::address).collect();
    let options = Options { timeout: SHORT, deadline: 2 * SHORT, ..Options::list(all) };
    let (label, _) = until_failed(&mut addresses(&Client::new(options), "shop.test:80")).await;
    assert_eq!(label, "silent");
    let asked = silent.iter().filter(|server| !server.seen().is_empty()).count();
    assert!((1..=3).contains(&asked), "{asked} of 20");
}

#[tokio::test]
async fn two_watches_of_one_client_that_ask_together_ask_once() {
    let server = DnsServer::start(|question, _| DnsReply::records([a(&question.name, 60, 1)]));
    let client = client(&[server.address()]);
    let watch = || {
        let query = Query { families: Families::V4, ..Query::addresses("shop.test:80".parse().unwrap()) };
        Watch::new(&client, query, 1)
    };
    let (mut one, mut two) = (watch(), watch());
    // One thread, so both have asked before the first of them waits.
    let both = async { tokio::join!(one.next(), two.next()) };
    let (first, second) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn the_system_s_files_name_resolvers_search_list_and_hosts_and_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (conf, hosts) = (folder.path().join("resolv.conf"), folder.path().join("hosts"));
    let options = Options {
        resolvers: Resolvers::System { resolv_conf: conf.clone(), hosts: hosts.clone() },
        timeout: SHORT,
        ..Options::system()
    };
    let mut watch = addresses(&Client::new(options.clone()), "shop:80");
    let (label, text) = until_failed(&mut watch).await;
    assert!(label == "no_resolver" && text.contains("resolv.conf") && text.contains("`10.0.0.2:53`"), "{text}");
    std::fs::write(&conf, "options ndots:1\n").unwrap();
    let (_, text) = until_failed(&mut watch).await;
    assert!(text.contains("names none"), "{text}");
    std::fs::write(&hosts, "10.0.0.1 shop\n").unwrap();
    watch_first(&mut watch).await;
    until_listed(&mut addresses(&Client::new(options), "localhost:80"), &["127.0.0.1:80 1 0", "[::1]:80 1 0"]).await;
}

#[tokio::test]
async fn a_search_list_is_appended_to_a_short_name_but_not_to_one_with_a_dot_at_its_end() {
    let server = DnsServer::start(|question, _| match question.name.as_str() {
        "shop.default.svc.cluster.local" => only_a(question, || DnsReply::records([a(&question.name, 1, 1)])),
        _ => DnsReply::nothing(3, 60),
    });
    let search = vec!["default.svc.cluster.local".parse().unwrap()];
    let resolvers = Resolvers::List { addresses: vec![server.address()], search };
    let client = Client::new(Options { resolvers, ..Options::system() });
    watch_first(&mut addresses(&client, "shop:80")).await;
    until_listed(&mut addresses(&client, "shop.:80"), &[]).await;
}

#[tokio::test]
async fn whatever_bytes_a_server_sends_the_watch_says_so_and_lives() {
    // A xorshift, so that a failure can be repeated; cut and flipped answers reach deeper than noise.
    let good = {
        let mut bytes = vec![0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0, 4];
        bytes.extend(b"shop\x04test\0\0\x01\0\x01\xc0\x0c\0\x05\0\x01\0\0\0\x01\0\x02\xc0\x11\xc0\x0c\0\x01\0\x01\0\0\0\x01\0\x04\x0a\0\0\x01");
        bytes
    };
    let server = DnsServer::start(move |_, before| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(u64::try_from(before).unwrap() + 1);
        let mut roll = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(below).unwrap()).unwrap()
        };
        let mut bytes = good.clone();
        for _ in 0..=roll(4) {
            let at = roll(bytes.len());
            bytes[at] = u8::try_from(roll(256)).unwrap();
        }
        bytes.truncate(1 + roll(bytes.len() + 20));
        DnsReply::Bytes(bytes)
    });
    let options = Options {
        timeout: Duration::from_millis(20),
        attempts: NonZeroU8::MIN,
        ..Options::list(vec![server.address()])
    };
    let client = Client::new(options);
    let query = Query { families: Families::V4, ..Query::addresses("shop.test:80".parse().unwrap()) };
    for seed in 0..300 {
        let news = tokio::time::timeout(PATIENCE, Watch::new(&client, query.clone(), seed).next()).await.unwrap();
        let told = match &news {
            News::Failed(error) => error.text.contains(&server.address().to_string()),
            News::Endpoints(_) => true,
            News::Unchanged => false,
        };
        assert!(told, "{news:?}");
    }
    assert!(server.seen().len() >= 300);
}
