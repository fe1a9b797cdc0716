//! Spans of time, states and shares in the few words that a table has room for.

use super::out::Paint;
use super::shape::Endpoint;
use super::table::Cell;

/// Two units at most: `3s`, `12m 5s`, `3h 20m`, `9d 4h`. Of what lies in the future nothing is left.
pub(super) fn span(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "cut to whole seconds from 0, on purpose"
    )]
    let whole = seconds.max(0.0) as u64;
    let (unit, size, smaller, part) = match whole {
        0..60 => return format!("{whole}s"),
        60..3_600 => ("m", 60, "s", 1),
        3_600..86_400 => ("h", 3_600, "m", 60),
        _ => ("d", 86_400, "h", 3_600),
    };
    match whole % size / part {
        0 => format!("{}{unit}", whole / size),
        rest => format!("{}{unit} {rest}{smaller}", whole / size),
    }
}

/// How long something took: `0.4ms`, `12ms`, `3.2s`, `75s`.
pub(super) fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 0.0095 => format!("{:.1}ms", short * 1e3),
        short if short < 0.9995 => format!("{:.0}ms", short * 1e3),
        middle if middle < 9.95 => format!("{middle:.1}s"),
        long => format!("{long:.0}s"),
    }
}

/// The state of an endpoint in one word: a drained one is that first.
pub(super) fn state(endpoint: &Endpoint) -> Cell {
    let paint = match endpoint.state.as_str() {
        _ if endpoint.drained => Paint::Doubtful,
        "healthy" => Paint::Good,
        "ejected" => Paint::Bad,
        _ => Paint::Doubtful,
    };
    let word = if endpoint.drained { "drained" } else { &endpoint.state };
    Cell::painted(word.replace('_', " "), paint)
}

/// The colour of a status.
pub(super) fn paint_of(status: u16) -> Paint {
    match status {
        200..=399 => Paint::Good,
        400..=499 => Paint::Doubtful,
        _ => Paint::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_two_units_at_most() {
        let spans = [-3.0, 0.0, 59.9, 60.0, 65.0, 3_599.0, 3_600.0, 11_999.0, 86_400.0, 800_000.0].map(span);
        assert_eq!(spans, ["0s", "0s", "59s", "1m", "1m 5s", "59m 59s", "1h", "3h 19m", "1d", "9d 6h"]);
    }

    #[test]
    fn a_duration_has_two_digits_or_three() {
        let durations = [0.000_04, 0.0004, 0.012, 0.9996, 3.21, 75.4].map(duration);
        assert_eq!(durations, ["0.0ms", "0.4ms", "12ms", "1.0s", "3.2s", "75s"]);
    }
}
