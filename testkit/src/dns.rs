//! A scripted DNS server, for the faults that a real one will not produce.
//!
//! In: a function from a question to a [`DnsReply`]. Out: a server on one loopback port, UDP and TCP, and the questions
//! that came. Cost: two threads, and one more per TCP connection; they end with the handle.
//! Source of the format: RFC 1035 §4.1; names are written without compression.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A server that answers as it is told.
pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A question that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsQuestion {
    /// In lower case, without the dot at its end.
    pub name: String,
    /// `A`, `AAAA`, `SRV`, or the number of the type.
    pub kind: String,
    /// Whether it came over TCP.
    pub tcp: bool,
    /// Whether it brought EDNS.
    pub edns: bool,
}

/// What is answered.
#[derive(Clone, Debug)]
pub enum DnsReply {
    /// Nothing at all.
    Silence,
    /// Nothing now or later on this connection, which stays open; over UDP the same as silence.
    Hang,
    /// A message.
    Message(DnsMessage),
    /// These bytes in place of all after the id of the question.
    Bytes(Vec<u8>),
}

/// The message of an answer.
#[derive(Clone, Debug, Default)]
pub struct DnsMessage {
    /// Its response code: 0 for success, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED.
    pub code: u8,
    /// Whether it says that it was cut.
    pub truncated: bool,
    /// Whether its id is another than the question's.
    pub wrong_id: bool,
    /// Answer, authority and additional section.
    pub sections: [Vec<DnsRecord>; 3],
}

/// A record: its owner, its time to live in seconds, its data.
#[derive(Clone, Debug)]
pub struct DnsRecord(pub String, pub u32, pub DnsData);

/// What a record says.
#[derive(Clone, Debug)]
pub enum DnsData {
    /// A or AAAA.
    Address(IpAddr),
    /// An alias.
    Cname(String),
    /// Priority, weight, port and target.
    Srv(u16, u16, u16, String),
    /// The zone's start, with the seconds for which "nothing" holds.
    Soa(u32),
    /// The zone's server.
    Ns(String),
}

type Script = dyn Fn(&DnsQuestion, usize) -> DnsReply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<DnsQuestion>>,
    over: AtomicBool,
}

impl DnsReply {
    /// An answer with these records.
    pub fn records(records: impl IntoIterator<Item = DnsRecord>) -> Self {
        let sections = [records.into_iter().collect(), Vec::new(), Vec::new()];
        Self::Message(DnsMessage { sections, ..DnsMessage::default() })
    }

    /// An answer with this code alone.
    pub fn code(code: u8) -> Self {
        Self::Message(DnsMessage { code, ..DnsMessage::default() })
    }

    /// The answer that there is nothing, for `seconds`; `code` 3 for no such name, 0 for no such record.
    pub fn nothing(code: u8, seconds: u32) -> Self {
        let zone = DnsRecord("test".to_owned(), seconds, DnsData::Soa(seconds));
        let sections = [Vec::new(), vec![zone], Vec::new()];
        Self::Message(DnsMessage { code, sections, ..DnsMessage::default() })
    }
}

