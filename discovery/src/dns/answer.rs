//! What a message says about a question. Pure.
//!
//! In: a question and the records of an answer. Out: records, where the name leads to instead, or nothing.
//! Cost: a scan of the answer per alias in it.
//! Only records that belong to the name asked, or to what it is an alias of, count: others were not asked for.

use std::fmt;
use std::net::IpAddr;

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name as WireName, RData, Record, RecordType};

use super::error::Fault;
use super::name::shown;

/// Aliases that are followed for one question. Real chains have two or three.
pub(crate) const LONGEST_CHAIN: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    A,
    Aaaa,
    Srv,
}

impl Kind {
    pub(crate) fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Srv => RecordType::SRV,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) name: WireName,
    pub(crate) kind: Kind,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", shown(&self.name), self.kind.record_type())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) what: What,
    /// Seconds for which it holds; `None` for a negative answer that does not say.
    pub(crate) ttl: Option<u32>,
    /// Addresses of other names that came along, with their time to live.
    pub(crate) beside: Vec<(WireName, IpAddr, u32)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Addresses(Vec<IpAddr>),
    Services(Vec<Service>),
    /// The name is another one's alias, and the answer ends there.
    Alias(WireName),
    Nothing(Nothing),
}

/// Why there is nothing, which is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nothing {
    NoName,
    NoRecord,
}

/// One SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) priority: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) target: WireName,
}

impl Answer {
    pub(crate) fn nothing(nothing: Nothing, ttl: Option<u32>) -> Self {
        Self { what: What::Nothing(nothing), ttl: ttl.map(sane), beside: Vec::new() }
    }

    /// Reads a message that says yes, or that the end of a chain of aliases does not exist.
    pub(crate) fn read(question: &Question, message: &Message) -> Result<Self, Fault> {
        let mut name = &question.name;
        let mut ttl = u32::MAX;
        for _ in 0..=LONGEST_CHAIN {
            let records: Vec<_> = of(&message.answers, name, question.kind.record_type()).collect();
            if !records.is_empty() {
                let ttl = records.iter().fold(ttl, |least, record| least.min(sane(record.ttl)));
                return Ok(Self { what: what(question.kind, &records), ttl: Some(ttl), beside: beside(message) });
            }
            let Some(alias) = of(&message.answers, name, RecordType::CNAME).next() else {
                return Ok(Self::without(question, message, name, ttl));
            };
            let RData::CNAME(target) = &alias.data else { return Err(Fault::Garbled("a CNAME without a name".into())) };
            ttl = ttl.min(sane(alias.ttl));
            name = &target.0;
        }
        Err(Fault::Loop)
    }

    /// No record of the kind: the chain goes on elsewhere, or ends in nothing.
    fn without(question: &Question, message: &Message, end: &WireName, ttl: u32) -> Self {
        let negative = message.authorities.iter().find_map(|record| match &record.data {
            RData::SOA(zone) => Some(record.ttl.min(zone.minimum).min(ttl)),
            _ => None,
        });
        if message.response_code == ResponseCode::NXDomain {
            return Self::nothing(Nothing::NoName, negative);
        }
        if *end == question.name || negative.is_some() {
            return Self::nothing(Nothing::NoRecord, negative);
        }
        Self { what: What::Alias(end.clone()), ttl: Some(ttl), beside: Vec::new() }
    }
}

fn of<'a>(records: &'a [Record], name: &'a WireName, kind: RecordType) -> impl Iterator<Item = &'a Record> {
    records
        .iter()
        .filter(move |record| record.dns_class == DNSClass::IN && record.record_type() == kind && record.name == *name)
}

fn what(kind: Kind, records: &[&Record]) -> What {
    if kind == Kind::Srv {
        let service = |record: &&Record| match &record.data {
            RData::SRV(srv) => Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.to_lowercase(),
            }),
            _ => None,
        };
        return What::Services(records.iter().filter_map(service).collect());
    }
    What::Addresses(records.iter().filter_map(|record| address(record)).collect())
}

fn beside(message: &Message) -> Vec<(WireName, IpAddr, u32)> {
    let others = message.additionals.iter().filter(|record| record.dns_class == DNSClass::IN);
    others.filter_map(|record| Some((record.name.to_lowercase(), address(record)?, sane(record.ttl)))).collect()
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(v4) => Some(IpAddr::V4(v4.0)),
        RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
        _ => None,
    }
}

/// A time to live with its highest bit set counts as zero: RFC 2181 §8.
fn sane(ttl: u32) -> u32 {
    if ttl > u32::MAX / 2 { 0 } else { ttl }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hickory_resolver::proto::op::Query;
    use hickory_resolver::proto::rr::rdata::{A, CNAME, SOA};

    use super::*;

    fn name(text: &str) -> WireName {
        WireName::from_ascii(text).unwrap()
    }

    fn question(text: &str) -> Question {
        Question { name: name(text), kind: Kind::A }
    }

    fn message(records: impl IntoIterator<Item = (&'static str, u32, RData)>) -> Message {
        let mut message = Message::query();
        message.queries.push(Query::query(name("a."), RecordType::A));
        message.answers =
            records.into_iter().map(|(owner, ttl, data)| Record::from_rdata(name(owner), ttl, data)).collect();
        message
    }

    fn v4(last: u8) -> RData {
        RData::A(A(Ipv4Addr::new(10, 0, 0, last)))
    }

    fn alias(text: &str) -> RData {
        RData::CNAME(CNAME(name(text)))
    }

    #[test]
    fn an_alias_is_followed_and_the_smallest_time_to_live_of_the_chain_counts() {
        let message = message([("a.", 7, alias("b.")), ("B.", 60, v4(1)), ("b.", 50, v4(2)), ("c.", 1, v4(3))]);
        let answer = Answer::read(&question("A."), &message).unwrap();
        let Answer { what: What::Addresses(found), ttl: Some(7), .. } = answer else { panic!("{answer:?}") };
        assert_eq!(found, [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)]);
    }

    #[test]
    fn a_chain_that_leaves_the_message_goes_on_at_its_end() {
        let answer = Answer::read(&question("a."), &message([("a.", 7, alias("b.")), ("b.", 9, alias("c."))])).unwrap();
        assert_eq!((answer.what, answer.ttl), (What::Alias(name("c.")), Some(7)));
    }

    #[test]
    fn a_chain_that_bites_its_tail_is_a_fault() {
        let read = Answer::read(&question("a."), &message([("a.", 7, alias("b.")), ("b.", 9, alias("a."))]));
        assert_eq!(read, Err(Fault::Loop));
    }

    #[test]
    fn a_chain_that_ends_in_a_name_that_does_not_exist_is_nothing_for_as_long_as_the_zone_says() {
        let mut message = message([("a.", 70, alias("b."))]);
        message.metadata.response_code = ResponseCode::NXDomain;
        let zone = SOA::new(name("ns."), name("admin."), 1, 1, 1, 1, 30);
        message.authorities = vec![Record::from_rdata(name("."), 60, RData::SOA(zone))];
        let answer = Answer::read(&question("a."), &message).unwrap();
        assert_eq!((answer.what, answer.ttl), (What::Nothing(Nothing::NoName), Some(30)));
    }

    #[test]
    fn a_time_to_live_with_its_highest_bit_set_is_zero() {
        let answer = Answer::read(&question("a."), &message([("a.", u32::MAX, v4(1))])).unwrap();
        assert_eq!(answer.ttl, Some(0));
    }
}
