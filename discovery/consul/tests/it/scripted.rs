//! An agent on a real socket that does what it is told, byte by byte.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What is done with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes, and the connection stays.
    Bytes(String),
    /// These bytes, and the connection ends.
    Last(String),
    /// These bytes, and then nothing for ever.
    Stuck(String),
}

/// A 200 with a list and its index.
pub(crate) fn list(index: u64, body: &str) -> Reply {
    let length = body.len();
    Reply::Bytes(format!("HTTP/1.1 200 OK\r\nX-Consul-Index: {index}\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// Any status with a sentence.
pub(crate) fn status(status: &str, said: &str) -> Reply {
    Reply::Bytes(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{said}", said.len()))
}

pub(crate) struct Agent {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<(usize, String)>>>,
}

impl Agent {
    /// Each inner list is one connection, in the order they come; where it ends, the connection does.
    pub(crate) async fn start(connections: impl IntoIterator<Item = Vec<Reply>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let scripts: Vec<_> = connections.into_iter().collect();
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            for (number, script) in scripts.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, number, script, Arc::clone(&seen)));
            }
        });
        Self { address, requests }
    }

    /// The connection's number and the target of each request so far.
    pub(crate) fn targets(&self) -> Vec<(usize, String)> {
        let target = |head: &str| head.split(' ').nth(1).unwrap().to_owned();
        self.requests.lock().unwrap().iter().map(|(number, head)| (*number, target(head))).collect()
    }

    pub(crate) fn first_request(&self) -> String {
        self.requests.lock().unwrap()[0].1.clone()
    }
}

async fn serve(mut stream: TcpStream, number: usize, script: Vec<Reply>, requests: Arc<Mutex<Vec<(usize, String)>>>) {
    for reply in script {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            // The client has gone, which its test knows better than we do.
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).await.unwrap();
        requests.lock().unwrap().push((number, head + &String::from_utf8(body).unwrap()));
        let (bytes, then) = match reply {
            Reply::Bytes(bytes) => (bytes, true),
            Reply::Last(bytes) => (bytes, false),
            Reply::Stuck(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                return std::future::pending().await;
            }
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || !then {
            return;
        }
    }
}
