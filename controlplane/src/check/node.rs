//! The rules about the records of one owner.
//!
//! What needs another owner's records is `target`'s. Invariant: each rule has one code and is applied to each owner at
//! most once.

use snapshot::dns::name::{NAME_LEN_MAX, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{OwnerRecords, Rrset};

use super::place::Place;
use super::target::Targets;
use super::{Findings, distinct_count, first_line, is_address, is_beside_cname, line};

/// The SPF type, which RFC 7208 section 3.1 gave up.
const SPF: Rtype = Rtype(99);
/// The longest message (RFC 1035 section 4.2.2).
const MESSAGE_LEN_MAX: usize = 65_535;
/// Header, question without its name, and OPT record.
const FRAME_LEN: usize = 12 + 4 + 11;
/// An answer record with a compressed owner, without its RDATA.
const RECORD_LEN: usize = 12;

/// What was seen at the apex, and of signatures anywhere.
#[derive(Debug, Default)]
pub(super) struct ApexState {
    /// How many SOA records, and the line of the last.
    soa: (usize, u32),
    /// Whether there is an NS record.
    has_ns: bool,
    /// The line of a DNSKEY.
    dnskey_line: Option<u32>,
    /// Whether a signature covers the SOA.
    has_signed_soa: bool,
    /// The line of the first RRSIG, NSEC or NSEC3 of the zone.
    dnssec_line: Option<u32>,
}

/// Applies the rules to one owner.
pub(super) fn check(
    owner: &OwnerRecords<'_>,
    place: Place<'_>,
    targets: &Targets<'_>,
    apex: &mut ApexState,
    findings: &mut Findings,
) {
    let name = owner.name();
    match place {
        Place::Outside => {
            let message =
                format!("{name} is not in the zone and is left out (RFC 1035 section 5.2): check $ORIGIN and dots");
            return findings.warning("out-of-zone", first_line(owner), name, message);
        }
        Place::BelowDname(dname) => {
            let message =
                format!("{name} is hidden by the DNAME at {dname}, below which nothing may be (RFC 6672 section 2.4)");
            return findings.wrong("below-dname", first_line(owner), name, message);
        }
        Place::Hashed => {}
        Place::BelowCut(cut) => {
            occluded(owner, cut, targets, findings);
            soa_below_apex(owner, findings);
        }
        Place::Cut => {
            occluded(owner, name, targets, findings);
            delegation(owner, findings);
        }
        Place::Apex => apex.visit(owner, findings),
        Place::Inside => inside(owner, findings),
    }
    if apex.dnssec_line.is_none() {
        let rrset = [Rtype::RRSIG, Rtype::NSEC, Rtype::NSEC3].into_iter().find_map(|rtype| owner.rrset(rtype));
        apex.dnssec_line = rrset.map(|rrset| line(&rrset));
    }
    aliases(owner, place, findings);
    wildcards(owner, findings);
    for rrset in owner.rrsets() {
        whole_rrset(&rrset, name, findings);
    }
}

/// Records that nobody is told because another zone answers for them.
fn occluded(owner: &OwnerRecords<'_>, cut: NameRef<'_>, targets: &Targets<'_>, findings: &mut Findings) {
    let name = owner.name();
    let is_cut = name == cut;
    let is_visible = |rtype: Rtype| {
        (is_address(rtype) && targets.is_name_server(name))
            || (is_cut && matches!(rtype, Rtype::NS | Rtype::DS | Rtype::NSEC | Rtype::RRSIG))
    };
    let hidden: Vec<Rrset<'_>> = owner.rrsets().filter(|rrset| !is_visible(rrset.rtype())).collect();
    let Some(first) = hidden.first() else { return };
    let types: Vec<String> = hidden.iter().map(|rrset| rrset.rtype().to_string()).collect();
    let types = types.join(", ");
    let message = if is_cut {
        format!("{types} at {name} is not served: the name is delegated")
    } else {
        format!("{types} at {name} is not served: it is below the delegation {cut} and no glue")
    };
    findings.warning("occluded", line(first), name, message);
}

/// Rules for an owner at a zone cut.
fn delegation(owner: &OwnerRecords<'_>, findings: &mut Findings) {
    let name = owner.name();
    if name.is_wildcard()
        && let Some(ns) = owner.rrset(Rtype::NS)
    {
        let message = format!("{name} is a wildcard: what its NS delegate is not defined (RFC 4592 section 4.2)");
        findings.warning("wildcard-ns", line(&ns), name, message);
    }
    if let Some(dname) = owner.rrset(Rtype::DNAME) {
        let message = format!("{name} has DNAME and NS, which only an apex may have (RFC 6672 section 2.3)");
        findings.warning("dname-and-ns", line(&dname), name, message);
    }
    soa_below_apex(owner, findings);
}

/// Rules for an authoritative owner below the apex.
fn inside(owner: &OwnerRecords<'_>, findings: &mut Findings) {
    soa_below_apex(owner, findings);
    if let Some(ds) = owner.rrset(Rtype::DS) {
        let name = owner.name();
        let message = format!("{name} has DS but is not delegated");
        findings.warning("ds-without-delegation", line(&ds), name, message);
    }
}

/// A SOA that begins no zone.
fn soa_below_apex(owner: &OwnerRecords<'_>, findings: &mut Findings) {
    if let Some(soa) = owner.rrset(Rtype::SOA) {
        let name = owner.name();
        let message = format!("{name} has a SOA but is not the apex (RFC 1035 section 5.2): it begins another zone");
        findings.wrong("soa-not-at-apex", line(&soa), name, message);
    }
}

/// CNAME and DNAME stand alone among their kind (RFC 1034 section 3.6.2, RFC 2181 section 10.1, RFC 6672 section 2.4).
fn aliases(owner: &OwnerRecords<'_>, place: Place<'_>, findings: &mut Findings) {
    let name = owner.name();
    if let Some(dname) = owner.rrset(Rtype::DNAME)
        && distinct_count(&dname) > 1
    {
        let message = format!("{name} has several DNAME records, it can have one (RFC 6672 section 2.4)");
        findings.unservable("multiple-dnames", line(&dname), name, message);
    }
    let Some(cname) = owner.rrset(Rtype::CNAME) else { return };
    if distinct_count(&cname) > 1 {
        let message = format!("{name} has several CNAME records, it can have one (RFC 2181 section 10.1)");
        findings.unservable("multiple-cnames", line(&cname), name, message);
    }
    if place == Place::Apex {
        let message = "the apex cannot be an alias: it has a SOA and NS".to_owned();
        findings.unservable("cname-at-apex", line(&cname), name, message);
    } else if let Some(other) = owner.rrsets().find(|rrset| !is_beside_cname(rrset.rtype())) {
        let message = format!("{name} has a CNAME and also {} (RFC 1034 section 3.6.2)", other.rtype());
        findings.unservable("cname-and-other-data", line(&other), name, message);
    }
}

/// Asterisks that do not do what they seem to (RFC 4592 sections 2.1.1 and 4.4).
fn wildcards(owner: &OwnerRecords<'_>, findings: &mut Findings) {
    let name = owner.name();
    if !name.as_wire().contains(&b'*') {
        return;
    }
    if let (true, Some(dname)) = (name.is_wildcard(), owner.rrset(Rtype::DNAME)) {
        let message = format!("the effect of a DNAME at the wildcard {name} is not defined (RFC 4592 section 4.4)");
        findings.warning("wildcard-dname", line(&dname), name, message);
    }
    let begins_label = |label: &[u8]| label.len() > 1 && label.starts_with(b"*");
    let first = name.labels().next().unwrap_or_default();
    if begins_label(first) {
        let message = format!("{name} is no wildcard: the asterisk must be the whole first label");
        findings.warning("asterisk-in-label", first_line(owner), name, message);
    } else if name.labels().skip(1).any(|label| label == b"*") {
        let message = format!("{name} is no wildcard: an asterisk counts only as the first label");
        findings.warning("asterisk-not-first", first_line(owner), name, message);
    }
}

/// Rules for any RRset.
fn whole_rrset(rrset: &Rrset<'_>, name: NameRef<'_>, findings: &mut Findings) {
    let rtype = rrset.rtype();
    if rtype == SPF {
        let message = format!("{name} has the SPF type, which receivers ignore; use TXT (RFC 7208 section 3.1)");
        findings.warning("spf-type", line(rrset), name, message);
    }
    // The TTL of an RRSIG is that of the RRset it covers, so RRSIGs of one owner may differ (RFC 4034 section 3).
    if rtype != Rtype::RRSIG
        && let Some(other) = rrset.records().find(|record| record.ttl_secs != rrset.ttl_secs())
    {
        let (ttl, least) = (other.ttl_secs, rrset.ttl_secs());
        let message = format!("{rtype} at {name} has TTLs {least} and {ttl}; {least} is used (RFC 2181 section 5.2)");
        findings.warning("ttl-mismatch", other.line, name, message);
    }
    let rdata_len: usize = rrset.records().map(|record| RECORD_LEN + record.rdata.len()).sum();
    // A wildcard's question may be as long as names get.
    let name_len = if name.is_wildcard() { NAME_LEN_MAX } else { name.as_wire().len() };
    let len = FRAME_LEN + name_len + rdata_len;
    if len > MESSAGE_LEN_MAX {
        let message =
            format!("{rtype} at {name} needs {len} bytes, more than a message can have: nobody gets them all");
        findings.warning("rrset-too-large", line(rrset), name, message);
    }
}

impl ApexState {
    /// Notes what the apex has.
    fn visit(&mut self, owner: &OwnerRecords<'_>, findings: &mut Findings) {
        let name = owner.name();
        if let Some(soa) = owner.rrset(Rtype::SOA) {
            let last_line = soa.records().map(|record| record.line).max().unwrap_or(0);
            self.soa = (distinct_count(&soa), last_line);
        }
        self.has_ns = owner.rrset(Rtype::NS).is_some();
        self.dnskey_line = owner.rrset(Rtype::DNSKEY).map(|rrset| line(&rrset));
        let soa = Rtype::SOA.0.to_be_bytes();
        self.has_signed_soa = owner
            .rrset(Rtype::RRSIG)
            .is_some_and(|rrset| rrset.records().any(|record| record.rdata.get(..2) == Some(&soa[..])));
        if let Some(ds) = owner.rrset(Rtype::DS) {
            let message = format!("{name} is the apex; its DS belongs into the parent zone (RFC 4035 section 2.4)");
            findings.warning("ds-at-apex", line(&ds), name, message);
        }
    }

    /// Applies the rules that need the whole zone.
    pub(super) fn check(&self, apex: NameRef<'_>, findings: &mut Findings) {
        match self.soa {
            (0, _) => findings.unservable("no-soa", 0, apex, format!("{apex} has no SOA (RFC 1035 section 5.2)")),
            (1, _) => {}
            (count, line) => {
                let message = format!("{apex} has {count} SOA records, it can have one (RFC 1035 section 5.2)");
                findings.unservable("multiple-soas", line, apex, message);
            }
        }
        if !self.has_ns {
            findings.wrong(
                "no-ns",
                0,
                apex,
                format!("{apex} has no NS: name the servers of the zone (RFC 1034 section 4.2.1)"),
            );
        }
        if let (Some(line), false) = (self.dnskey_line, self.has_signed_soa) {
            let message = "the apex has DNSKEY but its SOA is not signed: the zone is served as unsigned".to_owned();
            findings.warning("partly-signed", line, apex, message);
        } else if let (None, Some(line)) = (self.dnskey_line, self.dnssec_line) {
            let message = "the zone has RRSIG or NSEC records but no DNSKEY: it is served as unsigned".to_owned();
            findings.warning("partly-signed", line, apex, message);
        }
    }
}
