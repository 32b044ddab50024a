//! Reads a scenario file: zones, settings and steps.
//!
//! It knows the format of `tests/scenarios/README.md` and no server. What it cannot read is an error with the line: a
//! scenario never passes because it was misread.

use std::path::Path;

use dataplane::answer::CookiePolicy;
use snapshot::dns::name::Name;

use super::message::{Edns, FLAGS, Query, Question, Rr, fold_rdata};
use crate::common::{self, Failure};

/// A scenario file.
pub(crate) struct Script {
    /// The name of the file.
    pub(crate) name: String,
    /// The text of version.bind.
    pub(crate) version: Option<String>,
    /// What NSID says.
    pub(crate) nsid: Option<String>,
    /// What is done about cookies.
    pub(crate) cookies: CookiePolicy,
    /// The largest UDP reply.
    pub(crate) udp_len_max: u16,
    /// The zones to serve.
    pub(crate) zones: Vec<(Name, String)>,
    /// What to ask and what to expect.
    pub(crate) steps: Vec<Step>,
}

/// One query and what must come back.
pub(crate) struct Step {
    /// Its line in the file.
    pub(crate) line: usize,
    /// The line itself.
    pub(crate) title: String,
    /// What to send.
    pub(crate) ask: Ask,
    /// Over which transports.
    pub(crate) over: Over,
    /// What must come back; `None` is silence.
    pub(crate) expected: Option<Expected>,
}

/// What is sent.
pub(crate) enum Ask {
    /// A query; its id is given when it is sent.
    Query(Query),
    /// Bytes as they are, the id included.
    Raw(Vec<u8>),
}

/// The transports of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// Both.
    Any,
    /// UDP alone.
    Udp,
    /// TCP alone.
    Tcp,
}

/// The expected reply.
#[derive(Default)]
pub(crate) struct Expected {
    /// RCODE and flags, as written: `NOERROR qr aa`.
    pub(crate) status: String,
    /// The question, as [`None`] if none is to come back.
    pub(crate) question: Option<Question>,
    /// Answer, authority, additional.
    pub(crate) sections: [Section; 3],
    /// The OPT record.
    pub(crate) edns: Option<Edns>,
    /// Options of it whose content is known in front only, and how many octets that is.
    pub(crate) open_options: Vec<(u16, usize)>,
}

/// What a section must hold.
#[derive(Default)]
pub(crate) struct Section {
    /// How closely it is looked at.
    pub(crate) look: Look,
    /// The records.
    pub(crate) records: Vec<Rr>,
}

/// How closely a section is looked at.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The same set, names without regard to case.
    #[default]
    Set,
    /// The same set, owners with their case.
    ExactCase,
    /// Not at all.
    Open,
}

/// Reads a file.
///
/// # Errors
/// Those of the file system; a line that is no scenario, as `name:line: what is wrong`.
pub(crate) fn read(path: &Path) -> Result<Script, Failure> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let mut script = Script {
        name,
        version: None,
        nsid: None,
        cookies: CookiePolicy::Answer,
        udp_len_max: 1232,
        zones: Vec::new(),
        steps: Vec::new(),
    };
    let mut block = Block::Top;
    for (idx, line) in text.lines().enumerate() {
        take(&mut script, &mut block, idx + 1, line)
            .map_err(|error| format!("{}:{}: {error}", script.name, idx + 1))?;
    }
    if let Some(step) = script.steps.iter().find(|step| matches!(&step.expected, Some(e) if e.status.is_empty())) {
        return Err(format!("{}:{}: nothing says what is expected", script.name, step.line).into());
    }
    Ok(script)
}

/// What indented lines belong to.
enum Block {
    /// Nothing.
    Top,
    /// The last zone.
    Zone,
    /// The last step.
    Step,
    /// A section of the last step.
    Section(usize),
}

