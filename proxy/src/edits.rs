//! What a route changes in heads: variables filled in, fields set, the path replaced.
//!
//! In: the route's [`Edits`] and [`Template`]s, and the request. Out: bytes for a head that is being written. Cost: only
//! for routes that change something; one buffer per field that is set.
//! Nothing that is filled in can end a field: heads with control characters are refused before (`head.rs`).

use std::borrow::Cow;
use std::str::FromStr as _;

use bytes::BytesMut;
use http::HeaderName;
use pingora_http::ResponseHeader;
use weir_snapshot::{Edits, FieldEdits, Part, Route, Template, Variable};

use crate::client::Client;
use crate::head::{Head, normalised};

/// What variables are filled in from.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub(crate) head: &'a Head,
    pub(crate) client: &'a Client,
    /// What goes out as `X-Request-Id`.
    pub(crate) id: &'a str,
    /// The endpoint's address and port; empty without one.
    pub(crate) endpoint: &'a str,
}

impl Facts<'_> {
    /// The text with its variables filled in.
    pub(crate) fn fill(&self, template: &Template) -> Vec<u8> {
        let mut out = Vec::new();
        for part in template.parts() {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => out.extend_from_slice(&self.value(variable)),
            }
        }
        out
    }

    fn value(&self, variable: &Variable) -> Cow<'_, [u8]> {
        let Self { head, client, id, endpoint } = *self;
        let host = || head.host().unwrap_or_default();
        Cow::Borrowed(match variable {
            Variable::Host => return Cow::Owned(bare_host(host()).to_ascii_lowercase().into_bytes()),
            Variable::HttpHost => host().as_bytes(),
            Variable::ClientIp => return Cow::Owned(client.address.to_string().into_bytes()),
            Variable::Scheme => b"http",
            Variable::RequestUri if head.target().is_empty() => b"/",
            Variable::RequestUri => head.target(),
            Variable::Path => head.path(),
            Variable::Args => head.query().unwrap_or_default(),
            Variable::IsArgs if head.query().is_some_and(|query| !query.is_empty()) => b"?",
            Variable::IsArgs => b"",
            Variable::Method => head.method(),
            Variable::ForwardedFor => return Cow::Owned(client.chain(head)),
            Variable::RequestId => id.as_bytes(),
            Variable::Endpoint => endpoint.as_bytes(),
            Variable::Header(name) => head.value(name).unwrap_or_default(),
        })
    }
}

/// Without the port; the colons in the brackets of an IPv6 address begin none.
fn bare_host(host: &str) -> &str {
    let after = host.rfind(']').unwrap_or(0);
    match host.get(after..).and_then(|rest| rest.find(':')) {
        Some(colon) => host.get(..after + colon).unwrap_or(host),
        None => host,
    }
}

/// Writes the fields that the route sets.
pub(crate) fn put_fields(edits: &FieldEdits, facts: &Facts<'_>, out: &mut BytesMut) {
    for (name, template) in &edits.set {
        let value = facts.fill(template);
        if !value.is_empty() {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&value);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Changes the fields of an answer.
pub(crate) fn change_answer(edits: &FieldEdits, facts: &Facts<'_>, answer: &mut ResponseHeader) {
    for name in &edits.remove {
        answer.remove_header(&**name);
    }
    for (name, template) in &edits.set {
        let value = facts.fill(template);
        answer.remove_header(&**name);
        if !value.is_empty() {
            // The name was checked with the configuration, the value holds no control characters.
            if let Ok(name) = HeaderName::from_str(name) {
                drop(answer.insert_header(name, value));
            }
        }
    }
}

/// The target that the endpoint gets where the route replaces its own part of the path: that part replaced, the rest of
/// the normalised path escaped again, and the query as it was sent. As nginx's `proxy_pass` with a path.
pub(crate) fn new_target(edits: &Edits, route: &Route, head: &Head) -> Option<Vec<u8>> {
    let new = edits.path.as_deref()?;
    if head.target() == b"*" {
        return None;
    }
    let path = normalised(head.path())?;
    let mut out = new.as_bytes().to_vec();
    for &byte in path.get(route.path.plain().len()..).unwrap_or_default() {
        if byte <= b' ' || byte >= 0x7f || matches!(byte, b'#' | b'%' | b'?') {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(byte);
        }
    }
    if let Some(query) = head.query() {
        out.push(b'?');
        out.extend_from_slice(query);
    }
    Some(out)
}
