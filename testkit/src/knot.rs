//! A real Knot DNS server with a zone that is edited while it runs.
//!
//! In: records of the zone [`Knot::ZONE`], as in a zone file. Out: an authoritative server on a free loopback port, over
//! UDP and TCP. An edit is served when [`Knot::edit`] returns. It ends with its handle.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::deadline::{Deadline, PATIENCE};
use crate::peers::require;
use crate::port::free_port;
use crate::process::Process;

/// A running knotd.
pub struct Knot {
    process: Process,
    programs: Programs,
    address: SocketAddr,
    folder: TempDir,
}

#[derive(Clone)]
struct Programs {
    daemon: PathBuf,
    control: PathBuf,
}

impl Knot {
    /// The zone it serves.
    pub const ZONE: &'static str = "weir.test";

    /// Starts a server with these records, one a line, names relative to the zone. `None`, with a loud note, where it
    /// is not installed; a panic where it must be: when the environment says `CI=true`.
    pub fn start(records: &str) -> Option<Self> {
        let programs = Programs { daemon: require_program("knotd")?, control: require_program("knotc")? };
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let here = folder.path().display();
        let config = format!(
            "server:\n  rundir: {here}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
             database:\n  storage: {here}/db\ncontrol:\n  listen: {here}/control\n\
             log:\n  - target: stderr\n    any: info\n\
             zone:\n  - domain: {zone}\n    file: {here}/zone\n    zonefile-sync: 0\n",
            port = address.port(),
            zone = Self::ZONE,
        );
        let zone = format!(
            "$ORIGIN {zone}.\n$TTL 2\n@ 2 SOA ns admin 1 60 60 600 2\n@ NS ns\nns A 127.0.0.1\n{records}\n",
            zone = Self::ZONE
        );
        std::fs::create_dir(folder.path().join("db")).unwrap();
        std::fs::write(folder.path().join("knot.conf"), config).unwrap();
        std::fs::write(folder.path().join("zone"), zone).unwrap();
        let process = spawn(&programs, folder.path());
        let knot = Self { process, programs, address, folder };
        knot.wait();
        Some(knot)
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process: to freeze or to kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it anew after it was killed; it serves the zone as it was last edited.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(&self.programs, self.folder.path());
        self.wait();
    }

    /// One transaction: each change is `set OWNER [TTL] TYPE DATA` or `unset OWNER TYPE [DATA]`.
    pub fn edit(&self, changes: &[&str]) {
        self.control(&["zone-begin", Self::ZONE]);
        for change in changes {
            let words: Vec<_> = change.split_whitespace().collect();
            let (verb, rest) = words.split_first().expect("a change has a verb");
            let verb = format!("zone-{verb}");
            self.control(&[&[verb.as_str(), Self::ZONE], rest].concat());
        }
        self.control(&["zone-commit", Self::ZONE]);
    }

    fn control(&self, arguments: &[&str]) {
        let out = self.knotc().args(arguments).output().unwrap();
        assert!(
            out.status.success(),
            "knotc {arguments:?}: {}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
    }

    fn knotc(&self) -> Command {
        let mut command = Command::new(&self.programs.control);
        command.arg("-s").arg(self.folder.path().join("control"));
        command
    }

    /// Its log says that it has started before the zone is loaded.
    fn wait(&self) {
        let deadline = Deadline::after(PATIENCE);
        let ready = || {
            let mut read = self.knotc();
            read.args(["zone-read", Self::ZONE, "@", "SOA"]).stdout(Stdio::null()).stderr(Stdio::null());
            read.status().unwrap().success()
        };
        while !ready() {
            assert!(!deadline.passed(), "knotd does not serve its zone:\n{}", self.process.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn spawn(programs: &Programs, folder: &Path) -> Process {
    Process::start(&programs.daemon, [Path::new("-c"), &folder.join("knot.conf")])
}

/// Both programs come in one package, which has neither's name.
fn require_program(name: &str) -> Option<PathBuf> {
    let found = require(name);
    if found.is_none() {
        eprintln!("{name} comes with the package `knot`");
    }
    found
}