/// Takes one line in.
fn take(script: &mut Script, block: &mut Block, number: usize, line: &str) -> Result<(), Failure> {
    if let Block::Zone = block
        && let Some(zone_line) = line.strip_prefix("    ")
        && let Some((_, text)) = script.zones.last_mut()
    {
        text.push_str(zone_line);
        text.push('\n');
        return Ok(());
    }
    let body = line.trim();
    if body.is_empty() || body.starts_with(';') {
        return Ok(());
    }
    match line.len() - line.trim_start().len() {
        0 => *block = top(script, number, body)?,
        2 => {
            let step = script.steps.last_mut().ok_or("an indented line without a query above")?;
            *block = expectation(step, body)?;
        }
        _ => {
            let Block::Section(section) = *block else { return Err("a record outside a section".into()) };
            let step = script.steps.last_mut().ok_or("a record without a query above")?;
            let expected = step.expected.as_mut().ok_or("a record after silence")?;
            expected.sections[section].records.push(record(body)?);
        }
    }
    Ok(())
}

/// A line that is not indented.
fn top(script: &mut Script, number: usize, body: &str) -> Result<Block, Failure> {
    let (word, rest) = body.split_once(' ').unwrap_or((body, ""));
    let rest = rest.trim();
    match word {
        "set" => {
            match rest.split_once(' ') {
                Some(("version", text)) => script.version = Some(text.trim().trim_matches('"').to_owned()),
                Some(("nsid", text)) => script.nsid = Some(text.trim().trim_matches('"').to_owned()),
                Some(("cookies", "ignore")) => script.cookies = CookiePolicy::Ignore,
                Some(("cookies", "require")) => script.cookies = CookiePolicy::Require,
                Some(("udp-len-max", len)) => script.udp_len_max = len.trim().parse()?,
                _ => return Err("expected `set` with version, nsid, cookies or udp-len-max".into()),
            }
            Ok(Block::Top)
        }
        "zone" => {
            script.zones.push((rest.parse()?, String::new()));
            Ok(Block::Zone)
        }
        "query" | "send" => {
            let (ask, over) = if word == "query" { query(rest)? } else { raw(rest)? };
            let question = match &ask {
                Ask::Query(query) => Some(query.question.clone()),
                Ask::Raw(_) => None,
            };
            let expected = Some(Expected { question, ..Expected::default() });
            script.steps.push(Step { line: number, title: body.to_owned(), ask, over, expected });
            Ok(Block::Step)
        }
        _ => Err(format!("expected `set`, `zone`, `query` or `send`, found `{word}`").into()),
    }
}

/// The words after `query`.
fn query(words: &str) -> Result<(Ask, Over), Failure> {
    let mut words = words.split_whitespace();
    let qname = words.next().ok_or("expected a name")?.parse()?;
    let qtype = words.next().ok_or("expected a type")?.parse()?;
    let mut query = Query { question: Question { qname, qtype, qclass: 1 }, bits: 0, edns: None };
    let mut over = Over::Any;
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let edns = || Edns { size: 1232, ..Edns::default() };
        match key {
            "udp" => over = Over::Udp,
            "tcp" => over = Over::Tcp,
            "opcode" => query.bits |= value.parse::<u16>()? << 11,
            "edns" => _ = query.edns.get_or_insert_with(edns),
            "bufsize" => query.edns.get_or_insert_with(edns).size = value.parse()?,
            "edns-version" => query.edns.get_or_insert_with(edns).version = value.parse()?,
            "do" => query.edns.get_or_insert_with(edns).flags |= 0x8000,
            "option" => query.edns.get_or_insert_with(edns).options.push(option(value)?),
            _ => match FLAGS.iter().find(|(flag, _)| *flag == key) {
                Some((_, bit)) => query.bits |= bit,
                None => query.question.qclass = class(key)?,
            },
        }
    }
    Ok((Ask::Query(query), over))
}

/// The words after `send`.
fn raw(words: &str) -> Result<(Ask, Over), Failure> {
    let (words, over) = match words.rsplit_once(' ') {
        Some((words, "udp")) => (words, Over::Udp),
        Some((words, "tcp")) => (words, Over::Tcp),
        _ => (words, Over::Any),
    };
    Ok((Ask::Raw(hex(words)?), over))
}

/// Hexadecimal digits and `"text"`, with blanks anywhere between octets.
fn hex(text: &str) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    for (idx, piece) in text.split('"').enumerate() {
        if idx % 2 == 1 {
            out.extend_from_slice(piece.as_bytes());
            continue;
        }
        let digits: Vec<u8> = piece.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
        for pair in digits.chunks(2) {
            out.push(u8::from_str_radix(std::str::from_utf8(pair)?, 16).map_err(|_| "expected hexadecimal digits")?);
        }
    }
    Ok(out)
}

