//! Steady load of real photos, of which no answer may be missing.
//!
//! In: a weir before real optimizers, and what happens to them meanwhile. Out: how many photos were marked.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use weir_testkit::{PATIENCE, Raw};

use crate::support::{ask, photo, post};

/// What the clients have seen so far.
#[derive(Default)]
pub(crate) struct Seen {
    answers: Mutex<Vec<String>>,
    changed: Condvar,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Seen {
    /// Waits for `more` answers of this optimizer, or of any for "".
    #[track_caller]
    pub(crate) fn wait_for(&self, id: &str, more: usize) {
        let count = |answers: &[String]| answers.iter().filter(|answer| answer.starts_with(id)).count();
        let mut answers = self.answers.lock().unwrap();
        let wanted = count(&answers) + more;
        while count(&answers) < wanted {
            let (next, waited) = self.changed.wait_timeout(answers, PATIENCE).unwrap();
            assert!(!waited.timed_out(), "no further answer of `{id}`: {:?}", self.failures.lock().unwrap());
            answers = next;
        }
    }
}

/// Posts photos over `clients` connections while `happens`; gives how many came back right. Panics if one did not.
#[track_caller]
pub(crate) fn under_load(weir: SocketAddr, clients: usize, happens: impl FnOnce(&Seen)) -> u32 {
    let seen = Seen::default();
    std::thread::scope(|scope| {
        // Whatever fails below must not leave the clients posting for ever.
        let stop = StopAtEnd(&seen);
        for _ in 0..clients {
            scope.spawn(|| post_photos(weir, &seen));
        }
        happens(&seen);
        drop(stop);
    });
    let failures = seen.failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{failures:?}");
    u32::try_from(seen.answers.into_inner().unwrap().len()).unwrap()
}

/// Posts photos over one connection until told to stop.
fn post_photos(weir: SocketAddr, seen: &Seen) {
    let request = post("/optimize?text=weir&position=br", &photo());
    let mut client = Raw::connect(weir);
    while !seen.stop.load(Ordering::SeqCst) {
        let answer = ask(client.extend(PATIENCE), &request);
        let id = answer.field("x-optimizer").unwrap_or_default().to_owned();
        let decoded = image::load_from_memory(&answer.body.kept);
        match decoded {
            Ok(image) if answer.status == 200 && (image.width(), image.height()) == (720, 480) && !id.is_empty() => {
                seen.answers.lock().unwrap().push(id);
                seen.changed.notify_all();
            }
            _ => {
                let text = answer.text().chars().take(200).collect::<String>();
                seen.failures.lock().unwrap().push(format!("{} from `{id}`: {text}", answer.status));
                return;
            }
        }
    }
}

/// Stops the clients, also when the test fails.
struct StopAtEnd<'a>(&'a Seen);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}
