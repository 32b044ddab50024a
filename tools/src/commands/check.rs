//! `dnsctl check`: looks for mistakes in zone files and writes nothing.
//!
//! The rules are `controlplane::check`'s. Invariant: the exit code is 1 exactly if there is an error; warnings alone
//! are success. Mistakes in DNSSEC records are errors with `--dnssec`, else warnings.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::SystemTime;

use controlplane::check::dnssec::{Dnssec, Need};
use controlplane::check::{Finding, Severity, prune, review};
use controlplane::source::{Generate, Include, ReadOptions, ZoneSource, read_zone};
use serde::Serialize;
use snapshot::dns::zone::Zone;
use snapshot::handover::explain;
use snapshot::image::Segment;

use super::compile::jobs_default;
use super::parse_name;
use crate::args::{self, Language};
use crate::failure::Failure;
use crate::output::{Counted, Output, printable};

/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_TO_1970: u64 = 719_468;

/// The findings of all files.
#[derive(Debug, Serialize)]
struct Report {
    /// The files, in the order given.
    files: Vec<FileRow>,
    /// How many errors.
    errors: u64,
    /// How many warnings.
    warnings: u64,
    /// That there are errors, in words; only then it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One file.
#[derive(Debug, Serialize)]
struct FileRow {
    /// Its path.
    file: String,
    /// The apex of its zone; `None` if it could not be read.
    origin: Option<String>,
    /// How many records it has.
    records: usize,
    /// Why it could not be read; it names line and column where there are any.
    unreadable: Option<String>,
    /// What was found.
    findings: Vec<FindingRow>,
}

/// One finding, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct FindingRow {
    /// The zone file.
    pub(super) file: String,
    /// The line; 0 if it is about no single one.
    pub(super) line: u32,
    /// `error` or `warning`.
    pub(super) severity: &'static str,
    /// The stable name of the rule.
    pub(super) code: String,
    /// The owner it is about.
    pub(super) owner: String,
    /// What is wrong.
    pub(super) message: String,
}

impl FindingRow {
    /// A finding in `file`.
    pub(super) fn new(file: &Path, finding: &Finding) -> FindingRow {
        FindingRow {
            file: file.display().to_string(),
            line: finding.line,
            severity: match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            code: finding.code.to_string(),
            owner: finding.owner.to_string(),
            message: finding.message.clone(),
        }
    }

    /// File and line, or the file alone if it is about no single line.
    pub(super) fn place(&self) -> String {
        match self.line {
            0 => printable(&self.file),
            line => format!("{}:{line}", printable(&self.file)),
        }
    }
}

