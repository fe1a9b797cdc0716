//! Calls of a running weir's admin API.
//!
//! In: a method, a path, perhaps JSON. Out: the JSON of the answer, or a [`Failure`] that says what to do. One connection for
//! each call: they are for people and scripts, which make few.
//! Cost: everything in memory, at most [`LARGEST`]; each call ends within its deadline.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, InvalidHeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::address::Address;
use super::out::visible;

/// For calls that are answered from memory.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);
/// Ten times the status of 5,000 endpoints.
const LARGEST: usize = 64 << 20;

/// A weir that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    admin: Address,
    token: Option<HeaderValue>,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// With its query.
    pub(super) path: String,
    /// JSON.
    pub(super) body: Option<String>,
    pub(super) deadline: Duration,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, deadline: DEADLINE }
    }

    pub(super) fn change(method: Method, path: impl Into<String>) -> Self {
        // Something, so that it is JSON: the API takes changes only in a form that no web page can send unasked.
        Self { method, path: path.into(), body: Some("{}".to_owned()), deadline: DEADLINE }
    }
}

/// A document that was answered.
#[derive(Debug)]
pub(super) struct Answer(Bytes);

impl Answer {
    /// As this type.
    pub(super) fn read<T: DeserializeOwned>(&self, admin: &Address) -> Result<T, Failure> {
        serde_json::from_slice(&self.0).map_err(|error| Failure::Strange { admin: admin.clone(), error })
    }

    /// As it was sent.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).trim_end().to_owned()
    }
}

/// Why a call was not carried out.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no weir answers at {admin}: {reason}")]
    Nobody { admin: Address, reason: String },
    #[error("what answers at {admin} is no weir's admin address: {what}")]
    NoWeir { admin: Address, what: String },
    #[error("cannot read the token file `{}`: {error}", .file.display())]
    Token { file: PathBuf, error: io::Error },
    #[error("the token file `{}` holds no token", .file.display())]
    NoToken { file: PathBuf },
    #[error("{error}")]
    Refused { status: StatusCode, error: String, help: String, answer: Answer },
    #[error("weir at {admin} answers what this version does not understand: {error}")]
    Strange { admin: Address, error: serde_json::Error },
}

impl Failure {
    /// Whether nobody was there to carry it out.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Nobody { .. } | Self::NoWeir { .. })
    }

    /// What to do about it.
    fn help(&self) -> &str {
        match self {
            Self::Nobody { .. } | Self::NoWeir { .. } => {
                "start one with `weir run FILE`; the line `admin on http://ADDRESS` that it prints is what `--admin ADDRESS` \
                 takes"
            }
            Self::Token { .. } => "name the `token_file` of `[admin]`, which must be readable for you",
            Self::NoToken { .. } => "write one line of visible ASCII, such as `openssl rand -hex 32` makes",
            Self::Refused { status: StatusCode::UNAUTHORIZED, .. } => {
                "say `--token-file FILE` with the `token_file` that `[admin]` of its configuration names"
            }
            Self::Refused { status: StatusCode::FORBIDDEN, .. } => {
                "name it by IP address or as `localhost` in `--admin`, or say `--token-file FILE` with the `token_file` of its \
                 `[admin]`"
            }
            Self::Refused { help, .. } => help,
            Self::Strange { .. } => "use the `weir` of the version that runs: `weir --version` tells this one's",
        }
    }
}

/// With what to do about it; what others wrote is made harmless for a terminal.
pub(super) fn explained(failure: &Failure) -> String {
    format!("error: {}\n  = help: {}", visible(&failure.to_string()), visible(failure.help()))
}

/// What a mistake is answered with.
#[derive(Deserialize)]
struct Told {
    error: String,
    help: String,
}

impl Client {
    pub(super) fn new(admin: &Address, token_file: Option<&Path>) -> Result<Self, Failure> {
        let token = token_file.map(read_token).transpose()?;
        Ok(Self { admin: admin.clone(), token })
    }

    pub(super) fn admin(&self) -> &Address {
        &self.admin
    }

    /// Asks, and waits for the answer until the call's deadline.
    pub(super) async fn ask(&self, call: Call) -> Result<Answer, Failure> {
        let deadline = call.deadline;
        let answered = tokio::time::timeout(deadline, self.exchange(call)).await;
        let (status, is_json, body) = match answered {
            Ok(Ok(answered)) => answered,
            Ok(Err(Broken::Unreached(error))) => return Err(self.nobody(reason(&error))),
            Ok(Err(Broken::Cut(error))) => return Err(self.no_weir(&format!("the connection broke: {error}"))),
            Err(_) => return Err(self.nobody(format!("no answer within {} s", deadline.as_secs()))),
        };
        if !is_json {
            return Err(self.no_weir(&format!("it answers {status}, and no JSON")));
        }
        if status.is_success() {
            return Ok(Answer(body));
        }
        let answer = Answer(body);
        match answer.read::<Told>(&self.admin) {
            Ok(Told { error, help }) => Err(Failure::Refused { status, error, help, answer }),
            // The routes of a proxy may lead to others that answer JSON.
            Err(_) => Err(self.no_weir(&format!("it answers {status}"))),
        }
    }

    async fn exchange(&self, call: Call) -> Result<(StatusCode, bool, Bytes), Broken> {
        let Address { host, port } = &self.admin;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(Broken::Unreached)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Broken::cut)?;
        let mut request = Request::builder().method(call.method).uri(call.path).header(HOST, self.admin.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token);
        }
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(call.body.unwrap_or_default()))).map_err(Broken::cut)?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(Broken::cut)?;
            let (head, body) = answer.into_parts();
            let kind = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
            let body = Limited::new(body, LARGEST).collect().await.map_err(Broken::cut)?;
            Ok((head.status, kind.starts_with("application/json"), body.to_bytes()))
        };
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            biased;
            answered = &mut answered => answered,
            // The connection ends when the answer is whole, and then that is what counts.
            ended = connection => match ended {
                Ok(()) => answered.await,
                Err(error) => Err(Broken::cut(error)),
            },
        }
    }

    fn nobody(&self, reason: String) -> Failure {
        Failure::Nobody { admin: self.admin.clone(), reason }
    }

    fn no_weir(&self, what: &str) -> Failure {
        Failure::NoWeir { admin: self.admin.clone(), what: what.to_owned() }
    }
}

/// Why there is no answer.
enum Broken {
    Unreached(io::Error),
    Cut(String),
}

impl Broken {
    fn cut(error: impl fmt::Display) -> Self {
        Self::Cut(error.to_string())
    }
}

/// In words that do not need the number of the system's error.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "the host cannot be reached".to_owned(),
        io::ErrorKind::TimedOut => "the host does not answer".to_owned(),
        _ => error.to_string(),
    }
}

fn read_token(file: &Path) -> Result<HeaderValue, Failure> {
    let unreadable = |error| Failure::Token { file: file.to_path_buf(), error };
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let none = |_: InvalidHeaderValue| Failure::NoToken { file: file.to_path_buf() };
    let token = text.trim();
    if token.is_empty() {
        return Err(Failure::NoToken { file: file.to_path_buf() });
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(none)?;
    value.set_sensitive(true);
    Ok(value)
}
