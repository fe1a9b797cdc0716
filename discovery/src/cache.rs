//! The last good endpoints of each service, kept for the next start.
//!
//! In: what each source of a service is believed to say. Out: one small file per service in a folder. Cost: a write of a
//! line per endpoint when a service changes, on a thread of its own, never twice at once.
//! A file is written beside its place and renamed, so that it is whole or not there; one that is of another version, cut
//! short or too large is left alone and counts as none. It is a hint for a start without a registry, not a database: it
//! holds addresses, no secrets. The number of a source stands for its settings: what another question was answered with is
//! no answer to this one.
//!
//! ```text
//! weir endpoints 1
//! source consul optimizer 9b6d2a1f40c35e78
//! 10.0.0.5:3001 weight 2 tier 0 capacity 8
//! 10.0.0.6:3001 weight 1 tier 0 drained
//! end
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use tracing::warn;
use weir_balance::{Endpoints, Weight};

use crate::{Found, Tier};

/// The first line; the number grows when the lines change.
const HEADER: &str = "weir endpoints 1";
/// The last line: without it, the file is a part of one.
const END: &str = "end";
/// Most bytes that are read: every endpoint that a service can have, and a hundred bytes for each.
const MOST: u64 = 100 * Endpoints::MAX as u64;

/// What the sources of one service said, by their names and settings.
pub(crate) type Saved = Vec<(Arc<str>, Vec<Found>)>;

/// A folder of files.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    pending: Arc<Mutex<Pending>>,
    wake: mpsc::Sender<()>,
}

/// What is to be written, in this order: no more than one file for each service.
type Pending = BTreeMap<Box<str>, Saved>;

impl Cache {
    /// Makes the folder if there is none, and starts the task that writes.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(crate) fn start(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let pending = Arc::new(Mutex::new(Pending::new()));
        let (wake, mut woken) = mpsc::channel(1);
        let (home, waiting) = (folder.clone(), Arc::clone(&pending));
        tokio::spawn(async move {
            while woken.recv().await.is_some() {
                let all = std::mem::take(&mut *lock(&waiting));
                let home = home.clone();
                let written = tokio::task::spawn_blocking(move || {
                    for (service, saved) in all {
                        if let Err(error) = write(&home, &service, &saved) {
                            let folder = home.display();
                            warn!(%service, %folder, %error, "cannot keep the endpoints for the next start");
                        }
                    }
                });
                written.await.ok();
            }
        });
        Ok(Self { folder, pending, wake })
    }

    /// What was kept of this service; nothing when there is no such file, or it is of no use. Blocks.
    pub(crate) fn load(&self, service: &str) -> Saved {
        match read(&self.folder, service) {
            Ok(saved) => saved,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Saved::new(),
            Err(error) => {
                warn!(%service, folder = %self.folder.display(), %error, "cannot use the endpoints that were kept");
                Saved::new()
            }
        }
    }

    /// Keeps this for the next start; soon, not now.
    pub(crate) fn save(&self, service: &str, saved: Saved) {
        // Only the newest of each service matters, however long the disk takes.
        lock(&self.pending).insert(service.into(), saved);
        // Full: the task is going to look anyway. It ends with the runtime, when nothing is worth keeping.
        self.wake.try_send(()).ok();
    }
}

fn lock(pending: &Mutex<Pending>) -> MutexGuard<'_, Pending> {
    // Each change is one of a whole value, whoever panicked.
    pending.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file(folder: &Path, service: &str) -> PathBuf {
    // A service's name is letters, digits, `-`, `_` and `.`.
    folder.join(format!("{service}.endpoints"))
}

fn write(folder: &Path, service: &str, saved: &Saved) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(shown(saved).as_bytes())?;
    new.as_file().sync_all()?;
    new.persist(file(folder, service))?;
    Ok(())
}

