use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const EMPTY_AFTER: Duration = Duration::from_secs(30);

impl Membership {
    /// Nothing heard yet. `sources` are their names and whether they are backups.
    pub(crate) fn new(fixed: Arc<[Found]>, empty_after: Duration, sources: Vec<(Arc<str>, bool)>) -> Self {
        let sources = sources.into_iter().map(|(name, backup)| Belief::new(name, backup)).collect();
        Self::of(fixed, empty_after, sources, false)
    }

    /// What the source with this name said before the start.
    pub(crate) fn restore(&mut self, name: &str, endpoints: Vec<Found>) {
        let Some(belief) = self.sources.iter_mut().find(|source| &*source.name == name) else { return };
        belief.restore(endpoints);
        self.had_endpoints |= !belief.held.is_empty();
    }
}

fn at(secs: u64) -> Moment {
    Moment::from_nanos(secs * 1_000_000_000)
}

fn found(port: u16) -> Found {
    Found::new(([127, 0, 0, 1], port).into())
}

fn list(ports: &[u16]) -> News {
    News::Endpoints(Listing { endpoints: ports.iter().copied().map(found).collect(), ..Listing::default() })
}

fn failure(text: &str) -> News {
    News::Failed(SourceError { reason: "unreachable", text: text.to_owned() })
}

/// One source besides these fixed ports.
fn membership(fixed: &[u16]) -> Membership {
    let fixed: Vec<Found> = fixed.iter().copied().map(found).collect();
    Membership::new(fixed.into(), EMPTY_AFTER, vec![("consul a".into(), false), ("dns b".into(), true)])
}

fn ports(membership: &Membership) -> Vec<u16> {
    membership.endpoints().iter().map(|found| found.address.port()).collect()
}

#[test]
fn the_endpoints_are_those_written_here_then_those_found_each_once() {
    let mut members = membership(&[9, 1]);
    assert!(members.hear(0, list(&[3, 1, 2, 3]), at(1)).changed);
    assert_eq!(ports(&members), [9, 1, 2, 3]);
}

#[test]
fn a_list_in_another_order_changes_nothing() {
    let mut members = membership(&[]);
    members.hear(0, list(&[1, 2, 3]), at(1));
    assert_eq!(members.hear(0, list(&[3, 1, 2]), at(2)), Outcome::default());
}

#[test]
fn a_failing_source_keeps_what_it_said_and_each_reason_is_noted_once() {
    let mut members = membership(&[]);
    members.hear(0, list(&[1, 2]), at(1));
    let why = SourceError { reason: "unreachable", text: "no agent".to_owned() };
    assert_eq!(members.hear(0, failure("no agent"), at(2)).notes, [Note::Failing(why)]);
    assert_eq!(members.hear(0, failure("no agent"), at(3)), Outcome::default());
    assert_eq!(members.hear(0, failure("no leader"), at(4)).notes.len(), 1);
    assert_eq!(ports(&members), [1, 2]);
    assert_eq!(members.hear(0, News::Unchanged, at(7)).notes, [Note::Recovered { after: Duration::from_secs(5) }]);
}

#[test]
fn an_empty_answer_is_believed_only_after_it_was_said_for_long_enough() {
    let mut members = membership(&[]);
    members.hear(0, list(&[1, 2]), at(1));
    assert_eq!(members.hear(0, list(&[]), at(10)).notes, [Note::Doubted { kept: 2 }]);
    assert_eq!(members.hear(0, list(&[]), at(20)), Outcome::default());
    assert_eq!(members.hear(0, News::Unchanged, at(39)), Outcome::default());
    assert_eq!(ports(&members), [1, 2]);
    let emptied = Note::Changed { endpoints: 0, added: 0, removed: 2 };
    let outcome = members.hear(0, News::Unchanged, at(40));
    assert_eq!(outcome, Outcome { changed: true, first: false, notes: vec![Note::Emptied, emptied] });
    assert_eq!(ports(&members), [0_u16; 0]);
}

