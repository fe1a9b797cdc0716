use weir_snapshot::HealthRules;

use crate::support::{Act, Running, Scripted, config, http, probed, service, unprobed, until};

#[tokio::test]
async fn an_endpoint_that_fails_its_probes_is_ejected_and_one_good_probe_restores_it() {
    let endpoint = Scripted::start(Act::status(200)).await;
    let running =
        Running::start(&config(vec![], vec![service("s", &[endpoint.address], probed(http("/healthz", None)))]));
    let live = running.live(0);
    until("three good probes", || endpoint.heads().len() >= 3).await;
    assert!(!live.is_ejected());
    endpoint.act(Act::status(503));
    until("ejected", || live.is_ejected()).await;
    endpoint.act(Act::status(204));
    until("restored", || !live.is_ejected()).await;
    running.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_dies_is_ejected_and_restored_once_it_listens_again() {
    for kind in [weir_snapshot::ProbeKind::Tcp, http("/", None)] {
        let endpoint = Scripted::start(Act::status(200)).await;
        let address = endpoint.address;
        let running = Running::start(&config(vec![], vec![service("s", &[address], probed(kind))]));
        let live = running.live(0);
        until("probed", || !endpoint.heads().is_empty()).await;
        endpoint.stop().await;
        until("ejected", || live.is_ejected()).await;
        let _endpoint = Scripted::start_at(address, Act::status(200)).await;
        until("restored", || !live.is_ejected()).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn only_the_endpoint_that_fails_is_ejected() {
    let (good, bad) = (Scripted::start(Act::status(200)).await, Scripted::start(Act::Hangup).await);
    let rules = probed(http("/", None));
    let running = Running::start(&config(vec![], vec![service("s", &[good.address, bad.address], rules)]));
    until("ejected", || running.live(1).is_ejected()).await;
    let so_far = good.heads().len();
    until("three more probes of the good one", || good.heads().len() >= so_far + 3).await;
    assert!(!running.live(0).is_ejected());
    running.stop().await;
}

#[tokio::test]
async fn without_a_configured_probe_nothing_is_asked() {
    let (unasked, asked) = (Scripted::start(Act::status(200)).await, Scripted::start(Act::status(200)).await);
    let services =
        vec![service("a", &[unasked.address], unprobed()), service("b", &[asked.address], probed(http("/", None)))];
    let running = Running::start(&config(vec![], services));
    until("three probes of the other", || asked.heads().len() >= 3).await;
    assert!(unasked.heads().is_empty());
    running.stop().await;
}

/// Once a minute: whoever is asked twice in a test was started twice.
fn slow() -> HealthRules {
    let mut rules = probed(http("/", None));
    if let Some(probe) = &mut rules.probe {
        probe.interval = weir_snapshot::Millis::from_secs(60);
    }
    rules
}

#[tokio::test]
async fn a_new_snapshot_probes_new_endpoints_at_once_and_leaves_the_others_in_their_rhythm() {
    let (old, new) = (Scripted::start(Act::status(200)).await, Scripted::start(Act::status(200)).await);
    let mut running = Running::start(&config(vec![], vec![service("s", &[old.address], slow())]));
    until("the first probe", || old.heads().len() == 1).await;
    running.publish(&config(vec![], vec![service("s", &[new.address, old.address], slow())]));
    until("the first probe of the new one", || new.heads().len() == 1).await;
    assert_eq!(old.heads().len(), 1);
    running.stop().await;
}

#[tokio::test]
async fn changed_rules_are_probed_by_at_once() {
    let endpoint = Scripted::start(Act::status(200)).await;
    let mut running = Running::start(&config(vec![], vec![service("s", &[endpoint.address], slow())]));
    until("the first probe", || endpoint.heads().len() == 1).await;
    let mut rules = slow();
    if let Some(probe) = &mut rules.probe {
        probe.kind = http("/other", None);
    }
    running.publish(&config(vec![], vec![service("s", &[endpoint.address], rules)]));
    until("the next probe", || endpoint.heads().iter().any(|head| head.starts_with("GET /other HTTP/1.1"))).await;
    running.stop().await;
}

#[tokio::test]
async fn an_endpoint_that_left_the_snapshot_is_probed_no_more() {
    let (stays, leaves) = (Scripted::start(Act::status(200)).await, Scripted::start(Act::status(200)).await);
    let rules = || probed(http("/", None));
    let mut running = Running::start(&config(vec![], vec![service("s", &[stays.address, leaves.address], rules())]));
    until("both are probed", || !stays.heads().is_empty() && !leaves.heads().is_empty()).await;
    // Moved to a service of its own, whose probe goes elsewhere: the new task is the proof that the snapshot was seen.
    let new = Scripted::start(Act::status(200)).await;
    running.publish(&config(vec![], vec![service("s", &[stays.address, new.address], rules())]));
    until("the new one is probed", || !new.heads().is_empty()).await;
    // One that was on its way may still arrive; three more intervals bring no other.
    let (so_far, others) = (leaves.heads().len(), stays.heads().len());
    until("three more probes of the one that stays", || stays.heads().len() >= others + 3).await;
    assert!(leaves.heads().len() <= so_far + 1);
    running.stop().await;
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_answer_to_a_probe() {
    let endpoint = Scripted::start(Act::Silence).await;
    let running = Running::start(&config(vec![], vec![service("s", &[endpoint.address], slow())]));
    until("a probe is out", || !endpoint.heads().is_empty()).await;
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(1), running.stop()).await;
    assert!(stopped.is_ok(), "the probe would have waited two seconds");
}

#[tokio::test]
async fn a_drained_endpoint_is_probed_so_that_its_state_is_known_when_it_returns() {
    let endpoint = Scripted::start(Act::status(500)).await;
    let mut config = config(vec![], vec![service("s", &[endpoint.address], probed(http("/", None)))]);
    config.services[0].endpoints[0].drain = true;
    let running = Running::start(&config);
    until("ejected", || running.live(0).is_ejected()).await;
    running.stop().await;
}
