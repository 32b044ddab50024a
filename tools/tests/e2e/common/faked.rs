//! A control plane whose clock the test sets, and a validating resolver that lives on any day.
//!
//! libfaketime stands between the processes and the C library. The clocks that only run are left as they are, as they are on a
//! machine whose time somebody sets. The data plane has the true time: no answer depends on it.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use controlplane::store::{Store, StoreError, Txn};

use super::plane::{Plane, follow};
use super::tool::{DNSCTL, Ended, run};

/// How often the wrapper of libfaketime is started once more.
const TRIES_MAX: usize = 8;
/// How long anything may take.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Where libfaketime has what its processes share, by their numbers.
const SHARED: &str = "/dev/shm";

/// Removes what processes left that were killed: a later one of the same number could not start.
fn sweep() {
    for entry in std::fs::read_dir(SHARED).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let number = name.strip_prefix("faketime_shm_").or_else(|| name.strip_prefix("sem.faketime_sem_"));
        if number.is_some_and(|number| !Path::new("/proc").join(number).exists()) {
            // Another test may have done it.
            std::fs::remove_file(entry.path()).ok();
        }
    }
}

/// What loads libfaketime into a process.
fn preload() -> OsString {
    sweep();
    let ask = || {
        let found = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output();
        found.expect("the Debian package faketime is installed")
    };
    let mut found = ask();
    // The number may have been taken since.
    for _ in 0..TRIES_MAX {
        if found.status.success() {
            break;
        }
        sweep();
        found = ask();
    }
    assert!(found.status.success(), "{found:?}");
    String::from_utf8(found.stdout).unwrap().trim_end().into()
}

