//! Every file in `tests/cases/` prints the problems in its snapshot.

use std::fs;
use std::path::{Path, PathBuf};

use weir_config::parse;

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn name_of(file: &Path) -> String {
    file.file_stem().unwrap().to_string_lossy().into_owned()
}

#[test]
fn each_wrong_file_prints_the_problems_in_its_snapshot() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../cases");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let files = cases();
    assert!(files.len() > 10);
    settings.bind(|| {
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let problems = parse("weir.toml", &text).expect_err(&name_of(&file));
            insta::assert_snapshot!(name_of(&file), problems.to_string());
        }
    });
}

#[test]
fn ten_mistakes_print_ten_problems() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/ten_mistakes.toml");
    let problems = parse("weir.toml", &fs::read_to_string(file).unwrap()).unwrap_err();
    assert_eq!(problems.len(), 10, "{problems}");
    assert_eq!(problems.to_string().matches("error: ").count(), 10);
    assert!(problems.to_string().ends_with("\n10 problems in weir.toml"));
}

#[test]
fn problems_stand_in_the_order_of_the_text() {
    for file in cases() {
        let problems = parse("weir.toml", &fs::read_to_string(&file).unwrap()).unwrap_err();
        let places: Vec<_> = problems.iter().map(|problem| problems.place(problem)).collect();
        assert!(places.is_sorted(), "{}: {places:?}", name_of(&file));
    }
}

#[test]
fn every_problem_says_what_to_write_instead() {
    let mut count = 0;
    let mut silent = Vec::new();
    for file in cases() {
        let problems = parse("weir.toml", &fs::read_to_string(&file).unwrap()).unwrap_err();
        count += problems.len();
        silent.extend(
            problems
                .iter()
                .filter(|it| it.help.is_none())
                .map(|it| format!("{}: {} / {}", name_of(&file), it.message, it.label)),
        );
    }
    assert!(silent.is_empty(), "{}", silent.join("\n"));
    assert!(count >= 300, "only {count}");
}

#[test]
fn every_problem_says_what_is_wrong_with_the_marked_part() {
    for file in cases() {
        for problem in &parse("weir.toml", &fs::read_to_string(&file).unwrap()).unwrap_err() {
            assert!(!problem.label.is_empty(), "{}: {}", name_of(&file), problem.message);
        }
    }
}
