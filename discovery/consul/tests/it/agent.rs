//! Against a real agent that is its own server.

use std::future::pending;

use weir_consul::{Event, Include, Registration, Status, Watch};
use weir_testkit::{Consul, Signal};

use super::support::{client, put, query, registration, service, until, until_failed, until_ids};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_registered_is_listed_as_it_was_registered_and_gone_when_it_is_deregistered() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let mut watch = Watch::new(&client(consul.api()), query(), 1);
    until_ids(&mut watch, &[]).await;
    let mut wanted = service("shop/1 é", consul.api());
    wanted.tags = vec!["blue".into(), "v=1".into()];
    let registration = Registration::new(client(consul.api()), wanted);

    registration.register().await.unwrap();
    let listed = until_ids(&mut watch, &["shop/1 é"]).await.remove(0);
    assert_eq!((&*listed.address, listed.port, &*listed.node), ("127.0.0.1", 3001, "n1"));
    assert_eq!((listed.weight(), listed.weights.warning, listed.capacity()), (2, 1, Some(2)));
    assert_eq!(listed.tags, ["blue".into(), "v=1".into()]);
    assert_eq!(listed.status, Status::Passing);

    registration.deregister().await.unwrap();
    until_ids(&mut watch, &[]).await;
    registration.deregister().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_must_all_be_there_and_a_filter_must_hold() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    for (id, tags, zone) in [("a", &["x", "y"][..], "1"), ("b", &["x"], "1"), ("c", &["x", "y"], "2&3 é")] {
        let mut wanted = service(id, consul.api());
        wanted.tags = tags.iter().map(|tag| (*tag).into()).collect();
        wanted.meta.insert("zone".into(), zone.into());
        Registration::new(client(consul.api()), wanted).register().await.unwrap();
    }
    for (tags, filter, ids) in [
        (&["x"][..], None, &["a", "b", "c"][..]),
        (&["x", "y"], None, &["a", "c"]),
        (&["y"], Some(r#"Service.Meta.zone == "1""#), &["a"]),
        (&[], Some(r#"Service.Meta.zone == "2&3 é""#), &["c"]),
        (&["none"], None, &[]),
    ] {
        let mut query = query();
        query.tags = tags.iter().map(|tag| (*tag).into()).collect();
        query.filter = filter.map(Into::into);
        until_ids(&mut Watch::new(&client(consul.api()), query, 1), ids).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_filter_an_unknown_datacenter_and_a_namespace_say_what_to_write() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let mut filtered = query();
    filtered.filter = Some("Service.Port > 5".into());
    let story = until_failed(&mut Watch::new(&client(consul.api()), filtered, 1), "refused").await;
    assert!(story.contains("Consul cannot use the filter") && story.contains("operators are"), "{story}");
    let options = || super::support::options(consul.api(), None);
    let (mut elsewhere, mut named) = (options(), options());
    elsewhere.datacenter = Some("dc9".into());
    named.namespace = Some("team".into());
    for (options, words) in
        [(elsewhere, "no way to the datacenter `dc9`"), (named, "Consul Enterprise feature: leave it out")]
    {
        let client = weir_consul::Client::new(options).unwrap();
        let story = until_failed(&mut Watch::new(&client, query(), 1), "refused").await;
        assert!(story.contains(words), "{story}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_takes_an_instance_off_the_passing_ones_and_shows_as_such() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    registration("a", consul.api()).register().await.unwrap();
    let mut passing = Watch::new(&client(consul.api()), query(), 1);
    let mut all = query();
    all.include = Include::All;
    let mut all = Watch::new(&client(consul.api()), all, 2);
    until_ids(&mut passing, &["a"]).await;

    put(consul.api(), "", "/v1/agent/service/maintenance/a?enable=true&reason=test", "");
    until_ids(&mut passing, &[]).await;
    until(&mut all, |event| match event {
        Event::Update(update) if update.instances.first()?.status == Status::Maintenance => Some(()),
        _ => None,
    })
    .await;

    put(consul.api(), "", "/v1/agent/service/maintenance/a?enable=false", "");
    until_ids(&mut passing, &["a"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_with_amnesia_an_instance_is_registered_again_and_seen() {
    let Some(program) = Consul::program() else { return };
    let mut consul = Consul::start(&program, "{}");
    let registration = registration("a", consul.api());
    let keeper = tokio::spawn(async move { registration.keep(pending()).await });
    let mut long = query();
    // With a wait this long only the rule about indexes can be what tells it in time.
    long.wait = std::time::Duration::from_mins(10);
    let mut watch = Watch::new(&client(consul.api()), long, 1);
    until_ids(&mut watch, &["a"]).await;
    let watching = tokio::spawn(async move {
        let failure = until(&mut watch, |event| match event {
            Event::Failed(error) => Some(error.label()),
            _ => None,
        });
        let failure = failure.await;
        until_ids(&mut watch, &["a"]).await;
        failure
    });
    tokio::task::block_in_place(|| consul.restart());
    assert!(matches!(watching.await.unwrap(), "cut" | "unreachable"));
    keeper.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_deregistered_behind_its_back_is_registered_again() {
    let Some(program) = Consul::program() else { return };
    let consul = Consul::start(&program, "{}");
    let registration = registration("a", consul.api());
    let keeper = tokio::spawn(async move { registration.keep(pending()).await });
    let mut watch = Watch::new(&client(consul.api()), query(), 1);
    until_ids(&mut watch, &["a"]).await;
    put(consul.api(), "", "/v1/agent/service/deregister/a", "");
    until_ids(&mut watch, &[]).await;
    until_ids(&mut watch, &["a"]).await;
    keeper.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_agent_is_too_slow_and_watched_on_when_it_thaws() {
    let Some(program) = Consul::program() else { return };
    let mut consul = Consul::start(&program, "{}");
    registration("a", consul.api()).register().await.unwrap();
    let mut watch = Watch::new(&client(consul.api()), query(), 1);
    until_ids(&mut watch, &["a"]).await;
    consul.process().signal(Signal::STOP);
    until_failed(&mut watch, "too_slow").await;
    consul.process().signal(Signal::CONT);
    until_ids(&mut watch, &["a"]).await;
}
