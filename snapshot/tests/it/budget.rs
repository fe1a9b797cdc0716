use weir_snapshot::{Budget, BudgetRules};

use crate::support::{at_millis, at_secs};

const FIFTH: BudgetRules = BudgetRules { percent: 20, floor_per_second: 0 };

fn deposit(budget: &Budget, count: usize, millis: u64) {
    (0..count).for_each(|_| budget.deposit(at_millis(millis)));
}

fn withdraw(budget: &Budget, rules: BudgetRules, millis: u64) -> usize {
    (0..1000).take_while(|_| budget.withdraw(at_millis(millis), &rules)).count()
}

#[test]
fn retries_are_a_share_of_the_requests() {
    let budget = Budget::new();
    deposit(&budget, 100, 0);
    assert_eq!(withdraw(&budget, FIFTH, 0), 20);
    deposit(&budget, 10, 100);
    assert_eq!(withdraw(&budget, FIFTH, 200), 2);
}

#[test]
fn the_floor_lets_a_quiet_route_retry() {
    let budget = Budget::new();
    let rules = BudgetRules { percent: 0, floor_per_second: 3 };
    assert_eq!(withdraw(&budget, rules, 0), 30);
    assert_eq!(withdraw(&budget, rules, 9_000), 0);
    assert_eq!(withdraw(&budget, rules, 10_000), 30);
}

#[test]
fn nothing_is_allowed_by_no_percent_and_no_floor() {
    let budget = Budget::new();
    deposit(&budget, 1000, 0);
    assert!(!budget.withdraw(at_secs(0), &BudgetRules { percent: 0, floor_per_second: 0 }));
}

#[test]
fn requests_and_retries_count_for_ten_seconds() {
    let budget = Budget::new();
    deposit(&budget, 100, 500);
    assert_eq!(withdraw(&budget, FIFTH, 9_999), 20);
    assert_eq!(withdraw(&budget, FIFTH, 10_000), 0, "the requests are too old");
    deposit(&budget, 100, 10_000);
    assert_eq!(withdraw(&budget, FIFTH, 18_000), 0, "the retries of 9.999 s are not");
    deposit(&budget, 100, 19_000);
    assert_eq!(withdraw(&budget, FIFTH, 19_500), 40, "now they are");
}

#[test]
fn a_long_silence_leaves_nothing() {
    let budget = Budget::new();
    deposit(&budget, 100, 0);
    assert_eq!(withdraw(&budget, FIFTH, 3_600_000), 0);
}

#[test]
fn threads_together_get_no_more_than_the_budget() {
    let budget = Budget::new();
    let spend = || withdraw(&budget, FIFTH, 0);
    deposit(&budget, 1000, 0);
    let spent: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(spend)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(spent, 200);
}

proptest::proptest! {
    #[test]
    fn it_agrees_with_a_list_of_everything_that_happened(
        events in proptest::collection::vec((0_u64..2500, proptest::bool::weighted(0.7)), 1..300),
        percent in 0_u8..=100,
        floor_per_second in 0_u32..2,
    ) {
        let rules = BudgetRules { percent, floor_per_second };
        let budget = Budget::new();
        let (mut requests, mut retries) = (Vec::new(), Vec::new());
        let mut now = 0;
        for (gap, request) in events {
            now += gap;
            let second = now / 1000;
            if request {
                budget.deposit(at_millis(now));
                requests.push(second);
                continue;
            }
            let recent = |list: &[u64]| list.iter().filter(|&&past| second - past < 10).count() as u64;
            let limit = recent(&requests) * u64::from(percent) / 100 + u64::from(floor_per_second) * 10;
            let expected = recent(&retries) < limit;
            proptest::prop_assert_eq!(budget.withdraw(at_millis(now), &rules), expected);
            if expected {
                retries.push(second);
            }
        }
    }
}
