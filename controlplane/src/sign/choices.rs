//! Signs what may be answered in place of an RRset: each alternative as an RRset of its own.
//!
//! Validators see one of them and know of no other, so each has the signatures that the RRset itself would have.

use snapshot::dns::choice::Choice;
use snapshot::dns::name::NameRef;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};

use super::published::Previous;
use super::rrsig::Made;
use super::signer::ZoneSigner;
use super::{Set, SignError};

impl ZoneSigner<'_> {
    /// Signs all alternatives of an RRset of authoritative data; those that were published so before keep their signatures.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn choice(
        &self,
        owner: NameRef<'_>,
        rtype: Rtype,
        choice: &Choice,
        made: &mut Made,
    ) -> Result<Choice, SignError> {
        let mut before = self.previous_alternatives(owner, rtype);
        choice.try_map(|zone| self.alternative(owner, rtype, zone, &mut before, made))
    }

    /// Signs one alternative.
    fn alternative(
        &self,
        owner: NameRef<'_>,
        rtype: Rtype,
        zone: &Zone,
        before: &mut [Previous],
        made: &mut Made,
    ) -> Result<Zone, SignError> {
        let mut builder = ZoneBuilder::new(zone.apex().to_name());
        let Some(rrset) = zone.owner(owner).and_then(|owner| owner.rrset(rtype)) else { return Ok(builder.finish()) };
        let set = Set::of(&rrset);
        let canonical = set.canonical();
        let same = before.iter().position(|previous| previous.has(&set, &canonical));
        let mut own = Made::default();
        self.signatures(owner, &set, same.map_or(&Previous::default(), |at| &before[at]), &mut own)?;
        // They come in the same order as before as a rule, so that the next one is mostly the first that is looked at.
        before.rotate_left(same.map_or(0, |at| at + 1));
        for rdata in &set.rdatas {
            builder.push(Record { owner, rtype, ttl_secs: set.ttl_secs, rdata, line: 0 })?;
        }
        for record in own.records() {
            let (rtype, ttl_secs, rdata) = (record.rtype, record.ttl_secs, record.rdata);
            builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 })?;
        }
        made.count(&own);
        Ok(builder.finish())
    }
}
