//! From a configuration to a whole snapshot.
//!
//! In: a [`Config`] and the [`Lives`] of the snapshots before. Out: a [`Snapshot`], not published.
//! Cost: builds every policy's table anew; state is looked up, never copied.

use std::collections::HashMap;
use std::sync::Arc;

use weir_balance::EndpointsError;
use weir_config::{Config, Service};
use weir_snapshot::{Member, Pool, PoolParts, Route, RouteTable, Snapshot};

use crate::Lives;

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

/// Builds the snapshot that this configuration describes; endpoints, services and routes that were in an earlier one
/// keep their live state. Its revision is one more than the last one's.
///
/// # Errors
/// [`AssembleError`]; the snapshots before, and their state, are as they were.
pub fn assemble(config: &Config, lives: &mut Lives) -> Result<Snapshot, AssembleError> {
    lives.forget_unused();
    let pools: Vec<_> = config.services.iter().map(|service| pool(service, lives)).collect::<Result<_, _>>()?;
    let by_service: HashMap<&str, &Arc<Pool>> = pools.iter().map(|pool| (&**pool.service(), pool)).collect();
    let mut routes = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let name = format!("{}{}", route.host.as_deref().unwrap_or_default(), route.path);
        let Some(pool) = by_service.get(&*route.service) else {
            return Err(AssembleError::NoService { route: name.into(), service: route.service.clone() });
        };
        routes.push(Arc::new(Route {
            budget: lives.budget(&name),
            name: name.into(),
            host: route.host.clone(),
            path: route.path.clone(),
            pool: Arc::clone(pool),
            settings: route.settings.clone(),
        }));
    }
    Ok(Snapshot { revision: lives.next_revision(), routes: RouteTable::new(routes), pools })
}

fn pool(service: &Service, lives: &mut Lives) -> Result<Arc<Pool>, AssembleError> {
    let members = service.endpoints.iter().map(|endpoint| Member {
        address: endpoint.address,
        label: endpoint.address.to_string().into(),
        weight: endpoint.weight,
        drained: endpoint.drain,
        capacity: None,
        live: lives.endpoint(&service.name, endpoint.address, &service.health),
    });
    let members = members.collect();
    let parts = PoolParts {
        service: (&*service.name).into(),
        policy: service.policy,
        members,
        health: Arc::new(service.health.clone()),
        when_all_ejected: service.when_all_ejected,
        turn: lives.turn(&service.name),
    };
    let pool = Pool::new(parts);
    pool.map(Arc::new).map_err(|source| AssembleError::Endpoints { service: service.name.clone(), source })
}
