//! `dnsctl compile`: zone files become a new generation of a directory.
//!
//! The work is `controlplane::compile`'s; here are the arguments, the lock, what is shown, and the garbage collection
//! afterwards. Invariant: on any failure the directory serves what it served before.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use controlplane::check::Finding;
use controlplane::compile::{CompileError, CompileOptions, Compiled, Progress, ZoneFailure, compile};
use controlplane::gate::Force;
use controlplane::source::{ReadOptions, ZoneSource, sources_in};
use controlplane::zonelist::read_zone_list;
use serde::Serialize;
use snapshot::dns::name::Name;
use snapshot::handover::{Directory, GENERATIONS_KEPT, HandoverError, Keep, LockError, Published, Writer, explain};
use snapshot::image::{Generation, SigningKey};

use super::check::{FindingRow, read_options};
use super::gate::{self, LossRow};
use super::parse_name;
use crate::args::{self, directory};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Counted, Format, Grouped, Hue, Output, printable};
use crate::progress::Bar;

/// How many warnings are shown; `dnsctl check` shows them all.
const WARNING_COUNT_MAX: usize = 20;
/// How long a data plane may take to say which generation it serves, so that this one is not collected.
const PIN_TIME_MAX: Duration = Duration::from_millis(200);

/// A compile that `dnsctl compile` or `dnsctl up` asks for.
pub(super) struct Order<'o> {
    /// Where the generation goes; created if missing.
    pub(super) out: &'o Path,
    /// The zones.
    pub(super) sources: Vec<ZoneSource>,
    /// What stays of the current generation.
    pub(super) keep: Keep,
    /// Zones that stay in any case, unless they are given: the domains of the control plane; `None` if they are not known.
    pub(super) stay: Option<HashSet<Name>>,
    /// How many zones are compiled side by side.
    pub(super) jobs: NonZeroUsize,
    /// How zone files are read.
    pub(super) read: ReadOptions,
    /// Whether to publish what is sound when some zones fail.
    pub(super) keep_going: bool,
    /// Gates that are forced.
    pub(super) force: Option<Force>,
    /// How many generations stay on disk.
    pub(super) generations_kept: usize,
    /// File of the key that signs the generation.
    pub(super) sign: Option<&'o Path>,
    /// Who holds the lock, for others.
    pub(super) holder: &'static str,
}

/// What was published.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The directory.
    directory: String,
    /// The new generation.
    pub(super) generation: u64,
    /// How many zones were compiled.
    zones: u64,
    /// How many records they have.
    records: u64,
    /// How many names they have.
    names: u64,
    /// Bytes of their segments.
    bytes: u64,
    /// Milliseconds from start to durable.
    millis: f64,
    /// How many old generations were removed afterwards.
    collected: usize,
    /// How many warnings there were.
    warning_count: usize,
    /// The first of them.
    warnings: Vec<FindingRow>,
    /// Zones that were left out, a line each.
    skipped: Vec<String>,
    /// Zones that keep what they have, because they would lose too much.
    refused: Vec<LossRow>,
    /// The command line that forces the gates for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    force_with: Option<String>,
    /// What was forced.
    forced: Vec<LossRow>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Why nothing was compared with the content before, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompared: Option<String>,
    /// The failure that this is, if the refused zones are one.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Whether a control plane published what a directory serves: then it has zones that no file speaks for.
