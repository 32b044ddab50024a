//! Our two processes, and `dnsctl`.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The program.
const DNSCTL: &str = env!("CARGO_BIN_EXE_dnsctl");
/// Where the data plane answers.
pub(crate) const CHILD: &str = "127.0.0.3";
/// Settings that make a rollover take seconds: all TTLs are one or two.
const QUICK: [&str; 16] = [
    "--keys-ttl",
    "2",
    "--propagation",
    "1",
    "--parent-ds-ttl",
    "2",
    "--parent-poll",
    "1",
    "--parent-resolver",
    "127.0.0.1:53",
    "--parent-allow",
    "127.0.0.0/8",
    "--minimum-ttl",
    "1",
    "--api",
    "127.0.0.4:8088",
];
/// How long a start may take.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Our processes.
pub(crate) struct Planes {
    /// Where everything is.
    dir: PathBuf,
    /// The data plane.
    data: Option<Child>,
    /// The control plane.
    control: Option<Child>,
}

impl Planes {
    /// None yet.
    pub(crate) fn new(dir: &Path) -> Planes {
        Planes { dir: dir.to_owned(), data: None, control: None }
    }

    /// Starts both.
    pub(crate) fn start(&mut self) {
        std::fs::create_dir(self.dir.join("snapshots")).unwrap();
        let mut command = self.command("__dataplane", "dataplane.log");
        command.arg("--control").arg(self.dir.join("control")).args(["--listen", &format!("{CHILD}:53")]);
        self.data = Some(command.spawn().unwrap());
        self.start_control();
    }

    /// A process of ours; its log is added to.
    fn command(&self, verb: &str, log: &str) -> Command {
        let log = File::options().create(true).append(true).open(self.dir.join(log)).unwrap();
        let mut command = Command::new(DNSCTL);
        command
            .args([verb, "--parent", &std::process::id().to_string(), "--snapshots"])
            .arg(self.dir.join("snapshots"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command
    }

    /// Starts the control plane and waits until it serves.
    fn start_control(&mut self) {
        let mut command = self.command("__controlplane", "controlplane.log");
        command
            .args(["--dnssec", "off"])
            .args(QUICK)
            .arg("--state")
            .arg(self.dir.join("state"))
            .arg("--dataplane")
            .arg(self.dir.join("control"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready "), "{line:?}");
        self.control = Some(child);
    }

    /// Kills the control plane, and starts another.
    pub(crate) fn restart(&mut self) {
        if let Some(mut control) = self.control.take() {
            control.kill().unwrap();
            control.wait().unwrap();
        }
        self.start_control();
    }

    /// Ends both.
    pub(crate) fn end(&mut self) {
        for mut child in self.control.take().into_iter().chain(self.data.take()) {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Makes a domain with short TTLs, and signs it with such keys.
    pub(crate) fn make_domain(&self, domain: &str, keys: &str) {
        let ns = format!("ns.{domain}.");
        let made = self.post("POST", "/api/zones", &json!({ "name": domain, "ns": ns, "admin": "h.test" }));
        assert!(made["id"].is_i64(), "{made}");
        let records = format!("/api/zones/{domain}/records");
        let soa = self.post("GET", &format!("{records}?type=SOA"), &Value::Null)[0].clone();
        let path = format!("/api/records/{}", soa["id"]);
        let rdata = format!("{ns} h.test. 1 60 60 600 1");
        self.post("PUT", &path, &json!({ "ttl": 2, "rdata": rdata }));
        let short = self.post("GET", &format!("{records}?type=NS"), &Value::Null)[0].clone();
        self.post("PUT", &format!("/api/records/{}", short["id"]), &json!({ "ttl": 2 }));
        for (name, rtype, rdata) in [
            ("ns", "A", CHILD),
            ("www", "A", "192.0.2.1"),
            ("*.wild", "TXT", "\"any\""),
            ("a.b.deep", "A", "192.0.2.2"),
        ] {
            let made = self.post("POST", &records, &json!({ "name": name, "type": rtype, "ttl": 2, "rdata": rdata }));
            assert!(made["id"].is_i64(), "{made}");
        }
        self.nobody_asked_yet();
        self.dnsctl(&["dnssec", "enable", domain, "--keys", keys]);
    }

    /// Has the server forget the TTLs that were lowered: nobody here has anything of before, and waiting for it takes an hour.
    fn nobody_asked_yet(&self) {
        let database = rusqlite::Connection::open(self.dir.join("state/petrel.db")).unwrap();
        database.busy_timeout(START_TIME_MAX).unwrap();
        database.execute("UPDATE rollovers SET ttl_max = 0", []).unwrap();
    }

    /// A request over the local socket; its JSON.
    fn post(&self, method: &str, path: &str, body: &Value) -> Value {
        let begin = Instant::now();
        let mut stream = loop {
            match UnixStream::connect(self.dir.join("state/socket")) {
                Ok(stream) => break stream,
                Err(error) => assert!(begin.elapsed() < START_TIME_MAX, "{error}"),
            }
        };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        assert!(head.split(' ').nth(1).unwrap().starts_with('2'), "{method} {path}: {reply}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }

    /// Runs `dnsctl` over the local socket.
    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(DNSCTL);
        command.args(words).arg("--json").arg("--socket").arg(self.dir.join("state/socket"));
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs `dnsctl` with words that must be taken; its JSON.
    pub(crate) fn dnsctl(&self, words: &[&str]) -> Value {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Runs `dnsctl` with words that must be refused; what it says.
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(!output.status.success(), "{words:?}: {output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }
}
