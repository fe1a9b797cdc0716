//! The proxy as its owner sees it: bind, run, drain.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use pingora_core::connectors::TransportConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_snapshot::{Bytes, Clock, ListenerSettings, Reader, Snapshot, TrustedProxies, WorkFrom};

use crate::access_log::AccessLog;
use crate::body::Budget;
use crate::core::{Core, RequestIds};
use crate::explain::{self, Explanation, Question};
use crate::idle::{Idle, Whom};
use crate::listener::{Door, Listener, ListenerReport};
use crate::observe::Observe;
use crate::recent::{RecentExchange, Ring};
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
    /// How many of the newest exchanges are kept to be looked at; 0 keeps none.
    pub recent: usize,
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
    /// Of each listener, with the address that was configured.
    doors: Vec<(SocketAddr, Arc<Door>)>,
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
        let configured: Vec<SocketAddr> = parts.listeners.iter().map(|settings| settings.address).collect();
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
            trusted_proxies: ArcSwap::from_pointee(parts.trusted_proxies),
            request_ids: RequestIds::seeded(),
            observe: Observe::default(),
            works: Works::default(),
            access_log: ArcSwapOption::from_pointee(parts.access_log),
            recent: Ring::new(parts.recent),
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
        };
        let doors = configured.into_iter().zip(listeners.iter().map(Listener::door)).collect();
        let addresses = listeners.iter().map(Listener::address).collect();
        Ok(Self {
            core: Arc::new(core),
            listeners,
            doors,
            addresses,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        })
    }

    /// The addresses of the listeners, in the order given.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How the listeners stand, in the order given.
    pub fn listeners(&self) -> Vec<ListenerReport> {
        self.doors.iter().zip(&self.addresses).map(|((_, door), address)| door.report(*address)).collect()
    }

    /// The newest exchanges, newest first, as many as are kept.
    pub fn recent(&self) -> Vec<RecentExchange> {
        self.core.recent.newest()
    }

    /// What would become of this request now at the listener of these settings: which route, service and endpoint, or
    /// which refusal. Nothing is counted, taken or used up by asking.
    pub fn explain(&self, listener: &ListenerSettings, question: &Question) -> Explanation {
        explain::explain(&self.core, listener, question)
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
                let known: HashSet<Whom> = members.map(Whom::from).collect();
                core.idle.sweep(core.clock.now(), |whom| known.contains(whom));
                core.observe.sweep();
                core.works.retain(|service| snapshot.pools.iter().any(|pool| &**pool.service() == service));
            }
        });
    }

    /// Obeys other settings from the next exchange on; those that run keep theirs. Listeners are found by the address that
    /// was configured; those that are not among `listeners` stay as they are, and none is opened.
    pub fn change(&self, listeners: &[ListenerSettings], trusted_proxies: &TrustedProxies, body_memory: Bytes) {
        self.core.trusted_proxies.store(Arc::new(trusted_proxies.clone()));
        self.core.body_budget.change(body_memory.get());
        let mut doors: Vec<_> = self.doors.iter().collect();
        for settings in listeners {
            // Several may have been configured with one address, of which each gets a port of its own.
            if let Some(at) = doors.iter().position(|(address, _)| *address == settings.address) {
                doors.remove(at).1.change(settings.clone());
            }
        }
    }

    /// Notes exchanges that end from now on there. What is queued for where they were noted before is still written.
    pub fn log_to(&self, access_log: Option<AccessLog>) {
        self.core.access_log.store(access_log.map(Arc::new));
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
    pub fn refresh_metrics(&self, snapshot: &Snapshot) {
        self.core.observe.body_memory(self.core.body_budget.used());
        self.core.observe.queues(&snapshot.pools);
        for report in self.work_reports(snapshot) {
            self.core.observe.work_report(&report);
        }
    }

    /// What the services of this snapshot that predict work have learnt, by name.
    pub fn work_reports(&self, snapshot: &Snapshot) -> Vec<WorkReport> {
        // What is learnt is kept while the service is there; it is of no use to one that a reload has told not to predict.
        let routes = snapshot.routes.routes().iter();
        let predict = routes.filter(|route| route.settings.queueing.work != WorkFrom::Nothing);
        let predict: HashSet<&str> = predict.map(|route| &**route.pool.service()).collect();
        let mut reports = self.core.works.reports();
        reports.retain(|report| predict.contains(&*report.service));
        reports
    }

    /// Asks for the access log's file to be opened anew, as after a rotation; never waits. `false` when there is no log.
    pub fn reopen_log(&self) -> bool {
        self.core.access_log.load().as_ref().map(|log| log.reopen()).is_some()
    }

    /// Waits until what the access log has queued is written, for two seconds at most. Blocks the thread.
    pub fn finish(&self) {
        if let Some(log) = self.core.access_log.load_full() {
            log.flush();
        }
    }
}
