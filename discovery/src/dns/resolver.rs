//! One resolver, over UDP, and over TCP when an answer does not fit.
//!
//! In: a question and how long it may take. Out: what it said, or how it failed. Cost: a socket per question over UDP;
//! one connection that is kept over TCP. Questions that are alike and under way together are one.
//! Built on hickory's pool of name servers with this one in it: it draws ids and ports, sends again what is lost, and
//! drops what is not the answer. Who is asked next is decided by [`super::Client`], which can then say who failed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError as Semantic, NetError};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use tokio::time::timeout;

use super::answer::{Answer, Nothing, Question};
use super::error::Fault;

pub(crate) struct Resolver {
    address: SocketAddr,
    pool: NameServerPool<TokioRuntimeProvider>,
    limit: Duration,
}

impl Resolver {
    /// `limit` is what a question has over UDP, and once more over TCP.
    pub(crate) fn new(address: SocketAddr, limit: Duration) -> Result<Self, Fault> {
        let mut options = ResolverOpts::default();
        options.timeout = limit;
        options.attempts = 1;
        options.num_concurrent_reqs = 1;
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        let server = NameServerConfig::new(address.ip(), true, connections.into());
        let tls = TlsConfig::new().map_err(|error| Fault::Unreachable(error.to_string().into()))?;
        let context = Arc::new(PoolContext::new(options, tls));
        let pool = NameServerPool::from_config([server], context, TokioRuntimeProvider::default());
        Ok(Self { address, pool, limit })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Silence is found out after the limit that the resolver was made with; UDP and TCP together have `guard`, which is
    /// longer: what is cut off by it leaves a connection behind that nobody knows to be dead.
    pub(crate) async fn ask(&self, question: &Question, guard: Duration) -> Result<Answer, Fault> {
        let answer = async {
            match self.exchange(question, true).await {
                // Servers from before 1999 do not know EDNS, and some boxes in between still are.
                Err(Fault::Said(code)) if matches!(&*code, "FORMERR" | "NOTIMP" | "BADVERS") => {
                    self.exchange(question, false).await
                }
                other => other,
            }
        };
        timeout(guard, answer).await.unwrap_or(Err(Fault::Silent(guard)))
    }

    async fn exchange(&self, question: &Question, edns: bool) -> Result<Answer, Fault> {
        let mut options = DnsRequestOptions::default();
        options.use_edns = edns;
        let query = Query::query(question.name.clone(), question.kind.record_type());
        match self.pool.lookup(query, options).first_answer().await {
            Ok(message) => match message.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => Answer::read(question, &message),
                code => Err(said(code)),
            },
            Err(error) => self.judge(error),
        }
    }

    /// What hickory calls an error: most negative answers, and what is one.
    fn judge(&self, error: NetError) -> Result<Answer, Fault> {
        match error {
            NetError::Dns(Semantic::NoRecordsFound(none)) => match none.response_code {
                ResponseCode::NXDomain => Ok(Answer::nothing(Nothing::NoName, none.negative_ttl)),
                ResponseCode::NoError if none.soa.is_none() && none.ns.is_some() => Err(Fault::Lame),
                ResponseCode::NoError => Ok(Answer::nothing(Nothing::NoRecord, none.negative_ttl)),
                code => Err(said(code)),
            },
            NetError::Dns(Semantic::ResponseCode(code)) => Err(said(code)),
            NetError::Timeout => Err(Fault::Silent(self.limit)),
            NetError::Io(error) => Err(Fault::Unreachable(error.to_string().into())),
            other => Err(Fault::Garbled(other.to_string().into())),
        }
    }
}

fn said(code: ResponseCode) -> Fault {
    let word = match code {
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::BADVERS => "BADVERS",
        other => return Fault::Said(format!("code {}", u16::from(other)).into()),
    };
    Fault::Said(word.into())
}
