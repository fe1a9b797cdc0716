//! "Did you mean": the known word nearest to an unknown one.

use strsim::damerau_levenshtein;

/// Words that users of nginx, HAProxy and Envoy bring along, and what they are called here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("backend", "service"),
    ("backends", "service"),
    ("bind", "address"),
    ("cluster", "service"),
    ("fail_timeout", "window"),
    ("fall", "failures"),
    ("frontend", "listener"),
    ("host", "address"),
    ("inter", "interval"),
    ("ip", "address"),
    ("least_conn", "least-connections"),
    ("least_request", "least-connections"),
    ("leastconn", "least-connections"),
    ("listen", "address"),
    ("listen", "listener"),
    ("location", "route"),
    ("location", "path"),
    ("max_fails", "failures"),
    ("max_tries", "tries"),
    ("maxconn", "max_connections"),
    ("port", "address"),
    ("port", "listen"),
    ("prefix", "path"),
    ("proxy_pass", "service"),
    ("proxy_hide_header", "answer_headers"),
    ("proxy_set_header", "headers"),
    ("request_headers", "headers"),
    ("response_headers", "answer_headers"),
    ("return", "answer"),
    ("rewrite", "replace"),
    ("ring_hash", "consistent-hash"),
    ("rise", "successes"),
    ("server_name", "host"),
    ("servers", "endpoints"),
    ("server", "endpoints"),
    ("source", "ip-hash"),
    ("static-rr", "weighted"),
    ("upstream", "service"),
    ("uri", "path"),
    ("wrr", "weighted"),
];

/// Directives and options of others that are keys of other tables here than those they are likely to be written in.
const DIRECTIVES: &[(&str, &str, &str)] = &[
    ("access_log", "access", "[log]"),
    ("balance", "policy", "[[service]]"),
    ("ca_certificate", "ca_file", "[service.consul]"),
    ("client_body_timeout", "read_timeout", "[[listener]]"),
    ("client_header_timeout", "header_timeout", "[[listener]]"),
    ("client_max_body_size", "max", "[route.body]"),
    ("connect_timeout", "connect", "[route.timeout]"),
    ("down", "drain", "[[service.endpoints]]"),
    ("fail_timeout", "window", "[service.health]"),
    ("fall", "failures", "[service.health]"),
    ("health_checks", "kind", "[service.health]"),
    ("inter", "interval", "[service.health]"),
    ("keepalive_timeout", "idle_timeout", "[[listener]]"),
    ("large_client_header_buffers", "max_head", "[[listener]]"),
    ("lb_policy", "policy", "[[service]]"),
    ("max_conns", "capacity", "[service.queue]"),
    ("max_fails", "failures", "[service.health]"),
    ("max_tries", "tries", "[route.retry]"),
    ("maxqueue", "max", "[service.queue]"),
    ("num_retries", "tries", "[route.retry]"),
    ("proxy_connect_timeout", "connect", "[route.timeout]"),
    ("proxy_next_upstream", "on", "[route.retry]"),
    ("proxy_next_upstream_tries", "tries", "[route.retry]"),
    ("proxy_pass", "service", "[[route]]"),
    ("proxy_read_timeout", "read", "[route.timeout]"),
    ("proxy_send_timeout", "write", "[route.timeout]"),
    ("resolver", "resolvers", "[service.dns]"),
    ("rise", "successes", "[service.health]"),
    ("send_timeout", "write_timeout", "[[listener]]"),
    ("server_name", "host", "[[route]]"),
    ("set_real_ip_from", "trusted_proxies", "[server]"),
    ("worker_connections", "max_connections", "[[listener]]"),
    ("worker_processes", "threads", "[server]"),
    ("workers", "threads", "[server]"),
];

/// Words of others for what a later version brings.
const PLANNED: &[(&str, &str)] = &[("ssl", "tls"), ("ssl_certificate", "tls"), ("ssl_certificate_key", "tls")];

/// The planned key that a word of another proxy stands for.
pub(crate) fn called_planned(word: &str) -> Option<&'static str> {
    let plain = normal(word);
    PLANNED.iter().find(|(elsewhere, _)| normal(elsewhere) == plain).map(|(_, planned)| *planned)
}

/// What a directive of another proxy is here: a key and its table, Markdown.
pub(crate) fn called_here(word: &str) -> Option<String> {
    let plain = normal(word);
    let (_, key, table) = DIRECTIVES.iter().find(|(directive, ..)| normal(directive) == plain)?;
    Some(format!("`{key}` in `{table}`"))
}

/// Fewer letters begin too many words.
const SHORTEST_BEGINNING: usize = 3;

/// The candidate that `word` was most probably meant to be, if any is near enough.
///
/// Case and the difference between `-` and `_` count for nothing; else at most a third of the letters may differ, or the end
/// of the word be left out.
pub(crate) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let plain = normal(word);
    let known = |name: &str| candidates.iter().copied().find(|candidate| *candidate == name);
    let near = candidates
        .iter()
        .copied()
        .map(|candidate| (damerau_levenshtein(&plain, &normal(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance);
    let begun = |word: &str| word.len() >= SHORTEST_BEGINNING;
    let longer = candidates.iter().copied().find(|candidate| begun(&plain) && normal(candidate).starts_with(&plain));
    match near {
        Some((0 | 1, candidate)) => Some(candidate),
        _ => ELSEWHERE
            .iter()
            .filter(|(elsewhere, _)| normal(elsewhere) == plain)
            .find_map(|(_, here)| known(here))
            .or(longer)
            .or(near.map(|(_, candidate)| candidate)),
    }
}

fn normal(word: &str) -> String {
    word.chars().filter(|letter| !matches!(letter, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// `one`, `one` or `two`, `one`, `two` or `three`: each in backticks.
pub(crate) fn any_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [rest @ .., last] => {
            let rest: Vec<_> = rest.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_word_it_was() {
        let keys = ["address", "max_head", "header_timeout"];
        assert_eq!(nearest("adress", &keys), Some("address"));
        assert_eq!(nearest("Header-Timeout", &keys), Some("header_timeout"));
        assert_eq!(nearest("maxhead", &keys), Some("max_head"));
    }

    #[test]
    fn a_word_of_another_proxy_finds_ours() {
        assert_eq!(nearest("least_conn", &["round-robin", "least-connections"]), Some("least-connections"));
        assert_eq!(nearest("upstream", &["path", "service"]), Some("service"));
    }

    #[test]
    fn every_directive_leads_to_a_key_that_there_is() {
        for (directive, key, table) in DIRECTIVES {
            let spec = crate::read::SPECS.iter().find(|spec| spec.header == *table);
            assert!(spec.is_some_and(|spec| spec.names().any(|name| name == *key)), "{directive}: `{key}` in {table}");
        }
    }

    #[test]
    fn the_beginning_of_a_word_finds_it() {
        assert_eq!(nearest("addr", &["weight", "address"]), Some("address"));
        assert_eq!(nearest("ad", &["weight", "address"]), None);
    }

    #[test]
    fn a_word_near_nothing_gets_no_suggestion() {
        assert_eq!(nearest("colour", &["address", "max_head"]), None);
        assert_eq!(nearest("x", &["address"]), None);
    }
}
