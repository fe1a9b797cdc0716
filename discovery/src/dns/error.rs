//! Why there is no answer, and what to do about it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::name::DomainName;

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// Every resolver failed.
    #[error("no answer about {question}: {}", Tries(.tries))]
    NoAnswer {
        /// The name and the kind of its records.
        question: String,
        /// Who failed and how, in the order in which they were asked.
        tries: Vec<(SocketAddr, Fault)>,
    },
    /// The time for the whole round was over before it was asked.
    #[error("no time was left to ask about {question}: a round of lookups has {}", Span(*.limit))]
    NoTime {
        /// The name and the kind of its records.
        question: String,
        /// What a round has.
        limit: Duration,
    },
    /// The aliases lead on and on.
    #[error("`{name}` is an alias of an alias of an alias, and so on: more than 16 of them")]
    Loop {
        /// The name asked first.
        name: String,
    },
    /// The system's configuration cannot be read.
    #[error("cannot read `{}`: {why}", .path.display())]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// There is nobody to ask.
    #[error("there is no resolver to ask about `{name}`{}", .path.as_ref().map(|path| format!(": `{}` names none", path.display())).unwrap_or_default())]
    NoResolver {
        /// The name.
        name: DomainName,
        /// The system's configuration, when that was to name them.
        path: Option<PathBuf>,
    },
}

/// How one resolver failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It said nothing in this time, over UDP or TCP.
    Silent(Duration),
    /// It said that it will not or cannot: `SERVFAIL`, `REFUSED`, ...
    Said(Box<str>),
    /// It knows only whom else to ask: an authoritative server without that name, and no resolver.
    Lame,
    /// What it sent is no answer.
    Garbled(Box<str>),
    /// It cannot be reached at all.
    Unreachable(Box<str>),
    /// Its answer is an alias of itself.
    Loop,
}

impl DnsError {
    /// One word for it, for a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            // What somebody said tells more than that another was silent.
            Self::NoAnswer { tries, .. } => {
                tries.iter().map(|(_, fault)| fault).max_by_key(|fault| fault.rank()).map_or("silent", Fault::label)
            }
            Self::NoTime { .. } => "no_time",
            Self::Loop { .. } => "alias_loop",
            Self::Unreadable { .. } | Self::NoResolver { .. } => "no_resolver",
        }
    }

    /// What to write or to do about it, one clause; `None` when only waiting helps.
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoAnswer { .. } => match self.label() {
                "refused" => {
                    "is it a resolver for this machine? an authoritative server answers for its own zones alone"
                }
                "lame" => "list a resolver, or the server of the zone that the name is in",
                "alias_loop" => "correct the CNAME records",
                "garbled" => "does a DNS server listen there? its port is 53 unless configured otherwise",
                "servfail" => return None,
                _ => "are the resolvers running, and reachable over UDP and TCP?",
            },
            Self::NoTime { .. } => "list resolvers that answer sooner, or allow a round more time",
            Self::Loop { .. } => "correct the CNAME records",
            Self::Unreadable { .. } | Self::NoResolver { .. } => {
                "list resolvers with their addresses, as `10.0.0.2:53`"
            }
        })
    }

    /// The whole story on one line: what, why, and what to do.
    pub fn explain(&self) -> String {
        self.help().map_or_else(|| self.to_string(), |help| format!("{self}; {help}"))
    }
}

impl Fault {
    fn label(&self) -> &'static str {
        match self {
            Self::Silent(_) => "silent",
            Self::Said(code) if **code == *"SERVFAIL" => "servfail",
            Self::Said(_) => "refused",
            Self::Lame => "lame",
            Self::Garbled(_) => "garbled",
            Self::Unreachable(_) => "unreachable",
            Self::Loop => "alias_loop",
        }
    }

    /// How much it tells.
    fn rank(&self) -> u8 {
        match self {
            Self::Silent(_) => 0,
            Self::Unreachable(_) => 1,
            Self::Garbled(_) => 2,
            Self::Lame => 3,
            Self::Said(_) => 4,
            Self::Loop => 5,
        }
    }

    /// Whether the same question may have an answer a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Silent(_) | Self::Garbled(_) | Self::Unreachable(_) => true,
            Self::Said(code) => **code == *"SERVFAIL",
            Self::Lame | Self::Loop => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(limit) => write!(f, "was silent for {}", Span(*limit)),
            Self::Said(code) => write!(f, "said {code}"),
            Self::Lame => f.write_str("only named other servers to ask"),
            Self::Garbled(seen) => write!(f, "sent no answer: {seen}"),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::Loop => f.write_str("sent aliases that lead in a circle"),
        }
    }
}

struct Tries<'a>(&'a [(SocketAddr, Fault)]);

impl fmt::Display for Tries<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (resolver, fault)) in self.0.iter().enumerate() {
            write!(f, "{}`{resolver}` {fault}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A span of time in words.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 && !self.0.is_zero() {
            write!(f, "{} s", self.0.as_secs())
        } else {
            write!(f, "{} ms", self.0.as_millis())
        }
    }
}
