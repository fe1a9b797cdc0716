//! The request head, read strictly from its raw bytes.
//!
//! In: the bytes of a connection so far. Out: a [`Head`], or the [`Refusal`] that ends the connection, or "more bytes".
//! Cost: one pass to find the end, one over the fields; one allocation for the list of fields.
//!
//! Why not the library's parse: it repairs what a reverse proxy must refuse (CL with TE, two `chunked`, blanks in the
//! target, obsolete line folding in some places), and the repaired head cannot be told from a clean one. What passes
//! here is then handed to the library as a canonical head ([`Head::canonical`]), so that both agree on where the message
//! ends. Source: RFC 9112 §2.2, §3, §5, §6, §7; RFC 9110 §5, §7.2; nginx and `HAProxy` as measured in
//! `docs/reference/framing.md`.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use weir_snapshot::{FieldNames, ListenerSettings, is_plain, same_field};

use crate::refusal::Refusal;

mod fault;
mod target;

pub(crate) use fault::Fault;
pub(crate) use target::normalised;

/// Fields that the exchange looks at, by name; the others pass through unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    Upgrade,
    Expect,
    /// `Keep-Alive`, `TE`, `Trailer`, `Proxy-Connection`, `Proxy-Authorization`, `Proxy-Authenticate`: of one hop.
    HopByHop,
    ForwardedFor,
    ForwardedProto,
    ForwardedHost,
    Forwarded,
    RequestId,
    Other,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        // `OURS` below has each of these names.
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            7 if is("trailer") => Self::HopByHop,
            9 if is("forwarded") => Self::Forwarded,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            12 if is("x-request-id") => Self::RequestId,
            14 if is("http2-settings") => Self::HopByHop,
            14 if is("content-length") => Self::ContentLength,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            16 if is("x-forwarded-host") => Self::ForwardedHost,
            16 if is("proxy-connection") => Self::HopByHop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-forwarded-proto") => Self::ForwardedProto,
            18 if is("proxy-authenticate") => Self::HopByHop,
            19 if is("proxy-authorization") => Self::HopByHop,
            _ => Self::Other,
        }
    }
}

/// Every name that has a kind of its own.
const OURS: [&str; 18] = [
    "te",
    "host",
    "expect",
    "upgrade",
    "trailer",
    "forwarded",
    "connection",
    "keep-alive",
    "x-request-id",
    "http2-settings",
    "content-length",
    "x-forwarded-for",
    "x-forwarded-host",
    "proxy-connection",
    "transfer-encoding",
    "x-forwarded-proto",
    "proxy-authenticate",
    "proxy-authorization",
];

/// One field: where its name and value lie in the raw head.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    name: Range<usize>,
    value: Range<usize>,
    pub(crate) kind: Kind,
}

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Neither `Content-Length` nor `Transfer-Encoding`.
    None,
    /// `Content-Length`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// A request head that may be read in one way only.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that the bytes state")]
pub(crate) struct Head {
    raw: Bytes,
    fields: Vec<Field>,
    method: Range<usize>,
    /// Path and query as sent; of an absolute-form target the part after the authority.
    target: Range<usize>,
    host: Option<Range<usize>>,
    /// Names in `Connection`, which are of this hop only.
    nominated: Vec<Range<usize>>,
    pub(crate) framing: Framing,
    /// HTTP/1.1, else 1.0.
    pub(crate) is_11: bool,
    /// `Connection: close` / `keep-alive`.
    close: bool,
    keep_alive: bool,
    /// `Connection: upgrade` with an `Upgrade` field, on 1.1.
    pub(crate) upgrade: bool,
    /// `Expect: 100-continue`, on 1.1, with a body to come.
    pub(crate) expects_continue: bool,
}

/// What the bytes so far amount to.
pub(crate) enum Read {
    /// The head is not complete.
    More,
    /// It never will be.
    Refused(Refusal),
    /// It is; its bytes are out of the buffer.
    Head(Box<Head>),
}

