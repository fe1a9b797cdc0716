//! Writes `endpoints` of a `[[service]]`.

use std::num::NonZeroU32;

use super::{ADDRESS, BACKUP, CAPACITY, DRAIN, ENDPOINTS, WEIGHT};
use crate::Endpoint;
use crate::names::Place;
use crate::raw::{Page, pair};
use weir_balance::Weight;

/// An endpoint as it is written, by address or by name.
pub(in crate::read) struct Row {
    pub(in crate::read) place: Place,
    pub(in crate::read) weight: Weight,
    pub(in crate::read) drain: bool,
    pub(in crate::read) backup: bool,
    pub(in crate::read) capacity: Option<NonZeroU32>,
}

/// Those by address, then those by name; nothing when there are neither.
pub(in crate::read) fn print(endpoints: &[Endpoint], named: impl Iterator<Item = Row>, page: &mut Page) {
    let rows = endpoints.iter().map(|endpoint| {
        let &Endpoint { address, weight, drain, backup, capacity } = endpoint;
        Row { place: Place::Socket(address), weight, drain, backup, capacity }
    });
    let mut rows = rows.chain(named).map(|row| row.show()).peekable();
    if rows.peek().is_some() {
        page.array(ENDPOINTS.name, rows);
    }
}

impl Row {
    fn show(&self) -> String {
        let Self { place, weight, drain, backup, capacity } = self;
        let capacity = capacity.map(|capacity| pair(&CAPACITY, &capacity.get()));
        let always = [pair(&ADDRESS, place), pair(&WEIGHT, weight), pair(&DRAIN, drain), pair(&BACKUP, backup)];
        let all: Vec<String> = always.into_iter().chain(capacity).collect();
        format!("{{ {} }}", all.join(", "))
    }
}
