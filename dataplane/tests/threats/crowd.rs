//! T-D1, fault 38: clients that connect and then do nothing, little, or never read, more of them than there are places.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common;
use crate::packets::{name, query};
use crate::server::{PATIENCE, Server, ask};

/// Places of the server.
const PLACES: usize = 600;
/// Silent clients: three times as many.
const SILENT: usize = 1_800;
/// Clients that send an octet now and then, and clients that ask much and read nothing.
const RUDE: usize = 100;

/// How long a new client waits for its answer over TCP.
fn ask_over_tcp(server: SocketAddr) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = query(&name("www.example.test."), 1, 1);
    let frame = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
    stream.write_all(&frame).unwrap();
    let mut reply = [0; 40];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[2..4], message[..2], "the id of the question");
    begun.elapsed()
}

#[test]
fn t_d1_fault_38_a_crowd_of_idle_slow_and_deaf_clients_keeps_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let zone = "@ 60 SOA ns host 1 7200 900 604800 300\n@ 60 NS ns\nns 60 A 192.0.2.53\nwww 60 A 192.0.2.7\n";
    common::publish(dir.path(), &[("example.test.".parse().unwrap(), zone.to_owned())]).unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, format!("[tcp]\nconnections_max = {PLACES}\n")).unwrap();
    let server = Server::start(dir.path(), "127.0.0.1:0", &dir.path().join("control"), |command| {
        command.arg("--config").arg(&config);
    });
    let addr = server.addr;
    // The limit of open files is that of the shell; half of them are ours.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    rustix::process::setrlimit(
        rustix::process::Resource::Nofile,
        rustix::process::Rlimit { current: limit.maximum, ..limit },
    )
    .unwrap();
    let over = AtomicBool::new(false);
    let (waits, lost) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let silent: Vec<_> = (0..SILENT).map(|_| TcpStream::connect(addr).unwrap()).collect();
            let mut rude: Vec<_> = (0..RUDE).map(|_| TcpStream::connect(addr).unwrap()).collect();
            let mut deaf: Vec<_> = (0..RUDE).map(|_| TcpStream::connect(addr).unwrap()).collect();
            let message = query(&name("www.example.test."), 1, 1);
            let frame = [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat();
            for stream in &deaf {
                stream.set_nonblocking(true).unwrap();
            }
            while !over.load(Ordering::Relaxed) {
                for stream in &mut rude {
                    // One that was made to leave comes back, as its kind does.
                    if stream.write_all(&[0]).is_err() {
                        *stream = TcpStream::connect(addr).unwrap();
                    }
                }
                for stream in &mut deaf {
                    // Whether the server still takes it is its own affair.
                    stream.write_all(&frame.repeat(50)).ok();
                }
            }
            drop(silent);
        });
        let mut waits: Vec<_> = (0..200).map(|_| ask_over_tcp(addr)).collect();
        let lost = (0..2_000).filter(|_| ask(addr) != Some(7)).count();
        over.store(true, Ordering::Relaxed);
        waits.sort();
        (waits, lost)
    });
    assert_eq!(lost, 0, "queries over UDP");
    let (median, worst) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    println!("a new client waits {median:?}, at most {worst:?}");
    assert!(median < Duration::from_millis(100), "{median:?}");
    assert!(worst < Duration::from_secs(2), "{worst:?}");
}
