//! A domain's rows, read as a zone: what an overlay is built from.

use snapshot::dns::choice::Choice;
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;
use snapshot::image::{ReadError, ZoneReader};

use super::zone::{owner, soa_rdata};
use crate::geo;
use crate::store::Reader;
use crate::store::domains::Domain;

/// A domain in one state of the database.
pub(super) struct Rows<'r> {
    /// The state.
    pub(super) reader: &'r Reader<'r>,
    /// The domain.
    pub(super) domain: &'r Domain,
    /// Its name.
    pub(super) apex: &'r Name,
}

impl Rows<'_> {
    /// The sort key of a name below the apex; `None` for names outside.
    pub(super) fn node_of(&self, name: NameRef<'_>) -> Option<Vec<u8>> {
        let (mut key, mut apex) = (Vec::new(), Vec::new());
        name.push_sort_key(&mut key);
        self.apex.as_ref().push_sort_key(&mut apex);
        key.strip_prefix(apex.as_slice()).map(<[u8]>::to_vec)
    }
}

impl ZoneReader for Rows<'_> {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) -> Result<(), ReadError> {
        let Some(node) = self.node_of(owner) else { return Ok(()) };
        if node.is_empty() {
            let soa = &self.domain.soa;
            let rdata = soa_rdata(soa, self.domain.serial)?;
            each(Record { owner, rtype: Rtype::SOA, ttl_secs: soa.ttl_secs, rdata: &rdata, line: 0 });
        }
        for rrset in self.reader.rrsets_of(self.domain.id, &node)? {
            let (rtype, ttl_secs) = (rrset.rtype, rrset.ttl_secs);
            for record in rrset.enabled() {
                each(Record { owner, rtype, ttl_secs, rdata: &record.rdata, line: 0 });
            }
        }
        Ok(())
    }

    fn choices(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Rtype, Choice)) -> Result<(), ReadError> {
        let Some(node) = self.node_of(owner) else { return Ok(()) };
        for rrset in self.reader.rrsets_of(self.domain.id, &node)? {
            if let Some(choice) = geo::choice(self.apex.as_ref(), owner, &rrset)? {
                each(rrset.rtype, choice);
            }
        }
        Ok(())
    }

    fn has_below(&self, name: NameRef<'_>) -> Result<bool, ReadError> {
        let Some(node) = self.node_of(name) else { return Ok(false) };
        Ok(!self.reader.nodes_below(self.domain.id, &node, 1)?.is_empty())
    }

    fn below(&self, name: NameRef<'_>, max: usize) -> Result<Vec<Name>, ReadError> {
        let Some(node) = self.node_of(name) else { return Ok(Vec::new()) };
        let nodes = self.reader.nodes_below(self.domain.id, &node, max)?;
        Ok(nodes.iter().map(|(_, subname)| owner(subname, self.apex)).collect::<Result<_, _>>()?)
    }
}

/// The name of a sort key below `apex`; `None` if it is no key.
pub(super) fn name_of(key: &[u8], apex: &Name) -> Option<Name> {
    let mut labels: Vec<Vec<u8>> = Vec::new();
    let mut label = Vec::new();
    let mut octets = key.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            0 => labels.push(std::mem::take(&mut label)),
            // 0 and 1 are written as two octets, so that 0 can end a label (see `NameRef::push_sort_key`).
            1 => label.push(octets.next()?.checked_sub(1)?),
            octet => label.push(octet),
        }
    }
    if !label.is_empty() {
        return None;
    }
    let mut wire = Vec::with_capacity(key.len() + apex.as_wire().len() + 1);
    for label in labels.iter().rev() {
        wire.push(u8::try_from(label.len()).ok()?);
        wire.extend_from_slice(label);
    }
    wire.extend_from_slice(apex.as_wire());
    Name::from_wire(&wire).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sort_keys_go_both_ways() {
        let apex = Name::parse(b"example.test.", None).unwrap();
        let mut apex_key = Vec::new();
        apex.as_ref().push_sort_key(&mut apex_key);
        for text in ["", "www.", "a.b.c.", "*.x.", "\\000\\001\\002.z.", "_sip._tcp."] {
            let name = Name::parse(format!("{text}example.test.").as_bytes(), None).unwrap();
            let mut key = Vec::new();
            name.as_ref().push_sort_key(&mut key);
            assert_eq!(name_of(&key[apex_key.len()..], &apex), Some(name), "{text}");
        }
        assert_eq!(name_of(b"half", &apex), None);
    }
}