#[test]
fn endpoints_that_return_end_the_doubt() {
    let mut members = membership(&[]);
    members.hear(0, list(&[1]), at(1));
    members.hear(0, list(&[]), at(10));
    assert!(!members.hear(0, list(&[1]), at(11)).changed);
    assert_eq!(members.sources()[0].doubted_since(), None);
    members.hear(0, News::Unchanged, at(100));
    assert_eq!(ports(&members), [1]);
}

#[test]
fn a_failure_in_between_makes_an_empty_answer_count_from_anew() {
    let mut members = membership(&[]);
    members.hear(0, list(&[1]), at(1));
    members.hear(0, list(&[]), at(10));
    members.hear(0, failure("no leader"), at(15));
    members.hear(0, News::Unchanged, at(20));
    members.hear(0, list(&[]), at(49));
    assert_eq!(ports(&members), [1]);
    assert!(members.hear(0, list(&[]), at(50)).changed);
}

#[test]
fn a_first_answer_that_is_empty_is_an_answer() {
    let mut members = membership(&[]);
    assert!(!members.hear(0, list(&[]), at(1)).changed);
    assert!(!members.sources()[0].is_awaited());
    assert!(!members.had_endpoints());
}

#[test]
fn what_was_kept_from_before_the_start_counts_until_the_source_speaks() {
    let mut members = membership(&[]);
    members.restore("consul a", vec![found(2), found(1)]);
    members.restore("consul other", vec![found(7)]);
    assert_eq!(ports(&members), [1, 2]);
    assert_eq!(members.sources()[0].standing, Standing::Cached);
    members.hear(0, failure("no agent"), at(1));
    members.hear(0, list(&[]), at(2));
    assert_eq!(ports(&members), [1, 2], "an empty answer is no reason to drop them at once");
    members.hear(0, list(&[3]), at(3));
    assert_eq!(ports(&members), [3]);
    members.restore("consul a", vec![found(2)]);
    assert_eq!(ports(&members), [3]);
}

#[test]
fn a_backup_source_only_backs_up_and_an_address_that_also_serves_serves() {
    let mut members = membership(&[]);
    members.hear(1, list(&[1, 2]), at(1));
    members.hear(0, list(&[1]), at(1));
    let tiers: Vec<_> = members.endpoints().iter().map(|found| (found.address.port(), found.tier)).collect();
    assert_eq!(tiers, [(1, Tier::PRIMARY), (2, Tier::BACKUP)]);
}

#[test]
fn what_is_written_as_drained_stays_drained_when_a_source_lists_it_too() {
    let written = Found { drained: true, tier: Tier::BACKUP, ..found(1) };
    let mut members = Membership::new(vec![written].into(), EMPTY_AFTER, vec![("consul a".into(), false)]);
    members.hear(0, list(&[1]), at(1));
    assert_eq!(*members.endpoints(), [Found { drained: true, ..found(1) }]);
}

#[test]
fn a_remark_is_said_once_and_again_when_it_was_gone_in_between() {
    let remarked = |remarks: &[&str]| {
        let remarks = remarks.iter().map(|&remark| remark.to_owned()).collect();
        News::Endpoints(Listing { remarks, ..Listing::default() })
    };
    let mut members = membership(&[]);
    let counts =
        [&["a"][..], &["a", "b"], &["b"], &["a"]].map(|list| members.hear(0, remarked(list), at(1)).notes.len());
    assert_eq!(counts, [1, 1, 0, 1]);
}

#[test]
fn that_a_list_may_be_old_is_noted_when_it_begins_and_when_it_ends() {
    let stale = Stale { last_contact: Duration::ZERO, known_leader: false, because: "no leader".to_owned() };
    let listed = |stale| News::Endpoints(Listing { endpoints: vec![found(1)], stale, remarks: Vec::new() });
    let mut members = membership(&[]);
    members.hear(0, listed(None), at(1));
    assert_eq!(members.hear(0, listed(Some(stale.clone())), at(2)).notes, [Note::Stale(stale.clone())]);
    assert_eq!(members.hear(0, listed(Some(stale)), at(3)).notes, []);
    assert_eq!(members.hear(0, listed(None), at(4)).notes, [Note::Fresh]);
}

