//! Amounts written as text: durations, sizes, shares, statuses.
//!
//! In: the text between the quotes. Out: the amount, or a [`Fault`] that shows how to write what was probably meant.
//! One spelling for each amount: no `1m30s`, no `1.5s`, no `64k`, so that two files that say the same look the same.

use weir_snapshot::{Bytes, Millis, Sample};

use crate::sink::Fault;

/// Milliseconds of each unit of time.
const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
/// Units of time that others know; only for advice.
const OTHER_TIMES: &[(&str, u64)] = &[
    ("msec", 1),
    ("millis", 1),
    ("sec", 1000),
    ("secs", 1000),
    ("second", 1000),
    ("seconds", 1000),
    ("min", 60_000),
    ("mins", 60_000),
    ("minute", 60_000),
    ("minutes", 60_000),
    ("hour", 3_600_000),
    ("hours", 3_600_000),
    ("d", 86_400_000),
    ("day", 86_400_000),
    ("days", 86_400_000),
];
/// Bytes of each unit of size.
const SIZES: &[(&str, u64)] = &[
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];
/// Units of size that others know; nginx's `k` and `m` are powers of 1024. Only for advice.
const OTHER_SIZES: &[(&str, u64)] = &[
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
    ("t", 1 << 40),
    ("b", 1),
    ("byte", 1),
    ("bytes", 1),
];

/// A duration: a whole number and `ms`, `s`, `m` or `h`.
pub(crate) fn parse_duration(text: &str) -> Result<Millis, Fault> {
    if let Some(millis) = amount(text, TIMES) {
        return Ok(Millis::new(millis));
    }
    let rule = "a duration is a whole number with `ms`, `s`, `m` or `h`";
    Err(match lenient(text, &[TIMES, OTHER_TIMES].concat()) {
        _ if bare(text) => {
            Fault::new(rule, "no unit").help(format!("write `\"{text}s\"` or `\"{text}ms\"`", text = text.trim()))
        }
        Some(millis) => {
            Fault::new(rule, "not of that form").help(format!("write `\"{}\"`", show_duration(Millis::new(millis))))
        }
        None => Fault::new(rule, "not of that form").help("write for example `\"250ms\"` or `\"3s\"`"),
    })
}

/// A size: a whole number and a unit, `KiB` in powers of 1024 or `KB` in powers of 1000.
pub(crate) fn parse_size(text: &str) -> Result<Bytes, Fault> {
    if let Some(bytes) = amount(text, SIZES) {
        return Ok(Bytes::new(bytes));
    }
    let rule = "a size is a whole number with `B`, `KiB`, `MiB`, `GiB`, `TiB`, `KB`, `MB`, `GB` or `TB`";
    Err(match lenient(text, &[SIZES, OTHER_SIZES].concat()) {
        _ if bare(text) => {
            let text = text.trim();
            Fault::new(rule, "no unit").help(format!("write `\"{text}B\"`, `\"{text}KiB\"` or `\"{text}MiB\"`"))
        }
        Some(bytes) => Fault::new(rule, "not of that form").help(format!("write `\"{}\"`", shortest_size(bytes))),
        None => Fault::new(rule, "not of that form").help("write for example `\"64KiB\"` or `\"1MiB\"`"),
    })
}

/// A share of a hundred: `20%`.
pub(crate) fn parse_percent(text: &str) -> Result<u8, Fault> {
    let number = text.strip_suffix('%').filter(|number| digits(number)).and_then(|number| number.parse().ok());
    match number {
        Some(percent @ 0..=100) => Ok(percent),
        Some(_) => Err(Fault::new("a share is between `0%` and `100%`", "too large")),
        None => {
            let fault = Fault::new("a share is a whole number with `%`", "not of that form");
            Err(if bare(text) {
                fault.help(format!("write `\"{}%\"`", text.trim()))
            } else {
                fault.help("write for example `\"20%\"`")
            })
        }
    }
}

