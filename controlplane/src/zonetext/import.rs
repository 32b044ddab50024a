//! RRset drafts of a zone file, by the rules of the API.
//!
//! Two kinds of mistakes: those of the file ([`ImportError`]) end the reading; those of an RRset are collected, so that one
//! attempt shows all. Whoever creates a domain treats both alike. What depends on the domain as it is, such as a CNAME
//! beside an RRset that is there, is found when the drafts are applied.

use serde_json::{Value, json};
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;
use thiserror::Error;

use super::collect::{Collected, Stored, collect};
use super::report::{Applied, Clamped, DnssecRecords, Ignored, Rejected, Report, Tally};
use super::{RDATA_LEN_MAX, RECORD_COUNT_MAX, is_managed};
use crate::rrset::canonical::{RecordError, canonical};
use crate::rrset::content::{ContentError, unique};
use crate::rrset::fields::{TTL_SECS_MAX, check_name_len, subname_messages};
use crate::rrset::kinds::KindError;
use crate::rrset::structure::structure;
use crate::rrset::{Content, Draft, Rules, full_name, kinds};

/// Why a zone file cannot be read at all. Messages are those of the API; none has anything of the file but a line number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ImportError {
    /// The text is no zone file from here on, or has a directive that is not allowed.
    #[error("Zonefile contains syntax error in line {line}.")]
    Syntax {
        /// The line, from 1.
        line: u32,
    },
    /// A CNAME is not alone.
    #[error("No other records with the same name are allowed alongside a CNAME record.")]
    CnameAndOther,
    /// An SOA below the apex.
    #[error("Zonefile includes an SOA record for a name different from {0}.")]
    ForeignSoa(String),
    /// More than [`RECORD_COUNT_MAX`] records, or RDATA longer than [`RDATA_LEN_MAX`].
    #[error("Zonefile has more than {RECORD_COUNT_MAX} records, or more than {RDATA_LEN_MAX} bytes of them.")]
    Large,
    /// The name of the domain itself is none.
    #[error("The name of the domain is not a domain name.")]
    Domain,
}

/// The outcome of an import.
#[must_use]
#[derive(Debug, Default)]
pub struct Import {
    /// The RRsets that are fine, in the order of the file; each has a TTL and records.
    pub drafts: Vec<Draft>,
    /// How many of them have another TTL than the file says.
    pub ttls: Clamped,
    /// Records that were left out.
    pub ignored: Tally<Ignored>,
    /// What of them was made by whoever signed the file.
    pub dnssec: DnssecRecords,
    /// RRsets that break a rule. Unless there are none, nothing is to be applied.
    pub rejected: Tally<Rejected>,
}

impl ImportError {
    /// The errors under `zonefile` in an answer of the API.
    #[must_use]
    pub fn messages(&self) -> Value {
        json!([self.to_string()])
    }
}

impl Import {
    /// What became of the records.
    #[must_use]
    pub fn report(&self) -> Report {
        let records = self.drafts.iter().filter_map(|draft| draft.records.as_ref()).map(Vec::len).sum();
        Report {
            applied: Applied { rrsets: self.drafts.len(), records },
            ttls: self.ttls,
            ignored: self.ignored.clone(),
            rejected: self.rejected.clone(),
        }
    }

    /// The errors under `zonefile` in an answer of the API; `None` if there are none.
    #[must_use]
    pub fn messages(&self) -> Option<Value> {
        let messages = self.rejected.first.iter().map(ToString::to_string);
        (self.rejected.count > 0).then(|| json!(messages.collect::<Vec<String>>()))
    }
}

/// Reads a zone file of the domain of `rules`, without `$INCLUDE` and `$GENERATE`.
///
/// Names without a final dot are below the domain. TTLs become what `rules` allow; records that are there twice count once.
///
/// # Errors
/// [`ImportError`] for the first mistake of the file.
pub fn import(text: &[u8], rules: &Rules<'_>) -> Result<Import, ImportError> {
    import_as(text, rules, &Customs::API)
}

/// What holds for zone files beside the rules of a domain.
#[derive(Debug, Clone, Copy)]
pub struct Customs {
    /// Which types are left out, given whether they are at the apex.
    pub is_left_out: fn(Rtype, bool) -> bool,
    /// What is wrong with a subname that is not empty.
    pub subname: fn(&str) -> Vec<String>,
    /// Which types are taken.
    pub kind: fn(&str) -> Result<Rtype, KindError>,
    /// What a record of such a type is.
    pub content: fn(Rtype, &str) -> Result<Content, RecordError>,
    /// The largest TTL in seconds.
    pub ttl_secs_max: u32,
}

