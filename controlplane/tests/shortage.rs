//! The process when it lacks what it needs: file descriptors, a database that can be read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The process, ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts the process with at most `count` open files; it and its address.
fn start_with_files(count: u32, dir: &Path) -> io::Result<(Running, SocketAddr)> {
    let script = format!("ulimit -n {count}; exec \"$0\" \"$@\"");
    let mut child = Command::new("sh")
        .args(["-c", &script, env!("CARGO_BIN_EXE_dns-controlplane"), "--api", "127.0.0.1:0", "--snapshots"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let out = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let running = Running(child);
    let mut ready = String::new();
    BufReader::new(out).read_line(&mut ready)?;
    let addr = ready.trim().strip_prefix("ready http://").and_then(|addr| addr.parse().ok());
    Ok((running, addr.ok_or_else(|| io::Error::other(ready))?))
}

/// Asks over an open connection; the whole reply.
fn ask(stream: &mut TcpStream, path: &str) -> io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes())?;
    let mut reply = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let len = stream.read(&mut piece)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        reply.extend_from_slice(&piece[..len]);
        let text = String::from_utf8_lossy(&reply);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let told = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if told.and_then(|len| len.parse().ok()) == Some(body.len()) {
            return Ok(text.into_owned());
        }
    }
}

/// Fault 9: accepting pauses, who is connected goes on being served, and with the files come back the connections.
#[test]
fn without_file_descriptors_accepting_pauses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let (_running, addr) = start_with_files(64, dir.path()).unwrap();
    let mut kept = TcpStream::connect(addr).unwrap();
    assert!(ask(&mut kept, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
    // The kernel completes connections that the process cannot accept: they are in its queue.
    let many: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(addr).unwrap()).collect();
    let begun = Instant::now();
    loop {
        let page = ask(&mut kept, "/metrics").unwrap();
        let failures = page.lines().find_map(|line| line.strip_prefix("dns_http_accept_failures_total "));
        if failures.is_some_and(|count| count != "0") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "nothing failed: {page}");
    }
    drop(many);
    let mut late = TcpStream::connect(addr).unwrap();
    assert!(ask(&mut late, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
}

/// What is left of a damaged database may be all that there is: it is refused with the remedy, and never touched.
#[test]
fn a_database_that_is_none_ends_the_start_with_the_remedy_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (state, snapshots) = (dir.path().join("state"), dir.path().join("snapshots"));
    std::fs::create_dir_all(&snapshots).unwrap();
    std::fs::create_dir(&state).unwrap();
    let left = b"not a database, but once it was\n".repeat(400);
    std::fs::write(state.join("petrel.db"), &left).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_dns-controlplane"))
        .args(["--api", "127.0.0.1:0", "--snapshots"])
        .arg(&snapshots)
        .arg("--state")
        .arg(&state)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{told}");
    assert!(told.contains("dnsctl restore FILE") && told.contains("Nothing was changed"), "{told}");
    assert_eq!(std::fs::read(state.join("petrel.db")).unwrap(), left);
}
