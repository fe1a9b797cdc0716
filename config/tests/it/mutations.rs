//! A file that was damaged in any way is read or refused, and a refusal always has a reason.

use proptest::prelude::*;
use weir_config::{EXAMPLE, parse};

/// The example with some bytes of it replaced.
fn damaged() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}=,\"'#.\n\t -]{1,4}",
        "[a-z_]{1,8}",
        "-?[0-9]{1,20}",
        Just("\"0B\"".to_owned()),
        Just("true".to_owned()),
        "\\PC{1,6}",
    ];
    (0..EXAMPLE.len(), 0..60_usize, pieces).prop_map(|(at, length, piece)| {
        let before = EXAMPLE.get(..at).unwrap_or_default();
        let after = EXAMPLE.get(at + length..).unwrap_or_default();
        format!("{before}{piece}{after}")
    })
}

/// What is said when nothing else is; never said of a text that a person could write.
const NO_REASON: &str = "this configuration cannot be read";

fn is_read_or_refused_with_reason(text: &str) -> Result<(), TestCaseError> {
    if let Err(problems) = parse("weir.toml", text) {
        let printed = problems.to_string();
        prop_assert!(!printed.contains(NO_REASON), "{}", text);
        for problem in &problems {
            prop_assert!(problem.span.end <= text.len(), "{:?} of {}", problem, text);
            prop_assert!(text.get(problem.span.clone()).is_some(), "{:?} of {}", problem, text);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn a_damaged_file_is_read_or_refused_with_a_reason(text in damaged()) {
        is_read_or_refused_with_reason(&text)?;
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_reason(text in "(\\PC|\n|\t|[\\[\\]{}=,\"'#.a]){0,80}") {
        is_read_or_refused_with_reason(&text)?;
    }
}

#[test]
fn a_long_text_that_is_no_toml_ends_with_few_problems() {
    let text = "127.0.0.1 - - [23/Nov/2026] \"GET / HTTP/1.1\" 200\n".repeat(20_000);
    let problems = parse("access.log", &text).expect_err("a log");
    assert!((1..=300).contains(&problems.len()), "{}", problems.len());
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let printed = parse("weir.toml", "a\u{1b}[31m = \"\u{7}\"\n").expect_err("no configuration").to_string();
    assert!(!printed.contains(['\u{1b}', '\u{7}']), "{printed:?}");
}
