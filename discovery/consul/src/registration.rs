//! This process as an instance of a service, on the local agent.
//!
//! In: what to register. Out: an agent that knows it, again within two seconds when it forgot.
//! Cost: one small request a second. A poll rather than a blocking query: it also finds out a frozen agent, and costs
//! the agent on the same machine nothing.
//! Source: the agent API of Consul, `/v1/agent/service/…`.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::num::NonZeroU16;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tracing::{error, info, warn};

use crate::ConsulError;
use crate::client::{Answer, Ask, Client, SMALL, Session};
use crate::dice::Dice;
use crate::text::encoded;

/// Between two looks at the agent, at most; half of it at least.
const LOOK: Duration = Duration::from_secs(1);
/// What one request has. An agent answers these from memory.
const LIMIT: Duration = Duration::from_secs(2);
/// How often the agent checks, and what a check has.
const CHECK_EVERY: &str = "2s";
const CHECK_LIMIT: &str = "1s";
/// After which time of critical checks the agent forgets an instance that never said goodbye. Consul takes no less.
const FORGET_AFTER: &str = "1m";

/// An instance to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Unique on the agent. What has the same id is replaced.
    pub id: Box<str>,
    /// The name of the service.
    pub name: Box<str>,
    /// Where it answers; `None` is the address of the agent's node.
    pub address: Option<Box<str>>,
    /// The port it answers on.
    pub port: NonZeroU16,
    /// Its tags.
    pub tags: Vec<Box<str>>,
    /// What it says about itself, as `capacity`.
    pub meta: BTreeMap<Box<str>, Box<str>>,
    /// Its share of the traffic while its checks pass; while one warns it is 1.
    pub weight: NonZeroU16,
    /// What the agent does every two seconds, and has a second for. The agent starts out believing that it is well.
    pub check: Check,
}

/// How an agent checks an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A whole URL that answers 2xx.
    Http(Box<str>),
    /// `host:port`, where a connection opens.
    Tcp(Box<str>),
}

/// A service and the agent that shall know it.
#[derive(Clone, Debug)]
pub struct Registration {
    client: Client,
    service: Service,
}

/// What a look at the agent found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Ours,
    Nothing,
    /// Another address under our id.
    Other(String),
}

impl Registration {
    /// Nothing is asked yet.
    pub fn new(client: Client, service: Service) -> Self {
        Self { client, service }
    }

    /// What is registered.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Registers once, with its check passing.
    ///
    /// # Errors
    /// [`ConsulError`], within two seconds.
    pub async fn register(&self) -> Result<(), ConsulError> {
        self.put(&mut self.client.session()).await
    }

