//! A configuration takes the place of another while discovery runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use weir_config::Config;
use weir_discovery::{Applied, Control, Discovery, Override, ReloadError, Report};
use weir_snapshot::{Clock, Moment, Reader, Snapshot};

use crate::support::until;

struct Running {
    reader: Reader,
    reports: tokio::sync::watch::Receiver<Arc<Report>>,
    control: Control,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(services: &str) -> Self {
        let discovery = Discovery::start(config(services), Clock::start(), |_| None).await.unwrap();
        let (reader, reports, control) = (discovery.reader(), discovery.reports(), discovery.control());
        Self { reader, reports, control, task: tokio::spawn(discovery.run(std::future::pending())) }
    }

    async fn reload(&self, services: &str) -> Result<Applied, ReloadError> {
        self.control.reload(config(services)).await
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        self.reader.load()
    }

    fn ports(&self, service: &str) -> Vec<u16> {
        let snapshot = self.snapshot();
        snapshot.pool(service).unwrap().members().iter().map(|member| member.address.port()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// With a listener and a route to the first service.
fn config(services: &str) -> Arc<Config> {
    let first = services.split("name = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let text = format!(
        "[discovery]\nstart_wait = \"10s\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[route]]\nservice = \"{first}\"\n{services}"
    );
    Arc::new(weir_config::parse("weir.toml", &text).unwrap_or_else(|problems| panic!("{problems}")))
}

fn service(name: &str, rest: &str) -> String {
    format!("[[service]]\nname = \"{name}\"\npolicy = \"weighted\"\n{rest}\n")
}

fn written(name: &str, ports: &[u16]) -> String {
    service(name, &list(ports))
}

fn from_file(name: &str, path: &Path) -> String {
    service(name, &format!("file = {{ path = \"{}\" }}", path.display()))
}

fn list(ports: &[u16]) -> String {
    let endpoints: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!("endpoints = [{}]\n", endpoints.join(", "))
}

fn file(folder: &TempDir, name: &str, ports: &[u16]) -> std::path::PathBuf {
    let path = folder.path().join(name);
    fs::write(folder.path().join("new"), list(ports)).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    path
}

#[tokio::test]
async fn a_service_that_is_unchanged_keeps_its_pool_whatever_happens_to_the_others() {
    let both = written("a", &[1]) + &written("b", &[2, 3]);
    let weir = Running::start(&both).await;
    let before = weir.snapshot();
    let applied = weir.reload(&(written("c", &[4]) + &written("b", &[2, 3]) + &written("a", &[1, 5]))).await.unwrap();
    let after = weir.snapshot();
    assert_eq!((applied.revision, after.revision), (2, 2), "published once");
    assert!(Arc::ptr_eq(before.pool("b").unwrap(), after.pool("b").unwrap()));
    assert_eq!(weir.ports("a"), [1, 5]);
    let names: Vec<_> = after.pools.iter().map(|pool| pool.service().to_string()).collect();
    assert_eq!(names, ["c", "b", "a"]);
    assert_eq!(&**after.routes.find(None, b"/").unwrap().pool.service(), "c", "the route goes elsewhere now");
}

#[tokio::test]
async fn an_ejected_endpoint_stays_ejected_when_its_service_changes() {
    let weir = Running::start(&written("a", &[1, 2])).await;
    let before = weir.snapshot();
    let pool = &before.pools[0];
    for _ in 0..3 {
        pool.members()[0].live.failed(Moment::default(), pool.health());
    }
    weir.reload(&service("a", "endpoints = [{ address = \"127.0.0.1:1\", weight = 5 }, \"127.0.0.1:3\"]"))
        .await
        .unwrap();
    let after = weir.snapshot();
    let members = after.pools[0].members();
    assert_eq!((members[0].weight.get(), members[0].live.is_ejected()), (5, true));
    assert_eq!(members[0].generation, before.pools[0].members()[0].generation, "its connections are used on");
}

#[tokio::test]
async fn a_source_that_is_unchanged_goes_on_and_one_that_left_is_followed_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (file(&folder, "one", &[1]), file(&folder, "other", &[2]));
    let weir = Running::start(&(from_file("a", &one) + &from_file("b", &other))).await;
    weir.reload(&(from_file("b", &other) + &written("a", &[9]))).await.unwrap();
    assert_eq!((weir.ports("a"), weir.ports("b")), (vec![9], vec![2]));
    file(&folder, "one", &[7]);
    file(&folder, "other", &[3]);
    until("the source that stayed is heard", || weir.ports("b") == [3]).await;
    assert_eq!(weir.ports("a"), [9]);
    let report = Arc::clone(&weir.reports.borrow());
    let sources: Vec<_> = report.services.iter().map(|service| service.sources.len()).collect();
    assert_eq!(sources, [1, 0]);
}

#[tokio::test]
async fn the_first_answer_of_a_new_source_is_in_the_one_snapshot_of_the_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "one", &[1, 2]);
    let weir = Running::start(&written("a", &[9])).await;
    let applied = weir.reload(&from_file("a", &path)).await.unwrap();
    assert_eq!(applied, Applied { revision: 2, unanswered: Vec::new() });
    assert_eq!(weir.ports("a"), [1, 2]);
    file(&folder, "one", &[3]);
    until("it is followed", || weir.ports("a") == [3]).await;
}

