use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::Listing;

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
    told: mpsc::Sender<(Place, News)>,
    reader: Reader,
    reports: watch::Receiver<Arc<Report>>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Scripted {
    fn start() -> Self {
        let config = Arc::new(weir_config::parse("weir.toml", CONFIG).unwrap());
        let (clock, sources) = (Clock::start(), Sources::new(|_| None));
        let told = sources.told.clone();
        let names = vec![("consul a".into(), false), ("file b".into(), false)];
        let all = vec![Membership::new(Arc::default(), Duration::from_secs(30), names)];
        let names = vec![("s".into(), true)];
        let memberships = Memberships { names, all, found: vec![Arc::default()], changed: Vec::new() };
        let mut lives = Lives::new();
        let publisher = Publisher::new(assemble(&config, &memberships.found, &mut lives, clock).unwrap());
        let report = watch::Sender::new(Arc::new(memberships.report()));
        let discovery = Discovery { config, clock, publisher, lives, memberships, sources, cache: None, report };
        let (reader, reports) = (discovery.reader(), discovery.reports());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(discovery.run(async { stopped.await.unwrap_or_default() }));
        Self { told, reader, reports, stop, running }
    }

    async fn tell(&self, source: usize, ports: std::ops::Range<u16>) {
        let endpoints = ports.map(|port| Found::new(([127, 0, 0, 1], port).into())).collect();
        let news = News::Endpoints(Listing { endpoints, ..Listing::default() });
        self.told.send((Place { service: 0, source }, news)).await.unwrap();
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
