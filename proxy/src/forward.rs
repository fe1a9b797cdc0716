//! Heads on their way through: the request's to the endpoint, the answer's to the client.

use bytes::BytesMut;
use pingora_http::ResponseHeader;
use weir_snapshot::Route;

use crate::edits::{Facts, new_target, put_fields};
use crate::head::{Framing, Head, Kind, list};

/// How the request body reaches the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sending {
    /// No body and no length.
    Nothing,
    /// This many bytes.
    Length(u64),
    /// Chunk by chunk, as it arrives.
    Chunked,
}

impl Sending {
    /// How a body that arrived with this framing is passed on when it is not held whole.
    pub(crate) fn streamed(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Nothing,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked,
        }
    }
}

/// Writes the head of the request as the endpoint gets it: one hop's fields out, the client described, framed by us, and
/// changed as the route says.
pub(crate) fn request_head(facts: &Facts<'_>, route: &Route, sending: Sending) -> BytesMut {
    let Facts { head, client, id, endpoint } = *facts;
    let edits = route.settings.edits.as_deref();
    let touched = edits.map(|edits| &edits.request);
    let touches = |name: &[u8]| touched.is_some_and(|edits| edits.touches(name));
    let mut out = BytesMut::with_capacity(head.target().len() + 1024);
    out.extend_from_slice(head.method());
    out.extend_from_slice(b" ");
    if let Some(target) = edits.and_then(|edits| new_target(edits, route, head)) {
        out.extend_from_slice(&target);
    } else {
        if !head.target().starts_with(b"/") && head.target() != b"*" {
            out.extend_from_slice(b"/");
        }
        out.extend_from_slice(head.target());
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    let host = edits.and_then(|edits| edits.host.as_ref()).map(|host| facts.fill(host)).filter(|host| !host.is_empty());
    match &host {
        Some(host) => out.extend_from_slice(host),
        // An HTTP/1.0 client may send none, and the endpoint must get one.
        None => out.extend_from_slice(head.host().unwrap_or(endpoint).as_bytes()),
    }
    out.extend_from_slice(b"\r\n");
    for (field, name, value) in head.fields() {
        let passes = match field.kind {
            Kind::Other => !head.is_nominated(name) && !touches(name),
            Kind::Upgrade => head.upgrade,
            _ => false,
        };
        if passes {
            out.extend_from_slice(name);
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    if head.upgrade {
        out.extend_from_slice(b"Connection: upgrade\r\n");
    }
    client.describe(head, touched, &mut out);
    if !touches(b"X-Request-Id") {
        out.extend_from_slice(b"X-Request-Id: ");
        out.extend_from_slice(id.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if let Some(edits) = touched {
        put_fields(edits, facts, &mut out);
    }
    match sending {
        Sending::Nothing => {}
        Sending::Length(length) => out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
        Sending::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Makes an endpoint's answer head one of ours: one hop's fields out, version 1.1, framed for this client.
///
/// `None` when the answer has a transfer coding other than one `chunked`, which cannot be passed on.
pub(crate) fn answer_head(answer: &ResponseHeader, request: &Head) -> Option<Box<ResponseHeader>> {
    let mut out = Box::new(answer.clone());
    out.set_version(http::Version::HTTP_11);
    let status = out.status.as_u16();
    let mut codings = answer.headers.get_all(http::header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) || codings.next().is_some() {
        return None;
    }
    if status != 101 {
        for value in answer.headers.get_all(http::header::CONNECTION) {
            for name in list(value.as_bytes()).filter_map(|name| std::str::from_utf8(name).ok()) {
                out.remove_header(name);
            }
        }
        out.remove_header(&http::header::UPGRADE);
        out.remove_header(&http::header::CONNECTION);
    }
    for name in ["keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer"] {
        out.remove_header(name);
    }
    out.remove_header(&http::header::TRANSFER_ENCODING);
    if let Some(length) = repeated_length(&out) {
        out.insert_header(http::header::CONTENT_LENGTH, length).ok()?;
    }
    let has_length = out.headers.contains_key(http::header::CONTENT_LENGTH);
    let bodiless = is_bodiless(status, request);
    if status == 204 || status < 200 {
        out.remove_header(&http::header::CONTENT_LENGTH);
    }
    if !has_length && !bodiless && request.is_11 {
        out.insert_header(http::header::TRANSFER_ENCODING, "chunked").ok()?;
    }
    Some(out)
}

/// The length that an answer says more than once; the library has made sure that all say the same. Passed on as it is,
/// `5, 5` is a length to some readers and none to others.
fn repeated_length(answer: &ResponseHeader) -> Option<Vec<u8>> {
    let mut lengths = answer.headers.get_all(http::header::CONTENT_LENGTH).iter();
    let first = lengths.next()?.as_bytes();
    let repeated = lengths.next().is_some() || first.contains(&b',');
    repeated.then(|| list(first).next().unwrap_or_default().to_vec())
}

fn is_bodiless(status: u16, request: &Head) -> bool {
    request.is_head() || matches!(status, 100..=199 | 204 | 304)
}

/// Whether the body of an answer that [`answer_head`] made ends with the connection: to a client of 1.0, without a
/// length.
pub(crate) fn ends_with_connection(answer: &ResponseHeader, request: &Head) -> bool {
    let has_length = answer.headers.contains_key(http::header::CONTENT_LENGTH);
    !request.is_11 && !has_length && !is_bodiless(answer.status.as_u16(), request)
}
