//! Chains and loops of aliases, and answers that do not depend on what was asked before.
//!
//! Chains of every length up to four times the bound, in one zone and from zone to zone, by CNAME, DNAME and wildcards;
//! all on a thread with a small stack, so that a chain that costs stack per step does not pass.

use crate::compare::{both_text, compare, name_text};
use crate::message::{Dnssec, read_reply, write_query};
use crate::model::{self, A, ANY, CNAME, DNAME, FOLLOWED_MAX, Label, Name, Over, Question, Rdata, Record, Zone};
use crate::serve::{self, Asker};
use crate::zones::{self, Numbers};

/// The longest chain.
const LENGTH_MAX: usize = 64;
/// The stack on which chains are answered. Any chain needs as much as one alias does.
const STACK_LEN: usize = 96 * 1024;
/// Draws the order of questions.
const SEED: u64 = 0x5eed_0014;

/// An absolute name.
fn name(text: &str) -> Name {
    text.split('.').filter(|label| !label.is_empty()).map(|label| Label::new(label.as_bytes())).collect()
}

/// A record that leads from one name to another.
fn alias(owner: &str, rtype: u16, target: &str) -> Record {
    Record { owner: name(owner), rtype, ttl_secs: 30, rdata: Rdata::Name(name(target)) }
}

/// An address.
fn address(owner: &str) -> Record {
    Record { owner: name(owner), rtype: A, ttl_secs: 60, rdata: Rdata::Octets(vec![192, 0, 2, 1]) }
}

/// A way to make chains.
struct Kind {
    /// What it is called in failures.
    title: &'static str,
    /// The type of its links.
    rtype: u16,
    /// How many zones it goes through in turn.
    zone_count: usize,
    /// What is asked for at a link.
    qname: fn(&str) -> String,
}

/// All of them.
const KINDS: [Kind; 5] = [
    Kind { title: "CNAME", rtype: CNAME, zone_count: 1, qname: str::to_owned },
    Kind { title: "CNAME through zones", rtype: CNAME, zone_count: 3, qname: str::to_owned },
    Kind { title: "DNAME", rtype: DNAME, zone_count: 1, qname: |link| format!("www.{link}") },
    Kind { title: "DNAME through zones", rtype: DNAME, zone_count: 2, qname: |link| format!("www.{link}") },
    Kind { title: "wildcard CNAME", rtype: CNAME, zone_count: 1, qname: |link| link.replace('*', "any") },
];

impl Kind {
    /// The name of a link.
    fn link(&self, idx: usize) -> String {
        let star = if self.title.starts_with("wildcard") { "*." } else { "" };
        format!("{star}l{idx}.zone{}.test", idx % self.zone_count)
    }

    /// The zones of a chain of `length` links that leads to link number `end`, and the question for its start. A chain
    /// ends with an address, a loop with itself.
    fn chain(&self, length: usize, end: usize) -> (Vec<Zone>, Name) {
        let mut zones = vec![zones::other_zone()];
        for number in 0..self.zone_count {
            zones.push(zones::zone(&Vec::new(), &name(&format!("zone{number}.test")), number));
        }
        for idx in 0..length {
            let next = if idx + 1 == length { end } else { idx + 1 };
            // A DNAME leads to an owner, a CNAME to a name that there is something for.
            let target = self.link(next).replace('*', "any");
            zones[1 + idx % self.zone_count].records.push(alias(&self.link(idx), self.rtype, &target));
        }
        let last = (self.qname)(&self.link(length)).replace('*', "any");
        zones[1 + length % self.zone_count].records.push(address(&last));
        (zones, name(&(self.qname)(&self.link(0))))
    }
}

