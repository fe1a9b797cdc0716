//! The line of one exchange.
//!
//! In: what is known of an exchange. Out: one line with its end. Cost: about a microsecond, of which most is the escaping
//! of what the client sent; nothing of that can end the line or break its form.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use weir_snapshot::{LogField, LogFormat};

use crate::head::Head;
use crate::record::Record;

/// Body bytes of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// From the client.
    pub(crate) bytes_in: u64,
    /// To the client.
    pub(crate) bytes_out: u64,
}

/// What is known of an exchange that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// `None` when the head itself was refused.
    pub(crate) head: Option<&'a Head>,
    pub(crate) record: &'a Record,
    pub(crate) traffic: Traffic,
    pub(crate) total: Duration,
    /// The end.
    pub(crate) now: SystemTime,
}

impl Facts<'_> {
    /// Whether there is nothing to see here: answered well, by the first endpoint, to the end.
    pub(super) fn are_usual(&self) -> bool {
        let record = self.record;
        (100..400).contains(&record.status) && record.refusal.is_none() && !record.cut && record.endpoints.len() <= 1
    }

    /// The line in this format.
    pub(super) fn line(&self, format: &LogFormat) -> String {
        match format {
            LogFormat::Json(fields) => self.json(fields),
            LogFormat::Combined => self.combined(),
        }
    }

    fn json(&self, fields: &[LogField]) -> String {
        let mut line = String::with_capacity(512);
        for field in fields {
            line.push_str(if line.is_empty() { "{\"" } else { ",\"" });
            line.push_str(field.name());
            line.push_str("\":");
            line.push_str(&self.value(*field).to_string());
        }
        line.push_str("}\n");
        line
    }

    fn value(&self, field: LogField) -> Value {
        let Self { head, record, traffic, total, now } = *self;
        let millis = |span: Duration| json!((span.as_secs_f64() * 1e6).round() / 1e3);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let sent = |name: &str| json!(head.and_then(|head| head.value(name)).map(text));
        match field {
            LogField::Time => {
                let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                json!((since_epoch.as_secs_f64() * 1e3).round() / 1e3)
            }
            LogField::Id => json!((!record.id.is_empty()).then_some(&record.id)),
            LogField::Client => json!(record.client.map(|address| address.to_string())),
            LogField::Method => json!(head.map(|head| text(head.method()))),
            LogField::Host => json!(head.and_then(Head::host)),
            LogField::Target => json!(head.map(|head| text(head.target()))),
            LogField::Route => json!(record.route.as_ref().map(|route| &*route.name)),
            LogField::Service => json!(record.route.as_ref().map(|route| &**route.pool.service())),
            LogField::Tried => {
                let tries = record.endpoints.iter();
                tries.map(|(endpoint, outcome)| json!({ "endpoint": &**endpoint, "outcome": outcome })).collect()
            }
            LogField::Status => json!(record.status),
            LogField::Cut => json!(record.cut),
            LogField::Refusal => json!(record.refusal.map(crate::refusal::Refusal::label)),
            LogField::BytesIn => json!(traffic.bytes_in),
            LogField::BytesOut => json!(traffic.bytes_out),
            LogField::FirstByte => json!(record.first_byte.map(millis)),
            LogField::Connect => json!(record.connect.map(millis)),
            LogField::Queue => json!(record.queued.map(millis)),
            LogField::Total => millis(total),
            LogField::Protocol => json!(head.map(protocol)),
            LogField::UserAgent => sent("user-agent"),
            LogField::Referer => sent("referer"),
        }
    }

    /// `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`,
    /// without the user, whose name is between the client and the endpoint, and in UTC.
    /// Source: nginx, `ngx_http_log_module`, its `combined` and the default of its `escape`.
    fn combined(&self) -> String {
        let Self { head, record, traffic, now, .. } = *self;
        let mut line = String::with_capacity(256);
        match record.client {
            Some(client) => line.push_str(&client.to_string()),
            None => line.push('-'),
        }
        line.push_str(" - - [");
        push_date(&mut line, now);
        line.push_str("] \"");
        match head {
            Some(head) => {
                push_escaped(&mut line, head.method());
                line.push(' ');
                push_escaped(&mut line, head.target());
                line.push(' ');
                line.push_str(protocol(head));
            }
            None => line.push('-'),
        }
        // A String takes every write.
        _ = write!(line, "\" {:03} {}", record.status, traffic.bytes_out);
        for name in ["referer", "user-agent"] {
            line.push_str(" \"");
            push_escaped(&mut line, head.and_then(|head| head.value(name)).unwrap_or(b"-"));
            line.push('"');
        }
        line.push('\n');
        line
    }
}

const fn protocol(head: &Head) -> &'static str {
    if head.is_11 { "HTTP/1.1" } else { "HTTP/1.0" }
}

/// Everything that is not printable ASCII as `\xHH`, and so the quote and the backslash.
fn push_escaped(line: &mut String, bytes: &[u8]) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' | 0..=0x1f | 0x7f.. => _ = write!(line, "\\x{byte:02X}"),
            _ => line.push(char::from(byte)),
        }
    }
}

/// `23/Nov/2026:20:02:29 +0000`. Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn push_date(line: &mut String, now: SystemTime) {
    const MONTHS: [&str; 12] = ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    // Years begin in March, eras of 400 of them in the year 0, so that the odd day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let year = year + era * 400 + u64::from(month >= 10);
    let month = usize::try_from(month).ok().and_then(|month| MONTHS.get(month)).copied().unwrap_or_default();
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    _ = write!(line, "{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(seconds: u64) -> String {
        let mut line = String::new();
        push_date(&mut line, SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        line
    }

    #[test]
    fn a_date_is_that_of_the_calendar() {
        // As `date -u -d @N '+%d/%b/%Y:%H:%M:%S +0000'` says.
        assert_eq!(date(0), "01/Jan/1970:00:00:00 +0000");
        assert_eq!(date(951_782_400), "29/Feb/2000:00:00:00 +0000");
        assert_eq!(date(1_709_251_199), "29/Feb/2024:23:59:59 +0000");
        assert_eq!(date(1_709_251_200), "01/Mar/2024:00:00:00 +0000");
        assert_eq!(date(1_798_761_599), "31/Dec/2026:23:59:59 +0000");
        assert_eq!(date(4_107_542_400), "01/Mar/2100:00:00:00 +0000");
    }

    #[test]
    fn nothing_that_a_client_sends_ends_a_quoted_part() {
        let mut line = String::new();
        push_escaped(&mut line, b"a \"b\" \\ \n \xc3\xa4 \x7f");
        assert_eq!(line, "a \\x22b\\x22 \\x5C \\x0A \\xC3\\xA4 \\x7F");
    }
}
