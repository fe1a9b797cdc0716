//! nginx's amounts to weir's.

/// The most milliseconds that weir takes for a timeout: a day.
pub(crate) const DAY: u64 = 86_400_000;
/// The most bytes that weir takes for a body.
pub(crate) const TIB: u64 = 1 << 40;

/// `1m30s`, `500ms`, `15`: milliseconds. A bare number is seconds; source: `ngx_parse_time`.
pub(crate) fn millis(text: &str) -> Option<u64> {
    let units: &[(&str, u64)] = &[
        ("ms", 1),
        ("y", 31_536_000_000),
        ("M", 2_592_000_000),
        ("w", 604_800_000),
        ("d", DAY),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        (" ", 1000),
        ("", 1000),
    ];
    let mut total = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, behind) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let (unit, factor) = units.iter().find(|(unit, _)| behind.starts_with(unit))?;
        total = total.checked_add(number.checked_mul(*factor)?)?;
        if unit.is_empty() && !behind.is_empty() {
            return None;
        }
        rest = behind.strip_prefix(unit)?.trim_start();
    }
    Some(total)
}

/// `10m`, `8k`, `1g`, `512`: bytes; source: `ngx_parse_offset`.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let (number, factor) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (text.get(..at)?, 1 << 10),
        (at, 'm' | 'M') => (text.get(..at)?, 1 << 20),
        (at, 'g' | 'G') => (text.get(..at)?, 1 << 30),
        _ => (text, 1),
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A duration as weir writes it, between a millisecond and a day.
pub(crate) fn show_millis(millis: u64) -> String {
    let millis = millis.clamp(1, DAY);
    match millis {
        whole if whole % 3_600_000 == 0 => format!("{}h", whole / 3_600_000),
        whole if whole % 60_000 == 0 => format!("{}m", whole / 60_000),
        whole if whole % 1000 == 0 => format!("{}s", whole / 1000),
        _ => format!("{millis}ms"),
    }
}

/// A size as weir writes it.
pub(crate) fn show_bytes(bytes: u64) -> String {
    match bytes {
        0 => "0B".to_owned(),
        whole if whole % (1 << 40) == 0 => format!("{}TiB", whole >> 40),
        whole if whole % (1 << 30) == 0 => format!("{}GiB", whole >> 30),
        whole if whole % (1 << 20) == 0 => format!("{}MiB", whole >> 20),
        whole if whole % (1 << 10) == 0 => format!("{}KiB", whole >> 10),
        _ => format!("{bytes}B"),
    }
}

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => out.extend(["\\u", &format!("{:04X}", u32::from(control))]),
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}

/// Whether a field or a key of TOML can have this name without quotes and is a token of HTTP.
pub(crate) fn is_field(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A key of a TOML table.
pub(crate) fn key(text: &str) -> String {
    let bare = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if bare && !text.is_empty() { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up_and_a_bare_number_is_seconds() {
        assert_eq!(millis("1m30s"), Some(90_000));
        assert_eq!(millis("500ms"), Some(500));
        assert_eq!(millis("15"), Some(15_000));
        assert_eq!(millis("1h 5"), Some(3_605_000));
        assert_eq!(millis("1d"), Some(DAY));
        for bad in ["", "s", "1x", "-1", "99999999999999999999", "1m x"] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(bytes("10m"), Some(10 << 20));
        assert_eq!(bytes("8K"), Some(8 << 10));
        assert_eq!(bytes("0"), Some(0));
        for bad in ["", "m", "1mm", "1.5m", "ä"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        assert_eq!([show_bytes(1 << 20), show_bytes(1536), show_bytes(10)], ["1MiB", "1536B", "10B"]);
        assert_eq!([show_millis(90_000), show_millis(60_000), show_millis(0)], ["90s", "1m", "1ms"]);
    }

    #[test]
    fn quotes_hold_anything() {
        assert_eq!(quoted("a\"\\\n\u{1}ä"), "\"a\\\"\\\\\\n\\u0001ä\"");
    }
}
