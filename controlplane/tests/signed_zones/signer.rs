//! Runs the signers of others in a temporary directory.
//!
//! Invariant: a signed zone has one record a line, with its owner and TTL, so that tests can break a line at a time.

use std::path::Path;
use std::process::Command;

/// The zone before it is signed: a delegation with and one without DS, glue, a wildcard, empty non-terminals, a DNAME,
/// names in upper case in owners and RDATA.
const ZONE: &str = "\
$ORIGIN example.test.
$TTL 3600
@ SOA ns1 hostmaster 1 7200 900 1209600 3600
@ NS ns1
@ NS NS2.Example.Test.
@ MX 10 Mail
ns1 A 192.0.2.1
ns2 AAAA 2001:db8::2
mail A 192.0.2.3
mail A 192.0.2.4
MAIL TXT \"a mail server\"
*.wild A 192.0.2.5
deep.empty.non.terminal TXT x
alias CNAME Mail
redirect DNAME elsewhere.example.
insecure NS ns.insecure
ns.insecure A 192.0.2.6
below.ent NS ns1
secure NS ns.secure
secure DS 12345 8 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
ns.secure AAAA 2001:db8::7
_sip._udp SRV 0 0 5060 MAIL
";

/// How non-existence is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// NSEC.
    Nsec,
    /// NSEC3 without iterations and salt.
    Nsec3,
    /// NSEC3 with opt-out.
    OptOut,
    /// NSEC3 with iterations and salt.
    Salted,
}

/// A signed zone.
pub(crate) struct SignedZone {
    /// The zone file, one record a line.
    pub(crate) text: String,
}

/// Runs a program in `dir` and returns what it prints.
fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap_or_else(|cause| panic!("{program} cannot be run ({cause}): install bind9-utils and ldnsutils"));
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    assert!(output.status.success(), "{program} {args:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

impl SignedZone {
    /// Signs with `dnssec-signzone`, a zone-signing and a key-signing key of each algorithm.
    pub(crate) fn by_bind(algorithms: &[&str], chain: Chain) -> SignedZone {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = dir.path();
        std::fs::write(at.join("zone"), ZONE).expect("the directory is ours");
        for algorithm in algorithms {
            let mut args = vec!["-q", "-a", algorithm];
            if algorithm.contains("RSA") {
                args.extend(["-b", "1024"]);
            }
            run(at, "dnssec-keygen", &[&args[..], &["example.test"]].concat());
            run(at, "dnssec-keygen", &[&args[..], &["-f", "KSK", "example.test"]].concat());
        }
        let chain: &[&str] = match chain {
            Chain::Nsec => &[],
            Chain::Nsec3 => &["-3", "-", "-H", "0"],
            Chain::OptOut => &["-3", "-", "-H", "0", "-A"],
            Chain::Salted => &["-3", "aabbccdd", "-H", "5"],
        };
        let args = [&["-S", "-o", "example.test", "-O", "full", "-f", "signed"], chain, &["zone"]].concat();
        run(at, "dnssec-signzone", &args);
        SignedZone::read(&at.join("signed"))
    }

    /// Signs with `ldns-signzone`.
    pub(crate) fn by_ldns(chain: Chain) -> SignedZone {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = dir.path();
        std::fs::write(at.join("zone"), ZONE).expect("the directory is ours");
        let algorithm = ["-a", "ECDSAP256SHA256"];
        let zone_key = run(at, "ldns-keygen", &[&algorithm[..], &["example.test"]].concat());
        let key_key = run(at, "ldns-keygen", &[&["-k"], &algorithm[..], &["example.test"]].concat());
        let chain: &[&str] = match chain {
            Chain::Nsec => &[],
            Chain::Nsec3 => &["-n", "-s", "", "-t", "0"],
            Chain::OptOut => &["-n", "-p", "-s", "", "-t", "0"],
            Chain::Salted => &["-n", "-s", "aabbccdd", "-t", "5"],
        };
        let args =
            [&["-o", "example.test", "-f", "signed"], chain, &["zone", zone_key.trim(), key_key.trim()]].concat();
        run(at, "ldns-signzone", &args);
        SignedZone::read(&at.join("signed"))
    }

    /// Reads a signed zone file without its comments.
    fn read(path: &Path) -> SignedZone {
        let text = std::fs::read_to_string(path).expect("the signer wrote it");
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
        SignedZone { text: lines.map(|line| format!("{line}\n")).collect() }
    }

    /// The lines, each split at white space: owner, TTL, class, type, RDATA.
    pub(crate) fn records(&self) -> Vec<Vec<String>> {
        self.text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }
}
