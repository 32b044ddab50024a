//! Zone files and questions that others wrote: the product against the model, and the model against what is expected.
//!
//! `PETREL_CASES=DIR cargo test -p dataplane --release --test spec cases -- --nocapture` looks into each folder of DIR for
//! `scenes.json` (zone files by scene), `cases.jsonl` (questions) and `expected.jsonl` (what other servers answer). Scenes
//! with signed zones and questions of other classes, opcodes and meta-types are left out: the model does not know them.
//! Without the variable there is nothing to do. Only the comparison of product and model can fail.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use snapshot::dns::name::Name as WireName;
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zonefile::{Generate, Include, Options, Reader};

use crate::compare::{both_text, compare, name_text};
use crate::message::{Dnssec, push_name, read_name, read_rdata, read_reply};
use crate::model::{self, ANY, Answer, Name, Over, Question, Rdata, Record, Zone};
use crate::serve::{self, Asker};

/// Records that make a zone a signed one: RRSIG, NSEC, NSEC3.
const SIGNED: [u16; 3] = [46, 47, 50];
/// QTYPEs that are no data (RFC 6895 section 3.1), besides 0 and OPT.
const META_TYPES: std::ops::RangeInclusive<u16> = 128..=255;
/// How many differences are shown whole.
const SHOWN_MAX: usize = 10;

/// What came of a folder.
#[derive(Default)]
struct Tally {
    /// Questions that were compared, and those that were left out.
    asked: [usize; 2],
    /// Differences between product and model.
    differences: Vec<String>,
    /// Of the fields that most of the other servers agree on: how often the model says the same, and how often not.
    agreed: BTreeMap<&'static str, [usize; 2]>,
    /// Cases in which it does not.
    disagreed: Vec<String>,
}

/// The lines of a file, each read as JSON.
fn json_lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

/// A wire name in the words of the model.
fn model_name(wire: &[u8]) -> Name {
    read_name(wire).expect("what the reader returns is a name")
}

/// Reads a zone file; `None` if it cannot be read or holds what the product does not load.
fn read_zone(origin: &str, path: &Path) -> Option<Zone> {
    let text = fs::read(path).ok()?;
    let origin: WireName = origin.parse().ok()?;
    let apex = model_name(origin.as_wire());
    let generate = Generate::AtMost(100_000);
    let options = Options { origin: Some(origin), default_ttl: Some(3600), include: Include::Refuse, generate };
    let mut reader = Reader::new(text.as_slice(), options);
    let mut records: Vec<Record> = Vec::new();
    while let Some(record) = reader.read().ok()? {
        let rdata = read_rdata(record.rtype.0, record.rdata).ok()?;
        let owner = model_name(record.owner.as_wire());
        if !model::is_at_or_below(&owner, &apex) {
            return None;
        }
        let record = Record { owner, rtype: record.rtype.0, ttl_secs: record.ttl_secs, rdata };
        // What is given twice counts once (RFC 2181 section 5).
        if records.last() != Some(&record) {
            records.push(record);
        }
    }
    let zone = Zone { apex, records };
    (is_valid(&zone) && serve::can_serve(&zone)).then_some(zone)
}

/// Whether aliases are as RFC 1034 section 3.6.2 and RFC 6672 section 2.4 ask for, and wildcards are not delegated (RFC
/// 4592 section 4.2): other zones are not loaded, so no answer from them is right or wrong.
fn is_valid(zone: &Zone) -> bool {
    let beside = |record: &Record| zone.records.iter().filter(|other| other.owner == record.owner).count();
    let dnames = |record: &Record| {
        zone.records.iter().filter(|other| other.owner == record.owner && other.rtype == model::DNAME).count()
    };
    zone.records.iter().all(|record| match record.rtype {
        model::CNAME => beside(record) == 1,
        model::DNAME => dnames(record) == 1,
        model::NS => record.owner.first().is_none_or(|label| *label != model::Label::new(b"*")),
        _ => true,
    })
}

/// The zones of a scene; `None` if it is not for the model.
fn read_scene(dir: &Path, scene: &Value) -> Option<Vec<Zone>> {
    let text = |zone: &Value, key: &str| zone[key].as_str().unwrap_or_default().to_owned();
    let files = scene["zones"].as_array()?;
    if files.iter().any(|zone| text(zone, "flags").contains("signed")) {
        return None;
    }
    let zones: Vec<Zone> =
        files.iter().filter_map(|zone| read_zone(&text(zone, "origin"), &dir.join(text(zone, "file")))).collect();
    let is_signed = zones.iter().any(|zone| zone.records.iter().any(|record| SIGNED.contains(&record.rtype)));
    (!zones.is_empty() && !is_signed).then_some(zones)
}

/// The question of a case; `None` if it is not for the model.
fn question(case: &Value) -> Option<Question> {
    let query = case["q"].as_object()?;
    if query.keys().any(|key| !["name", "type", "edns", "proto", "class", "cd", "rd", "ad"].contains(&key.as_str())) {
        return None;
    }
    if query.get("class").is_some_and(|class| class != "IN")
        || query.get("edns").is_some_and(|edns| edns["version"] != 0)
    {
        return None;
    }
    let qname: WireName =
        query["name"].as_str().map(|text| format!("{}.", text.trim_end_matches('.')))?.parse().ok()?;
    let qtype = match &query["type"] {
        Value::String(text) => text.parse::<Rtype>().ok()?.0,
        number => u16::try_from(number.as_u64()?).ok()?,
    };
    if qtype != ANY && (qtype == 0 || qtype == 41 || META_TYPES.contains(&qtype)) {
        return None;
    }
    let over = if query.get("proto").is_some_and(|proto| proto == "tcp") { Over::Tcp } else { Over::Udp };
    Some(Question { qname: model_name(qname.as_wire()), qtype, over })
}

