//! What the documentation says to paste, pasted.

use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use weir_testkit::{Consul, PATIENCE, Process, free_port};

use crate::support::{WEIR, optimizer_binary};

/// The first block of shell below a headline.
fn block(page: &str, headline: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let section = text.split_once(&format!("{headline}\n")).unwrap_or_else(|| panic!("{page} has no `{headline}`")).1;
    section.split_once("```sh\n").unwrap().1.split_once("```").unwrap().0.to_owned()
}

/// A process and all that it started, ended together.
struct Group(Process);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.pid());
        Command::new("kill").args(["-KILL", "--", &group]).status().unwrap();
    }
}

#[test]
fn the_lines_about_consul_work_as_pasted() {
    let Some(consul) = Consul::program() else { return };
    let lines = block("docs/guide/consul.md", "# With Consul");
    assert_eq!(lines, block("README.md", "## With Consul"), "the two pages say the same");
    assert_eq!(lines.lines().count(), 5);

    // A tree like this one, in which what is built is what was built for this test.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    std::fs::create_dir_all(at("target/tools")).unwrap();
    std::fs::create_dir(at("config")).unwrap();
    std::fs::create_dir(at("scripts")).unwrap();
    std::fs::copy(here.join("scripts/get-consul"), at("scripts/get-consul")).unwrap();
    symlink(consul.canonicalize().unwrap(), at("target/tools/consul")).unwrap();
    symlink(here.join("optimizer"), at("optimizer")).unwrap();
    symlink(optimizer_binary().parent().unwrap(), at("target/dist")).unwrap();
    assert!(Path::new(WEIR).starts_with(optimizer_binary().parent().unwrap()));

    // Ports of its own, for a machine on which others run the same.
    let mut text = lines;
    let mut config = std::fs::read_to_string(here.join("config/consul.toml")).unwrap();
    for port in ["8500", "3001", "3002", "8080"] {
        assert!(text.contains(&format!(":{port}")), "{port}");
        let own = format!(":{}", free_port());
        (text, config) = (text.replace(&format!(":{port}"), &own), config.replace(&format!(":{port}"), &own));
    }
    std::fs::write(at("config/consul.toml"), format!("admin.listen = \"127.0.0.1:0\"\n{config}")).unwrap();
    let agent = text.split_once("--consul http://127.0.0.1:").unwrap().1.split_whitespace().next().unwrap().to_owned();
    let flags: String =
        ["dns", "server", "serf-lan", "serf-wan"].map(|flag| format!(" -{flag}-port={}", free_port())).concat();
    text = text.replace("agent -dev", &format!("agent -dev -bind=127.0.0.1 -grpc-port=-1 -http-port={agent}{flags}"));

    let mut bash = Command::new("bash");
    bash.args(["-c", &format!("{text}echo pasted $?")]).current_dir(folder.path()).process_group(0);
    let mut bash = Group(Process::spawn(bash));
    assert_eq!(bash.0.wait(3 * PATIENCE).code(), Some(0), "{}", bash.0.output());
    bash.0.wait_for_output("pasted 0");
    let photo = std::fs::read(at("marked.jpg")).unwrap();
    assert!(image::load_from_memory(&photo).is_ok(), "{}", String::from_utf8_lossy(&photo));
}
