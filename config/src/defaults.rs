//! What holds when the configuration does not say, and why that much.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use weir_balance::{VirtualNodes, Weight};
use weir_snapshot::{Bytes, FieldNames, Millis, Sample, WorkFrom};

/// `server.threads`: one per core. A thread more has no core to run on, a thread less leaves one idle.
pub const THREADS: usize = 0;
/// `server.shutdown_delay`: one beat of a load balancer's or Kubernetes' readiness probe at its fastest.
pub const SHUTDOWN_DELAY: Millis = Millis::from_secs(1);
/// `server.shutdown_deadline`: Kubernetes kills after 30 s too.
pub const SHUTDOWN_DEADLINE: Millis = Millis::from_secs(30);
/// `server.body_memory`: a quarter of a small machine's 2 GiB, and eight bodies of 64 MiB at once.
pub const BODY_MEMORY: Bytes = Bytes::from_mib(512);

/// `admin.listen`: 9090 as Prometheus itself, which is what most people try first; loopback, for without
/// `token_file` it asks for no token.
pub const ADMIN_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090));

/// `log.format`: every fact, and one that programs read without a pattern.
pub const LOG_AS_JSON: bool = true;
/// `log.sample`: a line per exchange is what anyone expects of an access log; who has too many knows it.
pub const LOG_SAMPLE: Sample = Sample::ALL;
/// `log.mode`: as Debian's nginx creates its own; addresses of clients are not for every user of the machine.
pub const LOG_MODE: u32 = 0o640;

/// `admin.recent`: the last second of a busy weir, and hours of a quiet one, for less than 1 MiB.
pub const RECENT: usize = 1000;

/// `listener.max_connections`: 10,000 idle ones take about 150 MB.
pub const MAX_CONNECTIONS: usize = 10_000;
/// `listener.header_timeout`: a browser on a bad mobile link sends a head within 3 s. nginx allows 60 s, which is what
/// slowloris lives on.
pub const HEADER_TIMEOUT: Millis = Millis::from_secs(10);
/// `listener.idle_timeout`: nginx's `keepalive_timeout`.
pub const IDLE_TIMEOUT: Millis = Millis::from_secs(75);
/// `listener.read_timeout`: nginx's `client_body_timeout`.
pub const CLIENT_READ_TIMEOUT: Millis = Millis::from_secs(60);
/// `listener.write_timeout`: nginx's `send_timeout`.
pub const CLIENT_WRITE_TIMEOUT: Millis = Millis::from_secs(60);
/// `listener.max_head`: nginx's `large_client_header_buffers`, 4 of 8 KiB.
pub const MAX_HEAD: Bytes = Bytes::from_kib(32);
/// `listener.max_fields`: Apache's `LimitRequestFields`; browsers send about 20.
pub const MAX_FIELDS: usize = 100;
/// `listener.max_target`: nginx's, one of its 8 KiB buffers. Less when `max_head` is less.
pub const MAX_TARGET: Bytes = Bytes::from_kib(8);
/// `listener.field_names`: as nginx. To an endpoint behind CGI's names `X_Real_IP` is `X-Real-IP`, which no client may say.
pub const FIELD_NAMES: FieldNames = FieldNames::Plain;

/// `route.path`: every path.
pub const PATH: &str = "/";
/// `route.match`: as nginx's `location` without a modifier.
pub const EXACT: bool = false;
/// `route.body.max`: nginx's `client_max_body_size`.
pub const MAX_BODY: Bytes = Bytes::from_mib(1);
/// `route.body.buffer`: whatever nginx would accept by default can be sent again. Less when `max` or `body_memory` is
/// less; not more, since a hundred uploads at once then take a hundred MiB.
pub const BUFFER_BODY: Bytes = Bytes::from_mib(1);
/// `route.timeout.connect`: one lost SYN (sent again after 1 s) is survived, two are not. nginx waits 60 s, long after
/// the client has left. Less when `total` is less.
pub const CONNECT_TIMEOUT: Millis = Millis::from_secs(3);
/// `route.timeout.read`: nginx's `proxy_read_timeout`.
pub const READ_TIMEOUT: Millis = Millis::from_secs(60);
/// `route.timeout.write`: nginx's `proxy_send_timeout`.
pub const WRITE_TIMEOUT: Millis = Millis::from_secs(60);
/// `route.timeout.idle`: nginx's `keepalive_timeout` for its upstreams. An endpoint that closes earlier is no harm: a
/// connection that turns out closed is replaced without blame.
pub const ENDPOINT_IDLE_TIMEOUT: Millis = Millis::from_secs(60);
/// `route.timeout.total`: longer than three tries of one read timeout each, short enough that a forgotten request ends.
pub const TOTAL_TIMEOUT: Millis = Millis::from_secs(300);
/// `route.retry.tries`: a first try, one more, and one for the case that two endpoints went down together.
pub const TRIES: u8 = 3;
/// `route.retry.non_idempotent`: as nginx; only the owner of a service knows whether its POST may be sent twice.
pub const NON_IDEMPOTENT: bool = false;
/// `route.retry.budget`: Envoy's and Linkerd's share; retries then add at most a fifth to the load of a service that
/// fails at everything.
pub const RETRY_BUDGET: u8 = 20;
/// `route.retry.budget_floor`: Linkerd's; below 50 requests a second the share alone would be no retry at all.
pub const RETRY_BUDGET_FLOOR: u32 = 10;

