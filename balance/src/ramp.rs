//! Slow start: an endpoint that has just come, or come back, gets a growing part of its share.
//!
//! In: how long ago it came, the time that a slow start takes; the loads of a pick. Out: loads under which every policy
//! picks it that much less. Cost: one scan of the endpoints a pick while any of them ramps, nothing otherwise.
//!
//! **By chance.** An endpoint takes part in `ramp` of the asks and stands aside in the others, while another one admits: so
//! its share is that part of what it would be, under every policy, with or without load. For the hash policies chance is
//! the key's, not the ask's: keys come home one by one, and each moves once.
//! **By load.** What it holds counts 1 / `ramp` times. Without this, policies that look at loads would give an idle newcomer
//! every ask that it takes part in, which in a fleet of ten is a full share at a ramp of a tenth.
//! **Relative.** The endpoint that is furthest counts as full. When all ramp alike, none does; an endpoint that is alone
//! has everything.
//! Source: nginx's `slow_start` and `HAProxy`'s `slowstart` grow a weight from nothing, Envoy's from a tenth; a weight
//! alone gives an idle newcomer nothing at all under least connections while the others are idle too.

use std::num::NonZeroU16;

use crate::{Ask, Latency, Loads, Nanos, Slot, fair};

/// The part of its share that an endpoint gets: 1 to 1024 of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ramp(NonZeroU16);

/// A tenth: Envoy's default. Enough to fill caches, and for a fleet of one request a second to be seen by it.
const FLOOR: u16 = 102;

const WHOLE: u16 = 1024;

impl Ramp {
    /// The whole share.
    pub const FULL: Self = Self(NonZeroU16::MIN.saturating_add(WHOLE - 1));

    /// Of an endpoint that came `age` ago, where a slow start takes `span`: a tenth at first, and from there straight up.
    pub fn of(age: Nanos, span: Nanos) -> Self {
        if age >= span {
            return Self::FULL;
        }
        let grown = u128::from(WHOLE - FLOOR) * u128::from(age.0) / u128::from(span.0.max(1));
        let part = FLOOR.saturating_add(u16::try_from(grown).unwrap_or(WHOLE));
        Self::from_parts(part)
    }

    /// So many 1024ths, within 1 and 1024.
    pub fn from_parts(part: u16) -> Self {
        NonZeroU16::new(part).map_or(Self(NonZeroU16::MIN), Self).min(Self::FULL)
    }

    /// `whole` in proportion to this, where `most` is what counts as full; rounded up.
    pub fn part_of(self, whole: u32, most: Self) -> u32 {
        let part = (u64::from(whole) * u64::from(self.0.get())).div_ceil(u64::from(most.0.get()));
        u32::try_from(part).unwrap_or(u32::MAX).min(whole)
    }

    /// The least of which `whole` in proportion to `most` is more than `part`, which is less than `whole`.
    pub fn exceeding(part: u32, whole: u32, most: Self) -> Self {
        let least = u64::from(part) * u64::from(most.0.get()) / u64::from(whole.max(1)) + 1;
        Self::from_parts(u16::try_from(least).unwrap_or(WHOLE))
    }

    /// How long after its coming an endpoint has this, where a slow start takes `span`.
    pub fn age(self, span: Nanos) -> Nanos {
        let beyond = u128::from(self.0.get().saturating_sub(FLOOR));
        let age = (beyond * u128::from(span.0)).div_ceil(u128::from(WHOLE - FLOOR));
        Nanos(u64::try_from(age).unwrap_or(u64::MAX))
    }

    /// What `held` counts for, where `most` is what counts as full.
    fn weighs(self, held: u32, most: Self) -> u32 {
        let heavy = u64::from(held) * u64::from(most.0.get().max(self.0.get())) / u64::from(self.0.get());
        u32::try_from(heavy).unwrap_or(u32::MAX)
    }

    /// Whether chance, uniform over `u64`, lets an endpoint take part.
    fn allows(self, most: Self, chance: u64) -> bool {
        self >= most || fair::below(chance, usize::from(most.0.get())) < usize::from(self.0.get())
    }
}