fn news() -> impl Strategy<Value = (usize, News)> {
    let lists = vec(1_u16..6, 0..4).prop_map(|ports| list(&ports));
    (0..2_usize, prop_oneof![lists, Just(News::Unchanged), Just(failure("x"))])
}

proptest! {
    /// Whatever the sources say, within less than `empty_after` what was there stays or is replaced, never just gone.
    #[test]
    fn a_pool_that_had_endpoints_has_some_before_the_patience_is_over(all in vec(news(), 1..30)) {
        let mut members = membership(&[]);
        let mut had = false;
        for (second, (source, news)) in all.into_iter().enumerate() {
            let now = at(second as u64);
            members.hear(source, news, now);
            had |= !members.endpoints().is_empty();
            prop_assert_eq!(had, !members.endpoints().is_empty());
            prop_assert_eq!(had, members.had_endpoints());
        }
    }

    /// A source's endpoints vanish only at its own word, when it said that there are none `empty_after` ago or longer and
    /// nothing else since: neither silence nor the words of others count.
    #[test]
    fn a_pool_is_emptied_by_a_repeated_word_alone(all in vec((news(), 0..40_u64), 1..60)) {
        let mut members = membership(&[]);
        let mut second = 0;
        let mut said_none: [Option<u64>; 2] = [None; 2];
        let mut empty = [false; 2];
        for ((source, news), pause) in all {
            second += pause;
            match &news {
                News::Endpoints(listing) if listing.endpoints.is_empty() => {
                    empty[source] = true;
                    said_none[source].get_or_insert(second);
                }
                News::Endpoints(_) => (empty[source], said_none[source]) = (false, None),
                News::Unchanged if empty[source] => _ = said_none[source].get_or_insert(second),
                News::Unchanged => {}
                News::Failed(_) => said_none[source] = None,
            }
            let before = [0, 1].map(|source| members.sources()[source].endpoints());
            members.hear(source, news, at(second));
            let after = [0, 1].map(|source| members.sources()[source].endpoints());
            for each in [0, 1] {
                let long = said_none[each].is_some_and(|since| second - since >= EMPTY_AFTER.as_secs());
                prop_assert_eq!(before[each] > 0 && after[each] == 0, before[each] > 0 && each == source && long);
            }
        }
    }

    /// The same lists in another order of the sources' words give the same endpoints.
    #[test]
    fn the_endpoints_are_what_each_source_said_last(one in vec(1_u16..9, 1..5), other in vec(1_u16..9, 1..5)) {
        let (mut forth, mut back) = (membership(&[]), membership(&[]));
        forth.hear(0, list(&one), at(1));
        forth.hear(1, list(&other), at(2));
        back.hear(1, list(&other), at(1));
        back.hear(0, list(&[42]), at(1));
        back.hear(0, list(&one), at(2));
        prop_assert_eq!(forth.endpoints(), back.endpoints());
    }
}

#[test]
fn of_thousands_of_remarks_a_few_are_kept_each_a_short_line() {
    let remarks: Vec<String> = (0..5000).map(|number| format!("`{number}\n\x1b[31m` {}", "é".repeat(10_000))).collect();
    let mut members = membership(&[]);
    let outcome = members.hear(0, News::Endpoints(Listing { remarks, ..Listing::default() }), at(1));
    let kept = members.sources()[0].remarks();
    assert_eq!((kept.len(), outcome.notes.len()), (21, 21));
    assert_eq!(kept[20], "and 4980 more such remarks");
    assert!(kept.iter().all(|remark| remark.chars().count() <= 401 && !remark.contains(char::is_control)));
}
