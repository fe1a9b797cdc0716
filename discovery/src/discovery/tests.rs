use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::memberships::Known;
use super::sources::SourceId;
use super::*;
use crate::membership::Membership;
use crate::{Listing, Override};

mod broken;
mod publishing;
mod reloads;

const CONFIG: &str = r#"
[[listener]]
address = "127.0.0.1:0"
[[route]]
service = "s"
[[service]]
name = "s"
policy = "least-connections"
empty_after = "30s"
consul = { service = "a" }
file = { path = "/nowhere/endpoints.toml" }
"#;

/// A discovery whose sources are the test.
struct Scripted {
    told: mpsc::Sender<(SourceId, News)>,
    ids: Vec<SourceId>,
    reader: Reader,
    reports: watch::Receiver<Arc<Report>>,
    control: Control,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

/// A discovery that does not run yet. `fixed` is what its service has at the first change, beside what is told.
fn scripted(
    config: &str,
    cache: Option<Cache>,
    fixed: Arc<[Found]>,
) -> (Discovery, mpsc::Sender<(SourceId, News)>, Vec<SourceId>) {
    let config = Arc::new(weir_config::parse("weir.toml", config).unwrap());
    let (clock, mut sources) = (Clock::start(), Sources::new(Opener::new(|_| None)));
    let told = sources.teller();
    let names = vec![("consul a".into(), false), ("file b".into(), false)];
    let membership = Membership::new(fixed, Duration::from_secs(30), names);
    let ids = vec![sources.numbers.next(), sources.numbers.next()];
    let (name, routed, found) = ("s".into(), true, Arc::default());
    let memberships = Memberships::new(vec![Known { name, routed, membership, ids: ids.clone(), found }]);
    (Discovery::of(config, clock, memberships, sources, cache).unwrap(), told, ids)
}

fn listing(ports: impl IntoIterator<Item = u16>) -> News {
    let endpoints = ports.into_iter().map(|port| Found::new(([127, 0, 0, 1], port).into())).collect();
    News::Endpoints(Listing { endpoints, ..Listing::default() })
}

impl Scripted {
    fn start() -> Self {
        let (discovery, told, ids) = scripted(CONFIG, None, Arc::default());
        let (reader, reports, control) = (discovery.reader(), discovery.reports(), discovery.control());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(discovery.run(async { stopped.await.unwrap_or_default() }));
        Self { told, ids, reader, reports, control, stop, running }
    }

    async fn tell(&self, source: usize, ports: std::ops::Range<u16>) {
        self.told.send((self.ids[source], listing(ports))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn revision(&self) -> u64 {
        self.reader.load().revision
    }

    fn endpoints(&self) -> usize {
        self.reader.load().pools[0].members().len()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.running.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_change_is_published_at_once_and_those_of_the_next_50_ms_together() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..2).await;
    assert_eq!((discovery.revision(), discovery.endpoints()), (2, 1));
    for last in 3..10 {
        discovery.tell(0, 1..last).await;
    }
    assert_eq!((discovery.revision(), discovery.endpoints()), (2, 1));
    tokio::time::sleep(Duration::from_millis(45)).await;
    assert_eq!((discovery.revision(), discovery.endpoints()), (3, 8));
    tokio::time::sleep(Duration::from_secs(1)).await;
    discovery.tell(1, 20..21).await;
    assert_eq!(
        (discovery.revision(), discovery.endpoints()),
        (4, 9),
        "after a quiet time the next one is the first again"
    );
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_large_list_is_published_too() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..5001).await;
    let mut revisions = discovery.reader.revisions();
    if discovery.revision() < 2 {
        revisions.changed().await.unwrap();
    }
    assert_eq!(discovery.endpoints(), 5000);
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_lists_none_empties_the_pool_after_its_time_and_the_report_says_so_before() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..3).await;
    discovery.tell(0, 0..0).await;
    assert_eq!(discovery.endpoints(), 2);
    assert!(discovery.reports.borrow().services[0].sources[0].doubted_since.is_some());
    tokio::time::sleep(Duration::from_secs(29)).await;
    discovery.tell(0, 0..0).await;
    assert_eq!(discovery.endpoints(), 2);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(discovery.endpoints(), 2, "silence confirms nothing");
    discovery.tell(0, 0..0).await;
    assert_eq!(discovery.endpoints(), 0);
    assert!(matches!(discovery.reports.borrow().readiness(Moment::default()), crate::Readiness::NotReady(_)));
    assert!(discovery.reports.borrow().services[0].sources[0].doubted_since.is_none());
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_stays_keeps_its_state_through_every_update() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..3).await;
    let live = Arc::clone(&discovery.reader.load().pools[0].members()[0].live);
    for last in [4, 3, 2] {
        tokio::time::sleep(Duration::from_secs(1)).await;
        discovery.tell(0, 1..last).await;
    }
    assert!(Arc::ptr_eq(&live, &discovery.reader.load().pools[0].members()[0].live));
    discovery.stop().await;
}

