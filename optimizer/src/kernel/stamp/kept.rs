//! The stamps made lately.
//!
//! In: what determines a stamp. Out: the stamp, made when it is not there. Cost: one lock for a look-up, which nobody
//! holds while a stamp is made; two who miss the same at once both make it. Bounded in bytes: the one used longest ago
//! goes first, and one larger than the bound is not kept at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Layout, Stamp};
use crate::plan::{Color, Content, Mark};

/// What a kept stamp takes besides its pixels and its text: key, entry and their share of the maps.
const BESIDES: usize = 400;

/// Everything that determines a stamp. Numbers that are no integers by their bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(in crate::kernel) struct Key {
    figure: Kind,
    turn: [u32; 2],
    scale: u32,
    sides: (usize, usize),
    /// What is larger is cut; matters only with outline or shadow.
    room: Option<(usize, usize)>,
    outline: Option<(u32, [u8; 3])>,
    shadow: Option<(usize, usize, [u8; 3])>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// The colour only if the stamp has others beside it.
    Text(String, Option<[u8; 3]>),
    Logo(u128),
}

impl Key {
    pub(in crate::kernel) fn new(mark: &Mark, layout: &Layout) -> Self {
        let plain = layout.outline.is_none() && layout.shadow.is_none();
        let figure = match &mark.content {
            Content::Text { text, color: Color(color) } => {
                Kind::Text(text.as_str().to_owned(), Some(*color).filter(|_| !plain))
            }
            Content::Logo(logo) => Kind::Logo(logo.hash()),
        };
        let (sin, cos) = mark.rotate.sin_cos();
        Self {
            figure,
            turn: [sin.to_bits(), cos.to_bits()],
            scale: layout.scale.to_bits(),
            sides: layout.sides,
            room: Some(layout.room).filter(|_| !plain),
            outline: layout.outline.map(|(width, Color(color))| (width.to_bits(), color)),
            shadow: layout.shadow.map(|shadow| (shadow.by, shadow.blur, shadow.color.0)),
        }
    }

    fn bytes(&self) -> usize {
        match &self.figure {
            Kind::Text(text, _) => text.len(),
            Kind::Logo(_) => 0,
        }
    }
}

/// How often a stamp was there, and what those that are there take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Stamps that were there.
    pub hits: u64,
    /// Stamps that were made.
    pub misses: u64,
    /// Bytes of those that are there.
    pub bytes: u64,
}

/// Stamps, up to a number of bytes.
#[derive(Debug)]
pub(in crate::kernel) struct Kept {
    most: usize,
    shelf: Mutex<Shelf>,
    // Relaxed: they are only ever read to be shown.
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Shelf {
    stamps: HashMap<Arc<Key>, (Arc<Stamp>, u64)>,
    /// By when each was used last.
    by_use: BTreeMap<u64, Arc<Key>>,
    now: u64,
    bytes: usize,
}

impl Shelf {
    fn take(&mut self, key: &Key) -> Option<Arc<Stamp>> {
        let (stamp, used) = self.stamps.get_mut(key)?;
        self.now += 1;
        if let Some(key) = self.by_use.remove(used) {
            self.by_use.insert(self.now, key);
        }
        *used = self.now;
        Some(Arc::clone(stamp))
    }

    fn put(&mut self, key: Key, stamp: &Arc<Stamp>, most: usize) {
        let cost = |key: &Key, stamp: &Stamp| stamp.bytes() + key.bytes() + BESIDES;
        let more = cost(&key, stamp);
        if more > most || self.stamps.contains_key(&key) {
            return;
        }
        while self.bytes + more > most {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            if let Some((stamp, _)) = self.stamps.remove(&oldest) {
                self.bytes -= cost(&oldest, &stamp);
            }
        }
        self.now += 1;
        self.bytes += more;
        let key = Arc::new(key);
        self.by_use.insert(self.now, Arc::clone(&key));
        self.stamps.insert(key, (Arc::clone(stamp), self.now));
    }
}

impl Kept {
    /// At most `most` bytes.
    pub(in crate::kernel) fn new(most: usize) -> Self {
        Self { most, shelf: Mutex::default(), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// The stamp of `key`, or what `make` makes, which is kept.
    pub(in crate::kernel) fn get(&self, key: Key, make: impl FnOnce() -> Stamp) -> Arc<Stamp> {
        let there = self.shelf().take(&key);
        if let Some(stamp) = there {
            self.hits.fetch_add(1, Relaxed);
            return stamp;
        }
        self.misses.fetch_add(1, Relaxed);
        let stamp = Arc::new(make());
        self.shelf().put(key, &stamp, self.most);
        stamp
    }

    pub(in crate::kernel) fn counts(&self) -> Counts {
        let bytes = self.shelf().bytes as u64;
        Counts { hits: self.hits.load(Relaxed), misses: self.misses.load(Relaxed), bytes }
    }

    // Nothing panics between two changes that belong together, so what another thread left is in order.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let figure = Kind::Text(String::new(), None);
        Key { figure, turn: [0; 2], scale: number, sides: (1, 1), room: None, outline: None, shadow: None }
    }

    /// A stamp of 600 bytes, 1,000 with everything.
    fn stamp() -> Stamp {
        Stamp { width: 600, height: 1, alpha: vec![255; 600], colours: None }
    }

    #[test]
    fn a_stamp_is_made_once_and_found_again() {
        let kept = Kept::new(10_000);
        kept.get(key(1), stamp);
        let again = kept.get(key(1), || unreachable!());
        assert_eq!(*again, stamp());
        assert_eq!(kept.counts(), Counts { hits: 1, misses: 1, bytes: 1_000 });
    }

    #[test]
    fn others_look_up_and_keep_stamps_while_one_is_made() {
        let kept = Kept::new(10_000);
        kept.get(key(1), || {
            kept.get(key(2), stamp);
            kept.get(key(1), stamp);
            stamp()
        });
        assert_eq!(kept.counts(), Counts { hits: 0, misses: 3, bytes: 2_000 });
    }

    #[test]
    fn the_bound_holds_and_the_one_used_longest_ago_goes_first() {
        let kept = Kept::new(3_000);
        for number in 0..3 {
            kept.get(key(number), stamp);
        }
        kept.get(key(0), || unreachable!());
        for number in 3..50 {
            kept.get(key(number), stamp);
            kept.get(key(0), || unreachable!());
            assert_eq!(kept.counts().bytes, 3_000);
        }
        let before = kept.counts().misses;
        kept.get(key(1), stamp);
        assert_eq!(kept.counts().misses, before + 1);
    }

    #[test]
    fn a_stamp_larger_than_the_bound_throws_nothing_out() {
        let kept = Kept::new(1_500);
        kept.get(key(1), stamp);
        kept.get(key(2), || Stamp { width: 1_200, height: 1, alpha: vec![255; 1_200], colours: None });
        kept.get(key(1), || unreachable!());
        assert_eq!(kept.counts().bytes, 1_000);
    }
}
