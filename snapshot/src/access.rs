//! What the access log says of an exchange, and of which exchanges.

/// One list makes the type, the words of the configuration and the page about them.
macro_rules! log_fields {
    ($($variant:ident $name:literal $meaning:literal)*) => {
        /// A field of a line of JSON.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum LogField {
            $(#[doc = $meaning] $variant,)*
        }

        impl LogField {
            /// Every field by its name, in the order in which a line has them by default.
            pub const ALL: &[(&'static str, Self)] = &[$(($name, Self::$variant),)*];

            /// What it is called in the configuration and in the line.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One line for the page about the log, Markdown.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

log_fields! {
    Time "time" "Seconds since 1970 UTC, when the exchange ended."
    Id "id" "Its `X-Request-Id`: the client's own if that is a sane one."
    Client "client" "IP address of the client, behind `trusted_proxies` the forwarded one."
    Method "method" "The request's method."
    Host "host" "Whom the request was for."
    Target "target" "Path and query, as sent."
    Route "route" "Host and path prefix of the route, as configured."
    Service "service" "The service that the route names."
    Tried "tried" "Each endpoint that was tried, in order, with the outcome of each try."
    Status "status" "Status of the answer; 499: the client left first; 0: there was none."
    Cut "cut" "Whether the answer broke off before its end."
    Refusal "refusal" "Why weir said no, see `docs/runbook/refusals.md`."
    BytesIn "bytes_in" "Bytes of the request's body."
    BytesOut "bytes_out" "Bytes of the answer's body."
    FirstByte "first_byte_ms" "From the request's sending to the answer's head, of the try that answered."
    Connect "connect_ms" "How long the last new connection to an endpoint took; null when none was needed."
    Queue "queue_ms" "How long it waited in queues; null without a queue."
    Total "total_ms" "From the request's head to the answer's last byte."
    Protocol "protocol" "`HTTP/1.1` or `HTTP/1.0`. Only when asked for."
    UserAgent "user_agent" "`User-Agent` of the request. Only when asked for."
    Referer "referer" "`Referer` of the request. Only when asked for."
}

impl LogField {
    /// Whether a line has it when the configuration does not say.
    pub const fn is_usual(self) -> bool {
        !matches!(self, Self::Protocol | Self::UserAgent | Self::Referer)
    }

    /// Those that a line has when the configuration does not say.
    pub fn usual() -> Vec<Self> {
        Self::ALL.iter().map(|(_, field)| *field).filter(|field| field.is_usual()).collect()
    }
}

/// What a line looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// An object with these fields, at least one, in this order.
    Json(Vec<LogField>),
    /// nginx's `combined`.
    Combined,
}

/// Share of the exchanges that went well which are logged, in hundredths of a percent: 0..=10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample(u16);

impl Sample {
    /// Each of them.
    pub const ALL: Self = Self(10_000);

    /// `None` above 10,000.
    pub const fn of_ten_thousand(share: u16) -> Option<Self> {
        if share <= Self::ALL.0 { Some(Self(share)) } else { None }
    }

    /// In hundredths of a percent.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether the exchange of this turn is logged. Of any run of turns the share is, to one or two lines.
    ///
    /// Multiples of the golden ratio spread evenly without a period, so that requests that come in a pattern (every
    /// second one a probe) are sampled like others. Source: Knuth, The Art of Computer Programming 3, §6.4.
    pub const fn takes(self, turn: u32) -> bool {
        let place = (turn.wrapping_mul(0x9e37_79b9) as u64 * Self::ALL.0 as u64) >> 32;
        place < self.0 as u64
    }
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRules {
    /// What a line looks like.
    pub format: LogFormat,
    /// How many of the exchanges that went well have one; all others do.
    pub sample: Sample,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_run_of_turns_the_share_is_logged() {
        for share in [0, 1, 50, 100, 1000, 3333, 5000, 9999, 10_000] {
            let sample = Sample::of_ten_thousand(share).unwrap();
            for (first, step) in [(0, 1), (7, 2), (u32::MAX - 5000, 3)] {
                let turns = (0..10_000u32).map(|n| n.wrapping_mul(step).wrapping_add(first));
                let taken = turns.filter(|&turn| sample.takes(turn)).count();
                assert!(taken.abs_diff(usize::from(share)) <= 30, "{share} from {first} by {step}: {taken}");
            }
        }
        assert!((0..10_000).all(|turn| Sample::ALL.takes(turn)));
        assert_eq!(Sample::of_ten_thousand(10_001), None);
    }

    #[test]
    fn each_field_has_a_name_of_its_own() {
        for (name, field) in LogField::ALL {
            assert_eq!(field.name(), *name);
            assert_eq!(LogField::ALL.iter().filter(|(other, _)| other == name).count(), 1, "{name}");
        }
        assert_eq!(LogField::usual().len(), 18);
    }
}
