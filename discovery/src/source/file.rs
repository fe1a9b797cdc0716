//! A list of endpoints in a file, watched.
//!
//! In: a path. Out: [`News`]. Cost: one read for each change in its folder, and one every [`LOOK`].
//! Folders are watched, not the file: an editor and a deployment rename a new file over the old one, Kubernetes swaps a
//! symlink (`file -> ..data/file`, `..data -> ..2026_11_23`), a release swaps `current -> releases/7`, all of which leave a
//! watch on the file itself with the old one. The folder of every symlink on the way is watched, that of the file, and the
//! one above it, where a folder that was removed comes back. Should the system tell nothing (network file systems do
//! not), the file is looked at every [`LOOK`] all the same.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
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
/// Most symlinks on the way to a file, as Linux has it.
const MOST_LINKS: usize = 40;

/// A file of endpoints.
pub(crate) struct FileSource {
    path: PathBuf,
    look: Duration,
    ears: Ears,
    changes: mpsc::Receiver<()>,
    changed: mpsc::Sender<()>,
    /// What was told last; `None` before.
    told: Option<News>,
    #[cfg(test)]
    reads: usize,
}

/// What listens for changes.
#[derive(Default)]
struct Ears {
    trail: Trail,
    watcher: Option<RecommendedWatcher>,
}

/// The way to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Trail {
    /// The folders in which a change may lead elsewhere, each with its device and inode: one made anew is another one.
    folders: BTreeSet<(PathBuf, u64, u64)>,
    /// The names on the way. What else happens in those folders is nobody's concern here.
    names: BTreeSet<OsString>,
}

impl FileSource {
    /// Nothing is opened yet.
    pub(crate) fn new(path: PathBuf) -> Self {
        let (changed, changes) = mpsc::channel(1);
        Self {
            path,
            look: LOOK,
            ears: Ears::default(),
            changes,
            changed,
            told: None,
            #[cfg(test)]
            reads: 0,
        }
    }

    /// Reads it; `None` when that tells nothing new.
    async fn look(&mut self) -> Option<News> {
        let (path, changed, mut ears) = (self.path.clone(), self.changed.clone(), std::mem::take(&mut self.ears));
        let looked = tokio::task::spawn_blocking(move || {
            // Before the read, so that a change in between is heard.
            ears.listen(&path, &changed);
            (ears, read(&path))
        })
        .await;
        #[cfg(test)]
        {
            self.reads += 1;
        }
        let news = match looked {
            Ok((ears, read)) => {
                self.ears = ears;
                match read {
                    Ok(endpoints) => News::Endpoints(Listing { endpoints, ..Listing::default() }),
                    Err(error) => News::Failed(error),
                }
            }
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
            let heard = tokio::time::timeout(self.look, self.changes.recv()).await;
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

impl Ears {
    /// Watches the folders that lead to the file now; those of before are watched no more.
    fn listen(&mut self, path: &Path, changed: &mpsc::Sender<()>) {
        let mut trail = Trail::of(path);
        // Should the way change between the walk and the watch, the next walk sees it; a few are enough, see LOOK.
        for _ in 0..4 {
            if self.watcher.is_some() && trail == self.trail {
                return;
            }
            match watcher(&trail, changed.clone()) {
                Ok(watcher) => (self.watcher, self.trail) = (Some(watcher), trail),
                Err(error) => {
                    // Not fatal, see LOOK.
                    tracing::debug!(path = %path.display(), %error, "cannot watch the folder");
                    self.watcher = None;
                }
            }
            trail = Trail::of(path);
        }
    }
}

fn watcher(trail: &Trail, changed: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let names = trail.names.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !matters(&event, &names)) {
            return;
        }
        // Full: it will be looked at anyway.
        changed.try_send(()).ok();
    })?;
    for (folder, _, _) in &trail.folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether the file may be another one now. To open and to read it is none of that: it is what we do ourselves, and each
/// look would call for the next.
fn matters(event: &Event, names: &BTreeSet<OsString>) -> bool {
    let changes = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let named = |path: &PathBuf| path.file_name().is_none_or(|name| names.contains(name));
    changes && (event.need_rescan() || event.paths.is_empty() || event.paths.iter().any(named))
}

impl Trail {
    /// Follows the path link by link, as far as there is something.
    fn of(path: &Path) -> Self {
        let mut trail = Self::default();
        let mut ahead: VecDeque<PathBuf> = parts(path);
        let mut at = PathBuf::from(".");
        let mut links = 0;
        while let Some(part) = ahead.pop_front() {
            if let Some(name) = part.file_name() {
                trail.names.insert(name.to_owned());
            }
            let next = at.join(&part);
            match std::fs::read_link(&next) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    trail.watch(&at);
                    for part in parts(&target).into_iter().rev() {
                        ahead.push_front(part);
                    }
                }
                _ if ahead.is_empty() => {
                    trail.watch(&at);
                    trail.watch(&at.join(".."));
                }
                _ if next.is_dir() => at = next,
                // Missing: that it comes is what to wait for.
                _ => {
                    trail.watch(&at);
                    break;
                }
            }
        }
        trail
    }

    fn watch(&mut self, folder: &Path) {
        if let Ok(seen) = std::fs::metadata(folder) {
            self.folders.insert((folder.to_owned(), seen.dev(), seen.ino()));
        }
    }
}

