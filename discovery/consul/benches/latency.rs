//! How long a registration takes to reach a watch, and what a large list costs.
//!
//! `scripts/get-consul && cargo bench -p weir-consul`: medians over 100 changes on a real agent, and one update of 5,000
//! instances from a scripted one.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use weir_consul::{Check, Client, Event, Options, Query, Registration, Service, Watch};
use weir_testkit::Consul;

const CHANGES: usize = 100;
const MANY: usize = 5_000;

#[tokio::main]
async fn main() {
    if let Some(program) = Consul::program() {
        let consul = Consul::start(&program, "{}");
        let agent = format!("http://{}", consul.api());
        let (up, down) = changes(&agent).await;
        println!("register to update, {CHANGES} changes:   {}", told(up));
        println!("deregister to update, {CHANGES} changes: {}", told(down));
    }
    println!("one update of {MANY} instances: {}", told(many().await));
}

async fn changes(agent: &str) -> (Vec<Duration>, Vec<Duration>) {
    let client = Client::new(Options::new(agent.parse().unwrap())).unwrap();
    let service = Service {
        id: "a".into(),
        name: "shop".into(),
        address: None,
        port: 3001.try_into().unwrap(),
        tags: Vec::new(),
        meta: [].into(),
        weight: 1.try_into().unwrap(),
        check: Check::Http(format!("{agent}/v1/status/leader").into()),
    };
    let registration = Registration::new(client.clone(), service);
    let mut watch = Watch::new(&client, Query::new("shop"), 1);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    until(&mut watch, 0).await;
    for _ in 0..CHANGES {
        for (count, times) in [(1, &mut up), (0, &mut down)] {
            // As far apart as changes of a deploy are; quicker ones are told together.
            tokio::time::sleep(Duration::from_millis(60)).await;
            let start = Instant::now();
            let change = async {
                match count {
                    0 => registration.deregister().await.unwrap(),
                    _ => registration.register().await.unwrap(),
                }
            };
            tokio::join!(change, async {
                until(&mut watch, count).await;
                times.push(start.elapsed());
            });
        }
    }
    (up, down)
}

async fn until(watch: &mut Watch, count: usize) {
    loop {
        if let Event::Update(update) = watch.next().await
            && update.instances.len() == count
        {
            return;
        }
    }
}

/// From the first query to the update, transfer over loopback included, with an entry as a 1.8 agent writes it.
async fn many() -> Vec<Duration> {
    let mut body = "[".to_owned();
    for number in 0..MANY {
        let comma = if number == 0 { "" } else { "," };
        write!(body, "{comma}{}", include_str!("entry.json").trim().replace("NUMBER", &number.to_string())).unwrap();
    }
    body.push(']');
    println!("body of {MANY} instances: {} KiB", body.len() >> 10);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client =
        Client::new(Options::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap())).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // One request per connection; its head is in one piece.
            drop(stream.read(&mut [0; 4096]).await);
            let head = format!("HTTP/1.1 200 OK\r\nX-Consul-Index: 5\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
        }
    });
    let mut times = Vec::new();
    for _ in 0..20 {
        let mut watch = Watch::new(&client, Query::new("shop"), 1);
        let start = Instant::now();
        until(&mut watch, MANY).await;
        times.push(start.elapsed());
    }
    times
}

fn told(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("p50 {:.1?}, p90 {:.1?}, longest {:.1?}", at(50), at(90), at(100))
}
