//! A list of endpoints in a file, watched.
//!
//! In: a path. Out: [`News`]. Cost: one read for each change in its folder, and one every [`LOOK`].
//! The folder is watched, not the file: an editor and a deployment rename a new file over the old one, and Kubernetes
//! swaps a symlink (`file -> ..data/file`, `..data -> ..2026_11_23`), all of which leave a watch on the file itself with
//! the old one. Where the file is a symlink into another folder, that folder is watched as well. Should the system tell
//! nothing (network file systems do not), the file is looked at every [`LOOK`] all the same.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use weir_config::parse_endpoints;

use super::{Found, Listing, News, Source, SourceError};
use crate::assemble::found;

/// How often a file is read though nothing was heard.
const LOOK: Duration = Duration::from_secs(15);
/// How long changes are left to settle: who writes a file in place first empties it.
const SETTLE: Duration = Duration::from_millis(20);
/// Most bytes of a file: room for more endpoints than a service can have.
const MOST: u64 = 16 << 20;

/// A file of endpoints.
pub(crate) struct FileSource {
    path: PathBuf,
    watched: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    changes: mpsc::Receiver<()>,
    changed: mpsc::Sender<()>,
    /// What was told last; `None` before.
    told: Option<News>,
}

impl FileSource {
    /// Nothing is opened yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        let (changed, changes) = mpsc::channel(1);
        Self { path, watched: Vec::new(), watcher: None, changes, changed, told: None }
    }

    /// Watches the folders that the file is in now; those of before are watched no more.
    fn watch(&mut self) {
        let folders = folders(&self.path);
        if self.watcher.is_some() && folders == self.watched {
            return;
        }
        let changed = self.changed.clone();
        let watcher = notify::recommended_watcher(move |_: notify::Result<notify::Event>| {
            // Full: it will be looked at anyway.
            changed.try_send(()).ok();
        });
        let watching = watcher.and_then(|mut watcher| {
            for folder in &folders {
                watcher.watch(folder, RecursiveMode::NonRecursive)?;
            }
            Ok(watcher)
        });
        match watching {
            Ok(watcher) => (self.watcher, self.watched) = (Some(watcher), folders),
            Err(error) => {
                // Not fatal, see LOOK.
                tracing::debug!(path = %self.path.display(), %error, "cannot watch the folder");
                self.watcher = None;
            }
        }
    }

    /// Reads it; `None` when that tells nothing new.
    async fn look(&mut self) -> Option<News> {
        // Before the read, so that a change in between is heard.
        self.watch();
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let news = match read {
            Ok(Ok(endpoints)) => News::Endpoints(Listing { endpoints, ..Listing::default() }),
            Ok(Err(error)) => News::Failed(error),
            Err(_) => return None,
        };
        if self.told.as_ref() == Some(&news) {
            return None;
        }
        self.told = Some(news.clone());
        Some(news)
    }
}

impl Source for FileSource {
    async fn next(&mut self) -> News {
        if self.told.is_none()
            && let Some(news) = self.look().await
        {
            return news;
        }
        loop {
            let heard = tokio::time::timeout(LOOK, self.changes.recv()).await;
            if heard.is_ok() {
                tokio::time::sleep(SETTLE).await;
                while self.changes.try_recv().is_ok() {}
            }
            match (self.look().await, &self.told) {
                (Some(news), _) => return news,
                // It is there, it is legal, it says the same.
                (None, Some(News::Endpoints(_))) if heard.is_err() => return News::Unchanged,
                (None, _) => {}
            }
        }
    }

    fn describe(&self) -> String {
        format!("file {}", self.path.display())
    }
}

/// The folder of the path as it is written, and that of the file it leads to.
fn folders(path: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Path::to_owned),
    };
    let target = std::fs::canonicalize(path).ok();
    let mut folders: Vec<PathBuf> =
        [folder(path), target.as_deref().and_then(folder)].into_iter().flatten().filter(|path| path.is_dir()).collect();
    folders.dedup();
    folders
}

fn read(path: &Path) -> Result<Vec<Found>, SourceError> {
    let name = path.display();
    let unreadable = |error: &dyn std::fmt::Display| SourceError {
        reason: "unreadable",
        text: format!("cannot read `{name}`: {error}; write `endpoints = [\"10.0.0.1:3001\"]` into it"),
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error))?;
    let mut text = String::new();
    file.take(MOST + 1).read_to_string(&mut text).map_err(|error| unreadable(&error))?;
    if text.len() as u64 > MOST {
        let text = format!("`{name}` is larger than {} MiB, more than any service needs", MOST >> 20);
        return Err(SourceError { reason: "too_large", text });
    }
    let endpoints = parse_endpoints(&name.to_string(), &text)
        .map_err(|problems| SourceError { reason: "wrong", text: format!("`{name}` is not used:\n{problems}") })?;
    Ok(endpoints.iter().map(found).collect())
}