/// Compares one question over both transports; returns how many CNAMEs the answer has.
fn check(zones: &[Zone], qname: &Name, qtype: u16, what: &str) -> usize {
    let view = serve::view(zones);
    let mut asker = Asker::new();
    let mut followed = 0;
    for over in [Over::Udp, Over::Tcp] {
        let question = Question { qname: qname.clone(), qtype, over };
        let expected = model::answer(zones, &question);
        let (query, bytes) = asker.ask_one(&view, &question, Dnssec::NotWanted);
        let reply = read_reply(&query, &bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        if let Err(error) = compare(zones, &expected, &reply) {
            panic!(
                "{what}: {} over {over:?}: {error}\n{}",
                name_text(qname),
                both_text(zones, &expected, Some(&reply))
            );
        }
        followed = reply.sections[0].iter().filter(|record| record.rtype == CNAME).count();
    }
    followed
}

/// All chains and loops.
fn check_chains() {
    for kind in &KINDS {
        for length in 1..=LENGTH_MAX {
            let (zones, qname) = kind.chain(length, length);
            let cname_count = check(&zones, &qname, A, &format!("{} chain of {length}", kind.title));
            assert_eq!(cname_count, length.min(FOLLOWED_MAX + 1), "{} chain of {length}", kind.title);
            // Loops to the start, to the middle and to the end itself.
            for end in [0, length / 2, length - 1] {
                let (zones, qname) = kind.chain(length, end);
                check(&zones, &qname, A, &format!("{} loop of {length} to {end}", kind.title));
                check(&zones, &qname, ANY, &format!("{} loop of {length} to {end}", kind.title));
            }
        }
    }
}

/// Names that grow with every step, until the bound or the length of names ends it (RFC 6672 section 2.2).
fn check_growth() {
    for label_len in 1..=63 {
        let mut zone = zones::zone(&Vec::new(), &name("zone0.test"), 0);
        let label = "x".repeat(label_len);
        zone.records.push(alias("d.zone0.test", DNAME, &format!("{label}.d.zone0.test")));
        check(&[zone], &name("www.d.zone0.test"), A, &format!("growth by {label_len}"));
    }
}

#[test]
fn t_a10_chains_and_loops_of_aliases_end_on_a_flat_stack() {
    let run = || {
        check_chains();
        check_growth();
    };
    let thread = std::thread::Builder::new().stack_size(STACK_LEN).spawn(run);
    thread.expect("a thread can be started").join().expect("chains are answered as specified");
}

#[test]
fn t_a14_answers_do_not_depend_on_what_was_asked_before() {
    let apex = |place: usize| name(&format!("z{place}.test"));
    let mut numbers = Numbers(SEED);
    let made: Vec<Zone> =
        zones::fours(SEED, 200).enumerate().map(|(place, shape)| zones::zone(&shape, &apex(place), place)).collect();
    let view = serve::view(made.iter().chain([&zones::other_zone()]));
    let qnames = zones::qnames();
    let mut queries: Vec<Vec<u8>> = Vec::new();
    for zone in &made {
        for _ in 0..200 {
            let qname = [qnames[numbers.below(qnames.len())].as_slice(), &zone.apex].concat();
            let qtype = [A, model::NS, CNAME, DNAME, model::DS, ANY][numbers.below(6)];
            let mut query = Vec::new();
            let dnssec = if numbers.below(2) == 0 { Dnssec::Wanted } else { Dnssec::NotWanted };
            write_query(&mut query, &Question { qname, qtype, over: Over::Udp }, dnssec);
            queries.push(query);
        }
    }
    for over in [Over::Udp, Over::Tcp] {
        let mut asker = Asker::new();
        let mut ask_all = |queries: &[Vec<u8>], batch_len: usize| {
            let mut replies: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            for batch in queries.chunks(batch_len) {
                asker.ask(&view, over, batch, |idx, bytes| replies.push((batch[idx].clone(), bytes.to_vec())));
            }
            replies.sort_unstable();
            replies
        };
        let first = ask_all(&queries, 1);
        for batch_len in [32, 7] {
            for at in (1..queries.len()).rev() {
                queries.swap(at, numbers.below(at + 1));
            }
            assert!(ask_all(&queries, batch_len) == first, "replies differ in another order, seed {SEED:#x}");
        }
    }
}
