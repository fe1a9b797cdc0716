//! What can go wrong with an agent: one variant per thing that the reader would do differently.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::Address;

/// Why an agent's answer is missing or of no use.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    /// The name of the agent resolves to nothing.
    #[error("the host `{host}` of the Consul agent has no address")]
    Unresolved {
        /// The name.
        host: Box<str>,
        /// What the resolver said.
        source: io::Error,
    },
    /// No connection.
    #[error("cannot connect to the Consul agent at {address}")]
    Unreachable {
        /// Where.
        address: Address,
        /// What the last of its addresses said.
        source: io::Error,
    },
    /// The agent's certificate is not of an authority that we trust.
    #[error("the certificate of the Consul agent at {address} is not of a trusted CA")]
    WrongAuthority {
        /// Where.
        address: Address,
        /// What exactly.
        source: rustls::Error,
    },
    /// The agent's certificate is for other names.
    #[error("the certificate of the Consul agent at {address} is for another name")]
    WrongName {
        /// Where.
        address: Address,
        /// For which it is.
        source: rustls::Error,
    },
    /// The agent refuses our client certificate, or that there is none.
    #[error("the Consul agent at {address} refuses the client certificate")]
    WrongIdentity {
        /// Where.
        address: Address,
        /// What it said.
        source: rustls::Error,
    },
    /// Any other failure of TLS.
    #[error("TLS with the Consul agent at {address} failed")]
    Tls {
        /// Where.
        address: Address,
        /// What exactly.
        source: rustls::Error,
    },
    /// The connection ended before the answer did: the agent stopped, or something between.
    #[error("the connection to the Consul agent at {address} was cut before its answer was complete")]
    Cut {
        /// Where.
        address: Address,
        /// What was seen.
        source: hyper::Error,
    },
    /// No whole answer in time: a frozen agent, a dead network.
    #[error("the Consul agent at {address} did not answer within {limit:?}")]
    TooSlow {
        /// Where.
        address: Address,
        /// What it had.
        limit: Duration,
    },
    /// The answer is larger than we are willing to hold.
    #[error("the answer of the Consul agent is larger than {limit} bytes")]
    TooLarge {
        /// What was allowed, in bytes.
        limit: usize,
    },
    /// 403: a wrong token, or one that may not.
    #[error("Consul refuses the ACL token: `{said}`")]
    Denied {
        /// What it said.
        said: Box<str>,
        /// Whether a token was sent at all.
        with_token: bool,
    },
    /// The filter expression cannot be used.
    #[error("Consul cannot use the filter: `{said}`")]
    Filter {
        /// What it said.
        said: Box<str>,
    },
    /// There is no such datacenter, or no way to it.
    #[error("Consul knows no way to the datacenter `{datacenter}`")]
    Datacenter {
        /// Which was asked for.
        datacenter: Box<str>,
    },
    /// The namespace cannot be used.
    #[error("Consul refuses the namespace: `{said}`")]
    Namespace {
        /// What it said.
        said: Box<str>,
    },
    /// 400: the request makes no sense to this agent.
    #[error("Consul refuses the request: `{said}`")]
    Refused {
        /// What it said.
        said: Box<str>,
    },
    /// 5xx, and 429: Consul cannot answer now. No leader, mostly.
    #[error("Consul cannot answer now, {status}: `{said}`")]
    Failing {
        /// Its status.
        status: StatusCode,
        /// What it said.
        said: Box<str>,
    },
    /// What answers there is not an agent's HTTP API.
    #[error("what answers at {address} is not the HTTP API of a Consul agent: {seen}")]
    NotConsul {
        /// Where.
        address: Address,
        /// What was seen.
        seen: Box<str>,
    },
}

impl ConsulError {
    /// What to write or to do about it, one clause; `None` when only waiting helps.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Unresolved { .. } => "check the name, or write the IP address",
            Self::Unreachable { .. } => "is the agent running there? its HTTP port is 8500 unless configured otherwise",
            Self::WrongAuthority { .. } => {
                "give the CA file that signed the agent's certificate (`consul tls ca create` wrote `consul-agent-ca.pem`)"
            }
            Self::WrongName { .. } => {
                "write the host as the certificate has it, or add this one to it (`consul tls cert create -additional-dnsname`)"
            }
            Self::WrongIdentity { .. } => {
                "give a client certificate and its key, signed by the agent's CA (`consul tls cert create -client`)"
            }
            Self::Denied { with_token: true, .. } => {
                "give the secret id of an existing token that has `service:read` on the service and `node:read` to watch it, `service:write` to register it"
            }
            Self::Denied { with_token: false, .. } => "no token was given: give one in a file or in CONSUL_HTTP_TOKEN",
            Self::Filter { .. } => {
                "write it as `Service.Meta.zone == \"a\"`; operators are ==, !=, in, not in, contains, is empty, matches, and, or, not"
            }
            Self::Datacenter { .. } => {
                "`consul catalog datacenters` lists those there are; leave it out for the agent's own"
            }
            Self::Namespace { .. } => "namespaces are a Consul Enterprise feature: leave it out",
            Self::TooLarge { .. } => "narrow it by tags or a filter",
            Self::NotConsul { .. } => {
                "write the address of the HTTP API: `http://HOST:8500`, or `https://HOST:8501` where it has TLS"
            }
            Self::Tls { .. } => "is it the HTTPS port? it has none unless `ports { https = 8501 }` is configured",
            Self::Refused { .. } | Self::Failing { .. } | Self::Cut { .. } | Self::TooSlow { .. } => return None,
        })
    }

    /// The whole story on one line: what, why, and what to do.
    pub fn explain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        if let Some(help) = self.help() {
            text.push_str("; ");
            text.push_str(help);
        }
        text
    }

    /// One word for it, for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Unresolved { .. } => "unresolved",
            Self::Unreachable { .. } => "unreachable",
            Self::WrongAuthority { .. } | Self::WrongName { .. } | Self::WrongIdentity { .. } | Self::Tls { .. } => {
                "tls"
            }
            Self::Cut { .. } => "cut",
            Self::TooSlow { .. } => "too_slow",
            Self::TooLarge { .. } => "too_large",
            Self::Denied { .. } => "denied",
            Self::Filter { .. } | Self::Datacenter { .. } | Self::Namespace { .. } | Self::Refused { .. } => "refused",
            Self::Failing { .. } => "failing",
            Self::NotConsul { .. } => "not_consul",
        }
    }

    /// Whether a server other than the leader might answer the same question.
    pub(crate) fn stale_may_help(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::TooSlow { .. })
    }
}
