use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use weir_balance::{Client, EndpointsError, Nanos, Policy, Rules, Slot, Weight};
use weir_config::Config;
use weir_discovery::{AssembleError, Found, Lives, Overrides, assemble, fixed};
use weir_snapshot::{
    Answer, Clock, LeaseKind, Millis, Moment, Publisher, QueueRules, Snapshot, Tier, Tried, Unserved, Wish,
};

use crate::support::{assembled, config, http, probed, route, service, unprobed};

fn address(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn one_service(ports: &[u16]) -> Config {
    let addresses: Vec<_> = ports.iter().copied().map(address).collect();
    config(vec![route(None, "/", "s")], vec![service("s", &addresses, unprobed())])
}

fn eject(snapshot: &Snapshot, index: usize) {
    let pool = &snapshot.pools[0];
    for _ in 0..3 {
        pool.members()[index].live.failed(Moment::default(), pool.health());
    }
}

fn ejected(snapshot: &Snapshot) -> Vec<bool> {
    snapshot.pools[0].members().iter().map(|member| member.live.is_ejected()).collect()
}

#[test]
fn a_snapshot_is_what_the_configuration_says() {
    let mut weighted = service("w", &[address(1), address(2)], unprobed());
    weighted.policy = Policy::Weighted;
    weighted.endpoints[0].weight = Weight::new(5).unwrap();
    weighted.endpoints[1].drain = true;
    let routes = vec![route(None, "/", "s"), route(Some("img.example.org"), "/optimize", "w")];
    let config = config(routes, vec![service("s", &[address(1)], unprobed()), weighted]);

    let snapshot = assembled(&config, &mut Lives::new()).unwrap();

    let route = snapshot.routes.find(Some("img.example.org:80"), b"/optimize/1").unwrap();
    assert_eq!(&*route.name, "img.example.org/optimize");
    assert!(Arc::ptr_eq(&route.pool, snapshot.pool("w").unwrap()));
    assert_eq!(*route.pool.policy(), Policy::Weighted);
    let members: Vec<_> = route.pool.members().iter().map(|m| (&*m.label, m.weight.get(), m.drained)).collect();
    assert_eq!(members, [("127.0.0.1:1", 5, false), ("127.0.0.1:2", 1, true)]);
    assert_eq!(&*snapshot.routes.find(None, b"/x").unwrap().name, "/");
}

#[test]
fn a_queue_keeps_its_permits_across_reloads_and_takes_other_rules() {
    let mut lives = Lives::new();
    let mut config = one_service(&[1]);
    config.services[0].endpoints[0].capacity = NonZeroU32::new(2);
    config.services[0].queue = Some(rules(5));
    let old = assembled(&config, &mut lives).unwrap();
    config.services[0].queue = Some(rules(0));
    config.services[0].endpoints[0].weight = Weight::new(3).unwrap();
    let new = assembled(&config, &mut lives).unwrap();
    let mut publisher = Publisher::new(Snapshot { pools: old.pools.clone(), ..Snapshot::default() });
    publisher.publish(Snapshot { pools: new.pools.clone(), ..Snapshot::default() });

    assert!(Arc::ptr_eq(old.pools[0].permits().unwrap(), new.pools[0].permits().unwrap()));
    assert_eq!(new.pools[0].members()[0].capacity, NonZeroU32::new(2));
    let tried = Tried::default();
    let wish = || Wish {
        now: Moment::default(),
        arrival: Moment::default(),
        deadline: Moment::from_nanos(u64::MAX),
        work: Nanos(0),
        class: 0,
        client: Client(0),
        key: None,
        tried: &tried,
    };
    let [first, second] = [&old, &new].map(|snapshot| snapshot.pools[0].ask(&wish()));
    assert!(matches!((&first, &second), (Answer::Served(_), Answer::Served(_))));
    let third = new.pools[0].ask(&wish());
    assert!(matches!(third, Answer::Refused(Unserved::Full { .. })), "{third:?}");

    config.services[0].queue = None;
    assert!(assembled(&config, &mut lives).unwrap().pools[0].permits().is_none());
}

fn rules(max: usize) -> QueueRules {
    let none = Nanos(0);
    let order = Rules { max, factor: 0, believed: none, least: none, handicap: none, slack: none, small: none };
    QueueRules { capacity: NonZeroU32::MIN, extra: 0, timeout: Millis::from_secs(5), target: None, order }
}

#[test]
fn a_configuration_that_is_refused_or_not_published_leaves_a_queue_as_it_is() {
    let mut lives = Lives::new();
    let mut config = one_service(&[1]);
    config.services[0].queue = Some(rules(5));
    let running = assembled(&config, &mut lives).unwrap();
    let permits = Arc::clone(running.pools[0].permits().unwrap());
    let mut publisher = Publisher::new(running);
    config.services[0].queue = Some(rules(0));
    let good = config.clone();
    // The other service is wrong, and comes after the one with the queue.
    config.services.push(service("t", &[address(2), address(2)], unprobed()));
    assembled(&config, &mut lives).unwrap_err();
    assert_eq!(permits.report().rules, rules(5));
    let next = assembled(&good, &mut lives).unwrap();
    assert_eq!(permits.report().rules, rules(5));
    publisher.publish(next);
    assert_eq!(permits.report().rules, rules(0));
}

#[test]
fn revisions_grow() {
    let mut lives = Lives::new();
    let revisions: Vec<_> = (0..3).map(|_| assembled(&one_service(&[1]), &mut lives).unwrap().revision).collect();
    assert_eq!(revisions, [1, 2, 3]);
}

#[test]
fn an_endpoint_keeps_its_verdict_and_its_exchanges_whatever_its_weight_and_place() {
    let mut lives = Lives::new();
    let old = assembled(&one_service(&[1, 2]), &mut lives).unwrap();
    eject(&old, 0);
    let lease = old.pools[0].lease(Moment::default(), None, &[Slot::new(0)]).unwrap();
    let mut config = one_service(&[3, 2, 1]);
    config.services[0].policy = Policy::Weighted;
    config.services[0].endpoints[2].weight = Weight::new(7).unwrap();

    let new = assembled(&config, &mut lives).unwrap();

    assert_eq!(ejected(&new), [false, false, true]);
    let in_flight: Vec<_> = new.pools[0].members().iter().map(|member| member.live.in_flight()).collect();
    assert_eq!(in_flight, [0, 1, 0]);
    drop(lease);
}

#[test]
fn one_address_in_two_services_is_two_endpoints() {
    let mut lives = Lives::new();
    let services = vec![service("a", &[address(1)], unprobed()), service("b", &[address(1)], unprobed())];
    let snapshot = assembled(&config(Vec::new(), services), &mut lives).unwrap();
    eject(&snapshot, 0);
    assert!(snapshot.pools[0].all_ejected());
    assert!(!snapshot.pools[1].all_ejected());
}

#[test]
fn a_reload_goes_on_in_the_cycle_and_with_the_retry_budget() {
    let mut lives = Lives::new();
    let old = assembled(&one_service(&[1, 2, 3]), &mut lives).unwrap();
    let first = old.pools[0].lease(Moment::default(), None, &[]).unwrap().slot();
    let new = assembled(&one_service(&[1, 2, 3]), &mut lives).unwrap();
    let second = new.pools[0].lease(Moment::default(), None, &[]).unwrap().slot();
    assert_ne!(first, second);
    assert!(Arc::ptr_eq(&old.routes.routes()[0].budget, &new.routes.routes()[0].budget));
}

#[test]
fn an_endpoint_that_went_is_remembered_while_something_holds_it_and_then_forgotten() {
    let mut lives = Lives::new();
    let old = assembled(&one_service(&[1, 2]), &mut lives).unwrap();
    eject(&old, 1);
    let held = old.pools[0].lease(Moment::default(), None, &[]);
    assembled(&one_service(&[1]), &mut lives).unwrap();
    assert_eq!(ejected(&assembled(&one_service(&[1, 2]), &mut lives).unwrap()), [false, true]);

    drop(held);
    drop(old);
    assembled(&one_service(&[1]), &mut lives).unwrap();
    assert_eq!(ejected(&assembled(&one_service(&[1, 2]), &mut lives).unwrap()), [false, false]);
}

#[test]
fn a_configuration_that_cannot_be_is_refused_with_the_reason() {
    let twice = assembled(&one_service(&[1, 1]), &mut Lives::new());
    assert!(matches!(twice, Err(AssembleError::Endpoints { source: EndpointsError::Twice { .. }, .. })));
    let nowhere = assembled(&config(vec![route(None, "/", "t")], Vec::new()), &mut Lives::new());
    assert_eq!(nowhere.unwrap_err().to_string(), "route `/` leads to service `t`, which is not configured");
}

/// The generation of each endpoint, by port.
fn generations(snapshot: &Snapshot) -> Vec<(u16, u64)> {
    snapshot.pools[0].members().iter().map(|member| (member.address.port(), member.generation)).collect()
}

#[test]
fn who_left_and_came_back_to_an_address_is_of_another_generation_and_nobody_else_is() {
    let mut lives = Lives::new();
    let first = assembled(&one_service(&[1, 2]), &mut lives).unwrap();
    let second = assembled(&one_service(&[2]), &mut lives).unwrap();
    let third = assembled(&one_service(&[1, 2]), &mut lives).unwrap();
    assert_eq!(generations(&first)[1], generations(&second)[0]);
    assert_eq!(generations(&first)[1], generations(&third)[1]);
    assert_ne!(generations(&first)[0], generations(&third)[0]);
    assert!(Arc::ptr_eq(&first.pools[0].members()[0].live, &third.pools[0].members()[0].live), "it is remembered");
}

#[test]
fn endpoints_of_a_service_that_left_and_came_back_are_of_another_generation() {
    let mut lives = Lives::new();
    let first = assembled(&one_service(&[1]), &mut lives).unwrap();
    let without = config(vec![route(None, "/", "t")], vec![service("t", &[address(1)], unprobed())]);
    assembled(&without, &mut lives).unwrap();
    let third = assembled(&one_service(&[1]), &mut lives).unwrap();
    assert!(Arc::ptr_eq(&first.pools[0].members()[0].live, &third.pools[0].members()[0].live), "it is remembered");
    assert_ne!(generations(&first), generations(&third));
}

#[test]
fn a_configuration_that_is_refused_takes_no_service_away() {
    let mut lives = Lives::new();
    let first = assembled(&one_service(&[1]), &mut lives).unwrap();
    assembled(&config(vec![route(None, "/", "t")], Vec::new()), &mut lives).unwrap_err();
    let second = assembled(&one_service(&[1]), &mut lives).unwrap();
    assert!(Arc::ptr_eq(&first.pools[0], &second.pools[0]));
}

#[tokio::test(start_paused = true)]
async fn who_joins_or_comes_back_starts_slowly_and_the_first_fleet_shares_evenly() {
    let (clock, mut lives) = (Clock::start(), Lives::new());
    let mut of = |ports: &[u16]| {
        let mut config = one_service(ports);
        config.services[0].slow_start = Some(Millis::from_secs(30));
        let found = [fixed(&config.services[0])];
        assemble(&config, &found, &Overrides::default(), &mut lives, clock).unwrap()
    };
    // Of a thousand exchanges now, those of the endpoint that was listed last.
    let last = |snapshot: &Snapshot| {
        let pool = &snapshot.pools[0];
        let slots = (0..1000).map(|_| pool.lease(clock.now(), None, &[]).unwrap().slot().index());
        slots.filter(|&index| index + 1 == pool.members().len()).count()
    };
    let hour = std::time::Duration::from_hours(1);
    assert_eq!(last(&of(&[1, 2])), 500, "the first fleet");
    tokio::time::advance(hour).await;
    let joined = of(&[1, 2, 3]);
    assert!((5..70).contains(&last(&joined)), "{}", last(&joined));
    tokio::time::advance(hour).await;
    assert!((330..337).contains(&last(&joined)), "{}", last(&joined));
    of(&[1, 2]);
    let back = of(&[1, 2, 3]);
    assert!(Arc::ptr_eq(&joined.pools[0].members()[2].live, &back.pools[0].members()[2].live), "it is remembered");
    assert!((5..70).contains(&last(&back)), "{}", last(&back));
}

#[test]
fn a_service_that_did_not_change_keeps_its_pool() {
    let mut lives = Lives::new();
    let services = |port| vec![service("s", &[address(1)], unprobed()), service("t", &[address(port)], unprobed())];
    let first = assembled(&config(Vec::new(), services(2)), &mut lives).unwrap();
    let second = assembled(&config(Vec::new(), services(3)), &mut lives).unwrap();
    assert!(Arc::ptr_eq(&first.pools[0], &second.pools[0]));
    assert!(!Arc::ptr_eq(&first.pools[1], &second.pools[1]));
}

#[test]
fn an_endpoint_that_joins_waits_for_its_first_probe_while_others_serve() {
    let mut lives = Lives::new();
    let of = |ports: &[u16]| {
        let addresses: Vec<_> = ports.iter().copied().map(address).collect();
        config(vec![route(None, "/", "s")], vec![service("s", &addresses, probed(http("/", None)))])
    };
    let picked = |snapshot: &Snapshot| -> Vec<u16> {
        (0..4).map(|_| snapshot.pools[0].lease(Moment::default(), None, &[]).unwrap().address().port()).collect()
    };
    let first = assembled(&of(&[1]), &mut lives).unwrap();
    assert_eq!(picked(&first), [1; 4], "the first fleet does not wait");
    let second = assembled(&of(&[1, 2]), &mut lives).unwrap();
    assert_eq!(picked(&second), [1; 4]);
    second.pools[0].members()[1].live.succeeded(Moment::default(), second.pools[0].health());
    assert!(picked(&second).contains(&2));
    // Nobody else is left, so it is tried.
    let third = assembled(&of(&[3]), &mut lives).unwrap();
    let lease = third.pools[0].lease(Moment::default(), None, &[]).unwrap();
    assert_eq!((lease.address().port(), lease.kind()), (3, LeaseKind::Normal));
}

#[test]
fn what_was_found_counts_not_what_is_written() {
    let mut backup = Found::new(address(7));
    backup.tier = Tier::BACKUP;
    let config = one_service(&[1]);
    let written = fixed(&config.services[0]);
    let found = [written.iter().copied().chain([backup]).collect::<Arc<[_]>>()];
    let snapshot = assemble(&config, &found, &Overrides::default(), &mut Lives::new(), Clock::start()).unwrap();
    let tiers: Vec<_> = snapshot.pools[0].members().iter().map(|m| (m.address.port(), m.tier)).collect();
    assert_eq!(tiers, [(1, Tier::PRIMARY), (7, Tier::BACKUP)]);
}
