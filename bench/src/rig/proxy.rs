//! The proxies that are compared, each with one worker and without an access log.
//!
//! In: a kind, an endpoint, a core. Out: a running proxy and its address. The peers run as a fair user would set them
//! up: nginx keeps connections to the endpoint open and takes large bodies, and buffers as it does by default; HAProxy
//! reuses connections to the endpoint as freely as it can.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::child::Child;
use super::{clock, cpu};
use crate::error::BenchError;

/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);
const BEAT: Duration = Duration::from_millis(10);

/// A proxy that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The proxy of this repository.
    Weir,
    /// nginx as the system has it.
    Nginx,
    /// `HAProxy` as the system has it.
    Haproxy,
}

impl Kind {
    /// Its name in a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
        }
    }

    /// Its program, where it is installed; for weir the one that was named.
    pub(crate) fn find(self, weir: &Path) -> Option<PathBuf> {
        let program = match self {
            Self::Weir => return weir.is_file().then(|| weir.to_owned()),
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps daemons where an ordinary user's PATH does not look.
        let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        folders.map(|folder| folder.join(program)).find(|program| program.is_file())
    }

    /// What `program` says its version is, or nothing.
    pub(crate) fn version(self, program: &Path) -> String {
        let flag = if self == Self::Weir { "--version" } else { "-v" };
        let Ok(said) = Command::new(program).arg(flag).output() else { return String::new() };
        // nginx says it on standard error.
        let said = [said.stdout, said.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let word = said.split_whitespace().find(|word| word.contains('.') && word.contains(char::is_numeric));
        word.map(|word| word.rsplit('/').next().unwrap_or(word).to_owned()).unwrap_or_default()
    }

    /// The configuration for `room` connections at once, listening on `listen` (weir takes a free port and says it).
    pub(crate) fn configuration(self, endpoint: SocketAddr, listen: SocketAddr, room: usize) -> String {
        let text = match self {
            Self::Weir => WEIR,
            Self::Nginx => NGINX,
            Self::Haproxy => HAPROXY,
        };
        // nginx counts the connections to the endpoint too.
        let places = if self == Self::Nginx { 2 * room } else { room };
        text.replace("{listen}", &listen.to_string())
            .replace("{endpoint}", &endpoint.to_string())
            .replace("{room}", &places.to_string())
    }
}

const WEIR: &str = r#"[server]
threads = 1
shutdown_delay = "0s"
[admin]
listen = "127.0.0.1:0"
[log]
access = "off"
[[listener]]
address = "127.0.0.1:0"
max_connections = {room}
[[route]]
service = "endpoint"
body = { max = "64MiB", buffer = "32MiB" }
[[service]]
name = "endpoint"
policy = "least-connections"
endpoints = [ { address = "{endpoint}" } ]
"#;

const NGINX: &str = "daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events { worker_connections {room}; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  upstream endpoint { server {endpoint}; keepalive 64; }
  server {
    listen {listen};
    location / {
      proxy_pass http://endpoint;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }
  }
}
";

const HAPROXY: &str = "global
  nbthread 1
  maxconn {room}
defaults
  mode http
  option http-keep-alive
  timeout connect 3s
  timeout client 75s
  timeout server 60s
frontend listener
  bind {listen}
  default_backend endpoint
backend endpoint
  http-reuse always
  server endpoint {endpoint}
";

/// Where and how a proxy is to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// What it forwards to.
    pub(crate) endpoint: SocketAddr,
    /// How many clients connect at once.
    pub(crate) connections: usize,
    /// The core it runs on; any when `None`.
    pub(crate) core: Option<usize>,
}

/// A running proxy; ended when dropped.
pub(crate) struct Proxy {
    kind: Kind,
    address: SocketAddr,
    configuration: String,
    child: Child,
    _folder: TempDir,
}

