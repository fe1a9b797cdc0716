//! Follows the configuration file, however it is replaced.
//!
//! In: its path. Out: a reload for each change, once it has been quiet for a moment: whoever writes in place first empties
//! the file, and a deployment changes several things one after the other.
//! The system tells of changes; it cannot always (network file systems, no watches left), so the file's inode, size and
//! time are looked at every few seconds all the same.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
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
    let (changed, mut changes) = mpsc::channel(1);
    let mut watch = Watch { ears: Ears::default(), error: None, looks: None };
    watch = watch.look(file, &changed).await;
    watch.tell(file, false);
    // It may have changed between its first reading and now.
    if reloader.is_stale().await {
        reloader.reload(Trigger::File).await;
    }
    loop {
        let heard = timeout(LOOK, changes.recv()).await.is_ok();
        if heard {
            drop(timeout(LATEST, quiet(&mut changes)).await);
        }
        let (seen, was_deaf) = (watch.looks, watch.error.is_some());
        // Before the file is read, so that a change in between is heard.
        watch = watch.look(file, &changed).await;
        watch.tell(file, was_deaf);
        if heard || watch.looks != seen {
            reloader.reload(Trigger::File).await;
        }
    }
}

/// What listens, and what was seen last.
struct Watch {
    ears: Ears,
    /// Why nothing is heard.
    error: Option<String>,
    looks: Looks,
}

/// What tells one file from another without reading it: device, inode, size and time of change. `None` when there is none.
type Looks = Option<(u64, u64, u64, (i64, i64))>;

impl Watch {
    /// Listens where the path leads now, and looks at the file there.
    async fn look(self, file: &Path, changed: &mpsc::Sender<()>) -> Self {
        let Self { mut ears, looks, .. } = self;
        let (file, changed) = (file.to_owned(), changed.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let error = ears.listen(&file, &changed).err().map(|error| error.to_string());
            let looks = std::fs::metadata(file).ok();
            let looks = looks.map(|it| (it.dev(), it.ino(), it.size(), (it.ctime(), it.ctime_nsec())));
            Self { ears, error, looks }
        });
        looking.await.unwrap_or_else(|broken| Self { ears: Ears::default(), error: Some(broken.to_string()), looks })
    }

    /// Says once that nothing is heard, and once that it is again.
    fn tell(&self, file: &Path, was_deaf: bool) {
        match &self.error {
            Some(why) if !was_deaf => warn!(
                file = %file.display(),
                why,
                "the system does not tell of changes of the configuration: the file is looked at every {} s instead; raise \
                 `fs.inotify.max_user_instances` and `max_user_watches`",
                LOOK.as_secs()
            ),
            None if was_deaf => info!(file = %file.display(), "the system tells of changes of the configuration again"),
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
