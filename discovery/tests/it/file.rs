//! A file of endpoints, in every way that files are replaced.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinHandle;
use weir_discovery::{Discovery, Readiness};
use weir_snapshot::{Clock, Reader};

use crate::support::until;

/// A discovery that follows one file.
struct Following {
    reader: Reader,
    reports: tokio::sync::watch::Receiver<Arc<weir_discovery::Report>>,
    clock: Clock,
    running: JoinHandle<()>,
}

impl Following {
    async fn start(path: &Path) -> Self {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n[[service]]\nname = \"s\"\n\
             policy = \"weighted\"\nempty_after = \"0s\"\nfile = {{ path = \"{}\" }}\n",
            path.display()
        );
        let config = weir_config::parse("weir.toml", &text).unwrap_or_else(|problems| panic!("{problems}"));
        let clock = Clock::start();
        let discovery = Discovery::start(Arc::new(config), clock, |_| None).await.unwrap();
        let (reader, reports) = (discovery.reader(), discovery.reports());
        Self { reader, reports, clock, running: tokio::spawn(discovery.run(std::future::pending())) }
    }

    fn ports(&self) -> Vec<u16> {
        self.reader.load().pools[0].members().iter().map(|member| member.address.port()).collect()
    }

    async fn until_ports(&self, ports: &[u16]) {
        until(&format!("{ports:?} are published"), || self.ports() == ports).await;
    }

    fn readiness(&self) -> Readiness {
        self.reports.borrow().readiness(self.clock.now())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn list(ports: &[u16]) -> String {
    let endpoints: Vec<_> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
    format!("endpoints = [{}]\n", endpoints.join(", "))
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_file_renamed_over_it_written_in_place_or_removed_and_made_again_is_noticed() {
    let folder = folder();
    let path = folder.path().join("endpoints.toml");
    fs::write(&path, list(&[1])).unwrap();
    let following = Following::start(&path).await;
    assert_eq!(following.ports(), [1], "the first list is in the first snapshot");

    let new = folder.path().join("new");
    fs::write(&new, list(&[1, 2])).unwrap();
    fs::rename(&new, &path).unwrap();
    following.until_ports(&[1, 2]).await;

    fs::write(&path, list(&[3])).unwrap();
    following.until_ports(&[3]).await;

    fs::remove_file(&path).unwrap();
    until("the missing file is told", || matches!(following.readiness(), Readiness::Degraded(_))).await;
    assert_eq!(following.ports(), [3]);
    fs::write(&path, list(&[4])).unwrap();
    following.until_ports(&[4]).await;
    until("all is well", || following.readiness() == Readiness::Ready).await;
}

#[tokio::test]
async fn a_config_map_whose_symlink_is_swapped_is_noticed() {
    let folder = folder();
    let version = |name: &str, ports: &[u16]| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("endpoints.toml"), list(ports)).unwrap();
    };
    version("..1", &[1]);
    symlink("..1", folder.path().join("..data")).unwrap();
    symlink("..data/endpoints.toml", folder.path().join("endpoints.toml")).unwrap();
    let following = Following::start(&folder.path().join("endpoints.toml")).await;
    assert_eq!(following.ports(), [1]);
    for (name, ports) in [("..2", [2]), ("..3", [3])] {
        version(name, &ports);
        symlink(name, folder.path().join("..new")).unwrap();
        fs::rename(folder.path().join("..new"), folder.path().join("..data")).unwrap();
        following.until_ports(&ports).await;
    }
}

#[tokio::test]
async fn a_symlink_into_another_folder_is_followed_there() {
    let (folder, other) = (folder(), folder());
    fs::write(other.path().join("real.toml"), list(&[1])).unwrap();
    let path = folder.path().join("endpoints.toml");
    symlink(other.path().join("real.toml"), &path).unwrap();
    let following = Following::start(&path).await;
    fs::write(other.path().join("real.toml"), list(&[2])).unwrap();
    following.until_ports(&[2]).await;
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing_and_the_report_shows_where() {
    let folder = folder();
    let path = folder.path().join("endpoints.toml");
    fs::write(&path, list(&[1])).unwrap();
    let following = Following::start(&path).await;
    for wrong in ["endpoints = [\"127.0.0.1:2\", ", "endpoints = [{ address = \"127.0.0.1:2\", weight = 0 }]", ""] {
        fs::write(&path, wrong).unwrap();
        until("it is told", || matches!(following.readiness(), Readiness::Degraded(_))).await;
        assert_eq!(following.ports(), [1], "{wrong}");
        fs::write(&path, list(&[1])).unwrap();
        until("it is well again", || following.readiness() == Readiness::Ready).await;
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_yet_keeps_weir_unready_not_down() {
    let folder = folder();
    let path = folder.path().join("endpoints.toml");
    let following = tokio::time::timeout(Duration::from_secs(10), Following::start(&path)).await.unwrap();
    let Readiness::NotReady(text) = following.readiness() else { panic!() };
    assert!(text.contains("cannot read") && text.contains("endpoints.toml"), "{text}");
    fs::write(&path, list(&[1])).unwrap();
    following.until_ports(&[1]).await;
    until("it is ready", || following.readiness() == Readiness::Ready).await;
}
