//! What a request pays to the snapshot: load, route, lease, budget. `cargo bench -p weir-snapshot --bench request`.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll, Waker};

use divan::{Bencher, black_box};
use weir_balance::{Client, Nanos, Policy, Rules};
use weir_snapshot::{
    Answer, Budget, BudgetRules, Bytes, Clock, HealthRules, KeySource, Live, Member, Millis, Moment, Permits, Pool,
    PoolParts, Publisher, QueueRules, Queueing, RetryRules, Route, RouteSettings, RouteTable, SlowStart, Snapshot,
    Starts, Timeouts, Tried, Unserved, WhenAllEjected, Wish,
};

fn main() {
    divan::main();
}

fn pool(policy: Policy, count: u16) -> Arc<Pool> {
    Pool::new(parts(policy, count)).map_or_else(|error| unreachable!("{error}"), Arc::new)
}

fn parts(policy: Policy, count: u16) -> PoolParts {
    let health =
        HealthRules { failures: 3, window: Millis::from_secs(30), successes: 1, statuses: Vec::new(), probe: None };
    let member = |index: u16| {
        let address = SocketAddr::from(([10, 0, 0, 1], 1 + index));
        let live = Arc::new(Live::new(&health));
        Member::new(address, live)
    };
    PoolParts {
        service: "optimizers".into(),
        policy,
        members: (0..count).map(member).collect(),
        health: Arc::new(health.clone()),
        when_all_ejected: WhenAllEjected::TryAll,
        turn: Arc::new(AtomicU64::new(0)),
        slow_start: None,
    }
}

fn table(hosts: usize, paths: usize) -> RouteTable {
    let pool = pool(Policy::RoundRobin, 1);
    let deadline = Millis::from_secs(1);
    let settings = RouteSettings {
        max_body: Bytes::from_mib(1),
        buffer_body: Bytes::from_kib(64),
        timeouts: Timeouts { connect: deadline, read: deadline, write: deadline, idle: deadline, total: deadline },
        retry: RetryRules {
            on_error: true,
            on_timeout: true,
            on_statuses: Vec::new(),
            tries: 3,
            non_idempotent: false,
            budget: BudgetRules { percent: 20, floor_per_second: 10 },
        },
        key: KeySource::Path,
        queueing: Queueing::default(),
        edits: None,
        answer: None,
    };
    let route = |host: Option<String>, path: usize| {
        Arc::new(Route {
            name: "route".into(),
            host: host.map(Into::into),
            path: format!("/service/{path}/").into(),
            exact: false,
            listeners: Box::default(),
            pool: Arc::clone(&pool),
            settings: settings.clone(),
            budget: Arc::new(Budget::new()),
        })
    };
    let named = (0..hosts).flat_map(|host| (0..paths).map(move |path| (host, path)));
    let mut routes: Vec<_> = named.map(|(host, path)| route(Some(format!("img{host}.example.org")), path)).collect();
    routes.extend((0..paths).map(|path| route(Some("*.example.net".into()), path)));
    routes.extend((0..paths).map(|path| route(None, path)));
    RouteTable::new(routes)
}

#[divan::bench(args = [(0, 1), (10, 10), (100, 100)])]
fn find_exact_host(bencher: Bencher<'_, '_>, (hosts, paths): (usize, usize)) {
    let table = table(hosts, paths);
    bencher
        .bench(|| table.find(black_box(Some("img7.Example.org:8080")), black_box(b"/service/0/photo.jpg")).is_some());
}

#[divan::bench(args = [(10, 10), (100, 100)])]
fn find_wildcard_host(bencher: Bencher<'_, '_>, (hosts, paths): (usize, usize)) {
    let table = table(hosts, paths);
    bencher.bench(|| table.find(black_box(Some("a.example.net")), black_box(b"/service/9/photo.jpg")).is_some());
}

#[divan::bench(args = [3, 16, 1000])]
fn lease_round_robin(bencher: Bencher<'_, '_>, count: u16) {
    let pool = pool(Policy::RoundRobin, count);
    bencher.bench(|| drop(pool.lease(black_box(Moment::default()), None, &[])));
}

