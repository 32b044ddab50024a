//! Rows for tests.

use snapshot::dns::rtype::Rtype;

use super::NewDomain;
use crate::store::domains::{Denial, Domain, SerialPolicy, Soa, SoaMode};
use crate::store::rrsets::{Record, Rrset};
use crate::store::{AccountId, ChangeId, DomainId};

/// An SOA record.
pub(crate) fn soa() -> Soa {
    Soa {
        ttl_secs: 300,
        mname: "ns1.petrel.test.".into(),
        rname: "hostmaster.petrel.test.".into(),
        refresh_secs: 86_400,
        retry_secs: 3600,
        expire_secs: 2_419_200,
        minimum_secs: 3600,
    }
}

/// A domain to be made, with one name server and nothing else.
pub(crate) fn new_domain(name: &str) -> NewDomain {
    NewDomain {
        name: name.to_owned(),
        nameservers: vec!["ns1.petrel.test.".into()],
        soa: soa(),
        soa_mode: SoaMode::Managed,
        serial_policy: SerialPolicy::Increment,
        minimum_ttl_secs: 0,
        drafts: Vec::new(),
        local_suffixes: Vec::new(),
        denial: Denial::Off,
        keys: Vec::new(),
    }
}

/// A domain of an account.
pub(crate) fn domain(account: AccountId, name: &str) -> Domain {
    Domain {
        id: DomainId(0),
        account,
        name: name.to_owned(),
        created_us: 1,
        touched_us: 1,
        published_us: None,
        changed_us: 1,
        change: ChangeId(1),
        minimum_ttl_secs: 3600,
        serial: 1,
        serial_policy: SerialPolicy::Increment,
        soa_mode: SoaMode::Managed,
        soa: soa(),
        rrset_count: 0,
        unproved: None,
        denial: Denial::Off,
        signed_us: 0,
    }
}

/// An A RRset with one record.
pub(crate) fn rrset(subname: &str, address: &str) -> Rrset {
    let rdata = address.split('.').map(|octet| octet.parse().unwrap()).collect();
    let content = address.to_owned();
    let record = Record { id: 0, content, rdata, weight: None, geo: None, enabled: true, comment: None };
    Rrset {
        id: 0,
        node: super::apply::node_of(subname).unwrap(),
        subname: subname.to_owned(),
        rtype: Rtype::A,
        ttl_secs: 3600,
        created_us: 1,
        touched_us: 1,
        records: vec![record],
    }
}
