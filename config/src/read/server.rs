//! `[server]`, `[admin]` and `[discovery]`.

mod print;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use weir_snapshot::{Bytes, Millis, TrustedProxies};

use super::ONE_DAY;
use crate::raw::{Duration, Key, List, Optional, Otherwise, OtherwiseAll, Section, Size, Spec, Text, Whole};
use crate::sink::{Fault, Reported, Sink};
use crate::{Admin, Discovery, Server, defaults, names};

pub(super) use print::{print_admin, print_discovery, print_server};

pub(crate) static SERVER: Spec = Spec {
    header: "[server]",
    keys: &[&THREADS, &SHUTDOWN_DELAY, &SHUTDOWN_DEADLINE, &TRUSTED_PROXIES, &BODY_MEMORY],
    later: &[],
    example: "[server]",
    about: "The process.",
};
pub(crate) static ADMIN: Spec = Spec {
    header: "[admin]",
    keys: &[&ADMIN_LISTEN, &TOKEN_FILE, &RECENT],
    later: &[],
    example: "[admin]",
    about: "Metrics, `/healthz`, `/readyz` and the calls of `docs/reference/admin.md`.",
};
pub(crate) static DISCOVERY: Spec = Spec {
    header: "[discovery]",
    keys: &[&CACHE_DIR, &START_WAIT],
    later: &[],
    example: "[discovery]",
    about: "What the sources of endpoints have in common.",
};

static THREADS: Key<Whole<usize>, Otherwise<usize>> = Key {
    name: "threads",
    kind: Whole { min: 0, max: 1024 },
    absent: Otherwise(defaults::THREADS),
    meaning: "Threads that serve; 0 is one per core.",
};
static SHUTDOWN_DELAY: Key<Duration, Otherwise<Millis>> = Key {
    name: "shutdown_delay",
    kind: Duration { min: Millis::new(0), max: ONE_DAY },
    absent: Otherwise(defaults::SHUTDOWN_DELAY),
    meaning: "From the signal, when `/readyz` begins to fail, to the closing of the listeners.",
};
static SHUTDOWN_DEADLINE: Key<Duration, Otherwise<Millis>> = Key {
    name: "shutdown_deadline",
    kind: Duration { min: Millis::new(0), max: ONE_DAY },
    absent: Otherwise(defaults::SHUTDOWN_DEADLINE),
    meaning: "How long exchanges that run when the listeners close may take to end.",
};
static TRUSTED_PROXIES: Key<List<Text<IpNet>>, OtherwiseAll<IpNet>> = Key {
    name: "trusted_proxies",
    kind: List {
        each: Text {
            shape: "network such as `\"10.0.0.0/8\"`, or IP address",
            parse: names::network,
            show: IpNet::to_string,
        },
    },
    absent: OtherwiseAll(&[]),
    meaning: "Networks whose `X-Forwarded-For` and `Forwarded` are believed.",
};
static BODY_MEMORY: Key<Size, Otherwise<Bytes>> = Key {
    name: "body_memory",
    kind: Size { min: Bytes::new(0), max: Bytes::from_mib(1 << 20) },
    absent: Otherwise(defaults::BODY_MEMORY),
    meaning: "Most that all held bodies take together; bodies beyond are streamed and cannot be sent again.",
};

static ADMIN_LISTEN: Key<Text<SocketAddr>, Otherwise<SocketAddr>> = Key {
    name: "listen",
    kind: Text {
        shape: "`\"ip:port\"`, loopback unless there is a `token_file`; port 0 is a free one",
        parse: names::admin_address,
        show: SocketAddr::to_string,
    },
    absent: Otherwise(defaults::ADMIN_LISTEN),
    meaning: "Where metrics and health are served, and weir is looked at and told what to do.",
};
static TOKEN_FILE: Key<Text<PathBuf>, Optional> = Key {
    name: "token_file",
    kind: Text { shape: "path of a file", parse: names::path, show: names::show_path },
    absent: Optional(|| "no token".to_owned()),
    meaning: "Holds the token that changes need; at another than a loopback address everything under `/api` needs it.",
};
static RECENT: Key<Whole<usize>, Otherwise<usize>> = Key {
    name: "recent",
    kind: Whole { min: 0, max: 100_000 },
    absent: Otherwise(defaults::RECENT),
    meaning: "How many of the newest exchanges `/api/recent` knows, without queries and bodies; 0 is none.",
};

static CACHE_DIR: Key<Text<PathBuf>, Optional> = Key {
    name: "cache_dir",
    kind: Text { shape: "path of a folder", parse: names::path, show: names::show_path },
    absent: Optional(|| "nothing is kept".to_owned()),
    meaning: "Where the last good endpoints of each service are kept, so that weir starts while a source is down.",
};
static START_WAIT: Key<Duration, Otherwise<Millis>> = Key {
    name: "start_wait",
    kind: Duration { min: Millis::new(0), max: Millis::from_secs(300) },
    absent: Otherwise(defaults::START_WAIT),
    meaning: "How long a start waits for the first answer of every source before it goes on without.",
};

/// The admin address and where it is written.
#[derive(Debug)]
pub(super) struct AdminRead {
    pub(super) value: Admin,
    pub(super) span: std::ops::Range<usize>,
    pub(super) is_written: bool,
}

pub(super) fn read_server(section: &Section<'_>, sink: &mut Sink) -> Result<Server, Reported> {
    let threads = section.take(&THREADS, sink);
    let shutdown_delay = section.take(&SHUTDOWN_DELAY, sink);
    let shutdown_deadline = section.take(&SHUTDOWN_DEADLINE, sink);
    let trusted_proxies = section.take(&TRUSTED_PROXIES, sink);
    let body_memory = section.take(&BODY_MEMORY, sink);
    Ok(Server {
        threads: threads?,
        shutdown_delay: shutdown_delay?,
        shutdown_deadline: shutdown_deadline?,
        trusted_proxies: TrustedProxies(trusted_proxies?),
        body_memory: body_memory?,
    })
}

pub(super) fn read_admin(section: &Section<'_>, sink: &mut Sink) -> Result<AdminRead, Reported> {
    let listen = section.take(&ADMIN_LISTEN, sink);
    let token_file = section.take(&TOKEN_FILE, sink);
    let recent = section.take(&RECENT, sink);
    let (listen, name) = (listen?, ADMIN_LISTEN.name);
    let needs_token = !listen.ip().to_canonical().is_loopback();
    if needs_token && !section.has(TOKEN_FILE.name) && !section.is_misspelt(TOKEN_FILE.name) {
        let port = listen.port();
        let fault = Fault::new(
            "an admin address that is not on the loopback interface needs a token",
            "others could reach it without one",
        );
        let help = format!("add `token_file = \"/etc/weir/token\"`, or write `\"127.0.0.1:{port}\"`");
        return Err(sink.wrong(section.span(name), fault.help(help)));
    }
    let value = Admin { listen, token_file: token_file?, recent: recent? };
    Ok(AdminRead { value, span: section.span(name), is_written: section.has(name) })
}

pub(super) fn read_discovery(section: &Section<'_>, sink: &mut Sink) -> Result<Discovery, Reported> {
    let cache_dir = section.take(&CACHE_DIR, sink);
    let start_wait = section.take(&START_WAIT, sink);
    Ok(Discovery { cache_dir: cache_dir?, start_wait: start_wait? })
}
