//! `weir import FILE` as a command.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::asks::get;
use crate::stage::{Stage, import};

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/import/tests/confs").join(name)
}

#[test]
fn the_result_goes_to_standard_output_and_passes_the_check_and_the_list_goes_to_standard_error() {
    for name in
        ["seed.conf", "seed_health.conf", "lua.conf", "tls.conf", "patterns.conf", "conditions.conf", "locations.conf"]
    {
        let ran = import(&conf(name));
        assert!(ran.ok, "{name}: {}", ran.said);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("weir.toml");
        std::fs::write(&file, &ran.toml).unwrap();
        let check = Command::new(env!("CARGO_BIN_EXE_weir")).arg("check").arg(&file).output().unwrap();
        assert!(check.status.success(), "{name}: {}", String::from_utf8_lossy(&check.stderr));
    }
}

#[test]
fn lua_is_refused_aloud_and_what_it_guards_is_closed() {
    let ran = import(&conf("lua.conf"));
    for (line, directive) in
        [(3, "init_by_lua_block"), (8, "balancer_by_lua_block"), (14, "access_by_lua_block"), (19, "content_by_lua")]
    {
        let found = ran.said.lines().any(|said| said.contains(&format!("lua.conf:{line}: {directive}")));
        assert!(found, "{directive} in line {line}:\n{}", ran.said);
    }
    assert!(ran.toml.contains("path = \"/checked\"\nanswer = { status = 403 }"), "{}", ran.toml);
    assert!(ran.toml.contains("path = \"/made\"\nanswer = { status = 404 }"), "{}", ran.toml);
}

#[test]
fn a_site_for_tls_is_reached_from_this_machine_alone() {
    let ran = import(&conf("tls.conf"));
    assert!(ran.said.contains("tls.conf:11: listen 443 ssl http2: weir does not speak TLS yet"), "{}", ran.said);
    assert!(ran.toml.contains("address = \"127.0.0.1:8443\""), "{}", ran.toml);
    assert!(ran.toml.contains("listeners = [\"127.0.0.1:8443\"]"), "{}", ran.toml);
    assert!(ran.toml.contains("X-Forwarded-Proto = \"https\""), "{}", ran.toml);
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_place_and_nothing_is_printed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, "server {\n  listen 80\n}\n").unwrap();
    let ran = import(&file);
    assert!(!ran.ok && ran.toml.is_empty());
    assert!(ran.said.contains("nginx.conf:2: `listen` has no `;` behind it"), "{}", ran.said);
    let gone = import(Path::new("/nowhere/nginx.conf"));
    assert!(!gone.ok && gone.said.contains("cannot read `/nowhere/nginx.conf`: No such file"), "{}", gone.said);
}

#[test]
fn what_comes_out_runs_reloads_drains_and_explains_as_it_is() {
    let stage = Stage::new("precedence.conf");
    let weir = stage.weir();
    let admin = weir.admin().to_string();
    let run = |arguments: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).args(["--admin", &admin]).output().unwrap();
        let said = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(out.status.success(), "{arguments:?}: {said}");
        said
    };
    let endpoint = stage.endpoints["10.0.5.1:80"].address().to_string();
    assert_eq!(get("a", "/login/x").response(&weir).status, 200);
    assert!(run(&["status"]).contains(&endpoint));
    assert!(run(&["reload"]).contains("unchanged"));
    let explained = run(&["explain", "http://a/login/x"]);
    assert!(explained.contains("/login/") && explained.contains(&endpoint), "{explained}");
    let service = explained.lines().find_map(|line| line.strip_prefix("service")).unwrap().trim();
    let service = service.split(',').next().unwrap();
    assert!(run(&["drain", service, &endpoint]).contains("drained"));
    assert_eq!(get("a", "/login/x").response(&weir).status, 503);
    run(&["undrain", service, &endpoint]);
    assert_eq!(get("a", "/login/x").response(&weir).status, 200);
}
