//! `dnsctl lookup`: what a data plane would answer, from the files, printed like dig.
//!
//! The answer is made by the very code that serves packets (`offline`). Invariant: any answer is success, whatever its
//! RCODE; only a query that would be dropped is a failure.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use dataplane::packet::Transport;
use serde::Serialize;
use snapshot::dns::rtype::Rtype;

use super::batch::{self, How};
use super::{load, parse_name};
use crate::args::Lookup;
use crate::dig::Message;
use crate::failure::Failure;
use crate::offline::{self, Query};
use crate::output::Output;

/// An answer and where it is from.
#[derive(Debug, Serialize)]
struct Report {
    /// The generation that answered.
    generation: Option<u64>,
    /// The answer.
    #[serde(flatten)]
    message: Message,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Usage`] for a name or type that is none, [`Failure::Input`] if there is nothing to ask or no answer.
pub(crate) fn run(args: &Lookup, global: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let how = How {
        dnssec: if args.dnssec_ok { offline::Dnssec::Wanted } else { offline::Dnssec::Unwanted },
        transport: if args.tcp { Transport::Tcp } else { Transport::Udp },
    };
    if let Some(file) = &args.batch {
        return batch::run(&batch_directory(&args.words, global)?, file, how, output);
    }
    let (dir, name, rtype) = words(&args.words, global)?;
    let rtype = rtype.parse::<Rtype>().map_err(|_| Failure::Usage(format!("`{rtype}` is not an RR type")))?;
    let query = Query { name: parse_name(&name)?, rtype, dnssec: how.dnssec, transport: how.transport };
    let view = load(&dir, output)?;
    let message = offline::ask(&view, &query).map_err(Failure::Input)?;
    output.report(&Report { generation: view.generation().map(|generation| generation.0), message })
}

/// The directory of a batch: the one word, or `--dir`.
fn batch_directory(words: &[String], global: Option<&Path>) -> Result<PathBuf, Failure> {
    match (words, global) {
        ([dir], _) => Ok(PathBuf::from(dir)),
        ([], Some(dir)) => Ok(dir.to_owned()),
        _ => Err(Failure::Usage("lookup --batch FILE wants DIR, or --dir DIR, and no name".into())),
    }
}

/// Directory, name and type of the positional words: with `--dir` they begin with the name.
fn words(words: &[String], global: Option<&Path>) -> Result<(PathBuf, String, String), Failure> {
    let (dir, rest) = match (global, words) {
        (Some(dir), rest) if rest.len() <= 2 => (dir.to_owned(), rest),
        (_, [dir, rest @ ..]) => (PathBuf::from(dir), rest),
        (_, []) => (PathBuf::new(), words),
    };
    match rest {
        [name] => Ok((dir, name.clone(), "A".to_owned())),
        [name, rtype] => Ok((dir, name.clone(), rtype.clone())),
        _ => Err(Failure::Usage("lookup wants DIR NAME [TYPE], or NAME [TYPE] with --dir DIR".into())),
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.message)?;
        match self.generation {
            Some(generation) => writeln!(out, ";; GENERATION: {generation}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_a_directory_a_name_and_a_type() {
        let check = |given: &str, global: Option<&str>, expected: Option<(&str, &str, &str)>| {
            let given: Vec<String> = given.split_whitespace().map(str::to_owned).collect();
            let found = words(&given, global.map(Path::new)).ok();
            let expected = expected.map(|(dir, name, rtype)| (PathBuf::from(dir), name.to_owned(), rtype.to_owned()));
            assert_eq!(found, expected, "{given:?} with {global:?}");
        };
        check("d a.test MX", None, Some(("d", "a.test", "MX")));
        check("d a.test", None, Some(("d", "a.test", "A")));
        check("a.test MX", Some("g"), Some(("g", "a.test", "MX")));
        check("a.test", Some("g"), Some(("g", "a.test", "A")));
        check("d a.test MX", Some("g"), Some(("d", "a.test", "MX")));
        check("a.test", None, None);
        check("", None, None);
    }
}
