//! Registrations against scripted agents.

use std::future::pending;

use tokio::sync::oneshot;

use super::scripted::{Agent, Reply, list, status};
use super::support::{explained, registration};

#[tokio::test]
async fn deregistering_what_the_agent_does_not_know_is_done() {
    for reply in ["200 OK", "404 Not Found"] {
        let agent = Agent::start([vec![status(reply, "Unknown service ID")]]).await;
        registration("a b/c", agent.address).deregister().await.unwrap();
        assert_eq!(agent.targets(), [(0, "/v1/agent/service/deregister/a%20b%2Fc?".to_owned())]);
    }
}

#[tokio::test]
async fn what_is_sent_has_the_check_as_agents_read_it_and_starts_out_passing() {
    let agent = Agent::start([vec![status("200 OK", "")]]).await;
    registration("a", agent.address).register().await.unwrap();
    let check = format!("http://{}/v1/status/leader", agent.address);
    let wanted = format!(
        r#"{{"ID":"a","Name":"shop","Address":"","Port":3001,"Tags":[],"Meta":{{"capacity":"2"}},"Weights":{{"Passing":2,"Warning":1}},"Check":{{"HTTP":"{check}","Interval":"2s","Timeout":"1s","DeregisterCriticalServiceAfter":"1m","Status":"passing"}}}}"#
    );
    let request = agent.first_request();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("PUT /v1/agent/service/register?replace-existing-checks=true HTTP/1.1\r\n"), "{head}");
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn a_refusal_is_an_error_with_what_the_agent_said() {
    let agent = Agent::start([vec![status("400 Bad Request", "Invalid check: no")]]).await;
    let error = explained(registration("a", agent.address).register().await);
    assert!(error.contains("`Invalid check: no`"), "{error}");
}

#[tokio::test]
async fn an_agent_that_forgot_is_told_again_and_one_that_has_another_process_there_is_not() {
    let ok = || status("200 OK", "");
    let known = |port: u16| list(1, &format!(r#"{{"ID": "a", "Address": "", "Port": {port}}}"#));
    let agent = Agent::start([vec![
        ok(),
        known(3001),
        status("404 Not Found", "unknown service ID: a"),
        ok(),
        known(4001),
        known(4001),
        Reply::Last(String::new()),
    ]])
    .await;
    let registration = registration("a", agent.address);
    let kept = async {
        while agent.targets().len() < 7 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = registration.keep(pending()) => unreachable!(),
        () = kept => {}
    }
    let verbs: Vec<_> = agent.targets().iter().map(|(_, target)| target.contains("/register?")).collect();
    assert_eq!(verbs, [true, false, false, true, false, false, false]);
}

#[tokio::test]
async fn keeping_ends_between_two_requests() {
    let (stop, stopped) = oneshot::channel::<()>();
    let agent = Agent::start([vec![status("200 OK", "")]]).await;
    stop.send(()).unwrap();
    registration("a", agent.address).keep(async { drop(stopped.await) }).await;
    assert_eq!(agent.targets().len(), 1, "the registration under way was finished first");
}
