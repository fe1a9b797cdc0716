//! One exchange at a time with an agent, under a deadline.
//!
//! In: a method, a path, a body, a limit of time and size. Out: the status, the headers, the whole body.
//! Cost: one connection per [`Session`], kept between exchanges; the body is held whole.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::connection::{Connection, failed};
use crate::text::{encoded, said};
use crate::{Address, ConsulError, Secret, Tls, TlsError};

/// How an agent is reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its HTTP API is.
    pub address: Address,
    /// The ACL token to send; `None` sends none.
    pub token: Option<Secret>,
    /// The datacenter to ask about; `None` is the agent's own. Registrations are always the agent's own.
    pub datacenter: Option<Box<str>>,
    /// The namespace, a feature of Consul Enterprise; passed on as it is.
    pub namespace: Option<Box<str>>,
    /// For `https` addresses.
    pub tls: Tls,
}

impl Options {
    /// No token, the agent's own datacenter, the trust of this system.
    pub fn new(address: Address) -> Self {
        Self { address, token: None, datacenter: None, namespace: None, tls: Tls::default() }
    }
}

/// A client of one agent. Prints without its token.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    options: Options,
    tls: Option<Arc<ClientConfig>>,
}

/// Exchanges one after the other, over one connection as long as it lives.
#[derive(Debug)]
pub(crate) struct Session {
    client: Client,
    kept: Option<Connection>,
}

/// An answer that is not a list of instances is a sentence.
pub(crate) const SMALL: usize = 64 << 10;

/// What to ask. `path` starts with `/v1/` and has everything in it.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// Whether it may be sent a second time, over a fresh connection, when the kept one turns out to be dead.
    pub(crate) again: bool,
    /// For the whole exchange, connecting and the body included.
    pub(crate) limit: Duration,
    /// Most bytes of the answer's body.
    pub(crate) most: usize,
}

/// What came back, whatever the status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// [`TlsError`] when the TLS material cannot be used, or the address is not `https` and there is some.
    pub fn new(options: Options) -> Result<Self, TlsError> {
        let tls = match (options.address.is_https(), options.tls.is_empty()) {
            (true, _) => Some(options.tls.config()?),
            (false, true) => None,
            (false, false) => return Err(TlsError::NotHttps),
        };
        Ok(Self(Arc::new(Inner { options, tls })))
    }

    /// The agent's address.
    pub fn address(&self) -> &Address {
        &self.0.options.address
    }

    /// What every question of this client has in its query.
    pub(crate) fn scope(&self, with_datacenter: bool) -> Vec<String> {
        let Options { datacenter, namespace, .. } = &self.0.options;
        let datacenter = datacenter.iter().filter(|_| with_datacenter).map(|value| format!("dc={}", encoded(value)));
        datacenter.chain(namespace.iter().map(|value| format!("ns={}", encoded(value)))).collect()
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, ConsulError> {
        let address = self.address();
        let mut request = Request::new(Full::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        let uri = format!("{}{}", address.prefix(), ask.path).parse();
        *request.uri_mut() =
            uri.map_err(|error: http::uri::InvalidUri| ConsulError::Refused { said: error.to_string().into() })?;
        let headers = request.headers_mut();
        if let Ok(host) = address.authority().parse() {
            headers.insert(HOST, host);
        }
        if let Some(token) = &self.0.options.token {
            headers.insert("x-consul-token", token.header());
        }
        if !ask.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(request)
    }

    /// A connection's worth of exchanges, opened when first needed.
    pub(crate) fn session(&self) -> Session {
        Session { client: self.clone(), kept: None }
    }

    /// What a status other than 200 means.
    pub(crate) fn refusal(&self, answer: &Answer) -> ConsulError {
        let Options { address, token, datacenter, .. } = &self.0.options;
        let said = said(&answer.body);
        let lower = said.to_ascii_lowercase();
        match answer.status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => {
                ConsulError::Denied { said, with_token: token.is_some() }
            }
            // 1.8 answers 500 to a filter it cannot parse, later ones 400.
            _ if lower.contains("boolean expression") || lower.contains("filter expression") => {
                ConsulError::Filter { said }
            }
            _ if lower.contains("no path to datacenter") => {
                ConsulError::Datacenter { datacenter: datacenter.clone().unwrap_or_default() }
            }
            StatusCode::BAD_REQUEST if lower.contains("https server") => {
                ConsulError::NotConsul { address: address.clone(), seen: said }
            }
            StatusCode::BAD_REQUEST if lower.contains("namespace") => ConsulError::Namespace { said },
            StatusCode::BAD_REQUEST => ConsulError::Refused { said },
            // Some proxies and old agents pass an ACL refusal on inside a 500.
            status
                if status.is_server_error()
                    && (lower.contains("permission denied") || lower.contains("acl not found")) =>
            {
                ConsulError::Denied { said, with_token: token.is_some() }
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                ConsulError::Failing { status, said }
            }
            status => ConsulError::NotConsul { address: address.clone(), seen: format!("it answers {status}").into() },
        }
    }
}

impl Session {
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the connection of the exchange before is still there, so that the same process answers the next one.
    pub(crate) async fn is_open(&mut self) -> bool {
        let open = match &mut self.kept {
            Some(connection) => connection.is_usable().await,
            None => false,
        };
        if !open {
            self.kept = None;
        }
        open
    }

    /// Asks, and takes any status for an answer. Given up half-way, it closes the connection.
    pub(crate) async fn exchange(&mut self, ask: Ask) -> Result<Answer, ConsulError> {
        let (address, limit) = (self.client.address().clone(), ask.limit);
        timeout(limit, self.answer(&ask)).await.unwrap_or(Err(ConsulError::TooSlow { address, limit }))
    }

    async fn answer(&mut self, ask: &Ask) -> Result<Answer, ConsulError> {
        if self.is_open().await
            && let Some(connection) = self.kept.take()
        {
            match self.over(connection, ask).await {
                // The agent may have closed it just then, which says nothing about the agent.
                Err(ConsulError::Cut { .. }) if ask.again => {}
                other => return other,
            }
        }
        let connection = Connection::open(self.client.address(), self.client.0.tls.as_ref()).await?;
        self.over(connection, ask).await
    }

    async fn over(&mut self, mut connection: Connection, ask: &Ask) -> Result<Answer, ConsulError> {
        let address = self.client.address();
        let answer = connection.send(self.client.request(ask)?).await.map_err(|error| failed(address, error))?;
        let (head, body) = answer.into_parts();
        let body = match Limited::new(body, ask.most).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(ConsulError::TooLarge { limit: ask.most }),
            Err(error) => {
                let seen = error.to_string();
                return Err(match error.downcast::<hyper::Error>() {
                    Ok(error) => failed(address, *error),
                    Err(_) => ConsulError::NotConsul { address: address.clone(), seen: seen.into() },
                });
            }
        };
        self.kept = Some(connection);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.0.options).finish_non_exhaustive()
    }
}
