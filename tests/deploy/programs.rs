//! Pieces of the kit, run: by systemd's checker, logrotate, bash and wrk, against the real weir where it takes one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use weir_testkit::{Endpoint, Raw, Reply, Signal, Weir, eventually, require};

use crate::files::{at, below, ending, text};

const WEIR: &str = env!("CARGO_BIN_EXE_weir");

fn said(out: &Output) -> String {
    [&out.stdout, &out.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat()
}

/// A weir before this endpoint.
fn weir(endpoint: &Endpoint, log: &str) -> Weir {
    let toml = format!(
        "[server]\nshutdown_delay = \"0s\"\n[admin]\nlisten = \"127.0.0.1:0\"\n[log]\n{log}\n\
         [[listener]]\naddress = \"127.0.0.1:0\"\n[[route]]\nservice = \"s\"\n\
         [[service]]\nname = \"s\"\npolicy = \"random\"\nendpoints = [\"{}\"]\n",
        endpoint.address()
    );
    Weir::start(WEIR, &toml)
}

#[test]
fn weir_check_accepts_every_configuration_of_the_kit() {
    let files = below("deploy");
    for file in ending(&files, &[".toml"]) {
        let out = Command::new(WEIR).arg("check").arg(at(file)).output().unwrap();
        assert!(out.status.success(), "{}", said(&out));
    }
}

#[test]
fn every_file_of_yaml_and_json_is_one() {
    let files = below("deploy");
    for file in ending(&files, &[".yml", ".yaml"]) {
        assert!(!crate::files::yaml(file).is_empty(), "{file}");
    }
    for file in ending(&files, &[".json"]) {
        serde_json::from_str::<serde_json::Value>(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn systemd_accepts_the_units() {
    let Some(program) = require("systemd-analyze") else { return };
    let folder = tempfile::tempdir().unwrap();
    for unit in ["weir.service", "weir-optimizer.service"] {
        // systemd looks for the programs, which are not installed here.
        let here = Path::new(WEIR).parent().unwrap().display().to_string();
        let text = text(&format!("deploy/systemd/{unit}")).replace("/usr/local/bin", &here);
        assert!(text.contains(&format!("ExecStart={here}/")));
        std::fs::write(folder.path().join(unit), text).unwrap();
        let mut command = Command::new(&program);
        let out = command.args(["verify", "--man=no"]).arg(folder.path().join(unit)).output().unwrap();
        // Complaints about other units of the machine are not ours.
        let said = said(&out);
        assert!(!said.contains(unit), "{said}");
    }
}

#[test]
fn systemd_finds_the_units_confined() {
    let Some(program) = require("systemd-analyze") else { return };
    for unit in ["weir.service", "weir-optimizer.service"] {
        // Out of 100, and 96 without any of it; one line less of those that confine is noticed.
        let mut command = Command::new(&program);
        command.args(["security", "--offline=true", "--threshold=17"]).arg(at(&format!("deploy/systemd/{unit}")));
        let out = command.output().unwrap();
        assert!(out.status.success(), "{unit}: {}", said(&out));
    }
}

#[test]
fn logrotate_rotates_the_log_of_a_weir_that_runs() {
    let Some(program) = require("logrotate") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let log = at("access.log");
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint, &format!("access = \"{}\"", log.display()));
    let lines = |name: &str| std::fs::read_to_string(at(name)).unwrap_or_default().lines().count();
    Raw::get(weir.address(), "/old");
    eventually("the log has a line", || lines("access.log") == 1);

    // The snippet as it is, but for where the log lies and whom to signal: there is no systemd to ask.
    let rotate = "systemctl kill --kill-whom=main --signal=USR1 weir.service";
    let snippet = text("deploy/logrotate/weir");
    assert!(snippet.contains(rotate));
    let snippet = snippet
        .replace("/var/log/weir/access.log", &log.display().to_string())
        .replace(rotate, &format!("kill -USR1 {}", weir.pid()));
    std::fs::write(at("weir"), snippet).unwrap();
    std::fs::set_permissions(at("weir"), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    let out = command.arg("--force").arg("--state").arg(at("state")).arg(at("weir")).output().unwrap();
    assert!(out.status.success(), "{}", said(&out));

    eventually("weir has made the new file", || log.exists());
    Raw::get(weir.address(), "/new");
    eventually("the new file has a line", || lines("access.log") == 1);
    assert_eq!(lines("access.log.1"), 1);
    assert!(!said(&out).contains("error"), "{}", said(&out));
}

#[test]
fn the_images_healthcheck_tells_a_weir_that_serves_from_one_that_drains_and_from_none() {
    let endpoint = Endpoint::replying(Reply::new(200));
    let mut weir = weir(&endpoint, "");
    let check = |port: u16, path: &str| {
        let mut command = Command::new("bash");
        command.arg(at("deploy/docker/healthcheck")).args([&port.to_string(), path]).output().unwrap().status.success()
    };
    let admin = weir.admin().port();
    assert!(check(admin, "/healthz") && check(admin, "/readyz"));
    assert!(!check(admin, "/nothing-there"));
    weir.signal(Signal::TERM);
    weir.wait(weir_testkit::PATIENCE);
    assert!(!check(admin, "/healthz"));
}

#[test]
fn the_script_for_wrk_posts_photos() {
    let Some(program) = require("wrk") else { return };
    let endpoint = Endpoint::replying(Reply::new(200));
    let weir = weir(&endpoint, "");
    let mut command = Command::new(program);
    command.args(["-t1", "-c2", "-d1s", "-s"]).arg(at("deploy/load/wrk.lua"));
    command.arg(format!("http://{}", weir.address())).arg("--").arg(at("optimizer/photos/life.jpg"));
    let said = said(&command.output().unwrap());
    assert!(said.contains("answers other than 2xx and 3xx: 0 of "), "{said}");
    let asked = &endpoint.requests()[0];
    assert_eq!((asked.method(), asked.target()), ("POST", "/optimize?text=weir&position=br"));
}
