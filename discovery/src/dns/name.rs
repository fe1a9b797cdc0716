//! Names as people write them.
//!
//! In: `shop.example`, `shop.example.` (exactly this one, no search list), `shop.example:3001`. Out: legal names, or an
//! error that says what to write. Cost: one pass.
//! Source: RFC 1035 §2.3.4 for the lengths. Labels may begin with an underscore, as those of SRV records do.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hickory_resolver::proto::rr::Name as WireName;

/// The longest name, without the dot at its end.
const LONGEST: usize = 253;
/// The longest part between two dots.
const LONGEST_LABEL: usize = 63;

/// A domain name, in lower case. Prints as it was written, but for the case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DomainName {
    wire: WireName,
    absolute: bool,
}

/// A name and the port at which each of its addresses listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NamePort {
    /// The name.
    pub name: DomainName,
    /// The port; not 0.
    pub port: u16,
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or a dot alone.
    #[error("a name is missing: write one as `optimizer.example`")]
    Empty,
    /// There is a scheme before it, or a path behind it.
    #[error("`{text}` is a URL: write only its name and port, as `optimizer.example:3001`")]
    Url {
        /// What was written.
        text: Box<str>,
    },
    /// It is an address, which needs no lookup.
    #[error("`{text}` is an address and not a name: write it among fixed `endpoints`, with its port")]
    Address {
        /// What was written.
        text: Box<str>,
    },
    /// Its last part is a number, so it was meant to be an address.
    #[error(
        "`{text}` is no IPv4 address, and a name does not end in a number: write four numbers of 0 to 255, or a name"
    )]
    Number {
        /// What was written.
        text: Box<str>,
    },
    /// Two dots in a row, or one in front.
    #[error("`{text}` has nothing between two of its dots, or before the first: write it as `optimizer.example`")]
    EmptyLabel {
        /// What was written.
        text: Box<str>,
    },
    /// A part is too long.
    #[error("`{label}` has {length} characters: between two dots there are at most 63")]
    LongLabel {
        /// The part.
        label: Box<str>,
        /// Its length.
        length: usize,
    },
    /// The whole is too long.
    #[error("a name has at most 253 characters, not {length}")]
    Long {
        /// Its length.
        length: usize,
    },
    /// A letter beyond ASCII.
    #[error("`{text}` is not ASCII: write its encoded form, which begins with `xn--`")]
    NotAscii {
        /// What was written.
        text: Box<str>,
    },
    /// A character that no name has.
    #[error("`{text}` has a `{character}` in it: a name is made of letters, digits, `-`, `_` and dots")]
    Character {
        /// What was written.
        text: Box<str>,
        /// The first such character.
        character: char,
    },
    /// No port behind the name.
    #[error("`{text}` has no port: write it as `{text}:3001`")]
    NoPort {
        /// What was written.
        text: Box<str>,
    },
    /// What is behind the colon is no port.
    #[error("`{port}` is no port: write a number between 1 and 65535")]
    Port {
        /// What was written.
        port: Box<str>,
    },
}

impl DomainName {
    /// Whether it was written with a dot at its end: it is looked up as it is, and nothing is appended to it.
    pub fn is_absolute(&self) -> bool {
        self.absolute
    }

    /// As a question has it.
    pub(crate) fn wire(&self) -> &WireName {
        &self.wire
    }

    /// Dots within it.
    pub(crate) fn dots(&self) -> usize {
        usize::from(self.wire.num_labels()).saturating_sub(1)
    }
}

impl FromStr for DomainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let written = || -> Box<str> { text.into() };
        let (bare, absolute) = text.strip_suffix('.').map_or((text, false), |bare| (bare, true));
        if bare.is_empty() {
            return Err(NameError::Empty);
        }
        if text.contains('/') {
            return Err(NameError::Url { text: written() });
        }
        if bare.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok() {
            return Err(NameError::Address { text: written() });
        }
        if !text.is_ascii() {
            return Err(NameError::NotAscii { text: written() });
        }
        let legal = |character: &char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
        if let Some(character) = bare.chars().find(|character| !legal(character)) {
            return Err(NameError::Character { text: written(), character });
        }
        for label in bare.split('.') {
            match label.len() {
                0 => return Err(NameError::EmptyLabel { text: written() }),
                1..=LONGEST_LABEL => {}
                length => return Err(NameError::LongLabel { label: label.into(), length }),
            }
        }
        if bare.len() > LONGEST {
            return Err(NameError::Long { length: bare.len() });
        }
        if bare.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(NameError::Number { text: written() });
        }
        let mut wire =
            WireName::from_ascii(bare.to_ascii_lowercase()).map_err(|_| NameError::Long { length: bare.len() })?;
        wire.set_fqdn(true);
        Ok(Self { wire, absolute })
    }
}

