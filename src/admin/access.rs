//! Who may ask for what.
//!
//! In: a call, and who makes it. Out: nothing, or why not. `/healthz`, `/readyz`, `/metrics` and the page are open, since
//! they change nothing and name no client. Below `/api` a **change** (any method but GET, HEAD and OPTIONS) needs the token
//! if there is one, and at another than a loopback address a look does too.
//!
//! A browser on the same machine is the other one who may reach a loopback address, and runs pages from anywhere:
//! - a change with an `Origin` that is not this listener is refused, and so is one that a plain form could send (no JSON
//!   and no field of one's own), for the browser asks nobody before it sends those;
//! - without the token a `Host` that is a name is refused, but for `localhost`: a page may have its own name resolve to
//!   127.0.0.1 (DNS rebinding), and is then of the same origin as weir.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, Method, StatusCode, header};
use subtle::ConstantTimeEq as _;

use super::answer::Mistake;

/// More than any token.
const LONGEST: usize = 4096;
/// A field of one's own: a browser asks before it lets a page of another origin send it.
const OWN_FIELD: &str = "x-requested-with";

/// Whom to let in.
#[derive(Debug)]
pub(crate) struct Access {
    token: Option<Token>,
    /// Whether others than this machine can reach it.
    remote: bool,
}

/// The token, as the file had it when it could last be read.
#[derive(Debug)]
struct Token {
    file: PathBuf,
    last: Mutex<Box<[u8]>>,
}

/// A file that holds no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("cannot read the token file `{}`", .file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("the token file `{}` holds no token: write one line of visible ASCII, such as `openssl rand -hex 32` makes", .file.display())]
    Empty { file: PathBuf },
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    NoToken,
    WrongToken,
    Host,
    Origin,
    Plain,
}

impl Denied {
    /// All there are.
    pub(crate) const ALL: [Self; 5] = [Self::NoToken, Self::WrongToken, Self::Host, Self::Origin, Self::Plain];

    /// The value of the metric label `reason`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Plain => "plain",
        }
    }

    /// What the caller is told.
    pub(crate) fn mistake(self) -> Mistake {
        let (status, error, help) = match self {
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "this call needs the token",
                "send `Authorization: Bearer TOKEN` with what the `token_file` of `[admin]` holds",
            ),
            Self::WrongToken => (
                StatusCode::UNAUTHORIZED,
                "this is not the token",
                "send what the `token_file` of `[admin]` holds, without blanks around it",
            ),
            Self::Host => (
                StatusCode::FORBIDDEN,
                "the host in this call is a name that weir does not know for its own",
                "ask by IP address or as `localhost`, or send the token",
            ),
            Self::Origin => (
                StatusCode::FORBIDDEN,
                "a page of another origin may not change anything here",
                "open weir's own page, or call without `Origin`",
            ),
            Self::Plain => (
                StatusCode::FORBIDDEN,
                "a change must be one that a form on a web page cannot send",
                "send `Content-Type: application/json`, or any `X-Requested-With`",
            ),
        };
        Mistake::new(status, error, help)
    }
}

impl Access {
    /// As configured. Reads the token.
    pub(crate) fn open(settings: &weir_config::Admin) -> Result<Self, TokenError> {
        let token = match &settings.token_file {
            Some(file) => Some(Token { file: file.clone(), last: Mutex::new(read(file)?) }),
            None => None,
        };
        Ok(Self { token, remote: !settings.listen.ip().to_canonical().is_loopback() })
    }

