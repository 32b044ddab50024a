//! Prints a DNS message the way `dig` does, and as JSON.
//!
//! It knows no wire format: `offline` fills a [`Message`] with text. Invariant: what is printed is in presentation format
//! (RFC 1035 section 5.1), so names and RDATA come already escaped.

use std::fmt::{self, Display};

use serde::Serialize;

/// A message, all in text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Message {
    /// The id.
    pub(crate) id: u16,
    /// The mnemonic of the OPCODE.
    pub(crate) opcode: String,
    /// The mnemonic of the whole RCODE (RFC 6891 section 6.1.3).
    pub(crate) rcode: String,
    /// The flags that are set, in the order of the header.
    pub(crate) flags: Vec<&'static str>,
    /// What EDNS(0) says, if it is there.
    pub(crate) edns: Option<Edns>,
    /// The question.
    pub(crate) question: Vec<Question>,
    /// The answer section.
    pub(crate) answer: Vec<Record>,
    /// The authority section.
    pub(crate) authority: Vec<Record>,
    /// The additional section without OPT.
    pub(crate) additional: Vec<Record>,
    /// The length of the message in octets.
    pub(crate) bytes: usize,
}

/// The fixed part of an OPT record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Edns {
    /// The version.
    pub(crate) version: u8,
    /// The flags that are set.
    pub(crate) flags: Vec<&'static str>,
    /// The payload size the sender takes.
    pub(crate) udp: u16,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Question {
    /// The qname.
    pub(crate) name: String,
    /// The class.
    pub(crate) class: String,
    /// The qtype.
    #[serde(rename = "type")]
    pub(crate) rtype: String,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Record {
    /// The owner.
    pub(crate) name: String,
    /// The TTL in seconds.
    pub(crate) ttl: u32,
    /// The class.
    pub(crate) class: String,
    /// The type.
    #[serde(rename = "type")]
    pub(crate) rtype: String,
    /// The RDATA.
    pub(crate) rdata: String,
}

/// The mnemonic of an RCODE, or its number with a word before it.
pub(crate) fn rcode(code: u16) -> String {
    let known = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET"];
    match code {
        9 => "NOTAUTH".to_owned(),
        10 => "NOTZONE".to_owned(),
        16 => "BADVERS".to_owned(),
        _ => known.get(usize::from(code)).map_or_else(|| format!("RCODE{code}"), |&name| name.to_owned()),
    }
}

/// The mnemonic of an OPCODE, or its number with a word before it.
pub(crate) fn opcode(code: u8) -> String {
    match code {
        0 => "QUERY".to_owned(),
        2 => "STATUS".to_owned(),
        4 => "NOTIFY".to_owned(),
        5 => "UPDATE".to_owned(),
        other => format!("OPCODE{other}"),
    }
}

impl Display for Message {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Message { id, opcode, rcode, .. } = self;
        writeln!(out, ";; ->>HEADER<<- opcode: {opcode}, status: {rcode}, id: {id}")?;
        let additional_count = self.additional.len() + usize::from(self.edns.is_some());
        writeln!(
            out,
            ";; flags:{}; QUERY: {}, ANSWER: {}, AUTHORITY: {}, ADDITIONAL: {additional_count}\n",
            Spaced(&self.flags),
            self.question.len(),
            self.answer.len(),
            self.authority.len(),
        )?;
        if let Some(Edns { version, flags, udp }) = &self.edns {
            writeln!(out, ";; OPT PSEUDOSECTION:\n; EDNS: version: {version}, flags:{}; udp: {udp}", Spaced(flags))?;
        }
        if !self.question.is_empty() {
            writeln!(out, ";; QUESTION SECTION:")?;
        }
        for Question { name, class, rtype } in &self.question {
            writeln!(out, ";{}\t{class}\t{rtype}", Column(name, COLUMN_QUESTION))?;
        }
        let sections = [("ANSWER", &self.answer), ("AUTHORITY", &self.authority), ("ADDITIONAL", &self.additional)];
        for (title, records) in sections {
            if !records.is_empty() {
                writeln!(out, "\n;; {title} SECTION:")?;
            }
            for Record { name, ttl, class, rtype, rdata } in records {
                writeln!(out, "{}\t{ttl}\t{class}\t{rtype}\t{rdata}", Column(name, COLUMN_RECORD))?;
            }
        }
        writeln!(out, "\n;; MSG SIZE: {}", self.bytes)
    }
}

/// Where the class of a question begins, less the semicolon before the name.
const COLUMN_QUESTION: usize = 31;
/// Where the TTL of a record begins.
const COLUMN_RECORD: usize = 24;

/// A name and the tabs to the one before the column.
struct Column<'n>(&'n str, usize);

impl Display for Column<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Column(name, column) = self;
        out.write_str(name)?;
        // The last tab is the caller's; one tab reaches the next multiple of eight.
        let missing = column.saturating_sub(name.len() + 1) / 8;
        (0..missing).try_for_each(|_| out.write_str("\t"))
    }
}

/// Words, each after a space.
struct Spaced<'w>(&'w [&'static str]);

impl Display for Spaced<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|word| write!(out, " {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of class IN.
    fn record(name: &str, rtype: &str, rdata: &str) -> Record {
        let [name, rtype, rdata, class] = [name, rtype, rdata, "IN"].map(str::to_owned);
        Record { name, ttl: 3600, class, rtype, rdata }
    }

    /// A referral with EDNS.
    fn message() -> Message {
        Message {
            id: 7,
            opcode: opcode(0),
            rcode: rcode(0),
            flags: vec!["qr", "rd"],
            edns: Some(Edns { version: 0, flags: vec!["do"], udp: 1232 }),
            question: vec![Question { name: "a.example.test.".into(), class: "IN".into(), rtype: "A".into() }],
            answer: vec![],
            authority: vec![record("example.test.", "NS", "ns.example.test.")],
            additional: vec![record("a-rather-long-name.below.example.test.", "A", "192.0.2.1")],
            bytes: 99,
        }
    }

    #[test]
    fn text_looks_like_dig() {
        let expected = "\
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: 7
;; flags: qr rd; QUERY: 1, ANSWER: 0, AUTHORITY: 1, ADDITIONAL: 2

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags: do; udp: 1232
;; QUESTION SECTION:
;a.example.test.\t\tIN\tA

;; AUTHORITY SECTION:
example.test.\t\t3600\tIN\tNS\tns.example.test.

;; ADDITIONAL SECTION:
a-rather-long-name.below.example.test.\t3600\tIN\tA\t192.0.2.1

;; MSG SIZE: 99
";
        assert_eq!(message().to_string(), expected);
    }

    #[test]
    fn json_has_stable_keys() {
        let value = serde_json::to_value(message()).unwrap();
        assert_eq!(value["authority"][0]["type"], "NS");
        assert_eq!(value["flags"][0], "qr");
        assert_eq!(value["edns"]["udp"], 1232);
    }

    #[test]
    fn codes_have_mnemonics_or_numbers() {
        let names: Vec<_> = [0, 3, 5, 9, 10, 11, 16, 4095].map(rcode).into();
        assert_eq!(names, ["NOERROR", "NXDOMAIN", "REFUSED", "NOTAUTH", "NOTZONE", "RCODE11", "BADVERS", "RCODE4095"]);
        assert_eq!([0, 3, 5].map(opcode), ["QUERY", "OPCODE3", "UPDATE"]);
    }
}
