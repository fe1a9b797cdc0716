//! What the hash policies share: a key's endpoint by a table, who stands in for it, and bounded load.
//!
//! In: a table that gives each key a place, and each place an owner. Out: the owner of the key's place; if it does not admit,
//! the first after it that does, in an order of the key's own: clockwise on a ring, drawn by the key from other tables. So the
//! keys of an ejected endpoint spread over all others, and come back to it. After [`WALK`] places in vain all endpoints are asked, see `rendezvous.rs`. An ask without a key is answered as
//! `weighted` answers it.
//! Cost: 1 / (share that admits) steps, at most [`WALK`], then O(endpoints).
//!
//! **Bounded load.** With a factor an endpoint is passed over while it has as much in flight as
//! factor × (in flight of all that admit + 1) × its share of their weights: a key that everybody wants spills over
//! to the endpoints after its own, always in the same order, and comes back. There is always one below the bound, since
//! the factor is at least 1. Cost: an owner with nothing in flight is taken as it is; otherwise one scan of the loads.
//! Source: Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded loads", 2016; `HAProxy`'s
//! `hash-balance-factor`. Laws: `tests/it/laws.rs`.

use crate::rendezvous::{self, Member};
use crate::{Ask, Endpoints, KeyHash, LoadFactor, Loads, Slot, VirtualNodes};
use crate::{fair, maglev, ring::Ring, slots, weighted::Weighted};

/// Places visited before the scan. With half of the places refused, one pick in 2^64 comes to the scan.
const WALK: usize = 64;

/// A hash policy's table and the endpoints in it.
#[derive(Clone)]
pub(crate) struct Keyed {
    table: Table,
    members: Box<[Member]>,
    /// By slot.
    weights: Box<[u16]>,
    /// By slot: the hash of each identity.
    identities: Box<[u64]>,
    bound: Option<LoadFactor>,
    /// Answers asks without a key.
    keyless: Weighted,
}

#[derive(Clone)]
enum Table {
    Ring(Ring),
    Maglev(Box<[Slot]>),
    Slots(Box<[Slot]>),
}

/// What an endpoint may have in flight at most, at the moment of the pick.
#[derive(Clone, Copy)]
struct Bound {
    factor: LoadFactor,
    /// In flight at all endpoints that this exchange may go to.
    held: u64,
    /// The sum of their weights.
    weights: u64,
}

impl Bound {
    fn of(factor: LoadFactor, members: &[Member], ask: &Ask<'_>, loads: &impl Loads) -> Self {
        let mut bound = Self { factor, held: 0, weights: 0 };
        for member in members.iter().filter(|member| ask.may_go_to(member.slot, loads)) {
            bound.held += u64::from(loads.in_flight(member.slot));
            bound.weights += u64::from(member.weight);
        }
        bound
    }

    /// Whether an endpoint with this much in flight may have one more.
    fn allows(self, in_flight: u32, weight: u16) -> bool {
        let share = u128::from(self.held + 1) * u128::from(weight) * u128::from(self.factor.hundredths());
        u128::from(in_flight) * u128::from(self.weights) * 100 < share
    }
}

impl Keyed {
    pub(crate) fn ring(endpoints: &Endpoints, virtual_nodes: VirtualNodes, bound: Option<LoadFactor>) -> Self {
        Self::new(endpoints, Table::Ring(Ring::build(endpoints, virtual_nodes)), bound)
    }

    pub(crate) fn maglev(endpoints: &Endpoints, bound: Option<LoadFactor>) -> Self {
        Self::new(endpoints, Table::Maglev(maglev::table(&rendezvous::members(endpoints))), bound)
    }

    pub(crate) fn slots(endpoints: &Endpoints, bound: Option<LoadFactor>) -> Self {
        Self::new(endpoints, Table::Slots(slots::table(&rendezvous::members(endpoints))), bound)
    }

    fn new(endpoints: &Endpoints, table: Table, bound: Option<LoadFactor>) -> Self {
        let members = rendezvous::members(endpoints);
        let keyless = Weighted::build(members.iter().map(|member| (member.slot, member.weight)).collect());
        let weights = endpoints.iter().map(|(_, endpoint)| endpoint.weight.get()).collect();
        let mut identities: Box<[u64]> = vec![0; endpoints.len()].into();
        members.iter().for_each(|member| identities[member.slot.index()] = member.seed);
        Self { table, members, weights, identities, bound, keyless }
    }

    /// A number of this endpoint's own that is the same wherever it is listed.
    pub(crate) fn identity(&self, slot: Slot) -> u64 {
        self.identities.get(slot.index()).copied().unwrap_or(0)
    }

    /// The key's endpoint, or who stands in for it; `None` if none admits.
    pub(crate) fn pick(&self, ask: &Ask<'_>, loads: &impl Loads) -> Option<Slot> {
        let Some(key) = ask.key else {
            return self.keyless.pick(ask, loads);
        };
        let owner = self.first(key, |slot| ask.may_go_to(slot, loads));
        let (Some(factor), Some(slot)) = (self.bound, owner) else { return owner };
        if loads.in_flight(slot) == 0 {
            return owner;
        }
        let bound = Bound::of(factor, &self.members, ask, loads);
        let has_room = |slot: Slot| {
            let weight = self.weights.get(slot.index()).copied().unwrap_or(1);
            bound.allows(loads.in_flight(slot), weight) && ask.may_go_to(slot, loads)
        };
        // Without room anywhere, loads changed since they were added up.
        self.first(key, has_room).or(owner)
    }

    /// The first in the key's own order that `may` have it.
    fn first(&self, key: KeyHash, may: impl Fn(Slot) -> bool) -> Option<Slot> {
        let near = match &self.table {
            Table::Ring(ring) => {
                let (before, after) = ring.owners().split_at_checked(ring.place(key))?;
                after.iter().chain(before).take(WALK).copied().find(|&slot| may(slot))
            }
            Table::Maglev(owners) => drawn(owners, maglev::place(key), key, &may),
            Table::Slots(owners) => drawn(owners, slots::place(key), key, &may),
        };
        // A whole ring may be shorter than the walk; then the scan finds nothing either, and costs as little.
        near.or_else(|| rendezvous::first(&self.members, key, |member| may(member.slot)))
    }
}

/// The owner of this place, or of the first of others that `may` have the key. These are drawn by the key: neighbours in a
/// table that is made in steps are not chance, so that the next ones would not share evenly.
fn drawn(owners: &[Slot], place: usize, key: KeyHash, may: impl Fn(Slot) -> bool) -> Option<Slot> {
    let first = owners.get(place).copied()?;
    let mut others = (0..WALK as u64).filter_map(|step| owners.get(fair::below(fair::bits(key.0, step), owners.len())));
    if may(first) { Some(first) } else { others.find(|&&slot| may(slot)).copied() }
}
