//! The network with everything in it.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use snapshot::dns::rtype::Rtype;

use super::asking::{ask, rdatas};
use super::planes::{CHILD, Planes};

/// The zone of Knot.
const PARENT: &str = "parent.test";
/// A domain with one key.
pub(crate) const CSK: &str = "csk.parent.test";
/// A domain with two.
pub(crate) const SPLIT: &str = "split.parent.test";
/// Where Knot answers.
const KNOT: &str = "127.0.0.2";
/// Where Unbound answers.
pub(crate) const UNBOUND: &str = "127.0.0.1";
/// How long a start may take.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A network with a parent zone, our processes and a resolver.
pub(crate) struct Lab {
    /// What runs beside our processes.
    others: Vec<Running>,
    /// Our processes.
    planes: Planes,
    /// The network's name.
    name: String,
    /// Where all files are.
    dir: tempfile::TempDir,
}

/// Runs a command to its end, which must be a success; its output.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Waits until something is so.
fn wait(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < START_TIME_MAX, "{what}");
    }
}

impl Lab {
    /// Makes the network.
    pub(crate) fn new() -> Lab {
        let name = format!("petrel-roll-{}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]));
        let dir = tempfile::tempdir().unwrap();
        let lab = Lab { others: Vec::new(), planes: Planes::new(dir.path()), name, dir };
        run(Command::new("ip").args(["-n", &lab.name, "link", "set", "lo", "up"]));
        lab
    }

    /// Has this thread, and all it starts, be in the network.
    pub(crate) fn enter(&self) {
        setns(File::open(format!("/run/netns/{}", self.name)).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
    }

    /// Starts everything.
    pub(crate) fn start(&mut self) {
        self.start_knot();
        self.planes.start();
        self.planes.make_domain(CSK, "csk");
        self.planes.make_domain(SPLIT, "split");
        self.start_unbound();
    }

    /// A file in the directory.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts a program whose words follow its name; its log goes to a file.
    fn spawn(&mut self, program: &str, words: &[&str]) {
        let log = File::create(self.dir.path().join(format!("{program}.log"))).unwrap();
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.others.push(Running(command.spawn().unwrap()));
    }

    /// Starts Knot with the parent zone, which it signs.
    fn start_knot(&mut self) {
        let dir = self.dir.path().join("knot");
        std::fs::create_dir(&dir).unwrap();
        let dir = dir.display().to_string();
        let child = |domain: &str| {
            let label = domain.split('.').next().unwrap();
            format!("{label} NS ns.{label}\nns.{label} A {CHILD}\n")
        };
        let zone = format!("$TTL 2\n@ SOA ns h 1 60 60 600 1\n@ NS ns\nns A {KNOT}\n{}{}", child(CSK), child(SPLIT));
        self.write("knot/parent.zone", &zone);
        let config = format!(
            "server:\n  rundir: {dir}\n  listen: {KNOT}@53\ncontrol:\n  listen: {dir}/knot.sock\ndatabase:\n  storage: {dir}\n\
             log:\n  - target: stderr\n    any: info\n\
             policy:\n  - id: one\n    single-type-signing: on\n    algorithm: ecdsap256sha256\n    dnskey-ttl: 2\n\
             zone:\n  - domain: {PARENT}\n    storage: {dir}\n    file: parent.zone\n    zonefile-sync: -1\n    \
             zonefile-load: whole\n    journal-content: none\n    dnssec-signing: on\n    dnssec-policy: one\n"
        );
        let config = self.write("knot.conf", &config).display().to_string();
        self.spawn("knotd", &["-c", &config]);
        wait("Knot has no keys", || self.parent_keys().is_some());
    }

    /// The DNSKEY records of the parent.
    fn parent_keys(&self) -> Option<Vec<Vec<u8>>> {
        let answer = ask(KNOT, PARENT, Rtype::DNSKEY)?;
        Some(rdatas(&answer, Rtype::DNSKEY)).filter(|keys| !keys.is_empty())
    }

    /// Starts Unbound, which trusts the parent's keys.
    fn start_unbound(&mut self) {
        let keys = self.parent_keys().unwrap();
        let anchors: String =
            keys.iter().map(|rdata| format!("{PARENT}. IN DNSKEY \\# {} {}\n", rdata.len(), hex(rdata))).collect();
        let anchors = self.write("anchors", &anchors).display().to_string();
        let config = format!(
            "server:\n  interface: {UNBOUND}\n  access-control: 127.0.0.0/8 allow\n  chroot: \"\"\n  username: \"\"\n  \
             directory: \"{dir}\"\n  pidfile: \"\"\n  use-syslog: no\n  do-ip6: no\n  do-not-query-localhost: no\n  \
             module-config: \"validator iterator\"\n  trust-anchor-file: \"{anchors}\"\n  harden-algo-downgrade: yes\n  \
             val-log-level: 2\n  qname-minimisation: yes\n  aggressive-nsec: yes\n  local-zone: \"test.\" nodefault\n\
             stub-zone:\n  name: {PARENT}\n  stub-addr: {KNOT}\n",
            dir = self.dir.path().display()
        );
        let config = self.write("unbound.conf", &config).display().to_string();
        self.spawn("unbound", &["-d", "-c", &config]);
        wait("Unbound does not answer", || ask(UNBOUND, PARENT, Rtype::SOA).is_some());
    }

    /// Has the parent publish the DS that a domain asks for, if it has others; whether it asks for any.
    pub(crate) fn parent_follows(&mut self, domain: &str) -> bool {
        let Some(cds) = ask(CHILD, domain, Rtype::CDS) else { return false };
        let mut wanted = rdatas(&cds, Rtype::CDS);
        let Some(ds) = ask(KNOT, domain, Rtype::DS) else { return false };
        let mut there = rdatas(&ds, Rtype::DS);
        wanted.sort();
        there.sort();
        if wanted.is_empty() || wanted == there {
            return !wanted.is_empty();
        }
        let knotc = |words: &[&str]| {
            let config = self.dir.path().join("knot.conf");
            run(Command::new("knotc").arg("-c").arg(config).args(words))
        };
        knotc(&["zone-begin", PARENT]);
        let owner = format!("{domain}.");
        if !there.is_empty() {
            knotc(&["zone-unset", PARENT, &owner, "DS"]);
        }
        for rdata in &wanted {
            let tag = u16::from_be_bytes([rdata[0], rdata[1]]).to_string();
            let (algorithm, digest) = (rdata[2].to_string(), rdata[3].to_string());
            knotc(&["zone-set", PARENT, &owner, "2", "DS", &tag, &algorithm, &digest, &hex(&rdata[4..])]);
        }
        knotc(&["zone-commit", PARENT]);
        true
    }

    /// Runs `dnsctl` with words that must be taken; its JSON.
    pub(crate) fn dnsctl(&self, words: &[&str]) -> serde_json::Value {
        self.planes.dnsctl(words)
    }

    /// Runs `dnsctl` with words that must be refused; what it says.
    pub(crate) fn refused(&self, words: &[&str]) -> String {
        self.planes.refused(words)
    }

    /// Kills the control plane and starts another.
    pub(crate) fn kill_control_plane(&mut self) {
        self.planes.restart();
    }

    /// The ends of all logs.
    pub(crate) fn logs(&self) -> String {
        let of = |name: &str| {
            let text = std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(40)..].join("\n"))
        };
        ["knotd.log", "unbound.log", "controlplane.log", "dataplane.log"].map(of).concat()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.others.clear();
        self.planes.end();
        Command::new("ip").args(["netns", "del", &self.name]).output().ok();
        // What is said here is for who reads a failure; there is nobody to tell that it cannot be.
        std::io::stdout().flush().ok();
    }
}

/// Octets as digits.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
