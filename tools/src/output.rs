//! Where a command's results go: text for people or one JSON document on standard output, the rest on standard error.
//!
//! A report is one value with both faces: `Display` for people, `Serialize` for programs. Invariants: in JSON, standard
//! output gets exactly one document; text of others (names, messages) is stripped of control characters before a
//! terminal sees it.

use std::fmt::{self, Display};
use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One document for programs.
    Json,
}

/// Whether words may be coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// A file or a pipe reads.
    Plain,
    /// A terminal reads.
    Ansi,
}

/// A colour with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hue {
    /// An error.
    Red,
    /// A warning.
    Yellow,
}

/// The two streams of a command.
pub(crate) struct Output<'o> {
    /// How results are written.
    pub(crate) format: Format,
    /// Whether standard error may be coloured.
    pub(crate) paint: Paint,
    /// Standard output: results.
    pub(crate) out: &'o mut dyn Write,
    /// Standard error: warnings, progress, failures.
    pub(crate) err: &'o mut dyn Write,
}

impl Paint {
    /// Colours for a terminal, unless `NO_COLOR` is set.
    pub(crate) fn of_terminal(is_terminal: bool) -> Paint {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        if is_terminal && wanted { Paint::Ansi } else { Paint::Plain }
    }

    /// `word` in a colour, or as it is.
    pub(crate) fn word(self, hue: Hue, word: &str) -> String {
        let code = match hue {
            Hue::Red => 31,
            Hue::Yellow => 33,
        };
        match self {
            Paint::Plain => word.to_owned(),
            Paint::Ansi => format!("\x1b[1;{code}m{word}\x1b[0m"),
        }
    }
}

/// The document of a failure.
#[derive(Serialize)]
struct FailureDocument<'f> {
    /// One line for people.
    error: &'f str,
    /// The exit code.
    exit: u8,
    /// What else is known of it.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    details: Option<&'f serde_json::Map<String, serde_json::Value>>,
}

impl Output<'_> {
    /// Writes the result of a command.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] or [`Failure::Unable`] if it cannot be written.
    pub(crate) fn report<R: Serialize + Display>(&mut self, report: &R) -> Result<(), Failure> {
        match self.format {
            Format::Text => write!(self.out, "{report}"),
            Format::Json => serde_json::to_writer(&mut *self.out, report)
                .map_err(std::io::Error::from)
                .and_then(|()| writeln!(self.out)),
        }
        .and_then(|()| self.out.flush())
        .map_err(|error| Failure::of_output(&error))
    }

    /// Writes one line to standard error; if that is gone, nobody misses it.
    pub(crate) fn note(&mut self, line: impl Display) {
        writeln!(self.err, "{line}").ok();
    }

    /// Reports a failure and returns its exit code.
    pub(crate) fn fail(&mut self, failure: &Failure) -> ExitCode {
        let exit = failure.exit_code();
        if !matches!(failure, Failure::Reported | Failure::Differs | Failure::ReaderGone) {
            let message = printable(&failure.to_string());
            let word = self.paint.word(Hue::Red, "error:");
            self.note(format_args!("{word} {message}"));
            if self.format == Format::Json {
                let details = if let Failure::Gate { details, .. } = failure { Some(details) } else { None };
                let document = FailureDocument { error: &message, exit, details };
                // The failure is worth more than the failure to write it.
                serde_json::to_writer(&mut *self.out, &document).ok();
                writeln!(self.out).ok();
            }
        }
        ExitCode::from(exit)
    }
}

/// Text of others without control characters but line breaks: a zone file must not steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { '\u{fffd}' } else { char }).collect()
}

/// A count with its noun, as `1 zone` and `2 zones`.
pub(crate) struct Counted(pub(crate) u64, pub(crate) &'static str);

impl Display for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counted(count, noun) = self;
        write!(out, "{} {noun}{}", Grouped(*count), if *count == 1 { "" } else { "s" })
    }
}

/// A number with commas between its thousands.
pub(crate) struct Grouped(pub(crate) u64);

impl Display for Grouped {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (idx, digit) in digits.chars().enumerate() {
            if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
                out.write_str(",")?;
            }
            write!(out, "{digit}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Runs `command` with an output in memory; returns its result, standard output and standard error.
    pub(crate) fn capture<T>(format: Format, command: impl FnOnce(&mut Output<'_>) -> T) -> (T, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut output = Output { format, paint: Paint::Plain, out: &mut out, err: &mut err };
        let result = command(&mut output);
        (result, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn failures_are_told_on_both_streams_in_json_and_on_stderr_in_text() {
        let failure = Failure::Unable("no \u{1b}[31mplane".into());
        let (_, out, err) = capture(Format::Text, |output| output.fail(&failure));
        assert_eq!((out.as_str(), err.as_str()), ("", "error: no \u{fffd}[31mplane\n"));
        let (_, out, _) = capture(Format::Json, |output| output.fail(&failure));
        assert_eq!(out, "{\"error\":\"no \u{fffd}[31mplane\",\"exit\":3}\n");
        let (_, out, err) = capture(Format::Json, |output| output.fail(&Failure::ReaderGone));
        assert_eq!((out.as_str(), err.as_str()), ("", ""));
    }

    #[test]
    fn numbers_are_grouped_and_nouns_counted() {
        for (count, expected) in [(0, "0 zones"), (1, "1 zone"), (999, "999 zones"), (1_234_567, "1,234,567 zones")] {
            assert_eq!(Counted(count, "zone").to_string(), expected);
        }
    }

    #[test]
    fn colours_are_for_terminals() {
        assert_eq!(Paint::Plain.word(Hue::Red, "x"), "x");
        assert_eq!(Paint::Ansi.word(Hue::Yellow, "x"), "\u{1b}[1;33mx\u{1b}[0m");
        assert_eq!(Paint::of_terminal(false), Paint::Plain);
    }
}
