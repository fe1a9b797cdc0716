//! Leader and quorum lost, in a real cluster of three.

use weir_consul::{Event, Watch};
use weir_testkit::{Consul, Raw};

use super::support::{client, ids, query, registration, until, until_ids};

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_is_lost_the_list_stays_and_follows_the_next_one_and_without_a_quorum_it_is_stale() {
    let Some(program) = Consul::program() else { return };
    let mut servers = tokio::task::block_in_place(|| Consul::cluster(&program, 3));
    let place = loop {
        // Empty between two elections, of which a loaded machine may need several.
        let leader = Raw::get(servers[0].api(), "/v1/status/leader").text();
        if let Some(place) = servers.iter().position(|one| leader.contains(&one.server().to_string())) {
            break place;
        }
    };
    let mut lost = servers.remove(place);
    let ours = servers[0].api();
    registration("a", ours).register().await.unwrap();
    let mut watch = Watch::new(&client(ours), query(), 1);
    until_ids(&mut watch, &["a"]).await;

    lost.process().kill();
    registration("b", ours).register().await.unwrap();
    // Whatever is told until then, nothing is taken away: a follower may not have heard of `a` yet.
    until(&mut watch, |event| match event {
        Event::Update(update) if ids(update) == ["a", "b"] => Some(()),
        Event::Update(update) => {
            assert_eq!(ids(update), ["a"], "{update:?}");
            None
        }
        _ => None,
    })
    .await;

    // Else the last server may know less than was told, and is rightly not believed.
    while !Raw::get(ours, "/v1/health/service/shop?stale").text().contains("\"b\"") {}
    servers[1].process().kill();
    let stale = until(&mut watch, |event| match event {
        Event::Update(update) if update.stale.is_some() => {
            assert_eq!(ids(update), ["a", "b"]);
            let stale = update.stale.as_ref()?;
            (!stale.known_leader).then(|| stale.because.label())
        }
        _ => None,
    })
    .await;
    assert!(matches!(stale, "failing" | "too_slow"), "{stale}");
}
