//! `docs/reference/framing.md` from the table.

use std::fmt::Write as _;
use std::path::Path;

use crate::cases::all;
use crate::run::shorten;

/// The version the nginx column is true for.
pub(crate) const NGINX: &str = "nginx 1.22.1";
/// The version the HAProxy column is true for.
pub(crate) const HAPROXY: &str = "HAProxy 2.6.12";

const INTRODUCTION: &str = "\
# Framing: what is refused, and what others do

Where a request ends, and which host it is for, must mean the same to everyone who reads it. weir refuses whatever can be
read in two ways: it answers 400, closes the connection, and sends nothing to an endpoint.

This page is written by a test (`UPDATE=1 cargo nextest run -p weir --test framing`) from the table in
`tests/framing/cases/`. The columns of the others are measured, by sending the same bytes through the real program in
front of the same endpoint, each with its default settings, and the test fails when one of them stops being true.

A cell reads `STATUSES, closed|kept|waits: WHAT REACHED THE ENDPOINT`:

- *closed*: the connection ended behind the last status; *kept*: a further request on it was answered; *waits*: the
  program neither answered (further) nor closed within 2 s.
- Behind the colon stand method, target and body of each request that the endpoint received; `…` is a body that did not
  arrive whole. Without a colon, nothing reached it.
- `no answer` is a connection that ended, or went silent, without a byte. `HTTP/0.9` is an answer without a head, `HTTP/2` a
  connection that went on as such.
- `or` stands between outcomes of which the program shows sometimes one, sometimes the other, for the same bytes.
- In requests, `a×N` stands for N times the same byte.
";

/// Compares the page with the table; with `UPDATE=1` in the environment, writes it.
#[expect(clippy::disallowed_methods, reason = "UPDATE=1 is for whoever runs the test")]
pub(crate) fn compare_or_update() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/framing.md");
    let page = page();
    if std::env::var("UPDATE").as_deref() == Ok("1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
        return;
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(page == written, "docs/reference/framing.md is not up to date (run with UPDATE=1); first: {differs:?}");
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut heading = "";
    for case in all() {
        if case.group != heading {
            heading = case.group;
            write!(page, "\n## {heading}\n\n| case | sent | weir | {NGINX} | {HAPROXY} |\n|---|---|---|---|---|\n")
                .unwrap();
        }
        let cells = [&case.weir, &case.nginx, &case.haproxy].map(|outcome| code(outcome));
        let sent = code(&shorten_fields(&shorten(&case.request)));
        writeln!(page, "| {} | {sent} | {} |", case.name, cells.join(" | ")).unwrap();
    }
    page
}

/// Repeated equal lines as one with its count.
fn shorten_fields(sent: &str) -> String {
    let lines: Vec<&str> = sent.split_inclusive("\\r\\n").collect();
    lines
        .chunk_by(|a, b| a == b)
        .map(|run| match run {
            [line, ..] if run.len() > 3 => format!("({line})×{}", run.len()),
            run => run.concat(),
        })
        .collect()
}

/// A cell in code, with what Markdown's tables cannot take replaced.
fn code(text: &str) -> String {
    let text = text.replace('|', "\\|");
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
