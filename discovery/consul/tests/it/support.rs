//! What the tests against a real Consul share.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;
use weir_consul::{
    Check, Client, ConsulError, Event, Instance, Options, Query, Registration, Secret, Service, Update, Watch,
};
use weir_testkit::Raw;

/// Beyond what an election takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn options(api: SocketAddr, token: Option<&str>) -> Options {
    let mut options = Options::new(format!("http://{api}").parse().unwrap());
    options.token = token.map(|token| Secret::new(token).unwrap());
    options
}

pub(crate) fn client(api: SocketAddr) -> Client {
    Client::new(options(api, None)).unwrap()
}

/// Short waits, so that what only a new query finds out is found out soon.
pub(crate) fn query() -> Query {
    let mut query = Query::new("shop");
    (query.wait, query.slack) = (Duration::from_millis(800), Duration::from_secs(2));
    query
}

/// An instance whose check is a page of the agent itself, which is there as long as it asks.
pub(crate) fn service(id: &str, api: SocketAddr) -> Service {
    Service {
        id: id.into(),
        name: "shop".into(),
        address: None,
        port: 3001.try_into().unwrap(),
        tags: Vec::new(),
        meta: [("capacity".into(), "2".into())].into(),
        weight: 2.try_into().unwrap(),
        check: Check::Http(format!("http://{api}/v1/status/leader").into()),
    }
}

pub(crate) fn registration(id: &str, api: SocketAddr) -> Registration {
    Registration::new(client(api), service(id, api))
}

/// Waits for an event that `wanted` makes something of, and gives that.
pub(crate) async fn until<T>(watch: &mut Watch, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let mut last = None;
    let found = timeout(PATIENCE, async {
        loop {
            let event = watch.next().await;
            if let Some(found) = wanted(&event) {
                return found;
            }
            last = Some(event);
        }
    });
    found.await.unwrap_or_else(|_| panic!("the last event was {last:?}"))
}

/// Waits until exactly these ids are listed, whether stale or not.
pub(crate) async fn until_ids(watch: &mut Watch, ids: &[&str]) -> Vec<Instance> {
    until(watch, |event| match event {
        Event::Update(update) if self::ids(update) == ids => Some(update.instances.clone()),
        _ => None,
    })
    .await
}

/// Waits for a failure with this label, and gives it in full.
pub(crate) async fn until_failed(watch: &mut Watch, label: &str) -> String {
    until(watch, |event| match event {
        Event::Failed(error) if error.label() == label => Some(error.explain()),
        _ => None,
    })
    .await
}

pub(crate) fn ids(update: &Update) -> Vec<&str> {
    let mut ids: Vec<&str> = update.instances.iter().map(|one| &*one.id).collect();
    ids.sort_unstable();
    ids
}

/// What a call of the API answers, which must be 200.
pub(crate) fn put(api: SocketAddr, token: &str, path: &str, body: &str) -> String {
    call(api, "PUT", token, path, body)
}

pub(crate) fn call(api: SocketAddr, method: &str, token: &str, path: &str, body: &str) -> String {
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {api}\r\nX-Consul-Token: {token}\r\n");
    let answer = Raw::ask(api, format!("{head}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

/// The error in full, which must be one.
pub(crate) fn explained<T: Debug>(result: Result<T, ConsulError>) -> String {
    result.unwrap_err().explain()
}
