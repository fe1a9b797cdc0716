//! One HTTP/1 connection to an agent, plain or TLS.
//!
//! In: an address. Out: a sender of requests. Cost: one task, which ends with the sender.
//! Own rather than a pooling client: an error must be told apart (no such name, nobody there, wrong CA), and a request
//! given up must close its connection, since the agent would go on working at it.

use std::error::Error;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, ClientConfig, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::{Address, ConsulError};

#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
}

/// Ends the task that moves the bytes, wherever it is.
#[derive(Debug)]
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    pub(crate) async fn open(address: &Address, tls: Option<&Arc<ClientConfig>>) -> Result<Self, ConsulError> {
        let stream = connect(address).await?;
        // A request is written in one go; without it all works too.
        drop(stream.set_nodelay(true));
        let Some(config) = tls else { return Self::over(stream, address).await };
        let name = ServerName::try_from(address.host().to_owned()).map_err(|_| ConsulError::Unresolved {
            host: address.host().into(),
            source: io::Error::from(io::ErrorKind::InvalidInput),
        })?;
        let connected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        let stream = connected.map_err(|error| match rustls_error(&error) {
            Some(cause) => tls_error(address, cause),
            None => ConsulError::Unreachable { address: address.clone(), source: error },
        })?;
        Self::over(stream, address).await
    }

    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        address: &Address,
    ) -> Result<Self, ConsulError> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|source| failed(address, source))?;
        // What ends the connection is also told to whoever waits for the answer.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, driver: Driver(driver.abort_handle()) })
    }

    /// Whether the agent has not closed it since its last answer.
    pub(crate) async fn is_usable(&mut self) -> bool {
        !self.driver.0.is_finished() && self.sender.ready().await.is_ok()
    }

    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, hyper::Error> {
        self.sender.send_request(request).await
    }
}

/// The addresses of the host, one after the other: `localhost` is often two, of which one answers.
async fn connect(address: &Address) -> Result<TcpStream, ConsulError> {
    let unresolved = |source| ConsulError::Unresolved { host: address.host().into(), source };
    let mut found = lookup_host((address.host(), address.port())).await.map_err(unresolved)?;
    let mut last = match found.next() {
        None => return Err(unresolved(io::Error::from(io::ErrorKind::NotFound))),
        Some(first) => TcpStream::connect(first).await,
    };
    for next in found {
        if last.is_ok() {
            break;
        }
        last = TcpStream::connect(next).await;
    }
    last.map_err(|source| ConsulError::Unreachable { address: address.clone(), source })
}

/// What a failed exchange means. A client certificate is refused only after the handshake, where TLS 1.3 tells it.
pub(crate) fn failed(address: &Address, error: hyper::Error) -> ConsulError {
    if let Some(cause) = rustls_error(&error) {
        return tls_error(address, cause);
    }
    if error.is_parse() {
        return ConsulError::NotConsul { address: address.clone(), seen: "an answer that is not HTTP".into() };
    }
    ConsulError::Cut { address: address.clone(), source: error }
}

fn rustls_error(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found.clone());
        }
        // `io::Error` skips itself: its source is that of what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = wrapped.map(|inner| -> &(dyn Error + 'static) { inner }).or_else(|| error.source());
    }
    None
}

fn tls_error(address: &Address, source: rustls::Error) -> ConsulError {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage as Message};
    let address = address.clone();
    match &source {
        InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            ConsulError::WrongName { address, source }
        }
        InvalidCertificate(_) => ConsulError::WrongAuthority { address, source },
        AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied,
        ) => ConsulError::WrongIdentity { address, source },
        Message(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
            ConsulError::NotConsul { address, seen: "it does not speak TLS".into() }
        }
        _ => ConsulError::Tls { address, source },
    }
}
