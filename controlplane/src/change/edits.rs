//! What a change-set remembers: each RRset before and after, as JSON. The SOA record stands among them as an RRset of the
//! apex with its serial of then, which no way back takes up.

use serde::{Deserialize, Serialize};
use snapshot::dns::rtype::Rtype;

use crate::rrset::lenient;
use crate::store::domains::{Domain, Soa};
use crate::store::rrsets::{Record, Rrset};

/// An RRset before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Edit {
    /// The owner below the apex.
    pub subname: String,
    /// The type's mnemonic.
    #[serde(rename = "type")]
    pub rtype: String,
    /// What was there.
    pub before: Option<State>,
    /// What is there.
    pub after: Option<State>,
}

/// An RRset's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct State {
    /// TTL in seconds.
    pub ttl: u32,
    /// The records.
    pub records: Vec<Content>,
}

/// A record with what goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Content {
    /// Presentation format.
    pub content: String,
    /// See [`Record`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// See [`Record`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geo: Option<String>,
    /// Whether it is not answered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// See [`Record`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl Edit {
    /// What became of the SOA record between two states of a domain.
    pub(super) fn of_soa(before: &Domain, after: &Domain) -> Edit {
        let state = |domain| Some(State::of_soa(domain));
        Edit { subname: String::new(), rtype: Rtype::SOA.to_string(), before: state(before), after: state(after) }
    }

    /// Whether it only takes away: the RRset, or some of its records.
    pub(super) fn takes_away(&self) -> bool {
        match (&self.before, &self.after) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(before), Some(after)) => {
                // Both are in the order of their text.
                let mut left = before.records.iter();
                before.ttl == after.ttl && after.records.iter().all(|record| left.any(|other| other == record))
            }
        }
    }

    /// The TTL in seconds that was there and is no longer, if it was greater.
    pub(super) fn lowered_ttl_secs(&self) -> Option<u32> {
        let before = self.before.as_ref()?.ttl;
        let after = self.after.as_ref().map(|after| after.ttl);
        (Some(before) > after).then_some(before)
    }

    /// Whether this is of the SOA record, which has no row.
    pub(super) fn is_of_soa(&self) -> bool {
        self.subname.is_empty() && self.rtype == Rtype::SOA.to_string()
    }
}

/// An SOA record from its canonical text (RFC 1035 section 3.3.13); the serial is left out.
#[must_use]
pub fn soa_of(text: &str, ttl_secs: u32) -> Option<Soa> {
    let mut words = text.split_ascii_whitespace();
    let (mname, rname) = (words.next()?.to_owned(), words.next()?.to_owned());
    let _serial: u32 = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<u32>().ok();
    let (refresh_secs, retry_secs) = (number()?, number()?);
    let (expire_secs, minimum_secs) = (number()?, number()?);
    Some(Soa { ttl_secs, mname, rname, refresh_secs, retry_secs, expire_secs, minimum_secs })
}

impl State {
    /// The SOA record of a domain.
    fn of_soa(domain: &Domain) -> State {
        let Soa { ttl_secs, mname, rname, refresh_secs, retry_secs, expire_secs, minimum_secs } = &domain.soa;
        let serial = domain.serial;
        let content = format!("{mname} {rname} {serial} {refresh_secs} {retry_secs} {expire_secs} {minimum_secs}");
        State {
            ttl: *ttl_secs,
            records: vec![Content { content, weight: None, geo: None, disabled: false, comment: None }],
        }
    }

    /// The fields of an SOA record; `None` if it is none.
    pub(super) fn to_soa(&self) -> Option<Soa> {
        soa_of(&self.records.first()?.content, self.ttl)
    }

    /// The content of a stored RRset, records in the order of their text.
    #[must_use]
    pub fn of(rrset: &Rrset) -> State {
        let mut records: Vec<Content> = rrset
            .records
            .iter()
            .map(|record| Content {
                content: record.content.clone(),
                weight: record.weight,
                geo: record.geo.clone(),
                disabled: !record.enabled,
                comment: record.comment.clone(),
            })
            .collect();
        records.sort_by(|a, b| a.content.cmp(&b.content));
        State { ttl: rrset.ttl_secs, records }
    }

    /// The records as they are stored; `None` if one is no longer what this type may hold.
    pub(super) fn to_records(&self, rtype: Rtype) -> Option<Vec<Record>> {
        let record = |content: &Content| {
            let rdata = lenient::content(rtype, &content.content).ok()?.rdata;
            Some(Record {
                id: 0,
                content: content.content.clone(),
                rdata,
                weight: content.weight,
                geo: content.geo.clone(),
                enabled: !content.disabled,
                // Without one it had none: an empty text takes away what came later.
                comment: Some(content.comment.clone().unwrap_or_default()),
            })
        };
        self.records.iter().map(record).collect()
    }
}
