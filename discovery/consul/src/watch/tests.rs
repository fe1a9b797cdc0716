//! The rules of a watch against a scripted agent, on paused time.

use std::collections::VecDeque;
use std::future::pending;

use tokio::time::sleep;

use super::*;

/// What the scripted agent does with one question.
enum Act {
    /// Status, `X-Consul-Index`, body; after that much time.
    Say(u64, u16, &'static str, &'static str),
    /// A 200 from a server without a leader.
    SayStale(&'static str, &'static str),
    /// The connection ends after that much time.
    Cut(u64),
    /// Nothing, for ever.
    Hang,
    /// It is another process from here on: the connection was closed between two questions.
    Restart,
}
use Act::{Cut, Hang, Restart, Say, SayStale};

#[derive(Debug, PartialEq, Eq)]
struct Asked {
    millis: u64,
    /// The query without what never changes.
    query: String,
}

struct Script {
    acts: VecDeque<Act>,
    asked: Vec<Asked>,
    open: bool,
    start: Instant,
}

const ONE: &str = r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "a", "Port": 1}}]"#;
const TWO: &str = r#"[{"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "a", "Port": 1}},
                      {"Node": {"Address": "10.0.0.1"}, "Service": {"ID": "b", "Port": 2}}]"#;

fn address() -> Address {
    "http://127.0.0.1:8500".parse().unwrap()
}

impl Line for Script {
    async fn is_open(&mut self) -> bool {
        while matches!(self.acts.front(), Some(Restart)) {
            self.acts.pop_front();
            self.open = false;
        }
        self.open
    }

    async fn ask(&mut self, ask: Ask) -> Result<Answer, ConsulError> {
        let millis = u64::try_from((now() - self.start).as_millis()).unwrap();
        let query = ask.path.strip_prefix("/v1/health/service/s?passing").unwrap().to_owned();
        self.asked.push(Asked { millis, query });
        let (limit, act) = (ask.limit, self.acts.pop_front());
        let answer = async {
            match act {
                None | Some(Hang) => pending().await,
                Some(Restart) => panic!("`Restart` stands between two questions"),
                Some(Cut(after)) => {
                    sleep(Duration::from_millis(after)).await;
                    let source = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    Err(ConsulError::Unreachable { address: address(), source })
                }
                Some(SayStale(index, body)) => {
                    let mut headers = HeaderMap::new();
                    headers.insert("x-consul-index", index.parse().unwrap());
                    headers.insert("x-consul-lastcontact", "1234".parse().unwrap());
                    headers.insert("x-consul-knownleader", "false".parse().unwrap());
                    Ok(Answer { status: StatusCode::OK, headers, body: body.into() })
                }
                Some(Say(after, status, index, body)) => {
                    sleep(Duration::from_millis(after)).await;
                    let mut headers = HeaderMap::new();
                    headers.insert("x-consul-index", index.parse().unwrap());
                    Ok(Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: body.into() })
                }
            }
        };
        let answer = tokio::time::timeout(limit, answer).await;
        let answer = answer.unwrap_or(Err(ConsulError::TooSlow { address: address(), limit }));
        self.open = answer.is_ok();
        answer
    }

    fn refusal(&self, answer: &Answer) -> ConsulError {
        Client::new(crate::Options::new(address())).unwrap().refusal(answer)
    }
}

fn course(acts: impl IntoIterator<Item = Act>) -> Course<Script> {
    let acts = acts.into_iter().collect();
    let script = Script { acts, asked: Vec::new(), open: false, start: now() };
    let mut query = Query::new("s");
    query.wait = Duration::from_mins(1);
    query.slack = Duration::from_secs(10);
    Course::new(script, address(), query, "/v1/health/service/s?passing".to_owned(), 1)
}

/// What a course told, in short.
fn told(event: &Event) -> String {
    match event {
        Event::Update(update) => {
            let stale = update.stale.as_ref();
            let stale = stale.map_or(String::new(), |stale| format!(" stale {:?}", stale.last_contact));
            format!("{} at {}{stale}", update.instances.len(), update.index)
        }
        Event::Unchanged => "same".to_owned(),
        Event::Failed(error) => error.label().to_owned(),
    }
}

async fn tell<const N: usize>(course: &mut Course<Script>) -> [String; N] {
    let mut all = [const { String::new() }; N];
    for one in &mut all {
        *one = told(&course.next().await);
    }
    all
}

fn queries(course: &Course<Script>) -> Vec<&str> {
    course.line.asked.iter().map(|asked| asked.query.as_str()).collect()
}

const WAITING_13: &str = "&index=13&wait=60000ms";

