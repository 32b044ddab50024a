//! Weighted and regional records from end to end: a database of places, the operations API, and what clients get.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

#[path = "../../controlplane/src/geo/testing.rs"]
mod testing;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use snapshot::dns::message::Message;
use snapshot::dns::name::Name;

/// Both processes, for as long as a test needs them.
struct Up {
    /// `dnsctl up`.
    child: Child,
    /// A socket to the data plane.
    dns: UdpSocket,
}

impl Up {
    /// Starts them in a directory with this database of places; resolvers on this machine are believed.
    fn start(dir: &Path, places: &Path) -> Up {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dnsctl"));
        command.args(["up", "--json", "--dns", "127.0.0.1:0", "--api", "127.0.0.1:0", "--ecs", "127.0.0.0/8"]);
        let mut child =
            command.arg("--geoip").arg(places).arg("--dir").arg(dir).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let document: serde_json::Value = serde_json::from_str(&line).unwrap();
        let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
        dns.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        dns.connect(document["dns"].as_str().unwrap()).unwrap();
        Up { child, dns }
    }

    /// Asks for the addresses of a name on behalf of a /24: their last octets, and the scope.
    fn ask(&self, name: &str, subnet: [u8; 3]) -> (Vec<u8>, u8) {
        let mut query = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        query.extend(name.parse::<Name>().unwrap().as_wire());
        query.extend([0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
        query.extend(subnet);
        self.dns.send(&query).unwrap();
        let mut reply = [0; 1232];
        let len = self.dns.recv(&mut reply).unwrap();
        let message = Message::from_wire(&reply[..len]).unwrap();
        let mut octets: Vec<u8> = message.answers.iter().map(|answer| *answer.rdata.last().unwrap()).collect();
        octets.sort_unstable();
        let scope = message.edns.unwrap().options.iter().find(|option| option.code == 8).unwrap().value[3];
        (octets, scope)
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).ok();
        self.child.wait().ok();
    }
}

/// Sends a request on the local socket; the body of the answer, which must have this status.
fn request(dir: &Path, method: &str, path: &str, body: &serde_json::Value, status: u16) -> serde_json::Value {
    let mut socket = UnixStream::connect(dir.join("state/socket")).unwrap();
    let body = body.to_string();
    let head =
        format!("{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    socket.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with(&format!("HTTP/1.0 {status}")), "{method} {path} {body}: {reply}");
    serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap_or_default()
}

#[test]
fn countries_get_their_records_and_weights_their_share() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, places) = (scratch.path().join("data"), scratch.path().join("places.mmdb"));
    let networks = [("198.18.0.0/16", "US", "NA"), ("198.19.0.0/17", "DE", "EU"), ("198.20.0.0/16", "FR", "EU")];
    std::fs::write(&places, testing::mmdb(&networks)).unwrap();
    let up = Up::start(&dir, &places);
    request(&dir, "POST", "/api/zones", &serde_json::json!({"name": "demo.test", "ns": "ns.demo.test"}), 201);
    let records = "/api/zones/demo.test/records";
    let mut ids = Vec::new();
    for (name, octet, weight, geo) in
        [("geo", 1, 0, "US"), ("geo", 2, 0, "DE"), ("geo", 3, 0, ""), ("ab", 90, 90, ""), ("ab", 10, 10, "")]
    {
        let rdata = format!("192.0.2.{octet}");
        let body = serde_json::json!({"name": name, "type": "A", "rdata": rdata, "weight": weight, "geo": geo});
        ids.push(request(&dir, "POST", records, &body, 201)["id"].clone());
    }
    // The table comes beside the records.
    let deadline = Instant::now() + Duration::from_secs(30);
    while up.ask("geo.demo.test.", [198, 18, 7]).1 == 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert_eq!(up.ask("geo.demo.test.", [198, 18, 7]), (vec![1], 16));
    assert_eq!(up.ask("geo.demo.test.", [198, 19, 7]), (vec![2], 17));
    assert_eq!(up.ask("geo.demo.test.", [198, 20, 7]), (vec![3], 16));
    assert_eq!(up.ask("geo.demo.test.", [203, 0, 113]).0, [3]);

    let mut counts = [0_i32; 256];
    for _ in 0..10_000 {
        let (octets, scope) = up.ask("ab.demo.test.", [198, 18, 7]);
        assert_eq!((octets.len(), scope), (1, 0));
        counts[usize::from(octets[0])] += 1;
    }
    let chi_squared: f64 = [(90, 9_000.0), (10, 1_000.0)]
        .iter()
        .map(|(octet, expected)| (f64::from(counts[*octet]) - expected).powi(2) / expected)
        .sum();
    // One degree of freedom: beyond 15.1 lies one in ten thousand.
    assert!(chi_squared < 15.1, "{} and {}", counts[90], counts[10]);

    // By hand one fails over, and both off leave nothing.
    let disable = serde_json::json!({"enabled": false});
    request(&dir, "PUT", &format!("/api/records/{}", ids[3]), &disable, 200);
    assert_eq!(up.ask("ab.demo.test.", [198, 18, 7]).0, [10]);
    request(&dir, "PUT", &format!("/api/records/{}", ids[4]), &disable, 200);
    assert!(up.ask("ab.demo.test.", [198, 18, 7]).0.is_empty());
    let wrong = serde_json::json!({"geo": "Atlantis"});
    let refusal = request(&dir, "PUT", &format!("/api/records/{}", ids[0]), &wrong, 400);
    assert!(refusal["geo"][0].as_str().unwrap().contains("one or more regions"), "{refusal}");
}
