//! `HAProxy`: as most run it, and with the queue that it alone of the peers has, in several orders.
//!
//! `maxconn` on an endpoint keeps what is too much for its cores in a queue of the proxy, served first in, first out, or by what
//! `set-priority-class` (classes strictly one after the other) and `set-priority-offset` (milliseconds that are
//! added to the time of arrival) say. Both can be computed from the announced length of a body, which is all it knows of an image.

use super::super::contender::Contender;
use crate::rig::proxy::Kind;

const TEXT: &str = "global
  nbthread {threads}
  maxconn {room}
defaults
  mode http
  option http-keep-alive
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response
  timeout connect 3s
  timeout client 75s
  timeout server 60s
  timeout queue 5s
frontend listener
  bind {listen}
  default_backend optimizers
backend optimizers
  balance leastconn
  http-reuse always
  option httpchk GET /healthz
{row}
  default-server check inter 1s fall 3 rise 1 observe layer4 error-limit 3 on-error mark-down
{endpoints}
";

const PLAIN: &str = "  server endpoint{number} {address} weight {weight}";
const CAPPED: &str = "  server endpoint{number} {address} weight {weight} maxconn {cores}";

/// A little more than the cores take: small ones wait less behind large ones while there is little to do.
const ROOMY: &str = "  server endpoint{number} {address} weight {weight} maxconn {more}";

const OFFSET_8: &str = "  http-request set-priority-offset req.hdr_val(content-length),mul(8),div({bytes_per_ms})";
const OFFSET_20: &str = "  http-request set-priority-offset req.hdr_val(content-length),mul(20),div({bytes_per_ms})";
const OFFSET_50: &str = "  http-request set-priority-offset req.hdr_val(content-length),mul(50),div({bytes_per_ms})";

const STEPS: &str = "  http-request set-priority-class int(1) if { req.hdr_val(content-length) lt {step1} }
  http-request set-priority-class int(2) if { req.hdr_val(content-length) ge {step1} } { req.hdr_val(content-length) lt {step2} }
  http-request set-priority-class int(3) if { req.hdr_val(content-length) ge {step2} }";

const fn row(name: &'static str, about: &'static str, row: &'static str, endpoint: &'static str) -> Contender {
    Contender { name, kind: Kind::Haproxy, about, text: TEXT, endpoint, row, weighted: None, promised: false }
}

/// Its entries.
pub(crate) const HAPROXY: &[Contender] = &[
    row("haproxy", "leastconn", "", PLAIN),
    row("haproxy-fifo", "leastconn, maxconn per endpoint", "", CAPPED),
    row("haproxy-class", "maxconn, three priority classes by Content-Length", STEPS, CAPPED),
    row(
        "haproxy-sjf",
        "maxconn, a priority class per millisecond of work told by Content-Length",
        "  http-request set-priority-class req.hdr_val(content-length),div({bytes_per_ms})",
        CAPPED,
    ),
    row("haproxy-offset-8", "maxconn, priority offset of 8 times the work told by Content-Length", OFFSET_8, CAPPED),
    row("haproxy-offset-20", "the same, 20 times the work", OFFSET_20, CAPPED),
    row("haproxy-offset-50", "the same, 50 times the work", OFFSET_50, CAPPED),
    row("haproxy-roomy", "20 times the work, maxconn half as much again", OFFSET_20, ROOMY),
];