/// Has a command see another time; which one is for the caller to say.
fn fake(command: &mut Command) {
    // Times of files stay as they are, and so do the clocks that only run.
    let environment = [("DONT_FAKE_MONOTONIC", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("NO_FAKE_STAT", "1")];
    command.env("LD_PRELOAD", preload()).envs(environment).env("TZ", "UTC");
}

/// A control plane with a clock of its own, and its data plane.
pub(crate) struct Faked {
    /// Its directory.
    dir: PathBuf,
    /// The control plane, if it runs.
    child: Option<Child>,
    /// The lines of its log.
    log: Option<std::sync::mpsc::Receiver<String>>,
    /// Where it serves HTTP.
    http: String,
    /// RDATA of a DS record of the signed domain.
    ds: String,
    /// What answers.
    plane: Option<Plane>,
}

impl Faked {
    /// Starts both with the true time, and the domain kept.example with some names, signed.
    pub(crate) fn start(dir: &Path) -> Faked {
        let mut faked =
            Faked { dir: dir.to_owned(), child: None, log: None, http: String::new(), ds: String::new(), plane: None };
        faked.set("+0");
        faked.restart();
        faked.json(&["domain", "add", "kept.example"]);
        faked.json(&["domain", "add", "plain.example"]);
        faked.json(&["dnssec", "disable", "plain.example", "--force"]);
        faked.ds = faked.json(&["dnssec", "ds", "kept.example"])["ds"][0].as_str().unwrap().to_owned();
        faked.plane = Some(Plane::start(dir));
        let is_attached = |faked: &Faked| faked.json_of(&["doctor"])["planes"][0]["attached"] == true;
        faked.until("the data plane is attached", is_attached);
        for (subname, address) in [("www", "192.0.2.1"), ("*.wild", "192.0.2.2"), ("deep.empty", "192.0.2.3")] {
            assert!(faked.write("kept.example", subname, address));
        }
        faked
    }

    /// Sets the clock of the control plane: `+SECONDS` or `-SECONDS` from the true time, or `@YYYY-MM-DD hh:mm:ss`.
    pub(crate) fn set(&self, time: &str) {
        let (file, fresh) = (self.dir.join("time"), self.dir.join("time.new"));
        std::fs::write(&fresh, format!("{time}\n")).unwrap();
        std::fs::rename(fresh, file).unwrap();
    }

    /// Stops the control plane.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Has the control plane that is started next not know that the machine was up since the one before.
    pub(crate) fn reboot(&mut self) {
        self.stop();
        let store = Store::open(&self.dir.join("state")).unwrap();
        let forget = |txn: &Txn<'_>| {
            let mark_us = txn.clock_mark()?.expect("a time was believed");
            txn.set_clock(mark_us, Some(&[]))
        };
        store.write_blocking::<_, StoreError>(forget).unwrap();
    }

    /// Starts the control plane anew, at the time that was set.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let mut command = Command::new(DNSCTL);
        command.args(["__controlplane", "--parent", &std::process::id().to_string(), "--api", "127.0.0.1:0"]);
        command.args(["--dnssec", "nsec", "--minimum-ttl", "60", "--snapshots"]).arg(&self.dir);
        let script = self.dir.join("alarm");
        std::fs::write(&script, "cat >\"$0.$PETREL_ALARM.new\" && mv \"$0.$PETREL_ALARM.new\" \"$0.$PETREL_ALARM\"\n")
            .unwrap();
        command.arg("--alarm").arg(format!("/bin/sh {}", script.display()));
        command.arg("--dataplane").arg(self.dir.join("control"));
        fake(&mut command);
        command.env("FAKETIME_TIMESTAMP_FILE", self.dir.join("time")).env("FAKETIME_NO_CACHE", "1");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        self.log = Some(follow(child.stderr.take().unwrap()));
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        self.child = Some(child);
        let http = ready.trim().strip_prefix("ready http://");
        self.http = http.unwrap_or_else(|| panic!("{ready:?}, {:?}", self.log.as_ref().unwrap().try_iter())).to_owned();
    }

    /// Waits for a line of the control plane's log.
    pub(crate) fn wait_for(&self, text: &str) {
        let (log, deadline) = (self.log.as_ref().unwrap(), Instant::now() + TIME_MAX);
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|line: &String| line.contains(text)) {
            let line = log.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            seen.push(line.unwrap_or_else(|cause| panic!("no line with {text:?} ({cause}) after {seen:#?}")));
        }
    }

    /// Asks until something holds; each question takes a process its time.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Faked) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < TIME_MAX, "in vain until {what}");
        }
    }

    /// Sets the A record of a name of a domain; whether it is served. If not, that is said with the reason.
    pub(crate) fn write(&self, domain: &str, subname: &str, address: &str) -> bool {
        let ended = self.ctl(&["rrset", "set", domain, subname, "A", address, "--ttl", "60"]);
        let is_served = ended.code == 0 && !ended.err.contains("no data plane serves it yet");
        let is_refused = ended.code == 1 && ended.err.contains("cannot be published as it is");
        assert_ne!(is_served, is_refused, "{ended:?}");
        is_served
    }

    /// Runs `dnsctl` as the operator.
    pub(crate) fn ctl(&self, words: &[&str]) -> Ended {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", "60", DNSCTL, "--dir"]).arg(&self.dir).args(words);
        for name in ["PETREL_URL", "PETREL_TOKEN", "PETREL_SOCKET"] {
            command.env_remove(name);
        }
        run(&mut command)
    }

    /// As [`Faked::ctl`], which must succeed; its JSON.
    pub(crate) fn json(&self, words: &[&str]) -> serde_json::Value {
        let ended = self.ctl(&[words, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        serde_json::from_str(&ended.out).unwrap()
    }

    /// The JSON of a command, whatever it finds.
    fn json_of(&self, words: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ctl(&[words, &["--json"]].concat()).out).unwrap_or_default()
    }

    /// Why the newest content of the signed domain is not served, or nothing is signed.
    pub(crate) fn refusal(&self) -> Option<String> {
        self.json(&["dnssec", "status", "kept.example"])["refused"].as_str().map(str::to_owned)
    }

    /// Waits for an alarm of a kind; its text.
    pub(crate) fn alarm(&self, kind: &str) -> String {
        let file = self.dir.join(format!("alarm.{kind}"));
        self.until("there is an alarm", |faked| faked.figure("dns_clock_suspect").is_some() && file.exists());
        std::fs::read_to_string(file).unwrap()
    }

    /// A figure of the control plane.
    pub(crate) fn figure(&self, name: &str) -> Option<u64> {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }

    /// A resolver that trusts the key of the signed domain, at a time as [`Faked::set`] has it.
    pub(crate) fn resolver(&self, time: &str) -> Resolver {
        let plane = self.plane.as_ref().unwrap().addr;
        Resolver::start(&self.dir, &self.ds, plane, time)
    }
}

