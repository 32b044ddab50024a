//! A validating resolver judges us: Unbound, with one trust anchor, asks for what is and what is not in random signed zones,
//! at first and after every one of many random changes.
//!
//! All zones lie below one, which has their DS records, so that chains of trust, DS records and their absence are judged as
//! well. What should be answered, and whether it can be proved, a model says that shares nothing with the server.
//! `PETREL_VALIDATING` has the number of zones and of changes; `tools/validating/run` is the long run.

mod grow;
mod oracle;
mod questions;
mod resolver;
mod server;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use snapshot::dns::message::{Edns, Flags, Message, Resource};
use snapshot::dns::rdata::Text;
use snapshot::dns::rtype::Rtype;

use super::common::random::Random;
use super::common::take_turn;
use grow::{Change, KID};
use questions::{Question, Questions};
use resolver::Resolver;
use server::{Door, Server};
use world::{Edit, SERVER, TOP, World, Zone, labels, text};

/// Zones and changes if nobody says how many.
const SCALE: [usize; 2] = [60, 100];
/// How many connections fill the server.
const FILLER_COUNT: usize = 8;
/// About how many names of a zone is asked at first.
const NAME_COUNT: usize = 3;
/// About how many zones beside the one that changed is asked after a change.
const OTHER_COUNT: usize = 3;
/// How many wrong answers are shown.
const SHOWN_COUNT_MAX: usize = 5;
/// From so many zones on a run is long, and has a bigger zone.
const LONG_MIN: usize = 1000;

/// The server, the resolver, and what both should say.
struct Bench {
    /// What should be.
    world: World,
    /// The server, which ends with us.
    server: Server,
    /// The way into it.
    door: Door,
    /// The judge.
    resolver: Resolver,
    /// How many answers of each kind there were, and how many of them proved.
    tally: BTreeMap<&'static str, [usize; 2]>,
    /// How many answers were wrong.
    wrong_count: usize,
    /// The first of these.
    wrong: String,
}

impl Bench {
    /// A server with so many zones, and a resolver.
    fn start(dir: &std::path::Path, zone_count: usize, random: &mut Random) -> Bench {
        let server = Server::start(&dir.join("data"));
        let mut world = made_up(zone_count, random);
        let keys = fill(&server, &world.zones);
        for (zone, ds) in world.zones.iter_mut().zip(keys) {
            zone.ds = ds;
        }
        let mut door = server.door();
        for number in (1..world.zones.len()).rev() {
            let edits = world.delegation(number, random.below(7) > 0);
            let parent = world.zones[number].parent.expect("only the top has none");
            let edits: Vec<Edit> = edits.into_iter().filter(|edit| world.zones[parent].put(edit)).collect();
            if parent != TOP {
                door.edit(&world.zones[parent], &edits);
            }
        }
        door.replace(&world.zones[TOP]);
        let top = &world.zones[TOP];
        let ds = top.ds.as_ref().expect("the top is signed");
        let resolver = Resolver::start(dir, server.up.dns, &text(&top.apex), ds);
        Bench { world, server, door, resolver, tally: BTreeMap::new(), wrong_count: 0, wrong: String::new() }
    }

    /// Does a change, and returns whom to ask about it.
    fn change(&mut self, change: Change, random: &mut Random) -> Vec<Question> {
        match change {
            Change::Rrsets(number, edits) => {
                let zone = &mut self.world.zones[number];
                let edits: Vec<Edit> = edits.into_iter().filter(|edit| zone.put(edit)).collect();
                self.edit(number, &edits, random)
            }
            Change::Ds(number) => {
                let mut edits = self.world.delegation(number, !grow::is_ds_given(&self.world, number));
                let parent = self.world.zones[number].parent.expect("only the top has none");
                edits.retain(|edit| self.world.zones[parent].put(edit));
                let mut asked = self.edit(parent, &edits, random);
                asked.extend(self.about(number, NAME_COUNT, random));
                asked
            }
            Change::Denial(number, denial) => {
                let zone = &mut self.world.zones[number];
                zone.denial = denial;
                zone.ds = self.door.sign(zone, denial).or(zone.ds.take());
                self.about(number, 2 * NAME_COUNT, random)
            }
        }
    }

