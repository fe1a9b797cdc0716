//! One line of the table.

/// A request and what becomes of it.
///
/// An outcome is written `STATUSES, closed|kept|waits: WHAT REACHED THE ENDPOINT`; see the page's own explanation.
pub(crate) struct Case {
    /// The heading it stands under.
    pub(crate) group: &'static str,
    /// What is odd about it; unique in the table.
    pub(crate) name: &'static str,
    /// The bytes sent, all at once.
    pub(crate) request: Vec<u8>,
    /// What weir must do.
    pub(crate) weir: String,
    /// What nginx does.
    pub(crate) nginx: String,
    /// What HAProxy does.
    pub(crate) haproxy: String,
}

/// The commonest outcome: refused, closed, and nothing reached the endpoint.
pub(crate) const R: &str = "400, closed";
/// A GET for `/` is served.
pub(crate) const GET: &str = "200, kept: GET /";
/// A POST to `/` without a body is served.
pub(crate) const POST: &str = "200, kept: POST /";
/// A POST to `/` with the body `hello` is served.
pub(crate) const HELLO: &str = "200, kept: POST / hello";

/// A line without its heading, which [`group`] adds.
pub(crate) fn case(name: &'static str, request: impl Into<Vec<u8>>, weir: &str, nginx: &str, haproxy: &str) -> Case {
    let [weir, nginx, haproxy] = [weir, nginx, haproxy].map(str::to_owned);
    Case { group: "", name, request: request.into(), weir, nginx, haproxy }
}

/// Puts cases under a heading.
pub(crate) fn group(group: &'static str, cases: Vec<Case>) -> Vec<Case> {
    cases.into_iter().map(|case| Case { group, ..case }).collect()
}

/// A GET for `/` with a good Host and these further lines, each with its line end.
pub(crate) fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

/// A POST to `/` with a good Host, these further lines, and this behind the head.
pub(crate) fn post(lines: &str, rest: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n{rest}")
}

/// A chunked POST with this behind the head.
pub(crate) fn chunked(rest: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", rest)
}

/// A GET with this first line and a good Host.
pub(crate) fn line(line: &str) -> String {
    format!("{line}\r\nHost: a.example\r\n\r\n")
}