#[tokio::test(start_paused = true)]
async fn changes_are_told_and_each_query_carries_the_index_of_the_answer_before() {
    let mut course = course([Say(0, 200, "13", ONE), Say(30_000, 200, "20", TWO), Say(61_000, 200, "20", TWO)]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "2 at 20", "same"]);
    assert_eq!(queries(&course), ["", WAITING_13, "&index=20&wait=60000ms"]);
    assert_eq!(course.line.asked[2].millis, 30_000, "nothing is between an answer and the next query");
}

#[tokio::test(start_paused = true)]
async fn the_index_of_an_error_reply_is_not_taken_and_the_next_query_has_none() {
    let mut course = course([Say(0, 200, "13", ONE), Say(9, 403, "1", "ACL not found"), Say(0, 200, "13", ONE)]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "denied", "1 at 13"]);
    assert_eq!(queries(&course), ["", WAITING_13, ""]);
}

#[tokio::test(start_paused = true)]
async fn an_index_of_zero_starts_anew_without_one() {
    let mut course = course([Say(0, 200, "13", ONE), Say(5, 200, "0", TWO), Say(5, 200, "13", ONE)]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "2 at 0", "1 at 13"]);
    assert_eq!(queries(&course), ["", WAITING_13, ""]);
}

#[tokio::test(start_paused = true)]
async fn an_index_that_goes_backwards_starts_anew_and_its_list_is_told_when_it_has_stayed_for_a_second() {
    let again = (0..100).map(|_| Say(0, 200, "10", TWO));
    let mut course = course([Say(0, 200, "29", ONE), Say(5000, 200, "10", TWO)].into_iter().chain(again));
    assert_eq!(tell(&mut course).await, ["1 at 29", "2 at 10", "same"]);
    let [first, waiting, doubting @ .., told, next] = course.line.asked.as_slice() else { panic!("five queries") };
    assert_eq!((first.query.as_str(), waiting.query.as_str()), ("", "&index=29&wait=60000ms"));
    assert!(doubting.iter().all(|asked| asked.query.is_empty()) && (9..=20).contains(&doubting.len()), "{doubting:?}");
    assert!((6000..=6101).contains(&told.millis) && told.query.is_empty(), "{told:?}");
    assert_eq!(next.query, "&index=10&wait=60000ms");
}