/// A share of a hundred with at most two decimal places: `10%`, `0.5%`.
pub(crate) fn parse_sample(text: &str) -> Result<Sample, Fault> {
    let number = text.strip_suffix('%').and_then(|number| {
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let fits = digits(whole) && whole.len() <= 4 && digits(part) && part.len() <= 2;
        fits.then(|| Some(whole.parse::<u32>().ok()? * 100 + format!("{part:0<2}").parse::<u32>().ok()?))?
    });
    let Some(share) = number else {
        let fault = Fault::new("a share is a number with at most two decimal places and `%`", "not of that form");
        return Err(if bare(text) {
            fault.help(format!("write `\"{}%\"`", text.trim()))
        } else {
            fault.help("write for example `\"10%\"` or `\"0.5%\"`")
        });
    };
    let sample = u16::try_from(share).ok().and_then(Sample::of_ten_thousand);
    sample.ok_or_else(|| Fault::new("a share is between `0%` and `100%`", "too large").help("write `\"100%\"` for all"))
}

pub(crate) fn show_sample(sample: Sample) -> String {
    let (whole, part) = (sample.get() / 100, sample.get() % 100);
    if part == 0 { format!("{whole}%") } else { format!("{whole}.{}%", format!("{part:02}").trim_end_matches('0')) }
}

/// A status or a range of them: `502` or `500-504`; both ends belong to it.
pub(crate) fn parse_statuses(text: &str) -> Result<(u16, u16), Fault> {
    let status =
        |text: &str| Some(text).filter(|text| text.len() == 3 && digits(text)).and_then(|text| text.parse().ok());
    let range = match text.split_once('-') {
        None => status(text).map(|status| (status, status)),
        Some((first, last)) => status(first).zip(status(last)),
    };
    match range {
        Some((first, last)) if first > last => {
            Err(Fault::new("a range of statuses starts with the lower one", "none is in it")
                .help(format!("write `\"{last}-{first}\"`")))
        }
        Some(range) => Ok(range),
        None => {
            let fault = Fault::new("a status has three digits", "neither a status nor a range of two");
            let class = text.strip_suffix("xx").filter(|class| class.len() == 1 && digits(class));
            let nginx = text.strip_prefix("http_").filter(|rest| status(rest).is_some());
            Err(match (class, nginx) {
                (Some(class), _) => fault.help(format!("write `\"{class}00-{class}99\"`")),
                (_, Some(status)) => fault.help(format!("write `\"{status}\"`")),
                _ => fault.help("write for example `\"502\"` or `\"500-504\"`"),
            })
        }
    }
}

/// `None` unless `text` is digits and exactly one of `units`, and the product fits.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let split = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(split)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// What `text` would mean to somebody generous: sums, fractions, blanks and capitals. Only for advice.
fn lenient(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let mut rest = text.trim();
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let after = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, tail) = rest.split_at_checked(after)?;
        let tail = tail.trim_start();
        let end = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at_checked(end)?;
        let exact = units.iter().find(|(name, _)| *name == unit);
        let (_, size) = exact.or_else(|| units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)))?;
        sum = sum.checked_add(fraction_of(number, *size)?)?;
        rest = next.trim_start();
    }
    (!text.trim().is_empty()).then_some(sum)
}

/// `number`, perhaps with a decimal point, times `size`; `None` unless that is whole.
fn fraction_of(number: &str, size: u64) -> Option<u64> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(size)?;
    if decimals.is_empty() {
        return Some(whole);
    }
    let scale = 10_u64.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let part = decimals.parse::<u64>().ok()?.checked_mul(size)?;
    part.is_multiple_of(scale).then_some(part / scale)?.checked_add(whole)
}

/// `10MB` stays `10MB`, where the binary units would show ten million bytes.
fn shortest_size(bytes: u64) -> String {
    let decimal = SIZES
        .iter()
        .rev()
        .find(|(name, size)| !name.contains('i') && *size > 1 && bytes > 0 && bytes.is_multiple_of(*size));
    match decimal {
        Some((unit, size)) if !bytes.is_multiple_of(1024) => format!("{}{unit}", bytes / size),
        _ => show_size(Bytes::new(bytes)),
    }
}

/// As [`Millis`] prints itself, with hours.
pub(crate) fn show_duration(span: Millis) -> String {
    match span.get() {
        0 => "0s".to_owned(),
        whole if whole.is_multiple_of(3_600_000) => format!("{}h", whole / 3_600_000),
        _ => span.to_string(),
    }
}

