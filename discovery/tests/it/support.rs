//! Loopback endpoints that do as they are told, and values that the tests build on.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use weir_balance::{Policy, Weight};
use weir_config::{AccessLog, Admin, Config, Discovery, Endpoint, Log, Server, Service};
use weir_discovery::{AssembleError, Health, Lives, Overrides, assemble, fixed};
use weir_snapshot::{
    BudgetRules, Bytes, Clock, HealthRules, KeySource, Live, LogFormat, LogRules, Millis, Probe, ProbeKind, Publisher,
    Queueing, RetryRules, RouteSettings, Sample, Snapshot, Timeouts, TrustedProxies, WhenAllEjected, WorkFrom,
};

/// What an endpoint does with a connection.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Answers, then closes.
    Reply(String),
    /// Answers, then repeats the second text for ever.
    Endless(String, String),
    /// Reads, and says nothing.
    Silence,
    /// Closes without a word.
    Hangup,
}

impl Act {
    pub(crate) fn status(status: u16) -> Self {
        Self::answer(status, "ok")
    }

    pub(crate) fn answer(status: u16, body: &str) -> Self {
        Self::Reply(format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }
}

/// A loopback endpoint; gone with its port when dropped.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<(Act, Vec<String>)>>,
    accepting: JoinHandle<()>,
}

impl Scripted {
    pub(crate) async fn start(act: Act) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), act).await
    }

    pub(crate) async fn start_at(address: SocketAddr, act: Act) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new((act, Vec::new())));
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
            }
        });
        Self { address, shared, accepting }
    }

    pub(crate) fn act(&self, act: Act) {
        self.shared.lock().unwrap().0 = act;
    }

    /// The request heads read so far; an empty one for a connection that was closed without.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.shared.lock().unwrap().1.clone()
    }

    /// Closes the port and all connections.
    pub(crate) async fn stop(mut self) {
        self.accepting.abort();
        (&mut self.accepting).await.unwrap_err();
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// An error ends the connection, and a probe that it matters to notices.
async fn serve(mut stream: TcpStream, shared: Arc<Mutex<(Act, Vec<String>)>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    let act = {
        let mut shared = shared.lock().unwrap();
        shared.1.push(String::from_utf8(head).unwrap());
        shared.0.clone()
    };
    match act {
        Act::Reply(answer) => stream.write_all(answer.as_bytes()).await?,
        Act::Endless(answer, again) => {
            stream.write_all(answer.as_bytes()).await?;
            loop {
                stream.write_all(again.as_bytes()).await?;
            }
        }
        Act::Silence => {
            stream.read_u8().await?;
        }
        Act::Hangup => {}
    }
    Ok(())
}

/// Waits for the event itself; gives up after ten seconds.
pub(crate) async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let wait = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "never happened: {what}");
}

pub(crate) fn http(path: &str, text: Option<&str>) -> ProbeKind {
    ProbeKind::Http { path: path.into(), host: None, statuses: vec![(200, 299)], body: text.map(Into::into) }
}

/// Probes every 10 ms, so that ten seconds are a thousand probes; gives an answer two seconds.
pub(crate) fn probed(kind: ProbeKind) -> HealthRules {
    let probe = Probe { kind, interval: Millis::new(10), timeout: Millis::from_secs(2) };
    HealthRules { probe: Some(probe), ..unprobed() }
}

pub(crate) fn unprobed() -> HealthRules {
    HealthRules { failures: 3, window: Millis::from_secs(30), successes: 1, statuses: Vec::new(), probe: None }
}

pub(crate) fn service(name: &str, addresses: &[SocketAddr], health: HealthRules) -> Service {
    let endpoint = |&address| Endpoint { address, weight: Weight::ONE, drain: false, backup: false, capacity: None };
    Service {
        name: name.into(),
        policy: Policy::RoundRobin,
        key: KeySource::Path,
        endpoints: addresses.iter().map(endpoint).collect(),
        sources: Vec::new(),
        empty_after: Millis::from_secs(30),
        health,
        when_all_ejected: WhenAllEjected::TryAll,
        slow_start: None,
        queue: None,
        work: WorkFrom::Nothing,
        adaptive: false,
    }
}

pub(crate) fn route(host: Option<&str>, path: &str, service: &str) -> weir_config::Route {
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
    let host = host.map(Into::into);
    let listeners = Box::default();
    weir_config::Route { host, path: path.into(), exact: false, listeners, service: service.into(), settings }
}

pub(crate) fn config(routes: Vec<weir_config::Route>, services: Vec<Service>) -> Config {
    let server = Server {
        threads: 0,
        shutdown_delay: Millis::new(0),
        shutdown_deadline: Millis::new(0),
        trusted_proxies: TrustedProxies::default(),
        body_memory: Bytes::new(0),
    };
    let admin = Admin { listen: ([127, 0, 0, 1], 0).into(), token_file: None, recent: 0 };
    let discovery = Discovery { cache_dir: None, start_wait: Millis::from_secs(5) };
    Config {
        server,
        admin,
        log: Log {
            access: AccessLog::Off,
            rules: LogRules { format: LogFormat::Combined, sample: Sample::ALL },
            mode: 0o640,
        },
        discovery,
        register: None,
        listeners: Vec::new(),
        routes,
        services,
    }
}

/// Assembles what is configured, with no other endpoints than those.
pub(crate) fn assembled(config: &Config, lives: &mut Lives) -> Result<Snapshot, AssembleError> {
    let found: Vec<_> = config.services.iter().map(fixed).collect();
    assemble(config, &found, &Overrides::default(), lives, Clock::start())
}

/// A publisher and the probes of what it publishes.
pub(crate) struct Running {
    pub(crate) publisher: Publisher,
    pub(crate) lives: Lives,
    stop: oneshot::Sender<()>,
    health: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(config: &Config) -> Self {
        let mut lives = Lives::new();
        let publisher = Publisher::new(assembled(config, &mut lives).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { stopped.await.unwrap_or_default() };
        let health = tokio::spawn(Health::run(publisher.reader(), Clock::start(), shutdown));
        Self { publisher, lives, stop, health }
    }

    pub(crate) fn publish(&mut self, config: &Config) {
        self.publisher.publish(assembled(config, &mut self.lives).unwrap());
    }

    /// The live state of the endpoint at `index` in the first service.
    pub(crate) fn live(&self, index: usize) -> Arc<Live> {
        Arc::clone(&self.publisher.reader().load().pools[0].members()[index].live)
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.health.await.unwrap();
    }
}
