//! The one way to change a zone, whatever front door a change came through.
//!
//! [`commit`], [`create`], [`delete`] and [`restore`] run inside one transaction of the store: authorise, compare the
//! precondition, check the zone's rules, write rows, serial, change-set and outbox. What fails leaves nothing behind.
//! Not here: parsing of any wire or JSON form (`rrset`, `zonetext`, `dyndns`), and publishing (`publish`), which hears of
//! the change from the outbox. Invariants: a zone's content changes only together with its serial and a change-set that
//! can take it back; a write without effect changes neither.

mod apply;
mod commit;
mod domain;
mod edits;
mod owned;
mod prove;
mod quota;
mod republish;
mod rolling;
mod serial;
mod signal;
mod signing;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod undo;

use std::net::IpAddr;
use std::sync::Arc;

use snapshot::dns::rtype::Rtype;
use uuid::Uuid;

use crate::rrset::bulk::Bulk;
use crate::rrset::item::{Creation, Revision};
use crate::rrset::{Draft, Limits};
use crate::store::domains::Domain;
use crate::store::rrsets::{Record, Rrset};
use crate::store::{AccountId, ChangeId, DomainId, StoreError};

pub use apply::node_of;
pub use commit::{commit, domain_etag, etag, expect};
pub use domain::{Created, NewDomain, Parent, create, delete, expire, kept_until, parent_of, unproved_since, withdraw};
pub use edits::{Content, Edit, State, soa_of};
pub use owned::{asks_for_removal, held_by};
pub use prove::{Grounds, prove};
pub use republish::{Republish, republish};
pub use rolling::{
    Seen, advance_roll, begin_roll, begin_step, import_key, is_keyless, note_no_ds, note_parent, rolling_keys,
    set_lifetimes, stop_roll, waits_for, withdraw_ds,
};
pub use signal::{Due, Signal, due_children, due_records, heal, signals_of};
pub use signing::{give_up_keys, resign, set_signing};
pub use undo::{Restore, restore, revive};

/// Who changes something, and when.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The account in whose name it is done.
    pub account: AccountId,
    /// The token; `None` for the operator on this machine, whom nothing restricts.
    pub token: Option<Uuid>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The front door, as `rest`.
    pub via: &'static str,
    /// The time, in microseconds since 1970.
    pub now_us: i64,
    /// The limits that hold.
    pub limits: Limits,
    /// What this installation lets nobody do.
    pub house: Arc<House>,
}

/// Rules of an installation, whoever acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct House {
    /// Zones of ours below which anybody may register, without a dot at the end: NS records of domains right below are ours
    /// to decide.
    pub local_suffixes: Vec<String>,
    /// Whether new domains of tenants are published only after it is proved that they are theirs.
    pub wants_proof: bool,
}

impl House {
    /// Whether the NS records of a domain are ours to decide: those right below a suffix that tenants share.
    #[must_use]
    pub fn locks_ns(&self, name: &str) -> bool {
        let parent = name.split_once('.').map(|(_, parent)| parent);
        parent.is_some_and(|parent| self.local_suffixes.iter().any(|suffix| suffix == parent))
    }
}

/// What is said about NS records of a domain below a suffix that tenants share.
pub const NS_LOCKED: &str = "Cannot modify NS records for this domain.";

/// What is to happen to the RRset of a draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It becomes what the draft says; without records it goes.
    Put,
    /// What the draft has of TTL and records changes; it is made if it is not there and the draft has both.
    Patch,
}

/// A change of RRsets.
#[derive(Debug)]
pub struct Change {
    /// Who.
    pub actor: Actor,
    /// The domain.
    pub domain: DomainId,
    /// The state the caller has seen; if it is another by now, nothing happens.
    pub precondition: Option<Precondition>,
    /// What.
    pub edits: Edits,
    /// Whether to find out only.
    pub dry_run: bool,
}

/// What is to change.
#[derive(Debug)]
pub enum Edits {
    /// One RRset that shall be new, as a client sent it.
    New(Creation),
    /// The RRset of this subname and type, which is there, as a client sent it.
    Known((String, Rtype), Revision),
    /// A list, as a client sent it.
    List(Bulk),
    /// Drafts from elsewhere, all with one verb.
    Drafts(Verb, Vec<Draft>),
    /// RRsets that shall be exactly so; no draft's rules but those of the zone hold.
    Targets {
        /// What the change-set is called.
        kind: &'static str,
        /// The change-set that is taken back, if one is.
        undoes: Option<ChangeId>,
        /// What whoever does it has to say about it.
        note: Option<String>,
        /// The RRsets.
        targets: Vec<Target>,
        /// New fields of the SOA record.
        soa: Option<crate::store::domains::Soa>,
    },
}

/// An RRset as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The owner below the apex.
    pub subname: String,
    /// The type.
    pub rtype: Rtype,
    /// TTL in seconds and records; `None` if it shall not be.
    pub state: Option<(u32, Vec<Record>)>,
}

/// A state that a caller expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precondition {
    /// Of which RRset; `None` for the whole domain.
    pub rrset: Option<(String, Rtype)>,
    /// Any of these entity tags, as [`etag`] and [`domain_etag`] make them.
    pub etags: Vec<String>,
}

/// A change that is durable.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The change-set; `None` if nothing had to change.
    pub change: Option<ChangeId>,
    /// The domain as it is now.
    pub domain: Domain,
    /// The RRsets that were asked for and are there now, in the order of the edits.
    pub rrsets: Vec<Rrset>,
    /// What changed.
    pub edits: Vec<Edit>,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such domain in the account.
    #[error("Not found.")]
    NoDomain,
    /// There is no such RRset.
    #[error("No RRset matches the given query.")]
    NoRrset,
    /// There is no such change-set in the domain.
    #[error("No change matches the given query.")]
    NoChange,
    /// The token's policies forbid it.
    #[error("Insufficient token permissions.")]
    Forbidden,
    /// Somebody else changed it.
    #[error("The resource has changed since it was read.")]
    Precondition,
    /// What was sent is wrong, given what the domain holds; the body of the answer says what.
    #[error("the request is wrong: {0}")]
    Body(serde_json::Value),
    /// RRsets break rules of the zone.
    #[error("{}", .0.join(" "))]
    Rules(Vec<String>),
    /// The account has as much as it may.
    #[error("{0}")]
    Limit(String),
    /// The account has written as often as it may.
    #[error("Write limit exceeded: {used} of {max} writes in this hour. Expected available in {secs} seconds.")]
    Throttled {
        /// How often it has.
        used: u32,
        /// How often it may.
        max: u32,
        /// When there is room again.
        secs: u64,
    },
    /// The account has written as much as is remembered of it in a day.
    #[error(
        "History limit exceeded: {used} of {max} bytes of changes in this day. Expected available in {secs} seconds."
    )]
    Remembered {
        /// How many bytes it has.
        used: u64,
        /// How many it may.
        max: u32,
        /// When there is room again.
        secs: u64,
    },
    /// The name is taken.
    #[error("domain with this name already exists.")]
    Taken,
    /// The name is not for this account.
    #[error("This domain name conflicts with an existing domain, or is disallowed by policy.")]
    Policy,
    /// What is to be taken back was changed again.
    #[error("{0} changed since then")]
    Overtaken(String),
    /// Found out only; this would have happened.
    #[error("nothing was changed")]
    DryRun(Box<Committed>),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