/// A record as the expectations write it.
fn text(record: &Record) -> String {
    let mut wire = Vec::new();
    match &record.rdata {
        Rdata::Name(name) => push_name(&mut wire, name),
        Rdata::Octets(octets) => wire.extend_from_slice(octets),
    }
    let mut text = format!("{} IN {} ", name_text(&record.owner), Rtype(record.rtype));
    rdata::write_text(Rtype(record.rtype), &wire, &mut text).expect("the zone's RDATA can be written");
    text
}

/// Compares the model with what most other servers answer; counts, and notes what differs.
fn compare_expected(case: &Value, expected: &Value, answer: &Answer, tally: &mut Tally) {
    let fields = &expected["fields"];
    let rcode = match answer.rcode {
        model::NOERROR => "NOERROR",
        model::NXDOMAIN => "NXDOMAIN",
        model::REFUSED => "REFUSED",
        _ => "YXDOMAIN",
    };
    let status = format!("{rcode} qr=1 aa={} opcode=0", u8::from(answer.authoritative));
    let texts = |records: &mut dyn Iterator<Item = &Record>| {
        let mut texts: Vec<String> = records.map(text).collect();
        texts.sort();
        Value::from(texts)
    };
    let said = [
        ("status", Value::from(status)),
        ("answer", texts(&mut answer.answer.iter().filter_map(|place| place.first()).flatten())),
        ("authority", texts(&mut answer.authority.iter())),
        ("glue", texts(&mut answer.glue.iter())),
    ];
    for (field, said) in said {
        let wanted = &fields[field];
        if wanted["firm"] == 1 {
            let agrees = wanted["v"] == said;
            tally.agreed.entry(field).or_default()[usize::from(!agrees)] += 1;
            if !agrees {
                tally.disagreed.push(format!("{} {}: {field} {said}, expected {}", case["id"], case["q"], wanted["v"]));
            }
        }
    }
}

/// Compares one question; returns what the model says.
fn compare_case(
    zones: &[Zone],
    view: &snapshot::image::View,
    asker: &mut Asker,
    question: Question,
    tally: &mut Tally,
) -> Answer {
    let mut question = question;
    let mut asked = asker.ask_one(view, &question, Dnssec::NotWanted);
    if read_reply(&asked.0, &asked.1).is_ok_and(|reply| reply.truncated) {
        question.over = Over::Tcp;
        asked = asker.ask_one(view, &question, Dnssec::NotWanted);
    }
    let answer = model::answer(zones, &question);
    let reply = read_reply(&asked.0, &asked.1);
    if reply.as_ref().is_ok_and(|reply| reply.truncated) {
        // Not even a TCP message holds it, and the model knows no sizes.
        return answer;
    }
    let result = reply.as_ref().map_err(Clone::clone).and_then(|reply| compare(zones, &answer, reply));
    if let Err(what) = result {
        let both = both_text(&[], &answer, reply.as_ref().ok());
        let Question { qname, qtype, over } = &question;
        tally.differences.push(format!("{what}: {} {} over {over:?}\n{both}", name_text(qname), Rtype(*qtype)));
    }
    answer
}

/// Compares all cases of a folder.
fn compare_folder(dir: &Path) -> Tally {
    let mut tally = Tally::default();
    let scenes: Value = serde_json::from_str(&fs::read_to_string(dir.join("scenes.json")).expect("it was there"))
        .expect("scenes are JSON");
    let cases = json_lines(&dir.join("cases.jsonl"));
    let expected: BTreeMap<String, Value> =
        json_lines(&dir.join("expected.jsonl")).into_iter().map(|value| (value["id"].to_string(), value)).collect();
    let mut asker = Asker::new();
    for (scene, content) in scenes.as_object().expect("scenes are an object") {
        let cases: Vec<&Value> = cases.iter().filter(|case| case["scene"] == scene.as_str()).collect();
        let Some(zones) = read_scene(dir, content) else {
            tally.asked[1] += cases.len();
            continue;
        };
        let view = serve::view(&zones);
        for case in cases {
            let Some(question) = question(case) else {
                tally.asked[1] += 1;
                continue;
            };
            tally.asked[0] += 1;
            let answer = compare_case(&zones, &view, &mut asker, question, &mut tally);
            if let Some(expected) = expected.get(&case["id"].to_string()) {
                compare_expected(case, expected, &answer, &mut tally);
            }
        }
    }
    tally
}

#[test]
fn cases_of_others_are_answered_as_specified() {
    let Some(dir) = std::env::var_os("PETREL_CASES") else { return };
    let mut folders: Vec<_> = fs::read_dir(dir)
        .expect("PETREL_CASES is a folder")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("scenes.json").exists() && path.join("cases.jsonl").exists())
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "PETREL_CASES holds no folder with scenes.json and cases.jsonl");
    let mut difference_count = 0;
    for folder in folders {
        let tally = compare_folder(&folder);
        let ([asked, left_out], count) = (tally.asked, tally.differences.len());
        eprintln!("{}: {asked} compared, {left_out} left out, {count} differences", folder.display());
        for (field, [same, other]) in &tally.agreed {
            eprintln!("    model and most servers, {field}: {same} alike, {other} not");
        }
        for line in tally.differences.iter().chain(&tally.disagreed).take(SHOWN_MAX) {
            eprintln!("  {line}");
        }
        difference_count += count;
    }
    assert_eq!(difference_count, 0, "product and model differ");
}
