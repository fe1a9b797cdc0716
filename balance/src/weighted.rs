//! Smooth weighted round robin.
//!
//! In: endpoints with weights. Out: a repeating schedule of slots; a pick reads entry `turn % length`. If that endpoint
//! does not admit, one is drawn from those that do in proportion to their weights, see `fair.rs`.
//! Cost: pick O(1), two bytes per schedule entry, at most [`LIMIT`] entries. Build O(entries × distinct weights): at
//! most 65,536 × 361, about 20 ms, and 65,536 steps when all weights are equal.
//! Why smooth: for weights 3 and 1, `A A A B` hits A in bursts; this gives `A A B A`.
//! Source: the smooth weighted algorithm of nginx, `ngx_http_upstream_round_robin.c`: every endpoint gains its weight,
//! the richest is picked (the first of equals) and pays the sum of all. Laws: `tests/it/laws.rs`.
//!
//! **The bound.** One cycle has sum-of-weights / gcd entries. When those are more than [`LIMIT`], weights are scaled to
//! fit: each endpoint gets its proportional number of entries rounded to the nearest, and at least one. So a share is
//! off by half an entry of about 65,536 (0.0008 % of the traffic), except that an endpoint entitled to less than half
//! an entry gets a whole one. With 1,000 endpoints of weights up to 1000, one of weight 100 has 13 entries where 13.1
//! would be exact.

use std::collections::BTreeMap;

use crate::{Ask, Loads, Slot, fair};

/// The most entries of a schedule: 128 KiB, and room for one entry of each of 65,535 endpoints.
const LIMIT: u64 = 65_536;

/// One cycle of slots, and the weights it was made from.
#[derive(Clone)]
pub(crate) struct Weighted {
    schedule: Box<[Slot]>,
    members: Box<[(Slot, u16)]>,
}

impl Weighted {
    /// `members` in the order that breaks ties; at most 65,535 of them, each slot once.
    pub(crate) fn build(members: Box<[(Slot, u16)]>) -> Self {
        Self { schedule: smooth(&members, &entries(&members)), members }
    }

    /// The endpoint whose turn it is, or its stand-in; `None` if none admits.
    pub(crate) fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        let length = self.schedule.len();
        let first = *self.schedule.get(fair::due(ask.turn, length))?;
        if ask.may_go_to(first, loads) {
            return Some(first);
        }
        let draw = |bits| self.schedule.get(fair::below(bits, length)).copied();
        fair::draw_one(ask.turn, draw, self.members.iter().copied(), |slot| ask.may_go_to(slot, loads))
    }
}

/// How many entries each member gets: its weight / gcd, or what fits.
fn entries(members: &[(Slot, u16)]) -> Vec<u64> {
    let weights = || members.iter().map(|&(_, weight)| u64::from(weight));
    let divisor = weights().fold(0, gcd).max(1);
    let sum: u64 = weights().sum();
    if sum / divisor <= LIMIT {
        return weights().map(|weight| weight / divisor).collect();
    }
    // The largest target whose rounded parts fit; rounding and the floor of one entry can push the sum past the target.
    let part = |weight: u64, target: u64| ((2 * weight * target + sum) / (2 * sum)).max(1);
    let (mut fits, mut too_many) = (0, LIMIT + 1);
    while too_many - fits > 1 {
        let target = fits.midpoint(too_many);
        if weights().map(|weight| part(weight, target)).sum::<u64>() <= LIMIT {
            fits = target;
        } else {
            too_many = target;
        }
    }
    weights().map(|weight| part(weight, fits)).collect()
}

const fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The endpoints of one weight. They are picked in turn, so only the one in front competes with the other weights:
/// that makes a step O(distinct weights) where nginx's is O(endpoints), for the same schedule.
struct Peers {
    weight: i64,
    /// Positions in the list of members, rising.
    positions: Vec<usize>,
    /// Index into `positions` of the one in front.
    front: usize,
    /// nginx's `current_weight` of the one in front.
    credit: i64,
}

/// One cycle of nginx's algorithm over `entries`, one number per member.
fn smooth(members: &[(Slot, u16)], entries: &[u64]) -> Box<[Slot]> {
    let mut by_weight: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (position, &count) in entries.iter().enumerate() {
        by_weight.entry(i64::try_from(count).unwrap_or(i64::MAX)).or_default().push(position);
    }
    let mut peers: Vec<Peers> =
        by_weight.into_iter().map(|(weight, positions)| Peers { weight, positions, front: 0, credit: 0 }).collect();
    let length: u64 = entries.iter().sum();
    let sum = i64::try_from(length).unwrap_or(i64::MAX);
    (0..length).filter_map(|_| richest(&mut peers)?.pay(sum)).filter_map(|at| Some(members.get(at)?.0)).collect()
}

