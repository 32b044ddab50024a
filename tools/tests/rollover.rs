//! Rollovers from end to end, in a network of their own: a parent zone on Knot DNS that takes over CDS, domains on our two
//! processes, and Unbound, which trusts the parent's key, insists on every algorithm, and remembers as long as it may.
//!
//! Unbound is asked throughout. The control plane is killed after each step that it takes, and goes on where it was. Needs
//! root, iproute2, knotd, knotc and unbound; without them there is nothing to see here, and `./test` installs them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

mod rollover {
    pub(crate) mod asking;
    pub(crate) mod lab;
    pub(crate) mod planes;
}

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rollover::asking::{Report, watch};
use rollover::lab::{CSK, Lab, SPLIT};

/// How long one rollover may take.
const TIME_MAX: Duration = Duration::from_secs(120);

/// The states of a domain's keys, each with its algorithm, in their order; and the tags.
fn states(lab: &Lab, domain: &str) -> (Vec<String>, BTreeSet<u64>) {
    let keys = lab.dnsctl(&["key", "status", domain]);
    let of = |key: &serde_json::Value| {
        let text = |field: &str| key[field].as_str().unwrap_or_default().to_owned();
        format!("{} {} {}", text("keytype"), key["algorithm"], text("state"))
    };
    let keys = keys["keys"].as_array().unwrap();
    (keys.iter().map(of).collect(), keys.iter().map(|key| key["tag"].as_u64().unwrap()).collect())
}

/// Follows domains until all their keys are as expected, with none of the tags of before; kills the control plane after each
/// step, and returns the steps.
fn follow(lab: &mut Lab, expected: &[(&str, &[&str])], before: &BTreeSet<u64>) -> Vec<String> {
    let begin = Instant::now();
    let mut steps: Vec<String> = Vec::new();
    let mut last = Vec::new();
    loop {
        let now: Vec<_> = expected.iter().map(|(domain, _)| states(lab, domain)).collect();
        if now != last {
            let text: Vec<String> = now.iter().map(|(states, _)| states.join(", ")).collect();
            steps.push(format!("{:.1} s: {}", begin.elapsed().as_secs_f64(), text.join("; ")));
            last.clone_from(&now);
            let is_there = now
                .iter()
                .zip(expected)
                .all(|((states, tags), (_, wanted))| states == wanted && tags.is_disjoint(before));
            if is_there {
                return steps;
            }
            lab.kill_control_plane();
        }
        assert!(begin.elapsed() < TIME_MAX, "{steps:#?}\n{}", lab.logs());
        // The parent does what it is asked for, when it gets round to it.
        for (domain, _) in expected {
            lab.parent_follows(domain);
        }
    }
}

/// Has the parent look for CDS of the domains, which were served without signatures, until it has their DS.
fn enabled(lab: &mut Lab) {
    let begin = Instant::now();
    let mut has_ds = [false; 2];
    while has_ds != [true; 2] {
        has_ds = [CSK, SPLIT].map(|domain| lab.parent_follows(domain));
        assert!(begin.elapsed() < TIME_MAX, "{}", lab.logs());
    }
    assert_eq!(states(lab, SPLIT).0, ["ksk 13 active", "zsk 13 active"]);
}

/// All that is done, in the network of the lab; how it went.
fn rolls(lab: &mut Lab) -> String {
    lab.start();
    enabled(lab);
    let (stop, told) = channel();
    let watcher = std::thread::spawn(move || watch(&[CSK, SPLIT], &told));
    let tags = |lab: &Lab| [CSK, SPLIT].iter().flat_map(|domain| states(lab, domain).1).collect::<BTreeSet<u64>>();

    // Everything to new keys of the same algorithm: a CSK, and KSK and ZSK side by side.
    let before = tags(lab);
    lab.dnsctl(&["key", "roll", CSK]);
    lab.dnsctl(&["key", "roll", SPLIT]);
    let same = follow(lab, &[(CSK, &["csk 13 active"]), (SPLIT, &["ksk 13 active", "zsk 13 active"])], &before);

    // Everything to another one.
    let before = tags(lab);
    lab.dnsctl(&["key", "roll", CSK, "--algorithm", "15"]);
    lab.dnsctl(&["key", "roll", SPLIT, "--algorithm", "15"]);
    let other = follow(lab, &[(CSK, &["csk 15 active"]), (SPLIT, &["ksk 15 active", "zsk 15 active"])], &before);

    // And back half way, once the parent was asked.
    lab.dnsctl(&["key", "roll", CSK, "--algorithm", "13"]);
    let stays = tags(lab);
    let begin = Instant::now();
    while !states(lab, CSK).0.contains(&"csk 15 leaving".to_owned()) {
        assert!(begin.elapsed() < TIME_MAX, "{}", lab.logs());
    }
    lab.parent_follows(CSK);
    lab.dnsctl(&["key", "stop", CSK]);
    let gone = follow(lab, &[(CSK, &["csk 15 active"])], &BTreeSet::new());
    assert!(states(lab, CSK).1.is_subset(&stays));

    stop.send(()).unwrap();
    let Report { asked, wrong } = watcher.join().unwrap();
    assert!(asked > 500, "{asked} answers only");
    let first: Vec<&String> = wrong.iter().take(20).collect();
    assert!(wrong.is_empty(), "{first:#?}\n{}", lab.logs());
    // With a DS at the parent the end of signing has to be forced.
    let refused = lab.refused(&["dnssec", "disable", CSK]);
    assert!(refused.contains("the parent has DS records"), "{refused}");
    format!("same algorithm: {same:#?}\nanother: {other:#?}\nback again: {gone:#?}\n{asked} answers, none wrong")
}

#[test]
fn no_resolver_sees_bogus_while_keys_and_algorithms_roll_and_the_control_plane_dies() {
    let has = |program: &str| {
        Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
    };
    let missing: Vec<&str> = ["knotd", "knotc", "unbound", "ip"].into_iter().filter(|program| !has(program)).collect();
    if !missing.is_empty() || !nix::unistd::geteuid().is_root() {
        println!("skipped: needs root, and {missing:?}");
        return;
    }
    let mut lab = Lab::new();
    // A thread of its own is in the network of the lab, with all it starts.
    let ended = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                lab.enter();
                rolls(&mut lab)
            })
            .join()
    });
    match ended {
        Ok(report) => println!("{report}"),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