    /// Whether this call below `/api` is to be carried out. Reads the token's file, so that a new token holds at once.
    pub(crate) fn check(&self, method: &Method, fields: &HeaderMap) -> Result<(), Denied> {
        let shown = shown(fields);
        let known = match (&self.token, shown) {
            (Some(token), Some(shown)) => token.is(shown).then_some(()).ok_or(Denied::WrongToken).map(|()| true)?,
            _ => false,
        };
        let changes = is_change(method);
        if self.token.is_some() && !known && (changes || self.remote) {
            return Err(Denied::NoToken);
        }
        let host = text(fields, header::HOST.as_str());
        if !known && !host.is_some_and(is_own) {
            return Err(Denied::Host);
        }
        if changes {
            // One that cannot be read, or two, are nobody's own.
            let origin = || text(fields, header::ORIGIN.as_str()).zip(host);
            if fields.contains_key(header::ORIGIN) && !origin().is_some_and(|(origin, host)| is_same(origin, host)) {
                return Err(Denied::Origin);
            }
            let json = text(fields, header::CONTENT_TYPE.as_str()).is_some_and(|kind| {
                kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
            });
            if !json && !fields.contains_key(OWN_FIELD) {
                return Err(Denied::Plain);
            }
        }
        Ok(())
    }
}

/// Whether calls of this method change something.
pub(crate) fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl Token {
    /// Compares in a time that depends on the length alone. While the file cannot be read the last token counts, so that
    /// neither is anybody let in by taking the file away, nor the operator shut out by a disk that is full.
    fn is(&self, shown: &[u8]) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.file) {
            Ok(token) => *last = token,
            Err(error) => tracing::warn!(%error, "the last token counts on"),
        }
        last.ct_eq(shown).into()
    }
}

fn read(file: &Path) -> Result<Box<[u8]>, TokenError> {
    let unreadable = |source| TokenError::Unreadable { file: file.to_path_buf(), source };
    // What is no file, a pipe for example, might never be read to its end.
    if !std::fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    let held = std::fs::read(file).map_err(unreadable)?;
    let token = held.trim_ascii();
    if token.is_empty() || token.len() > LONGEST || !token.iter().all(u8::is_ascii_graphic) {
        return Err(TokenError::Empty { file: file.to_path_buf() });
    }
    Ok(token.into())
}

/// The token that a call shows. Two of them are none.
fn shown(fields: &HeaderMap) -> Option<&[u8]> {
    let value = text(fields, header::AUTHORIZATION.as_str())?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().as_bytes())
}

/// The value of the only field of this name.
fn text<'a>(fields: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = fields.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Whether a `Host` cannot be somebody else's name for this address.
fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => return rest.split(']').next().is_some_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
        None => host.split(':').next().unwrap_or_default().trim_end_matches('.'),
    };
    name.parse::<std::net::Ipv4Addr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// Whether a page of this origin came from this host. Not the scheme: who stands in front may speak TLS.
