//! Sources that stopped by a fault of weir's own.

use weir_config::SourceKind;

use super::*;
use crate::discovery::sources::Order;

/// The configuration with a token that is read from a file.
fn guarded(token: &std::path::Path) -> String {
    let consul = format!(
        "consul = {{ service = \"a\", address = \"http://127.0.0.1:1\", token_file = \"{}\" }}",
        token.display()
    );
    CONFIG.replace("consul = { service = \"a\" }", &consul)
}

/// Waits until the first source fails so.
async fn failing(reports: &mut watch::Receiver<Arc<Report>>, so: impl Fn(&SourceError) -> bool) {
    let is_so =
        |report: &Arc<Report>| report.services[0].sources[0].failing.as_ref().is_some_and(|(error, _)| so(error));
    reports.wait_for(is_so).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_source_that_broke_and_cannot_be_opened_is_told_of_and_tried_until_it_can_through_reloads_too() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    let text = guarded(&token);
    let (mut discovery, _told, ids) = scripted(&text, None, Arc::default());
    let settings = discovery.config.services[0].sources[0].kind.clone();
    assert!(matches!(settings, SourceKind::Consul(_)));
    discovery.sources.follow_broken(Order { id: ids[0], settings, empty_after: Duration::from_secs(30) });
    let (mut reports, control) = (discovery.reports(), discovery.control());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(discovery.run(async { stopped.await.unwrap_or_default() }));

    let cannot = |error: &SourceError| error.reason == "fault" && error.text.contains("cannot read the Consul token");
    failing(&mut reports, cannot).await;
    let other = text.replace("least-connections", "weighted");
    control.reload(Arc::new(weir_config::parse("weir.toml", &other).unwrap())).await.unwrap();
    failing(&mut reports, cannot).await;
    std::fs::write(&token, "secret").unwrap();
    // Nobody listens at this address: it asks again.
    failing(&mut reports, |error| error.reason != "fault").await;
    stop.send(()).unwrap();
    running.await.unwrap();
}
