//! Zones signed by BIND's and NLnet Labs' signers pass the check; with one thing broken they do not, and the finding
//! names the owner and the line.
//!
//! The signers come with the Debian packages bind9-utils and ldnsutils. Keys are made anew in each run, so nothing here
//! depends on signatures or key tags.

#[path = "signed_zones/breaks.rs"]
mod breaks;
#[path = "signed_zones/signer.rs"]
mod signer;

use std::num::NonZeroUsize;
use std::time::SystemTime;

use controlplane::check::dnssec::{Dnssec, Need};
use controlplane::check::{Finding, Severity, review};
use controlplane::source::{ReadOptions, ZoneSource, read_zone};
use signer::{Chain, SignedZone};

/// The time now, in seconds since 1970: that of the signers.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("1970 is over").as_secs()
}

/// The findings about a zone file text, judged for a time.
fn findings_at(text: &str, at_unix_secs: u64) -> Vec<Finding> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("example.test.zone");
    std::fs::write(&path, text).expect("the directory is ours");
    let source = ZoneSource { path, origin: Some("example.test.".parse().expect("a name")) };
    let zone = read_zone(&source, &ReadOptions::default()).expect("the zone can be read");
    let jobs = NonZeroUsize::new(2).expect("two is not zero");
    review(&zone, &Dnssec { need: Need::Required, at_unix_secs, jobs })
}

/// The errors about a zone file text as `line owner code`.
fn errors_at(text: &str, at_unix_secs: u64) -> Vec<String> {
    let found = findings_at(text, at_unix_secs);
    let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| format!("{} {} {}", finding.line, finding.owner, finding.code)).collect()
}

/// The errors now.
fn errors(text: &str) -> Vec<String> {
    errors_at(text, now())
}

#[test]
fn what_the_signer_of_bind_makes_has_no_error() {
    for algorithm in
        ["RSASHA1", "NSEC3RSASHA1", "RSASHA256", "RSASHA512", "ECDSAP256SHA256", "ECDSAP384SHA384", "ED25519"]
    {
        // The first of them is not for zones with NSEC3 (RFC 5155 section 2).
        let chain = if algorithm == "RSASHA1" { Chain::Nsec } else { Chain::Nsec3 };
        let zone = SignedZone::by_bind(&[algorithm], chain);
        assert_eq!(errors(&zone.text), [""; 0], "{algorithm}");
    }
    for chain in [Chain::Nsec, Chain::Nsec3, Chain::OptOut, Chain::Salted] {
        let zone = SignedZone::by_bind(&["ECDSAP256SHA256", "RSASHA256"], chain);
        assert_eq!(errors(&zone.text), [""; 0], "{chain:?}");
    }
}

#[test]
fn what_ldns_signzone_makes_has_no_error() {
    for chain in [Chain::Nsec, Chain::Nsec3, Chain::OptOut, Chain::Salted] {
        let zone = SignedZone::by_ldns(chain);
        assert_eq!(errors(&zone.text), [""; 0], "{chain:?}");
    }
}

#[test]
fn an_algorithm_that_cannot_be_verified_is_a_warning() {
    let zone = SignedZone::by_bind(&["ED448"], Chain::Nsec);
    let found = findings_at(&zone.text, now());
    assert!(found.iter().all(|finding| finding.severity == Severity::Warning), "{found:?}");
    assert!(found.iter().any(|finding| finding.code == "key-not-verifiable"), "{found:?}");
}

#[test]
fn signatures_are_judged_for_the_time_that_is_given() {
    let zone = SignedZone::by_bind(&["ECDSAP256SHA256"], Chain::Nsec);
    let day_secs = 86_400;
    let codes = |at| {
        let code = |error: &String| error.rsplit(' ').next().unwrap_or_default().to_owned();
        let mut codes: Vec<String> = errors_at(&zone.text, at).iter().map(code).collect();
        codes.dedup();
        codes
    };
    assert_eq!(codes(now()), [""; 0]);
    assert_eq!(codes(now() + 60 * day_secs), ["rrsig-expired"]);
    assert_eq!(codes(now() - 60 * day_secs), ["rrsig-not-yet-valid"]);
}
