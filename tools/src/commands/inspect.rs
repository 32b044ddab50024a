//! `dnsctl inspect`: what a directory holds: generations, packs, zones, and the names of zones if asked.
//!
//! It reads as a data plane on a cold start does and repairs nothing. Invariant: something broken is shown with its
//! reason, and what is whole beside it is shown all the same.

use std::fmt::{self, Display};
use std::path::Path;

use serde::Serialize;
use snapshot::dns::name::{Name, NameRef};
use snapshot::handover::{GenerationEntry, GenerationState, Standing, explain};
use snapshot::image::{Node, View, ZoneFacts};

use super::{load, open_directory, parse_name};
use crate::args::{self, directory};
use crate::failure::Failure;
use crate::output::{Counted, Format, Grouped, Output, printable};

/// All that was asked for.
#[derive(Debug, Serialize)]
struct Report {
    /// The directory.
    directory: String,
    /// The generations on disk, the newest first.
    generations: Vec<GenerationRow>,
    /// The generation whose zones are shown: the one a data plane would serve.
    loaded: Option<u64>,
    /// Its packs; later ones shadow earlier ones.
    packs: Vec<PackRow>,
    /// Its zones, or the one asked for.
    zones: Vec<ZoneRow>,
    /// Why nothing can be served; only then it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// One generation on disk.
#[derive(Debug, Serialize)]
struct GenerationRow {
    /// Its number.
    generation: u64,
    /// Its epoch.
    epoch: u64,
    /// What it is to `CURRENT`.
    standing: &'static str,
    /// Seconds since 1970 when it was made; `None` if broken.
    created_unix_secs: Option<u64>,
    /// How many packs it names.
    packs: usize,
    /// Their bytes.
    bytes: u64,
    /// Why it cannot be served.
    broken: Option<String>,
}

/// One pack.
#[derive(Debug, Serialize)]
struct PackRow {
    /// Its digest, which is also its file name.
    digest: String,
    /// Its bytes.
    bytes: u64,
    /// How many zones it has.
    zones: usize,
}

/// One zone.
#[derive(Debug, Serialize)]
struct ZoneRow {
    /// Its apex.
    zone: String,
    /// Its serial.
    serial: u32,
    /// Whether it is signed.
    signed: bool,
    /// How many names.
    names: u32,
    /// How many RRsets.
    rrsets: u32,
    /// How many records.
    records: u32,
    /// Bytes of its segment.
    bytes: u64,
    /// Digest of its segment.
    digest: String,
    /// The overlay on its segment, if it has one: counts and serial are those of the two together.
    #[serde(skip_serializing_if = "Option::is_none")]
    overlay: Option<OverlayRow>,
    /// Its names, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    owners: Option<Vec<OwnerRow>>,
}

/// The overlay of a zone.
#[derive(Debug, Serialize)]
struct OverlayRow {
    /// Its bytes.
    bytes: u64,
    /// Its digest.
    digest: String,
}

/// One name of a zone.
#[derive(Debug, Serialize)]
struct OwnerRow {
    /// The name.
    name: String,
    /// Its types with how many records each has; none at an empty non-terminal.
    types: Vec<(String, u16)>,
}

/// Runs the command.
///
/// # Errors
/// [`Failure::Input`] if nothing can be served or the zone asked for is not there, [`Failure::Unable`] if the directory
/// cannot be read.
pub(crate) fn run(args: &args::Inspect, global: Option<&Path>, output: &mut Output<'_>) -> Result<(), Failure> {
    let path = directory(args.dir_named.as_deref(), global)?;
    let only = args.zone.as_deref().map(parse_name).transpose()?;
    let entries = open_directory(path)?.generations().map_err(|cause| Failure::Unable(explain(&cause)))?;
    let generations = entries.iter().map(GenerationRow::new).collect();
    let mut report = Report {
        directory: path.display().to_string(),
        generations,
        loaded: None,
        packs: vec![],
        zones: vec![],
        error: None,
    };
    let view = match load(path, output) {
        Ok(view) => view,
        Err(failure) => {
            // What is broken is the very thing to look at, so it is shown all the same; in JSON as one document.
            if output.format == Format::Json && matches!(failure, Failure::Input(_)) {
                report.error = Some(printable(&failure.to_string()));
                output.report(&report)?;
                return Err(Failure::Reported);
            }
            if output.format == Format::Text {
                output.report(&report)?;
            }
            return Err(failure);
        }
    };
    report.loaded = view.generation().map(|generation| generation.0);
    let pack_row = |pack: &std::sync::Arc<snapshot::image::Pack>| PackRow {
        digest: pack.digest().to_string(),
        bytes: pack.byte_len(),
        zones: pack.zone_count(),
    };
    report.packs = view.packs().iter().map(pack_row).collect();
    let is_shown = |facts: &ZoneFacts| only.as_ref().is_none_or(|name| *name == facts.apex);
    let shown: Vec<ZoneFacts> = view.zones().into_iter().filter(is_shown).collect();
    report.zones = shown.iter().map(|facts| ZoneRow::new(facts, &view)).collect();
    if args.names {
        report.zones.iter_mut().zip(&shown).for_each(|(row, facts)| row.owners = Some(owners(&view, &facts.apex)));
    }
    match only.filter(|_| report.zones.is_empty()) {
        Some(name) => Err(Failure::Input(format!("{} has no zone {name}", path.display()))),
        None => output.report(&report),
    }
}

impl GenerationRow {
    /// An entry of the directory as a row.
    fn new(entry: &GenerationEntry) -> GenerationRow {
        let standing = match entry.standing {
            Standing::Current => "current",
            Standing::Predecessor => "predecessor",
            Standing::Past => "past",
            Standing::Unpublished => "unpublished",
            Standing::Unknown => "unknown",
        };
        let (generation, epoch) = (entry.generation.0, entry.epoch);
        let row =
            GenerationRow { generation, epoch, standing, created_unix_secs: None, packs: 0, bytes: 0, broken: None };
        match &entry.state {
            GenerationState::Intact(manifest) => GenerationRow {
                created_unix_secs: Some(manifest.created_unix_secs),
                packs: manifest.packs.len(),
                bytes: manifest.packs.iter().map(|pack| pack.bytes).sum(),
                ..row
            },
            GenerationState::Broken(reason) => GenerationRow { broken: Some(reason.clone()), ..row },
        }
    }
}

impl ZoneRow {
    /// A zone as a row, without its names.
    fn new(facts: &ZoneFacts, view: &View) -> ZoneRow {
        let base = view.base(facts);
        let segment = base.as_ref().unwrap_or(facts);
        ZoneRow {
            zone: facts.apex.to_string(),
            serial: facts.serial,
            signed: facts.signed,
            names: facts.names,
            rrsets: facts.rrsets,
            records: facts.records,
            bytes: segment.bytes,
            digest: segment.digest.to_string(),
            overlay: base.map(|_| OverlayRow { bytes: facts.bytes, digest: facts.digest.to_string() }),
            owners: None,
        }
    }
}

/// The names of a zone in canonical order.
fn owners(view: &View, apex: &Name) -> Vec<OwnerRow> {
    let Some(zone) = view.zone(apex.as_ref()) else { return Vec::new() };
    let row = |node: Node<'_>| {
        let name = NameRef::prefix_of(node.name()).ok()?;
        // The SOA lies apart from the apex node, but people look for it there.
        let soa = zone.soa().filter(|_| name == apex.as_ref());
        let mut types: Vec<_> = node.rrsets().chain(soa).map(|rrset| (rrset.rtype, rrset.record_count)).collect();
        types.sort_unstable();
        let types = types.into_iter().map(|(rtype, count)| (rtype.to_string(), count)).collect();
        Some(OwnerRow { name: name.to_string(), types })
    };
    zone.nodes().filter_map(row).collect()
}

