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

#[test]
fn every_block_of_toml_in_the_documentation_is_legal_and_survives_printing() {
    let root = root();
    let mut pages = vec![root.join("README.md"), root.join("ARCHITECTURE.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { pages.push(path) }
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    for page in pages {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        for (line, block) in toml_blocks(&text) {
            if let Err(problems) = parse(&page.display().to_string(), &block) {
                panic!("the block at {}:{line}: begin it with `# fragment` if it is none\n{problems}", page.display());
            }
            survives_printing(&page.display().to_string(), &block);
        }
    }
}

/// The blocks marked as TOML, each with the line it begins in, but for those that begin with `# fragment`.
fn toml_blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in page.lines().enumerate() {
        match &mut open {
            None if line.trim_start() == "```toml" => open = Some((index + 2, String::new())),
            None => {}
            Some(_) if line.trim_start().starts_with("```") => blocks.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks.retain(|(_, block)| !block.starts_with("# fragment"));
    blocks
}

#[test]
fn a_block_marked_as_fragment_is_passed_over_and_any_other_is_found() {
    let page = "a\n```toml\n# fragment\nx\n```\n```toml\ny = 1\n```\n```sh\nz\n```\n";
    assert_eq!(toml_blocks(page), [(7, "y = 1\n".to_owned())]);
}