impl FromStr for NamePort {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains('/') {
            return Err(NameError::Url { text: text.into() });
        }
        let Some((name, port)) = text.rsplit_once(':') else {
            // A text that is no name at all has a worse fault than a missing port.
            text.parse::<DomainName>()?;
            return Err(NameError::NoPort { text: text.into() });
        };
        let name = name.parse()?;
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let number = port.parse().ok().filter(|number| digits && *number != 0);
        let port = number.ok_or_else(|| NameError::Port { port: port.into() })?;
        Ok(Self { name, port })
    }
}

/// A name of a message as one writes it: without the dot at its end.
pub(crate) fn shown(wire: &WireName) -> String {
    let text = wire.to_ascii();
    text.strip_suffix('.').filter(|bare| !bare.is_empty()).map_or_else(|| text.clone(), str::to_owned)
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", shown(&self.wire), if self.absolute { "." } else { "" })
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for NamePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_may_have_underscores_a_dot_at_its_end_and_any_case() {
        for (text, shown, absolute, dots) in [
            ("localhost", "localhost", false, 0),
            ("Optimizer.Example", "optimizer.example", false, 1),
            ("shop.example.", "shop.example.", true, 1),
            ("_http._tcp.shop.example", "_http._tcp.shop.example", false, 3),
            (
                "optimizer-0.optimizer.default.svc.cluster.local",
                "optimizer-0.optimizer.default.svc.cluster.local",
                false,
                5,
            ),
            ("10.example", "10.example", false, 1),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", false, 1),
        ] {
            let name: DomainName = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.is_absolute(), name.dots()), (shown, absolute, dots));
        }
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        assert_eq!(longest.parse::<DomainName>().unwrap().to_string().len(), 253);
        let pair: NamePort = "optimizer:3001".parse().unwrap();
        assert_eq!((pair.to_string().as_str(), pair.port), ("optimizer:3001", 3001));
    }

    #[test]
    fn what_is_no_name_is_refused_with_what_to_write() {
        let long = "a".repeat(64);
        let whole = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(62));
        for (text, words) in [
            ("", "write one as"),
            (".", "write one as"),
            ("http://shop.example", "write only its name and port"),
            ("10.0.0.1", "write it among fixed `endpoints`"),
            ("::1", "write it among fixed `endpoints`"),
            ("[::1]", "write it among fixed `endpoints`"),
            ("10.0.0.300", "write four numbers"),
            ("shop..example", "nothing between two of its dots"),
            (".example", "nothing between two of its dots"),
            ("bücher.example", "`xn--`"),
            ("shop example", "has a ` ` in it"),
            ("shop.example:80", "has a `:` in it"),
            (&long, "at most 63"),
            (&whole, "at most 253 characters, not 254"),
        ] {
            let error = text.parse::<DomainName>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        for (text, words) in [
            ("shop.example", "write it as `shop.example:3001`"),
            ("http://shop.example:80", "write only its name and port"),
            ("shop.example:", "between 1 and 65535"),
            ("shop.example:0", "between 1 and 65535"),
            ("shop.example:+80", "between 1 and 65535"),
            ("shop.example:65536", "between 1 and 65535"),
            ("10.0.0.1:80", "fixed `endpoints`"),
            ("[::1]:80", "fixed `endpoints`"),
            (":80", "write one as"),
        ] {
            let error = text.parse::<NamePort>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_prints_as_what_is_accepted_again(text in "[a-zA-Z0-9._:/ü-]{0,80}") {
            if let Ok(name) = text.parse::<DomainName>() {
                prop_assert_eq!(name.to_string(), text.to_ascii_lowercase());
                prop_assert_eq!(name.to_string().parse::<DomainName>(), Ok(name));
            }
            if let Ok(pair) = text.parse::<NamePort>() {
                prop_assert_eq!(pair.to_string().parse::<NamePort>(), Ok(pair));
            }
        }

        #[test]
        fn no_text_at_all_causes_a_panic(text in any::<String>()) {
            drop(text.parse::<DomainName>());
            drop(text.parse::<NamePort>());
        }
    }
}
