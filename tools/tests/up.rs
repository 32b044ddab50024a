//! `dnsctl up` as a user runs it: both processes come up on free ports, answer, and end with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Starts `up` on free ports and waits for its document.
fn start(dir: &Path) -> (Child, serde_json::Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsctl"));
    command.args(["up", "--json", "--dns", "127.0.0.1:0", "--api", "127.0.0.1:0", "--dir"]).arg(dir);
    let mut up = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(up.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (up, serde_json::from_str(&line).unwrap())
}

/// Sends a signal to a process.
fn signal(pid: u64, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

/// Waits until both children are gone, for at most some seconds of yielding.
fn check_gone(document: &serde_json::Value) {
    let begin = std::time::Instant::now();
    for key in ["dataplane_pid", "controlplane_pid"] {
        let pid = Pid::from_raw(i32::try_from(document[key].as_u64().unwrap()).unwrap()).unwrap();
        while test_kill_process(pid).is_ok() {
            assert!(begin.elapsed() < Duration::from_secs(20), "{key} is still there");
            std::thread::yield_now();
        }
    }
}

#[test]
fn both_processes_answer_and_end_with_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let (mut up, document) = start(&dir.path().join("data"));
    let query = b"\0\x07\0\0\0\x01\0\0\0\0\0\0\x03www\x07example\x04test\0\0\x01\0\x01";
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.send_to(query, document["dns"].as_str().unwrap()).unwrap();
    let mut reply = [0; 512];
    let len = socket.recv(&mut reply).unwrap();
    assert!(len > query.len() && reply[..2] == query[..2] && reply[3] & 15 == 0, "{:?}", &reply[..len]);
    let mut http = TcpStream::connect(document["api"].as_str().unwrap()).unwrap();
    http.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut health = String::new();
    http.read_to_string(&mut health).unwrap();
    assert!(health.starts_with("HTTP/1.0 200"), "{health}");
    signal(u64::from(up.id()), Signal::TERM);
    assert!(up.wait().unwrap().success());
    check_gone(&document);
}

#[test]
fn a_crash_of_up_ends_the_children() {
    let dir = tempfile::tempdir().unwrap();
    let (mut up, document) = start(dir.path());
    up.kill().unwrap();
    up.wait().unwrap();
    check_gone(&document);
}

#[test]
fn the_death_of_a_child_ends_up_with_its_own_exit_code() {
    for key in ["dataplane_pid", "controlplane_pid"] {
        let dir = tempfile::tempdir().unwrap();
        let (mut up, document) = start(dir.path());
        signal(document[key].as_u64().unwrap(), Signal::KILL);
        assert_eq!(up.wait().unwrap().code(), Some(4));
        check_gone(&document);
    }
}
