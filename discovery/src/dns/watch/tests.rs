//! Courses that follow a script, on paused time.
#![expect(clippy::unnecessary_wraps, reason = "a script is a list of answers and failures")]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hickory_resolver::proto::rr::Name as WireName;

use super::super::answer::{Answer, Kind, Nothing, Question, Service, What};
use super::super::error::{DnsError, Fault};
use super::*;

type Outcome = Result<Answer, DnsError>;
/// A question and what it is answered.
type Lines<T> = (&'static str, Kind, T);

/// What each question is answered, in order; the last answer stays.
struct Script {
    lines: Mutex<Vec<Lines<VecDeque<Outcome>>>>,
    search: Vec<&'static str>,
    asked: AtomicU64,
}

impl Script {
    fn new<const N: usize>(lines: [Lines<Vec<Outcome>>; N]) -> Self {
        let lines = lines.into_iter().map(|(name, kind, answers)| (name, kind, answers.into())).collect();
        Self { lines: Mutex::new(lines), search: Vec::new(), asked: AtomicU64::new(0) }
    }
}

impl Line for Script {
    async fn candidates(&self, name: &DomainName) -> Result<Vec<WireName>, DnsError> {
        let mut all: Vec<_> = self.search.iter().map(|domain| wire(&format!("{name}.{domain}."))).collect();
        all.push(name.wire().clone());
        Ok(all)
    }

    async fn ask(&self, question: &Question, until: Instant) -> Result<Answer, DnsError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(now() < until, "asked past the deadline");
        let mut lines = self.lines.lock().unwrap();
        let found = lines.iter_mut().find(|(name, kind, _)| wire(name) == question.name && *kind == question.kind);
        let Some((_, _, answers)) = found else { return Ok(Answer::nothing(Nothing::NoRecord, Some(60))) };
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers.front().unwrap().clone() }
    }

    fn deadline(&self) -> Duration {
        Duration::from_secs(10)
    }
}

fn wire(text: &str) -> WireName {
    WireName::from_ascii(text).unwrap()
}

fn v4(ttl: u32, last: &[u8]) -> Outcome {
    let addresses = last.iter().map(|last| [10, 0, 0, *last].into()).collect();
    Ok(Answer { what: What::Addresses(addresses), ttl: Some(ttl), beside: Vec::new() })
}

fn v6(ttl: u32, last: u16) -> Result<Answer, DnsError> {
    let address = [0xfd00, 0, 0, 0, 0, 0, 0, last].into();
    Ok(Answer { what: What::Addresses(vec![address]), ttl: Some(ttl), beside: Vec::new() })
}

fn services(ttl: u32, all: &[(u16, u16, u16, &str)]) -> Result<Answer, DnsError> {
    let service = |&(priority, weight, port, target): &(u16, u16, u16, &str)| Service {
        priority,
        weight,
        port,
        target: wire(target),
    };
    Ok(Answer { what: What::Services(all.iter().map(service).collect()), ttl: Some(ttl), beside: Vec::new() })
}

fn nothing(why: Nothing) -> Result<Answer, DnsError> {
    Ok(Answer::nothing(why, Some(3600)))
}

fn silent() -> Result<Answer, DnsError> {
    let tries = vec![("10.0.0.53:53".parse().unwrap(), Fault::Silent(Duration::from_secs(2)))];
    Err(DnsError::NoAnswer { question: "`shop.` (A)".to_owned(), tries })
}

fn addresses(line: Script) -> Course<Script> {
    Course::new(line, Query::addresses("shop:80".parse().unwrap()), 1)
}

fn by_services(line: Script) -> Course<Script> {
    Course::new(line, Query::services("_http._tcp.shop".parse().unwrap()), 1)
}

/// The next news, and after how many milliseconds it came.
async fn told<L: Line>(course: &mut Course<L>) -> (News, u128) {
    let start = now();
    let news = course.next().await;
    (news, (now() - start).as_millis())
}

async fn listing<L: Line>(course: &mut Course<L>) -> (Listing, u128) {
    let (News::Endpoints(listing), after) = told(course).await else { panic!("no list") };
    (listing, after)
}

