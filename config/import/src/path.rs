//! Paths of nginx that a route can have, or put in place of its own.

use crate::tree::Directive;

/// What the path of a location becomes by `rewrite ^/api/(.*)$ /$1 break`, if that is what is written.
pub(crate) fn stripped(rewrite: &Directive, path: &str) -> Option<String> {
    let [pattern, target, flag] = rewrite.words.as_slice() else { return None };
    if flag != "break" {
        return None;
    }
    let pattern = pattern.strip_prefix('^')?;
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let mut target = target.strip_suffix("$1")?.to_owned();
    let mut prefix = if let Some(prefix) = pattern.strip_suffix("(/.*)") {
        target.push('/');
        format!("{prefix}/")
    } else {
        pattern.strip_suffix("(.*)")?.to_owned()
    };
    prefix = prefix.replace("\\.", ".");
    (prefix == path && legal(path).is_ok() && legal_replacement(&target).is_ok()).then_some(target)
}

/// Whether a route can have this path: weir looks for routes after it has brought a path into its normal form.
pub(crate) fn legal(path: &str) -> Result<(), &'static str> {
    let normal = !path.contains("//") && path.split('/').all(|segment| !matches!(segment, "." | ".."));
    match path {
        _ if !path.starts_with('/') => Err("weir's paths begin with `/`"),
        _ if !normal => Err("no request has such a path: slashes are merged, and dots resolved, before"),
        _ if path.contains(char::REPLACEMENT_CHARACTER) => Err("weir reads files as UTF-8, and this is none"),
        _ => Ok(()),
    }
}

/// Whether a route can put this path in place of its own.
pub(crate) fn legal_replacement(path: &str) -> Result<(), &'static str> {
    match path {
        _ if !path.starts_with('/') => Err("weir's paths begin with `/`"),
        _ if path.contains(['?', '#']) => Err("weir puts no query of its own into requests"),
        _ if path.contains('%') => Err("weir's `replace` is written without escapes here"),
        _ if !path.bytes().all(|byte| byte.is_ascii_graphic()) => Err("weir's paths are visible ASCII"),
        _ => Ok(()),
    }
}

/// The text behind a beginning that has no case.
pub(crate) fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