impl Customs {
    /// Those of the REST API.
    pub const API: Customs = Customs {
        is_left_out: is_managed,
        subname: subname_messages,
        kind: kinds::accepted,
        content: canonical,
        ttl_secs_max: TTL_SECS_MAX,
    };
}

/// As [`import`], by other customs.
///
/// # Errors
/// [`ImportError`] for the first mistake of the file.
pub fn import_as(text: &[u8], rules: &Rules<'_>, customs: &Customs) -> Result<Import, ImportError> {
    let mut collected = collect(text, rules.domain, customs.is_left_out)?;
    let ignored = std::mem::take(&mut collected.ignored);
    let mut import = Import { ignored, dnssec: collected.dnssec, ..Import::default() };
    for (group_idx, records) in (0..).zip(collected.records.chunk_by(|a, b| a.group_idx == b.group_idx)) {
        match draft(&collected, group_idx, records, (rules, customs)) {
            Ok(draft) => {
                let stated = collected.groups[group_idx].ttl_secs;
                import.ttls.raised += usize::from(draft.ttl.is_some_and(|ttl| ttl > stated));
                import.ttls.lowered += usize::from(draft.ttl.is_some_and(|ttl| ttl < stated));
                import.drafts.push(draft);
            }
            Err(messages) => {
                let group = &collected.groups[group_idx];
                let name = full_name(&collected.nodes[group.node_idx as usize].subname, rules.domain);
                for message in messages {
                    import.rejected.add(|| Rejected {
                        line: group.line,
                        name: name.trim_end_matches('.').to_owned(),
                        rtype: group.rtype.to_string(),
                        message,
                    });
                }
            }
        }
    }
    Ok(import)
}

/// Makes the draft of a group, whose records these are, or says what is wrong with it.
fn draft(
    collected: &Collected,
    group_idx: usize,
    records: &[Stored],
    (rules, customs): (&Rules<'_>, &Customs),
) -> Result<Draft, Vec<String>> {
    let group = &collected.groups[group_idx];
    let node = &collected.nodes[group.node_idx as usize];
    let mut messages = if node.subname.is_empty() { Vec::new() } else { (customs.subname)(&node.subname) };
    if messages.is_empty()
        && let Err(message) = check_name_len(&node.subname, rules.domain)
    {
        messages.push(message.to_owned());
    }
    if node.group_count > rules.limits.type_count_max {
        messages.push(format!("Ensure this subname has no more than {} RRsets.", rules.limits.type_count_max));
    }
    let rtype = match (customs.kind)(&group.rtype.to_string()) {
        Ok(rtype) => rtype,
        Err(error) => {
            messages.push(error.to_string());
            return Err(messages);
        }
    };
    if !messages.is_empty() {
        return Err(messages);
    }
    let records = contents(collected, records, rtype, &full_name(&node.subname, rules.domain), (rules, customs))
        .map_err(|error| vec![error.to_string()])?;
    structure(&node.subname, rtype, records.len())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<String>>())?;
    let ttl = group.ttl_secs.min(customs.ttl_secs_max).max(rules.ttl_secs_min);
    Ok(Draft { subname: node.subname.clone(), rtype, ttl: Some(ttl), records: Some(records) })
}

/// The contents of records, each once.
fn contents(
    collected: &Collected,
    records: &[Stored],
    rtype: Rtype,
    name: &str,
    (rules, customs): (&Rules<'_>, &Customs),
) -> Result<Vec<Content>, ContentError> {
    let mut rdatas: Vec<&[u8]> = records.iter().map(|&record| collected.rdata_of(record)).collect();
    if rdatas.len() > 1 {
        // Records that are one after canonicalization are one record that was written twice.
        rdatas.sort_by_cached_key(|rdata| rdata::canonical_rdata(rtype, rdata).into_owned());
        rdatas.dedup_by(|a, b| rdata::canonical_rdata(rtype, a) == rdata::canonical_rdata(rtype, b));
    }
    let record_count_max = rules.limits.record_count_max;
    if rdatas.len() > record_count_max {
        return Err(ContentError::Many(record_count_max));
    }
    let mut text = String::new();
    let mut contents = Vec::with_capacity(rdatas.len());
    for rdata in rdatas {
        text.clear();
        // Writing to a string cannot fail; what would be missing then is no record and is refused as such.
        let written = rdata::write_text(rtype, rdata, &mut text);
        debug_assert!(written.is_ok());
        contents.push((customs.content)(rtype, &text)?);
    }
    unique(rtype, contents, name)
}