/// Each step of a path by itself: a join with the first of an absolute one begins at the root.
fn parts(path: &Path) -> VecDeque<PathBuf> {
    path.components().filter(|part| *part != Component::CurDir).map(|part| PathBuf::from(part.as_os_str())).collect()
}

fn read(path: &Path) -> Result<Vec<Found>, SourceError> {
    let name = path.display();
    let unreadable = |error: &dyn std::fmt::Display| SourceError {
        reason: "unreadable",
        text: format!("cannot read `{name}`: {error}; write `endpoints = [\"10.0.0.1:3001\"]` into it"),
    };
    // Asked before it is opened: to open a pipe waits for whoever writes to it, for ever.
    if !std::fs::metadata(path).map_err(|error| unreadable(&error))?.is_file() {
        return Err(unreadable(&"it is no regular file"));
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// One that hears or stays silent: the look that needs no event is an hour away.
    fn deaf(path: &Path) -> FileSource {
        FileSource { look: Duration::from_hours(1), ..FileSource::new(path.to_owned()) }
    }

    fn ports(news: News) -> Vec<u16> {
        let News::Endpoints(listing) = news else { panic!("{news:?}") };
        listing.endpoints.iter().map(|found| found.address.port()).collect()
    }

    fn list(port: u16) -> String {
        format!("endpoints = [\"127.0.0.1:{port}\"]\n")
    }

    async fn heard(source: &mut FileSource) -> Vec<u16> {
        ports(tokio::time::timeout(Duration::from_secs(10), source.next()).await.expect("an event was heard"))
    }

    #[tokio::test]
    async fn a_source_does_not_hear_its_own_reads_and_hears_a_rename() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints.toml");
        fs::write(&path, list(1)).unwrap();
        let mut source = deaf(&path);
        assert_eq!(heard(&mut source).await, [1]);
        // Whoever hears its own reads would do some ten in this time.
        assert!(tokio::time::timeout(Duration::from_millis(300), source.next()).await.is_err());
        assert_eq!(source.reads, 1);
        fs::write(folder.path().join("other"), "nobody's concern").unwrap();
        fs::write(folder.path().join("new"), list(2)).unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(heard(&mut source).await, [2]);
    }

    #[tokio::test]
    async fn a_link_swapped_anywhere_on_the_way_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        for port in [1, 2, 3] {
            fs::create_dir_all(folder.path().join(format!("releases/{port}/etc"))).unwrap();
            fs::write(folder.path().join(format!("releases/{port}/etc/endpoints.toml")), list(port)).unwrap();
        }
        symlink("releases/1", folder.path().join("current")).unwrap();
        let mut source = deaf(&folder.path().join("current/etc/endpoints.toml"));
        assert_eq!(heard(&mut source).await, [1]);
        for port in [2, 3] {
            symlink(format!("releases/{port}"), folder.path().join("next")).unwrap();
            fs::rename(folder.path().join("next"), folder.path().join("current")).unwrap();
            assert_eq!(heard(&mut source).await, [port]);
        }
    }

    #[tokio::test]
    async fn a_folder_that_was_removed_and_made_again_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("etc/weir");
        let path = inner.join("endpoints.toml");
        for port in [1, 2, 3] {
            fs::create_dir_all(&inner).unwrap();
            fs::write(&path, list(port)).unwrap();
            let mut source = deaf(&path);
            assert_eq!(heard(&mut source).await, [port]);
            fs::remove_dir_all(folder.path().join("etc")).unwrap();
            assert!(matches!(source.next().await, News::Failed(_)));
            fs::create_dir_all(&inner).unwrap();
            fs::write(&path, list(port + 10)).unwrap();
            assert_eq!(heard(&mut source).await, [port + 10]);
        }
    }

    #[test]
    fn what_is_no_regular_file_is_refused_unopened() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(error.text.contains("no regular file"), "{error}");
    }
}
