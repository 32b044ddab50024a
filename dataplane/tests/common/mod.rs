//! From zone text to a served view, for tests: the only place of these tests that knows the snapshot's interfaces.
//!
//! It is no second compiler: it reads, builds and publishes with the product's own code and without any checks of zones.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use snapshot::dns::name::Name;
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Zone, ZoneBuilder};
use snapshot::dns::zonefile::{Generate, Include, Options, Reader};
use snapshot::handover::{Directory, Keep, Publication};
use snapshot::image::{PackFile, Segment, View};

/// Whatever went wrong; tests only print it.
pub(crate) type Failure = Box<dyn Error>;

/// One record in wire format.
pub(crate) struct WireRecord {
    /// The owner, case as given.
    pub(crate) owner: Name,
    /// The type.
    pub(crate) rtype: Rtype,
    /// TTL in seconds.
    pub(crate) ttl_secs: u32,
    /// RDATA with names uncompressed.
    pub(crate) rdata: Vec<u8>,
}

/// A reader of `text` with the defaults of a server: nothing is included or generated.
fn reader(text: &str, origin: Name) -> Reader<&[u8]> {
    let options =
        Options { origin: Some(origin), default_ttl: None, include: Include::Refuse, generate: Generate::Refuse };
    Reader::new(text.as_bytes(), options)
}

/// Reads zone-file text.
///
/// # Errors
/// Those of the reader, with line and column.
pub(crate) fn zone(apex: &Name, text: &str) -> Result<Zone, Failure> {
    let mut reader = reader(text, apex.clone());
    let mut builder = ZoneBuilder::new(apex.clone());
    while let Some(record) = reader.read()? {
        builder.push(record)?;
    }
    Ok(builder.finish())
}

/// Reads one record in presentation format; names are absolute and the class, if given, is IN.
///
/// # Errors
/// Those of the reader, or a text that holds no record.
pub(crate) fn record(text: &str) -> Result<WireRecord, Failure> {
    let mut reader = reader(text, ".".parse()?);
    let record = reader.read()?.ok_or("no record in this line")?;
    Ok(WireRecord {
        owner: record.owner.to_name(),
        rtype: record.rtype,
        ttl_secs: record.ttl_secs,
        rdata: record.rdata.to_vec(),
    })
}

/// Compiles `zones` and publishes them as a new generation of `dir`, replacing all that was there.
///
/// # Errors
/// Those of reading, building and publishing.
pub(crate) fn publish(dir: &Path, zones: &[(Name, String)]) -> Result<(), Failure> {
    let mut segments = Vec::new();
    for (apex, text) in zones {
        let zone = zone(apex, text).map_err(|error| format!("zone {apex}: {error}"))?;
        segments.push(Segment::build(&zone)?);
    }
    let pack = PackFile::encode(segments)?;
    let mut writer = Directory::open(dir)?.lock("test")?;
    writer.publish(Publication::of(vec![pack], Keep::Nothing, 0))?;
    Ok(())
}

/// Loads the newest generation of `dir`.
///
/// # Errors
/// Those of loading, and a directory without a generation.
pub(crate) fn load(dir: &Path) -> Result<Arc<View>, Failure> {
    let loaded = Directory::open(dir)?.load(None)?.ok_or("the directory holds no generation")?;
    Ok(loaded.view)
}

/// RDATA in presentation format; what the codec refuses is shown as RFC 3597 section 5 does.
pub(crate) fn rdata_text(rtype: Rtype, rdata: &[u8]) -> String {
    let mut text = String::new();
    if rdata::write_text(rtype, rdata, &mut text).is_ok() {
        return text;
    }
    let mut text = format!("\\# {} ", rdata.len());
    for octet in rdata {
        write!(text, "{octet:02x}").expect("writing to a String cannot fail");
    }
    text
}