#[divan::bench(args = [3, 16, 1000])]
fn lease_least_connections(bencher: Bencher<'_, '_>, count: u16) {
    let pool = pool(Policy::LeastConnections, count);
    bencher.bench(|| drop(pool.lease(black_box(Moment::default()), None, &[])));
}

/// While an endpoint ramps: all are read once more.
#[divan::bench(args = [3, 16, 1000])]
fn lease_while_one_ramps(bencher: Bencher<'_, '_>, count: u16) {
    let starts = Arc::new(Starts::new());
    let mut parts = parts(Policy::RoundRobin, count);
    for (index, member) in parts.members.iter_mut().enumerate() {
        let live = Live::new(&parts.health).of_service(&starts);
        if index == 0 {
            live.begins(Moment::from_nanos(1));
        }
        member.live = Arc::new(live);
    }
    parts.slow_start = Some(SlowStart { span: Millis::from_secs(3600), starts });
    let pool = Pool::new(parts).map_or_else(|error| unreachable!("{error}"), Arc::new);
    bencher.bench(|| drop(pool.lease(black_box(Moment::from_nanos(1_000_000_000)), None, &[])));
}

fn queued(count: u16) -> Arc<Pool> {
    let millis = Nanos::from_millis;
    let order = Rules {
        max: 1024,
        factor: 10,
        believed: millis(2000),
        least: millis(1),
        handicap: millis(500),
        slack: millis(200),
        small: millis(100),
    };
    let rules =
        QueueRules { capacity: NonZeroU32::MIN, extra: 0, timeout: Millis::from_secs(3600), target: None, order };
    let permits = Arc::new(Permits::new(rules, Clock::start()));
    let parts = parts(Policy::LeastConnections, count);
    Pool::queued(parts, permits, rules).map_or_else(|error| unreachable!("{error}"), Arc::new)
}

fn ask(pool: &Arc<Pool>) -> Answer {
    pool.ask(&Wish {
        now: Moment::default(),
        arrival: Moment::default(),
        deadline: Moment::from_nanos(u64::MAX),
        work: Nanos::from_millis(55),
        class: 0,
        client: Client(1),
        key: None,
        tried: &Tried::EMPTY,
    })
}

/// A service with a queue that nobody waits in.
#[divan::bench(args = [4, 16, 1000])]
fn permit_with_room(bencher: Bencher<'_, '_>, count: u16) {
    let pool = queued(count);
    bencher.bench(|| drop(ask(black_box(&pool))));
}

/// Everything that an exchange pays that has to wait behind a thousand others, waking excepted.
#[divan::bench(args = [4, 16])]
fn permit_after_waiting(bencher: Bencher<'_, '_>, count: u16) {
    let (pool, clock) = (queued(count), Clock::start());
    let _busy: Vec<Answer> = (0..count - 1).map(|_| ask(&pool)).collect();
    let mut current = ask(&pool);
    let mut waiting: VecDeque<Answer> = (0..1000).map(|_| ask(&pool)).collect();
    bencher.bench_local(|| {
        waiting.push_back(ask(black_box(&pool)));
        // Its permit goes to the first in the queue, which is the first that we hold.
        current = Answer::Refused(Unserved::NoEndpoint);
        if let Some(Answer::Waits(mut first)) = waiting.pop_front()
            && let Poll::Ready(Some(Ok(lease))) =
                first.poll(&mut Context::from_waker(Waker::noop()), &clock, |_, _| Poll::Pending)
        {
            current = Answer::Served(lease);
        }
    });
    drop(current);
}

#[divan::bench]
fn budget_deposit(bencher: Bencher<'_, '_>) {
    let budget = Budget::new();
    bencher.bench(|| budget.deposit(black_box(Moment::default())));
}

#[divan::bench]
fn budget_withdraw(bencher: Bencher<'_, '_>) {
    let budget = Budget::new();
    let rules = BudgetRules { percent: 20, floor_per_second: 10 };
    bencher.bench(|| budget.withdraw(black_box(Moment::default()), &rules));
}

#[divan::bench]
fn load(bencher: Bencher<'_, '_>) {
    let publisher = Publisher::new(Snapshot::default());
    let reader = publisher.reader();
    bencher.bench(|| reader.load().revision);
}
