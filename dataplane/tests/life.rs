//! The life of the real process: signals, readiness, refusals, privileges, and a binary upgrade.
//!
//! What needs root is checked only when the tests run as root; everything else as any user. Ports and paths are chosen
//! by the kernel and by temporary directories.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

#[expect(dead_code, reason = "shared with the scenarios, which look into records and views")]
mod common;
mod server;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::unistd::{User, geteuid};
use rustix::process::Signal;
use snapshot::handover::frames::{Reply, Request};

use server::{PATIENCE, Server, ask};

/// Publishes a zone in which `www.example.test.` has the address 192.0.2.`last`.
fn publish(dir: &Path, last: u8) {
    let zone = format!(
        "@ 60 IN SOA ns hostmaster {last} 7200 900 1209600 300\n@ 60 IN NS ns\nns 60 IN A 192.0.2.53\nwww 60 IN A \
         192.0.2.{last}\n"
    );
    common::publish(dir, &[("example.test.".parse().unwrap(), zone)]).unwrap();
}

/// A directory of snapshots with one generation.
fn snapshots() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    publish(dir.path(), 1);
    dir
}

/// Asks until the server says `last`, or for too long.
fn await_answer(server: &Server, last: u8) {
    let begun = std::time::Instant::now();
    while ask(server.addr) != Some(last) {
        assert!(begun.elapsed() < PATIENCE, "192.0.2.{last} is never served:\n{}", server.log());
    }
}

#[test]
fn sighup_takes_the_newest_generation_and_sigterm_ends_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = snapshots();
        let control = dir.path().join("control");
        let mut server = Server::start(dir.path(), "127.0.0.1:0", &control, |_| ());
        assert_eq!(ask(server.addr), Some(1));
        publish(dir.path(), 2);
        server.signal(Signal::HUP);
        await_answer(&server, 2);
        server.signal(signal);
        assert_eq!(server.end(), Some(0), "{}", server.log());
        assert!(server.log().contains("ended"), "{}", server.log());
        assert!(!control.exists());
    }
}

#[test]
fn a_directory_that_was_replaced_is_noticed() {
    let root = tempfile::tempdir().unwrap();
    let (followed, next) = (root.path().join("followed"), root.path().join("next"));
    for dir in [&followed, &next] {
        std::fs::create_dir(dir).unwrap();
        publish(dir, 1);
    }
    publish(&next, 2);
    let server = Server::start(&followed, "127.0.0.1:0", &root.path().join("control"), |_| ());
    std::fs::rename(&followed, root.path().join("old")).unwrap();
    std::fs::rename(&next, &followed).unwrap();
    let reply = server.request(&Request::Reload);
    assert!(matches!(reply, Reply::Serving(ref serving) if serving.generation == 2), "{reply:?}");
    assert_eq!(ask(server.addr), Some(2));
}

#[test]
fn a_server_that_is_killed_can_start_again_at_once() {
    for signal in [Signal::TERM, Signal::KILL] {
        let dir = snapshots();
        let control = dir.path().join("control");
        let mut listen = "127.0.0.1:0".to_owned();
        for _ in 0..5 {
            let mut server = Server::start(dir.path(), &listen, &control, |_| ());
            listen = server.addr.to_string();
            assert_eq!(ask(server.addr), Some(1));
            server.signal(signal);
            server.end();
        }
    }
}

