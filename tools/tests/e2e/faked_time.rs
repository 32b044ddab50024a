//! Signatures outlive their signer by two weeks, and nothing is signed by a clock that is wrong.
//!
//! The times are libfaketime's, the judge is Unbound: the Debian packages faketime and unbound are needed.

use crate::common::faked::Faked;

/// Seconds of a day.
const DAY: u64 = 86_400;
/// The answer that the resolver must not validate.
const SERVFAIL: u8 = 2;

/// Fault 12: the control plane is gone for two weeks, and then everything is signed anew.
#[test]
fn a_resolver_is_content_for_two_weeks_without_the_control_plane_and_three_after_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut faked = Faked::start(dir.path());
    // More than are signed anew at once.
    for number in 0..20 {
        let name = format!("d{number}.example");
        faked.json(&["domain", "add", &name]);
        faked.json(&["dnssec", "enable", &name]);
    }
    faked.stop();
    for tenths in (0..=130).step_by(10).chain([139]) {
        let when = format!("+{}", tenths * DAY / 10);
        faked.resolver(&when).check_content(&when);
    }
    faked.set(&format!("+{}", 14 * DAY));
    faked.reboot();
    faked.restart();
    faked.wait_for("signed 21 domains anew");
    // What is served when this returns has all that was published before.
    assert!(faked.write("kept.example", "late", "192.0.2.4"));
    assert_eq!(faked.refusal(), None);
    for day in [14, 28, 34] {
        let when = format!("+{}", day * DAY + DAY / 2);
        faked.resolver(&when).check_content(&when);
    }
    let ends = faked.figure("dns_signatures_expire_at_seconds").unwrap();
    let signed = u64::try_from(controlplane::clock::now_us() / 1_000_000).unwrap() + 14 * DAY;
    assert!(ends > signed + 20 * DAY && ends <= signed + 21 * DAY, "{ends} is not three weeks after {signed}");
    assert_eq!(faked.figure("dns_signatures_expiring"), Some(0));
    // Unbound lets signatures hold for a day longer than they say, for clocks that are wrong.
    let late = faked.resolver(&format!("+{}", 37 * DAY));
    assert_eq!(late.ask("www.kept.example", 1).0, SERVFAIL, "the test can tell");
}

/// Sets the clock to a time that must not be believed, and checks what that means.
fn check_doubt(faked: &Faked, time: &str, words: &str, octet: &mut u8) {
    faked.set(time);
    *octet += 1;
    let address = format!("192.0.2.{octet}");
    assert!(!faked.write("kept.example", "www", &address), "{time}: nothing is signed");
    let refusal = faked.refusal().unwrap_or_default();
    assert!(refusal.contains(words), "{time}: {refusal}");
    assert!(faked.write("plain.example", "www", &address), "{time}: what is not signed goes on");
    let shown = faked.json(&["clock", "show"]);
    let doubt = shown["doubt"].as_str().unwrap_or_default();
    assert!(shown["trusted"] == false && doubt.contains(words), "{time}: {shown}");
    assert_eq!(faked.figure("dns_clock_suspect"), Some(1), "{time}");
    let (rcode, is_validated, served) = faked.resolver("+0").ask("www.kept.example", 1);
    assert_eq!((rcode, is_validated), (0, true), "{time}: the last good one is served");
    assert_ne!(served.last(), Some(&*octet), "{time}");
}

/// Waits until nothing is refused any more; the newest content is served then, and holds at that time.
fn check_right(faked: &Faked, time: &str, octet: u8) {
    faked.until("nothing is refused", |faked| faked.refusal().is_none());
    assert_eq!(faked.figure("dns_clock_suspect"), Some(0), "{time}");
    assert!(faked.write("plain.example", "again", &format!("192.0.2.{octet}")));
    let found = faked.resolver(time).ask("www.kept.example", 1);
    assert_eq!(found, (0, true, vec![192, 0, 2, octet]), "{time}");
}

