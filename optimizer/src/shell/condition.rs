//! Decides by the preconditions of a request whether its picture is wanted at all.
//!
//! In: the header fields and the entity tag of the picture there would be. Out: go on, or not, and in which words.
//! Cost: O(length of the fields). The tag is known once the body is read, so nothing is decoded for a picture that is
//! not wanted. Why 412, and 304 only if told so: `docs/adr/0009-if-none-match-on-post.md`.
//! Source: RFC 9110, sections 8.8.3, 13.1.1, 13.1.2 and 13.2.2.

use http::HeaderMap;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

/// What the preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The picture is wanted.
    Wanted,
    /// The client has it: `If-None-Match` names it.
    Known,
    /// The client wants another one: `If-Match` does not name it.
    Other,
}

/// Holds the preconditions in `headers` against `tag`, a strong entity tag without its quotes.
pub(super) fn outcome(headers: &HeaderMap, tag: &str) -> Outcome {
    let names = |field: HeaderName, weakly| {
        headers.get_all(field).iter().any(|value| lists(value.as_bytes(), tag.as_bytes(), weakly))
    };
    if headers.contains_key(IF_MATCH) && !names(IF_MATCH, false) {
        Outcome::Other
    } else if names(IF_NONE_MATCH, true) {
        // Weakly, as section 13.1.2 has it: something on the way may have marked our tag as weak.
        Outcome::Known
    } else {
        Outcome::Wanted
    }
}

/// Whether the list has the tag, or is `*`. What is behind a fault in it is not read.
fn lists(mut list: &[u8], tag: &[u8], weakly: bool) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    loop {
        while let Some(rest) = list.strip_prefix(b" ").or(list.strip_prefix(b"\t")).or(list.strip_prefix(b",")) {
            list = rest;
        }
        let (weak, quoted) = list.strip_prefix(b"W/").map_or((false, list), |quoted| (true, quoted));
        let Some(inner) = quoted.strip_prefix(b"\"") else { return false };
        let Some(length) = inner.iter().position(|byte| *byte == b'"') else { return false };
        let (found, rest) = inner.split_at(length);
        if found == tag && (weakly || !weak) {
            return true;
        }
        list = rest.get(1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(fields: &[(HeaderName, &'static str)]) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        outcome(&headers, "a1")
    }

    #[test]
    fn if_none_match_knows_lists_stars_several_fields_and_weak_tags() {
        for list in [r#""a1""#, r#"W/"a1""#, r#""x", "a1""#, r#"  ,"x",W/"a1" ,"#, r#""with, comma","a1""#, "*", " * "]
        {
            assert_eq!(of(&[(IF_NONE_MATCH, list)]), Outcome::Known, "{list}");
        }
        assert_eq!(of(&[(IF_NONE_MATCH, r#""x""#), (IF_NONE_MATCH, r#""a1""#)]), Outcome::Known);
        for list in [r#""x""#, r#""A1""#, "a1", r#""a1"#, r#""x" "#, "", r#"w/"a1""#, r#""x, a1""#, r#""*""#] {
            assert_eq!(of(&[(IF_NONE_MATCH, list)]), Outcome::Wanted, "{list}");
        }
        assert_eq!(of(&[]), Outcome::Wanted);
    }

    #[test]
    fn if_match_takes_strong_tags_only_and_goes_first() {
        for (list, wanted) in [
            (r#""x", "a1""#, Outcome::Wanted),
            ("*", Outcome::Wanted),
            (r#"W/"a1""#, Outcome::Other),
            (r#""x""#, Outcome::Other),
            ("", Outcome::Other),
        ] {
            assert_eq!(of(&[(IF_MATCH, list)]), wanted, "{list}");
        }
        assert_eq!(of(&[(IF_MATCH, r#""x""#), (IF_NONE_MATCH, "*")]), Outcome::Other);
        assert_eq!(of(&[(IF_MATCH, r#""a1""#), (IF_NONE_MATCH, r#""a1""#)]), Outcome::Known);
    }
}