#[test]
fn the_service_manager_is_told_of_readiness_and_of_the_end() {
    let dir = snapshots();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut buf = [0; 256];
    let mut next = || {
        let len = manager.recv(&mut buf).unwrap();
        String::from_utf8_lossy(&buf[..len]).into_owned()
    };
    let mut server = Server::start(dir.path(), "127.0.0.1:0", &dir.path().join("control"), |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert_eq!(next(), format!("READY=1\nMAINPID={}", server.id()));
    assert_eq!(next(), "WATCHDOG=1");
    server.signal(Signal::TERM);
    let last = std::iter::repeat_with(next).find(|word| word != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert_eq!(server.end(), Some(0));
}

#[test]
fn a_port_of_another_server_is_refused_with_what_to_do() {
    let dir = snapshots();
    let server = Server::start(dir.path(), "127.0.0.1:0", &dir.path().join("control"), |_| ());
    let second = Server::refused(dir.path(), &server.addr.to_string(), &dir.path().join("other"), |_| ());
    assert!(second.contains("is in use by another server; `ss -lnptu"), "{second}");
    assert!(!dir.path().join("other").exists());
    assert_eq!(ask(server.addr), Some(1));
}

/// Asks over and over until told to stop; returns how many queries went without their answer.
fn count_lost(addr: std::net::SocketAddr, stop: &AtomicBool) -> u32 {
    let mut lost = 0;
    while !stop.load(Ordering::Acquire) {
        lost += u32::from(ask(addr).is_none());
    }
    lost
}

#[test]
fn upgrades_of_the_real_process_lose_no_query() {
    for engine in ["uring", "socket"] {
        let dir = snapshots();
        let control = dir.path().join("control");
        let with_engine = |command: &mut std::process::Command| {
            command.args(["--engine", engine]);
        };
        let mut server = Server::start(dir.path(), "127.0.0.1:0", &control, with_engine);
        let (addr, stop) = (server.addr, &AtomicBool::new(false));
        let lost = thread::scope(|scope| {
            let clients = [(); 3].map(|()| scope.spawn(move || count_lost(addr, stop)));
            for _ in 0..4 {
                let next = Server::start(dir.path(), &addr.to_string(), &control, with_engine);
                assert_eq!(server.end(), Some(0), "{}", server.log());
                server = next;
            }
            stop.store(true, Ordering::Release);
            clients.map(|client| client.join().unwrap())
        });
        assert_eq!(lost, [0; 3], "{engine}: {}", server.log());
    }
}

/// The user `nobody`, if this is root and can become it; privileges cannot be dropped by anybody else.
fn nobody() -> Option<User> {
    User::from_name("nobody").unwrap().filter(|_| geteuid().is_root())
}

#[test]
fn privileges_are_given_up_for_good_and_the_process_reloads_and_hands_over_without_them() {
    let Some(nobody) = nobody() else { return };
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    // Snapshots are readable for their group, which they have from their directory.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o2750)).unwrap();
    publish(dir.path(), 1);
    let control = dir.path().join("control");
    let as_nobody = |command: &mut std::process::Command| {
        command.args(["--user", "nobody"]);
    };
    let mut first = Server::start(dir.path(), "127.0.0.1:0", &control, as_nobody);
    let status = fs::read_to_string(format!("/proc/{}/status", first.id())).unwrap();
    let ids = |field: &str| -> Vec<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.split_whitespace().map(|id| id.parse().unwrap()).collect()
    };
    assert_eq!(ids("Uid:"), [nobody.uid.as_raw(); 4]);
    assert_eq!(ids("Gid:"), [nobody.gid.as_raw(); 4]);
    assert!(!ids("Groups:").contains(&0), "{status}");
    assert_eq!(ask(first.addr), Some(1));
    publish(dir.path(), 2);
    let reply = first.request(&Request::Reload);
    assert!(matches!(reply, Reply::Serving(_)), "{reply:?}");
    assert_eq!(ask(first.addr), Some(2));
    let second = Server::start(dir.path(), &first.addr.to_string(), &control, as_nobody);
    assert_eq!(first.end(), Some(0), "{}", first.log());
    assert_eq!(ask(second.addr), Some(2));
    let Reply::Status(status) = second.request(&Request::Status) else { panic!("no status") };
    assert_eq!((status.pid, status.retiring), (second.id(), false));
}

#[test]
fn a_successor_that_may_not_replace_the_socket_ends_before_the_old_one_retires() {
    if nobody().is_none() {
        return;
    }
    // Closed to nobody, and open to all but sticky.
    for mode in [0o755, 0o1777] {
        let dir = snapshots();
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
        let control = place.path().join("control");
        let server = Server::start(dir.path(), "127.0.0.1:0", &control, |_| ());
        let refused = Server::refused(dir.path(), &server.addr.to_string(), &control, |command| {
            command.args(["--user", "nobody"]);
        });
        assert!(refused.contains("cannot create or replace files in its directory"), "{mode:o}: {refused}");
        assert_eq!(ask(server.addr), Some(1));
        let Reply::Status(status) = server.request(&Request::Status) else { panic!("no status") };
        assert!(!status.retiring);
    }
}

#[test]
fn an_unknown_group_or_user_is_refused_by_name() {
    let dir = snapshots();
    let control = dir.path().join("control");
    let refused = Server::refused(dir.path(), "127.0.0.1:0", &control, |command| {
        command.args(["--control-group", "no-such-group"]);
    });
    assert!(refused.contains("there is no group `no-such-group`"), "{refused}");
    let refused = Server::refused(dir.path(), "127.0.0.1:0", &control, |command| {
        command.args(["--user", "no-such-user"]);
    });
    let expected = if geteuid().is_root() { "there is no user `no-such-user`" } else { "--user needs root" };
    assert!(refused.contains(expected), "{refused}");
}
