//! The request line and the path in it.

use std::borrow::Cow;
use std::ops::Range;

use weir_snapshot::decoded;

use super::{Fault, is_token};
use crate::refusal::Refusal;

pub(super) struct RequestLine {
    pub(super) method: Range<usize>,
    pub(super) target: Range<usize>,
    /// Of an absolute-form target.
    pub(super) authority: Option<Range<usize>>,
    pub(super) is_11: bool,
}

pub(super) fn request_line(raw: &[u8], line: Range<usize>, max_target: u64) -> Result<RequestLine, Refusal> {
    let bad = |fault| Err(Refusal::BadRequest(fault));
    let bytes = raw.get(line.clone()).unwrap_or_default();
    let Some(first) = memchr::memchr(b' ', bytes) else { return bad(Fault::RequestLine) };
    let Some(last) = memchr::memrchr(b' ', bytes).filter(|&last| last > first) else { return bad(Fault::RequestLine) };
    let (method, target, version) = (
        bytes.get(..first).unwrap_or_default(),
        bytes.get(first + 1..last).unwrap_or_default(),
        bytes.get(last + 1..).unwrap_or_default(),
    );
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return bad(Fault::RequestLine);
    }
    let is_11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        _ if version.starts_with(b"HTTP/") => return bad(Fault::Version),
        _ => return bad(Fault::RequestLine),
    };
    if target.len() as u64 > max_target {
        return Err(Refusal::TargetTooLong);
    }
    if method == b"CONNECT" {
        return Err(Refusal::ConnectMethod);
    }
    if target.is_empty() || target.iter().any(|&byte| byte <= b' ' || byte == 0x7f || byte == b'#') {
        return bad(Fault::Target);
    }
    let start = line.start + first + 1;
    let whole = start..start + target.len();
    let (authority, target) = match target {
        [b'/', ..] => (None, whole),
        b"*" if method == b"OPTIONS" => (None, whole),
        _ => match absolute(target) {
            Some((authority, path)) => {
                (Some(start + authority.start..start + authority.end), start + path.start..start + path.end)
            }
            None => return bad(Fault::Target),
        },
    };
    Ok(RequestLine { method: line.start..line.start + first, target, authority, is_11 })
}

/// Authority and path of `http://authority/path`; the path may be empty, which stands for `/`. Userinfo is no host.
fn absolute(target: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"http://"))?.len();
    let rest = target.get(scheme..)?;
    let end = scheme + memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    is_host(target.get(scheme..end)?).then_some((scheme..end, end..target.len()))
}

/// `host` or `host:port`: a name, an IPv4 address or an IPv6 address in brackets. No userinfo.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (name, port) = if let [b'[', rest @ ..] = value {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let (inside, after) = rest.split_at(end);
        if !std::str::from_utf8(inside).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()) {
            return false;
        }
        (inside, after.get(1..).unwrap_or_default())
    } else {
        let (name, port) = value.split_at(memchr::memchr(b':', value).unwrap_or(value.len()));
        // RFC 3986 reg-name: unreserved, sub-delims but for the comma, percent.
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=%".contains(byte);
        if !name.iter().all(legal) {
            return false;
        }
        (name, port)
    };
    let port_ok = match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            let text = std::str::from_utf8(digits).unwrap_or_default();
            digits.iter().all(u8::is_ascii_digit) && text.parse::<u16>().is_ok()
        }
        _ => false,
    };
    !name.is_empty() && port_ok
}

/// The path that routes are matched against: escapes decoded, `//` merged, `.` and `..` resolved, as nginx does it.
/// `None` when `..` leads above the root. Allocates only when there is something to change.
pub(crate) fn normalised(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    let plain = !path.contains(&b'%') && !path.windows(2).any(|pair| matches!(pair, b"//" | b"/."));
    if plain {
        return Some(Cow::Borrowed(path));
    }
    let decoded = decoded(path);
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = false;
    for segment in decoded.split(|&byte| byte == b'/').skip(1) {
        ends_in_slash = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop()?;
            }
            name => kept.push(name),
        }
    }
    let mut out = Vec::with_capacity(decoded.len() + 1);
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if ends_in_slash || out.is_empty() {
        out.push(b'/');
    }
    Some(Cow::Owned(out))
}
