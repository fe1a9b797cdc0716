//! Who may ask for what.
//!
//! In: a call, and who makes it. Out: nothing, or why not.
//!
//! | | the page | health, metrics | a look below `/api` | a change |
//! |---|---|---|---|---|
//! | without a token, loopback | open | from here | from here | from here |
//! | with one, loopback | open | from here, or the token | from here, or the token | the token |
//! | with one, elsewhere | open | open | the token | the token |
//!
//! A change is any method but GET, HEAD and OPTIONS. "From here" is more than a loopback address, which a browser on the
//! same machine reaches too, and a browser runs pages from anywhere:
//! - a `Host` that is a name is refused, but for `localhost`: a page may have its own name resolve to 127.0.0.1 (DNS
//!   rebinding), and is then of the same origin as weir. Who has the token may use any name. Elsewhere than on loopback
//!   names are what scrapers use, and weir does not know its own;
//! - what a page of another origin asks for is refused, by `Origin` and `Sec-Fetch-Site` (Fetch Metadata, W3C), though it
//!   could not read the answer: looks are work, and `/api/events` has few places. Links may lead to health and metrics;
//! - a change that a plain form could send (no JSON and no field of one's own) is refused, for the browser asks nobody
//!   before it sends that.

use axum::http::{HeaderMap, Method, StatusCode, header};

use super::answer::Mistake;
use super::token::Token;

pub(crate) use super::token::TokenError;

/// A field of one's own: a browser asks before it lets a page of another origin send it.
const OWN_FIELD: &str = "x-requested-with";
/// Whose page makes the call, as browsers say of addresses that they trust, such as 127.0.0.1.
const SITE: &str = "sec-fetch-site";

/// Whom to let in.
#[derive(Debug)]
pub(crate) struct Access {
    token: Option<Token>,
    /// Whether others than this machine can reach it.
    remote: bool,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    /// The page's files, which say nothing about this weir.
    Page,
    /// Health and metrics, which change nothing and name no client.
    Health,
    /// Anything below `/api` that changes nothing.
    Look,
    /// Anything else below `/api`.
    Change,
}

impl Aim {
    pub(crate) fn of(method: &Method, path: &str) -> Self {
        let looks = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match path {
            "/api" if looks => Self::Look,
            "/api" => Self::Change,
            path if path.starts_with("/api/") => {
                if looks {
                    Self::Look
                } else {
                    Self::Change
                }
            }
            path if path == "/" || path.starts_with("/page/") => Self::Page,
            _ => Self::Health,
        }
    }
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
                "a page of another origin may neither change nor read anything here",
                "open weir's own page, or call without `Origin` and `Sec-Fetch-Site`",
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
    /// As configured. Reads the token; blocks.
    pub(crate) fn open(settings: &weir_config::Admin) -> Result<Self, TokenError> {
        let token = settings.token_file.as_deref().map(Token::open).transpose()?;
        Ok(Self { token, remote: !settings.listen.ip().to_canonical().is_loopback() })
    }

    /// Whether a call is to be carried out. Reads the token's file if it shows one, so that a new token holds at once.
    pub(crate) async fn check(&self, aim: Aim, fields: &HeaderMap) -> Result<(), Denied> {
        match aim {
            Aim::Page => Ok(()),
            Aim::Health => self.check_health(fields).await,
            Aim::Look | Aim::Change => self.check_api(aim == Aim::Change, fields).await,
        }
    }

    async fn check_health(&self, fields: &HeaderMap) -> Result<(), Denied> {
        let host = text(fields, header::HOST.as_str());
        // Probes of HTTP/1.0 have none, browsers always do.
        let own = self.remote
            || !fields.contains_key(header::HOST)
            || host.is_some_and(|host| host.is_empty() || is_own(host));
        if !own && self.knows(fields).await != Some(true) {
            return Err(Denied::Host);
        }
        if is_foreign(fields, host) && text(fields, "sec-fetch-mode") != Some("navigate") {
            return Err(Denied::Origin);
        }
        Ok(())
    }

    async fn check_api(&self, changes: bool, fields: &HeaderMap) -> Result<(), Denied> {
        let known = match self.knows(fields).await {
            Some(false) => return Err(Denied::WrongToken),
            Some(true) => true,
            None => false,
        };
        if self.token.is_some() && !known && (changes || self.remote) {
            return Err(Denied::NoToken);
        }
        let host = text(fields, header::HOST.as_str());
        if !known && !host.is_some_and(is_own) {
            return Err(Denied::Host);
        }
        if is_foreign(fields, host) {
            return Err(Denied::Origin);
        }
        let json = text(fields, header::CONTENT_TYPE.as_str()).is_some_and(|kind| {
            kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
        });
        if changes && !json && !fields.contains_key(OWN_FIELD) {
            return Err(Denied::Plain);
        }
        Ok(())
    }

    /// Whether the call shows the token; `None` when it shows none, or there is none.
    async fn knows(&self, fields: &HeaderMap) -> Option<bool> {
        let (token, shown) = self.token.as_ref().zip(shown(fields))?;
        Some(token.is(shown).await)
    }
}

