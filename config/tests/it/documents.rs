//! The example, the reference page and every block of TOML in the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::{EXAMPLE, parse, reference};

use crate::printed::survives_printing;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

#[test]
fn the_example_is_legal() {
    if let Err(problems) = parse("example.toml", EXAMPLE) {
        panic!("{problems}");
    }
}

#[test]
fn each_file_beside_the_example_is_legal_and_survives_printing() {
    let files = fs::read_dir(root().join("config")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|it| it == "toml") && !file.ends_with("Cargo.toml"));
    let read = files.map(|file| survives_printing(&file.display().to_string(), &fs::read_to_string(&file).unwrap()));
    assert!(read.count() >= 2);
}

#[test]
fn the_example_shows_every_key() {
    let keys = reference();
    let keys = keys.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    for key in keys {
        let shown = EXAMPLE.contains(&format!("{key} = ")) || EXAMPLE.contains(&format!("{key}]"));
        assert!(shown, "`{key}` is not in example.toml");
    }
}

#[test]
fn the_reference_page_says_what_the_definitions_say() {
    let file = root().join("docs/reference/configuration.md");
    #[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the program under test")]
    let update = std::env::var("UPDATE").is_ok_and(|value| value == "1");
    if update {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, reference()).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == reference(), "{} is out of date: run with UPDATE=1", file.display());
}

/// Every page that users read, with its text.
fn pages() -> Vec<(String, String)> {
    let root = root();
    let mut pages: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "STYLE.md"].map(|page| root.join(page)).to_vec();
    let mut folders = vec![root.join("docs"), root.join("deploy")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { pages.push(path) }
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.iter().map(|page| (page.display().to_string(), fs::read_to_string(page).unwrap())).collect()
}

#[test]
fn every_block_of_toml_in_the_documentation_is_legal_and_survives_printing() {
    for (page, text) in pages() {
        for Block { line, text, .. } in blocks(&text).into_iter().filter(Block::is_whole_toml) {
            if let Err(problems) = parse(&page, &text) {
                panic!("the block at {page}:{line}: begin it with `# fragment` if it is none\n{problems}");
            }
            survives_printing(&page, &text);
        }
    }
}

#[test]
fn a_fragment_of_toml_lacks_tables_and_has_no_other_problem() {
    let mut count = 0;
    for (page, text) in pages() {
        for Block { line, text, .. } in blocks(&text).into_iter().filter(Block::is_fragment) {
            let Err(problems) = parse(&page, &text) else { panic!("{page}:{line} is whole: it needs no `# fragment`") };
            for problem in &problems {
                let tables = ["listener", "route", "service"].map(|table| format!("there is no {table}"));
                let lacks = problem.message.contains("missing") || tables.contains(&problem.message);
                assert!(lacks, "the fragment at {page}:{line}\n{problems}");
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn every_block_says_what_it_is() {
    const KINDS: [&str; 9] = ["toml", "sh", "console", "text", "json", "yaml", "rust", "nginx", "promql"];
    for (page, text) in pages() {
        for block in blocks(&text) {
            assert!(KINDS.contains(&&*block.kind), "{page}:{}: `{}` is none of {KINDS:?}", block.line, block.kind);
        }
    }
}

/// What stands between two fences.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    kind: String,
    /// Of its first line, from 1.
    line: usize,
    text: String,
}

impl Block {
    fn is_whole_toml(&self) -> bool {
        self.kind == "toml" && !self.text.starts_with("# fragment")
    }

    fn is_fragment(&self) -> bool {
        self.kind == "toml" && self.text.starts_with("# fragment")
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(kind)) => open = Some(Block { kind: kind.to_owned(), line: index + 2, text: String::new() }),
            (None, None) => {}
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

#[test]
fn a_block_marked_as_fragment_is_none_and_any_other_is_found() {
    let page = "a\n```toml\n# fragment\nx\n```\n```toml\ny = 1\n```\n```sh\nz\n```\n";
    let whole: Vec<Block> = blocks(page).into_iter().filter(Block::is_whole_toml).collect();
    assert_eq!(whole, [Block { kind: "toml".to_owned(), line: 7, text: "y = 1\n".to_owned() }]);
    assert_eq!(blocks(page).iter().filter(|block| block.is_fragment()).count(), 1);
}
