//! Random trees of directives: whatever is written, weir takes it over or says that it does not.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::support::of;

/// A directive, its words and its block.
#[derive(Clone, Debug)]
struct Tree {
    head: String,
    block: Option<Vec<Tree>>,
}

/// A directive that nobody knows; the text finds it again by its line.
const UNKNOWN: &str = "nobody_knows";

/// Directives that are known, with values that may be wrong.
const KNOWN: &[&str] = &[
    "listen 80",
    "listen [::]:80 ipv6only=off",
    "listen 443 ssl",
    "listen unix:/x",
    "listen 8080 default_server",
    "server_name a.example *.b.example",
    "server_name ~^x$ .c.example",
    "proxy_pass http://app",
    "proxy_pass http://10.0.0.2/x/",
    "proxy_pass https://app",
    "proxy_pass http://$host",
    "proxy_pass http://app$request_uri",
    "return 301 /x",
    "return 404",
    "return 200 text",
    "rewrite ^/a/(.*)$ /$1 break",
    "rewrite ^ /x last",
    "try_files $uri @named",
    "deny all",
    "allow 10.0.0.1",
    "auth_basic x",
    "internal",
    "set $a b",
    "set $c $d",
    "proxy_set_header X-A $host",
    "proxy_set_header X_A \"\"",
    "proxy_set_header Host $nobody",
    "add_header X-B c always",
    "proxy_hide_header Server",
    "client_max_body_size 0",
    "client_max_body_size 10x",
    "proxy_next_upstream off",
    "proxy_next_upstream error http_503 non_idempotent",
    "proxy_read_timeout 5s",
    "gzip on",
    "limit_req zone=a",
    "error_page 404 /x",
    "proxy_redirect off",
    "resolver 127.0.0.1",
    "keepalive 8",
    "least_conn",
    "ip_hash",
    "hash $request_uri consistent",
    "random two least_conn",
    "zone a 64k",
    "server 10.0.0.1:80 weight=2 max_conns=3 slow_start=5s",
    "server 10.0.0.1:80 backup",
    "server a.example:81 down",
    "server unix:/y",
    "underscores_in_headers on",
    "large_client_header_buffers 4 8k",
    "access_log off",
    "access_log /var/log/x",
    "set_real_ip_from 10.0.0.0/8",
    "worker_processes 3",
    "include gone.conf",
    "keepalive_timeout 0",
    "fastcgi_pass 127.0.0.1:9000",
    "break",
    "satisfy any",
    "proxy_request_buffering off",
    "proxy_http_version 1.1",
];
const BLOCKS: &[&str] = &[
    "http",
    "server",
    "server",
    "location /",
    "location /a/",
    "location = /b",
    "location ^~ /a/c",
    "location ~ ^/(d|e)/",
    "location ~ \\.php$",
    "location ~* ^/F",
    "location @named",
    "location /a/b",
    "location a b c",
    "upstream app",
    "upstream other",
    "if ($host = a.example)",
    "if ($arg_x)",
    "limit_except GET",
    "map $uri $d",
    "types",
    "events",
    "geo $x",
    "stream",
    "unknown_block",
];

fn leaf() -> impl Strategy<Value = Tree> {
    prop_oneof![
        3 => prop::sample::select(KNOWN),
        1 => Just(UNKNOWN),
    ]
    .prop_map(|head| Tree { head: head.to_owned(), block: None })
}

fn tree() -> impl Strategy<Value = Tree> {
    leaf().prop_recursive(4, 48, 8, |inner| {
        (prop::sample::select(BLOCKS), prop::collection::vec(inner, 0..8))
            .prop_map(|(head, inside)| Tree { head: head.to_owned(), block: Some(inside) })
    })
}

/// Writes a directive a line; `unknown` gets, for each that nobody knows, its line and those of the blocks around it.
fn write(all: &[Tree], around: &mut Vec<u32>, text: &mut String, unknown: &mut Vec<Vec<u32>>) {
    for tree in all {
        let line = u32::try_from(text.lines().count()).unwrap() + 1;
        around.push(line);
        text.push_str(&tree.head);
        if tree.head == UNKNOWN {
            unknown.push(around.clone());
        }
        match &tree.block {
            None => text.push_str(";\n"),
            Some(inside) => {
                text.push_str(" {\n");
                write(inside, around, text, unknown);
                text.push_str("}\n");
            }
        }
        around.pop();
    }
}

/// What makes a tree one that something can come out of.
fn whole(site: Vec<Tree>, inside: Vec<Tree>, beside: Vec<Tree>) -> Vec<Tree> {
    let block = |head: &str, inside: Vec<Tree>| Tree { head: head.to_owned(), block: Some(inside) };
    let line = |head: &str| Tree { head: head.to_owned(), block: None };
    let mut location = vec![line("proxy_pass http://app")];
    location.extend(inside);
    let mut server = vec![line("listen 80"), block("location /", location)];
    server.extend(site);
    let mut all = vec![block("upstream app", vec![line("server 10.0.0.1:80")]), block("server", server)];
    all.extend(beside);
    all
}

fn some() -> impl Strategy<Value = Vec<Tree>> {
    prop::collection::vec(tree(), 0..6)
}

proptest! {
    // Always the same trees: of those that nobody has seen some may be a finding, which is not for whoever changes a word.
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(6),
        ..ProptestConfig::with_cases(3000)
    })]

    #[test]
    fn what_is_written_is_taken_over_or_said_not_to_be(
        all in prop_oneof![some(), (some(), some(), some()).prop_map(|(site, inside, beside)| whole(site, inside, beside))],
    ) {
        let (mut text, mut unknown) = (String::new(), Vec::new());
        write(&all, &mut Vec::new(), &mut text, &mut unknown);
        let notes = match of(&text) {
            Ok(imported) => {
                let read = weir_config::parse("weir.toml", &imported.toml);
                prop_assert!(read.is_ok(), "{}\n{text}\n{}", read.unwrap_err(), imported.toml);
                imported.notes
            }
            Err(error) => error.notes,
        };
        for lines in unknown {
            let said = notes.iter().any(|note| lines.contains(&note.place.line));
            prop_assert!(said, "line {:?} of\n{text}\nis not in\n{notes:#?}", lines.last());
        }
        let places: Vec<(bool, u32)> = notes.iter().map(|note| (note.unneeded, note.place.line)).collect();
        prop_assert!(places.is_sorted(), "{places:?}");
    }
}
