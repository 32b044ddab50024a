//! The verifiers of others accept what the signer makes.
//!
//! They come with the Debian packages ldnsutils, bind9-utils, knot-dnssecutils and knot. `PETREL_ZONE_FILE` names a file, and
//! behind a blank its origin, that is signed and verified too: `tools/conformance/verifiers` is the command for that.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use controlplane::sign::{Announce, Plan};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Zone, ZoneBuilder};

use super::keys::TestKey;
use super::zones::{APEX_DNAME, BARE, DENIALS, RICH, ROOT, WILD, plan, sign_it, text, zone_of};

/// How many delegations the root zone has.
const DELEGATION_COUNT: usize = 1500;

/// Verifiers with their arguments; ORIGIN stands for the apex, the file comes last.
const VERIFIERS: [&[&str]; 3] = [
    &["ldns-verify-zone"],
    &["dnssec-verify", "-q", "-z", "-o", "ORIGIN"],
    &["kzonecheck", "-d", "on", "-o", "ORIGIN"],
];

/// Runs a verifier over a zone file.
fn verify(verifier: &[&str], apex: &str, file: &Path) -> Result<(), String> {
    let args = verifier[1..].iter().map(|arg| if *arg == "ORIGIN" { apex } else { arg });
    let output = Command::new(verifier[0]).args(args).arg(file).output().unwrap_or_else(|cause| {
        panic!("{} cannot be run ({cause}): install ldnsutils, bind9-utils, knot-dnssecutils", verifier[0])
    });
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{verifier:?}: {}{}", text(&output.stdout), text(&output.stderr))),
    }
}

/// Has knotd load a zone file: of these programs it is the one that verifies the digest whatever the chain is.
fn load(apex: &str, file: &Path) -> Result<(), String> {
    let dir = tempfile::tempdir().expect("there is room");
    let (config, at, file) = (dir.path().join("knot.conf"), dir.path().display(), file.display());
    let text = format!(
        "server:\n    rundir: \"{at}\"\ndatabase:\n    storage: \"{at}\"\nzone:\n  - domain: {apex}\n    file: \"{file}\"\n    \
         zonemd-verify: on\n    dnssec-validation: on\n"
    );
    std::fs::write(&config, text).expect("there is room");
    let mut command = Command::new("knotd");
    command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut knotd = command.spawn().unwrap_or_else(|cause| panic!("knotd cannot be run ({cause}): install knot"));
    let mut log = String::new();
    for line in BufReader::new(knotd.stdout.take().expect("it is a pipe")).lines().map_while(Result::ok) {
        log.extend([&line, "\n"]);
        if line.contains("failed") || line.contains("loaded, serial") {
            break;
        }
    }
    knotd.kill().expect("it is ours");
    knotd.wait().expect("it is ours");
    let is_verified = log.contains("ZONEMD, verification successful") && log.contains("loaded, serial");
    if is_verified { Ok(()) } else { Err(log) }
}

/// A zone without what signing makes, as importing leaves it out.
fn plain(zone: &Zone) -> Zone {
    let made = [Rtype::RRSIG, Rtype::NSEC, Rtype::NSEC3, Rtype::NSEC3PARAM, Rtype::DNSKEY, Rtype::ZONEMD];
    let mut builder = ZoneBuilder::new(zone.apex().to_name());
    for owner in zone.owners() {
        for rrset in owner.rrsets().filter(|rrset| !made.contains(&rrset.rtype())) {
            rrset.records().for_each(|record| builder.push(record).expect("it fitted before"));
        }
    }
    builder.finish()
}

/// A zone in the shape of the root: delegations, most with DS records, and servers with glue in their own zones and in others.
fn root() -> String {
    let mut text =
        "@ 86400 SOA a.root-servers.net. nstld.example. 1 1800 900 604800 86400\nnet. NS a.root-servers.net.\n"
            .to_owned();
    for server in 'a'..='m' {
        text += &format!("@ 518400 NS {server}.root-servers.net.\n{server}.root-servers.net. 518400 A 192.0.2.1\n");
    }
    for number in 0..DELEGATION_COUNT {
        let name = format!("{}{number}.", ["com", "xn--p1ai", "z", "arpa"][number % 4]);
        text += &format!("{name} 172800 NS a.nic.{name}\n{name} 172800 NS ns.com{}.\n", number / 4 * 4);
        text += &format!("a.nic.{name} 172800 A 192.0.2.1\na.nic.{name} 172800 AAAA 2001:db8::{:x}\n", number + 1);
        if number % 4 == 0 {
            text += &format!("ns.{name} A 192.0.2.2\n");
        }
        if number % 10 != 0 {
            text += &format!("{name} 86400 DS {number} 8 2 {}\n", "5a".repeat(32));
        }
    }
    text
}

/// Signs a zone in all ways and has all verifiers look at it.
fn check_verifiers(zone: &Zone, test_keys: &[TestKey]) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later").as_secs();
    let dir = tempfile::tempdir().expect("there is room");
    let file = dir.path().join("zone");
    let apex = zone.apex().to_string();
    let keys: Vec<_> = test_keys.iter().map(TestKey::key).collect();
    let announced = [keys[0].dnskey];
    for denial in DENIALS {
        for zonemd in [false, true] {
            let plan = Plan { announce: Announce::Keys(&announced), zonemd, ..plan(&keys, denial, now) };
            let signed = sign_it(zone, &plan, &()).expect("it can be signed");
            std::fs::write(&file, text(&signed.zone)).expect("there is room");
            for verifier in VERIFIERS {
                // Before version 1.9.0 it never comes to an end over a digest in some zones with NSEC3, its own among them.
                if verifier[0] == "ldns-verify-zone" && zonemd && denial != DENIALS[0] {
                    continue;
                }
                verify(verifier, &apex, &file).unwrap_or_else(|told| panic!("{apex} {denial:?} {zonemd} {told}"));
            }
            if zonemd {
                load(&apex, &file).unwrap_or_else(|told| panic!("{apex} {denial:?} {told}"));
            }
        }
    }
}

#[test]
fn the_verifiers_of_others_accept_signed_zones() {
    let single = [TestKey::p256((true, true))];
    let split = [TestKey::ed25519(1, (true, false)), TestKey::ed25519(2, (false, true))];
    let zones = [
        ("example.test.", RICH),
        ("example.test.", BARE),
        ("example.test.", APEX_DNAME),
        ("example.test.", WILD),
        (".", ROOT),
    ];
    for (apex, records) in zones {
        let zone = zone_of(apex, records);
        for test_keys in [&single[..], &split] {
            check_verifiers(&zone, test_keys);
        }
    }
}

#[test]
fn the_verifiers_of_others_accept_a_signed_root_zone() {
    check_verifiers(&zone_of(".", &root()), &[TestKey::p256((true, true))]);
}

#[test]
fn the_verifiers_of_others_accept_the_zone_of_a_file() {
    let Ok(named) = std::env::var("PETREL_ZONE_FILE") else { return };
    let (file, apex) = named.rsplit_once(' ').expect("PETREL_ZONE_FILE has a file and an origin");
    let zone = plain(&zone_of(apex, &std::fs::read_to_string(file).unwrap()));
    assert!(zone.record_count() > 0);
    check_verifiers(&zone, &[TestKey::p256((true, true))]);
}
