//! A zone as it is served, for the signatures over what stays the same.
//!
//! It is read from the packs of the current generation, which were authenticated and verified. Invariant: what is used of it
//! is what the gate has let pass, octet by octet, for zones that were compiled from files are told apart by their serial.

use snapshot::dns::class::Class;
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::message::Message;
use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::nsec3::hash_of_owner;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Record;
use snapshot::handover::{Directory, HandoverError};
use snapshot::image::{Denial, Found, Hashed, Node, RrsetBody, View, Zone};

use crate::sign::Published;
use crate::store::{ChangeId, DomainId, Reader, StoreError};

/// Octets of a record before its RDATA: pointer to the owner, type, class, TTL, length.
const RECORD_HEAD_LEN: usize = 12;
/// Octets of the five numbers of a SOA record, of which the serial is the first (RFC 1035 section 3.3.13).
const SOA_NUMBERS_LEN: usize = 20;
/// Octets of the header of a message.
const HEADER_LEN: usize = 12;

/// A zone in service.
pub(super) struct ServedZone {
    /// The packs that have anything of it.
    view: View,
    /// Its name.
    apex: Name,
    /// The last change of the generation, or of one shortly before it.
    change: ChangeId,
}

impl ServedZone {
    /// Reads a zone of the current generation; `None` if it is not served.
    ///
    /// # Errors
    /// What reading the directory ends with, also if the generation is removed meanwhile.
    pub(super) fn load(directory: &Directory, apex: NameRef<'_>) -> Result<Option<ServedZone>, HandoverError> {
        let change = ChangeId(directory.current()?.map_or(0, |current| current.manifest.change));
        let view = directory.load_zone(apex)?.filter(|view| view.zone(apex).is_some());
        Ok(view.map(|view| ServedZone { view, apex: apex.to_name(), change }))
    }

    /// Whether it was published of this domain. One of the same name that was compiled from a file was judged by no gate: its
    /// signatures may be anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(super) fn is_of(&self, reader: &Reader<'_>, domain: DomainId) -> Result<bool, StoreError> {
        match self.serial() {
            Some(serial) => reader.has_published(domain, serial, self.change),
            None => Ok(false),
        }
    }

    /// Its serial.
    fn serial(&self) -> Option<u32> {
        let (mut serial, soa) = (None, self.view.zone(self.apex.as_ref())?.soa()?);
        records_of(self.apex.as_ref(), &soa, &mut |record| {
            if record.rtype == Rtype::SOA {
                let numbers = record.rdata.last_chunk::<SOA_NUMBERS_LEN>();
                serial = numbers.and_then(|numbers| numbers.first_chunk()).map(|octets| u32::from_be_bytes(*octets));
            }
        });
        serial
    }
}

impl Published for ServedZone {
    fn records(&self, owner: NameRef<'_>, each: &mut dyn FnMut(Record<'_>)) {
        let Some(zone) = self.view.zone(self.apex.as_ref()) else { return };
        if owner == self.apex.as_ref() {
            zone.soa().iter().for_each(|soa| records_of(owner, soa, each));
        }
        // NSEC3 records lie apart from what else their owner has.
        let nodes = node(&zone, owner).into_iter().chain(hashed(&zone, owner));
        nodes.flat_map(|node| node.rrsets()).for_each(|body| records_of(owner, &body, each));
    }

    fn alternatives(&self, owner: NameRef<'_>, rtype: Rtype, each: &mut dyn FnMut(usize, Record<'_>)) {
        let Some(zone) = self.view.zone(self.apex.as_ref()) else { return };
        let choices = node(&zone, owner).and_then(|node| node.rrset(rtype)?.choices());
        let groups = choices.iter().flat_map(|choices| choices.groups());
        for (at, (_, body)) in groups.flat_map(|(_, alternatives)| alternatives).enumerate() {
            records_of(owner, &body, &mut |record| each(at, record));
        }
    }
}

/// An owner, if it has records.
fn node<'v>(zone: &Zone<'v>, owner: NameRef<'_>) -> Option<Node<'v>> {
    let mut name = LookupName::default();
    name.assign(owner.as_wire())?;
    match zone.find_now(&name) {
        Some(Found::Exact(node)) => Some(node),
        _ => None,
    }
}

/// The NSEC3 record of an owner, if that is a hash.
fn hashed<'v>(zone: &Zone<'v>, owner: NameRef<'_>) -> Option<Node<'v>> {
    let Denial::Nsec3(chain) = zone.denial() else { return None };
    match chain.find_hash(&hash_of_owner(owner)?)? {
        Hashed::Match(node) => Some(node),
        Hashed::Cover(_) => None,
    }
}

/// Takes an RRset and its signatures apart.
fn records_of(owner: NameRef<'_>, body: &RrsetBody<'_>, each: &mut dyn FnMut(Record<'_>)) {
    if body.relocs.is_empty() {
        plain_records(owner, body.rtype, body.records, each);
    } else {
        expanded_records(owner, body, each);
    }
    plain_records(owner, Rtype::RRSIG, body.sigs, each);
}

/// Records whose RDATA has no compressed names.
fn plain_records(owner: NameRef<'_>, rtype: Rtype, mut records: &[u8], each: &mut dyn FnMut(Record<'_>)) {
    while let Some((head, rest)) = records.split_first_chunk::<RECORD_HEAD_LEN>() {
        let [.., ttl_0, ttl_1, ttl_2, ttl_3, len_high, len_low] = *head;
        let len = usize::from(u16::from_be_bytes([len_high, len_low]));
        let Some((rdata, behind)) = rest.split_at_checked(len) else { return };
        each(Record { owner, rtype, ttl_secs: u32::from_be_bytes([ttl_0, ttl_1, ttl_2, ttl_3]), rdata, line: 0 });
        records = behind;
    }
}

/// Records with compressed names: they are right behind a question for their owner, and are read as the answer to it.
fn expanded_records(owner: NameRef<'_>, body: &RrsetBody<'_>, each: &mut dyn FnMut(Record<'_>)) {
    let mut message = vec![0; HEADER_LEN];
    // One question, and as many answers.
    message[5] = 1;
    message[6..8].copy_from_slice(&body.record_count.to_be_bytes());
    message.extend_from_slice(owner.as_wire());
    message.extend_from_slice(&body.rtype.0.to_be_bytes());
    message.extend_from_slice(&Class::IN.0.to_be_bytes());
    message.extend_from_slice(body.records);
    // What cannot be read is signed anew.
    let Ok(message) = Message::from_wire(&message) else { return };
    for answer in &message.answers {
        let (rtype, ttl_secs, rdata) = (answer.rtype, answer.ttl_secs, &answer.rdata[..]);
        each(Record { owner, rtype, ttl_secs, rdata, line: 0 });
    }
}
