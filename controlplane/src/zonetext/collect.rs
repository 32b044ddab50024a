//! Reads the records of a zone file and groups them to RRsets.
//!
//! Here is what concerns the file as a whole: syntax, TTLs that are missing, CNAME beside other data, SOA records of other names.
//! RDATA lies in one buffer, so that a record costs its octets and little more.

use std::collections::HashMap;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;
use snapshot::dns::zonefile::{Options, Problem, Reader};

use super::import::ImportError;
use super::report::{DnssecRecords, Ignored, Reason, Tally};
use super::{RDATA_LEN_MAX, RECORD_COUNT_MAX, is_dnssec, unicode};

/// Stands for no TTL at all: the reader makes larger ones than RFC 2181 section 8 allows to 0, so none is this.
const NO_TTL: u32 = u32::MAX;

/// The records of a zone file, grouped.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The owners, in the order of the file.
    pub(super) nodes: Vec<Node>,
    /// The RRsets, in the order of the file.
    pub(super) groups: Vec<Group>,
    /// The records, ascending by group.
    pub(super) records: Vec<Stored>,
    /// RDATA of the records.
    pub(super) rdata: Vec<u8>,
    /// What was left out.
    pub(super) ignored: Tally<Ignored>,
    /// What of that was made by whoever signed the file.
    pub(super) dnssec: DnssecRecords,
}

/// An owner.
#[derive(Debug)]
pub(super) struct Node {
    /// Below the domain, as it was first written; empty for the apex.
    pub(super) subname: String,
    /// How many RRsets it has.
    pub(super) group_count: usize,
    /// Whether it has a CNAME.
    has_cname: bool,
    /// Whether it has records that cannot be beside a CNAME.
    has_other: bool,
}

/// An RRset.
#[derive(Debug)]
pub(super) struct Group {
    /// The owner.
    pub(super) node_idx: u32,
    /// The type.
    pub(super) rtype: Rtype,
    /// The least TTL of its records, in seconds.
    pub(super) ttl_secs: u32,
    /// The line of its first record.
    pub(super) line: u32,
}

/// A record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Its RRset.
    pub(super) group_idx: u32,
    /// Where its RDATA begins.
    off: u32,
    /// How long it is.
    len: u16,
}

/// What the reading needs beside what it makes.
struct Collector<'a> {
    /// The domain.
    apex: NameRef<'a>,
    /// Its name in messages.
    domain: &'a str,
    /// Which types are left out, given whether they are at the apex.
    is_managed: fn(Rtype, bool) -> bool,
    /// Whether the file has other characters than ASCII. Where it has none, octets above 127 were written as numbers and mean
    /// octets.
    has_unicode: bool,
    /// The owners by name in canonical form.
    node_idx_of: HashMap<Vec<u8>, u32>,
    /// The RRsets by owner and type.
    group_idx_of: HashMap<(u32, Rtype), u32>,
    /// The latest owner as written, and its node, which is none outside the domain.
    latest: Option<(Name, Option<u32>)>,
    /// What is made.
    made: Collected,
}

impl Collected {
    /// The RDATA of a record.
    pub(super) fn rdata_of(&self, record: Stored) -> &[u8] {
        let off = record.off as usize;
        self.rdata.get(off..off + usize::from(record.len)).unwrap_or_default()
    }
}

/// Reads all of `text`; what `is_managed` is left out.
pub(super) fn collect(
    text: &[u8],
    domain: &str,
    is_managed: fn(Rtype, bool) -> bool,
) -> Result<Collected, ImportError> {
    let apex: Name = domain.parse().map_err(|_| ImportError::Domain)?;
    let mut collector = Collector {
        apex: apex.as_ref(),
        domain,
        is_managed,
        has_unicode: !text.is_ascii(),
        node_idx_of: HashMap::new(),
        group_idx_of: HashMap::new(),
        latest: None,
        made: Collected::default(),
    };
    let options = Options { origin: Some(apex.clone()), default_ttl: Some(NO_TTL), ..Options::default() };
    let mut reader = Reader::new(text, options);
    // Where nothing else tells a TTL, the latest one does (RFC 1035 section 5.1), else the MINIMUM of the SOA, as it did
    // before RFC 2308: such files are still written.
    let (mut stated_ttl, mut soa_minimum) = (None, None);
    loop {
        match reader.read() {
            Ok(None) => break,
            Ok(Some(mut record)) => {
                if record.rtype == Rtype::SOA && soa_minimum.is_none() {
                    soa_minimum = record.rdata.last_chunk().map(|minimum| u32::from_be_bytes(*minimum));
                }
                if record.ttl_secs == NO_TTL {
                    let known = stated_ttl.or(soa_minimum);
                    record.ttl_secs = known.ok_or(ImportError::Syntax { line: record.line })?;
                } else {
                    stated_ttl = Some(record.ttl_secs);
                }
                collector.add(&record)?;
            }
            // OPT is no data of zones and is left out wherever it stands.
            Err(error) if matches!(error.problem, Problem::MetaType(Rtype::OPT)) => {
                let ignored = Ignored {
                    line: error.line,
                    name: String::new(),
                    rtype: Rtype::OPT.to_string(),
                    reason: Reason::Managed,
                };
                collector.made.ignored.add(|| ignored);
            }
            Err(error) => return Err(ImportError::Syntax { line: error.line }),
        }
    }
    collector.made.records.sort_by_key(|record| record.group_idx);
    Ok(collector.made)
}

