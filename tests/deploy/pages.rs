//! Pages: what they link to exists, and what they tell to type is real.

use std::collections::BTreeSet;
use std::process::Command;

use crate::files::{at, below, ending, text};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// The pages that users read.
fn pages() -> Vec<String> {
    let all = [below("docs"), below("deploy")].concat();
    ending(&all, &[".md"]).into_iter().map(str::to_owned).chain(["README.md".to_owned()]).collect()
}

/// The targets of the links of a page that are files here, as paths of the repository.
fn links(page: &str) -> Vec<String> {
    let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
    let text = text(page);
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.contains(' '))
        .map(|target| format!("{folder}/{}", target.split('#').next().unwrap()).trim_start_matches('/').to_owned())
        .collect()
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut count = 0;
    for page in pages() {
        for link in links(&page) {
            assert!(at(&link).exists(), "{page}: there is no {link}");
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}

#[test]
fn every_page_of_the_guide_and_every_runbook_can_be_found_from_its_list() {
    let of = |page: &str| -> BTreeSet<String> {
        links(page).iter().map(|link| at(link).canonicalize().unwrap().display().to_string()).collect()
    };
    let listed: BTreeSet<String> = of("docs/README.md").into_iter().chain(of("docs/runbook/README.md")).collect();
    for page in [below("docs/guide"), below("docs/runbook"), below("docs/reference")].concat() {
        let path = at(&page).canonicalize().unwrap().display().to_string();
        assert!(listed.contains(&path), "docs/README.md does not list {page}");
    }
}

/// Lines of the blocks of shell on a page, without their comments.
fn commands(page: &str) -> Vec<String> {
    let text = text(page);
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block);
    let lines = blocks.flat_map(str::lines).map(|line| line.split("  #").next().unwrap().trim().to_owned());
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn every_command_of_weir_in_the_documentation_is_one_that_it_has() {
    let help = |arguments: &[&str]| Command::new(WEIR).args(arguments).arg("--help").output().unwrap();
    let mut tried = BTreeSet::new();
    for page in pages() {
        for line in commands(&page) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let calls = words.iter().enumerate().filter(|(_, word)| **word == "weir" || word.ends_with("/weir"));
            for (place, _) in
                calls.filter(|(place, _)| *place == 0 || ["sudo", "&&", "|", "exec"].contains(&words[place - 1]))
            {
                let Some(command) =
                    words.get(place + 1).filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
                else {
                    continue;
                };
                let out = help(&[command]);
                assert!(out.status.success(), "{page}: `{line}`: weir has no command `{command}`");
                let said = String::from_utf8_lossy(&out.stdout);
                for flag in words[place + 2..].iter().filter(|word| word.starts_with("--")) {
                    let flag = flag.split('=').next().unwrap();
                    assert!(said.contains(flag), "{page}: `{line}`: `weir {command}` has no {flag}");
                }
                tried.insert((*command).to_owned());
            }
        }
    }
    assert!(tried.contains("run") && tried.contains("check"), "{tried:?}");
}

#[test]
fn the_page_about_the_access_log_lists_every_field() {
    let page = text("docs/reference/access-log.md");
    for (name, field) in weir_snapshot::LogField::ALL {
        let row = format!("| `{name}` | {} |", field.meaning());
        assert!(page.contains(&row), "docs/reference/access-log.md lacks this line:\n{row}");
    }
}

/// The blocks of one kind on a page.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let (text, fence) = (text(page), format!("```{kind}\n"));
    let blocks = text.split(&fence).skip(1).filter_map(|rest| rest.split_once("\n```"));
    blocks.map(|(block, _)| block.to_owned()).collect()
}

#[test]
fn what_the_first_page_shows_of_weir_check_is_what_it_prints() {
    let page = "docs/guide/first-proxy.md";
    let folder = tempfile::tempdir().unwrap();
    let check = |toml: &str| {
        std::fs::write(folder.path().join("weir.toml"), toml).unwrap();
        let out = Command::new(WEIR).args(["check", "weir.toml"]).current_dir(folder.path()).output().unwrap();
        [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat().trim_end().to_owned()
    };
    let shown = blocks(page, "text");
    let right = &blocks(page, "toml")[0];
    assert_eq!(check(right), shown[0]);
    let mut wrong = right.clone();
    for (word, mistake) in [
        ("policy = \"least", "polcy = \"least"),
        ("retry = { non_idempotent = true }", "timeout = { read = 15 }"),
        ("[\"127.0.0.1:3001\", \"127.0.0.1:3002\"]", "[\"127.0.0.1\"]"),
    ] {
        assert!(wrong.contains(word), "{word}");
        assert!(text(page).contains(mistake), "the page says what is wrong: {mistake}");
        wrong = wrong.replace(word, mistake);
    }
    assert_eq!(check(&wrong), *shown.last().unwrap());
}