    /// Does some edits that the model has already, and returns what to ask about them.
    fn edit(&mut self, number: usize, edits: &[Edit], random: &mut Random) -> Vec<Question> {
        let zone = &self.world.zones[number];
        if !edits.is_empty() {
            self.door.edit(zone, edits);
        }
        let mut questions = Questions::new(&self.world);
        for edit in edits {
            questions.changed(zone, &edit.name, edit.rtype, random);
        }
        questions.all()
    }

    /// Questions about a zone.
    fn about(&self, number: usize, count: usize, random: &mut Random) -> Vec<Question> {
        let zone = &self.world.zones[number];
        let mut questions = Questions::new(&self.world);
        questions.zone(zone, count, random);
        questions.all()
    }

    /// Asks, and compares the answers with what they should be. Nothing is remembered of earlier questions: of a DNAME and the
    /// CNAME that came with it, Unbound may have dropped the one and use the other, which has no signature.
    fn judge(&mut self, questions: &[Question]) {
        self.resolver.forget(&self.world.zones[TOP].apex);
        let replies = self.resolver.ask(questions);
        assert_eq!(replies.len(), questions.len());
        for (question, reply) in questions.iter().zip(&replies) {
            let expected = &question.expected;
            let secure = reply.header.flags.contains(Flags::AD);
            let answers = lines(reply);
            for kind in &expected.kinds {
                let tally = self.tally.entry(*kind).or_default();
                *tally = [tally[0] + 1, tally[1] + usize::from(secure)];
            }
            if (reply.rcode(), secure, &answers) != (expected.rcode, expected.secure, &expected.answers) {
                self.wrong_count += 1;
                if self.wrong_count <= SHOWN_COUNT_MAX {
                    let shown = self.shown(question, reply, &answers);
                    self.wrong.push_str(&shown);
                }
            }
        }
    }

    /// Makes sure that all answers were right so far.
    fn check(&self, after: &str) {
        assert!(self.wrong_count == 0, "{} answers are wrong after {after}\n{}", self.wrong_count, self.wrong);
    }

    /// Shows a wrong answer, with the zone that it is about.
    fn shown(&self, question: &Question, reply: &Message, answers: &BTreeSet<String>) -> String {
        let mut out = String::new();
        let Question { qname, qtype, expected } = question;
        let (qname, rcode) = (text(qname), reply.rcode());
        let secure = reply.header.flags.contains(Flags::AD);
        writeln!(out, "{qname} {qtype}: {rcode} AD={secure} {answers:?}\n  instead of {expected:?}").unwrap();
        out.push_str(&self.resolver.log(&qname));
        let ours = resolver::ask_by_tcp(self.server.up.dns, question, Edns::DO);
        writeln!(out, "  from {}", ours.rcode()).unwrap();
        for record in ours.answers.iter().chain(&ours.authorities) {
            writeln!(out, "    {}", line(record)).unwrap();
        }
        if let Some(number) = self.world.enclosing(&question.qname) {
            let zone = &self.world.zones[number];
            let is_secure = self.world.is_secure(number);
            writeln!(out, "  zone {} {} secure={is_secure}", text(&zone.apex), zone.denial).unwrap();
            if zone.rows.len() < 40 {
                out.push_str(&zone.file());
            }
        }
        out
    }
}

/// The answer section as the model has it, without signatures.
fn lines(reply: &Message) -> BTreeSet<String> {
    let records = reply.answers.iter().filter(|record| record.rtype != Rtype::RRSIG);
    let known = |record: &Resource| match record.rtype.to_string() {
        rtype if oracle::MADE.contains(&&*rtype) => format!("{} {rtype} *", record.owner),
        _ => line(record),
    };
    records.map(|record| known(record).to_ascii_lowercase()).collect()
}

/// A record as the model writes it.
fn line(record: &Resource) -> String {
    let rdata = Text { rtype: record.rtype, rdata: &record.rdata };
    format!("{} {} {rdata}", record.owner, record.rtype)
}

