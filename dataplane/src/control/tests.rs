//! The control socket with a desk that knows little.
//!
//! Paths are in temporary directories; clients are of this process's user.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::AtomicBool;

use snapshot::handover::frames::{PROTOCOL, Status};

use super::*;

/// Answers status, retires, and refuses the rest.
#[derive(Default)]
struct Fake {
    /// Whether it was told to retire.
    retired: AtomicBool,
}

impl Desk for Fake {
    fn reply(&self, request: Request) -> Reply {
        match request {
            Request::Status => Reply::Status(Box::new(status())),
            Request::Retire => Reply::Retiring,
            other => Reply::Error { message: format!("{other:?}") },
        }
    }

    fn hand_over(&self) -> Vec<TcpListener> {
        vec![TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()]
    }

    fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }
}

/// A status of generation 9.
fn status() -> Status {
    Status {
        protocol: PROTOCOL,
        version: "0".into(),
        pid: 1,
        uptime_secs: 0,
        directory: "/".into(),
        generation: Some(9),
        zones: 0,
        bytes: 0,
        refused: None,
        engine: "memory".into(),
        engine_notes: Vec::new(),
        listen: Vec::new(),
        workers: 0,
        retiring: false,
        quarantine: Vec::new(),
    }
}

/// A served control socket and its desk.
fn served(path: &Path) -> (Control, Arc<Fake>) {
    let control = Control::bind(path, Claim::IfFree, Audience::Owner).unwrap();
    control.publish().unwrap();
    let desk = Arc::new(Fake::default());
    control.serve(desk.clone()).unwrap();
    (control, desk)
}

/// One exchange.
fn ask(mut client: &UnixStream, request: &Request) -> Reply {
    write_frame(&mut client, request).unwrap();
    read_frame(&mut client).unwrap().unwrap()
}

#[test]
fn requests_are_answered_one_after_the_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let (control, _) = served(&path);
    assert_eq!(fs::metadata(control.path()).unwrap().mode() & 0o777, 0o600);
    let client = UnixStream::connect(&path).unwrap();
    assert_eq!(ask(&client, &Request::Status), Reply::Status(Box::new(status())));
    assert_eq!(ask(&client, &Request::Stats), Reply::Error { message: "Stats".into() });
    drop(control);
    assert!(!path.exists());
}

#[test]
fn hostile_frames_close_the_connection_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let (_control, _) = served(&path);
    let deep = "[".repeat(100_000);
    let deep = [&u32::try_from(deep.len()).unwrap().to_be_bytes()[..], deep.as_bytes()].concat();
    for hostile in [&[0xff; 64][..], b"\0\0\0\x02{}", b"\0\0\0\x05hello", &deep] {
        let mut client = UnixStream::connect(&path).unwrap();
        client.write_all(hostile).unwrap();
        let mut rest = Vec::new();
        // Bytes that were not read when the socket closes turn the end of the stream into a reset.
        if let Err(error) = client.read_to_end(&mut rest) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        }
        assert!(rest.is_empty());
    }
    assert_eq!(ask(&UnixStream::connect(&path).unwrap(), &Request::Status), Reply::Status(Box::new(status())));
}

#[test]
fn too_many_clients_are_turned_away_until_some_leave() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let (_control, _) = served(&path);
    let clients: Vec<_> = (0..CLIENTS_MAX).map(|_| UnixStream::connect(&path).unwrap()).collect();
    clients.iter().for_each(|client| assert!(matches!(ask(client, &Request::Status), Reply::Status(_))));
    let mut extra = UnixStream::connect(&path).unwrap();
    assert_eq!(extra.read(&mut [0]).unwrap(), 0);
    drop(clients);
    let admitted = (0..10_000).any(|_| {
        thread::yield_now();
        let mut client = UnixStream::connect(&path).unwrap();
        write_frame(&mut client, &Request::Status).is_ok() && matches!(read_frame::<Reply>(&mut client), Ok(Some(_)))
    });
    assert!(admitted);
}

#[test]
fn a_live_socket_is_respected_and_a_stale_one_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    drop(UnixListener::bind(&path).unwrap());
    let (first, _) = served(&path);
    assert!(matches!(Control::bind(&path, Claim::IfFree, Audience::Owner), Err(ControlError::Busy { .. })));
    let second = Control::bind(&path, Claim::Replace, Audience::Owner).unwrap();
    second.publish().unwrap();
    drop(first);
    assert!(path.exists(), "the path belongs to the second");
    drop(second);
    fs::write(&path, "a file").unwrap();
    let bind = |path: &Path| Control::bind(path, Claim::Replace, Audience::Owner);
    assert!(matches!(bind(&path), Err(ControlError::NoSocket { .. })));
    assert!(matches!(bind(&dir.path().join("no/dir")), Err(ControlError::Io { .. })));
}

#[test]
fn a_rehearsed_socket_is_published_and_leaves_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let mut control = Control::bind(&path, Claim::IfFree, Audience::Owner).unwrap();
    control.rehearse().unwrap();
    control.publish().unwrap();
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["control"]);
    drop(control);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_group_gets_the_socket_and_may_ask_but_not_take_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    let gid = rustix::process::getegid().as_raw();
    let control = Control::bind(&path, Claim::IfFree, Audience::Group(gid)).unwrap();
    control.publish().unwrap();
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.mode() & 0o777, file.gid()), (0o660, gid));
    for (caller, request, takes_over) in [
        (Caller::Member, Request::Status, false),
        (Caller::Member, Request::Retire, false),
        (Caller::Owner, Request::Retire, true),
    ] {
        let (client, server) = UnixStream::pair().unwrap();
        let desk = Arc::new(Fake::default());
        let served = Arc::clone(&desk);
        let conversation = thread::spawn(move || converse(&server, caller, served.as_ref()));
        let reply = ask(&client, &request);
        assert_eq!(matches!(reply, Reply::Retiring), takes_over, "{caller:?} {request:?}");
        assert_eq!(matches!(reply, Reply::Status(_)), request == Request::Status);
        drop(client);
        // A successor that goes away before it has the listeners is an error of the conversation.
        conversation.join().unwrap().ok();
        assert_eq!(desk.retired.load(Ordering::Acquire), takes_over, "{caller:?} {request:?}");
    }
}

#[test]
fn a_successor_finds_its_predecessor_and_gets_its_listeners() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control");
    assert!(predecessor::find(&path).unwrap().is_none());
    let (_control, desk) = served(&path);
    let found = predecessor::find(&path).unwrap().unwrap();
    assert_eq!(found.status.generation, Some(9));
    assert_eq!(found.retire().unwrap().len(), 2);
    while !desk.retired.load(Ordering::Acquire) {
        thread::yield_now();
    }
}
