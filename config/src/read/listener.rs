//! `[[listener]]`.

mod print;

use std::net::SocketAddr;
use std::ops::Range;

use weir_snapshot::{Bytes, FieldNames, ListenerSettings, Millis};

use super::{ONE_DAY, SHORTEST};
use crate::raw::{Duration, Key, Optional, Otherwise, Required, Section, Size, Spec, Text, Whole, Word};
use crate::sink::{Fault, Reported, Sink};
use crate::{defaults, names};

pub(super) use print::print;

pub(crate) static LISTENER: Spec = Spec {
    header: "[[listener]]",
    keys: &[
        &ADDRESS,
        &MAX_CONNECTIONS,
        &HEADER_TIMEOUT,
        &IDLE_TIMEOUT,
        &READ_TIMEOUT,
        &WRITE_TIMEOUT,
        &MAX_HEAD,
        &MAX_FIELDS,
        &MAX_TARGET,
        &FIELD_NAMES,
    ],
    later: &[("tls", "TLS"), ("http2", "HTTP/2"), ("proxy_protocol", "the PROXY protocol")],
    example: "[[listener]]",
    about: "Where clients connect, and what is demanded of them.",
};

static ADDRESS: Key<Text<SocketAddr>, Required> = Key {
    name: "address",
    kind: Text {
        shape: "`\"ip:port\"`; port 0 is a free one",
        parse: names::listener_address,
        show: SocketAddr::to_string,
    },
    absent: Required,
    meaning: "Address to listen on. `[::]` is for IPv6 alone; another `[[listener]]` on `0.0.0.0` has the same port.",
};
static MAX_CONNECTIONS: Key<Whole<usize>, Otherwise<usize>> = Key {
    name: "max_connections",
    kind: Whole { min: 1, max: 10_000_000 },
    absent: Otherwise(defaults::MAX_CONNECTIONS),
    meaning: "Connections served at once; further ones wait in the kernel's backlog.",
};
static HEADER_TIMEOUT: Key<Duration, Otherwise<Millis>> = Key {
    name: "header_timeout",
    kind: TIMEOUT,
    absent: Otherwise(defaults::HEADER_TIMEOUT),
    meaning: "From the first byte of a request head to its last, in total; then 408.",
};
static IDLE_TIMEOUT: Key<Duration, Otherwise<Millis>> = Key {
    name: "idle_timeout",
    kind: TIMEOUT,
    absent: Otherwise(defaults::IDLE_TIMEOUT),
    meaning: "How long a kept-alive connection may wait for its next request.",
};
static READ_TIMEOUT: Key<Duration, Otherwise<Millis>> = Key {
    name: "read_timeout",
    kind: TIMEOUT,
    absent: Otherwise(defaults::CLIENT_READ_TIMEOUT),
    meaning: "Longest pause between two reads of a request body.",
};
static WRITE_TIMEOUT: Key<Duration, Otherwise<Millis>> = Key {
    name: "write_timeout",
    kind: TIMEOUT,
    absent: Otherwise(defaults::CLIENT_WRITE_TIMEOUT),
    meaning: "Longest that a write may wait for the client to read.",
};
static MAX_HEAD: Key<Size, Otherwise<Bytes>> = Key {
    name: "max_head",
    // Less than a kilobyte refuses ordinary browsers; more than a megabyte is a body.
    kind: Size { min: Bytes::from_kib(1), max: Bytes::from_mib(1) },
    absent: Otherwise(defaults::MAX_HEAD),
    meaning: "Largest request head, request line and fields together; then 431.",
};
static MAX_FIELDS: Key<Whole<usize>, Otherwise<usize>> = Key {
    name: "max_fields",
    kind: Whole { min: 1, max: 10_000 },
    absent: Otherwise(defaults::MAX_FIELDS),
    meaning: "Most fields in a request head; then 431.",
};
static MAX_TARGET: Key<Size, Optional> = Key {
    name: "max_target",
    kind: Size { min: Bytes::new(1), max: Bytes::from_mib(1) },
    absent: Optional(|| format!("`\"{}\"`, or `max_head` if that is less", defaults::MAX_TARGET)),
    meaning: "Longest request target, path and query together; then 414.",
};
static FIELD_NAMES: Key<Word<FieldNames>, Otherwise<FieldNames>> = Key {
    name: "field_names",
    kind: Word {
        words: &[("plain", FieldNames::Plain), ("underscores", FieldNames::Underscores), ("any", FieldNames::Any)],
        later: &[],
    },
    absent: Otherwise(defaults::FIELD_NAMES),
    meaning: "Fields of a request that come in, by their names: of letters, digits and `-`; with `_` too; or all that HTTP \
              allows. Others are dropped, and the request goes on.",
};

const TIMEOUT: Duration = Duration { min: SHORTEST, max: ONE_DAY };

/// A listener as far as it could be read.
pub(super) struct ListenerRead {
    pub(super) settings: Result<ListenerSettings, Reported>,
    pub(super) address: Option<SocketAddr>,
    pub(super) address_span: Range<usize>,
}

pub(super) fn read_all(sections: &[Section<'_>], sink: &mut Sink) -> Vec<ListenerRead> {
    sections.iter().map(|section| read(section, sink)).collect()
}

fn read(section: &Section<'_>, sink: &mut Sink) -> ListenerRead {
    let address = section.take(&ADDRESS, sink);
    ListenerRead {
        settings: read_settings(section, address, sink),
        address: address.ok(),
        address_span: section.span(ADDRESS.name),
    }
}

fn read_settings(
    section: &Section<'_>,
    address: Result<SocketAddr, Reported>,
    sink: &mut Sink,
) -> Result<ListenerSettings, Reported> {
    let max_connections = section.take(&MAX_CONNECTIONS, sink);
    let header_timeout = section.take(&HEADER_TIMEOUT, sink);
    let idle_timeout = section.take(&IDLE_TIMEOUT, sink);
    let read_timeout = section.take(&READ_TIMEOUT, sink);
    let write_timeout = section.take(&WRITE_TIMEOUT, sink);
    let max_head = section.take(&MAX_HEAD, sink);
    let max_fields = section.take(&MAX_FIELDS, sink);
    let max_target = section.take(&MAX_TARGET, sink);
    let field_names = section.take(&FIELD_NAMES, sink);
    let max_target = match (max_target?, max_head?) {
        (Some(target), head) if target > head => {
            let fault = Fault::new(
                format!("a request target is part of the head, which is at most `{head}`"),
                "more than that",
            );
            Err(sink.wrong(section.span(MAX_TARGET.name), fault.help("write less here or more at `max_head`")))
        }
        (Some(target), _) => Ok(target),
        (None, head) => Ok(defaults::MAX_TARGET.min(head)),
    };
    Ok(ListenerSettings {
        address: address?,
        max_connections: max_connections?,
        header_timeout: header_timeout?,
        idle_timeout: idle_timeout?,
        read_timeout: read_timeout?,
        write_timeout: write_timeout?,
        max_head: max_head?,
        max_fields: max_fields?,
        max_target: max_target?,
        field_names: field_names?,
    })
}
