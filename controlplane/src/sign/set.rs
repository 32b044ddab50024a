//! RRsets as the signer takes them.
//!
//! Invariant of what [`Set::of`] makes: no two records are equal in canonical form, and all have the least of the TTLs
//! (RFC 2181 section 5, RFC 4034 section 6.3).

use std::borrow::Cow;
use std::collections::BTreeSet;

use snapshot::dns::rdata::canonical_rdata;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::Rrset;

/// One RRset of an owner.
#[derive(Debug, Clone)]
pub struct Set<'r> {
    /// The type.
    pub rtype: Rtype,
    /// TTL in seconds.
    pub ttl_secs: u32,
    /// RDATA in any order, names uncompressed, case as given. If there are none, the type is listed where types are, and
    /// not signed: such a set is completed later.
    pub rdatas: Vec<Cow<'r, [u8]>>,
}

impl<'r> Set<'r> {
    /// An RRset of a zone.
    #[must_use]
    pub fn of(rrset: &Rrset<'r>) -> Set<'r> {
        let rtype = rrset.rtype();
        let mut rdatas: Vec<Cow<'r, [u8]>> = rrset.records().map(|record| Cow::Borrowed(record.rdata)).collect();
        // Equal records are dropped before; what is left can be equal only if case has to be mapped.
        if rdatas.len() > 1 && rdatas.iter().any(|rdata| matches!(canonical_rdata(rtype, rdata), Cow::Owned(_))) {
            let mut seen = BTreeSet::new();
            rdatas.retain(|rdata| seen.insert(canonical_rdata(rtype, rdata).into_owned()));
        }
        Set { rtype, ttl_secs: rrset.ttl_secs(), rdatas }
    }

    /// The RDATA that are signed: canonical, in canonical order (RFC 4034 section 6).
    pub(super) fn canonical(&self) -> Vec<Cow<'_, [u8]>> {
        let mut rdatas: Vec<_> = self.rdatas.iter().map(|rdata| canonical_rdata(self.rtype, rdata)).collect();
        rdatas.sort_unstable();
        rdatas.dedup();
        rdatas
    }
}
