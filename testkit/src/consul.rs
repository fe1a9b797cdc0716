//! A real Consul agent, for what must not be guessed.
//!
//! In: configuration beyond that of a `-dev` agent, as JSON. Out: a running agent on free loopback ports that has a
//! leader. It ends with its handle, and forgets everything when it restarts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::deadline::{Deadline, PATIENCE};
use crate::port::free_port;
use crate::process::Process;

/// A running Consul agent that is its own server.
pub struct Consul {
    process: Process,
    program: PathBuf,
    arguments: Vec<String>,
    api: SocketAddr,
    dns: SocketAddr,
    server: u16,
    serf: u16,
    folder: TempDir,
}

/// How an agent is started.
enum Kind<'a> {
    /// Alone, in memory.
    Dev,
    /// One of this many servers; joins the one at this port.
    Server(usize, Option<&'a Consul>),
}

impl Consul {
    /// The program that `scripts/get-consul` has put into `target/tools`, or a loud note that it is missing, so that
    /// its test can return. It may be missing in CI too: the archive it comes from will not be there for ever.
    #[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
    pub fn program() -> Option<PathBuf> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/consul");
        if program.is_file() {
            return Some(program);
        }
        let missing = "SKIPPED: there is no real Consul: run scripts/get-consul";
        println!("{missing}");
        eprintln!("{missing}");
        None
    }

    /// Starts an agent whose node is called `n1`. `config` is a JSON object, `{}` for nothing beyond `-dev`; when it
    /// has ports of its own for `https`, `{api}` in it stands for the port of [`Consul::api`].
    pub fn start(program: &Path, config: &str) -> Self {
        let consul = Self::spawn(program, "n1", config, &Kind::Dev);
        consul.wait_until_it_says("New leader elected");
        consul
    }

    /// Starts a cluster of `count` servers, quick to elect, called `n1` and so on; all have a leader.
    pub fn cluster(program: &Path, count: usize) -> Vec<Self> {
        let config = r#"{"performance": {"raft_multiplier": 1}}"#;
        let mut all: Vec<Self> = Vec::new();
        for number in 1..=count {
            let next = Self::spawn(program, &format!("n{number}"), config, &Kind::Server(count, all.first()));
            all.push(next);
        }
        for one in &all {
            one.wait_until_it_says("New leader elected");
        }
        all
    }

    fn spawn(program: &Path, node: &str, config: &str, kind: &Kind<'_>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [api, dns, server, serf, wan] = std::array::from_fn(|_| free_port());
        let file = folder.path().join("extra.json");
        std::fs::write(&file, config.replace("{api}", &api.to_string())).unwrap();
        let mut arguments: Vec<String> = vec!["agent".into(), format!("-node={node}")];
        for (flag, port) in [("dns", dns), ("server", server), ("serf-lan", serf), ("serf-wan", wan)] {
            arguments.push(format!("-{flag}-port={port}"));
        }
        // An agent that speaks TLS alone has a port of its own for it.
        if !config.contains("{api}") {
            arguments.push(format!("-http-port={api}"));
        }
        arguments.extend(
            ["-log-level=info", "-grpc-port=-1", "-disable-host-node-id=true", "-bind=127.0.0.1"].map(str::to_owned),
        );
        arguments.push(format!("-config-file={}", file.display()));
        match kind {
            Kind::Dev => arguments.push("-dev".into()),
            Kind::Server(count, first) => {
                arguments.extend([
                    "-server".into(),
                    format!("-bootstrap-expect={count}"),
                    "-retry-interval=200ms".into(),
                ]);
                arguments.push(format!("-data-dir={}", folder.path().join("data").display()));
                arguments.extend(first.map(|first| format!("-retry-join=127.0.0.1:{}", first.serf)));
            }
        }
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let process = Process::start(program, &arguments);
        Self { process, program: program.to_owned(), arguments, api: at(api), dns: at(dns), server, serf, folder }
    }

    /// Where its HTTP API is.
    pub fn api(&self) -> SocketAddr {
        self.api
    }

    /// Where its DNS is.
    pub fn dns(&self) -> SocketAddr {
        self.dns
    }

    /// The address that other servers call it by, as `/v1/status/leader` has it.
    pub fn server(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.server))
    }

    /// A folder that lives as long as the agent.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process: to freeze or to kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it and starts it anew on the same ports. What a `-dev` agent knew is lost.
    pub fn restart(&mut self) {
        self.process.kill();
        self.process = Process::start(&self.program, &self.arguments);
        self.wait_until_it_says("New leader elected");
    }

    fn wait_until_it_says(&self, words: &str) {
        // Elections may take several rounds on a loaded machine.
        let deadline = Deadline::after(3 * PATIENCE);
        while !self.process.output().contains(words) {
            assert!(!deadline.passed(), "consul never said `{words}`:\n{}", self.process.output());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