/// Whether a page of another origin makes this call. A field that cannot be read, or two of one, are nobody's own.
fn is_foreign(fields: &HeaderMap, host: Option<&str>) -> bool {
    let origin = || text(fields, header::ORIGIN.as_str()).zip(host);
    if fields.contains_key(header::ORIGIN) && !origin().is_some_and(|(origin, host)| is_same(origin, host)) {
        return true;
    }
    // Not `same-site` either: all ports of a machine are one site.
    fields.contains_key(SITE) && !matches!(text(fields, SITE), Some("same-origin" | "none"))
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
        Some(rest) => {
            return rest.split_once(']').is_some_and(|(text, _)| text.parse::<std::net::Ipv6Addr>().is_ok());
        }
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
    use std::path::Path;

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

    /// Nothing in these waits for anything.
    fn check(access: &Access, aim: Aim, given: &[(&str, &str)]) -> Result<(), Denied> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(access.check(aim, &fields(given)))
    }

    #[test]
    fn a_call_is_for_what_its_path_and_method_say() {
        let of = |method: Method, path: &str| Aim::of(&method, path);
        for path in ["/api", "/api/", "/api/status", "/api/nothing"] {
            assert_eq!((of(Method::GET, path), of(Method::POST, path)), (Aim::Look, Aim::Change), "{path}");
            assert_eq!((of(Method::HEAD, path), of(Method::TRACE, path)), (Aim::Look, Aim::Change), "{path}");
        }
        for path in ["/metrics", "/healthz", "/nothing", "/apis", "//api/status", "/pages"] {
            assert_eq!(of(Method::GET, path), Aim::Health, "{path}");
        }
        assert_eq!((of(Method::GET, "/"), of(Method::GET, "/page/page.js")), (Aim::Page, Aim::Page));
    }

    #[test]
    fn without_a_token_only_hosts_that_are_no_names_are_let_in() {
        let access = access(None, "127.0.0.1:9090");
        let check = |host: &str| check(&access, Aim::Look, &[("host", host)]);
        for own in ["127.0.0.1:9090", "10.1.2.3", "[::1]:9090", "[::1]", "localhost:1", "LocalHost", "localhost."] {
            assert_eq!(check(own), Ok(()), "{own}");
        }
        for other in ["evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", "[evil]", "", "[::1"] {
            assert_eq!(check(other), Err(Denied::Host), "{other}");
        }
        let look = |given: &[(&str, &str)]| super::tests::check(&access, Aim::Look, given);
        assert_eq!((look(&[]), look(&[HOST, HOST])), (Err(Denied::Host), Err(Denied::Host)), "two are none");
        let health = |given: &[(&str, &str)]| super::tests::check(&access, Aim::Health, given);
        assert_eq!((health(&[]), health(&[("host", "")])), (Ok(()), Ok(())), "no browser leaves it out");
        assert_eq!((health(&[HOST]), health(&[HOST, HOST])), (Ok(()), Err(Denied::Host)));
        assert_eq!(health(&[("host", "evil.example")]), Err(Denied::Host));
        assert_eq!(super::tests::check(&access, Aim::Page, &[("host", "evil.example")]), Ok(()));
    }

    #[test]
    fn where_others_reach_it_health_and_metrics_answer_by_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret").unwrap();
        let access = access(Some(&file), "0.0.0.0:9090");
        assert_eq!(check(&access, Aim::Health, &[("host", "weir.monitoring.svc:9090")]), Ok(()));
        let foreign = [HOST, ("origin", "http://evil.example")];
        assert_eq!(check(&access, Aim::Health, &foreign), Err(Denied::Origin));
    }

    #[test]
    fn a_page_of_another_origin_may_not_even_look() {
        let access = access(None, "127.0.0.1:9090");
        let look = |aim, more: &[(&str, &str)]| check(&access, aim, &[&[HOST], more].concat());
        for own in [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none"), ("origin", "http://127.0.0.1:9090")]
        {
            assert_eq!((look(Aim::Look, &[own]), look(Aim::Health, &[own])), (Ok(()), Ok(())), "{own:?}");
        }
        let navigates = ("sec-fetch-mode", "navigate");
        for other in ["cross-site", "same-site", "", "None"] {
            let site = (SITE, other);
            assert_eq!(look(Aim::Look, &[site]), Err(Denied::Origin), "{other}");
            assert_eq!(look(Aim::Look, &[site, navigates]), Err(Denied::Origin), "{other}");
            assert_eq!(look(Aim::Health, &[site]), Err(Denied::Origin), "{other}");
            assert_eq!(look(Aim::Health, &[site, navigates]), Ok(()), "a link");
        }
        assert_eq!(look(Aim::Look, &[("origin", "null")]), Err(Denied::Origin));
    }

    #[test]
    fn a_change_is_let_in_from_here_and_as_no_form_can_send_it() {
        let access = access(None, "127.0.0.1:9090");
        let check = |more: &[(&str, &str)]| check(&access, Aim::Change, &[&[HOST], more].concat());
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
            let look_with = |more: &[(&str, &str)]| check(&access, Aim::Look, &[&[HOST], more].concat());
            let change = |more: &[(&str, &str)]| check(&access, Aim::Change, &[&[HOST, JSON], more].concat());
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
            let named = [("host", "weir.internal"), JSON, token("Bearer s3cret")];
            assert_eq!(check(&access, Aim::Change, &named), Ok(()));
            let foreign = [token("Bearer s3cret"), ("origin", "http://evil.example")];
            assert_eq!(change(&foreign), Err(Denied::Origin));
        }
    }
}