/// Reads a head from the front of `buf`; `scanned` is how far earlier calls have looked, 0 at first.
pub(crate) fn read(buf: &mut BytesMut, scanned: &mut usize, limits: &ListenerSettings) -> Read {
    // RFC 9112 §2.2: an empty line before the request line is ignored; clients of old send one after a POST.
    if *scanned == 0 {
        let blank = buf.chunks_exact(2).take_while(|pair| pair == b"\r\n").count() * 2;
        if blank > 0 {
            bytes::Buf::advance(buf, blank);
        }
    }
    if buf.first().is_some_and(|&byte| byte != b'\r' && !is_token(byte)) {
        return Read::Refused(Refusal::BadRequest(Fault::RequestLine));
    }
    let max = usize::try_from(limits.max_head.get()).unwrap_or(usize::MAX);
    match end_of_head(buf, scanned) {
        Ok(Some(end)) if end > max => Read::Refused(too_large(buf.get(..end).unwrap_or(buf), limits)),
        Ok(Some(end)) => match parse(buf.split_to(end).freeze(), limits) {
            Ok(head) => Read::Head(Box::new(head)),
            Err(refusal) => Read::Refused(refusal),
        },
        Ok(None) if buf.len() > max => Read::Refused(too_large(buf, limits)),
        Ok(None) => match first_line_is_sound(buf, limits) {
            Ok(()) => Read::More,
            Err(refusal) => Read::Refused(refusal),
        },
        Err(fault) => Read::Refused(Refusal::BadRequest(fault)),
    }
}

/// Refuses what will never be a head as soon as its first line is there: a client that speaks HTTP/0.9 sends no more.
fn first_line_is_sound(buf: &[u8], limits: &ListenerSettings) -> Result<(), Refusal> {
    let Some(end) = memchr::memchr(b'\r', buf).filter(|&end| end + 1 < buf.len()) else { return Ok(()) };
    target::request_line(buf, 0..end, limits.max_target.get()).map(drop)
}

/// Which limit a head that is too large has passed: a target that alone exceeds its own is 414.
fn too_large(buf: &[u8], limits: &ListenerSettings) -> Refusal {
    let line = buf.split(|&byte| byte == b'\r').next().unwrap_or(buf);
    let target = line.split(|&byte| byte == b' ').nth(1).map_or(0, <[u8]>::len);
    if target as u64 > limits.max_target.get() { Refusal::TargetTooLong } else { Refusal::HeadTooLarge }
}

/// The index behind the blank line. Every LF must follow a CR and every CR precede an LF, or two readers may disagree.
fn end_of_head(buf: &[u8], scanned: &mut usize) -> Result<Option<usize>, Fault> {
    let mut from = *scanned;
    while let Some(at) = memchr::memchr2(b'\r', b'\n', buf.get(from..).unwrap_or_default()).map(|at| from + at) {
        match (buf.get(at), buf.get(at + 1)) {
            (Some(b'\n'), _) => return Err(Fault::BareLf),
            (_, None) => {
                *scanned = at;
                return Ok(None);
            }
            (_, Some(b'\n')) => {}
            _ => return Err(Fault::BareCr),
        }
        match (buf.get(at + 2), buf.get(at + 3)) {
            (Some(b'\r'), Some(b'\n')) => return Ok(Some(at + 4)),
            (Some(b'\r'), Some(_)) => return Err(Fault::BareCr),
            (Some(b'\r'), None) | (None, _) => {
                *scanned = at;
                return Ok(None);
            }
            _ => from = at + 2,
        }
    }
    *scanned = buf.len();
    Ok(None)
}

/// RFC 9110 §5.6.2 `tchar`.
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
    ) || byte.is_ascii_alphanumeric()
}

fn parse(raw: Bytes, limits: &ListenerSettings) -> Result<Head, Refusal> {
    let bad = |fault| Err(Refusal::BadRequest(fault));
    let mut lines = Lines { raw: &raw, at: 0 };
    let Some(line) = lines.next() else { return bad(Fault::RequestLine) };
    let request = target::request_line(&raw, line, limits.max_target.get())?;
    let mut fields: Vec<Field> = Vec::with_capacity(16);
    for (read, line) in lines.enumerate() {
        if line.is_empty() {
            break;
        }
        if read == limits.max_fields {
            return Err(Refusal::TooManyFields);
        }
        let field = field(&raw, line).map_err(Refusal::BadRequest)?;
        if comes_in(raw.get(field.name.clone()).unwrap_or_default(), limits.field_names) {
            fields.push(field);
        }
    }
    let mut head = Head {
        method: request.method,
        target: request.target,
        host: None,
        nominated: Vec::new(),
        framing: Framing::None,
        is_11: request.is_11,
        close: false,
        keep_alive: false,
        upgrade: false,
        expects_continue: false,
        fields,
        raw,
    };
    head.connection().map_err(Refusal::BadRequest)?;
    head.framing = head.body_framing().map_err(Refusal::BadRequest)?;
    head.host = head.the_host(request.authority).map_err(Refusal::BadRequest)?;
    head.upgrade = head.upgrade && head.is_11 && head.asks_for_a_tunnel();
    head.expects_continue = head.is_11
        && !matches!(head.framing, Framing::None | Framing::Length(0))
        && head.values(Kind::Expect).any(|value| value.eq_ignore_ascii_case(b"100-continue"));
    Ok(head)
}