/// The loads of a pick as a slow start shows them.
pub(crate) struct Ramping<'a, L, T> {
    loads: &'a L,
    /// The furthest of those that may be picked.
    most: Ramp,
    /// What chance is made from, with a number of the endpoint's own.
    seed: u64,
    token: T,
}

impl<'a, L: Loads, T: Fn(Slot) -> u64> Ramping<'a, L, T> {
    /// For this ask, over endpoints in these slots; `None` if none of them may be picked.
    pub(crate) fn new(
        ask: &Ask<'_>,
        loads: &'a L,
        slots: impl Iterator<Item = Slot>,
        seed: u64,
        token: T,
    ) -> Option<Self> {
        let most = slots.filter(|&slot| ask.may_go_to(slot, loads)).map(|slot| loads.ramp(slot)).max()?;
        Some(Self { loads, most, seed, token })
    }
}

impl<L: Loads, T: Fn(Slot) -> u64> Loads for Ramping<'_, L, T> {
    fn admits(&self, slot: Slot) -> bool {
        let chance = || fair::bits(self.seed, (self.token)(slot));
        self.loads.admits(slot) && self.loads.ramp(slot).allows(self.most, chance())
    }
    fn in_flight(&self, slot: Slot) -> u32 {
        self.loads.ramp(slot).weighs(self.loads.in_flight(slot), self.most)
    }
    fn latency(&self, slot: Slot) -> Latency {
        self.loads.latency(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_begins_at_a_tenth_and_ends_at_all() {
        let span = Nanos::from_millis(30_000);
        let after = |millis| Ramp::of(Nanos::from_millis(millis), span).0.get();
        assert_eq!([0, 15_000, 29_999, 30_000, u64::MAX].map(after), [102, 563, 1023, 1024, 1024]);
        assert_eq!(Ramp::of(Nanos(0), Nanos(0)), Ramp::FULL);
    }

    #[test]
    fn what_a_half_grown_endpoint_holds_counts_twice_and_of_a_capacity_it_has_half() {
        let half = Ramp::from_parts(512);
        assert_eq!(half.weighs(3, Ramp::FULL), 6);
        assert_eq!(half.weighs(u32::MAX, Ramp::FULL), u32::MAX);
        assert_eq!([8, 3, 1, 0].map(|whole| half.part_of(whole, Ramp::FULL)), [4, 2, 1, 0]);
        // As far as everybody else: as if nobody ramped.
        assert_eq!((half.weighs(3, half), half.part_of(3, half)), (3, 3));
    }

    proptest::proptest! {
        #[test]
        fn a_ramp_never_falls_with_time(age: u64, more: u64, span: u64) {
            let (young, old) = (Ramp::of(Nanos(age), Nanos(span)), Ramp::of(Nanos(age.saturating_add(more)), Nanos(span)));
            proptest::prop_assert!(young <= old && Ramp::from_parts(FLOOR) <= young);
        }

        #[test]
        fn a_part_is_exceeded_from_its_ramp_on_and_a_ramp_is_reached_at_its_age_and_not_before(
            whole in 1_u32..5000, part in 0_u32..5000, most in 1_u16..=WHOLE, span in 1_u64..100_000_000_000,
        ) {
            let (part, most, span) = (part % whole, Ramp::from_parts(most), Nanos(span));
            let ramp = Ramp::exceeding(part, whole, most);
            proptest::prop_assert!(ramp <= most && ramp.part_of(whole, most) > part);
            if ramp.0.get() > 1 {
                proptest::prop_assert!(Ramp::from_parts(ramp.0.get() - 1).part_of(whole, most) <= part);
            }
            let age = ramp.age(span);
            proptest::prop_assert!(Ramp::of(age, span) >= ramp);
            proptest::prop_assert!(age.0 == 0 || Ramp::of(Nanos(age.0 - 1), span) < ramp);
        }
    }
}
