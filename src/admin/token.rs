//! The token, as its file has it.
//!
//! In: a file, and what a call shows. Out: whether they are the same. Cost: a file of a line, read at each call that shows a
//! token, on a thread that may block.
//! Why at each call and not when the system tells of a change: a new token must hold at once and an old one no longer,
//! also where the system does not tell (network file systems, a secret mounted anew). Why not where exchanges are served: a
//! file system that hangs must cost them nothing. It costs a call [`PATIENCE`], the next ones nothing, and until it
//! answers the last token counts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

/// More than any token.
const LONGEST: usize = 4096;
/// How long a call waits for the file: a disk that works takes a thousandth of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The token of a weir.
#[derive(Debug)]
pub(super) struct Token {
    file: PathBuf,
    state: Arc<Mutex<State>>,
    /// Held while the file is read. One thread at most hangs with the file system.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct State {
    /// What the file had when it could last be read.
    last: Box<[u8]>,
    reads: Reads,
}

/// How the reading goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Idle,
    Now,
    /// For longer than anybody waits.
    Hangs,
}

/// A file that holds no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("cannot read the token file `{}`", .file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("the token file `{}` holds no token: write one line of visible ASCII, such as `openssl rand -hex 32` makes", .file.display())]
    Empty { file: PathBuf },
}

impl Token {
    /// What this file holds now; blocks.
    pub(super) fn open(file: &Path) -> Result<Self, TokenError> {
        let state = State { last: read(file)?, reads: Reads::Idle };
        Ok(Self { file: file.to_owned(), state: Arc::new(Mutex::new(state)), turn: Arc::default() })
    }

    /// Whether `shown` is what the file holds. Compares in a time that depends on the length alone. While the file cannot
    /// be read the last token counts, so that neither is anybody let in by taking the file away, nor the operator shut
    /// out by a disk that is full.
    pub(super) async fn is(&self, shown: &[u8]) -> bool {
        // While it hangs nobody waits for it again.
        if held(&self.state).reads != Reads::Hangs && timeout(PATIENCE, self.read()).await.is_err() {
            let mut state = held(&self.state);
            if state.reads == Reads::Now {
                state.reads = Reads::Hangs;
                tracing::warn!(file = %self.file.display(), "the token file cannot be read in time, the last token counts on");
            }
        }
        held(&self.state).last.ct_eq(shown).into()
    }

    /// Reads the file, after whoever reads it now: that one may have begun before the file was changed.
    async fn read(&self) {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let (file, state) = (self.file.clone(), Arc::clone(&self.state));
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            held(&state).reads = Reads::Now;
            let token = read(&file);
            let mut state = held(&state);
            state.reads = Reads::Idle;
            match token {
                Ok(token) => state.last = token,
                Err(error) => tracing::warn!(%error, "the last token counts on"),
            }
        });
        if let Err(error) = reading.await {
            tracing::error!(%error, "the token file was not read, by a fault of weir's own: the last token counts on");
        }
    }
}

fn held(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Each change is a whole one, whoever panicked.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(file: &Path) -> Result<Box<[u8]>, TokenError> {
    let unreadable = |source| TokenError::Unreadable { file: file.to_path_buf(), source };
    let empty = || TokenError::Empty { file: file.to_path_buf() };
    // What is no file, a pipe for example, might never be read to its end.
    let seen = std::fs::metadata(file).map_err(unreadable)?;
    if !seen.is_file() {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    // With blanks around it.
    if seen.len() > 2 * LONGEST as u64 {
        return Err(empty());
    }
    let held = std::fs::read(file).map_err(unreadable)?;
    let token = held.trim_ascii();
    if token.is_empty() || token.len() > LONGEST || !token.iter().all(u8::is_ascii_graphic) {
        return Err(empty());
    }
    Ok(token.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_new_token_holds_at_once_and_a_file_that_is_gone_lets_the_last_one_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "  one\n").unwrap();
        let token = Token::open(&file).unwrap();
        assert!(
            token.is(b"one").await && !token.is(b"on").await && !token.is(b"ones").await && !token.is(b"One").await
        );
        std::fs::write(&file, "two").unwrap();
        assert!(!token.is(b"one").await && token.is(b"two").await);
        std::fs::remove_file(&file).unwrap();
        assert!(!token.is(b"one").await && token.is(b"two").await);
        std::fs::write(&file, "  \n").unwrap();
        assert!(!token.is(b"").await && token.is(b"two").await);
        std::fs::write(&file, "x".repeat(3 * LONGEST)).unwrap();
        assert!(token.is(b"two").await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_waited_for_once_and_read_again_when_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "one").unwrap();
        let token = Token::open(&file).unwrap();
        let clock = weir_snapshot::Clock::start();
        // As a read that has begun and does not end.
        let turn = Arc::clone(&token.turn).lock_owned().await;
        held(&token.state).reads = Reads::Now;
        assert!(token.is(b"one").await && !token.is(b"two").await);
        assert_eq!(clock.now().as_nanos(), 1_000_000_000, "the first one alone waits");
        held(&token.state).reads = Reads::Idle;
        drop(turn);
        std::fs::write(&file, "two").unwrap();
        assert!(token.is(b"two").await);
    }
}