/// The lines of a head, as ranges without their CRLF.
struct Lines<'a> {
    raw: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.raw.get(self.at..)?;
        let end = self.at + memchr::memchr(b'\r', rest)?;
        let line = self.at..end;
        self.at = end + 2;
        Some(line)
    }
}

fn field(raw: &[u8], line: Range<usize>) -> Result<Field, Fault> {
    let bytes = raw.get(line.clone()).unwrap_or_default();
    if bytes.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        return Err(Fault::Folded);
    }
    let colon = memchr::memchr(b':', bytes).ok_or(Fault::NoColon)?;
    let name = bytes.get(..colon).unwrap_or_default();
    if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
        return Err(if name.last().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            Fault::BlankBeforeColon
        } else {
            Fault::FieldName
        });
    }
    let value = bytes.get(colon + 1..).unwrap_or_default();
    if value.iter().any(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        return Err(Fault::FieldValue);
    }
    let lead = value.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let trail = value.iter().skip(lead).rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let start = line.start + colon + 1 + lead;
    Ok(Field {
        name: line.start..line.start + colon,
        value: start..(line.end - trail).max(start),
        kind: Kind::of(name),
    })
}

/// Whether a field of this name is read and passed on. What a folding endpoint would take for a field that weir reads or
/// writes itself never is: it would say something else about the client, or where the message ends.
fn comes_in(name: &[u8], allowed: FieldNames) -> bool {
    is_plain(name) || allowed.admit(name) && !OURS.iter().any(|ours| same_field(ours.as_bytes(), name))
}

/// The members of a comma-separated list, without blanks, empty ones left out.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

