//! `dnsctl lookup --batch`: the RCODE of every question of a file, to compare a server with its snapshot.
//!
//! The questions are lines `NAME TYPE`, as `dnsperf` reads them; empty lines and those with `;` or `#` first are skipped.
//! Nothing is printed before the whole file was answered. Invariant: names and types come out as they were written.

use std::fmt::{self, Display};
use std::path::Path;

use dataplane::packet::Transport;
use serde::Serialize;
use snapshot::dns::rtype::Rtype;
use snapshot::image::View;

use super::{load, parse_name};
use crate::failure::Failure;
use crate::offline::{self, Dnssec, Query};
use crate::output::{Output, printable};

/// The largest file of questions in bytes: tens of millions.
const FILE_LEN_MAX: u64 = 1 << 30;

/// How every question is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Whether DO is set.
    pub(super) dnssec: Dnssec,
    /// The transport.
    pub(super) transport: Transport,
}

/// All answers.
#[derive(Debug, Serialize)]
struct Report<'q> {
    /// The generation that answered.
    generation: Option<u64>,
    /// In the order of the file.
    answers: Vec<Row<'q>>,
}

/// One answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row<'q> {
    /// The qname as it was written.
    name: &'q str,
    /// The qtype as it was written.
    #[serde(rename = "type")]
    rtype: &'q str,
    /// The mnemonic of the RCODE.
    rcode: String,
}

/// Answers the questions of `file` from the directory `dir`.
///
/// # Errors
/// [`Failure::Unable`] if the file cannot be read, [`Failure::Input`] naming the line of a question that is none, or if
/// there is nothing to ask.
pub(super) fn run(dir: &Path, file: &Path, how: How, output: &mut Output<'_>) -> Result<(), Failure> {
    let questions = read(file)?;
    let view = load(dir, output)?;
    let generation = view.generation().map(|generation| generation.0);
    let bad = |(line, reason): (usize, String)| Failure::Input(format!("{}:{line}: {reason}", file.display()));
    let answers = answer(&questions, how, &view).map_err(bad)?;
    output.report(&Report { generation, answers })
}

/// Reads the file of questions.
fn read(file: &Path) -> Result<String, Failure> {
    let unable = |reason: String| Failure::Unable(format!("cannot read {}: {reason}", file.display()));
    let len = std::fs::metadata(file).map_err(|cause| unable(cause.to_string()))?.len();
    if len > FILE_LEN_MAX {
        return Err(unable(format!("it is longer than {FILE_LEN_MAX} bytes")));
    }
    std::fs::read_to_string(file).map_err(|cause| unable(cause.to_string()))
}

/// Answers every question, or tells the line of the first that is none and why.
fn answer<'q>(questions: &'q str, how: How, view: &View) -> Result<Vec<Row<'q>>, (usize, String)> {
    let lines = questions.lines().enumerate().map(|(idx, line)| (idx + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with([';', '#']));
    lines.map(|(number, line)| answer_line(line, how, view).map_err(|reason| (number, reason))).collect()
}

/// Answers the question of one line.
fn answer_line<'q>(line: &'q str, how: How, view: &View) -> Result<Row<'q>, String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(rtype), None) = (words.next(), words.next(), words.next()) else {
        return Err("expected NAME TYPE".to_owned());
    };
    let number: Rtype = rtype.parse().map_err(|_| format!("`{rtype}` is not an RR type"))?;
    let qname = parse_name(name).map_err(|failure| failure.to_string())?;
    let query = Query { name: qname, rtype: number, dnssec: how.dnssec, transport: how.transport };
    let rcode = offline::ask(view, &query)?.rcode;
    Ok(Row { name, rtype, rcode })
}

impl Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = self.answers.iter();
        rows.try_for_each(|Row { name, rtype, rcode }| {
            writeln!(out, "{} {} {rcode}", printable(name), printable(rtype))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers from a view without a generation: SERVFAIL.
    fn ask(questions: &str) -> Result<String, (usize, String)> {
        let how = How { dnssec: Dnssec::Unwanted, transport: Transport::Udp };
        let answers = answer(questions, how, &View::empty())?;
        Ok(Report { generation: None, answers }.to_string())
    }

    #[test]
    fn every_question_gets_a_line_in_the_order_of_the_file() {
        let expected = "b.test. A SERVFAIL\nA.test TYPE65280 SERVFAIL\n";
        assert_eq!(ask("; comment\nb.test. A\n\n  A.test TYPE65280\n").unwrap(), expected);
        assert_eq!(ask("").unwrap(), "");
    }

    #[test]
    fn a_line_that_is_no_question_is_named() {
        for (questions, line, reason) in [
            ("a.test. A\na.test.", 2, "expected NAME TYPE"),
            ("a.test. A IN", 1, "expected NAME TYPE"),
            ("a.test. NOTYPE", 1, "`NOTYPE` is not an RR type"),
            ("a..test. A", 1, "a..test."),
        ] {
            let (found, text) = ask(questions).unwrap_err();
            assert!(found == line && text.contains(reason), "{questions:?}: {found} {text}");
        }
    }
}