#[tokio::test]
async fn a_changed_source_that_does_not_answer_leaves_its_service_what_the_old_one_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "one", &[1, 2]);
    let weir = Running::start(&from_file("a", &path)).await;
    let missing = folder.path().join("missing");
    let applied = weir.reload(&from_file("a", &missing)).await.unwrap();
    assert_eq!(weir.ports("a"), [1, 2]);
    assert_eq!(applied.unanswered, [format!("service `a`, file {}", missing.display())]);
    assert!(weir.reports.borrow().services[0].sources[0].cached);
    file(&folder, "missing", &[5]);
    until("the new one answers", || weir.ports("a") == [5]).await;
}

#[tokio::test]
async fn sources_are_followed_and_overrides_obeyed_while_a_reload_waits_for_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, "one", &[1, 2]);
    // Takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let consul = format!("consul = {{ address = \"http://{}\", service = \"x\" }}", silent.local_addr().unwrap());
    let weir = Running::start(&from_file("a", &path)).await;
    let patient = from_file("a", &path) + &service("b", &consul);
    let text = format!(
        "[discovery]\nstart_wait = \"60s\"\n[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"a\"\n{patient}"
    );
    let (control, config) = (weir.control.clone(), Arc::new(weir_config::parse("weir.toml", &text).unwrap()));
    let reload = tokio::spawn(async move { control.reload(config).await });
    let _connection = silent.accept().await.unwrap();
    file(&folder, "one", &[3]);
    until("the file is followed", || weir.ports("a") == [3]).await;
    let drained = Override { drain: Some(true), weight: None };
    let overridden = weir.control.set("a", ([127, 0, 0, 1], 3).into(), drained).await.unwrap();
    assert_eq!(overridden.serving, 0);
    assert!(weir.snapshot().pool("b").is_none() && !reload.is_finished());
    reload.abort();
}

#[tokio::test]
async fn a_source_that_cannot_be_set_up_changes_nothing_and_every_one_is_named() {
    let weir = Running::start(&written("a", &[1])).await;
    let before = weir.snapshot();
    let consul = |name: &str| service(name, "consul = { service = \"x\", token_file = \"/nowhere/token\" }");
    let error = weir.reload(&(written("z", &[2]) + &consul("b") + &consul("c"))).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("service `b`") && text.contains("service `c`") && text.contains("/nowhere/token"), "{text}");
    assert!(Arc::ptr_eq(&before, &weir.snapshot()));
    weir.reload(&written("z", &[2])).await.unwrap();
}

#[tokio::test]
async fn an_override_outlasts_reloads_that_take_its_endpoint_or_its_service_away_and_bring_it_back() {
    let weir = Running::start(&written("a", &[1, 2])).await;
    let drained = Override { drain: Some(true), weight: None };
    weir.control.set("a", ([127, 0, 0, 1], 2).into(), drained).await.unwrap();
    for services in [written("a", &[1]), written("b", &[1]), written("a", &[1, 2])] {
        weir.reload(&services).await.unwrap();
        assert_eq!(weir.control.overrides().iter().count(), 1);
    }
    let drained: Vec<_> = weir.snapshot().pools[0].members().iter().map(|member| member.drained).collect();
    assert_eq!(drained, [false, true]);
}

#[tokio::test]
async fn a_registry_of_another_name_that_knows_nobody_is_doubted_before_the_pool_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let weir = Running::start(&from_file("a", &file(&folder, "one", &[1]))).await;
    let applied = weir.reload(&from_file("a", &file(&folder, "none", &[]))).await.unwrap();
    assert_eq!((weir.ports("a"), applied.unanswered.len()), (vec![1], 0));
    assert!(weir.reports.borrow().services[0].sources[0].doubted_since.is_some());
}