/// How zone files are read, from the command line.
pub(super) fn read_options(language: &Language) -> ReadOptions {
    ReadOptions {
        include: language.allow_include.clone().map_or(Include::Refuse, Include::Below),
        generate: language.allow_generate.map_or(Generate::Refuse, Generate::AtMost),
    }
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Reported`] if there is an error in a file.
pub(crate) fn run(args: &args::Check, output: &mut Output<'_>) -> Result<(), Failure> {
    let origin = args.origin.as_deref().map(parse_name).transpose()?;
    if origin.is_some() && args.files.len() > 1 {
        return Err(Failure::Usage("--origin is for one zone file; each of several needs its own".into()));
    }
    let options = read_options(&args.language);
    let dnssec = Dnssec {
        need: if args.dnssec { Need::Required } else { Need::Optional },
        at_unix_secs: args.at.as_deref().map_or_else(|| Ok(now()), parse_time)?,
        jobs: jobs_default(),
    };
    let sources = args.files.iter().map(|path| ZoneSource { path: path.clone(), origin: origin.clone() });
    let report = Report::new(sources.map(|source| FileRow::new(&source, &options, &dnssec)).collect());
    output.report(&report)?;
    if report.errors == 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// The time of the system's clock, in seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Reads a time: `YYYYMMDDHHMMSS` in UTC, as RRSIG has it, or seconds since 1970.
///
/// # Errors
/// [`Failure::Usage`] if it is neither.
fn parse_time(text: &str) -> Result<u64, Failure> {
    let bad = || Failure::Usage(format!("`{text}` is no time: give YYYYMMDDHHMMSS in UTC, or seconds since 1970"));
    let number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    if text.len() != 14 {
        // Eight digits would be a date without a time, rather than a moment in 1970. RRSIG times have 32 bits.
        let secs = number(text).filter(|_| text.len() != 8);
        return secs.filter(|secs| u32::try_from(*secs).is_ok()).ok_or_else(bad);
    }
    let part = |from: usize, to: usize| text.get(from..to).and_then(number);
    let date = || Some((part(0, 4)?, part(4, 6)?, part(6, 8)?));
    let time = || Some((part(8, 10)?, part(10, 12)?, part(12, 14)?));
    let ((year, month, day), (hour, minute, second)) = date().zip(time()).ok_or_else(bad)?;
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_days = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let in_range = year >= 1970 && (1..=12).contains(&month) && (1..=month_days).contains(&day);
    if !in_range || hour > 23 || minute > 59 || second > 59 {
        return Err(bad());
    }
    // Years that begin with March have their leap day last, so the days before each month follow one rule.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_year = year * 365 + year / 4 - year / 100 + year / 400;
    let days = days_before_year + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970;
    let secs = days * 86_400 + hour * 3600 + minute * 60 + second;
    if u32::try_from(secs).is_ok() { Ok(secs) } else { Err(bad()) }
}

/// Why a zone that breaks no rule cannot be compiled: it exceeds what a segment can hold.
fn compile_error(zone: &mut Zone, file: &str) -> Option<FindingRow> {
    prune(zone);
    let message = Segment::build(zone).err()?.to_string();
    let owner = zone.apex().to_string();
    Some(FindingRow {
        file: file.to_owned(),
        line: 0,
        severity: "error",
        code: "cannot-compile".into(),
        owner,
        message,
    })
}

impl FileRow {
    /// Reads and checks one file.
    fn new(source: &ZoneSource, options: &ReadOptions, dnssec: &Dnssec) -> FileRow {
        let file = source.path.display().to_string();
        match read_zone(source, options) {
            Ok(mut zone) => {
                let mut findings: Vec<_> =
                    review(&zone, dnssec).iter().map(|finding| FindingRow::new(&source.path, finding)).collect();
                let (origin, records) = (Some(zone.apex().to_string()), zone.record_count());
                if findings.iter().all(|finding| finding.severity != "error") {
                    findings.extend(compile_error(&mut zone, &file));
                }
                FileRow { file, origin, records, unreadable: None, findings }
            }
            Err(cause) => {
                let unreadable = Some(explain(&cause));
                FileRow { file, origin: None, records: 0, unreadable, findings: Vec::new() }
            }
        }
    }
}

impl Report {
    /// Counts what is in the files.
    fn new(files: Vec<FileRow>) -> Report {
        let count = |severity| {
            files.iter().flat_map(|file| &file.findings).filter(|finding| finding.severity == severity).count() as u64
        };
        let unreadable = files.iter().filter(|file| file.unreadable.is_some()).count() as u64;
        let (errors, warnings) = (count("error") + unreadable, count("warning"));
        let error = (errors > 0).then(|| Counted(errors, "error").to_string());
        Report { files, errors, warnings, error }
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FileRow { file, unreadable, findings, .. } in &self.files {
            if let Some(cause) = unreadable {
                // The reader's message begins with the place, unless the file could not even be opened.
                let place = if cause.starts_with(file.as_str()) { String::new() } else { format!("{file}: ") };
                writeln!(out, "{}{}", printable(&place), printable(cause))?;
            }
            for finding in findings {
                let FindingRow { severity, code, message, .. } = finding;
                writeln!(out, "{}: {severity}: {} [{code}]", finding.place(), printable(message))?;
            }
        }
        let (errors, warnings) = (Counted(self.errors, "error"), Counted(self.warnings, "warning"));
        writeln!(out, "{}: {errors}, {warnings}", Counted(self.files.len() as u64, "file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::dns::name::Name;

    #[test]
    fn findings_are_lines_with_a_place_and_a_summary_at_the_end() {
        let finding = |severity, code, line| Finding {
            severity,
            code,
            line,
            owner: Name::root(),
            message: "something\u{1b} is wrong".into(),
        };
        let path = Path::new("a.zone");
        let rows = [finding(Severity::Error, "no-ns", 0), finding(Severity::Warning, "ttl-mismatch", 9)];
        let findings = rows.iter().map(|finding| FindingRow::new(path, finding)).collect();
        let good = FileRow { file: "a.zone".into(), origin: None, records: 9, unreadable: None, findings };
        let unreadable = Some("b.zone:3:7: expected a TTL".to_owned());
        let bad = FileRow { file: "b.zone".into(), origin: None, records: 0, unreadable, findings: vec![] };
        let gone = FileRow { file: "c.zone".into(), unreadable: Some("no such file".into()), ..empty() };
        let report = Report::new(vec![good, bad, gone]);
        let expected = "\
a.zone: error: something\u{fffd} is wrong [no-ns]
a.zone:9: warning: something\u{fffd} is wrong [ttl-mismatch]
b.zone:3:7: expected a TTL
c.zone: no such file
3 files: 3 errors, 1 warning
";
        assert_eq!(report.to_string(), expected);
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!((&value["errors"], &value["files"][0]["findings"][1]["line"]), (&3.into(), &9.into()));
    }

    #[test]
    fn times_are_dates_or_seconds() {
        for (text, secs) in [
            ("0", Some(0)),
            ("19700101000000", Some(0)),
            ("20000229235959", Some(951_868_799)),
            ("20000301000000", Some(951_868_800)),
            ("21060207062815", Some(u32::MAX.into())),
            ("21060207062816", None),
            ("20260230000000", None),
            ("20240229000000", Some(1_709_164_800)),
            ("20260101", None),
            ("4294967296", None),
            ("1700000000", Some(1_700_000_000)),
            ("", None),
            ("+1", None),
            ("20001301000000", None),
            ("20000101240000", None),
            ("2000-01-01", None),
        ] {
            assert_eq!(parse_time(text).ok(), secs, "{text}");
        }
    }

    /// A file without anything.
    fn empty() -> FileRow {
        FileRow { file: String::new(), origin: None, records: 0, unreadable: None, findings: vec![] }
    }
}
