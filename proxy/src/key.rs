//! What a hash policy hashes.

use std::borrow::Cow;
use std::net::IpAddr;

use weir_balance::{KeyHash, Policy, key_hash, slot_hash};
use weir_snapshot::{KeySource, Route};
use xxhash_rust::xxh3::Xxh3;

use crate::body::Held;
use crate::client::Client;
use crate::head::Head;

/// The key's hash; `None` under the policies without one, and when the request lacks what is hashed.
pub(crate) fn of(route: &Route, head: &Head, client: &Client, held: Option<&Held>) -> Option<KeyHash> {
    let policy = route.pool.policy();
    if !policy.reads_keys() {
        return None;
    }
    let bytes: Cow<'_, [u8]> = match &route.settings.key {
        KeySource::ClientIp { v4_prefix, v6_prefix } => network(client.address, *v4_prefix, *v6_prefix),
        KeySource::Path => Cow::Borrowed(head.path()),
        KeySource::Query(name) => Cow::Borrowed(argument(head.query()?, name.as_bytes())?),
        KeySource::Header(name) => Cow::Borrowed(head.value(name)?),
        KeySource::Cookie(name) => Cow::Borrowed(cookie(head, name.as_bytes())?),
        KeySource::Body => {
            let mut hash = Xxh3::new();
            // Under `slots` too: nobody asks Redis for the slot of a photo, and XXH3 is a hundred times as fast as CRC16.
            for chunk in held?.chunks() {
                hash.update(chunk);
            }
            return Some(KeyHash(hash.digest()));
        }
    };
    Some(if matches!(policy, Policy::Slots { .. }) { slot_hash(&bytes) } else { key_hash(&bytes) })
}

/// The network that an address lies in.
pub(crate) fn network(address: IpAddr, v4_prefix: u8, v6_prefix: u8) -> Cow<'static, [u8]> {
    let cut = |bits: u32, prefix: u8| u32::from(prefix).min(bits);
    Cow::Owned(match address {
        IpAddr::V4(v4) => {
            let host_bits = 32 - cut(32, v4_prefix);
            v4.to_bits().checked_shr(host_bits).map_or(0, |net| net << host_bits).to_be_bytes().to_vec()
        }
        IpAddr::V6(v6) => {
            let host_bits = 128 - cut(128, v6_prefix);
            v6.to_bits().checked_shr(host_bits).map_or(0, |net| net << host_bits).to_be_bytes().to_vec()
        }
    })
}

/// The value of `name=value` in a query, undecoded.
fn argument<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|&byte| byte == b'&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// The value of one cookie.
fn cookie<'a>(head: &'a Head, name: &[u8]) -> Option<&'a [u8]> {
    head.fields()
        .filter(|(_, field, _)| field.eq_ignore_ascii_case(b"cookie"))
        .flat_map(|(_, _, value)| value.split(|&byte| byte == b';'))
        .find_map(|pair| pair.trim_ascii().strip_prefix(name)?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_cuts_the_host_bits_and_nothing_else() {
        let of = |text: &str, v4, v6| network(text.parse().unwrap(), v4, v6).into_owned();
        assert_eq!(of("192.0.2.77", 32, 64), [192, 0, 2, 77]);
        assert_eq!(of("192.0.2.77", 24, 64), [192, 0, 2, 0]);
        assert_eq!(of("2001:db8::1", 32, 64), of("2001:db8::ffff", 32, 64));
        assert_ne!(of("2001:db8::1", 32, 128), of("2001:db8::2", 32, 128));
    }

    #[test]
    fn a_query_argument_is_found_by_its_whole_name() {
        assert_eq!(argument(b"user=7&u=8&x", b"u"), Some(&b"8"[..]));
        assert_eq!(argument(b"xu=7", b"u"), None);
    }
}
