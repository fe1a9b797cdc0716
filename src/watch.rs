//! Follows the configuration file, however it is replaced.
//!
//! In: its path. Out: a reload for each change, once it has been quiet for a moment: whoever writes in place first empties
//! the file, and a deployment changes several things one after the other.
//! The system tells of changes; it cannot always (network file systems, no watches left), so the file's inode, size and
//! time are looked at every few seconds all the same.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};
use weir_discovery::Ears;

use crate::reload::{Reloader, Trigger};

/// A change is taken up when nothing has happened for this long.
const QUIET: Duration = Duration::from_millis(100);
/// And this long after the first one at the latest: a file that changes all the time is read all the same.
const LATEST: Duration = Duration::from_millis(400);
/// How often the file is looked at though nothing was heard: a stat costs a microsecond.
const LOOK: Duration = Duration::from_secs(3);

/// Reloads whenever the file may have changed.
pub(crate) async fn follow(file: &Path, reloader: &Reloader) {
    let mut watch = Watch::start(file, Ears::default()).await;
    // It may have changed between its first reading and now.
    if reloader.is_stale().await {
        reloader.reload(Trigger::File).await;
    }
    loop {
        watch.changed().await;
        reloader.reload(Trigger::File).await;
    }
}

/// What tells of changes.
trait Listens: Default + Send + 'static {
    /// Listens where the path leads now; `changed` is told. Blocks.
    ///
    /// # Errors
    /// Why nothing is heard.
    fn listen(&mut self, path: &Path, changed: &mpsc::Sender<()>) -> Result<(), String>;
}

impl Listens for Ears {
    fn listen(&mut self, path: &Path, changed: &mpsc::Sender<()>) -> Result<(), String> {
        Self::listen(self, path, changed).map_err(|error| error.to_string())
    }
}

/// What listens, and what was seen last.
struct Watch<E> {
    file: PathBuf,
    changed: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
    ears: E,
    /// Why nothing is heard.
    error: Option<String>,
    looks: Looks,
}

/// What tells one file from another without reading it: device, inode, size and time of change. `None` when there is none.
type Looks = Option<(u64, u64, u64, (i64, i64))>;

impl<E: Listens> Watch<E> {
    /// Listens, and has seen the file as it is now.
    async fn start(file: &Path, ears: E) -> Self {
        let (changed, changes) = mpsc::channel(1);
        let mut watch = Self { file: file.to_owned(), changed, changes, ears, error: None, looks: None };
        watch.look().await;
        watch
    }

    /// Waits until the file may be another one than when this was last called. What changes from then on counts for the
    /// next time, so it is read after that.
    async fn changed(&mut self) {
        loop {
            let heard = timeout(LOOK, self.changes.recv()).await.is_ok();
            if heard {
                drop(timeout(LATEST, quiet(&mut self.changes)).await);
            }
            let seen = self.looks;
            self.look().await;
            if heard || self.looks != seen {
                return;
            }
        }
    }

    /// Listens where the path leads now, looks at the file there, and tells if that has become possible or impossible.
    async fn look(&mut self) {
        let (file, changed, mut ears) = (self.file.clone(), self.changed.clone(), std::mem::take(&mut self.ears));
        let looking = tokio::task::spawn_blocking(move || {
            let error = ears.listen(&file, &changed).err();
            let looks = std::fs::metadata(file).ok();
            (ears, error, looks.map(|it| (it.dev(), it.ino(), it.size(), (it.ctime(), it.ctime_nsec()))))
        });
        let was_deaf = self.error.is_some();
        match looking.await {
            Ok((ears, error, looks)) => (self.ears, self.error, self.looks) = (ears, error, looks),
            Err(broken) => self.error = Some(broken.to_string()),
        }
        self.tell(was_deaf);
    }

    /// Says once that nothing is heard, and once that it is again.
    fn tell(&self, was_deaf: bool) {
        match &self.error {
            Some(why) if !was_deaf => warn!(
                file = %self.file.display(),
                why,
                "the system does not tell of changes of the configuration: the file is looked at every {} s instead; raise \
                 `fs.inotify.max_user_instances` and `max_user_watches`",
                LOOK.as_secs()
            ),
            None if was_deaf => {
                info!(file = %self.file.display(), "the system tells of changes of the configuration again");
            }
            _ => {}
        }
    }
}

/// Waits until nothing has happened for a while.
async fn quiet(changes: &mut mpsc::Receiver<()>) {
    loop {
        sleep(QUIET).await;
        if changes.try_recv().is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Hears nothing, and says why for as many times.
    #[derive(Default)]
    struct Deaf {
        times: usize,
    }

    impl Listens for Deaf {
        fn listen(&mut self, _: &Path, _: &mpsc::Sender<()>) -> Result<(), String> {
            match self.times.checked_sub(1) {
                Some(left) => {
                    self.times = left;
                    Err("No space left on device (os error 28)".to_owned())
                }
                None => Ok(()),
            }
        }
    }

    /// What is logged on this thread.
    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Logged {
        fn lines(&self, part: &str) -> usize {
            String::from_utf8(self.0.lock().unwrap().clone())
                .unwrap()
                .lines()
                .filter(|line| line.contains(part))
                .count()
        }
    }

    /// Puts another file in the place of this one.
    fn replace(file: &Path, text: &str) {
        let new = file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, file).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_watch_each_change_is_seen_by_looking_and_the_log_says_once_that_it_is_so() {
        let logged = Logged::default();
        let writer = logged.clone();
        let _logging = tracing::subscriber::set_default(
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish(),
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        fs::write(&file, "one").unwrap();
        let mut watch = Watch::start(&file, Deaf { times: 4 }).await;
        assert_eq!(logged.lines("is looked at every 3 s instead; raise `fs.inotify.max_user_instances`"), 1);
        for text in ["two", "three"] {
            replace(&file, text);
            timeout(2 * LOOK, watch.changed()).await.expect("it is looked at");
        }
        assert!(timeout(5 * LOOK, watch.changed()).await.is_err(), "nothing has changed");
        assert_eq!((logged.lines(" WARN "), logged.lines("tells of changes of the configuration again")), (1, 1));
    }

    #[tokio::test]
    async fn with_a_watch_a_change_is_heard_at_once_and_nothing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        fs::write(&file, "one").unwrap();
        let mut watch = Watch::start(&file, Ears::default()).await;
        assert_eq!(watch.error, None);
        replace(&file, "two");
        watch.changed().await;
        assert_eq!(fs::metadata(&file).unwrap().ino(), watch.looks.unwrap().1);
    }
}
