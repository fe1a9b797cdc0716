//! The real nginx and HAProxy, for comparisons that must not be guessed.
//!
//! In: configuration text. Out: a running process and the address it listens on. Both run in the foreground, from a
//! folder of their own, on a free loopback port, and end with their handle.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::deadline::{Deadline, PATIENCE};
use crate::port::free_port;
use crate::process::Process;
use crate::raw::Raw;

/// The program called `name`, or a loud note that it is missing, so that its test can return.
/// Panics where it must not be missing: when the environment says `CI=true`.
#[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
pub fn require(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps daemons where an ordinary user's PATH does not look.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    if found.is_none() {
        let missing = format!("{name} is not installed (apt-get install {name})");
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
        println!("SKIPPED: {missing}");
        eprintln!("SKIPPED: {missing}");
    }
    found
}

/// A running nginx: one process, no access log.
pub struct Nginx {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl Nginx {
    /// Starts `program` with `http` as the content of its `http { }` block. `{address}` stands for the address that a
    /// `listen` must name, `{folder}` for a folder it may write to.
    pub fn start(program: &Path, http: &str) -> Self {
        let (folder, address) = place();
        let here = folder.path().display().to_string();
        let http = http.replace("{address}", &address.to_string()).replace("{folder}", &here);
        let mut paths = String::new();
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(paths, "  {kind}_temp_path {here}/{kind};").expect("a String takes every write");
        }
        let text = format!(
            "daemon off;\nmaster_process off;\nworker_processes 1;\npid {here}/pid;\nerror_log stderr notice;\n\
             events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n{paths}{http}\n}}\n"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, text).unwrap();
        let arguments = ["-p", &here, "-e", "stderr", "-c", &file.display().to_string()].map(str::to_owned);
        let mut process = Process::start(program, arguments);
        wait_for_listener(&mut process, address);
        Self { process, address, _folder: folder }
    }

    /// Starts `program` as a plain reverse proxy with its defaults in front of `endpoints`.
    pub fn in_front_of(program: &Path, endpoints: &[SocketAddr]) -> Self {
        let servers = endpoints.iter().fold(String::new(), |all, endpoint| format!("{all} server {endpoint};"));
        let site = "server { listen {address}; location / { proxy_pass http://endpoints; } }";
        Self::start(program, &format!("  upstream endpoints {{{servers} }}\n  {site}"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A running HAProxy: one process, one thread.
pub struct HaProxy {
    process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

impl HaProxy {
    /// Starts `program` with `sections` behind a `global` of ours. `{address}` stands for the address that a `bind`
    /// must name, `{folder}` for a folder it may write to.
    pub fn start(program: &Path, sections: &str) -> Self {
        let (folder, address) = place();
        let here = folder.path().display().to_string();
        let sections = sections.replace("{address}", &address.to_string()).replace("{folder}", &here);
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, format!("global\n  nbthread 1\n  maxconn 4096\n{sections}\n")).unwrap();
        let mut process = Process::start(program, ["-db", "-f", &file.display().to_string()]);
        wait_for_listener(&mut process, address);
        Self { process, address, _folder: folder }
    }

    /// Starts `program` as a plain HTTP proxy with its defaults, and the timeouts it insists on, in front of
    /// `endpoints`.
    pub fn in_front_of(program: &Path, endpoints: &[SocketAddr]) -> Self {
        let mut sections = "defaults\n  mode http\n  timeout connect 3s\n  timeout client 30s\n  timeout server 30s\n\
                            listen proxy\n  bind {address}\n"
            .to_owned();
        for (number, endpoint) in endpoints.iter().enumerate() {
            writeln!(sections, "  server endpoint{number} {endpoint}").expect("a String takes every write");
        }
        Self::start(program, &sections)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn place() -> (TempDir, SocketAddr) {
    (tempfile::tempdir().unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())))
}

/// Neither program says when it listens, so ask until it takes a connection.
fn wait_for_listener(process: &mut Process, address: SocketAddr) {
    let deadline = Deadline::after(PATIENCE);
    while Raw::try_connect(address, PATIENCE).is_err() {
        assert!(process.is_running(), "it ended before it listened:\n{}", process.output());
        assert!(!deadline.passed(), "it does not listen on {address}:\n{}", process.output());
        std::thread::sleep(Duration::from_millis(5));
    }
}
