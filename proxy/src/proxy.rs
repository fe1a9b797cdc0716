//! The proxy as its owner sees it: bind, run, drain.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::connectors::TransportConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_snapshot::{Bytes, Clock, ListenerSettings, Reader, TrustedProxies};

use crate::access_log::AccessLog;
use crate::body::Budget;
use crate::core::{Core, RequestIds};
use crate::idle::{Idle, Whom};
use crate::listener::Listener;
use crate::observe::Observe;
use crate::work::{WorkReport, Works};

/// How often idle connections to endpoints are looked through: a second late is soon enough for a timeout of minutes.
const SWEEP: Duration = Duration::from_secs(1);

/// What a proxy is made of.
pub struct ProxyParts {
    /// Time.
    pub clock: Clock,
    /// Routes and endpoints of the moment.
    pub reader: Reader,
    /// Where clients connect.
    pub listeners: Vec<ListenerSettings>,
    /// Whose forwarding fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// Memory for request bodies, all together.
    pub body_memory: Bytes,
    /// Where each exchange is noted.
    pub access_log: Option<AccessLog>,
}

/// A listener's address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    pub source: io::Error,
}

/// A proxy whose listeners are bound.
pub struct Proxy {
    core: Arc<Core>,
    listeners: Vec<Listener>,
    addresses: Vec<SocketAddr>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Proxy {
    /// Binds every listener; none accepts before [`Proxy::start`].
    ///
    /// # Errors
    /// [`BindError`] for the first address that cannot be had.
    pub fn bind(parts: ProxyParts) -> Result<Self, BindError> {
        let listeners = parts
            .listeners
            .into_iter()
            .map(|settings| {
                let address = settings.address;
                Listener::bind(settings).map_err(|source| BindError { address, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let core = Core {
            reader: parts.reader,
            clock: parts.clock,
            connector: TransportConnector::new(None),
            idle: Idle::default(),
            body_budget: Budget::new(parts.body_memory.get()),
            trusted_proxies: parts.trusted_proxies,
            request_ids: RequestIds::seeded(),
            observe: Observe::default(),
            works: Works::default(),
            access_log: parts.access_log,
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        let addresses = listeners.iter().map(Listener::address).collect();
        Ok(Self {
            core: Arc::new(core),
            listeners,
            addresses,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// The addresses of the listeners, in the order given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Starts accepting, on the runtime of the caller.
    pub fn start(&mut self) {
        for listener in self.listeners.drain(..) {
            let connections = self.tasks.clone();
            self.tasks.spawn(listener.run(self.core.clone(), connections, self.stop.clone()));
        }
        let (core, stop) = (self.core.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            while stop.run_until_cancelled(tokio::time::sleep(SWEEP)).await.is_some() {
                let snapshot = core.reader.load();
                let members = snapshot.pools.iter().flat_map(|pool| pool.members());
                let known: std::collections::HashSet<Whom> = members.map(Whom::from).collect();
                core.idle.sweep(core.clock.now(), |whom| known.contains(whom));
                core.observe.sweep();
                core.works.retain(|service| snapshot.pools.iter().any(|pool| &**pool.service() == service));
            }
        });
    }

    /// Asks clients to go elsewhere: answers say `Connection: close` from now on.
    pub fn begin_drain(&self) {
        self.core.draining.cancel();
    }

    /// Closes the listeners and the connections that wait for a request, and waits for the exchanges under way.
    pub async fn drain(&self) {
        self.core.draining.cancel();
        self.core.closing.cancel();
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Brings the gauges up to date that are read rather than counted; call it before metrics are rendered.
    pub fn refresh_metrics(&self) {
        self.core.observe.body_memory(self.core.body_budget.used());
        self.core.observe.queues(&self.core.reader.load().pools);
        for report in self.work_reports() {
            self.core.observe.work_report(&report);
        }
    }

    /// What the services that predict work have learnt, by name.
    pub fn work_reports(&self) -> Vec<WorkReport> {
        self.core.works.reports()
    }

    /// Asks for the access log's file to be opened anew, as after a rotation; never waits. `false` when there is no log.
    pub fn reopen_log(&self) -> bool {
        self.core.access_log.as_ref().map(AccessLog::reopen).is_some()
    }

    /// Waits until what the access log has queued is written, for two seconds at most. Blocks the thread.
    pub fn finish(&self) {
        if let Some(log) = &self.core.access_log {
            log.flush();
        }
    }
}
