//! What this experiment asks of Consul.
//!
//! In: the address of an agent's API. Out: instances that come and go. Cost: one connection per call, and the answer is
//! read to its end, so that a call has taken effect when it returns.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::rig::head;

/// What the service is called.
pub(super) const SERVICE: &str = "shop";
/// Most operations that Consul takes in one transaction.
const AT_ONCE: usize = 64;

/// A running agent's API.
#[derive(Clone, Copy)]
pub(super) struct Agent(pub(super) SocketAddr);

impl Agent {
    /// Registers an instance, as it would do itself.
    pub(super) async fn register(self, id: &str, address: SocketAddr) -> io::Result<()> {
        let body = instance(id, address, "ID");
        self.put("/v1/agent/service/register", &body.replace("\"Service\"", "\"Name\"")).await
    }

    /// Deregisters it.
    pub(super) async fn deregister(self, id: &str) -> io::Result<()> {
        self.put(&format!("/v1/agent/service/deregister/{id}"), "").await
    }

    /// Writes many instances, on a node of their own, straight into the catalog: the agent itself would take minutes.
    pub(super) async fn fill(self, addresses: &[SocketAddr]) -> io::Result<()> {
        self.put("/v1/catalog/register", r#"{"Node": "fleet", "Address": "127.0.0.1"}"#).await?;
        for (chunk, part) in addresses.chunks(AT_ONCE).enumerate() {
            let mut body = String::from("[");
            for (number, address) in part.iter().enumerate() {
                let comma = if number == 0 { "" } else { "," };
                let service = instance(&format!("fleet-{}", chunk * AT_ONCE + number), *address, "ID");
                // Writing to a String does not fail.
                write!(body, r#"{comma}{{"Service": {{"Verb": "set", "Node": "fleet", "Service": {service}}}}}"#).ok();
            }
            body.push(']');
            self.put("/v1/txn", &body).await?;
        }
        Ok(())
    }

    async fn put(self, path: &str, body: &str) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.0).await?;
        let (host, length) = (self.0, body.len());
        let request = format!(
            "PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        match head::status(&answer) {
            200 => Ok(()),
            status => {
                let text = String::from_utf8_lossy(&answer);
                let said = text.lines().last().unwrap_or_default();
                Err(io::Error::other(format!("Consul answers {status} to `{path}`: {said}")))
            }
        }
    }
}

fn instance(id: &str, address: SocketAddr, key: &str) -> String {
    let (ip, port) = (address.ip(), address.port());
    format!(r#"{{"{key}": "{id}", "Service": "{SERVICE}", "Address": "{ip}", "Port": {port}}}"#)
}