impl Proxy {
    /// Starts `program` and waits until it takes connections.
    ///
    /// # Errors
    /// [`BenchError::Start`], [`BenchError::Core`], or [`BenchError::NotReady`] with what it wrote.
    pub(crate) async fn start(kind: Kind, program: &Path, place: &Place) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir()?;
        // nginx started by root works as nobody, which has to reach the folders for bodies.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let port = if kind == Kind::Weir { 0 } else { weir_testkit::free_port() };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Not only as many as needed, but what an administrator would leave as room.
        let room = (place.connections + 64).max(2048);
        let here = folder.path().display().to_string();
        let configuration = kind.configuration(place.endpoint, listen, room).replace("{folder}", &here);
        let file = folder.path().join("configuration");
        fs::write(&file, &configuration)?;
        let file = file.display().to_string();
        let arguments: Vec<&str> = match kind {
            Kind::Weir => vec!["run", &file],
            Kind::Nginx => vec!["-p", &here, "-e", "stderr", "-c", &file],
            Kind::Haproxy => vec!["-db", "-f", &file],
        };
        let child = Child::start(program, &arguments, folder.path().join("output"), place.core)?;
        let mut proxy = Self { kind, address: listen, configuration, child, _folder: folder };
        proxy.ready().await?;
        Ok(proxy)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its configuration, word for word.
    pub(crate) fn configuration(&self) -> &str {
        &self.configuration
    }

    /// CPU time of it and its children so far.
    ///
    /// # Errors
    /// [`BenchError::Proc`] when it is gone.
    pub(crate) fn spent(&self) -> Result<cpu::Spent, BenchError> {
        cpu::Spent::of(self.child.pid())
    }

    /// Resident memory of it and its children, in bytes.
    ///
    /// # Errors
    /// [`BenchError::Proc`] when it is gone.
    pub(crate) fn resident(&self) -> Result<u64, BenchError> {
        cpu::resident(self.child.pid())
    }

    async fn ready(&mut self) -> Result<(), BenchError> {
        let deadline = clock::now() + PATIENCE;
        loop {
            // weir says where it listens; the peers say nothing, so they are asked until they take a connection.
            if self.kind == Kind::Weir {
                if let Some(address) = announced(&self.child.output()) {
                    self.address = address;
                    return Ok(());
                }
            } else if TcpStream::connect(self.address).await.is_ok() {
                return Ok(());
            }
            let reason = if !self.child.runs() {
                "it ended"
            } else if clock::now() > deadline {
                "it does not listen"
            } else {
                tokio::time::sleep(BEAT).await;
                continue;
            };
            return Err(BenchError::NotReady { name: self.kind.name(), reason, output: self.child.output() });
        }
    }
}

/// The listener's address, once the last line of readiness is there too.
fn announced(output: &str) -> Option<SocketAddr> {
    let after =
        |prefix: &str| output.split_inclusive('\n').find_map(|line| line.strip_prefix(prefix)?.strip_suffix('\n'));
    after("admin on http://")?;
    after("listening on http://")?.split([' ', '/']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weir_is_ready_only_when_all_its_lines_are_whole() {
        assert_eq!(announced("listening on http://127.0.0.1:1234\nadmin on http://127.0.0.1:1"), None);
        let all = "note\nlistening on http://127.0.0.1:1234\nadmin on http://127.0.0.1:1235\n";
        assert_eq!(announced(all), Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1234))));
    }

    #[test]
    fn a_configuration_has_no_place_left_to_fill() {
        let endpoint = SocketAddr::from((Ipv4Addr::LOCALHOST, 3001));
        for kind in [Kind::Weir, Kind::Nginx, Kind::Haproxy] {
            let text = kind.configuration(endpoint, endpoint, 100).replace("{folder}", "");
            for place in ["{listen}", "{endpoint}", "{room}"] {
                assert!(!text.contains(place), "{text}");
            }
            assert!(text.contains("127.0.0.1:3001"), "{text}");
        }
    }
}
