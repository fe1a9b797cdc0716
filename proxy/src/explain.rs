//! Where a request would go, and why: asked of the very code that serves requests.
//!
//! In: a request in words. Out: its route and what the pool would do with it now. The words become a head that is read as
//! one from a client is, so that what would be refused is refused here too. Cost: that of a request up to its lease.
//! What depends on a body that there is none of cannot be known: a key made of the body, pixels.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::BytesMut;
use weir_balance::{KeyHash, Nanos};
use weir_snapshot::{ListenerSettings, Moment, Outlook, Route};

use crate::body::{Budget, Held};
use crate::client::Client;
use crate::core::Core;
use crate::head::{self, Fault, Framing, Head, Read, normalised};
use crate::key;
use crate::refusal::Refusal;
use crate::seek::refusal_for;

/// A request in words.
#[derive(Clone, Debug)]
pub struct Question {
    /// `GET`.
    pub method: String,
    /// `http://host/path?query`, or a path alone.
    pub url: String,
    /// Who opens the connection.
    pub client: IpAddr,
    /// Names and values of further fields.
    pub fields: Vec<(String, String)>,
    /// Bytes of its body.
    pub length: Option<u64>,
    /// The hash of its key where that is known from elsewhere, such as an exchange that was served.
    pub key: Option<u64>,
}

/// Why weir would answer by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status of the answer.
    pub status: u16,
    /// As metrics call it.
    pub reason: &'static str,
    /// What the client would be told.
    pub message: &'static str,
}

/// What would become of a request.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// When this was so.
    pub now: Moment,
    /// Of the snapshot that was asked.
    pub revision: u64,
    /// The host that routes are looked up by.
    pub host: Option<String>,
    /// The path that they are looked up by, normalised.
    pub path: Option<String>,
    /// The client's address, the real one behind trusted proxies.
    pub client: IpAddr,
    /// The route, if there is one.
    pub route: Option<Arc<Route>>,
    /// The hash of what the policy hashes, if it does and the request has it.
    pub key: Option<KeyHash>,
    /// The work that the queue would be told, where it is predicted.
    pub work: Option<Nanos>,
    /// What the pool would do; `None` when it would not be asked.
    pub outlook: Option<Outlook>,
    /// The status of what the route answers by itself, in place of a service.
    pub answered: Option<u16>,
    /// Why weir would answer by itself.
    pub refused: Option<Refused>,
}

/// What would become of this request now, at a listener of these settings.
pub(crate) fn explain(core: &Core, listener: &ListenerSettings, question: &Question) -> Explanation {
    let snapshot = core.reader.load();
    let mut told = Explanation {
        now: core.clock.now(),
        revision: snapshot.revision,
        host: None,
        path: None,
        client: question.client,
        route: None,
        key: None,
        work: None,
        outlook: None,
        answered: None,
        refused: None,
    };
    let refusal =
        head_of(question, listener).and_then(|head| told.ask(core, &snapshot, (listener.address, &head), question.key));
    told.refused = refusal.err().map(Refused::from);
    told
}

impl Explanation {
    fn ask(
        &mut self,
        core: &Core,
        snapshot: &weir_snapshot::Snapshot,
        (listener, head): (SocketAddr, &Head),
        key: Option<u64>,
    ) -> Result<(), Refusal> {
        let client = Client::of(SocketAddr::new(self.client, 0), head, &core.trusted_proxies.load_full());
        self.client = client.address;
        self.host = head.host().map(str::to_owned);
        let path = normalised(head.path()).ok_or(Refusal::BadRequest(Fault::EscapesRoot))?;
        self.path = Some(String::from_utf8_lossy(&path).into_owned());
        let route = snapshot.routes.find_on(listener, head.host(), &path).ok_or(Refusal::NoRoute)?;
        self.route = Some(Arc::clone(route));
        if let Some(answer) = &route.settings.answer {
            self.answered = Some(answer.status);
            return Ok(());
        }
        let length = match head.framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked => None,
        };
        if length.is_some_and(|length| length > route.settings.max_body.get()) {
            return Err(Refusal::BodyTooLarge);
        }
        let known = key.filter(|_| route.pool.policy().reads_keys()).map(KeyHash);
        self.key = known.or_else(|| key::of(route, head, &client, None));
        if route.pool.permits().is_some() {
            let nothing = Held::new(&Budget::new(0), 0);
            let work = route.settings.queueing.work;
            self.work = core.works.predict(route.pool.service(), work, &nothing, length).map(|found| found.work);
        }
        let outlook = route.pool.outlook(self.now, self.key, self.work.unwrap_or(Nanos(0)));
        self.outlook = Some(outlook);
        match outlook {
            Outlook::Refused(why) => Err(refusal_for(why)),
            Outlook::Chosen(_) | Outlook::Waits { .. } => Ok(()),
        }
    }
}

/// The head that a client would send for this.
fn head_of(question: &Question, listener: &ListenerSettings) -> Result<Head, Refusal> {
    let line = Refusal::BadRequest(Fault::RequestLine);
    // Nobody adds a line by way of a value.
    if question.method.contains(char::is_control) || question.url.contains(char::is_control) {
        return Err(line);
    }
    let lower = question.url.get(..8).unwrap_or(&question.url).to_ascii_lowercase();
    let scheme = ["http://", "https://"].into_iter().find(|scheme| lower.starts_with(scheme)).map_or(0, str::len);
    let rest = question.url.get(scheme..).unwrap_or_default();
    // What follows a `#` is never sent.
    let rest = rest.split('#').next().unwrap_or_default();
    let (host, target) = match rest.find(['/', '?']) {
        _ if scheme == 0 => (None, rest.to_owned()),
        None => (Some(rest), "/".to_owned()),
        Some(at) => {
            let (host, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
            (Some(host), if target.starts_with('/') { target.to_owned() } else { format!("/{target}") })
        }
    };
    let named = question.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
    // Only 1.0 may do without a host.
    let version = if host.is_some() || named { "1.1" } else { "1.0" };
    let mut text = format!("{} {target} HTTP/{version}\r\n", question.method);
    let mut put = |name: &str, value: &str| text.extend([name, ": ", value, "\r\n"]);
    if let (Some(host), false) = (host, named) {
        put("Host", host);
    }
    if let Some(length) = question.length {
        put("Content-Length", &length.to_string());
    }
    for (name, value) in &question.fields {
        if name.contains(['\r', '\n']) || value.contains(['\r', '\n']) {
            return Err(Refusal::BadRequest(Fault::FieldValue));
        }
        put(name, value);
    }
    text.push_str("\r\n");
    match head::read(&mut BytesMut::from(text.as_str()), &mut 0, listener) {
        Read::Head(head) => Ok(*head),
        Read::Refused(refusal) => Err(refusal),
        Read::More => Err(line),
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status(), reason: refusal.label(), message: refusal.message() }
    }
}