const DRAIN: Override = Override { drain: Some(true), weight: None };

fn port(port: u16) -> std::net::SocketAddr {
    ([127, 0, 0, 1], port).into()
}

impl Scripted {
    /// Ports of the endpoints that exchanges are given to, of twenty.
    fn served(&self) -> std::collections::BTreeSet<u16> {
        let pool = Arc::clone(&self.reader.load().pools[0]);
        let leases: Vec<_> = (0..20).filter_map(|_| pool.lease(Moment::default(), None, &[])).collect();
        leases.iter().map(|lease| lease.member().address.port()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_endpoint_gets_no_exchange_once_the_operator_is_answered_and_shows_what_is_believed() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..4).await;
    let overridden = discovery.control.set("s", port(2), DRAIN).await.unwrap();
    assert_eq!(overridden, Overridden { revision: discovery.revision(), serving: 2 });
    assert_eq!(discovery.served(), [1, 3].into());
    let member = discovery.reader.load().pools[0].members()[1].clone();
    assert!(member.drained && member.believed.is_some_and(|believed| !believed.drained));

    let undrained = Override { drain: Some(false), weight: None };
    assert_eq!(discovery.control.set("s", port(2), undrained).await.unwrap().serving, 3);
    assert_eq!(discovery.served(), [1, 2, 3].into());
    assert!(discovery.reader.load().pools[0].members()[1].believed.is_none());
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_override_outlasts_updates_and_the_absence_of_its_endpoint() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..4).await;
    let heavy = Override { drain: Some(true), weight: weir_balance::Weight::new(7).ok() };
    discovery.control.set("s", port(2), heavy).await.unwrap();
    for ports in [1..3, 3..5, 1..4] {
        discovery.tell(0, ports).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(discovery.served(), [1, 3].into());
    assert_eq!(discovery.reader.load().pools[0].members()[1].weight.get(), 7);
    assert_eq!(discovery.control.overrides().iter().collect::<Vec<_>>(), [("s", port(2), heavy)]);
    discovery.control.clear("s", None).await.unwrap();
    assert!(discovery.control.overrides().is_empty());
    assert_eq!(discovery.served(), [1, 2, 3].into());
    assert_eq!(discovery.control.clear("s", Some(port(2))).await, Err(OverrideError::NotOverridden));
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn weir_is_not_ready_when_the_operator_has_drained_all_of_a_service() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..2).await;
    assert_eq!(discovery.control.set("s", port(1), DRAIN).await.unwrap().serving, 0);
    let mut reports = discovery.reports.clone();
    reports
        .wait_for(|report| matches!(report.readiness(Moment::default()), crate::Readiness::NotReady(_)))
        .await
        .unwrap();
    assert!(discovery.reader.load().pools[0].lease(Moment::default(), None, &[]).is_none());
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_overridden_is_refused_with_what_to_do_instead_and_changes_nothing() {
    let discovery = Scripted::start();
    discovery.tell(0, 1..3).await;
    let revision = discovery.revision();
    let refused =
        async |service: &str, at: u16, to| discovery.control.set(service, port(at), to).await.unwrap_err().to_string();
    assert_eq!(refused("t", 1, DRAIN).await, "there is no service `t`: the services are `s`");
    assert_eq!(
        refused("s", 9, DRAIN).await,
        "service `s` has no endpoint `127.0.0.1:9`: its endpoints are `127.0.0.1:1`, `127.0.0.1:2`"
    );
    assert_eq!(refused("s", 1, Override::default()).await, "nothing to change: say whether to drain, or a weight");
    assert_eq!(discovery.revision(), revision);
    let control = discovery.control.clone();
    discovery.stop().await;
    assert_eq!(control.set("s", port(1), DRAIN).await, Err(OverrideError::Ended));
}

#[tokio::test]
async fn a_weight_under_round_robin_is_refused_with_the_policy_that_knows_weights() {
    let text = "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\n\
                policy = \"round-robin\"\nendpoints = [\"127.0.0.1:1\"]\n";
    let config = Arc::new(weir_config::parse("weir.toml", text).unwrap());
    let discovery = Discovery::start(config, Clock::start(), |_| None).await.unwrap();
    let control = discovery.control();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(discovery.run(async { stopped.await.unwrap_or_default() }));
    let heavy = Override { drain: None, weight: weir_balance::Weight::new(2).ok() };
    let error = control.set("s", port(1), heavy).await.unwrap_err();
    assert!(error.to_string().contains("write `policy = \"weighted\"`"), "{error}");
    stop.send(()).unwrap();
    running.await.unwrap();
}
