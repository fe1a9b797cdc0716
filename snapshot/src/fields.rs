//! Names of fields: which come in, which are one to a reader that folds them, and which weir keeps to itself.
//!
//! Cost: a look at each byte of a name. Source: RFC 9110 §5.1 and §7.6.1; RFC 3875 §4.1.18, by which CGI, and all that
//! took over its names (WSGI, Rack, PHP), makes `HTTP_X_REAL_IP` of `X-Real-IP` and of `X_Real_IP` alike.

/// Which names of fields a listener takes from clients. A field with another name is dropped, and the request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldNames {
    /// Letters, digits and `-`: nginx's default.
    Plain,
    /// `_` too, as with nginx's `underscores_in_headers on`.
    Underscores,
    /// All that HTTP allows, as with nginx's `ignore_invalid_headers off`.
    Any,
}

impl FieldNames {
    /// Whether a field of this name comes in.
    pub fn admit(self, name: &[u8]) -> bool {
        match self {
            Self::Plain => is_plain(name),
            Self::Underscores => name.iter().all(|&byte| fold(byte) != b'-' || matches!(byte, b'-' | b'_')),
            Self::Any => true,
        }
    }
}

/// Whether a name has letters, digits and `-` alone, so that nobody takes it for another one.
pub fn is_plain(name: &[u8]) -> bool {
    name.iter().all(|&byte| byte == b'-' || byte.is_ascii_alphanumeric())
}

/// Whether a reader that folds the names of fields could take one for the other: without regard to case, and with every
/// other sign as `-`.
pub fn same_field(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(&one, &other)| fold(one) == fold(other))
}

fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

/// Fields that belong to one hop: weir says them itself or not at all, and no route changes them. In lower case.
pub const OF_ONE_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
];

/// Fields that say where a message ends, which weir does itself. In lower case.
pub const FRAMING: &[&str] = &["content-length", "transfer-encoding"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_listener_takes_what_nginx_would() {
        for (name, taken) in [
            ("X-Real-IP2", [true, true, true]),
            ("x_real_ip", [false, true, true]),
            ("x.real-ip", [false, false, true]),
            ("x|_", [false, false, true]),
        ] {
            let of =
                [FieldNames::Plain, FieldNames::Underscores, FieldNames::Any].map(|which| which.admit(name.as_bytes()));
            assert_eq!(of, taken, "{name}");
        }
    }

    #[test]
    fn a_name_is_the_same_in_any_spelling_that_folds_to_it() {
        for other in ["X-Real-IP", "x_real_ip", "X.REAL-IP"] {
            assert!(same_field(b"x-real-ip", other.as_bytes()), "{other}");
        }
        for other in ["xrealip", "x-real-ip-", "x-real-iq"] {
            assert!(!same_field(b"x-real-ip", other.as_bytes()), "{other}");
        }
    }
}
