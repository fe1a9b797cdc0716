//! Hearing that a file may be another one now.
//!
//! In: a path. Out: a hint on a channel. Cost: one watch for each folder on the way, nothing while nothing happens there.
//! Folders are watched, not the file: an editor and a deployment rename a new file over the old one, Kubernetes swaps a
//! symlink (`file -> ..data/file`, `..data -> ..2026_11_23`), a release swaps `current -> releases/7`, all of which leave a
//! watch on the file itself with the old one. The folder of every symlink on the way is watched, that of the file, and the
//! one above it, where a folder that was removed comes back. Network file systems tell nothing of what others change.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Most symlinks on the way to a file, as Linux has it.
const MOST_LINKS: usize = 40;

/// Listens for changes of one file, wherever the way to it leads.
#[derive(Debug, Default)]
pub struct Ears {
    trail: Trail,
    watcher: Option<RecommendedWatcher>,
    /// The system has no watch left.
    #[cfg(test)]
    deaf: bool,
}

/// The way to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Trail {
    /// The folders in which a change may lead elsewhere, each with its device and inode: one made anew is another one.
    folders: BTreeSet<(PathBuf, u64, u64)>,
    /// The names on the way. What else happens in those folders is nobody's concern here.
    names: BTreeSet<OsString>,
}

impl Ears {
    /// Watches the folders that lead to the file now; those of before are watched no more. Call it before each read, so
    /// that a change in between is heard; `changed` is told of those from then on, once while it is full. Blocks.
    ///
    /// # Errors
    /// When the system watches no more (`fs.inotify.max_user_watches`, `max_user_instances`): nothing is heard then.
    pub fn listen(&mut self, path: &Path, changed: &mpsc::Sender<()>) -> Result<(), notify::Error> {
        #[cfg(test)]
        if self.deaf {
            return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        }
        let mut trail = Trail::of(path);
        // Should the way change between the walk and the watch, the next walk sees it; whoever listens looks again by
        // itself now and then, so that a few are enough.
        for _ in 0..4 {
            if self.watcher.is_some() && trail == self.trail {
                break;
            }
            self.watcher = None;
            self.watcher = Some(watcher(&trail, changed.clone())?);
            self.trail = trail;
            trail = Trail::of(path);
        }
        Ok(())
    }

    /// One for which the system has no watch.
    #[cfg(test)]
    pub(crate) fn deaf() -> Self {
        Self { deaf: true, ..Self::default() }
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