fn is_same(origin: &str, host: &str) -> bool {
    let bare = |origin: &str, host: &str| {
        let rest = origin.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"));
        rest.is_some_and(|(scheme, rest)| {
            let port = if scheme == "https" { ":443" } else { ":80" };
            let (rest, host) = (rest.trim_end_matches(port), host.trim_end_matches(port));
            rest.eq_ignore_ascii_case(host)
        })
    };
    bare(&origin.to_ascii_lowercase(), host)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    fn access(token: Option<&Path>, listen: &str) -> Access {
        let settings =
            weir_config::Admin { listen: listen.parse().unwrap(), token_file: token.map(Path::to_path_buf), recent: 0 };
        Access::open(&settings).unwrap()
    }

    const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
    const HOST: (&str, &str) = ("host", "127.0.0.1:9090");

    #[test]
    fn without_a_token_only_hosts_that_are_no_names_are_let_in() {
        let access = access(None, "127.0.0.1:9090");
        let check = |host: &str| access.check(&Method::GET, &fields(&[("host", host)]));
        for own in ["127.0.0.1:9090", "10.1.2.3", "[::1]:9090", "[::1]", "localhost:1", "LocalHost", "localhost."] {
            assert_eq!(check(own), Ok(()), "{own}");
        }
        for other in ["evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "", "[::1"] {
            let expected = if other == "[::1" { Ok(()) } else { Err(Denied::Host) };
            assert_eq!(check(other), expected, "{other}");
        }
        assert_eq!(access.check(&Method::GET, &fields(&[])), Err(Denied::Host));
        assert_eq!(access.check(&Method::GET, &fields(&[HOST, HOST])), Err(Denied::Host), "two are none");
    }

    #[test]
    fn a_change_is_let_in_from_here_and_as_no_form_can_send_it() {
        let access = access(None, "127.0.0.1:9090");
        let check = |more: &[(&str, &str)]| access.check(&Method::POST, &fields(&[&[HOST], more].concat()));
        assert_eq!(check(&[JSON]), Ok(()));
        assert_eq!(check(&[("x-requested-with", "curl")]), Ok(()));
        assert_eq!(check(&[("content-type", "text/plain")]), Err(Denied::Plain));
        assert_eq!(check(&[]), Err(Denied::Plain));
        for same in ["http://127.0.0.1:9090", "https://127.0.0.1:9090", "HTTP://127.0.0.1:9090"] {
            assert_eq!(check(&[JSON, ("origin", same)]), Ok(()), "{same}");
        }
        for other in
            ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:9091", "file://127.0.0.1:9090"]
        {
            assert_eq!(check(&[JSON, ("origin", other)]), Err(Denied::Origin), "{other}");
        }
        let own = ("origin", "http://127.0.0.1:9090");
        assert_eq!(check(&[JSON, own, own]), Err(Denied::Origin), "two are none");
    }

    #[test]
    fn a_default_port_may_be_left_out_of_an_origin() {
        assert!(is_same("http://weir.example", "weir.example:80"));
        assert!(is_same("https://weir.example", "weir.example:443"));
        assert!(!is_same("http://weir.example", "weir.example:443"));
    }

    #[test]
    fn with_a_token_changes_need_it_and_elsewhere_than_on_loopback_looks_do_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "  s3cret\n").unwrap();
        let token = |token: &'static str| ("authorization", token);
        for (listen, look) in [("127.0.0.1:9090", Ok(())), ("0.0.0.0:9090", Err(Denied::NoToken))] {
            let access = access(Some(&file), listen);
            let look_with = |more: &[(&str, &str)]| access.check(&Method::GET, &fields(&[&[HOST], more].concat()));
            let change = |more: &[(&str, &str)]| access.check(&Method::POST, &fields(&[&[HOST, JSON], more].concat()));
            assert_eq!(look_with(&[]), look);
            assert_eq!(change(&[]), Err(Denied::NoToken));
            assert_eq!(change(&[token("Basic s3cret")]), Err(Denied::NoToken));
            for wrong in ["Bearer s3cre", "Bearer s3crets", "Bearer S3cret", "bearer "] {
                assert_eq!(change(&[token(wrong)]), Err(Denied::WrongToken), "{wrong}");
                assert_eq!(look_with(&[token(wrong)]), Err(Denied::WrongToken), "{wrong}");
            }
            assert_eq!(change(&[token("bearer s3cret")]), Ok(()));
            assert_eq!(look_with(&[token("Bearer s3cret")]), Ok(()));
            // By any name, for who rebinds a name has no token; but not for a page of another origin.
            let named = fields(&[("host", "weir.internal"), JSON, token("Bearer s3cret")]);
            assert_eq!(access.check(&Method::POST, &named), Ok(()));
            let foreign = [token("Bearer s3cret"), ("origin", "http://evil.example")];
            assert_eq!(change(&foreign), Err(Denied::Origin));
        }
    }

    #[test]
    fn a_new_token_holds_at_once_and_a_file_that_is_gone_lets_the_last_one_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one").unwrap();
        let access = access(Some(&file), "127.0.0.1:0");
        let check = |token: &str| {
            access.check(&Method::POST, &fields(&[HOST, JSON, ("authorization", &format!("Bearer {token}"))]))
        };
        assert_eq!(check("one"), Ok(()));
        std::fs::write(&file, "two").unwrap();
        assert_eq!((check("one"), check("two")), (Err(Denied::WrongToken), Ok(())));
        std::fs::remove_file(&file).unwrap();
        assert_eq!((check("one"), check("two")), (Err(Denied::WrongToken), Ok(())));
        std::fs::write(&file, "  \n").unwrap();
        assert_eq!((check(""), check("two")), (Err(Denied::WrongToken), Ok(())));
    }
}