impl Drop for Faked {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An Unbound for one moment.
pub(crate) struct Resolver {
    /// The process.
    child: Child,
    /// Where it answers.
    addr: SocketAddr,
}

impl Resolver {
    /// Starts one and waits until it answers.
    fn start(dir: &Path, ds: &str, authority: SocketAddr, time: &str) -> Resolver {
        let addr = free_addr();
        let config = dir.join("unbound.conf");
        let (port, authority) = (addr.port(), authority.to_string().replace(':', "@"));
        std::fs::write(
            &config,
            format!(
                "server:\n directory: \"\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"\"\n \
                 interface: 127.0.0.1\n port: {port}\n do-not-query-localhost: no\n module-config: \"validator iterator\"\n \
                 trust-anchor: \"kept.example. DS {ds}\"\n domain-insecure: \"plain.example.\"\n\
                 remote-control:\n control-enable: no\n\
                 stub-zone:\n name: \"kept.example.\"\n stub-addr: {authority}\n\
                 stub-zone:\n name: \"plain.example.\"\n stub-addr: {authority}\n"
            ),
        )
        .unwrap();
        let mut command = Command::new("unbound");
        command.args(["-d", "-c"]).arg(&config);
        fake(&mut command);
        command.env("FAKETIME", time);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the Debian package unbound is installed");
        let log = follow(child.stderr.take().unwrap());
        let resolver = Resolver { child, addr };
        let mut seen = Vec::new();
        while !seen.last().is_some_and(|line: &String| line.contains("start of service")) {
            let line = log.recv_timeout(TIME_MAX);
            seen.push(line.unwrap_or_else(|cause| panic!("unbound at {time} does not start ({cause}): {seen:#?}")));
        }
        resolver
    }

    /// Asks; the RCODE, whether the answer was validated, and the octets of the last record if it is an address.
    pub(crate) fn ask(&self, qname: &str, qtype: u16) -> (u8, bool, Vec<u8>) {
        // RD and AD, one question.
        let mut query = vec![0x70, 0x07, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in qname.split('.') {
            query.push(u8::try_from(label.len()).unwrap());
            query.extend_from_slice(label.as_bytes());
        }
        query.extend_from_slice(&[&[0][..], &qtype.to_be_bytes(), &[0, 1]].concat());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.addr).unwrap();
        socket.set_read_timeout(Some(TIME_MAX)).unwrap();
        socket.send(&query).unwrap();
        let mut reply = [0; 4096];
        let len = socket.recv(&mut reply).unwrap();
        let reply = &reply[..len];
        let has_answer = reply[6..8] != [0, 0];
        let address = if has_answer && qtype == 1 { reply[len - 4..].to_vec() } else { Vec::new() };
        (reply[3] & 15, reply[3] & 0x20 != 0, address)
    }

    /// Makes sure that every kind of answer of the signed domain is validated.
    pub(crate) fn check_content(&self, when: &str) {
        const A: u16 = 1;
        for (qname, qtype, rcode) in [
            ("kept.example", 6, 0),
            ("kept.example", 48, 0),
            ("www.kept.example", A, 0),
            ("www.kept.example", 16, 0),
            ("empty.kept.example", A, 0),
            ("any.wild.kept.example", A, 0),
            ("none.kept.example", A, 3),
        ] {
            let (found, is_validated, _) = self.ask(qname, qtype);
            assert_eq!((found, is_validated), (rcode, true), "{when}: {qname} {qtype}");
        }
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An address that nothing has, of UDP and TCP.
fn free_addr() -> SocketAddr {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = udp.local_addr().unwrap();
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}
