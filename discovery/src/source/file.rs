//! A list of endpoints in a file, watched.
//!
//! In: a path. Out: [`News`]. Cost: one read for each change in its folder, and one every [`LOOK`].
//! What is heard of it is [`Ears`]' affair. Should the system tell nothing (network file systems do not), the file is
//! looked at every [`LOOK`] all the same.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use weir_config::parse_endpoints;

use super::{Ears, Found, Listing, News, Source, SourceError};
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
    look: Duration,
    ears: Ears,
    changes: mpsc::Receiver<()>,
    changed: mpsc::Sender<()>,
    /// What was told last; `None` before.
    told: Option<News>,
    #[cfg(test)]
    reads: usize,
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
            let remarks = ears.listen(&path, &changed).err().map(|error| unheard(&path, &error));
            (ears, read(&path), remarks.into_iter().collect())
        })
        .await;
        #[cfg(test)]
        {
            self.reads += 1;
        }
        let news = match looked {
            Ok((ears, read, remarks)) => {
                self.ears = ears;
                match read {
                    Ok(endpoints) => News::Endpoints(Listing { endpoints, remarks, ..Listing::default() }),
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

/// Not fatal, see [`LOOK`], but slower than who configured it expects.
fn unheard(path: &Path, why: &notify::Error) -> String {
    format!(
        "the system does not tell of changes of `{}` ({why}): it is looked at every {} s instead; raise \
         `fs.inotify.max_user_instances` and `max_user_watches`",
        path.display(),
        LOOK.as_secs()
    )
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

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_the_file_is_looked_at_all_the_same_and_the_list_says_that_it_is_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoints.toml");
        fs::write(&path, list(1)).unwrap();
        let mut source = FileSource { ears: Ears::deaf(), ..FileSource::new(path.clone()) };
        let News::Endpoints(first) = source.next().await else { panic!("a list") };
        assert!(first.remarks[0].contains("looked at every 15 s instead; raise `fs.inotify.max_user"), "{first:?}");
        fs::write(&path, list(2)).unwrap();
        assert_eq!(ports(source.next().await), [2]);
        source.ears = Ears::default();
        let News::Endpoints(last) = source.next().await else { panic!("a list") };
        assert_eq!((last.endpoints.len(), last.remarks.len()), (1, 0));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_unopened() {
        let folder = tempfile::tempdir().unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(error.text.contains("no regular file"), "{error}");
    }
}