impl Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}: {}", self.directory, Counted(self.generations.len() as u64, "generation"))?;
        for GenerationRow { generation, standing, packs, bytes, broken, .. } in &self.generations {
            match broken {
                Some(reason) => writeln!(out, "  {generation:<6} {standing:<12} broken: {}", printable(reason))?,
                None => {
                    let packs = Counted(*packs as u64, "pack");
                    writeln!(out, "  {generation:<6} {standing:<12} {packs}, {} bytes", Grouped(*bytes))?;
                }
            }
        }
        let Some(loaded) = self.loaded else { return Ok(()) };
        writeln!(out, "\npacks of generation {loaded}")?;
        for PackRow { digest, bytes, zones } in &self.packs {
            writeln!(out, "  {digest}  {}, {} bytes", Counted(*zones as u64, "zone"), Grouped(*bytes))?;
        }
        writeln!(out, "\nzones of generation {loaded}")?;
        self.zones.iter().try_for_each(|zone| write!(out, "{zone}"))
    }
}

impl Display for ZoneRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ZoneRow { zone, serial, signed, names, rrsets, records, bytes, digest, overlay, owners } = self;
        let signed = if *signed { ", signed" } else { "" };
        write!(out, "  {zone}  serial {serial}{signed}: {}, ", Counted(u64::from(*names), "name"))?;
        write!(out, "{}, {}, ", Counted(u64::from(*rrsets), "RRset"), Counted(u64::from(*records), "record"))?;
        write!(out, "{} bytes, {}", Grouped(*bytes), digest.get(..16).unwrap_or(digest))?;
        if let Some(OverlayRow { bytes, digest }) = overlay {
            write!(out, "; overlay {} bytes, {}", Grouped(*bytes), digest.get(..16).unwrap_or(digest))?;
        }
        writeln!(out)?;
        for OwnerRow { name, types } in owners.iter().flatten() {
            write!(out, "    {name}")?;
            for (rtype, count) in types {
                write!(out, " {rtype}")?;
                if *count > 1 {
                    write!(out, "({count})")?;
                }
            }
            writeln!(out, "{}", if types.is_empty() { " (empty non-terminal)" } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, tests::capture};

    #[test]
    fn text_shows_generations_packs_zones_and_names() {
        let row = GenerationRow {
            generation: 9,
            epoch: 1,
            standing: "current",
            created_unix_secs: Some(1),
            packs: 1,
            bytes: 8192,
            broken: None,
        };
        let broken = Some("digest is wrong".to_owned());
        let old = GenerationRow { generation: 8, standing: "predecessor", broken, ..GenerationRow { ..base() } };
        let owner = |name: &str, types: &[(&str, u16)]| OwnerRow {
            name: name.into(),
            types: types.iter().map(|(rtype, count)| ((*rtype).to_owned(), *count)).collect(),
        };
        let zone = ZoneRow {
            zone: "example.test.".into(),
            serial: 7,
            signed: true,
            names: 2,
            rrsets: 2,
            records: 3,
            bytes: 640,
            digest: "ab".repeat(32),
            overlay: Some(OverlayRow { bytes: 1280, digest: "ef".repeat(32) }),
            owners: Some(vec![owner("example.test.", &[("NS", 2), ("SOA", 1)]), owner("b.example.test.", &[])]),
        };
        let packs = vec![PackRow { digest: "cd".repeat(32), bytes: 8192, zones: 1 }];
        let report = Report {
            directory: "d".into(),
            generations: vec![row, old],
            loaded: Some(9),
            packs,
            zones: vec![zone],
            error: None,
        };
        let expected = format!(
            "\
d: 2 generations
  9      current      1 pack, 8,192 bytes
  8      predecessor  broken: digest is wrong

packs of generation 9
  {}  1 zone, 8,192 bytes

zones of generation 9
  example.test.  serial 7, signed: 2 names, 2 RRsets, 3 records, 640 bytes, abababababababab; overlay 1,280 bytes, efefefefefefefef
    example.test. NS(2) SOA
    b.example.test. (empty non-terminal)
",
            "cd".repeat(32)
        );
        assert_eq!(report.to_string(), expected);
        let value = serde_json::to_value(&report).unwrap();
        assert_eq!(value["zones"][0]["owners"][0]["types"][0][0], "NS");
    }

    /// A row to derive others from.
    fn base() -> GenerationRow {
        GenerationRow {
            generation: 0,
            epoch: 1,
            standing: "past",
            created_unix_secs: None,
            packs: 0,
            bytes: 0,
            broken: None,
        }
    }

    #[test]
    fn a_directory_that_is_missing_or_empty_is_a_failure() {
        let args = |dir: &Path| args::Inspect { dir_named: Some(dir.to_owned()), zone: None, names: false };
        let (result, out, _) = capture(Format::Text, |output| run(&args(Path::new("/nowhere")), None, output));
        assert_eq!((result.unwrap_err().exit_code(), out.as_str()), (3, ""));
        let dir = tempfile::tempdir().unwrap();
        let (result, out, _) = capture(Format::Text, |output| run(&args(dir.path()), None, output));
        assert_eq!(result.unwrap_err().exit_code(), 1);
        assert!(out.ends_with(": 0 generations\n"), "{out}");
    }
}