impl Head {
    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.raw.get(range.clone()).unwrap_or_default()
    }

    /// The method, as sent.
    pub(crate) fn method(&self) -> &[u8] {
        self.bytes(&self.method)
    }

    /// Whether the answer has no body whatever it says.
    pub(crate) fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }

    /// RFC 9110 §9.2.2.
    pub(crate) fn is_idempotent(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE")
    }

    /// Path and query, raw: origin form, `*`, or without its leading slash where an absolute-form target had none.
    pub(crate) fn target(&self) -> &[u8] {
        self.bytes(&self.target)
    }

    /// The path, raw; `OPTIONS *` counts as `/`.
    pub(crate) fn path(&self) -> &[u8] {
        match self.target().split(|&byte| byte == b'?').next().unwrap_or_default() {
            b"*" | b"" => b"/",
            path => path,
        }
    }

    /// The query, without the question mark.
    pub(crate) fn query(&self) -> Option<&[u8]> {
        let target = self.target();
        memchr::memchr(b'?', target).and_then(|at| target.get(at + 1..))
    }

    /// The host and port that the request is for.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_ref().and_then(|range| std::str::from_utf8(self.bytes(range)).ok())
    }

    /// Name and value of each field, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Field, &[u8], &[u8])> {
        self.fields.iter().map(|field| (field, self.bytes(&field.name), self.bytes(&field.value)))
    }

    /// The values of the fields of one kind, in order.
    pub(crate) fn values(&self, kind: Kind) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |field| field.kind == kind).map(|field| self.bytes(&field.value))
    }

    /// The first value of the field of this lower-case name, `_` being `-` as in nginx's variables.
    pub(crate) fn value(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(_, field, _)| same_field(field, name.as_bytes())).map(|(_, _, value)| value)
    }

    /// Whether `Connection` makes the field of this name one of this hop only.
    pub(crate) fn is_nominated(&self, name: &[u8]) -> bool {
        self.nominated.iter().any(|range| self.bytes(range).eq_ignore_ascii_case(name))
    }

    /// Whether `Upgrade` names protocols that a tunnel may carry. HTTP itself is none: a client that talked h2c to the
    /// endpoint through us would get past routes, limits and forwarding fields. It is served without the upgrade, which
    /// RFC 9110 §7.8 lets any server do.
    fn asks_for_a_tunnel(&self) -> bool {
        let mut asked = self.values(Kind::Upgrade).flat_map(list).peekable();
        let is_http = |protocol: &[u8]| {
            protocol.eq_ignore_ascii_case(b"h2c")
                || protocol.get(..4).is_some_and(|name| name.eq_ignore_ascii_case(b"http"))
        };
        asked.peek().is_some() && !asked.any(is_http)
    }

    /// Reads `Connection`: close, keep-alive, upgrade, and the fields it makes hop-by-hop.
    fn connection(&mut self) -> Result<(), Fault> {
        let mut nominated = Vec::new();
        let (mut upgrade, mut close, mut keep_alive) = (false, false, false);
        for field in self.fields.iter().filter(|field| field.kind == Kind::Connection) {
            let value = self.bytes(&field.value);
            for member in list(value) {
                match Kind::of(member) {
                    Kind::Host | Kind::ContentLength | Kind::TransferEncoding => return Err(Fault::Nominated),
                    Kind::Upgrade => upgrade = true,
                    _ if member.eq_ignore_ascii_case(b"close") => close = true,
                    _ if member.eq_ignore_ascii_case(b"keep-alive") => keep_alive = true,
                    _ => {
                        let start = field.value.start + (member.as_ptr() as usize - value.as_ptr() as usize);
                        nominated.push(start..start + member.len());
                    }
                }
            }
        }
        (self.upgrade, self.close, self.keep_alive) = (upgrade, close, keep_alive);
        self.nominated = nominated;
        Ok(())
    }

    fn body_framing(&self) -> Result<Framing, Fault> {
        let mut lengths = self.values(Kind::ContentLength);
        let mut codings = self.values(Kind::TransferEncoding);
        match (lengths.next(), codings.next()) {
            (None, None) => Ok(Framing::None),
            (Some(_), Some(_)) => Err(Fault::LengthAndCoding),
            (Some(_), None) if lengths.next().is_some() => Err(Fault::ContentLength),
            (Some(length), None) => {
                let digits = !length.is_empty() && length.len() <= 18 && length.iter().all(u8::is_ascii_digit);
                let length = digits.then(|| std::str::from_utf8(length).ok()?.parse().ok()).flatten();
                length.map(Framing::Length).ok_or(Fault::ContentLength)
            }
            (None, Some(_)) if !self.is_11 => Err(Fault::TransferEncoding),
            (None, Some(coding)) if codings.next().is_none() && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked)
            }
            (None, Some(_)) => Err(Fault::TransferEncoding),
        }
    }

    fn the_host(&self, authority: Option<Range<usize>>) -> Result<Option<Range<usize>>, Fault> {
        let mut hosts = self.fields.iter().filter(|field| field.kind == Kind::Host);
        let host = hosts.next().map(|field| field.value.clone());
        if hosts.next().is_some() || (host.is_none() && self.is_11) {
            return Err(Fault::Host);
        }
        if host.as_ref().is_some_and(|host| !target::is_host(self.bytes(host))) {
            return Err(Fault::Host);
        }
        match (authority, host) {
            (Some(authority), Some(host)) if !self.bytes(&authority).eq_ignore_ascii_case(self.bytes(&host)) => {
                Err(Fault::Authority)
            }
            (authority, host) => Ok(host.or(authority)),
        }
    }

    /// What the library's session is given in place of the raw head: the same framing and nothing else, so that the
    /// two cannot disagree and no field is parsed twice. The rest of the message follows it.
    pub(crate) fn canonical(&self, rest: &[u8]) -> BytesMut {
        let mut out = BytesMut::with_capacity(96 + rest.len());
        out.extend_from_slice(if self.is_head() { b"HEAD" } else { b"POST" });
        out.extend_from_slice(if self.is_11 { b" / HTTP/1.1\r\n" } else { b" / HTTP/1.0\r\n" });
        match self.framing {
            Framing::None => {}
            Framing::Length(length) => out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        if self.upgrade {
            let close: &[u8] = if self.close { b"close, " } else { b"" };
            out.extend_from_slice(b"Connection: ");
            out.extend_from_slice(close);
            out.extend_from_slice(b"upgrade\r\nUpgrade: any\r\n");
        } else if self.close {
            out.extend_from_slice(b"Connection: close\r\n");
        } else if self.keep_alive {
            out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(rest);
        out
    }
}

#[cfg(test)]
mod tests;
