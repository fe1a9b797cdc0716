//! What the file says, read aside and not for ever.
//!
//! In: a file, and the configuration that holds. Out: another configuration, nothing when it is the same, or all that is
//! wrong as it is printed. Cost: a thread that may block; a file system that hangs keeps it, and nobody waits for it then.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_config::Config;

use super::{Outcome, broken_off};

/// How long the file may take to be read: a hundred times what the largest one takes.
const READING: Duration = Duration::from_mins(1);
/// Most bytes of a file: a thousand times more than a large one has.
const MOST: u64 = 256 << 20;

/// A configuration that is not the one that holds.
pub(super) struct Read {
    pub(super) config: Arc<Config>,
    /// Whether its routes and services are.
    pub(super) is_snapshot_same: bool,
}

/// What the file says; `None` when that is what holds.
pub(super) async fn read(file: PathBuf, held: Arc<Config>) -> Result<Option<Read>, Outcome> {
    let read = tokio::task::spawn_blocking(move || {
        let config = load(&file).map_err(Outcome::rejected)?;
        if config == *held {
            return Ok(None);
        }
        let is_snapshot_same = config.routes == held.routes && config.services == held.services;
        Ok(Some(Read { config: Arc::new(config), is_snapshot_same }))
    });
    match tokio::time::timeout(READING, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(broken)) => Err(broken_off(&broken)),
        // Its thread is lost; whoever waits for a turn must not be.
        Err(_) => Err(Outcome::rejected(format!(
            "error: the file cannot be read within {READING:?}: does its file system hang?"
        ))),
    }
}

/// Reads a configuration; blocks.
///
/// # Errors
/// All that is wrong with it, as it is printed.
pub(super) fn load(file: &Path) -> Result<Config, String> {
    let name = file.display();
    let cannot = |why: &dyn fmt::Display| format!("error: cannot read `{name}`: {why}");
    // Asked before it is opened: to open a pipe waits for whoever writes to it, for ever.
    let seen = std::fs::metadata(file).map_err(|error| cannot(&error))?;
    if !seen.is_file() {
        return Err(cannot(&"it is no regular file"));
    }
    if seen.len() > MOST {
        return Err(cannot(&format!("it is larger than {} MiB", MOST >> 20)));
    }
    let text = std::fs::read_to_string(file).map_err(|error| cannot(&error))?;
    weir_config::parse(&name.to_string(), &text).map_err(|problems| problems.to_string())
}