/// `CODE:HEX`.
fn option(text: &str) -> Result<(u16, Vec<u8>), Failure> {
    let (code, content) = text.split_once(':').ok_or("expected option=CODE:HEX")?;
    Ok((code.parse()?, hex(content)?))
}

/// A line indented by two.
fn expectation(step: &mut Step, body: &str) -> Result<Block, Failure> {
    let (word, rest) = body.split_once(' ').unwrap_or((body, ""));
    if word == "silence" {
        step.expected = None;
        return Ok(Block::Step);
    }
    if word == "+" {
        let Ask::Raw(bytes) = &mut step.ask else { return Err("only `send` can be continued".into()) };
        bytes.extend(hex(rest)?);
        return Ok(Block::Step);
    }
    let expected = step.expected.as_mut().ok_or("nothing can follow silence")?;
    match word {
        "reply" => rest.clone_into(&mut expected.status),
        "question" if rest == "none" => expected.question = None,
        "question" => {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let [qname, qtype, qclass] = words[..] else { return Err("expected `question NAME TYPE CLASS`".into()) };
            expected.question = Some(Question { qname: qname.parse()?, qtype: qtype.parse()?, qclass: class(qclass)? });
        }
        "edns" => {
            for word in rest.split_whitespace() {
                if let Some(known) = word.strip_prefix("option=").and_then(|text| text.strip_suffix("..")) {
                    let (code, content) = option(known)?;
                    expected.open_options.push((code, content.len()));
                }
            }
            expected.edns = Some(edns(rest)?);
        }
        _ => {
            let section = ["answer", "authority", "additional"].iter().position(|name| *name == word);
            let section = section.ok_or_else(|| format!("`{word}` is no expectation"))?;
            expected.sections[section].look = match rest {
                "" => Look::Set,
                "any" => Look::Open,
                "exact-case" => Look::ExactCase,
                _ => return Err("expected `any`, `exact-case` or nothing after the section".into()),
            };
            return Ok(Block::Section(section));
        }
    }
    Ok(Block::Step)
}

/// The words after `edns`.
fn edns(words: &str) -> Result<Edns, Failure> {
    let mut edns = Edns::default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("size", value)) => edns.size = value.parse()?,
            Some(("version", value)) => edns.version = value.parse()?,
            Some(("option", value)) => edns.options.push(option(value.trim_end_matches('.'))?),
            None if word == "do" => edns.flags = 0x8000,
            _ => return Err(format!("`{word}` says nothing about EDNS").into()),
        }
    }
    Ok(edns)
}

/// One record: `OWNER TTL CLASS TYPE RDATA`.
fn record(body: &str) -> Result<Rr, Failure> {
    let mut words = body.splitn(4, char::is_whitespace);
    let (Some(owner), Some(ttl), Some(class_word), Some(rest)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("expected OWNER TTL CLASS TYPE RDATA, one blank between".into());
    };
    // The zone-file reader takes class IN only; the class is compared apart.
    let in_class = format!("{owner} {ttl} IN {rest}");
    let record = common::record(&in_class)?;
    let rdata = fold_rdata(record.rtype, &record.rdata)?;
    Ok(Rr { owner: record.owner, rtype: record.rtype, class: class(class_word)?, ttl_secs: record.ttl_secs, rdata })
}

/// A class by mnemonic or as `CLASSnnn`.
fn class(word: &str) -> Result<u16, Failure> {
    match word {
        "IN" => Ok(1),
        "CH" => Ok(3),
        "HS" => Ok(4),
        "NONE" => Ok(254),
        "ANY" => Ok(255),
        _ => match word.strip_prefix("CLASS").map(str::parse::<u16>) {
            Some(Ok(class)) => Ok(class),
            _ => Err(format!("`{word}` is neither an option nor a class").into()),
        },
    }
}

/// A class as it is written.
pub(crate) fn class_text(class: u16) -> String {
    match class {
        1 => "IN".to_owned(),
        3 => "CH".to_owned(),
        4 => "HS".to_owned(),
        254 => "NONE".to_owned(),
        255 => "ANY".to_owned(),
        other => format!("CLASS{other}"),
    }
}
