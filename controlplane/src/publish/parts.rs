//! What a big signed zone's last changes were signed as, owner by owner: signatures over what stays the same are used again, and
//! the gate verifies none twice.
//!
//! Invariants: all that is here has passed the gate; of what is not, octet by octet, what that let pass, nothing is used; there
//! are never many more owners than an overlay may have.

use std::collections::HashMap;
use std::sync::Arc;

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone};
use snapshot::image::OVERLAY_NODES_MAX;
use tracing::error;

use crate::dnssec::digest_of;
use crate::sign::Published;

/// An owner as it was signed.
struct Part {
    /// The owner alone.
    zone: Arc<Zone>,
    /// See [`digest_of`].
    digest: blake3::Hash,
}

/// The owners that were signed since the base was compiled, as far as they are remembered.
#[derive(Default)]
pub(super) struct Parts {
    /// By canonical name.
    owners: HashMap<Name, Part>,
    /// Whether the base is a new one, on which nothing was signed yet.
    is_of_former_base: bool,
}

impl Parts {
    /// The same for a new base: what changed since that was compiled is signed next, and the rest is forgotten then.
    pub(super) fn on_new_base(self) -> Parts {
        Parts { is_of_former_base: true, ..self }
    }

    /// Takes in what the gate let pass: owners by canonical name, each as a zone of its own.
    pub(super) fn remember(&mut self, signed: impl IntoIterator<Item = (Name, Arc<Zone>)>) {
        if std::mem::take(&mut self.is_of_former_base) || self.owners.len() > OVERLAY_NODES_MAX {
            self.owners.clear();
        }
        let part = |zone: Arc<Zone>| Part { digest: digest_of(&zone), zone };
        self.owners.extend(signed.into_iter().map(|(owner, zone)| (owner, part(zone))));
    }

    /// An owner, if it is as it was.
    fn intact(&self, owner: NameRef<'_>) -> Option<&Zone> {
        let Part { zone, digest } = self.owners.get(&owner.to_name().to_canonical())?;
        let is_intact = digest_of(zone) == *digest;
        if !is_intact {
            error!("the memory of this machine fails: {owner} is not what it was when it was signed");
        }
        is_intact.then_some(zone)
    }
}

impl Published for Parts {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) {
        if let Some(zone) = self.intact(owner) {
            Published::records(zone, owner, each);
        }
    }

    fn alternatives(&self, owner: NameRef<'_>, rtype: Rtype, each: &mut dyn FnMut(usize, Record<'_>)) {
        if let Some(zone) = self.intact(owner) {
            Published::alternatives(zone, owner, rtype, each);
        }
    }
}

#[cfg(test)]
mod tests {
    use snapshot::dns::zone::ZoneBuilder;

    use super::*;

    /// An owner with a TXT record of this RDATA.
    fn owner(name: &str, rdata: &[u8]) -> (Name, Arc<Zone>) {
        let name = Name::parse(name.as_bytes(), None).unwrap();
        let mut builder = ZoneBuilder::new(Name::parse(b"example.test.", None).unwrap());
        builder.push(Record { owner: name.as_ref(), rtype: Rtype::TXT, ttl_secs: 60, rdata, line: 0 }).unwrap();
        (name, Arc::new(builder.finish()))
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
        parts.remember([owner("a.example.test.", b"\x011"), owner("b.example.test.", b"\x011")]);
        parts.remember([owner("a.example.test.", b"\x012")]);
        assert_eq!(known(&parts, "A.example.test."), [b"\x012"]);
        assert_eq!(known(&parts, "b.example.test."), [b"\x011"]);
        let mut parts = parts.on_new_base();
        assert_eq!(known(&parts, "b.example.test."), [b"\x011"]);
        parts.remember([owner("a.example.test.", b"\x013")]);
        assert_eq!(known(&parts, "a.example.test."), [b"\x013"]);
        assert!(known(&parts, "b.example.test.").is_empty());
    }

    #[test]
    fn what_is_not_as_it_was_is_not_used() {
        let mut parts = Parts::default();
        parts.remember([owner("a.example.test.", b"\x011")]);
        let (_, spoiled) = owner("a.example.test.", b"\x012");
        parts.owners.values_mut().for_each(|part| part.zone = Arc::clone(&spoiled));
        assert!(known(&parts, "a.example.test.").is_empty());
    }
}