impl Collector<'_> {
    /// Adds a record, or leaves it out.
    fn add(&mut self, record: &Record<'_>) -> Result<(), ImportError> {
        let Some(node_idx) = self.node_idx(record.owner) else {
            self.ignore(record, Reason::OutOfZone);
            return Ok(());
        };
        let node = &mut self.made.nodes[node_idx as usize];
        let is_apex = node.subname.is_empty();
        if record.rtype == Rtype::SOA && !is_apex {
            return Err(ImportError::ForeignSoa(self.domain.to_owned()));
        }
        // These may be beside a CNAME (RFC 4034 section 3 and 4, RFC 2535 for KEY).
        let is_neutral = matches!(record.rtype, Rtype::RRSIG | Rtype::NSEC | Rtype::NSEC3 | Rtype::KEY);
        node.has_cname |= record.rtype == Rtype::CNAME;
        node.has_other |= record.rtype != Rtype::CNAME && !is_neutral;
        if node.has_cname && node.has_other {
            return Err(ImportError::CnameAndOther);
        }
        if (self.is_managed)(record.rtype, is_apex) {
            if is_dnssec(record.rtype) {
                self.made.dnssec.add(record.rtype, is_apex);
            }
            self.ignore(record, Reason::Managed);
            return Ok(());
        }
        let converted = if self.has_unicode { unicode::rdata_to_ascii(record.rtype, record.rdata) } else { None };
        self.store(node_idx, record, converted.as_deref().unwrap_or(record.rdata))
    }

    /// Keeps a record.
    fn store(&mut self, node_idx: u32, record: &Record<'_>, rdata: &[u8]) -> Result<(), ImportError> {
        let made = &mut self.made;
        let is_full = made.records.len() >= RECORD_COUNT_MAX || made.rdata.len() + rdata.len() > RDATA_LEN_MAX;
        // Both limits are far below the range of these numbers.
        let (Ok(off), Ok(len), Ok(next_idx), false) =
            (u32::try_from(made.rdata.len()), u16::try_from(rdata.len()), u32::try_from(made.groups.len()), is_full)
        else {
            return Err(ImportError::Large);
        };
        let group_idx = *self.group_idx_of.entry((node_idx, record.rtype)).or_insert_with(|| {
            made.nodes[node_idx as usize].group_count += 1;
            let ttl_secs = record.ttl_secs;
            made.groups.push(Group { node_idx, rtype: record.rtype, ttl_secs, line: record.line });
            next_idx
        });
        let group = &mut made.groups[group_idx as usize];
        group.ttl_secs = group.ttl_secs.min(record.ttl_secs);
        made.rdata.extend_from_slice(rdata);
        made.records.push(Stored { group_idx, off, len });
        Ok(())
    }

    /// Leaves a record out.
    fn ignore(&mut self, record: &Record<'_>, reason: Reason) {
        let &Record { owner, rtype, line, .. } = record;
        let item = || Ignored { line, name: owner.to_string(), rtype: rtype.to_string(), reason };
        self.made.ignored.add(item);
    }

    /// The node of an owner, made if it is new; `None` outside the domain.
    fn node_idx(&mut self, owner: NameRef<'_>) -> Option<u32> {
        if let Some((latest, node_idx)) = &self.latest
            && latest.as_wire() == owner.as_wire()
        {
            return *node_idx;
        }
        let converted = if self.has_unicode { unicode::to_ascii(owner) } else { None };
        let node_idx = self.node_of(converted.as_ref().map_or(owner, Name::as_ref));
        match &mut self.latest {
            Some((name, latest_idx)) => {
                name.copy_from(owner);
                *latest_idx = node_idx;
            }
            None => self.latest = Some((owner.to_name(), node_idx)),
        }
        node_idx
    }

    /// The node of a name in A-labels.
    fn node_of(&mut self, owner: NameRef<'_>) -> Option<u32> {
        if !owner.is_at_or_below(self.apex) {
            return None;
        }
        let key = owner.as_wire().to_ascii_lowercase();
        if let Some(&node_idx) = self.node_idx_of.get(&key) {
            return Some(node_idx);
        }
        let text = owner.to_string();
        let label_count = owner.label_count() - self.apex.label_count();
        let subname = if label_count == 0 { String::new() } else { subname(&text, self.apex) };
        let node_idx = u32::try_from(self.made.nodes.len()).ok()?;
        self.made.nodes.push(Node { subname, group_count: 0, has_cname: false, has_other: false });
        self.node_idx_of.insert(key, node_idx);
        Some(node_idx)
    }
}

/// What of the text of a name is before that of `apex` and a dot. Both were printed alike, but for case.
fn subname(text: &str, apex: NameRef<'_>) -> String {
    let len = text.len().saturating_sub(apex.to_string().len() + 1);
    text.get(..len).unwrap_or(text).to_owned()
}
