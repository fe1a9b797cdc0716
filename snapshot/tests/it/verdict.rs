use weir_snapshot::{HealthRules, Transition, Verdict};

use crate::support::{at_millis, at_secs, rules};

const EJECTED: Option<Transition> = Some(Transition::Ejected { failures: 3 });

#[test]
fn three_failures_within_the_window_eject() {
    let mut verdict = Verdict::new(&rules());
    assert_eq!(verdict.failed(at_secs(0), &rules()), None);
    assert_eq!(verdict.failed(at_secs(10), &rules()), None);
    assert_eq!(verdict.failed(at_secs(29), &rules()), EJECTED);
    assert!(verdict.is_ejected());
    assert_eq!(verdict.since(), at_secs(29));
}

#[test]
fn two_failures_do_not_eject() {
    let mut verdict = Verdict::new(&rules());
    assert_eq!(verdict.failed(at_secs(0), &rules()), None);
    assert_eq!(verdict.failed(at_secs(0), &rules()), None);
    assert!(!verdict.is_ejected());
}

#[test]
fn three_failures_exactly_a_window_apart_eject_and_a_millisecond_more_does_not() {
    let mut verdict = Verdict::new(&rules());
    verdict.failed(at_secs(0), &rules());
    verdict.failed(at_secs(1), &rules());
    assert_eq!(verdict.failed(at_secs(30), &rules()), EJECTED);

    let mut verdict = Verdict::new(&rules());
    verdict.failed(at_secs(0), &rules());
    verdict.failed(at_secs(1), &rules());
    assert_eq!(verdict.failed(at_millis(30_001), &rules()), None);
}

#[test]
fn three_failures_over_31_seconds_do_not_eject_but_a_fourth_soon_after_does() {
    let mut verdict = Verdict::new(&rules());
    verdict.failed(at_secs(0), &rules());
    verdict.failed(at_secs(15), &rules());
    assert_eq!(verdict.failed(at_secs(31), &rules()), None);
    assert_eq!(verdict.failed(at_secs(45), &rules()), EJECTED);
}

#[test]
fn a_success_between_failures_does_not_erase_them() {
    let mut verdict = Verdict::new(&rules());
    for second in [0, 1] {
        verdict.failed(at_secs(second), &rules());
        verdict.succeeded(at_secs(second), &rules());
    }
    assert_eq!(verdict.failed(at_secs(2), &rules()), EJECTED);
}

#[test]
fn a_success_restores_and_clears_the_window() {
    let mut verdict = Verdict::new(&rules());
    for _ in 0..3 {
        verdict.failed(at_secs(0), &rules());
    }
    assert_eq!(verdict.succeeded(at_secs(1), &rules()), Some(Transition::Restored));
    assert_eq!(verdict.failed(at_secs(2), &rules()), None);
    assert_eq!(verdict.failed(at_secs(2), &rules()), None);
    assert_eq!(verdict.failed(at_secs(2), &rules()), EJECTED);
}

#[test]
fn a_failure_between_successes_starts_their_count_anew() {
    let rules = HealthRules { successes: 2, ..rules() };
    let mut verdict = Verdict::new(&rules);
    for _ in 0..3 {
        verdict.failed(at_secs(0), &rules);
    }
    assert_eq!(verdict.succeeded(at_secs(1), &rules), None);
    assert_eq!(verdict.failed(at_secs(2), &rules), None);
    assert_eq!(verdict.succeeded(at_secs(3), &rules), None);
    assert_eq!(verdict.succeeded(at_secs(4), &rules), Some(Transition::Restored));
    assert_eq!(verdict.since(), at_secs(4));
    assert_eq!(verdict.last_failure(), Some(at_secs(2)));
}

#[test]
fn a_failure_that_arrives_out_of_order_counts() {
    let mut verdict = Verdict::new(&rules());
    verdict.failed(at_millis(5), &rules());
    verdict.failed(at_millis(3), &rules());
    assert_eq!(verdict.failed(at_millis(4), &rules()), EJECTED);
}

#[test]
fn stricter_rules_after_a_reload_count_the_failures_from_before() {
    let strict = HealthRules { failures: 2, ..rules() };
    let mut verdict = Verdict::new(&rules());
    verdict.failed(at_secs(0), &rules());
    assert_eq!(verdict.failed(at_secs(1), &strict), Some(Transition::Ejected { failures: 2 }));
}

proptest::proptest! {
    #[test]
    fn it_ejects_exactly_when_enough_failures_lie_within_a_window(
        gaps in proptest::collection::vec(0_u64..25, 1..40),
        failures in 1_u16..6,
    ) {
        let rules = HealthRules { failures, ..rules() };
        let mut verdict = Verdict::new(&rules);
        let mut moments = Vec::new();
        let mut now = 0;
        for gap in gaps {
            now += gap;
            moments.push(now);
            let recent = moments.iter().filter(|&&moment| now - moment <= 30).count();
            let expected = recent >= usize::from(failures);
            proptest::prop_assert_eq!(verdict.failed(at_secs(now), &rules).is_some(), expected);
            if expected {
                break;
            }
        }
    }
}