/// Fault 10: jumps of the clock.
#[test]
fn a_clock_that_jumps_signs_nothing_until_it_is_right_or_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let faked = Faked::start(dir.path());
    let year = 365 * DAY;
    let mut octet = 10;
    // Too far ahead; all is well again by itself when the clock is.
    for (time, words) in [
        (format!("+{year}"), "has jumped 36"),
        (format!("-{year}"), "the clock is "),
        ("@2038-01-20 00:00:00".to_owned(), "has jumped "),
        ("@2106-02-08 00:00:00".to_owned(), "after 2105"),
        ("@2020-01-01 00:00:00".to_owned(), "before 2026"),
    ] {
        check_doubt(&faked, &time, words, &mut octet);
        faked.set("+0");
        check_right(&faked, "+0", octet);
    }
    for time in ["@2106-02-08 00:00:00", "@2020-01-01 00:00:00"] {
        check_doubt(&faked, time, "before 2026 or after 2105", &mut octet);
        let refused = faked.ctl(&["clock", "accept"]);
        assert!(refused.code == 1 && refused.err.contains("before 2026 or after 2105"), "{time}: {refused:?}");
    }
    // An hour ahead is a small thing, and an hour back is not, as signatures of that hour are out.
    faked.set("+3600");
    check_right(&faked, "+3600", octet);
    check_doubt(&faked, "+0", " minutes behind", &mut octet);
    assert_eq!(faked.json(&["clock", "accept"])["trusted"], true);
    check_right(&faked, "+0", octet);
    // The operator knows that it is 2038: what is signed past the 31st bit holds.
    check_doubt(&faked, "@2038-01-20 00:00:00", "has jumped ", &mut octet);
    assert_eq!(faked.json(&["clock", "accept"])["trusted"], true);
    check_right(&faked, "@2038-01-20 00:00:00", octet);
    faked.resolver("@2038-02-02 00:00:00").check_content("2038");
}

/// A restart is no way to have a jump believed, unless the machine started anew as well and may have been off for so long.
#[test]
fn a_restart_believes_no_jump_that_the_process_before_did_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut faked = Faked::start(dir.path());
    let month = format!("+{}", 30 * DAY);
    let mut octet = 10;
    check_doubt(&faked, &month, "has jumped ", &mut octet);
    faked.restart();
    check_doubt(&faked, &month, "has jumped ", &mut octet);
    faked.set("+0");
    faked.restart();
    check_right(&faked, "+0", octet);
    faked.set(&month);
    faked.reboot();
    faked.restart();
    check_right(&faked, &month, octet);
}

/// The operator accepted a clock that was ahead, and then the right one.
#[test]
fn what_was_signed_by_a_clock_that_was_ahead_is_signed_anew() {
    let dir = tempfile::tempdir().unwrap();
    let faked = Faked::start(dir.path());
    let ahead = format!("+{}", 2 * DAY);
    let mut octet = 10;
    check_doubt(&faked, &ahead, "has jumped ", &mut octet);
    assert_eq!(faked.json(&["clock", "accept"])["trusted"], true);
    // What this edit touches begins in the future.
    check_right(&faked, &ahead, octet);
    faked.json(&["domain", "add", "ahead.example"]);
    faked.json(&["dnssec", "enable", "ahead.example"]);
    faked.set("+0");
    assert_eq!(faked.resolver("+0").ask("www.kept.example", 1).0, SERVFAIL, "the test can tell");
    assert_eq!(faked.json(&["clock", "accept"])["trusted"], true);
    faked.wait_for("signed 2 domains anew");
    check_right(&faked, "+0", octet);
    faked.resolver("+0").check_content("the right time");
}

/// A start with a clock that cannot be right signs nothing either, also what is new.
#[test]
fn a_start_long_after_the_mark_signs_nothing_until_the_clock_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let mut faked = Faked::start(dir.path());
    faked.set(&format!("+{}", 100 * DAY));
    faked.reboot();
    faked.restart();
    let mut octet = 20;
    check_doubt(&faked, &format!("+{}", 100 * DAY), "ahead of when something was signed last", &mut octet);
    let told = faked.alarm("clock");
    assert!(told.starts_with("Subject: Petrel: nothing is signed") && told.contains("dnsctl clock accept"), "{told}");
    faked.set("+0");
    faked.restart();
    check_right(&faked, "+0", octet);
    faked.set(&format!("-{DAY}"));
    faked.restart();
    check_doubt(&faked, &format!("-{DAY}"), " hours behind", &mut octet);
}
