//! weir under systemd, as far as that is a datagram socket.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;

use weir_testkit::{Endpoint, PATIENCE, Process, Raw, Signal};

use crate::support::{Setup, WEIR};

/// A weir that is told to tell this socket; its file lies in the folder.
fn start(folder: &Path, name: &str) -> Process {
    let file = folder.join("weir.toml");
    std::fs::write(&file, Setup::of(&[Endpoint::absent()]).toml()).unwrap();
    let mut command = Command::new(WEIR);
    command.arg("run").arg(&file).env("NOTIFY_SOCKET", name);
    let mut weir = Process::spawn(command);
    weir.wait_for_line("listening on http://");
    weir
}

fn told(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn systemd_is_told_when_clients_are_served_of_a_reload_and_when_weir_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let by_path = UnixDatagram::bind(&path).unwrap();
    let name = format!("weir-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let by_name = UnixDatagram::bind_addr(&address).unwrap();
    for (socket, name) in [(by_path, path.display().to_string()), (by_name, format!("@{name}"))] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut weir = start(folder.path(), &name);
        assert_eq!(told(&socket).lines().next(), Some("READY=1"));
        let admin = weir.wait_for_line("admin on http://").parse().unwrap();
        assert_eq!(Raw::get(admin, "/readyz").status, 200);
        weir.signal(Signal::HUP);
        let reloading = told(&socket);
        let moment = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(moment.is_some_and(|moment| moment.parse::<u64>().is_ok()), "{reloading}");
        assert_eq!(told(&socket), "READY=1\nSTATUS=serving; the last reload: unchanged");
        weir.signal(Signal::TERM);
        assert_eq!(told(&socket).lines().next(), Some("STOPPING=1"));
        assert_eq!(weir.wait(PATIENCE).code(), Some(0));
    }
}

#[test]
fn a_socket_that_is_not_there_does_not_keep_weir_from_serving() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["/nowhere/notify", "@nobody-listens-here", "relative", ""] {
        let mut weir = start(folder.path(), name);
        weir.signal(Signal::TERM);
        assert_eq!(weir.wait(PATIENCE).code(), Some(0), "{name}: {}", weir.output());
    }
}