/// As [`Bytes`] prints itself, with `TiB`.
pub(crate) fn show_size(size: Bytes) -> String {
    match size.get() {
        0 => "0B".to_owned(),
        whole if whole.is_multiple_of(1 << 40) => format!("{}TiB", whole >> 40),
        _ => size.to_string(),
    }
}

/// Text as TOML writes it: as it is between single quotes where double ones would need backslashes and single ones not.
pub(crate) fn quoted(text: &str) -> String {
    let plain = !text.chars().any(char::is_control);
    if plain && text.contains(['"', '\\']) && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            control if control.is_control() => quoted.extend(format!("\\u{:04X}", u32::from(control)).chars()),
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}

fn bare(text: &str) -> bool {
    digits(text.trim())
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_duration_that_was_printed_reads_as_itself(millis in prop_oneof![any::<u64>(), (0_u64..1000).prop_map(|hours| hours * 3_600_000)]) {
            let span = Millis::new(millis);
            prop_assert_eq!(parse_duration(&span.to_string()), Ok(span));
            prop_assert_eq!(parse_duration(&show_duration(span)), Ok(span));
        }

        #[test]
        fn a_size_that_was_printed_reads_as_itself(bytes in prop_oneof![any::<u64>(), (0_u64..1000).prop_map(|tib| tib << 40)]) {
            let size = Bytes::new(bytes);
            prop_assert_eq!(parse_size(&size.to_string()), Ok(size));
            prop_assert_eq!(parse_size(&show_size(size)), Ok(size));
        }

        #[test]
        fn a_unit_multiplies_its_number(number in 0_u64..1_000_000, unit in 0..TIMES.len()) {
            let (name, millis) = TIMES[unit];
            prop_assert_eq!(parse_duration(&format!("{number}{name}")), Ok(Millis::new(number * millis)));
        }

        #[test]
        fn what_a_duration_fault_advises_is_legal(text in "[0-9]{1,3}(\\.5)? ?(S|sec|min|d|ms)( ?[0-9]{1,2}s)?") {
            if let Some(advice) = parse_duration(&text).err().and_then(|fault| fault.help) {
                let advised = advice.split('"').nth(1).unwrap_or_default().to_owned();
                prop_assert!(parse_duration(&advised).is_ok(), "{} for {}", advice, text);
            }
        }

        #[test]
        fn what_a_size_fault_advises_is_legal(text in "[0-9]{1,3}(\\.5)? ?(k|K|m|g|kb|Mib)") {
            let advice = parse_size(&text).expect_err("no such unit").help.expect("advice");
            let advised = advice.split('"').nth(1).unwrap_or_default().to_owned();
            prop_assert!(parse_size(&advised).is_ok(), "{} for {}", advice, text);
        }

        #[test]
        fn a_share_that_was_printed_reads_as_itself(share in 0_u16..=10_000) {
            let sample = Sample::of_ten_thousand(share).unwrap();
            prop_assert_eq!(parse_sample(&show_sample(sample)), Ok(sample));
        }

        #[test]
        fn text_that_was_quoted_reads_as_itself(text in prop_oneof![".*", "['\"\\\\\\x00-\\x20\\x7f-\u{9f}a-c]*"]) {
            let line = format!("key = {}", quoted(&text));
            let read: toml::Table = line.parse().expect(&line);
            prop_assert_eq!(read["key"].as_str(), Some(&*text), "{}", line);
        }

        #[test]
        fn no_text_is_a_panic(text in ".*") {
            drop((parse_duration(&text), parse_size(&text), parse_percent(&text), parse_statuses(&text)));
            drop(parse_sample(&text));
        }
    }

    #[test]
    fn an_amount_too_large_to_count_is_a_fault() {
        assert!(parse_duration("18446744073709551615h").is_err());
        assert!(parse_size("99999999TiB").is_err());
    }

    #[test]
    fn what_nginx_writes_is_advised_in_our_units() {
        let advice = |fault: Fault| fault.help.unwrap_or_default();
        assert_eq!(parse_duration("1m30s").map_err(advice), Err("write `\"90s\"`".to_owned()));
        assert_eq!(parse_size("10m").map_err(advice), Err("write `\"10MiB\"`".to_owned()));
        assert_eq!(parse_statuses("http_502").map_err(advice), Err("write `\"502\"`".to_owned()));
    }
}
