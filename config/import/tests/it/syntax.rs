//! Any bytes are read or refused with a place; includes are found where nginx finds them.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use weir_import::{Files, import};

use crate::support::{Corpus, corpus, folder, legal, notes, of, ok};

#[test]
fn what_nginx_cannot_read_is_refused_with_file_and_line() {
    for (text, line, what) in [
        ("server {\nlisten 80\n}", 2, "`listen` has no `;` behind it"),
        ("server {\n", 2, "a `}` is missing"),
        ("}\n", 1, "closes nothing"),
        ("\n;", 2, "stands alone"),
        ("a \"b", 1, "a quote is not closed"),
        ("a \"b\"c;", 1, "must follow a closing quote"),
        ("include a b;", 1, "takes one name"),
        ("content_by_lua_block { if", 1, "a block of Lua is not closed"),
    ] {
        let error = of(text).unwrap_err().to_string();
        assert!(error.starts_with(&format!("nginx.conf:{line}: ")) && error.contains(what), "{text:?}: {error}");
    }
    let deep = "a{".repeat(100_000);
    assert!(of(&deep).unwrap_err().to_string().contains("more blocks in blocks"));
}

/// Files that there are not.
struct Made(HashMap<PathBuf, &'static str>);

impl Files for Made {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let inside = self.0.keys().filter_map(|path| path.strip_prefix(folder).ok());
        inside.filter_map(|path| Some(path.components().next()?.as_os_str().to_str()?.to_owned())).collect()
    }

    fn is_file(&self, path: &Path) -> bool {
        self.0.contains_key(path)
    }
}

const SITE: &str = "server { listen 80; location / { proxy_pass http://10.0.0.1; } }";

fn made(files: &[(&str, &'static str)], main: &str) -> Result<String, String> {
    let files = Made(files.iter().map(|(path, text)| (PathBuf::from(path), *text)).collect());
    let text = files.read(Path::new(main)).unwrap();
    let imported = import(Path::new(main), &text, &files).map_err(|error| error.to_string())?;
    legal(&imported.toml);
    Ok(notes(&imported) + &imported.toml)
}

#[test]
fn an_include_begins_in_the_folder_of_the_first_file_wherever_it_stands() {
    let read = made(
        &[
            ("/etc/nginx/nginx.conf", "http { include sites/*.conf; }"),
            ("/etc/nginx/sites/a.conf", "include parts/site;"),
            ("/etc/nginx/sites/.hidden.conf", "nonsense"),
            ("/etc/nginx/sites/b.txt", "nonsense"),
            ("/etc/nginx/parts/site", SITE),
        ],
        "/etc/nginx/nginx.conf",
    )
    .unwrap();
    assert!(read.contains("/etc/nginx/parts/site:1 server"), "{read}");
}

#[test]
fn a_copy_of_the_usual_folder_is_read_in_its_place() {
    let files = [
        ("/home/me/copy/nginx.conf", "http { include /etc/nginx/conf.d/*.conf; include /etc/nginx/mime.types; }"),
        ("/home/me/copy/conf.d/a.conf", SITE),
        ("/etc/nginx/conf.d/this_machines.conf", "nonsense"),
    ];
    let read = made(&files, "/home/me/copy/nginx.conf").unwrap();
    assert!(read.contains("/home/me/copy/conf.d/a.conf:1 server"), "{read}");
    let alone = [("/home/me/nginx.conf", "include /etc/nginx/conf.d/*.conf;"), ("/etc/nginx/conf.d/a.conf", SITE)];
    assert!(made(&alone, "/home/me/nginx.conf").unwrap().contains("/etc/nginx/conf.d/a.conf:1 server"));
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_taken_over() {
    let imported = ok(&format!("include gone.conf;\n{SITE}"));
    assert!(notes(&imported).starts_with("nginx.conf:1: include gone.conf: cannot read it"), "{}", notes(&imported));
}

#[test]
fn files_that_include_each_other_are_an_error_not_an_end() {
    let error = made(&[("a.conf", "include b.conf;"), ("b.conf", "include a.conf;")], "a.conf").unwrap_err();
    assert!(error.contains("include each other without end"), "{error}");
}

/// A configuration of the corpus with some bytes of it replaced.
fn damaged() -> impl Strategy<Value = (PathBuf, Text)> {
    let words = [
        "{",
        "}",
        ";",
        "\"",
        "'",
        "$",
        "${",
        "\\",
        "#",
        "\n",
        "0",
        "99999999999999999999",
        "*",
        "~",
        "=",
        "@",
        "server",
        "location",
        "proxy_pass http://",
        "listen",
        "http://[::1]:",
        "unix:",
        "return 301",
        "if",
        "/",
        "//",
        "%",
        "ä",
    ];
    let piece = prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
        "[a-z_ ;{}$/.:0-9-]{0,12}".prop_map(String::into_bytes),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..12_usize, piece), 1..6);
    (prop::sample::select(corpus()), edits).prop_map(|(path, edits)| {
        let mut text = std::fs::read(folder().join(&path)).unwrap();
        for (at, length, piece) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + length).min(text.len());
            drop(text.splice(at..end, piece));
        }
        (path, Text(text))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn a_damaged_file_is_refused_or_becomes_a_legal_configuration((path, text) in damaged()) {
        if let Ok(imported) = import(&path, &text.0, &Corpus) {
            let read = weir_config::parse("weir.toml", &imported.toml);
            if let Err(problems) = read {
                return Err(TestCaseError::fail(format!("{problems}")));
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        drop(import(Path::new("nginx.conf"), &bytes, &Corpus));
    }
}

/// A text that does not fill the screen when its test fails.
struct Text(Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}