fn shown(saved: &Saved) -> String {
    let mut text = format!("{HEADER}\n");
    for (source, endpoints) in saved {
        // Writing to a String does not fail.
        writeln!(text, "source {source}").ok();
        for Found { address, weight, tier, capacity, drained } in endpoints {
            write!(text, "{address} weight {} tier {}", weight.get(), tier.0).ok();
            if let Some(capacity) = capacity {
                write!(text, " capacity {capacity}").ok();
            }
            text.push_str(if *drained { " drained\n" } else { "\n" });
        }
    }
    text.push_str(END);
    text.push('\n');
    text
}

fn read(folder: &Path, service: &str) -> io::Result<Saved> {
    let mut text = String::new();
    let opened = std::fs::File::open(file(folder, service))?;
    opened.take(MOST).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a whole file of this version"))
}

fn parse(text: &str) -> Option<Saved> {
    let body = text.strip_prefix(HEADER)?.strip_prefix('\n')?.strip_suffix('\n')?.strip_suffix(END)?;
    // The last line is this word alone, not one that was cut where it ends so.
    if !body.is_empty() && !body.ends_with('\n') {
        return None;
    }
    let mut saved = Saved::new();
    for line in body.lines() {
        match line.strip_prefix("source ") {
            Some(source) => saved.push((source.into(), Vec::new())),
            None => saved.last_mut()?.1.push(found(line)?),
        }
    }
    Some(saved)
}

fn found(line: &str) -> Option<Found> {
    let mut words = line.split(' ');
    let mut found = Found::new(words.next()?.parse().ok()?);
    while let Some(word) = words.next() {
        match word {
            "weight" => found.weight = Weight::new(words.next()?.parse().ok()?).ok()?,
            "tier" => found.tier = Tier(words.next()?.parse().ok()?),
            "capacity" => found.capacity = Some(words.next()?.parse::<NonZeroU32>().ok()?),
            "drained" => found.drained = true,
            _ => return None,
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn saved() -> Saved {
        let mut heavy = Found::new("[2001:db8::1]:3001".parse().unwrap());
        heavy.weight = Weight::new(7).unwrap();
        heavy.tier = Tier::BACKUP;
        heavy.capacity = NonZeroU32::new(8);
        heavy.drained = true;
        vec![("consul a b".into(), vec![Found::new("127.0.0.1:1".parse().unwrap()), heavy]), ("dns x".into(), vec![])]
    }

    #[test]
    fn what_was_kept_is_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "optimizers", &saved()).unwrap();
        assert_eq!(read(folder.path(), "optimizers").unwrap(), saved());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn every_part_of_a_file_and_a_file_of_another_version_is_refused() {
        let text = shown(&saved());
        assert!(parse(&text).is_some());
        for end in 0..text.len() {
            assert!(text.get(..end).is_none_or(|part| parse(part).is_none()), "{end}");
        }
        assert!(parse(&text.replace("endpoints 1", "endpoints 2")).is_none());
        assert!(parse(&format!("{HEADER}\nsource consul backend\n")).is_none(), "cut where it happens to say `end`");
        assert!(parse(&format!("{HEADER}\n{END}\n")).is_some_and(|saved| saved.is_empty()));
    }

    #[tokio::test]
    async fn while_the_disk_is_slow_the_newest_of_each_service_waits_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::start(folder.path().to_owned()).unwrap();
        let list = |port: u16| vec![("file a".into(), vec![Found::new(([127, 0, 0, 1], port).into())])];
        // The task that writes has no turn before this one waits.
        for port in 1..=1000 {
            cache.save("a", list(port));
            cache.save("b", list(port));
        }
        assert_eq!(lock(&cache.pending).len(), 2);
        while cache.load("a").is_empty() || cache.load("b").is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!((cache.load("a"), cache.load("b")), (list(1000), list(1000)));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(lines in ".*") {
            drop(parse(&format!("{HEADER}\nsource a\n{lines}\n{END}\n")));
        }
    }
}
