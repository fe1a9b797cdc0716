//! Who may look at events at once: so many, and so many from one address.
//!
//! In: an address. Out: a place, or why there is none. Cost: a lock for each who comes.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;

use super::answer::Mistake;
use super::places::of_one;

/// How many may look at once.
const LOOKERS: usize = 16;
/// And how many of them from one address that is not this machine's: here all who come through a tunnel have the same.
const SHARE: usize = LOOKERS / 2;

/// Who looks.
#[derive(Debug, Default)]
pub(crate) struct Lookers(Mutex<Vec<IpAddr>>);

/// A place among them; left when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    client: IpAddr,
    lookers: Arc<Lookers>,
}

impl Lookers {
    /// A place for this client, or why there is none.
    pub(crate) fn take(self: &Arc<Self>, client: IpAddr) -> Result<Seat, Mistake> {
        let client = of_one(client);
        let full = |error: String, help: &'static str| Mistake::new(StatusCode::SERVICE_UNAVAILABLE, error, help);
        let mut all = self.all();
        if all.len() >= LOOKERS {
            let help = "close a page, or look with `weir status --watch` (GET /api/status)";
            return Err(full(format!("{LOOKERS} look already"), help));
        }
        if !client.is_loopback() && all.iter().filter(|other| **other == client).count() >= SHARE {
            let help = "close a page there, or look with `weir status --watch` (GET /api/status)";
            return Err(full(format!("{SHARE} look already from {client}"), help));
        }
        all.push(client);
        Ok(Seat { client, lookers: Arc::clone(self) })
    }

    fn all(&self) -> MutexGuard<'_, Vec<IpAddr>> {
        // Each change is a whole one, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.lookers.all();
        if let Some(index) = all.iter().position(|client| *client == self.client) {
            all.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_from_elsewhere_holds_every_place_and_who_leaves_makes_room() {
        let lookers = Arc::new(Lookers::default());
        let take = |client: &str| lookers.take(client.parse().unwrap());
        let mut few: Vec<Seat> = (0..SHARE).map(|_| take("10.0.0.1").unwrap()).collect();
        assert!(take("10.0.0.1").unwrap_err().error.contains("from 10.0.0.1"));
        let here: Vec<Seat> = (SHARE..LOOKERS).map(|_| take("127.0.0.1").unwrap()).collect();
        assert_eq!(take("10.0.0.2").unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        few.pop();
        few.push(take("10.0.0.1").unwrap());
        drop(few);
        let all_here: Vec<Seat> = (here.len()..LOOKERS).map(|_| take("::1").unwrap()).collect();
        assert_eq!(all_here.len() + here.len(), LOOKERS);
    }
}
