//! Paths: of routes, of what replaces them, of probes.
//!
//! In: the text between the quotes. Out: the path as in a URL, or a [`Fault`] that shows how to write it. Pure.

use weir_snapshot::RoutePath;

use crate::sink::Fault;

/// A route's path prefix: as in a URL, in the one spelling for what requests are compared with.
pub(crate) fn route_path(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a route's path is a prefix that begins with `/`";
    if !text.starts_with('/') {
        let fault = Fault::new(rule, "does not begin with `/`");
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.');
        let help = match text {
            "" => "write `\"/\"`, or leave `path` out".to_owned(),
            plain_text if plain_text.bytes().all(plain) => format!("write `\"/{text}\"`"),
            _ => "modifiers and patterns are not known: the longest prefix wins".to_owned(),
        };
        return Err(fault.help(help));
    }
    if let Some(at) = text.find(['?', '#']) {
        let path = text.get(..at).unwrap_or_default();
        return Err(Fault::new(rule, "only the path is matched, never the query").help(format!("write `\"{path}\"`")));
    }
    if text.ends_with('*') {
        let path = text.trim_end_matches('*');
        return Err(
            Fault::new(rule, "`*` stands for itself: a path is a prefix anyway").help(format!("write `\"{path}\"`"))
        );
    }
    visible_ascii(text, rule)?;
    let decoded = RoutePath::new(text);
    let normal = RoutePath::of_plain(&normal_path(decoded.plain()));
    let label = if text.contains("%2F") || text.contains("%2f") {
        "requests are decoded first, and `%2F` is `/` then"
    } else if normal.plain() != decoded.plain() {
        "never matches: requests are normalised first"
    } else {
        return Ok(normal.written().into());
    };
    Err(Fault::new(rule, label).help(format!("write `\"{normal}\"`")))
}

/// What a route's path is replaced by: a path as requests have it, without a query.
pub(crate) fn new_path(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a path begins with `/`";
    if !text.starts_with('/') {
        return Err(Fault::new(rule, "does not begin with `/`").help(format!("write `\"/{text}\"`")));
    }
    if text.contains(['?', '#']) {
        return Err(Fault::new("only the path is replaced, never the query", "more than a path"));
    }
    visible_ascii(text, rule)?;
    Ok(text.into())
}

/// Without empty, `.` and `..` segments.
fn normal_path(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let last = path.rsplit(|&byte| byte == b'/').next();
    let open = matches!(last, Some(b"" | b"." | b"..")) && !kept.is_empty();
    let mut normal = b"/".to_vec();
    normal.extend(kept.join(&b'/'));
    normal.extend(open.then_some(b'/'));
    normal
}

/// A request target for probes: a path, perhaps with a query.
pub(crate) fn probe_path(text: &str) -> Result<Box<str>, Fault> {
    let rule = "a probe's path begins with `/`";
    if !text.starts_with('/') {
        let path = text.split_once("://").map_or(text, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        return Err(Fault::new(rule, "does not begin with `/`").help(format!("write `\"/{path}\"`")));
    }
    if let Some((path, _)) = text.split_once('#') {
        return Err(Fault::new(rule, "a fragment is never sent").help(format!("write `\"{path}\"`")));
    }
    visible_ascii(text, rule)?;
    Ok(text.into())
}

pub(super) fn visible_ascii(text: &str, rule: &str) -> Result<(), Fault> {
    let mut escapes = text.split('%').skip(1);
    let label = if !text.is_ascii() {
        "not ASCII: such letters are written as `%` and two hex digits for each byte"
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        "a blank is written `%20`"
    } else if !escapes.all(is_escape) {
        "`%` is followed by two hex digits"
    } else {
        return Ok(());
    };
    Err(Fault::new(rule, label).help(format!("write `\"{}\"`", escaped(text))))
}

/// Whether this may follow a `%`.
fn is_escape(rest: &str) -> bool {
    rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
}

/// As a browser sends it; only for advice.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut buffer = [0; 4];
    for (at, letter) in text.char_indices() {
        let rest = text.get(at + letter.len_utf8()..).unwrap_or_default();
        if letter.is_ascii_graphic() && (letter != '%' || is_escape(rest)) {
            escaped.push(letter);
        } else {
            escaped.extend(letter.encode_utf8(&mut buffer).bytes().map(|byte| format!("%{byte:02X}")));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_brought_into_the_form_that_requests_have() {
        assert_eq!(normal_path(b"/a//b/./c/../d"), b"/a/b/d");
        assert_eq!(normal_path(b"/a/.."), b"/");
        assert_eq!(normal_path(b"/a/b/.."), b"/a/");
        assert_eq!(normal_path(b"/a/"), b"/a/");
    }

    #[test]
    fn a_path_has_one_spelling_and_what_would_never_match_is_told_with_what_does() {
        for (text, path) in
            [("/a%20b", "/a%20b"), ("/%61/%c3%a4", "/a/%C3%A4"), ("/100%25", "/100%25"), ("/a%2A", "/a%2A")]
        {
            assert_eq!(route_path(text).as_deref(), Ok(path), "{text}");
        }
        for (text, instead) in [
            ("/a%2Fb", "/a/b"),
            ("/a%2f%2e%2e/b", "/b"),
            ("/a/%2E/b", "/a/b"),
            ("/a b", "/a%20b"),
            ("/b\u{fc}cher", "/b%C3%BCcher"),
            ("/100%", "/100%25"),
        ] {
            let fault = route_path(text).unwrap_err();
            let advised = fault.help.unwrap_or_default();
            assert_eq!(advised, format!("write `\"{instead}\"`"), "{text}: {}", fault.label);
            assert_eq!(route_path(instead).as_deref(), Ok(instead));
        }
    }
}