/// So many random zones below the top; the last one is wide.
fn made_up(zone_count: usize, random: &mut Random) -> World {
    let mut world = World::default();
    let apex = labels("zones.test.");
    let mut top = Zone::new(apex.clone(), random.pick(&["nsec", "nsec3", "opt-out"]), None);
    top.put(&Edit { name: labels(SERVER), rtype: "A", rdatas: vec!["127.0.0.1".to_owned()] });
    world.add(top);
    for number in 1..zone_count.max(2) {
        let below = random.below(world.zones.len());
        let has_room = |zone: &Zone| !zone.rows.get(&zone.apex).is_some_and(|types| types.contains_key("DNAME"));
        let (parent, label) = if random.below(16) == 0 && below != TOP && has_room(&world.zones[below]) {
            (below, format!("{KID}{number}"))
        } else {
            (TOP, format!("z{number}"))
        };
        let apex = [&world.zones[parent].apex[..], &[label]].concat();
        let zone = grow::zone(&world, apex, parent, random);
        world.add(zone);
    }
    let hosts = if zone_count < LONG_MIN { 300 } else { 3000 };
    let denial = random.pick(&["nsec", "nsec", "nsec3", "opt-out"]);
    world.add(grow::wide_zone([&apex[..], &["wide".to_owned()]].concat(), denial, hosts));
    world
}

/// Makes the zones over several connections; their DS records.
fn fill(server: &Server, zones: &[Zone]) -> Vec<Option<String>> {
    let next = AtomicUsize::new(0);
    let keys = Mutex::new(vec![None; zones.len()]);
    std::thread::scope(|scope| {
        for _ in 0..FILLER_COUNT {
            scope.spawn(|| {
                let mut door = server.door();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(zone) = zones.get(number) else { return };
                    door.create(zone);
                    if !zone.rows.is_empty() {
                        door.replace(zone);
                    }
                    let ds = if zone.denial == "off" { None } else { door.sign(zone, zone.denial) };
                    keys.lock().unwrap()[number] = ds;
                }
            });
        }
    });
    keys.into_inner().unwrap()
}

/// How many zones and changes there are to be.
fn scale() -> [usize; 2] {
    let Ok(text) = std::env::var("PETREL_VALIDATING") else { return SCALE };
    let numbers: Vec<usize> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    numbers.try_into().expect("PETREL_VALIDATING has two numbers: zones and changes")
}

#[test]
fn a_validating_resolver_accepts_every_answer_of_random_zones_and_after_every_change() {
    let _turn = take_turn();
    let [zone_count, change_count] = scale();
    let mut random = Random::seeded();
    eprintln!("PETREL_SEED={}: {zone_count} zones, {change_count} changes", random.0);
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let mut bench = Bench::start(dir.path(), zone_count, &mut random);
    let zone_count = bench.world.zones.len();
    eprintln!("{zone_count} zones made in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    for number in 0..zone_count {
        let mut questions = Questions::new(&bench.world);
        questions.zone(&bench.world.zones[number], NAME_COUNT, &mut random);
        let questions = questions.all();
        bench.judge(&questions);
    }
    bench.check("the start");
    eprintln!("asked about each in {:.1} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    for idx in 0..change_count {
        let change = grow::change(&bench.world, zone_count - 1, &mut random);
        let what = format!("change {idx}, {change:?}");
        let mut questions = bench.change(change, &mut random);
        for _ in 0..OTHER_COUNT {
            let other = random.below(zone_count);
            questions.extend(bench.about(other, 1, &mut random));
        }
        bench.judge(&questions);
        bench.check(&what);
    }
    eprintln!("changed and asked in {:.1} s", begun.elapsed().as_secs_f64());
    for (kind, [all, proved]) in &bench.tally {
        eprintln!("{kind:>20}: {all} answers, {proved} proved");
    }
    for kind in ["positive", "NODATA", "NXDOMAIN", "wildcard", "empty non-terminal", "DNAME", "DS", "no DS"] {
        assert!(bench.tally.get(kind).is_some_and(|[_, proved]| *proved > 0), "{kind}: none was proved");
    }
    bench.server.up.stop();
}