impl DnsServer {
    /// Starts a server. `script` is given each question and how many of the same came before.
    pub fn start(script: impl Fn(&DnsQuestion, usize) -> DnsReply + Send + Sync + 'static) -> Self {
        let (udp, tcp) = bind();
        let address = tcp.local_addr().unwrap();
        let shared =
            Arc::new(Shared { script: Box::new(script), seen: Mutex::default(), over: AtomicBool::new(false) });
        let (one, two) = (shared.clone(), shared.clone());
        std::thread::spawn(move || serve_udp(&udp, &one));
        std::thread::spawn(move || {
            for stream in tcp.incoming().map_while(Result::ok) {
                if two.over.load(Ordering::SeqCst) {
                    return;
                }
                let shared = two.clone();
                std::thread::spawn(move || serve_tcp(stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The questions so far.
    pub fn seen(&self) -> Vec<DnsQuestion> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the one that accepts; the one that receives looks by itself.
        drop(TcpStream::connect(self.address));
    }
}

/// One port for both.
fn bind() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both UDP and TCP")
}

fn serve_udp(socket: &UdpSocket, shared: &Shared) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut buffer = [0; 4096];
    while !shared.over.load(Ordering::SeqCst) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if let (Some(reply), _) = shared.reply(&buffer[..length], false) {
            drop(socket.send_to(&reply, from));
        }
    }
}

fn serve_tcp(mut stream: TcpStream, shared: &Shared) {
    let mut length = [0; 2];
    while stream.read_exact(&mut length).is_ok() {
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        if stream.read_exact(&mut message).is_err() {
            return;
        }
        let (reply, hang) = shared.reply(&message, true);
        if hang {
            drop(std::io::copy(&mut stream, &mut std::io::sink()));
            return;
        }
        if let Some(reply) = reply {
            let length = u16::try_from(reply.len()).expect("a message over TCP has at most 65535 bytes");
            if stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).is_err() {
                return;
            }
        }
    }
}

impl Shared {
    /// What to send, and whether to go silent for good.
    fn reply(&self, message: &[u8], tcp: bool) -> (Option<Vec<u8>>, bool) {
        let (question, end) = read(message, tcp);
        let before = {
            let mut seen = self.seen.lock().unwrap();
            let before = seen.iter().filter(|other| **other == question).count();
            seen.push(question.clone());
            before
        };
        match (self.script)(&question, before) {
            DnsReply::Silence => (None, false),
            DnsReply::Hang => (None, true),
            DnsReply::Bytes(bytes) => (Some([&message[..2], &bytes].concat()), false),
            DnsReply::Message(reply) => (Some(written(&reply, message, end)), false),
        }
    }
}

fn read(message: &[u8], tcp: bool) -> (DnsQuestion, usize) {
    let mut labels = Vec::new();
    let mut at = 12;
    while message[at] != 0 {
        let end = at + 1 + usize::from(message[at]);
        labels.push(String::from_utf8_lossy(&message[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let kind = match u16::from_be_bytes([message[at + 1], message[at + 2]]) {
        1 => "A".to_owned(),
        28 => "AAAA".to_owned(),
        33 => "SRV".to_owned(),
        other => other.to_string(),
    };
    let edns = message[11] > 0;
    (DnsQuestion { name: labels.join("."), kind, tcp, edns }, at + 5)
}

fn written(reply: &DnsMessage, message: &[u8], end: usize) -> Vec<u8> {
    let mut bytes = message[..end].to_vec();
    if reply.wrong_id {
        bytes[0] ^= 0x55;
    }
    // An answer; recursion is available, and asked for when it was.
    bytes[2] = 0x80 | (message[2] & 1) | (u8::from(reply.truncated) << 1);
    bytes[3] = 0x80 | reply.code;
    for (index, records) in reply.sections.iter().enumerate() {
        let count = u16::try_from(records.len()).unwrap().to_be_bytes();
        bytes[6 + 2 * index..8 + 2 * index].copy_from_slice(&count);
    }
    for DnsRecord(owner, ttl, data) in reply.sections.iter().flatten() {
        let (kind, data): (u16, Vec<u8>) = match data {
            DnsData::Address(IpAddr::V4(ip)) => (1, ip.octets().to_vec()),
            DnsData::Address(IpAddr::V6(ip)) => (28, ip.octets().to_vec()),
            DnsData::Cname(target) => (5, name(target)),
            DnsData::Ns(server) => (2, name(server)),
            DnsData::Srv(priority, weight, port, target) => {
                let numbers = [priority, weight, port].into_iter().flat_map(|number| number.to_be_bytes());
                (33, numbers.chain(name(target)).collect())
            }
            DnsData::Soa(minimum) => {
                let numbers = [1, 60, 60, 600, *minimum].into_iter().flat_map(u32::to_be_bytes);
                (6, name("ns.test").into_iter().chain(name("admin.test")).chain(numbers).collect())
            }
        };
        bytes.extend(name(owner));
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1]);
        bytes.extend(ttl.to_be_bytes());
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

fn name(text: &str) -> Vec<u8> {
    let labels = text.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> =
        labels.flat_map(|label| std::iter::once(u8::try_from(label.len()).unwrap()).chain(label.bytes())).collect();
    bytes.push(0);
    bytes
}
