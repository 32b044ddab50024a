//! The verifiers of others accept what the signer makes.
//!
//! They come with the Debian packages ldnsutils, bind9-utils and knot-dnssecutils.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use controlplane::sign::{Announce, Plan};

use super::keys::TestKey;
use super::zones::{APEX_DNAME, BARE, DENIALS, RICH, ROOT, WILD, plan, sign_it, text, zone_of};

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

#[test]
fn the_verifiers_of_others_accept_signed_zones() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("zone");
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
            let keys: Vec<_> = test_keys.iter().map(TestKey::key).collect();
            let announced = [keys[0].dnskey];
            for denial in DENIALS {
                // Over a digest and missing delegations together, ldns-verify-zone of ldns 1.8.3 never comes to an end.
                let zonemd = denial != DENIALS[2];
                let plan = Plan { announce: Announce::Keys(&announced), zonemd, ..plan(&keys, denial, now) };
                let signed = sign_it(&zone, &plan, &()).unwrap();
                let text = text(&signed.zone);
                std::fs::write(&file, &text).unwrap();
                for verifier in VERIFIERS {
                    let result = verify(verifier, apex, &file);
                    assert!(result.is_ok(), "{apex} {denial:?} {}\n{text}", result.unwrap_err());
                }
            }
        }
    }
}
