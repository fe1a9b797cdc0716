//! What checkers of other projects say of the Dockerfile and the manifests.

use std::path::PathBuf;
use std::process::Command;

use crate::files::{at, below, ending};

/// A program that `scripts/get-checkers` has put into `target/tools`, or a loud note that it is missing: they come from a
/// registry that not every machine reaches, and everything else of the kit is held without them.
#[expect(clippy::print_stdout, reason = "a skipped test has to say so")]
fn checker(name: &str) -> Option<PathBuf> {
    let program = at(&format!("target/tools/checkers/bin/{name}"));
    if program.is_file() {
        return Some(program);
    }
    let missing = format!("SKIPPED: there is no {name}: run scripts/get-checkers");
    println!("{missing}");
    eprintln!("{missing}");
    None
}

#[track_caller]
fn accepts(name: &str, arguments: &[&str]) {
    let Some(program) = checker(name) else { return };
    let out = Command::new(program).args(arguments).current_dir(at("")).output().unwrap();
    let said = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(out.status.success(), "{name} {arguments:?}:\n{said}");
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfile() {
    // DL3008 asks for the version of each package, which Debian's archive does not keep.
    accepts("hadolint", &["--ignore", "DL3008", "deploy/docker/Dockerfile"]);
}

#[test]
fn the_manifests_are_what_the_schemas_of_kubernetes_ask_for() {
    let files = below("deploy/kubernetes");
    // kustomization.yaml is read by kubectl, and is no object of a cluster.
    let manifests = ending(&files, &[".yaml"]).into_iter().filter(|file| !file.ends_with("kustomization.yaml"));
    let manifests: Vec<&str> = manifests.collect();
    assert!(manifests.len() >= 2);
    // The oldest that is still cared for, and the newest that the checker knows.
    for version in [&["-k", "1.33"][..], &[]] {
        accepts("kubernetes-validate", &[version, &["--strict"], &manifests].concat());
    }
}