/// `service.hash.virtual_nodes`, see [`VirtualNodes::DEFAULT`].
pub const VIRTUAL_NODES: u16 = VirtualNodes::DEFAULT.get();
/// `service.ip_prefix.v4`: the whole address. nginx's `ip_hash` takes `/24`, which puts an office behind one endpoint.
pub const IP_PREFIX_V4: u8 = 32;
/// `service.ip_prefix.v6`: the network; a host changes the other half of its address daily.
pub const IP_PREFIX_V6: u8 = 64;
/// `endpoints[].weight`: equal shares.
pub const WEIGHT: Weight = Weight::ONE;
/// `endpoints[].drain`: new exchanges are welcome.
pub const DRAIN: bool = false;
/// `endpoints[].backup`, and that of a source: serves always.
pub const BACKUP: bool = false;
/// `service.empty_after`: outlasts a leader election, an agent's restart and a registry that was restored empty and is
/// filled again. Who really stopped the last endpoint loses little: exchanges fail a little later than they would.
pub const EMPTY_AFTER: Millis = Millis::from_secs(30);

/// `discovery.start_wait`: a registry on the same network answers in milliseconds, a frozen one must not keep weir down.
pub const START_WAIT: Millis = Millis::from_secs(5);
/// `consul.address`: where Consul's own tools look.
pub const CONSUL_ADDRESS: &str = "http://127.0.0.1:8500";
/// `consul.wait`: a query a minute costs an agent nothing, and a frozen agent is found out a good minute later.
pub const CONSUL_WAIT: Millis = Millis::from_secs(60);

/// `service.health.path`: what Kubernetes made usual.
pub const PROBE_PATH: &str = "/healthz";
/// `service.health.statuses`: Kubernetes' probes take the same for well.
pub const PROBE_STATUSES: (u16, u16) = (200, 399);
/// `service.health.interval`: nginx's; with three failures an endpoint is out after 10 to 15 s.
pub const PROBE_INTERVAL: Millis = Millis::from_secs(5);
/// `service.health.timeout`: Kubernetes'; an endpoint that needs more for this is not well. Less when `interval` is less.
pub const PROBE_TIMEOUT: Millis = Millis::from_secs(1);
/// `service.health.failures`: two may be chance.
pub const FAILURES: u16 = 3;
/// `service.health.window`: three times nginx's `fail_timeout`, so that three probes 5 s apart fit in well.
pub const WINDOW: Millis = Millis::from_secs(30);
/// `service.health.successes`: an endpoint that answers is worth trying; if it is not, it is soon out again.
pub const SUCCESSES: u16 = 1;

/// `route.priority`: nobody stands back.
pub const PRIORITY: u8 = 0;
/// `service.work`: nothing is looked into that was not asked for.
pub const WORK: WorkFrom = WorkFrom::Nothing;
/// `service.queue.max`: what waits is held in memory, so that there is an end; at 200 exchanges a second 5 s of them.
pub const QUEUE_MAX: usize = 1024;
/// `service.queue.timeout`: HAProxy's common setting; who has waited for 5 s has mostly left, and who has not is better
/// told when to come back.
pub const QUEUE_TIMEOUT: Millis = Millis::from_secs(5);
/// `service.queue.ageing`: between 10 and 20 the simulated tail is best (`docs/benchmarks.md`).
pub const AGEING: u16 = 15;
/// `service.queue.believed`: as long as `timeout`, beyond which nobody waits anyway.
pub const BELIEVED: Millis = Millis::from_secs(5);
/// `service.queue.extra`: takes away what strict permits cost small ones at low load, and has the cores at work between one
/// answer and the next request (`docs/benchmarks.md`).
pub const EXTRA: u32 = 1;
/// `service.queue.small`: twice an ordinary photo. A person does not notice that much.
pub const SMALL: Millis = Millis::new(100);
/// `service.queue.priority_step`: a batch waits a second longer than what came with it, and no more.
pub const PRIORITY_STEP: Millis = Millis::from_secs(1);
/// `service.queue.slack`: a page of a few photos at once is no greed; a hundred are.
pub const SLACK: Millis = Millis::new(200);
/// `service.queue.adaptive`: a capacity that was written down is meant.
pub const ADAPTIVE: bool = false;
/// The least work that an exchange counts as, what a queue without predictions charges; no endpoint answers faster.
pub const LEAST_WORK: Millis = Millis::new(1);