fn shown(listing: &Listing) -> Vec<String> {
    let one = |found: &Found| format!("{} {} {}", found.address, found.weight.get(), found.tier.0);
    listing.endpoints.iter().map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_when_the_time_to_live_is_over_and_not_later() {
    let line = Script::new([("shop.", Kind::A, vec![v4(30, &[1]), v4(30, &[1]), v4(30, &[1, 2])])]);
    let mut course = addresses(line);
    let (first, after) = listing(&mut course).await;
    assert_eq!((shown(&first), after), (vec!["10.0.0.1:80 1 0".to_owned()], 0));
    let (same, after) = told(&mut course).await;
    assert!(matches!(same, News::Unchanged) && (24_000..=30_000).contains(&after), "{same:?} {after}");
    let (second, after) = listing(&mut course).await;
    assert_eq!(shown(&second), ["10.0.0.1:80 1 0", "10.0.0.2:80 1 0"]);
    assert!((24_000..=30_000).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_time_to_live_of_zero_is_asked_for_once_a_second_and_one_of_a_day_once_a_minute() {
    for (ttl, range) in [(0, 1000..=1001), (86_400, 48_000..=60_000)] {
        let mut course = addresses(Script::new([("shop.", Kind::A, vec![v4(ttl, &[1])])]));
        listing(&mut course).await;
        for _ in 0..5 {
            let (_, after) = told(&mut course).await;
            assert!(range.contains(&after), "{ttl}: {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_of_both_families_are_one_list_and_the_shorter_time_to_live_counts() {
    let line = Script::new([("shop.", Kind::A, vec![v4(50, &[1])]), ("shop.", Kind::Aaaa, vec![v6(5, 1)])]);
    let mut course = addresses(line);
    assert_eq!(shown(&listing(&mut course).await.0), ["10.0.0.1:80 1 0", "[fd00::1]:80 1 0"]);
    assert!(told(&mut course).await.1 <= 5000);

    let line = Script::new([("shop.", Kind::A, vec![v4(50, &[1])]), ("shop.", Kind::Aaaa, vec![v6(5, 1)])]);
    let query = Query { families: Families::V6, ..Query::addresses("shop:80".parse().unwrap()) };
    let mut course = Course::new(line, query, 1);
    assert_eq!(shown(&listing(&mut course).await.0), ["[fd00::1]:80 1 0"]);
    assert_eq!(course.line.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn every_address_has_the_weight_and_the_state_that_are_configured() {
    let line = Script::new([("shop.", Kind::A, vec![v4(60, &[1, 2])])]);
    let weight = Weight::new(7).unwrap();
    let records = Records::Addresses { name: "shop:80".parse().unwrap(), weight, drained: true, capacity: None };
    let query = Query { records, ..Query::addresses("shop:80".parse().unwrap()) };
    let (both, _) = listing(&mut Course::new(line, query, 1)).await;
    assert_eq!(shown(&both), ["10.0.0.1:80 7 0", "10.0.0.2:80 7 0"]);
    assert!(both.endpoints.iter().all(|found| found.drained));
}

#[tokio::test(start_paused = true)]
async fn a_name_without_addresses_is_an_empty_list_that_says_why_and_is_looked_at_again_soon() {
    for (why, words) in [(Nothing::NoName, "`shop` does not exist"), (Nothing::NoRecord, "no A or AAAA record")] {
        let line = Script::new([
            ("shop.", Kind::A, vec![nothing(why), v4(60, &[1])]),
            ("shop.", Kind::Aaaa, vec![nothing(why)]),
        ]);
        let mut course = addresses(line);
        let (empty, _) = listing(&mut course).await;
        assert!(empty.endpoints.is_empty() && empty.remarks[0].contains(words), "{empty:?}");
        let (found, after) = listing(&mut course).await;
        assert!(found.remarks.is_empty() && found.endpoints.len() == 1, "{found:?}");
        assert!(after <= 10_000, "{after}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_each_time_after_growing_pauses_and_the_list_once_more_when_it_is_over() {
    let failing = vec![v4(1, &[1]), silent(), silent(), silent(), silent(), silent(), silent(), v4(1, &[1])];
    let line = Script::new([("shop.", Kind::A, failing.clone()), ("shop.", Kind::Aaaa, vec![silent()])]);
    let mut course = addresses(line);
    course.query.families = Families::V4;
    listing(&mut course).await;
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let (news, after) = told(&mut course).await;
        let News::Failed(error) = news else { panic!("{news:?}") };
        assert_eq!(error.reason, "silent");
        assert!(error.text.contains("`10.0.0.53:53` was silent for 2 s"), "{}", error.text);
        pauses.push(after);
    }
    assert!(pauses[1] <= 500 && pauses[5] > 3000, "{pauses:?}");
    assert_eq!(shown(&listing(&mut course).await.0), ["10.0.0.1:80 1 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_family_that_fails_is_stood_in_for_by_what_was_last_known_of_it_and_that_is_told() {
    let line = Script::new([
        ("shop.", Kind::A, vec![v4(1, &[1]), v4(1, &[2]), v4(1, &[2])]),
        ("shop.", Kind::Aaaa, vec![v6(1, 1), silent(), nothing(Nothing::NoRecord)]),
    ]);
    let mut course = addresses(line);
    assert!(listing(&mut course).await.0.stale.is_none());
    let (partial, _) = listing(&mut course).await;
    assert_eq!(shown(&partial), ["10.0.0.2:80 1 0", "[fd00::1]:80 1 0"]);
    let stale = partial.stale.unwrap();
    assert!(stale.because.contains("was silent") && stale.last_contact > Duration::ZERO, "{stale:?}");
    let (whole, _) = listing(&mut course).await;
    assert_eq!((shown(&whole), whole.stale), (vec!["10.0.0.2:80 1 0".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn no_addresses_of_one_family_and_no_answer_about_the_other_is_a_failure_and_not_an_empty_list() {
    let line =
        Script::new([("shop.", Kind::A, vec![nothing(Nothing::NoRecord)]), ("shop.", Kind::Aaaa, vec![silent()])]);
    assert!(matches!(addresses(line).next().await, News::Failed(_)));

    let line = Script::new([
        ("shop.", Kind::A, vec![v4(1, &[1]), nothing(Nothing::NoRecord)]),
        ("shop.", Kind::Aaaa, vec![nothing(Nothing::NoRecord), silent()]),
    ]);
    let mut course = addresses(line);
    listing(&mut course).await;
    assert!(matches!(course.next().await, News::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn aliases_are_followed_from_answer_to_answer_and_end_somewhere() {
    let alias = |target, ttl| Ok(Answer { what: What::Alias(wire(target)), ttl: Some(ttl), beside: Vec::new() });
    let line = Script::new([
        ("shop.", Kind::A, vec![alias("b.", 9)]),
        ("b.", Kind::A, vec![alias("c.", 4)]),
        ("c.", Kind::A, vec![v4(60, &[1])]),
    ]);
    let mut course = addresses(line);
    assert_eq!(shown(&listing(&mut course).await.0), ["10.0.0.1:80 1 0"]);
    assert!(told(&mut course).await.1 <= 4000);

    let line = Script::new([("shop.", Kind::A, vec![alias("b.", 9)]), ("b.", Kind::A, vec![alias("shop.", 4)])]);
    let mut course = addresses(line);
    course.query.families = Families::V4;
    let News::Failed(error) = course.next().await else { panic!("no failure") };
    assert_eq!(error.reason, "alias_loop");
    assert_eq!(course.line.asked.load(Ordering::Relaxed), 17);
}

#[tokio::test(start_paused = true)]
async fn a_search_list_is_tried_in_order_until_one_name_has_addresses() {
    let mut line = Script::new([("shop.two.", Kind::A, vec![v4(60, &[2])]), ("shop.", Kind::A, vec![v4(60, &[3])])]);
    line.search = vec!["one", "two"];
    assert_eq!(shown(&listing(&mut addresses(line)).await.0), ["10.0.0.2:80 1 0"]);
}

#[tokio::test(start_paused = true)]
async fn services_have_ports_weights_and_tiers_of_their_own() {
    let line = Script::new([
        (
            "_http._tcp.shop.",
            Kind::Srv,
            vec![services(60, &[(1, 3, 8001, "a."), (1, 1, 8002, "b."), (7, 9, 8003, "c.")])],
        ),
        ("a.", Kind::A, vec![v4(20, &[1])]),
        ("b.", Kind::A, vec![v4(60, &[2])]),
        ("c.", Kind::A, vec![v4(60, &[3])]),
    ]);
    let mut course = by_services(line);
    let (all, _) = listing(&mut course).await;
    assert_eq!(shown(&all), ["10.0.0.1:8001 3 0", "10.0.0.2:8002 1 0", "10.0.0.3:8003 9 1"]);
    assert!(told(&mut course).await.1 <= 20_000, "the target's time to live is shorter");
}

#[tokio::test(start_paused = true)]
async fn addresses_that_come_along_are_not_asked_for() {
    let mut brought = services(60, &[(1, 1, 80, "a."), (1, 1, 80, "b.")]).unwrap();
    brought.beside = vec![(wire("a."), [10, 0, 0, 1].into(), 60), (wire("b."), [10, 0, 0, 2].into(), 60)];
    let line = Script::new([("_http._tcp.shop.", Kind::Srv, vec![Ok(brought)])]);
    let mut course = by_services(line);
    course.query.families = Families::V4;
    assert_eq!(shown(&listing(&mut course).await.0), ["10.0.0.1:80 1 0", "10.0.0.2:80 1 0"]);
    assert_eq!(course.line.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_fails_keeps_its_last_address_and_one_never_known_is_left_out() {
    let both = services(1, &[(1, 1, 80, "a."), (1, 1, 80, "b."), (1, 1, 80, "c.")]);
    let line = Script::new([
        ("_http._tcp.shop.", Kind::Srv, vec![both]),
        ("a.", Kind::A, vec![v4(1, &[1])]),
        ("b.", Kind::A, vec![v4(1, &[2]), silent()]),
        ("c.", Kind::A, vec![silent()]),
    ]);
    let mut course = by_services(line);
    course.query.families = Families::V4;
    for _ in 0..3 {
        let (some, _) = listing(&mut course).await;
        assert_eq!(shown(&some), ["10.0.0.1:80 1 0", "10.0.0.2:80 1 0"]);
        assert!(some.remarks[0].contains("the target `c` is left out"), "{:?}", some.remarks);
    }
}

#[tokio::test(start_paused = true)]
async fn services_whose_targets_all_fail_are_a_failure() {
    let line = Script::new([
        ("_http._tcp.shop.", Kind::Srv, vec![services(1, &[(1, 1, 80, "a.")])]),
        ("a.", Kind::A, vec![silent()]),
    ]);
    let mut course = by_services(line);
    course.query.families = Families::V4;
    assert!(matches!(course.next().await, News::Failed(_)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_connected_to_is_left_out_and_said() {
    let line = Script::new([
        ("_http._tcp.shop.", Kind::Srv, vec![services(1, &[(1, 1, 0, "a."), (1, 1, 80, "b."), (1, 1, 80, "c.")])]),
        ("a.", Kind::A, vec![v4(1, &[1])]),
        (
            "b.",
            Kind::A,
            vec![Ok(Answer {
                what: What::Addresses(vec![[0, 0, 0, 0].into(), [224, 0, 0, 1].into(), [10, 0, 0, 2].into()]),
                ttl: Some(1),
                beside: Vec::new(),
            })],
        ),
    ]);
    let (some, _) = listing(&mut by_services(line)).await;
    assert_eq!(shown(&some), ["10.0.0.2:80 1 0"]);
    let said = some.remarks.join("\n");
    for words in ["its port is 0", "`0.0.0.0` of `b`", "`224.0.0.1` of `b`", "`c` has no address"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_declared_as_not_available_is_an_empty_list() {
    let line = Script::new([("_http._tcp.shop.", Kind::Srv, vec![services(60, &[(0, 0, 0, ".")])])]);
    let (none, _) = listing(&mut by_services(line)).await;
    assert!(none.endpoints.is_empty());
    assert!(none.remarks.iter().any(|remark| remark.contains("declared as not available")), "{:?}", none.remarks);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_is_dropped_half_way_is_begun_anew() {
    let line = Script::new([("shop.", Kind::A, vec![v4(30, &[1]), v4(30, &[2])])]);
    let mut course = addresses(line);
    listing(&mut course).await;
    let start = now();
    assert!(tokio::time::timeout(Duration::from_secs(10), course.next()).await.is_err());
    assert_eq!(shown(&listing(&mut course).await.0), ["10.0.0.2:80 1 0"]);
    assert!(now() - start <= Duration::from_secs(30));
}