    /// Deregisters. An agent that does not know it is fine too.
    ///
    /// # Errors
    /// [`ConsulError`], within two seconds.
    pub async fn deregister(&self) -> Result<(), ConsulError> {
        let path = self.path("deregister/", &self.service.id, &[]);
        let answer = self.client.session().exchange(ask(Method::PUT, path, Bytes::new())).await?;
        // 1.8 says 200 to an unknown id, later ones 404.
        match answer.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
            _ => Err(self.client.refusal(&answer)),
        }
    }

    /// Registers, and again whenever the agent has forgotten, until `stop` is done. Failures are logged, each kind once
    /// until it ends, and tried again within a second.
    ///
    /// Ends between two requests, so that none of them arrives after a [`Registration::deregister`] that follows.
    pub async fn keep(&self, stop: impl Future<Output = ()>) {
        let (id, name, agent) = (&*self.service.id, &*self.service.name, self.client.address());
        let mut hasher = DefaultHasher::new();
        (id, name).hash(&mut hasher);
        let mut dice = Dice::new(hasher.finish());
        let mut session = self.client.session();
        let mut stop = pin!(stop);
        let (mut registered, mut trouble) = (false, None);
        loop {
            let found = if registered { self.look(&mut session).await } else { Ok(Found::Nothing) };
            let outcome = match found {
                Ok(Found::Nothing) => self.put(&mut session).await.map(|()| None),
                Ok(Found::Ours) => Ok(None),
                Ok(Found::Other(other)) => Ok(Some(other)),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(None) => {
                    if !registered || trouble.is_some() {
                        info!(id, service = name, %agent, "registered");
                    }
                    (registered, trouble) = (true, None);
                }
                Ok(Some(other)) => {
                    if trouble.replace("taken") != Some("taken") {
                        error!(id, service = name, %agent, "another process at {other} has registered this id: give each its own");
                    }
                }
                Err(error) => {
                    if trouble.replace(error.label()) != Some(error.label()) {
                        error!(id, service = name, "not registered: {}", error.explain());
                    }
                }
            }
            tokio::select! {
                () = &mut stop => return,
                () = sleep(dice.half_to_all_of(LOOK)) => {}
            }
        }
    }

    async fn look(&self, session: &mut Session) -> Result<Found, ConsulError> {
        let path = self.path("", &self.service.id, &[]);
        let answer = session.exchange(ask(Method::GET, path, Bytes::new())).await?;
        let found = self.found(&answer)?;
        if found == Found::Nothing {
            warn!(id = &*self.service.id, agent = %self.client.address(), "the agent has forgotten this service: registering again");
        }
        Ok(found)
    }

    fn found(&self, answer: &Answer) -> Result<Found, ConsulError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Known {
            address: Option<String>,
            port: Option<i64>,
        }
        match answer.status {
            StatusCode::OK => {}
            // An agent says which id it does not know; a 404 that does not is from something else.
            StatusCode::NOT_FOUND if !answer.body.is_empty() => return Ok(Found::Nothing),
            _ => return Err(self.client.refusal(answer)),
        }
        let known: Known = serde_json::from_slice(&answer.body).map_err(|error| ConsulError::NotConsul {
            address: self.client.address().clone(),
            seen: error.to_string().into(),
        })?;
        let (address, port) = (known.address.unwrap_or_default(), known.port.unwrap_or(0));
        let ours =
            address == self.service.address.as_deref().unwrap_or("") && port == i64::from(self.service.port.get());
        Ok(if ours { Found::Ours } else { Found::Other(format!("{address}:{port}")) })
    }

    async fn put(&self, session: &mut Session) -> Result<(), ConsulError> {
        let path = self.path("register", "", &["replace-existing-checks=true"]);
        let answer = session.exchange(ask(Method::PUT, path, self.body())).await?;
        if answer.status == StatusCode::OK { Ok(()) } else { Err(self.client.refusal(&answer)) }
    }

    fn path(&self, verb: &str, id: &str, extra: &[&str]) -> String {
        let mut parts: Vec<String> = extra.iter().map(|part| (*part).to_owned()).collect();
        parts.extend(self.client.scope(false));
        format!("/v1/agent/service/{verb}{}?{}", encoded(id), parts.join("&"))
    }

    fn body(&self) -> Bytes {
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Body<'a> {
            #[serde(rename = "ID")]
            id: &'a str,
            name: &'a str,
            address: &'a str,
            port: u16,
            tags: &'a [Box<str>],
            meta: &'a BTreeMap<Box<str>, Box<str>>,
            weights: Weights,
            check: Checked<'a>,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Weights {
            passing: u16,
            warning: u16,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "PascalCase")]
        struct Checked<'a> {
            #[serde(rename = "HTTP", skip_serializing_if = "Option::is_none")]
            http: Option<&'a str>,
            #[serde(rename = "TCP", skip_serializing_if = "Option::is_none")]
            tcp: Option<&'a str>,
            interval: &'a str,
            timeout: &'a str,
            deregister_critical_service_after: &'a str,
            status: &'a str,
        }
        let Service { id, name, address, port, tags, meta, weight, check } = &self.service;
        let (http, tcp) = match check {
            Check::Http(url) => (Some(&**url), None),
            Check::Tcp(place) => (None, Some(&**place)),
        };
        let body = Body {
            id,
            name,
            address: address.as_deref().unwrap_or(""),
            port: port.get(),
            tags,
            meta,
            weights: Weights { passing: weight.get(), warning: 1 },
            check: Checked {
                http,
                tcp,
                interval: CHECK_EVERY,
                timeout: CHECK_LIMIT,
                deregister_critical_service_after: FORGET_AFTER,
                // It serves when it registers; waiting for the first check would cost it two seconds.
                status: "passing",
            },
        };
        // Texts and numbers always serialize; an empty body would be refused by the agent with a reason.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

fn ask(method: Method, path: String, body: Bytes) -> Ask {
    Ask { method, path, body, again: true, limit: LIMIT, most: SMALL }
}
