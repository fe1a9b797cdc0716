//! From a configuration to a whole snapshot.
//!
//! In: a [`Config`], the endpoints found for each service, what operators override, the [`Lives`] of the snapshots before. Out: a [`Snapshot`], not
//! published. Cost: builds the policy's table of each service that changed anew, and the table of routes; the pools of
//! the others are those of the snapshot before. State is looked up, never copied.

use std::collections::HashMap;
use std::sync::Arc;

use weir_balance::{EndpointsError, Policy};
use weir_config::{Config, Endpoint, Service};
use weir_snapshot::{
    Clock, HealthRules, Member, Millis, Pool, PoolParts, Route, RoutePath, RouteTable, SlowStart, Snapshot, Tier,
    WhenAllEjected,
};

use crate::lives::Lasting;
use crate::overrides::OfService;
use crate::{Found, Lives, Overrides};

/// A configuration that no snapshot can be made of. What `weir-config` reads from a file never is one.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// The endpoints of a service are too many, or one is listed twice.
    #[error("service `{service}` has no usable list of endpoints")]
    Endpoints {
        /// The service.
        service: Box<str>,
        /// What is wrong with them.
        source: EndpointsError,
    },
    /// A route leads nowhere.
    #[error("route `{route}` leads to service `{service}`, which is not configured")]
    NoService {
        /// The route, as host and path.
        route: Box<str>,
        /// The service that there is not.
        service: Box<str>,
    },
}

/// Builds the snapshot that this configuration describes, with these endpoints, one list per service and in their order;
/// endpoints, services and routes that were in an earlier one keep their live state. Its revision is one more than the
/// last one's.
///
/// # Errors
/// [`AssembleError`]; the snapshots before, and their state, are as they were.
pub fn assemble(
    config: &Config,
    found: &[Arc<[Found]>],
    overrides: &Overrides,
    lives: &mut Lives,
    clock: Clock,
) -> Result<Snapshot, AssembleError> {
    lives.forget_unused();
    let none: Arc<[Found]> = Arc::default();
    let pools: Vec<_> = config
        .services
        .iter()
        .enumerate()
        .map(|(index, service)| {
            let found = found.get(index).unwrap_or(&none);
            pool(service, found, overrides.of(&service.name), lives, clock)
        })
        .collect::<Result<_, _>>()?;
    let by_service: HashMap<&str, &Arc<Pool>> = pools.iter().map(|pool| (&**pool.service(), pool)).collect();
    let mut routes = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let name = name(route);
        let pool = match by_service.get(&*route.service) {
            Some(pool) => Arc::clone(pool),
            None if route.settings.answer.is_some() => nobody()?,
            None => return Err(AssembleError::NoService { route: name.into(), service: route.service.clone() }),
        };
        routes.push(Arc::new(Route {
            budget: lives.budget(&name),
            name: name.into(),
            host: route.host.clone(),
            path: RoutePath::new(&route.path),
            exact: route.exact,
            listeners: route.listeners.clone(),
            pool,
            settings: route.settings.clone(),
        }));
    }
    lives.leave_out(&config.services);
    Ok(Snapshot { revision: lives.next_revision(), routes: RouteTable::new(routes), pools })
}

/// What a route is called in metrics and logs: host and path, with `=` between them when it is for that path alone, and
/// the listeners behind an `@` when it is not for all. No two routes are called alike.
fn name(route: &weir_config::Route) -> String {
    let exact = if route.exact { "=" } else { "" };
    let listeners: Vec<String> = route.listeners.iter().map(ToString::to_string).collect();
    let on = if listeners.is_empty() { String::new() } else { format!("@{}", listeners.join(",")) };
    format!("{}{exact}{}{on}", route.host.as_deref().unwrap_or_default(), route.path)
}

/// The pool of a route that answers by itself: of no service, and without endpoints.
fn nobody() -> Result<Arc<Pool>, AssembleError> {
    let health = HealthRules { failures: 1, window: Millis::new(1), successes: 1, statuses: Vec::new(), probe: None };
    let parts = PoolParts {
        service: "".into(),
        policy: Policy::RoundRobin,
        members: Vec::new(),
        health: Arc::new(health),
        when_all_ejected: WhenAllEjected::Refuse,
        turn: Arc::default(),
        slow_start: None,
    };
    let pool = Pool::new(parts).map_err(|source| AssembleError::Endpoints { service: Box::default(), source })?;
    Ok(Arc::new(pool))
}

/// The endpoints that a service has by its configuration alone.
pub fn fixed(service: &Service) -> Arc<[Found]> {
    service.endpoints.iter().map(found).collect()
}

/// An endpoint as it is written.
pub(crate) fn found(endpoint: &Endpoint) -> Found {
    Found {
        address: endpoint.address,
        weight: endpoint.weight,
        tier: if endpoint.backup { Tier::BACKUP } else { Tier::PRIMARY },
        capacity: endpoint.capacity,
        drained: endpoint.drain,
    }
}

fn pool(
    service: &Service,
    found: &Arc<[Found]>,
    overrides: Option<&Arc<OfService>>,
    lives: &mut Lives,
    clock: Clock,
) -> Result<Arc<Pool>, AssembleError> {
    let (lives, generation) = lives.service(&service.name);
    if let Some(unchanged) = lives.unchanged(service, found, overrides) {
        return Ok(unchanged);
    }
    lives.begin();
    let now = clock.now();
    let member = |found: &Found| {
        let Lasting { label, generation, live } = lives.endpoint(found.address, &service.health, now, generation);
        let said = overrides.and_then(|overrides| overrides.get(&found.address));
        let (found, believed) = match said.map(|said| said.over(*found, service.policy)) {
            Some((found, believed)) => (found, Some(believed)),
            None => (*found, None),
        };
        let Found { address, weight, tier, capacity, drained } = found;
        Member { address, label, weight, drained, believed, tier, capacity, generation, live }
    };
    let members = found.iter().map(member).collect();
    let parts = PoolParts {
        service: (&*service.name).into(),
        policy: service.policy,
        members,
        health: Arc::new(service.health.clone()),
        when_all_ejected: service.when_all_ejected,
        turn: Arc::clone(&lives.turn),
        slow_start: service.slow_start.map(|span| SlowStart { span, starts: Arc::clone(&lives.starts) }),
    };
    let built = match service.queue {
        Some(rules) => Pool::queued(parts, lives.permits(rules, clock), rules),
        None => Pool::new(parts),
    }
    .map(Arc::new);
    let pool = built.map_err(|source| AssembleError::Endpoints { service: service.name.clone(), source })?;
    lives.built(service, found, overrides, &pool);
    Ok(pool)
}
