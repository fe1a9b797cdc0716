use metrics_exporter_prometheus::PrometheusBuilder;
use weir_discovery::observe;
use weir_snapshot::Moment;

use crate::support::{Act, Running, Scripted, config, http, probed, service, until};

#[tokio::test]
async fn metrics_tell_what_probes_found_whom_they_ejected_and_who_is_up() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let _local = metrics::set_default_local_recorder(&recorder);
    let (good, bad) = (Scripted::start(Act::status(200)).await, Scripted::start(Act::status(503)).await);
    let rules = probed(http("/", None));
    let running = Running::start(&config(vec![], vec![service("s", &[good.address, bad.address], rules)]));
    let labels = |address| format!("service=\"s\",endpoint=\"{address}\"");
    let (good, bad) = (labels(good.address), labels(bad.address));

    until("ejected", || running.live(1).is_ejected()).await;
    observe::refresh(&running.publisher.reader().load(), Moment::default());
    let text = metrics.render();

    for line in [
        format!("weir_ejections_total{{{bad},cause=\"probe\"}} 1\n"),
        format!("weir_endpoint_up{{{good}}} 1\n"),
        format!("weir_endpoint_up{{{bad}}} 0\n"),
        format!("weir_probes_total{{{good},result=\"ok\"}} "),
        format!("weir_probes_total{{{bad},result=\"status\"}} "),
    ] {
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    running.stop().await;
}

#[test]
fn an_endpoint_is_shown_as_it_is_whoever_changed_it() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    let address = ([127, 0, 0, 1], 1).into();
    let config = config(vec![], vec![service("s", &[address], probed(http("/", None)))]);
    let snapshot = crate::support::assembled(&config, &mut weir_discovery::Lives::new()).unwrap();
    let pool = &snapshot.pools[0];
    let shown = || {
        metrics::with_local_recorder(&recorder, || observe::refresh(&snapshot, Moment::default()));
        metrics
            .render()
            .lines()
            .find_map(|line| line.strip_prefix("weir_endpoint_up{"))
            .map(|line| line.ends_with(" 1"))
    };
    assert_eq!(shown(), Some(true));
    for _ in 0..3 {
        pool.members()[0].live.failed(Moment::default(), pool.health());
    }
    assert_eq!(shown(), Some(false));
    pool.members()[0].live.succeeded(Moment::default(), pool.health());
    assert_eq!(shown(), Some(true));
}
