//! `weir-bench kernel` through the real binary: not how fast anything is, only that it is measured, and what is said when it
//! cannot be.

use std::path::Path;
use std::process::{Command, Output};

const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../optimizer/tests/photos");

/// Runs it with `path` as the folders in which programs are looked for.
fn kernel(arguments: &[&str], path: Option<&Path>) -> Output {
    let mut command = Command::new(super::BENCH);
    command.arg("kernel").args(arguments);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().unwrap()
}

#[test]
fn a_missing_peer_is_a_word_about_what_to_install_and_the_table_is_there_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("corpus").display().to_string();
    let json = folder.path().join("result.json").display().to_string();
    let nothing = folder.path().join("empty");
    std::fs::create_dir(&nothing).unwrap();
    // Without `cjpeg`, files cannot be made either; the photo that comes with the sources is there.
    let arguments = ["--rounds", "2", "--only", "100kb,4mp-standard", "--corpus", &corpus, "--json", &json];
    let output = kernel(&arguments, Some(&nothing));
    let (text, notes) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{output:?}");
    for remedy in ["pip install 'pyvips[binary]'", "apt-get install imagemagick"] {
        assert!(text.contains(remedy) && notes.contains(remedy), "{text}{notes}");
    }
    assert!(notes.contains("no 4mp-standard.jpg") && notes.contains("apt-get install libjpeg-turbo-progs"), "{notes}");
    for part in ["### Mark at source quality", "### Re-encode at Q85", "| 100kb-standard.jpg | splice |"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(text.contains("- 100kb-standard.jpg (100851 bytes): splice"), "{text}");
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    for table in result["tables"].as_array().unwrap() {
        let cell = &table["rows"][0]["cells"][0];
        assert_eq!(cell["who"], "weir");
        let rounds = cell["millis"].as_array().unwrap();
        assert!(rounds.len() == 2 && rounds.iter().all(|millis| millis.as_f64().unwrap() > 0.0), "{cell}");
        assert!(cell["bytes"].as_u64().unwrap() > 50_000 && cell["memory"].as_u64().unwrap() > 0, "{cell}");
    }
}

#[test]
fn peers_that_are_installed_draw_the_same_mark() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("corpus").display().to_string();
    let json = folder.path().join("result.json").display().to_string();
    let output = kernel(&["--rounds", "1", "--only", "100kb", "--corpus", &corpus, "--json", &json], None);
    assert!(output.status.success(), "{output:?}");
    let result: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    let cells = result["tables"][0]["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(cells.len(), result["versions"].as_array().unwrap().len());
    for cell in &cells[1..] {
        assert!(cell["fault"].is_null() && cell["millis"][0].as_f64().unwrap() > 0.0, "{cell}");
        assert!(cell["agreement"].as_f64().unwrap() > 30.0, "{cell}");
    }
}

#[test]
fn without_rounds_only_the_path_of_each_file_is_told() {
    let output = kernel(&["--rounds", "0", "--photos", PHOTOS], None);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(!text.contains("CPU ms") && text.contains("### Coverage"), "{text}");
    for line in ["- grey.jpg (14183 bytes): splice", "- arithmetic.jpg ("] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn a_choice_that_leaves_no_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let output = kernel(&["--photos", &folder.path().display().to_string()], None);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("no picture to mark"), "{text}");
}
