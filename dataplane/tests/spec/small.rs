//! Every small zone, and every question about it: `answer::respond` against the model.
//!
//! Zones are compiled by the hundred, each under an apex of its own, beside one zone that their aliases can lead to.
//! Threads take the next hundred until none is left; what they compare does not depend on who does it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use dataplane::answer::BATCH_LEN;

use crate::compare::{both_text, compare, name_text};
use crate::message::{Dnssec, Reader, Reply, write_query};
use crate::model::{self, A, ANY, CNAME, DNAME, DS, Label, NS, Name, Over, Question, Zone};
use crate::serve::{self, Asker};
use crate::zones::{self, Shape};

/// How many zones one view holds besides the other zone.
const ZONES_PER_VIEW: usize = 128;
/// A type that no zone has.
const TXT: u16 = 16;
/// How many differences are shown whole.
const SHOWN_MAX: usize = 5;
/// Draws where aliases of three owners lead, and zones of four owners.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// What came of comparing.
#[derive(Default)]
struct Tally {
    /// Zones compared.
    zones: usize,
    /// Questions asked.
    questions: usize,
    /// Differences by what differs.
    differences: BTreeMap<String, usize>,
    /// The first of them, whole.
    shown: Vec<String>,
}

impl Tally {
    /// Adds what another thread has.
    fn add(&mut self, other: Tally) {
        self.zones += other.zones;
        self.questions += other.questions;
        for (what, count) in other.differences {
            *self.differences.entry(what).or_default() += count;
        }
        self.shown.extend(other.shown);
        self.shown.truncate(SHOWN_MAX);
    }

    /// Adds a difference.
    fn differ(&mut self, what: &str, whole: impl FnOnce() -> String) {
        let count = self.differences.entry(what.to_owned()).or_default();
        *count += 1;
        if *count == 1 && self.shown.len() < SHOWN_MAX {
            self.shown.push(format!("{what}\n{}", whole()));
        }
    }
}

/// The apex of the zone at a place in its view.
fn apex(place: usize) -> Name {
    vec![Label::new(format!("z{place:04}").as_bytes()), Label::new(b"test")]
}

/// The questions about the zone at `apex`.
fn questions(apex: &Name, qnames: &[Name]) -> Vec<Question> {
    let types: [&[u16]; 2] = [&[A, NS, CNAME, DNAME, DS, TXT, ANY], &[ANY]];
    let mut questions = Vec::new();
    for (over, types) in [Over::Udp, Over::Tcp].into_iter().zip(types) {
        for qname in qnames {
            let qname = [qname.as_slice(), apex].concat();
            questions.extend(types.iter().map(|&qtype| Question { qname: qname.clone(), qtype, over }));
        }
    }
    questions
}

/// Compares the zones of some shapes on all questions.
fn compare_shapes(shapes: &[Shape], qnames: &[Name], asker: &mut Asker, tally: &mut Tally) {
    let other = zones::other_zone();
    let made: Vec<Zone> =
        shapes.iter().enumerate().map(|(place, shape)| zones::zone(shape, &apex(place), place)).collect();
    let view = serve::view(made.iter().chain([&other]));
    let mut queries = vec![Vec::new(); BATCH_LEN];
    let mut reader = Reader::default();
    for zone in made {
        tally.zones += 1;
        let asked = questions(&zone.apex, qnames);
        let served = [zone, other.clone()];
        for same_over in asked.chunk_by(|a, b| a.over == b.over) {
            for batch in same_over.chunks(BATCH_LEN) {
                for (query, question) in queries.iter_mut().zip(batch) {
                    // DO must change nothing: these zones are not signed.
                    let is_odd = question.qname.len() % 2 == 1;
                    write_query(query, question, if is_odd { Dnssec::Wanted } else { Dnssec::NotWanted });
                }
                tally.questions += batch.len();
                let queries = &queries[..batch.len()];
                asker.ask(&view, batch[0].over, queries, |idx, bytes| {
                    judge(&served, &batch[idx], reader.read(&queries[idx], bytes), tally);
                });
            }
        }
    }
}

/// Compares one reply with the model.
fn judge(served: &[Zone], question: &Question, reply: Result<&Reply, String>, tally: &mut Tally) {
    let expected = model::answer(served, question);
    let result = reply.as_ref().map_err(Clone::clone).and_then(|reply| compare(served, &expected, reply));
    if let Err(what) = result {
        let Question { qname, qtype, over } = question;
        let whole = || {
            let both = both_text(&served[..1], &expected, reply.ok());
            format!("  {} type {qtype} over {over:?}\n{both}", name_text(qname))
        };
        // Names differ from zone to zone, kinds of differences do not.
        let kind = what.split(':').next().unwrap_or_default();
        tally.differ(kind, whole);
    }
}

/// Compares all zones of an iterator on two threads, prints what came of it, and fails if there are differences.
#[expect(clippy::print_stderr, reason = "how much was compared is what a full run is for")]
fn compare_all(title: &str, shapes: impl Iterator<Item = Shape> + Send) {
    let begun = Instant::now();
    let qnames = zones::qnames();
    let source = Mutex::new(shapes);
    let total = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut asker = Asker::new();
                let mut tally = Tally::default();
                loop {
                    let shapes: Vec<Shape> =
                        source.lock().expect("no thread panics").by_ref().take(ZONES_PER_VIEW).collect();
                    if shapes.is_empty() {
                        break;
                    }
                    compare_shapes(&shapes, &qnames, &mut asker, &mut tally);
                }
                total.lock().expect("no thread panics").add(tally);
            });
        }
    });
    let tally = total.into_inner().expect("no thread panics");
    let count: usize = tally.differences.values().sum();
    eprintln!(
        "{title}: {} zones, {} queries, {count} differences, {:.1} s",
        tally.zones,
        tally.questions,
        begun.elapsed().as_secs_f64()
    );
    assert!(count == 0, "{:#?}\n{}", tally.differences, tally.shown.join("\n"));
}

/// Whether all zones are to be compared, or every so many-th.
fn is_full() -> bool {
    std::env::var("PETREL_SPEC").is_ok_and(|value| value == "full")
}

#[test]
fn zones_of_one_owner_are_answered_as_specified() {
    compare_all("one owner", zones::ones());
}

#[test]
fn zones_of_two_owners_are_answered_as_specified() {
    compare_all("two owners", zones::twos().step_by(if is_full() { 1 } else { 127 }));
}

#[test]
fn zones_of_three_owners_are_answered_as_specified() {
    compare_all("three owners", zones::threes(SEED).step_by(if is_full() { 1 } else { 251 }));
}

#[test]
fn zones_of_four_owners_are_answered_as_specified() {
    compare_all("four owners", zones::fours(SEED, if is_full() { 20_000 } else { 1_000 }));
}
