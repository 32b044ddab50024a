//! What a big signed zone's last changes were signed as, owner by owner: signatures over what stays the same are used again, and
//! the gate verifies none twice.
//!
//! Invariants: all that is here has passed the gate; of what is not, octet by octet, what that was given, nothing is used; all
//! is signed by the keys that the zone announces, as it is forgotten when those change; there are never many more owners than an
//! overlay may have.

use std::collections::HashMap;
use std::sync::Arc;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone};
use snapshot::image::OVERLAY_NODES_MAX;
use tracing::error;

use crate::dnssec::{Kept, digest_of};
use crate::sign::Published;

/// What an owner takes besides what is kept of it: its name, and its place in a table that may be half empty.
const OWNER_LEN: usize = 128;

/// An owner as it was signed.
#[derive(Clone)]
pub(super) struct SignedOwner {
    /// The owner alone.
    pub(super) zone: Arc<Zone>,
    /// See [`digest_of`].
    digest: blake3::Hash,
}

impl SignedOwner {
    /// One that was signed just now.
    pub(super) fn new(zone: Zone) -> SignedOwner {
        SignedOwner { digest: digest_of(&zone), zone: Arc::new(zone) }
    }
}

/// The owners that were signed since the base was compiled, as far as they are remembered.
#[derive(Default)]
pub(super) struct Parts {
    /// By canonical name.
    owners: HashMap<Name, Kept>,
    /// How many octets of memory they take.
    len: usize,
    /// RDATA of the DNSKEY records that the zone had.
    dnskeys: Vec<Vec<u8>>,
    /// Whether the base is a new one, on which nothing was signed yet.
    is_of_former_base: bool,
}

impl Parts {
    /// The same for a new base: what changed since that was compiled is signed next, and the rest is forgotten then.
    pub(super) fn on_new_base(self) -> Parts {
        Parts { is_of_former_base: true, ..self }
    }

    /// About how many octets of memory it takes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes in what the gate let pass: owners of the zone by canonical name, the apex among them.
    pub(super) fn remember(&mut self, apex: NameRef<'_>, signed: impl IntoIterator<Item = (Name, SignedOwner)>) {
        let signed: Vec<(Name, SignedOwner)> = signed.into_iter().collect();
        let dnskeys = signed.iter().find(|(name, _)| name.as_ref() == apex).map_or_else(Vec::new, |(_, owner)| {
            let records = owner.zone.owner(apex).and_then(|records| records.rrset(Rtype::DNSKEY));
            records.iter().flat_map(|rrset| rrset.records()).map(|record| record.rdata.to_vec()).collect()
        });
        let is_full = self.owners.len() + signed.len() > OVERLAY_NODES_MAX;
        if std::mem::take(&mut self.is_of_former_base) || is_full || dnskeys != self.dnskeys {
            *self = Parts { dnskeys, ..Parts::default() };
        }
        for (name, SignedOwner { zone, digest }) in signed {
            let kept = Kept::new(zone, digest);
            self.len += OWNER_LEN + kept.memory_len();
            self.len -= self.owners.insert(name, kept).map_or(0, |before| OWNER_LEN + before.memory_len());
        }
    }

    /// An owner, if it is as it was.
    fn intact(&self, owner: NameRef<'_>) -> Option<Arc<Zone>> {
        let (zone, is_intact) = self.owners.get(&owner.to_name().to_canonical())?.zone()?;
        if !is_intact {
            error!("the memory of this machine fails: {owner} is not what it was when it was signed");
        }
        is_intact.then_some(zone)
    }
}

