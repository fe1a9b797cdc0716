//! What services have answered, read back from the text that Prometheus reads.
//!
//! In: that text. Out: counts for each service, over all its routes. Cost: one look at each line; nothing is counted
//! twice on the way of an exchange for it.

use std::collections::HashMap;

use serde::Serialize;

/// Since weir's start.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Traffic {
    /// Exchanges.
    pub(crate) requests: u64,
    /// Of these, answered 5xx.
    pub(crate) errors: u64,
    /// Upper bound in seconds, none of the last, and how many exchanges took no longer.
    pub(crate) seconds: Vec<(Option<f64>, u64)>,
}

/// By service. The names of services have no character that is escaped in the text.
pub(crate) fn by_service(text: &str) -> HashMap<&str, Traffic> {
    let mut all: HashMap<&str, Traffic> = HashMap::new();
    for line in text.lines() {
        let Some((name, labels)) = line.split_once('{') else { continue };
        if !matches!(name, "weir_requests_total" | "weir_request_seconds_bucket") {
            continue;
        }
        // From the end: a label's text may have anything in it, a number has no brace.
        let Some((labels, count)) = labels.rsplit_once("} ") else { continue };
        let (Some(service), Ok(count)) = (label(labels, "service"), count.parse::<u64>()) else { continue };
        let traffic = all.entry(service).or_default();
        match (label(labels, "code"), label(labels, "le")) {
            (Some(code), _) => {
                traffic.requests += count;
                traffic.errors += if code.starts_with('5') { count } else { 0 };
            }
            (None, Some(bound)) => {
                // `+Inf` is a number too, but none that JSON knows.
                let bound = bound.parse().ok().filter(|bound: &f64| bound.is_finite());
                match traffic.seconds.iter_mut().find(|(known, _)| *known == bound) {
                    Some((_, sum)) => *sum += count,
                    None => traffic.seconds.push((bound, count)),
                }
            }
            (None, None) => {}
        }
    }
    all
}

/// The text of this label, up to the next quote.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = labels;
    loop {
        let (key, after) = rest.split_once("=\"")?;
        let mut escaped = false;
        let end = after.find(|c| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        })?;
        let (value, next) = after.split_at_checked(end)?;
        if key.trim_start_matches(',') == name {
            return Some(value);
        }
        rest = next.strip_prefix('"')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_of_a_service_are_added_up() {
        let text = "# HELP weir_requests_total Exchanges.\n\
            weir_requests_total{route=\"/\",service=\"a\",code=\"2xx\"} 7\n\
            weir_requests_total{route=\"/x\\\",service=\\\"b\",service=\"a\",code=\"5xx\"} 2\n\
            weir_requests_total{route=\"/b\",service=\"b\",code=\"499\"} 1\n\
            weir_request_seconds_bucket{route=\"/\",service=\"a\",le=\"0.001\"} 3\n\
            weir_request_seconds_bucket{route=\"/\",service=\"a\",le=\"+Inf\"} 7\n\
            weir_request_seconds_bucket{route=\"/x\",service=\"a\",le=\"0.001\"} 1\n\
            weir_request_seconds_sum{route=\"/\",service=\"a\"} 1.5\n\
            weir_tries_total{service=\"a\",endpoint=\"x\",outcome=\"ok\"} 9\n";
        let a = Traffic { requests: 9, errors: 2, seconds: vec![(Some(0.001), 4), (None, 7)] };
        let b = Traffic { requests: 1, errors: 0, seconds: Vec::new() };
        assert_eq!(by_service(text), HashMap::from([("a", a), ("b", b)]));
    }

    #[test]
    fn what_is_no_such_text_is_no_traffic() {
        for text in
            ["weir_requests_total{", "weir_requests_total{service=\"a} 1", "weir_requests_total{service=\"a\"} x"]
        {
            assert_eq!(by_service(text), HashMap::new(), "{text}");
        }
    }
}