/// Credits all, and returns the peers whose front has most; of equals, the one listed first.
fn richest(peers: &mut [Peers]) -> Option<&mut Peers> {
    let mut best: Option<&mut Peers> = None;
    for next in peers {
        next.credit += next.weight;
        let wins = best.as_ref().is_none_or(|best| {
            next.credit > best.credit || (next.credit == best.credit && next.position() < best.position())
        });
        if wins {
            best = Some(next);
        }
    }
    best
}

impl Peers {
    fn position(&self) -> Option<usize> {
        self.positions.get(self.front).copied()
    }

    /// The position of the one in front, which pays `sum` and goes to the back.
    fn pay(&mut self, sum: i64) -> Option<usize> {
        let paid = self.position();
        self.front += 1;
        if self.front == self.positions.len() {
            // All of this weight have paid once more. Until now the next in front had not, so its credit was not less.
            self.front = 0;
            self.credit -= sum;
        }
        paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: impl IntoIterator<Item = u16>) -> Box<[(Slot, u16)]> {
        weights.into_iter().zip(0..).map(|(weight, index)| (Slot::new(index), weight)).collect()
    }

    /// nginx's loop, word for word: the yardstick.
    fn naive(weights: &[u16]) -> Vec<usize> {
        let total: i64 = weights.iter().map(|&weight| i64::from(weight)).sum();
        let mut current = vec![0_i64; weights.len()];
        (0..total)
            .map(|_| {
                let mut best = 0;
                for index in 0..weights.len() {
                    current[index] += i64::from(weights[index]);
                    if current[index] > current[best] {
                        best = index;
                    }
                }
                current[best] -= total;
                best
            })
            .collect()
    }

    fn schedule(weights: &[u16]) -> Vec<usize> {
        Weighted::build(members(weights.iter().copied())).schedule.iter().map(|slot| slot.index()).collect()
    }

    #[test]
    fn three_to_one_is_a_a_b_a() {
        assert_eq!(schedule(&[3, 1]), [0, 0, 1, 0]);
    }

    #[test]
    fn weights_with_a_common_divisor_give_the_short_schedule() {
        assert_eq!(schedule(&[300, 100]), [0, 0, 1, 0]);
        assert_eq!(schedule(&[7, 7, 7]), [0, 1, 2]);
    }

    proptest::proptest! {
        #[test]
        fn grouping_by_weight_gives_the_very_schedule_of_nginx(
            weights in proptest::collection::vec(1_u16..=12, 1..12),
        ) {
            let divisor = weights.iter().fold(0, |sofar, &weight| gcd(sofar, u64::from(weight)));
            let reduced: Vec<u16> = weights.iter().map(|&weight| weight / u16::try_from(divisor).unwrap()).collect();
            proptest::prop_assert_eq!(schedule(&weights), naive(&reduced));
        }
    }

    #[test]
    fn a_schedule_that_would_be_too_long_is_scaled_to_the_limit_with_half_an_entry_of_error() {
        let weights: Vec<u16> = (0..1000).map(|index| 1 + index).collect();
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let counts = entries(&members(weights.iter().copied()));
        let length: u64 = counts.iter().sum();
        assert!((LIMIT - 100..=LIMIT).contains(&length), "{length} entries");
        for (&weight, &count) in weights.iter().zip(&counts) {
            let exact = f64::from(weight) * f64::from(u32::try_from(length).unwrap()) / sum;
            let count = f64::from(u32::try_from(count).unwrap());
            assert!(count >= 1.0);
            assert!((count - exact).abs() <= 0.6 || exact < 0.5, "weight {weight}: {count} for {exact:.2}");
        }
    }

    #[test]
    fn the_most_endpoints_there_can_be_get_one_entry_each_at_least() {
        let weights = (0..u16::MAX).map(|index| 1 + index % 1000);
        let built = Weighted::build(members(weights));
        let mut entries_of = vec![0_u32; usize::from(u16::MAX)];
        built.schedule.iter().for_each(|slot| entries_of[slot.index()] += 1);
        assert!(entries_of.iter().all(|&count| count >= 1));
        assert!(built.schedule.len() <= 65_536);
    }
}