fn holds_domains(directory: &Directory) -> bool {
    // What cannot be read is told by the compile.
    directory.current().ok().flatten().is_some_and(|current| current.manifest.change > 0)
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Input`] for bad zones, [`Failure::Gate`] for zones that lose much, [`Failure::Unable`] for the lock and the
/// disk.
pub(crate) fn run(args: &args::Compile, global: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let out = directory(args.out.as_deref(), global)?;
    let sources = match (&args.zones, &args.zonelist) {
        (Some(dir), _) => sources_in(dir).map_err(|cause| Failure::Input(explain(&cause)))?,
        (None, Some(list)) => read_zone_list(list).map_err(|cause| Failure::Input(explain(&cause)))?,
        (None, None) => sources_of(args)?,
    };
    if let Some(dir) = args.zones.as_ref().filter(|_| sources.is_empty()) {
        return Err(Failure::Input(format!("{} has no files NAME.zone", dir.display())));
    }
    let order = Order {
        out,
        sources,
        keep: if args.merge { Keep::Others } else { Keep::Nothing },
        stay: None,
        jobs: args.jobs.unwrap_or_else(jobs_default),
        read: read_options(&args.language),
        keep_going: args.keep_going,
        force: gate::force_of(&args.force)?,
        generations_kept: args.keep.get(),
        sign: args.sign.as_deref(),
        holder: "dnsctl compile",
    };
    let mut report = publish(&order, output)?;
    // Whoever keeps going wants what is sound, and is told what was left out.
    let refusal = report.refusal().filter(|_| !args.keep_going);
    report.error = refusal.as_ref().map(ToString::to_string);
    output.report(&report)?;
    match refusal {
        Some(_) if output.format == Format::Json => Err(Failure::Reported),
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// The sources of the files named one by one.
fn sources_of(args: &args::Compile) -> Result<Vec<ZoneSource>, Failure> {
    let origin = args.origin.as_deref().map(parse_name).transpose()?;
    if origin.is_some() && args.files.len() > 1 {
        return Err(Failure::Usage("--origin is for one zone file; each of several needs its own".into()));
    }
    Ok(args.files.iter().map(|path| ZoneSource { path: path.clone(), origin: origin.clone() }).collect())
}

/// As many jobs as cores.
pub(super) fn jobs_default() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

impl<'o> Order<'o> {
    /// An order with defaults: the zones become the whole content.
    pub(super) fn of(out: &'o Path, sources: Vec<ZoneSource>, holder: &'static str) -> Order<'o> {
        let (keep, jobs, read) = (Keep::Nothing, jobs_default(), ReadOptions::default());
        let (sign, generations_kept) = (None, GENERATIONS_KEPT);
        let (stay, keep_going, force) = (None, false, None);
        Order { out, sources, keep, stay, jobs, read, keep_going, force, generations_kept, sign, holder }
    }
}

/// Compiles, publishes and collects garbage.
///
/// # Errors
/// As [`run`].
pub(super) fn publish(order: &Order<'_>, output: &mut Output<'_>) -> Result<Report, Failure> {
    let begin = Instant::now();
    let unable = |cause: &dyn std::error::Error| Failure::Unable(explain(cause));
    let directory = Directory::create(order.out).map_err(|cause| unable(&cause))?;
    let mut writer = directory.lock(order.holder).map_err(|cause| match cause {
        LockError::Held { by } => Failure::Unable(held(order.out, &by)),
        other => unable(&other),
    })?;
    if order.keep == Keep::Nothing && order.stay.is_none() && holds_domains(&directory) {
        return Err(Failure::Input(format!(
            "{} has domains of a control plane, which would go out of service: add --merge to keep them, or give the \
             control plane the file with `dnsctl domain import`",
            order.out.display()
        )));
    }
    if let Some(path) = order.sign {
        writer = writer.with_key(SigningKey::read(path).map_err(|cause| Failure::Input(explain(&cause)))?);
    }
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let options = CompileOptions {
        keep: order.keep,
        stay: order.stay.clone().unwrap_or_default(),
        jobs: order.jobs,
        read: order.read.clone(),
        keep_going: order.keep_going,
        force: order.force.clone(),
        created_unix_secs: since_1970.as_secs(),
    };
    let bar = Bar::new();
    let show = |progress: Progress| bar.show(progress.phase, progress.bytes_done, progress.bytes_total);
    let compiled = compile(&mut writer, &order.sources, &options, &show);
    drop(bar);
    let mut compiled = compiled.map_err(failure_of)?;
    match compact(&mut writer, options.created_unix_secs) {
        Ok(Some(compacted)) => compiled.published.current = compacted.current,
        Ok(None) => {}
        Err(cause) => output.note(format_args!("note: old packs are not rewritten: {}", explain(&cause))),
    }
    let collected = collect(&mut writer, order, output);
    let report = Report::new(order, &compiled, begin.elapsed(), collected);
    warn(&report, output);
    Ok(report)
}

/// Rewrites the packs if that is due, as a generation of the same content.
fn compact(writer: &mut Writer, created_unix_secs: u64) -> Result<Option<Published>, HandoverError> {
    match writer.plan_compaction()? {
        Some(compaction) => writer.adopt(compaction.run()?, created_unix_secs),
        None => Ok(None),
    }
}

/// Who has the directory, and if it is a control plane, the way that goes through it.
fn held(out: &Path, by: &str) -> String {
    let dir = out.display();
    match by.contains("dns-controlplane") {
        true => format!("{dir} is in use by {by}: zone files go through it now: dnsctl --dir {dir} domain import FILE"),
        false => format!("{dir} is in use by {by}"),
    }
}

/// What a failed compile means to the caller: bad zones, or a system that does not let us.
fn failure_of(error: CompileError) -> Failure {
    match error {
        CompileError::Zones(_) => Failure::Input(explain(&error)),
        CompileError::Gates(losses) => gate::refusal(&losses),
        CompileError::Handover(cause) => Failure::Unable(explain(&cause)),
    }
}

/// The first mistake of a zone, and how many more there are.
fn one_line(failure: &ZoneFailure) -> String {
    let text = failure.to_string();
    let more = text.lines().count().saturating_sub(1);
    let first = text.lines().next().unwrap_or_default();
    if more == 0 { first.to_owned() } else { format!("{first} (and {more} more)") }
}

/// Removes old generations, but not what the data plane beside the directory serves. The new generation is published
/// by now, so a failure here is a note.
fn collect(writer: &mut Writer, order: &Order<'_>, output: &mut Output<'_>) -> usize {
    let serving = Client::connect(&order.out.join("control"), PIN_TIME_MAX).and_then(|mut client| client.status());
    let pinned: Vec<_> = serving.ok().and_then(|status| status.generation).map(Generation).into_iter().collect();
    match writer.collect(order.generations_kept, &pinned) {
        Ok(collected) => collected.generations.len(),
        Err(cause) => {
            output.note(format_args!("note: old generations stay: {}", explain(&cause)));
            0
        }
    }
}

/// Shows what was left out and the first warnings; in JSON they are part of the document.
fn warn(report: &Report, output: &mut Output<'_>) {
    if output.format == Format::Json {
        return;
    }
    if let Some(cause) = &report.uncompared {
        output.note(format_args!("note: what was there before is not compared: {}", printable(cause)));
    }
    for loss in &report.forced {
        let reason = report.reason.as_deref().unwrap_or_default();
        output.note(format_args!("forced: {loss}: {}", printable(reason)));
    }
    let refused = output.paint.word(Hue::Red, "refused");
    for loss in report.refused.iter().take(WARNING_COUNT_MAX) {
        output.note(format_args!("{refused}: {loss}; it keeps them"));
    }
    let skipped = output.paint.word(Hue::Red, "skipped");
    for message in &report.skipped {
        output.note(format_args!("{skipped}: {}", printable(message)));
    }
    let word = output.paint.word(Hue::Yellow, "warning");
    for finding in &report.warnings {
        let FindingRow { message, code, .. } = finding;
        output.note(format_args!("{}: {word}: {} [{code}]", finding.place(), printable(message)));
    }
    let hidden = report.warning_count - report.warnings.len();
    if hidden > 0 {
        output.note(format_args!("and {}: dnsctl check shows all", Counted(hidden as u64, "more warning")));
    }
}

impl Report {
    /// Gathers what was done.
    fn new(order: &Order<'_>, compiled: &Compiled, took: Duration, collected: usize) -> Report {
        let row = |(idx, finding): &(usize, Finding)| FindingRow::new(&order.sources[*idx].path, finding);
        Report {
            directory: order.out.display().to_string(),
            generation: compiled.published.current.manifest.generation.0,
            zones: compiled.zones,
            records: compiled.records,
            names: compiled.names,
            bytes: compiled.bytes,
            millis: (took.as_secs_f64() * 1e6).round() / 1e3,
            collected,
            warning_count: compiled.warnings.len(),
            warnings: compiled.warnings.iter().take(WARNING_COUNT_MAX).map(row).collect(),
            skipped: compiled.failures.iter().map(one_line).collect(),
            refused: compiled.refused.iter().map(LossRow::of).collect(),
            force_with: (!compiled.refused.is_empty()).then(|| gate::force_with(&compiled.refused)),
            forced: compiled.forced.iter().map(LossRow::of).collect(),
            reason: order.force.as_ref().map(|force| force.reason.as_str().to_owned()),
            uncompared: compiled.uncompared.as_ref().map(|damage| explain(damage)),
            error: None,
        }
    }

    /// The failure that the refused zones are; none without any.
    pub(super) fn refusal(&self) -> Option<Failure> {
        let force_with = self.force_with.as_ref()?;
        Some(gate::failure(&self.refused, force_with, "the other zones are published"))
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { directory, generation, zones, records, names, bytes, millis, .. } = self;
        write!(out, "generation {generation} in {directory}: {}, ", Counted(*zones, "zone"))?;
        write!(out, "{}, {}, ", Counted(*records, "record"), Counted(*names, "name"))?;
        write!(out, "{} bytes, {millis:.0} ms", Grouped(*bytes))?;
        if !self.skipped.is_empty() {
            write!(out, "; {} skipped", Counted(self.skipped.len() as u64, "zone"))?;
        }
        if !self.refused.is_empty() {
            write!(out, "; {} refused", Counted(self.refused.len() as u64, "zone"))?;
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::capture;

    /// A report with `warning_count` warnings, all but `shown` of them hidden.
    fn report(warning_count: usize, shown: usize) -> Report {
        let row = FindingRow {
            file: "a.zone".into(),
            line: 3,
            severity: "warning",
            code: "ttl-mismatch".into(),
            owner: "a.test.".into(),
            message: "TTLs\u{7} differ".into(),
        };
        Report {
            directory: "d".into(),
            generation: 2,
            zones: 1,
            records: 1234,
            names: 2,
            bytes: 4096,
            millis: 1.5,
            collected: 0,
            warning_count,
            warnings: vec![row; shown],
            skipped: vec![],
            refused: vec![],
            force_with: None,
            forced: vec![],
            reason: None,
            uncompared: None,
            error: None,
        }
    }

    #[test]
    fn text_is_one_line_and_warnings_are_bounded() {
        let report = report(3, 1);
        assert_eq!(report.to_string(), "generation 2 in d: 1 zone, 1,234 records, 2 names, 4,096 bytes, 2 ms\n");
        let ((), _, err) = capture(Format::Text, |output| warn(&report, output));
        let shown = "a.zone:3: warning: TTLs\u{fffd} differ [ttl-mismatch]\n";
        assert_eq!(err, format!("{shown}and 2 more warnings: dnsctl check shows all\n"));
    }

    #[test]
    fn json_holds_the_warnings_and_stderr_stays_empty() {
        let ((), _, err) = capture(Format::Json, |output| warn(&report(1, 1), output));
        assert_eq!(err, "");
        let value = serde_json::to_value(report(1, 1)).unwrap();
        assert_eq!((&value["generation"], &value["warnings"][0]["code"]), (&2.into(), &"ttl-mismatch".into()));
    }
}
