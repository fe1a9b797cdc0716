//! Sends a case and says what became of it.
//!
//! Nothing here is timed but silence: a proxy that neither answers nor closes within [`SILENCE`] is waiting for more.
//! What reached the endpoint is known for certain: a second, good request goes through the same proxy to the same
//! endpoint afterwards, and then every connection of the endpoint has to end.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use weir_testkit::{Endpoint, PATIENCE, Raw, Received, Reply, Response};

use crate::case::Case;
use crate::cases::all;

/// How long a proxy must be silent to be called waiting, 2 s: a hundred times what an answer takes on a busy machine.
const SILENCE: Duration = Duration::from_secs(2);

/// How an HTTP/2 connection begins: a SETTINGS frame of 0 to 255 bytes on stream 0.
const SETTINGS: &[u8] = b"\0\0";

/// The endpoint all cases are sent to: answers 200 with method and target, and closes, so that every proxy opens a
/// connection per request and what belongs to which case is plain.
pub(crate) fn endpoint() -> Endpoint {
    Endpoint::start(|call| {
        let said = format!("{} {}", call.method(), call.target());
        Reply::new(200).header("Connection", "close").body(said).into()
    })
}

/// The cases in which the proxy on `address`, in front of `endpoint`, does not do what `stated` says; one line each.
pub(crate) fn differences(address: SocketAddr, endpoint: &Endpoint, stated: impl Fn(&Case) -> &String) -> Vec<String> {
    let differs = |case: &Case| {
        let (found, stated) = (outcome(address, endpoint, case), stated(case));
        (!stated.split(" or ").any(|stated| stated == found))
            .then(|| format!("{}: {found:?}, not {stated:?}", case.name))
    };
    all().iter().filter_map(differs).collect()
}

/// Panics with the differences, if any.
pub(crate) fn check(differences: &[String]) {
    assert!(differences.is_empty(), "{} cases differ:\n{}", differences.len(), differences.join("\n"));
}

/// What became of one case, in the words of the table.
fn outcome(address: SocketAddr, endpoint: &Endpoint, case: &Case) -> String {
    let before = endpoint.seen();
    let (statuses, end) = converse(address, &case.request);
    let sentinel = Raw::get(address, "/sentinel");
    assert_eq!(sentinel.status, 200, "after `{}` the proxy still serves: {}", case.name, sentinel.text());
    let after = endpoint.wait_until_idle();
    let ours = |request: &&Received| !["/probe", "/sentinel"].contains(&request.target());
    let mut reached: Vec<String> =
        after.requests.iter().skip(before.requests.len()).filter(ours).map(describe).collect();
    reached.extend(after.stray.iter().skip(before.stray.len()).map(|bytes| format!("bytes {bytes:?}")));
    let mut said = if statuses.is_empty() { "no answer".to_owned() } else { statuses.join(" ") };
    write!(said, ", {end}").unwrap();
    if !reached.is_empty() {
        write!(said, ": {}", reached.join("; ")).unwrap();
    }
    said
}

/// The statuses that came back, and whether the connection was `closed`, `kept` (a further request is answered), or
/// the proxy `waits` for more.
fn converse(address: SocketAddr, request: &[u8]) -> (Vec<String>, &'static str) {
    let mut client = Raw::connect_within(address, PATIENCE + SILENCE);
    // A proxy may refuse, and close, before it has taken everything.
    drop(client.try_write(request));
    let mut statuses = Vec::new();
    let mut probed = false;
    loop {
        if !client.hears_within(SILENCE) {
            return (statuses, "waits");
        }
        if client.received().starts_with(SETTINGS) {
            statuses.push("HTTP/2".to_owned());
            return (statuses, "kept");
        }
        match client.try_response("GET") {
            Ok(response) if response.text() == "GET /probe" => return (statuses, "kept"),
            Ok(response) => {
                statuses.push(response.status.to_string());
                if says_close(&response) {
                    let (rest, _) = client.read_to_end();
                    assert!(rest.is_empty(), "bytes behind a last answer: {rest:?}");
                    return (statuses, "closed");
                }
                if !probed {
                    probed = true;
                    drop(client.try_write("GET /probe HTTP/1.1\r\nHost: a.example\r\n\r\n"));
                }
            }
            Err(_) => {
                statuses.extend((!client.rest().is_empty()).then(|| "HTTP/0.9".to_owned()));
                return (statuses, "closed");
            }
        }
    }
}

fn says_close(response: &Response) -> bool {
    response.head.lists("connection", "close")
}

/// Method, target and body; `…` for a body that did not arrive whole.
fn describe(request: &Received) -> String {
    let mut said = format!("{} {}", request.method(), shorten(request.target().as_bytes()));
    if !request.body.complete {
        said.push_str(" …");
    } else if request.body.length > 1000 {
        write!(said, " {} bytes", request.body.length).unwrap();
    } else if request.body.length > 0 {
        said.push(' ');
        said.push_str(&shorten(&request.body.kept));
    }
    said
}

/// Text with escapes, and `a×N` for a byte that stands there more than 30 times in a row.
pub(crate) fn shorten(bytes: &[u8]) -> String {
    bytes
        .chunk_by(|a, b| a == b)
        .map(|run| match run {
            [byte, ..] if run.len() > 30 => format!("{}×{}", byte.escape_ascii(), run.len()),
            run => run.escape_ascii().to_string(),
        })
        .collect()
}
