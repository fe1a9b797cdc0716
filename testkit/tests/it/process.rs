//! Real processes.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use weir_testkit::{PATIENCE, Process, Signal, Weir, free_port};

#[test]
fn lines_memory_and_exit_status_are_those_of_the_process() {
    let mut process =
        Process::start("/bin/sh", ["-c", "trap 'exit 3' TERM; echo a; echo ready 7 >&2; while :; do sleep 0.01; done"]);
    assert_eq!(process.wait_for_line("ready "), "7");
    assert!(process.memory().now > 0);
    process.signal(Signal::TERM);
    assert_eq!(process.wait(PATIENCE).code(), Some(3));
}

#[test]
fn a_process_that_ends_early_is_reported_with_its_output() {
    let waiting = std::thread::spawn(|| {
        Process::start("/bin/sh", ["-c", "echo no such file >&2; exit 1"]).wait_for_line("listening");
    });
    let said = *waiting.join().unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("no such file"), "{said}");
}

#[test]
fn a_killed_process_is_gone() {
    let mut process = Process::start("/bin/sh", ["-c", "sleep 100"]);
    process.signal(Signal::KILL);
    assert_eq!(process.wait(Duration::from_secs(5)).signal(), Some(9));
    assert!(!process.is_running());
}

#[test]
fn no_port_is_given_twice() {
    let ports: std::collections::BTreeSet<u16> = (0..50).map(|_| free_port()).collect();
    assert_eq!(ports.len(), 50);
}

#[test]
fn weir_is_started_with_its_file_and_its_addresses_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let fake = folder.path().join("weir");
    let script = "#!/bin/sh\ngrep -q name \"$2\" || exit 1\necho listening on http://127.0.0.1:1001\n\
                  echo listening on http://127.0.0.1:1002\necho admin on http://127.0.0.1:1003\nexec sleep 100\n";
    std::fs::write(&fake, script).unwrap();
    std::fs::set_permissions(&fake, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let weir = Weir::start(&fake, "[[listener]]\nname = 1\n[[listener]]\n");
    assert_eq!(weir.listeners().iter().map(std::net::SocketAddr::port).collect::<Vec<_>>(), [1001, 1002]);
    assert_eq!(weir.admin().port(), 1003);
    assert_eq!(weir.stop().signal(), Some(15));
}
