//! Values that the tests build on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use weir_balance::Policy;
use weir_snapshot::{
    Budget, BudgetRules, Bytes, HealthRules, KeySource, Live, Member, Millis, Moment, Pool, PoolParts, Probe,
    ProbeKind, Queueing, RetryRules, Route, RouteSettings, Tier, Timeouts, WhenAllEjected,
};

pub(crate) fn at_millis(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

pub(crate) fn at_secs(secs: u64) -> Moment {
    at_millis(secs * 1000)
}

/// Three failures in thirty seconds eject, one success restores, no probe.
pub(crate) fn rules() -> HealthRules {
    HealthRules { failures: 3, window: Millis::from_secs(30), successes: 1, statuses: Vec::new(), probe: None }
}

pub(crate) fn probed() -> HealthRules {
    let probe = Probe { kind: ProbeKind::Tcp, interval: Millis::from_secs(5), timeout: Millis::from_secs(1) };
    HealthRules { probe: Some(probe), ..rules() }
}

pub(crate) fn parts(count: u16, health: HealthRules) -> PoolParts {
    let member = |index: u16| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 3001 + index));
        let live = Arc::new(Live::new(&health));
        Member::new(address, live)
    };
    PoolParts {
        service: "optimizers".into(),
        policy: Policy::RoundRobin,
        members: (0..count).map(member).collect(),
        health: Arc::new(health),
        when_all_ejected: WhenAllEjected::Refuse,
        turn: Arc::new(AtomicU64::new(0)),
        slow_start: None,
    }
}

pub(crate) fn pool(count: u16, health: HealthRules) -> Arc<Pool> {
    Arc::new(Pool::new(parts(count, health)).unwrap())
}

/// Two primaries and two backups, the backups listed first.
pub(crate) fn with_backups(health: HealthRules) -> Arc<Pool> {
    let mut parts = parts(4, health);
    for member in &mut parts.members[..2] {
        member.tier = Tier::BACKUP;
    }
    Arc::new(Pool::new(parts).unwrap())
}

/// A pool whose last endpoint has just joined, and waits for its first probe until second 2.
pub(crate) fn joined(count: u16) -> Arc<Pool> {
    let mut parts = parts(count, probed());
    parts.members.last_mut().unwrap().live = Arc::new(Live::unproven(&probed(), at_secs(2)));
    Arc::new(Pool::new(parts).unwrap())
}

/// Ejects the member at `index`, at this moment.
pub(crate) fn eject(pool: &Pool, index: usize, now: Moment) {
    for _ in 0..pool.health().failures {
        pool.members()[index].live.failed(now, pool.health());
    }
    assert!(pool.members()[index].live.is_ejected());
}

pub(crate) fn route(host: Option<&str>, path: &str) -> Arc<Route> {
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
    Arc::new(Route {
        name: format!("{}{path}", host.unwrap_or_default()).into(),
        host: host.map(Into::into),
        path: path.into(),
        exact: false,
        listeners: Box::default(),
        pool: pool(1, rules()),
        settings,
        budget: Arc::new(Budget::new()),
    })
}
