//! Compares a reply with what a scenario expects.
//!
//! Both sides are brought into the form of the scenario files, line by line and sorted within a section, so that the
//! comparison is of text that people can read and the failure shows two blocks that can be copied.

use std::fmt::Write as _;

use super::message::{Edns, FLAGS, Question, Reply, Rr};
use super::script::{Ask, Expected, Look, Step, class_text};
use crate::common::{Failure, rdata_text};
use dataplane::packet::Transport;

/// The sections in their order.
const SECTIONS: [&str; 3] = ["answer", "authority", "additional"];
/// RCODEs that have names in scenarios.
const RCODES: [(u16, &str); 10] = [
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (9, "NOTAUTH"),
    (16, "BADVERS"),
    (23, "BADCOOKIE"),
];

/// Checks what came back for `sent`; `None` is silence.
///
/// # Errors
/// A text that shows the step, what was expected and what came.
pub(crate) fn check(
    step: &Step,
    transport: Transport,
    udp_len_max: u16,
    sent: &[u8],
    came: Option<&[u8]>,
) -> Result<(), Failure> {
    match (&step.expected, came) {
        (None, None) => Ok(()),
        (None, Some(bytes)) => Err(report(step, "  silence\n", &shown(bytes))),
        (Some(expected), None) => Err(report(step, &expected_text(expected), "  silence\n")),
        (Some(expected), Some(bytes)) => {
            let reply =
                Reply::decode(bytes).map_err(|error| report(step, &expected_text(expected), &error.to_string()))?;
            frame(step, transport, udp_len_max, sent, bytes).map_err(|error| report(step, "", &error.to_string()))?;
            second_opinion(&reply, bytes).map_err(|error| report(step, &shown(bytes), &error.to_string()))?;
            let (wanted, got) = (expected_text(expected), reply_text(&reply, expected));
            if wanted == got { Ok(()) } else { Err(report(step, &wanted, &got)) }
        }
    }
}

/// What every reply owes its query: the id, the opcode, and a length the query allows.
fn frame(step: &Step, transport: Transport, udp_len_max: u16, sent: &[u8], bytes: &[u8]) -> Result<(), Failure> {
    if sent[..2] != bytes[..2] {
        return Err("the id is not that of the query".into());
    }
    if (sent[2] ^ bytes[2]) & 0x78 != 0 {
        return Err("the opcode is not that of the query".into());
    }
    let len_max = match (transport, &step.ask) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, Ask::Raw(_)) => usize::from(udp_len_max),
        (Transport::Udp, Ask::Query(query)) => {
            usize::from(query.edns.as_ref().map_or(512, |edns| edns.size.clamp(512, udp_len_max)))
        }
    };
    if bytes.len() > len_max {
        return Err(format!("the reply has {} bytes where {len_max} are allowed", bytes.len()).into());
    }
    Ok(())
}

/// Has hickory-proto count the records, where the RCODE is one of an answer. It refuses RDATA of no octets, which RFC
/// 3597 allows, so it is not asked about such replies.
fn second_opinion(reply: &Reply, bytes: &[u8]) -> Result<(), Failure> {
    let has_empty = reply.sections.iter().flatten().any(|rr| rr.rdata.is_empty());
    if has_empty || !matches!(reply.rcode, 0 | 3) {
        return Ok(());
    }
    let message = hickory_proto::op::Message::from_vec(bytes).map_err(|error| format!("hickory-proto: {error}"))?;
    let theirs = [message.answers.len(), message.authorities.len(), message.additionals.len()];
    let ours = [reply.sections[0].len(), reply.sections[1].len(), reply.sections[2].len()];
    if theirs == ours { Ok(()) } else { Err(format!("hickory-proto counts {theirs:?} records, not {ours:?}").into()) }
}

/// The failure as it is printed.
fn report(step: &Step, expected: &str, came: &str) -> Failure {
    format!("line {}: {}\n expected\n{expected} came\n{came}", step.line, step.title).into()
}

/// Any message as text.
fn shown(bytes: &[u8]) -> String {
    match Reply::decode(bytes) {
        Ok(reply) => reply_text(&reply, &Expected::default()),
        Err(error) => format!("{error}: {bytes:02x?}\n"),
    }
}

/// The expected reply in the form of the scenario files.
fn expected_text(expected: &Expected) -> String {
    let mut out = format!("  reply {}\n", expected.status);
    push_questions(&mut out, expected.question.as_slice());
    for (section, name) in expected.sections.iter().zip(SECTIONS) {
        push_section(&mut out, name, section.look, &section.records);
    }
    push_edns(&mut out, expected.edns.as_ref(), &expected.open_options);
    out
}

/// A reply in the form of the scenario files, looked at as closely as `expected` says.
fn reply_text(reply: &Reply, expected: &Expected) -> String {
    let rcode = RCODES.iter().find(|(code, _)| *code == reply.rcode);
    let rcode = rcode.map_or_else(|| format!("RCODE{}", reply.rcode), |(_, name)| (*name).to_owned());
    let mut out = format!("  reply {rcode}");
    for (flag, bit) in FLAGS {
        if reply.bits & bit != 0 {
            out.push(' ');
            out.push_str(flag);
        }
    }
    if reply.bits & 0x0040 != 0 {
        out.push_str(" z");
    }
    out.push('\n');
    push_questions(&mut out, &reply.questions);
    for ((records, section), name) in reply.sections.iter().zip(&expected.sections).zip(SECTIONS) {
        push_section(&mut out, name, section.look, records);
    }
    push_edns(&mut out, reply.edns.as_ref(), &expected.open_options);
    out
}

/// The questions, with their case.
fn push_questions(out: &mut String, questions: &[Question]) {
    if questions.is_empty() {
        out.push_str("  question none\n");
    }
    for Question { qname, qtype, qclass } in questions {
        writeln!(out, "  question {qname} {qtype} {}", class_text(*qclass)).expect("writing to a String cannot fail");
    }
}

/// A section, sorted; nothing if it is empty.
fn push_section(out: &mut String, name: &str, look: Look, records: &[Rr]) {
    if look == Look::Open {
        out.push_str(&format!("  {name} any\n"));
        return;
    }
    let mut lines: Vec<String> = records
        .iter()
        .map(|rr| {
            let owner = if look == Look::ExactCase { rr.owner.clone() } else { rr.owner.to_canonical() };
            let Rr { rtype, class, ttl_secs, rdata, .. } = rr;
            format!("    {owner} {ttl_secs} {} {rtype} {}\n", class_text(*class), rdata_text(*rtype, rdata))
        })
        .collect();
    lines.sort();
    if !lines.is_empty() {
        out.push_str(&format!("  {name}\n{}", lines.concat()));
    }
}

/// The OPT record; nothing without one. Of options that are open, only as many octets as are known.
fn push_edns(out: &mut String, edns: Option<&Edns>, open: &[(u16, usize)]) {
    let Some(Edns { size, version, flags, options }) = edns else { return };
    out.push_str(&format!("  edns size={size} version={version}"));
    if flags & 0x8000 != 0 {
        out.push_str(" do");
    }
    if flags & 0x7fff != 0 {
        out.push_str(&format!(" flags={:#06x}", flags & 0x7fff));
    }
    for (code, content) in options {
        match open.iter().find(|(known, _)| known == code) {
            Some((_, len)) => {
                let known = content.get(..*len).unwrap_or(content);
                out.push_str(&format!(" option={code}:{known:02x?}.."));
            }
            None => out.push_str(&format!(" option={code}:{content:02x?}")),
        }
    }
    out.push('\n');
}