#[tokio::test(start_paused = true)]
async fn what_a_leader_says_before_it_knows_all_is_not_told() {
    // Seen: the leader was killed, and the next one's first 200 was `[]` at index 7.
    let mut course = course([
        Say(0, 200, "13", ONE),
        Cut(400),
        Say(0, 200, "7", "[]"),
        Say(0, 200, "7", "[]"),
        Say(0, 200, "13", ONE),
    ]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "unreachable", "1 at 13"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_cut_in_the_wait_is_followed_by_a_query_without_index_a_moment_later() {
    let mut course = course([Say(0, 200, "13", ONE), Cut(20_000), Say(0, 200, "19", TWO)]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "unreachable", "2 at 19"]);
    assert_eq!(queries(&course), ["", WAITING_13, ""]);
    let pause = course.line.asked[2].millis - 20_000;
    assert!((50..=101).contains(&pause), "{pause}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_restarted_between_two_queries_is_asked_without_the_old_index() {
    let mut course = course([Say(0, 200, "29", ONE), Restart, Say(0, 200, "30", TWO)]);
    assert_eq!(tell(&mut course).await, ["1 at 29", "2 at 30"]);
    assert_eq!(queries(&course), ["", ""]);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_agent_is_found_out_after_the_wait_a_sixteenth_and_the_slack() {
    let mut course = course([Say(0, 200, "13", ONE), Hang, Hang, Say(0, 200, "13", ONE)]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "too_slow", "1 at 13"]);
    assert_eq!(queries(&course), ["", WAITING_13, "&stale", ""]);
    assert_eq!(course.line.asked[2].millis, 60_000 + 3_750 + 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_frozen_agent_holds_up_a_query_that_does_not_wait_for_the_slack_alone() {
    let mut course = course([Hang, Hang]);
    assert_eq!(tell(&mut course).await, ["too_slow"]);
    assert_eq!(course.line.asked[1].millis, 10_000);
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_what_a_server_remembers_is_told_as_stale_and_the_leader_is_asked_again() {
    let leaderless = || Say(0, 500, "1", "No cluster leader");
    let mut course = course([
        Say(0, 200, "13", ONE),
        Say(400, 500, "1", "rpc error making call: EOF"),
        SayStale("14", ONE),
        leaderless(),
        SayStale("14", ONE),
        Say(0, 200, "14", ONE),
        Say(61_000, 200, "14", ONE),
    ]);
    assert_eq!(
        tell(&mut course).await,
        ["1 at 13", "1 at 14 stale 1.234s", "1 at 14 stale 1.234s", "1 at 14", "same"],
        "the first answer of the new leader is told, though it brings nothing new"
    );
    assert_eq!(queries(&course), ["", WAITING_13, "&stale", "", "&stale", "", "&index=14&wait=60000ms"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_list_says_why_the_leader_did_not_answer() {
    let mut course = course([Say(0, 500, "1", "No cluster leader"), SayStale("14", ONE)]);
    let Event::Update(update) = course.next().await else { panic!("a stale list") };
    let stale = update.stale.unwrap();
    assert!(!stale.known_leader);
    assert!(stale.because.to_string().contains("No cluster leader"));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_remembers_less_than_was_told_takes_nothing_away() {
    let mut course = course([
        Say(0, 200, "13", ONE),
        Say(400, 500, "1", "rpc error making call: EOF"),
        SayStale("12", "[]"),
        Say(0, 500, "1", "No cluster leader"),
        SayStale("15", TWO),
        Say(0, 500, "1", "No cluster leader"),
        SayStale("14", ONE),
    ]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "failing", "2 at 15 stale 1.234s", "failing"]);
}

#[tokio::test(start_paused = true)]
async fn errors_that_no_other_server_would_mend_are_not_asked_stale() {
    for (status, said, label) in [
        (403, "ACL not found", "denied"),
        (400, "Invalid wait time", "refused"),
        (500, "No path to datacenter", "refused"),
        (500, "Failed to create boolean expression evaluator: 1:5", "refused"),
        (404, "", "not_consul"),
    ] {
        let mut course = course([Say(0, status, "1", said)]);
        assert_eq!(tell(&mut course).await, [label]);
        assert_eq!(queries(&course), [""], "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_list_is_told_as_such() {
    let mut course = course([Say(0, 200, "13", ONE), Say(0, 200, "14", "[]")]);
    assert_eq!(tell(&mut course).await, ["1 at 13", "0 at 14"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_always_answers_at_once_is_asked_four_times_a_second_at_most() {
    let mut course = course((0..1000).map(|_| Say(0, 200, "13", ONE)));
    assert_eq!(tell(&mut course).await, ["1 at 13"]);
    while course.line.asked.last().unwrap().millis < 10_000 {
        assert_eq!(tell(&mut course).await, ["same"]);
    }
    assert!((40..50).contains(&course.line.asked.len()), "{}", course.line.asked.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_no_list_is_a_failure_with_the_address() {
    let mut course = course([Say(0, 200, "13", "<html>")]);
    let Event::Failed(error) = course.next().await else { panic!("a failure") };
    assert!(error.explain().contains("http://127.0.0.1:8500"), "{}", error.explain());
}

#[tokio::test(start_paused = true)]
async fn next_may_be_dropped_in_a_pause_and_the_pause_goes_on_where_it_was() {
    let mut course = course((0..8).map(|_| Cut(0)).chain([Say(0, 200, "13", ONE)]));
    for _ in 0..8 {
        assert_eq!(tell(&mut course).await, ["unreachable"]);
    }
    let since = course.line.asked[7].millis;
    let told = loop {
        if let Ok(event) = tokio::time::timeout(Duration::from_millis(700), course.next()).await {
            break told(&event);
        }
    };
    assert_eq!(told, "1 at 13");
    assert!((2_500..=5_001).contains(&(course.line.asked[8].millis - since)));
}

#[tokio::test(start_paused = true)]
async fn only_passing_and_warning_instances_are_listed_when_warnings_are_included() {
    const MIXED: &str = r#"[
        {"Node": {"Address": "n"}, "Service": {"ID": "p", "Port": 1}, "Checks": [{"Status": "passing"}]},
        {"Node": {"Address": "n"}, "Service": {"ID": "w", "Port": 1}, "Checks": [{"Status": "warning"}]},
        {"Node": {"Address": "n"}, "Service": {"ID": "c", "Port": 1}, "Checks": [{"Status": "critical"}]}]"#;
    for (include, count) in [(Include::All, 3), (Include::Warning, 2)] {
        let mut course = course([Say(0, 200, "13", MIXED)]);
        course.query.include = include;
        let Event::Update(update) = course.next().await else { panic!("a list") };
        assert_eq!(update.instances.len(), count);
    }
}

#[test]
fn a_query_is_encoded_whole() {
    let mut options = crate::Options::new(address());
    options.datacenter = Some("eu 1".into());
    options.namespace = Some("team/a".into());
    let mut query = Query::new("my service");
    query.tags = vec!["v=1".into(), "blue".into()];
    query.filter = Some(r#"Service.Meta.zone == "a&b""#.into());
    assert_eq!(
        path(&Client::new(options).unwrap(), &query),
        "/v1/health/service/my%20service?dc=eu%201&ns=team%2Fa&passing&tag=v%3D1&tag=blue\
         &filter=Service.Meta.zone%20%3D%3D%20%22a%26b%22"
    );
}
