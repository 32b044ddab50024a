//! Raw bytes over a loopback connection: framing, limits, slow peers, the local socket.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;

use super::super::server::Settings;
use super::super::toy::{ROUTES, Toy, quick, read_all, talk, with_server};
use super::*;

/// Settings with quick limits.
fn settings() -> Settings {
    Settings { limits: quick(), ..Settings::default() }
}

#[test]
fn each_request_gets_its_status() {
    let long_header = format!("GET /api/v1/ HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let many_headers = format!("GET /api/v1/ HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    let post = "POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token good\r\n";
    let json = format!("{post}Content-Type: application/json\r\n");
    let chunked = format!("{json}Transfer-Encoding: chunked\r\n\r\n");
    let cases: &[(&str, &str)] = &[
        ("GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"),
        ("HEAD /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200"),
        ("GET /api/v1/ HTTP/1.0\r\n\r\n", "HTTP/1.0 200"),
        ("GET /api/v1/ HTTP/1.0\r\nHost: a\r\n\r\n", "HTTP/1.0 200"),
        ("GET http://a/api/v1/ HTTP/1.1\r\nHost: b\r\n\r\n", "HTTP/1.1 200"),
        ("GET /api/v1/ HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        ("GET /api/v1/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "HTTP/1.1 400"),
        ("GET /api/v1/ HTTP/1.1\r\nHost: a/b\r\n\r\n", "HTTP/1.1 400"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
        ("BREW /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 405"),
        ("G\u{1}T / HTTP/1.1\r\n\r\n", "HTTP/1.1 400"),
        (&long_header, "HTTP/1.1 431"),
        (&many_headers, "HTTP/1.1 431"),
        (&long_line, "HTTP/1.1 4"),
        (&format!("{json}Content-Length: 2\r\n\r\n{{}}"), "HTTP/1.1 200"),
        (&format!("{json}Content-Length: 99999999\r\n\r\n"), "HTTP/1.1 413"),
        (&format!("{json}Content-Length: x\r\n\r\n"), "HTTP/1.1 400"),
        (&format!("{json}Content-Length: 9\r\n\r\n{{}}"), "HTTP/1.1 400"),
        (&format!("{post}Content-Length: 99999999\r\n\r\n"), "HTTP/1.1 415"),
        (&format!("{chunked}2\r\n{{}}\r\n0\r\n\r\n"), "HTTP/1.1 200"),
        (&format!("{chunked}x\r\n{{}}\r\n0\r\n\r\n"), "HTTP/1.1 400"),
        (&format!("{chunked}2100000\r\n{}", " ".repeat(0x210_0000)), "HTTP/1.1 413"),
    ];
    let patient = Limits { head_time: Duration::from_secs(5), body_time: Duration::from_secs(30), ..quick() };
    with_server(Settings { limits: patient, ..Settings::default() }, |addr, _| {
        for (request, expected) in cases {
            let reply = talk(addr, request.as_bytes());
            let shown = &request[..request.len().min(200)];
            assert!(reply.starts_with(expected), "{shown:?} got {reply:?} instead of {expected}");
        }
    });
}

/// T-F13: what could be read in two ways is refused, the connection closed, and what follows never seen as a request.
#[test]
fn smuggled_requests_are_refused_and_the_connection_closed() {
    let smuggled = "GET /api/v1/?smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let post =
        "POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token good\r\nContent-Type: application/json\r\n";
    let len = smuggled.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let cases = [
        format!("{post}Content-Length: {len}\r\n{chunked}\r\n0\r\n\r\n{smuggled}"),
        format!("{post}{chunked}Content-Length: {len}\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}Content-Length: 0\r\nContent-Length: {len}\r\n\r\n{smuggled}"),
        format!("{post}Content-Length: 0\r\nContent-Length: 0\r\n\r\n{smuggled}"),
        format!("{post}Content-Length: 0, 0\r\n\r\n{smuggled}"),
        format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}Transfer-Encoding: x\r\n{chunked}\r\n0\r\n\r\n{smuggled}"),
        format!("{post}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        format!("{post}X: y\n\r\n{smuggled}"),
        format!("{post}\nContent-Length: 0\r\n\r\n{smuggled}"),
        format!("{post}X: y\r\n folded\r\n\r\n{smuggled}"),
        format!("GET /api/v1/ HTTP/1.1\nHost: a\n\n{smuggled}"),
        format!("{post}{chunked}\r\n1\n0\n0\r\n\r\n{smuggled}"),
        format!("{post}{chunked}\r\n0\n\n{smuggled}"),
        format!("{post}{chunked}\r\n1\r\n00\r\n0\r\n\r\n{smuggled}"),
    ];
    with_server(settings(), |addr, _| {
        for request in cases {
            let reply = talk(addr, request.as_bytes());
            assert!(
                reply.starts_with("HTTP/1.1 400 ") && reply.contains("connection: close\r\n"),
                "{request}\ngot {reply}"
            );
            assert_eq!(reply.matches("HTTP/1.").count(), 1, "{request}\ngot {reply}");
        }
    });
}

#[test]
fn slow_peers_lose_their_connection_and_others_are_served() {
    with_server(settings(), |addr, _| {
        let json = "POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token good\r\n\
                    Content-Type: application/json\r\nContent-Length: 9\r\n\r\nab";
        let slow = ["", "GET /healthz HTT", "GET / HTTP/1.1\r\nX: ", json];
        let open = slow.map(|begin| {
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(begin.as_bytes()).unwrap();
            stream
        });
        // All places are held by slow peers: one that has no request under way gives way.
        assert!(talk(addr, b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200"));
        for stream in open {
            let reply = read_all(stream);
            assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 408"), "{reply}");
        }
    });
}

#[test]
fn the_end_does_not_wait_for_idle_connections() {
    let patient = Limits { head_time: Duration::from_secs(3600), ..quick() };
    let mut kept = None;
    with_server(Settings { limits: patient, ..Settings::default() }, |addr, _| {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        kept = Some(stream);
    });
    assert!(read_all(kept.unwrap()).ends_with('}'));
}

#[test]
fn a_connection_that_has_lived_for_long_ends_with_an_answer_that_says_so() {
    let brief = Limits { connection_time: Duration::ZERO, head_time: Duration::from_secs(3600), ..quick() };
    with_server(Settings { limits: brief, ..Settings::default() }, |addr, _| {
        let mut stream = TcpStream::connect(addr).unwrap();
        let mut reply = String::new();
        while !reply.contains("connection: close\r\n") {
            stream.write_all(b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut part = [0; 4096];
            let len = stream.read(&mut part).unwrap();
            assert!(len > 0, "a question was not answered");
            reply = String::from_utf8_lossy(&part[..len]).into_owned();
        }
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn requests_on_one_connection_are_answered_in_turn() {
    with_server(settings(), |addr, _| {
        let refused = "POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}";
        let good = "GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n";
        // A refusal before the body was read passes over it, so that the next request is found.
        let reply = talk(addr, format!("{good}{refused}{good}").as_bytes());
        let found: Vec<_> = reply.match_indices("HTTP/1.1 ").map(|(off, _)| &reply[off + 9..off + 12]).collect();
        assert_eq!(found, ["200", "401", "200"], "{reply}");
    });
}

#[test]
fn who_waits_for_100_is_refused_without_it_and_asked_with_it() {
    with_server(settings(), |addr, _| {
        let head = "Host: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n";
        let refused = format!("POST /api/v1/domains/ HTTP/1.1\r\n{head}\r\n");
        let reply = talk(addr, refused.as_bytes());
        assert!(reply.starts_with("HTTP/1.1 401") && reply.contains("connection: close\r\n"), "{reply}");
        let asked = format!("POST /api/v1/domains/ HTTP/1.1\r\nAuthorization: Token good\r\n{head}\r\n{{}}");
        let reply = talk(addr, asked.as_bytes());
        assert!(reply.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), "{reply}");
    });
}

#[test]
fn the_local_socket_is_for_its_own_user_and_says_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api");
    let server = Server::new(Arc::new(Toy::default()), &[ROUTES], settings());
    let (sender, stop) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    // Whatever a former process left is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = runtime.block_on(async { Listener::local(&path) }).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let accepts = runtime.spawn(accept(listener, server, stop));
    let say = |head: &str| {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(format!("GET /api/v1/domains/example/ HTTP/1.1\r\nHost: a\r\n{head}\r\n").as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_all(stream)
    };
    let uid = fs::metadata(dir.path()).unwrap().uid();
    let reply = say("");
    assert!(reply.contains(&format!(r#""caller":"uid {uid}","client":"127.0.0.1""#)), "{reply}");
    // Credentials that are presented win, and bad ones are not made good by the socket.
    assert!(say("Authorization: Token good\r\n").contains(r#""caller":"good""#));
    assert!(say("Authorization: Token bad\r\n").starts_with("HTTP/1.1 401"));
    let spoofed = say("X-Forwarded-For: 192.0.2.1\r\n");
    assert!(spoofed.contains(r#""client":"127.0.0.1""#), "{spoofed}");
    sender.send_replace(true);
    runtime.block_on(accepts).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    assert!(runtime.block_on(async { Listener::local(&path).map(drop) }).is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn peers_that_send_nothing_hold_up_nobody() {
    // Nothing but giving way can end them while the test runs.
    let patient = Limits { head_time: Duration::from_secs(3600), ..Limits::default() };
    with_server(Settings { limits: patient, ..Settings::default() }, |addr, _| {
        let begins = ["", "GET /healthz HTT"];
        let silent: Vec<TcpStream> = (0..1000)
            .map(|idx| {
                let mut stream = TcpStream::connect(addr).unwrap();
                stream.write_all(begins[idx % 2].as_bytes()).unwrap();
                stream
            })
            .collect();
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let begun = std::time::Instant::now();
            assert!(talk(addr, b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200"));
            slowest = slowest.max(begun.elapsed());
        }
        println!("slowest of 20 beside {} silent peers: {slowest:?}", silent.len());
        // A tenth of that is usual; machines that run tests are busy.
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    });
}

#[test]
fn who_takes_a_long_answer_slowly_does_not_give_way() {
    /// More than the buffers of both sockets hold.
    const LEN: usize = 16 << 20;
    let limits = Limits { connection_count: 2, ..Limits::default() };
    with_server(Settings { limits, ..Settings::default() }, |addr, _| {
        let mut begin = [0; 12];
        let mut slow = TcpStream::connect(addr).unwrap();
        let head = "POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token good\r\nConnection: close\r\n";
        let body = format!("\"{}\"", "x".repeat(LEN));
        let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        slow.write_all(format!("{head}{fields}{body}").as_bytes()).unwrap();
        slow.read_exact(&mut begin).unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        // The other place is held by one that is idle for less long.
        let mut kept = TcpStream::connect(addr).unwrap();
        kept.write_all(b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        kept.read_exact(&mut begin).unwrap();
        for _ in 0..2 {
            assert!(talk(addr, b"GET /api/v1/ HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200"));
        }
        assert!(read_all(kept).ends_with('}'));
        let rest = read_all(slow);
        assert!(rest.len() > LEN && rest.ends_with('}'), "{} of {LEN} octets", rest.len());
    });
}

#[test]
fn who_sends_too_much_or_the_wrong_thing_can_read_why() {
    let post = "POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nAuthorization: Token good\r\n";
    let long = 40 << 20;
    let cases = [
        (format!("{post}Content-Type: application/json\r\nContent-Length: {long}\r\n\r\n"), long, "413"),
        (format!("{post}Content-Type: text/plain\r\nContent-Length: {long}\r\n\r\n"), long, "415"),
        (format!("{post}Content-Type: text/plain\r\nContent-Length: 900000\r\n\r\n"), 900_000, "415"),
        ("POST /api/v1/domains/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n".into(), 5_000_000, "401"),
        ("POST /nowhere/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n".into(), 5_000_000, "404"),
    ];
    with_server(Settings::default(), |addr, _| {
        for (head, len, status) in &cases {
            // Clients of the simple kind send all of it before they look for an answer.
            let mut stream = TcpStream::connect(addr).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream.write_all(&vec![b' '; *len]).unwrap_or_else(|cause| panic!("{head}: {cause}"));
            stream.shutdown(Shutdown::Write).unwrap();
            let reply = read_all(stream);
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{head}\ngot {reply}");
            assert!(reply.ends_with('}') || *status == "404", "{reply}");
        }
    });
}
