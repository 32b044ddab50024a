//! What `up` tells once both processes are ready: what runs where, and what to try next.
//!
//! Text only. Invariant: every command shown can be pasted into a shell as it stands.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::output::Counted;

/// What runs where.
#[derive(Debug, Serialize)]
pub(super) struct Banner {
    /// The directory.
    pub(super) directory: String,
    /// The generation that is being served.
    pub(super) generation: u64,
    /// How many zones it has.
    pub(super) zones: u64,
    /// Where DNS is answered, over UDP and TCP.
    pub(super) dns: SocketAddr,
    /// Where HTTP is answered.
    pub(super) api: String,
    /// Process id of the data plane.
    pub(super) dataplane_pid: u32,
    /// Process id of the control plane.
    pub(super) controlplane_pid: u32,
    /// The control socket of the data plane.
    pub(super) control: String,
    /// How this program is called.
    #[serde(skip)]
    pub(super) program: PathBuf,
    /// A name and type that will be answered.
    #[serde(skip)]
    pub(super) question: String,
    /// A zone file to change.
    #[serde(skip)]
    pub(super) zone_file: Option<PathBuf>,
}

impl Display for Banner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Banner { generation, dns, api, dataplane_pid, controlplane_pid, directory, question, .. } = self;
        let program = shell_word(&self.program.to_string_lossy());
        let dir = shell_word(directory);
        let zones = Counted(self.zones, "zone");
        writeln!(out, "Petrel is up; Ctrl-C stops it.\n")?;
        writeln!(out, "  DNS   {dns}, UDP and TCP: data plane, pid {dataplane_pid}, generation {generation}, {zones}")?;
        writeln!(out, "  HTTP  http://{api}: control plane, pid {controlplane_pid}")?;
        writeln!(out, "  data  {directory}\n")?;
        writeln!(out, "Try, in another terminal:\n")?;
        let server = reachable(*dns);
        writeln!(out, "  dig @{} -p {} {question}", server.ip(), server.port())?;
        writeln!(out, "  curl http://{api}/healthz")?;
        writeln!(out, "  {program} status {dir}")?;
        writeln!(out, "  {program} lookup {dir} {question}")?;
        if let Some(file) = &self.zone_file {
            let file = shell_word(&file.to_string_lossy());
            writeln!(out, "\nChange {file}, then:\n")?;
            writeln!(out, "  {program} --dir {dir} domain import {file}")?;
        }
        writeln!(
            out,
            "\nA domain of your own, served when the command returns; and a token for clients of the API:\n"
        )?;
        writeln!(out, "  {program} --dir {dir} domain add example.org")?;
        writeln!(out, "  {program} --dir {dir} rrset set example.org www A 192.0.2.1")?;
        writeln!(out, "  dig @{} -p {} www.example.org A", server.ip(), server.port())?;
        writeln!(out, "  {program} --dir {dir} account add me@example.org --token")?;
        Ok(())
    }
}

/// Where a client of this machine reaches a server on `addr`, which may be the wildcard address.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

/// A word for a POSIX shell, quoted if it must be.
fn shell_word(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:=@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// How this program can be called from the current directory.
pub(super) fn program() -> PathBuf {
    let Ok(binary) = std::env::current_exe() else { return PathBuf::from("dnsctl") };
    let here = std::env::current_dir().unwrap_or_default();
    // A relative path with a slash in it is taken as a path by every shell.
    match binary.strip_prefix(&here) {
        Ok(below) => Path::new(".").join(below),
        Err(_) => binary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_says_what_runs_where_and_what_to_try() {
        let banner = Banner {
            directory: "my data".into(),
            generation: 3,
            zones: 1,
            dns: "0.0.0.0:5300".parse().unwrap(),
            api: "127.0.0.1:8088".into(),
            dataplane_pid: 11,
            controlplane_pid: 12,
            control: "my data/control".into(),
            program: "./dnsctl".into(),
            question: "www.example.test. A".into(),
            zone_file: Some("my data/example.test.zone".into()),
        };
        let expected = "\
Petrel is up; Ctrl-C stops it.

  DNS   0.0.0.0:5300, UDP and TCP: data plane, pid 11, generation 3, 1 zone
  HTTP  http://127.0.0.1:8088: control plane, pid 12
  data  my data

Try, in another terminal:

  dig @127.0.0.1 -p 5300 www.example.test. A
  curl http://127.0.0.1:8088/healthz
  ./dnsctl status 'my data'
  ./dnsctl lookup 'my data' www.example.test. A

Change 'my data/example.test.zone', then:

  ./dnsctl --dir 'my data' domain import 'my data/example.test.zone'

A domain of your own, served when the command returns; and a token for clients of the API:

  ./dnsctl --dir 'my data' domain add example.org
  ./dnsctl --dir 'my data' rrset set example.org www A 192.0.2.1
  dig @127.0.0.1 -p 5300 www.example.org A
  ./dnsctl --dir 'my data' account add me@example.org --token
";
        assert_eq!(banner.to_string(), expected);
        let value = serde_json::to_value(&banner).unwrap();
        assert_eq!((&value["dns"], &value["generation"]), (&"0.0.0.0:5300".into(), &3.into()));
        assert!(value.get("question").is_none());
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        for (word, expected) in [("a/b.zone", "a/b.zone"), ("", "''"), ("a b", "'a b'"), ("it's", "'it'\\''s'")] {
            assert_eq!(shell_word(word), expected);
        }
    }
}
