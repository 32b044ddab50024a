//! Both planes as processes, and the doors of the API through which zones come and change: each write is served when it
//! returns.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::common::control::Up;
use super::world::{Edit, SERVER, Zone, text};

/// How long a write may take until it is served, in seconds.
const WAIT_SECS: u32 = 60;
/// A connection that was idle for longer is not used again: the server ends it after some time.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// A running server.
pub(crate) struct Server {
    /// The processes.
    pub(crate) up: Up,
    /// A token.
    token: String,
}

/// A connection to the API.
pub(crate) struct Door {
    /// The token.
    token: String,
    /// The address of the API.
    addr: String,
    /// The connection.
    stream: BufReader<TcpStream>,
    /// When it was last used.
    used: Instant,
}

impl Server {
    /// Starts one.
    pub(crate) fn start(dir: &Path) -> Server {
        let up = Up::start_with(dir, &["--dnssec", "off"]);
        let made = up.json(&["account", "add", "zones@example.org", "--token"]);
        let token = made["token"].as_str().unwrap().to_owned();
        Server { up, token }
    }

    /// A connection.
    pub(crate) fn door(&self) -> Door {
        let addr = self.up.url.trim_start_matches("http://").to_owned();
        Door { token: self.token.clone(), stream: connect(&addr), addr, used: Instant::now() }
    }
}

impl Door {
    /// Makes a zone without content.
    pub(crate) fn create(&mut self, zone: &Zone) {
        let body = json!({ "name": domain(zone), "ns": SERVER });
        self.call("POST", "/api/zones", "application/json", &body.to_string());
    }

    /// Makes a zone deny like this, or ends its signing; RDATA of the DS record if it is signed then.
    pub(crate) fn sign(&mut self, zone: &Zone, denial: &str) -> Option<String> {
        let path = format!("/api/zones/{}/dnssec", domain(zone));
        if denial == "off" {
            self.call("DELETE", &format!("{path}?force=true"), "application/json", "");
            return None;
        }
        let signing = self.call("POST", &path, "application/json", &json!({ "denial": denial }).to_string());
        Some(signing["keys"][0]["ds"][0].as_str().unwrap().to_owned())
    }

    /// Makes the content of a zone what the model has.
    pub(crate) fn replace(&mut self, zone: &Zone) {
        let path = format!("/api/zones/{}/import?replace=1", domain(zone));
        self.call("POST", &path, "text/dns", &zone.file());
    }

    /// Does some edits which the model has already: RRset by RRset if the door for that takes their names, else as a zone file.
    pub(crate) fn edit(&mut self, zone: &Zone, edits: &[Edit]) {
        if !edits.iter().all(|edit| is_plain(zone, edit)) {
            return self.replace(zone);
        }
        let item = |edit: &Edit| {
            let subname = subname(zone, edit);
            json!({ "subname": subname, "type": edit.rtype, "ttl": 3600, "records": edit.rdatas })
        };
        let body = Value::from(edits.iter().map(item).collect::<Vec<_>>());
        let path = format!("/api/v1/domains/{}/rrsets/", domain(zone));
        self.call("PATCH", &path, "application/json", &body.to_string());
    }

    /// One request, which must succeed and be served.
    fn call(&mut self, method: &str, path: &str, media: &str, body: &str) -> Value {
        let mark = if path.contains('?') { '&' } else { '?' };
        let request = format!(
            "{method} {path}{mark}wait={WAIT_SECS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {}\r\n\
             Content-Type: {media}\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        if self.used.elapsed() > IDLE_MAX {
            self.stream = connect(&self.addr);
        }
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).unwrap() > 0, "{method} {path}: the connection ends");
        }
        let head = head.to_ascii_lowercase();
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let mut reply = vec![0; field("content-length:").map_or(0, |len| len.parse().unwrap())];
        self.stream.read_exact(&mut reply).unwrap();
        self.used = Instant::now();
        if field("connection:") == Some("close") {
            self.stream = connect(&self.addr);
        }
        let reply = String::from_utf8_lossy(&reply);
        let status = head.split(' ').nth(1).unwrap_or_default();
        let is_done = matches!(status, "200" | "201" | "204") && field("petrel-served:") != Some("no");
        assert!(is_done, "{method} {path}: {head}{reply}\n{body}");
        serde_json::from_str(&reply).unwrap_or_default()
    }
}

/// A connection to the API.
fn connect(addr: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_nodelay(true).unwrap();
    BufReader::new(stream)
}

/// The name of a zone as the API has it.
fn domain(zone: &Zone) -> String {
    text(&zone.apex).trim_end_matches('.').to_owned()
}

/// The owner of an edit below its zone.
fn subname(zone: &Zone, edit: &Edit) -> String {
    text(&edit.name[zone.apex.len()..]).trim_end_matches('.').to_owned()
}

/// Whether the door for RRsets takes an edit: it has no names with escapes, no `*` but as first label, and no types by number.
fn is_plain(zone: &Zone, edit: &Edit) -> bool {
    let subname = subname(zone, edit);
    let without_first = subname.strip_prefix("*.").unwrap_or(&subname);
    !edit.rtype.starts_with("TYPE") && !subname.contains('\\') && (subname == "*" || !without_first.contains('*'))
}
