//! weir: one entry per policy or queue; what differs is the keys of its service.

use super::super::contender::Contender;
use crate::rig::proxy::Kind;

const TEXT: &str = r#"[server]
threads = {threads}
shutdown_delay = "0s"

[admin]
listen = "127.0.0.1:0"

[log]
access = "off"

[[listener]]
address = "127.0.0.1:0"
max_connections = {room}

[[route]]
service = "optimizers"
body = { max = "64MiB", buffer = "32MiB" }
timeout = { connect = "3s", read = "60s", total = "90s" }
retry = { on = ["error", "timeout"], tries = 3, non_idempotent = true, budget = "20%" }

[[service]]
name = "optimizers"
{row}
health = { kind = "http", path = "/healthz", interval = "1s", timeout = "1s", failures = 3, window = "30s" }
endpoints = [
{endpoints}
]
"#;

const ENDPOINT: &str = r#"  { address = "{address}", weight = {weight} },"#;

const CAPPED: &str = r#"  { address = "{address}", weight = {weight}, capacity = {cores} },"#;

const FIFO: &str = r#"policy = "least-connections"
queue = { capacity = {cores}, max = {room}, timeout = "5s" }"#;

/// A small photo takes some 14 ms here, where all is four times as fast as in life.
const BYTES: &str = r#"policy = "least-connections"
work = "content-length"
queue = { capacity = {cores}, max = {room}, timeout = "5s", small = "{small}ms" }"#;

const IMAGE: &str = r#"policy = "least-connections"
work = "image"
queue = { capacity = {cores}, max = {room}, timeout = "5s", small = "{small}ms" }"#;

const STRICT: &str = r#"policy = "least-connections"
work = "image"
queue = { capacity = {cores}, max = {room}, timeout = "5s", extra = 0 }"#;

const fn row(name: &'static str, about: &'static str, row: &'static str) -> Contender {
    Contender { name, kind: Kind::Weir, about, text: TEXT, endpoint: ENDPOINT, row, weighted: None, promised: false }
}

const fn queued(name: &'static str, about: &'static str, row: &'static str, promised: bool) -> Contender {
    Contender { name, kind: Kind::Weir, about, text: TEXT, endpoint: CAPPED, row, weighted: None, promised }
}

/// Its entries.
pub(crate) const WEIR: &[Contender] = &[
    Contender { weighted: Some(r#"policy = "weighted""#), ..row("weir-rr", "in turn", r#"policy = "round-robin""#) },
    row("weir-lc", "fewest in flight", r#"policy = "least-connections""#),
    queued("weir-fifo", "a capacity per endpoint, the others wait in turn", FIFO, false),
    queued("weir-bytes", "the same, smallest first by Content-Length, one small one beside the capacity", BYTES, false),
    queued("weir-strict", "by the dimensions of the photo, and none beside the capacity", STRICT, false),
    queued("weir-image", "the same, smallest first by the dimensions of the photo", IMAGE, true),
];
