//! What a change-set remembers: each RRset before and after, as JSON.

use serde::{Deserialize, Serialize};
use snapshot::dns::rtype::Rtype;

use crate::rrset::lenient;
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

impl State {
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
