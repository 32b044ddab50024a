//! Raw bytes over a loopback connection against the HTTP server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::{Limits, accept};
use crate::planes::{Pace, Planes};

/// Limits that make slow peers fail fast.
fn limits() -> Limits {
    let short = Duration::from_millis(100);
    Limits { connection_count: 4, head_time: short, body_time: short, drain_time: short, ..Limits::default() }
}

/// Runs a server without a data plane while `talk` talks to it.
fn with_server(limits: Limits, talk: impl FnOnce(SocketAddr)) {
    let (sender, stop) = watch::channel(false);
    let (tell, told) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let planes = Planes::new("/nowhere".into(), vec!["/nowhere/control".into()], Pace::default());
            accept(listener, Arc::new(planes), stop, limits).await;
        });
    });
    talk(told.recv().unwrap());
    sender.send_replace(true);
    server.join().unwrap();
}

/// Sends `request`, closes our side, and returns all that comes back.
fn talk(addr: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    // The server may refuse early and close: what it said until then counts.
    stream.write_all(request).ok();
    stream.shutdown(Shutdown::Write).ok();
    read_all(stream)
}

/// Reads until the server closes.
fn read_all(mut stream: TcpStream) -> String {
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).ok();
    String::from_utf8(reply).unwrap()
}

#[test]
fn each_request_gets_its_status() {
    let long_header = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many_headers = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let chunked = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n{}", "x".repeat(0x20_0000));
    let cases: &[(&str, &str)] = &[
        ("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"),
        ("HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"),
        ("GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        ("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 503"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
        ("GET /healthz/../x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
        ("DELETE /healthz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 405"),
        ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413"),
        ("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400"),
        ("G\u{1}T / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        (&long_header, "HTTP/1.1 431"),
        (&many_headers, "HTTP/1.1 431"),
        (&long_line, "HTTP/1.1 4"),
        (&chunked, "HTTP/1.1 413"),
    ];
    with_server(limits(), |addr| {
        for (request, expected) in cases {
            let reply = talk(addr, request.as_bytes());
            let shown = &request[..request.len().min(60)];
            assert!(reply.starts_with(expected), "{shown:?} got {reply:?} instead of {expected}");
        }
    });
}

#[test]
fn bodies_and_types_are_as_documented() {
    with_server(limits(), |addr| {
        let health = talk(addr, b"GET /healthz HTTP/1.1\r\n\r\n");
        assert!(health.contains("content-type: text/plain") && health.ends_with("\r\n\r\nok\n"), "{health}");
        let metrics = talk(addr, b"GET /metrics HTTP/1.1\r\n\r\n");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\ndns_plane_up{plane=\"/nowhere/control\"} 0\n"), "{metrics}");
        let ready = talk(addr, b"GET /readyz HTTP/1.1\r\n\r\n");
        let expected = r#"{"ready":false,"planes":[{"path":"/nowhere/control","attached":false,"generation":null}]}"#;
        assert!(ready.ends_with(&format!("{expected}\n")), "{ready}");
        let method = talk(addr, b"PUT /metrics HTTP/1.1\r\n\r\n");
        assert!(method.contains("allow: GET, HEAD\r\n"), "{method}");
    });
}

#[test]
fn slow_peers_lose_their_connection_and_others_are_served() {
    with_server(limits(), |addr| {
        let slow = ["", "GET /healthz HTT", "GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab"];
        let open = slow.map(|begin| {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(begin.as_bytes()).unwrap();
            stream
        });
        // All slots are held by slow peers: this one waits until the first of them is thrown out.
        assert!(talk(addr, b"GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 200"));
        for stream in open {
            let reply = read_all(stream);
            assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 408"), "{reply}");
        }
    });
}

#[test]
fn the_end_does_not_wait_for_idle_connections() {
    let patient = Limits { head_time: Duration::from_secs(3600), ..limits() };
    let mut kept = None;
    with_server(patient, |addr| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        kept = Some(stream);
    });
    assert!(read_all(kept.unwrap()).ends_with("ok\n"));
}
