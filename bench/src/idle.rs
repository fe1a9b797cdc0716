//! What an idle connection costs in memory.
//!
//! In: a number of connections, the proxies. Out: resident memory with none and with all of them open, each of which has
//! had one answer and waits for its next request. The bytes in the kernel's socket buffers are not the process's and do
//! not count.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::case::Case;
use crate::error::{BenchError, chain};
use crate::rig::endpoint::Endpoint;
use crate::rig::load::{Client, Fault};
use crate::rig::machine::Machine;
use crate::rig::proxy::{Kind, Place, Proxy};

/// What 10,000 idle connections may take of weir's memory, in bytes for one.
pub(crate) const TARGET: u64 = 15_000;
/// How many connections are opened at the same time.
const AT_ONCE: usize = 64;
/// Open files besides those of the connections: the endpoint's side of at most [`AT_ONCE`] exchanges, logs, the rest.
const OTHER_FILES: u64 = 256;

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) machine: Machine,
    pub(crate) connections: usize,
    pub(crate) rows: Vec<Row>,
}

/// One proxy.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) version: String,
    /// What it took; or why it could not be measured.
    pub(crate) memory: Result<Memory, String>,
}

/// Resident bytes of one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// After one answer, with no connection open.
    pub(crate) before: u64,
    /// With all connections open.
    pub(crate) after: u64,
}

impl Memory {
    /// Bytes per connection.
    pub(crate) fn each(&self, connections: usize) -> u64 {
        self.after.saturating_sub(self.before) / u64::try_from(connections.max(1)).unwrap_or(u64::MAX)
    }
}

/// Measures one proxy after the other. A proxy has no result when it does not start, refuses a connection, answers
/// wrongly, or closes one before all are open.
///
/// # Errors
/// [`BenchError::OpenFiles`] when the limit does not allow so many.
pub(crate) async fn run(connections: usize, proxies: &[(Kind, PathBuf)]) -> Result<Idle, BenchError> {
    let machine = Machine::here();
    let limit = rlimit::increase_nofile_limit(u64::MAX)?;
    let needed = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if limit < needed {
        return Err(BenchError::OpenFiles { wanted: connections, needed, limit });
    }
    let mut rows = Vec::new();
    for (kind, program) in proxies {
        let memory = memory(*kind, program, connections).await;
        rows.push(Row { kind: *kind, version: kind.version(program), memory });
    }
    Ok(Idle { machine, connections, rows })
}

async fn memory(kind: Kind, program: &Path, connections: usize) -> Result<Memory, String> {
    let endpoint = Endpoint::start(Case::Small).await.map_err(|error| chain(&error))?;
    let place = Place { endpoint: endpoint.address(), connections, core: None };
    let proxy = Proxy::start(kind, program, &place).await.map_err(|error| chain(&error))?;
    drop(open(&proxy, 1).await.map_err(|fault| fault.to_string())?);
    let before = proxy.resident().map_err(|error| chain(&error))?;
    let streams = open(&proxy, connections).await.map_err(|fault| fault.to_string())?;
    let after = proxy.resident().map_err(|error| chain(&error))?;
    // An open connection with nothing to read is the only thing that counts as idle.
    let idle =
        |stream: &&TcpStream| matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock);
    match connections - streams.iter().filter(idle).count() {
        0 => Ok(Memory { before, after }),
        lost => Err(format!("{lost} of {connections} connections did not stay open")),
    }
}

/// Opens `count` connections, each of which gets one answer, and keeps them.
async fn open(proxy: &Proxy, count: usize) -> Result<Vec<TcpStream>, Fault> {
    let (address, request, reply) = (proxy.address(), Case::Small.request(), Case::Small.reply());
    let mut opening = JoinSet::new();
    let mut open = Vec::with_capacity(count);
    let mut begun = 0;
    while open.len() < count {
        while begun < count && opening.len() < AT_ONCE {
            begun += 1;
            let request = request.clone();
            opening.spawn(async move {
                let mut client = Client::connect(address, request, reply).await?;
                client.ask().await?;
                Ok::<_, Fault>(client.into_stream())
            });
        }
        if let Some(stream) = opening.join_next().await {
            open.push(stream??);
        }
    }
    Ok(open)
}