impl Published for Parts {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) {
        if let Some(zone) = self.intact(owner) {
            Published::records(&*zone, owner, each);
        }
    }

    fn alternatives(&self, owner: NameRef<'_>, rtype: Rtype, each: &mut dyn FnMut(usize, Record<'_>)) {
        if let Some(zone) = self.intact(owner) {
            Published::alternatives(&*zone, owner, rtype, each);
        }
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::zone::ZoneBuilder;

    use super::*;

    /// The zone.
    fn apex() -> Name {
        Name::parse(b"example.test.", None).unwrap()
    }

    /// An owner with a record of this type and RDATA.
    fn owner_with(name: &str, rtype: Rtype, rdata: &[u8]) -> (Name, SignedOwner) {
        let name = Name::parse(name.as_bytes(), None).unwrap();
        let mut builder = ZoneBuilder::new(apex());
        builder.push(Record { owner: name.as_ref(), rtype, ttl_secs: 60, rdata, line: 0 }).unwrap();
        (name, SignedOwner::new(builder.finish()))
    }

    /// An owner with a TXT record of this RDATA.
    fn owner(name: &str, rdata: &[u8]) -> (Name, SignedOwner) {
        owner_with(name, Rtype::TXT, rdata)
    }

    /// Takes in owners.
    fn remember<const COUNT: usize>(parts: &mut Parts, signed: [(Name, SignedOwner); COUNT]) {
        parts.remember(apex().as_ref(), signed);
    }

    /// The RDATA that are known of an owner.
    fn known(parts: &Parts, name: &str) -> Vec<Vec<u8>> {
        let (name, mut found) = (Name::parse(name.as_bytes(), None).unwrap(), Vec::new());
        Published::records(parts, name.as_ref(), &mut |record| found.push(record.rdata.to_vec()));
        found
    }

    #[test]
    fn the_last_of_each_owner_counts_until_there_is_a_new_base() {
        let mut parts = Parts::default();
        remember(&mut parts, [owner("a.example.test.", b"\x011"), owner("b.example.test.", b"\x011")]);
        remember(&mut parts, [owner("a.example.test.", b"\x012")]);
        assert_eq!(known(&parts, "A.example.test."), [b"\x012"]);
        assert_eq!(known(&parts, "b.example.test."), [b"\x011"]);
        let mut parts = parts.on_new_base();
        assert_eq!(known(&parts, "b.example.test."), [b"\x011"]);
        remember(&mut parts, [owner("a.example.test.", b"\x013")]);
        assert_eq!(known(&parts, "a.example.test."), [b"\x013"]);
        assert!(known(&parts, "b.example.test.").is_empty());
    }

    #[test]
    fn what_was_signed_by_other_keys_is_forgotten() {
        let (mut parts, key) = (Parts::default(), |rdata: &[u8]| owner_with("example.test.", Rtype::DNSKEY, rdata));
        remember(&mut parts, [key(b"1"), owner("a.example.test.", b"\x011")]);
        remember(&mut parts, [key(b"1"), owner("b.example.test.", b"\x011")]);
        assert_eq!(known(&parts, "a.example.test."), [b"\x011"]);
        remember(&mut parts, [key(b"2"), owner("b.example.test.", b"\x012")]);
        assert!(known(&parts, "a.example.test.").is_empty());
        assert_eq!(known(&parts, "b.example.test."), [b"\x012"]);
    }

    #[test]
    fn what_changed_since_it_was_signed_is_not_used() {
        let ((name, before), (_, after)) = (owner("a.example.test.", b"\x011"), owner("a.example.test.", b"\x012"));
        // As memory does that fails while the gate looks at a copy.
        let mut parts = Parts::default();
        remember(&mut parts, [(name, SignedOwner { digest: before.digest, ..after })]);
        assert!(known(&parts, "a.example.test.").is_empty());
    }

    #[test]
    fn octets_are_counted_and_owners_are_limited() {
        let mut parts = Parts::default();
        remember(&mut parts, [owner("a.example.test.", &[7; 60_000]), owner("b.example.test.", b"\x011")]);
        assert!((60_000..62_000).contains(&parts.len()), "{}", parts.len());
        remember(&mut parts, [owner("a.example.test.", b"\x011")]);
        let two = parts.len();
        assert!(two < 2000, "{two}");
        let many = (2..=OVERLAY_NODES_MAX).map(|at| owner(&format!("n{at}.example.test."), b"\x011"));
        parts.remember(apex().as_ref(), many);
        assert!(known(&parts, "a.example.test.").is_empty());
        assert_eq!(parts.owners.len(), OVERLAY_NODES_MAX - 1);
        assert_eq!(parts.len(), parts.owners.values().map(|kept| OWNER_LEN + kept.memory_len()).sum::<usize>());
    }
}
