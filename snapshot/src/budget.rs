//! What a route's retries are paid from.
//!
//! In: each request, each wish to retry, the moment. Out: whether the retry may be. Cost: one word written a request,
//! ten read and one written a retry; no lock. The last ten seconds count: nine whole ones and the one that runs.
//! Limit: `percent` of the requests of those ten seconds, plus ten times `floor_per_second`. As the retry budget of
//! Finagle, which found that a share of the load, unlike a number of tries, cannot multiply it.

use crate::sync::AtomicU64;
use crate::sync::Ordering::Relaxed;
use crate::{BudgetRules, Moment};

/// How many seconds count.
const SECONDS: u64 = BUCKETS as u64;
const BUCKETS: usize = 10;
const NANOS: u64 = 1_000_000_000;

/// The retry budget of one route.
///
/// One word for each of ten seconds. Everything that is decided on is in such a word, and is written only if unchanged:
/// ordering against other memory does not matter, hence Relaxed throughout.
#[derive(Debug, Default)]
pub struct Budget([AtomicU64; BUCKETS]);

/// One second: which one (mod 2²⁴, half a year), its requests (up to 2²²) and its retries (up to 2¹⁸).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Second {
    number: u64,
    requests: u64,
    retries: u64,
}

impl Second {
    const NUMBERS: u64 = 1 << 24;
    const REQUESTS: u64 = (1 << 22) - 1;
    const RETRIES: u64 = (1 << 18) - 1;

    fn unpack(word: u64) -> Self {
        Self { number: word >> 40, requests: (word >> 18) & Self::REQUESTS, retries: word & Self::RETRIES }
    }

    /// Counts stop at the most that fits: at four million requests a second a share of a second's retries is lost.
    fn pack(self) -> u64 {
        self.number << 40 | self.requests.min(Self::REQUESTS) << 18 | self.retries.min(Self::RETRIES)
    }
}

impl Budget {
    /// Nothing spent, nothing earned.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one request.
    pub fn deposit(&self, now: Moment) {
        let (bucket, number) = self.bucket(now);
        let mut word = bucket.load(Relaxed);
        loop {
            let second = current(word, number);
            let more = Second { requests: second.requests + 1, ..second }.pack();
            match bucket.compare_exchange_weak(word, more, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// Counts one retry if there is budget for it; false means that the retry must not be.
    pub fn withdraw(&self, now: Moment, rules: &BudgetRules) -> bool {
        let (bucket, number) = self.bucket(now);
        let mut word = bucket.load(Relaxed);
        loop {
            let second = current(word, number);
            let (mut requests, mut retries) = (second.requests, second.retries);
            for other in self.0.iter().filter(|other| !std::ptr::eq(*other, bucket)) {
                let past = Second::unpack(other.load(Relaxed));
                if age(number, past.number) < SECONDS {
                    requests += past.requests;
                    retries += past.retries;
                }
            }
            let limit = requests * u64::from(rules.percent) / 100 + SECONDS * u64::from(rules.floor_per_second);
            if retries >= limit || second.retries >= Second::RETRIES {
                return false;
            }
            // Every withdrawal of this second goes through this word, so none can spend what another one spends.
            let more = Second { retries: second.retries + 1, ..second }.pack();
            match bucket.compare_exchange_weak(word, more, Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
    }

    fn bucket(&self, now: Moment) -> (&AtomicU64, u64) {
        let number = now.as_nanos() / NANOS;
        let index = usize::try_from(number % SECONDS).unwrap_or_default();
        (&self.0[index], number % Second::NUMBERS)
    }
}

/// What the word says of this second: nothing, if it is of another one.
fn current(word: u64, number: u64) -> Second {
    let second = Second::unpack(word);
    if second.number == number { second } else { Second { number, requests: 0, retries: 0 } }
}

/// Seconds from `past` to `number`, both mod 2²⁴.
fn age(number: u64, past: u64) -> u64 {
    (number + Second::NUMBERS - past) % Second::NUMBERS
}
