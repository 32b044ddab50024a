//! Rows become a zone, a zone becomes a segment.

use snapshot::dns::name::{Name, NameRef};
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::{Record, Zone, ZoneBuilder};
use snapshot::image::{BuildError, Segment};

use crate::check::{self, Severity};
use crate::dnssec::{self, Dnssec, DnssecError, Signatory};
use crate::geo;
use crate::sign::Published;
use crate::store::domains::{Domain, Soa};
use crate::store::rrsets::Rrset;
use crate::store::{DomainId, Reader, StoreError};

/// Why a domain has no new segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum ZoneError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name in a row is none.
    #[error("{0} is not a name")]
    Name(String),
    /// More records than a zone can hold.
    #[error("the zone is too large")]
    TooLarge,
    /// It was deleted meanwhile.
    #[error("the domain is gone")]
    Gone,
    /// It shall be signed, and nobody here can.
    #[error("it shall be signed, and this process has no keys")]
    NoSigner,
    /// It cannot be signed, or is not right when it is.
    #[error(transparent)]
    Dnssec(#[from] DnssecError),
    /// It should have been compiled by a thread of its own.
    #[error("no thread can be started: {0}")]
    Thread(std::io::Error),
    /// Its pack is not on the disk.
    #[error("it cannot be made ready: {0}")]
    NotReady(String),
    /// No server could serve it.
    #[error("{0}")]
    Unservable(String),
}

impl ZoneError {
    /// Whether it can be over at any moment, and shows before anything was signed: a clock in doubt, a device that is away.
    pub(super) fn passes(&self) -> bool {
        match self {
            ZoneError::Dnssec(error) => error.passes(),
            ZoneError::Thread(_) => true,
            _ => false,
        }
    }
}

/// A domain as it was read: it can be served, and signed if it shall be.
#[must_use]
pub(super) struct Prepared<'d> {
    /// The domain.
    domain: DomainId,
    /// Its records.
    zone: Zone,
    /// What signs it.
    signing: Option<(&'d Dnssec, Signatory)>,
}

/// Reads a domain whole, signs it if it shall be, and compiles it. O(records).
pub(super) fn compile(reader: &Reader<'_>, domain: &Domain, signer: Option<&Dnssec>) -> Result<Segment, ZoneError> {
    prepare(reader, domain, signer)?.compile(())
}

/// Reads a domain whole. O(records).
pub(super) fn prepare<'d>(
    reader: &Reader<'_>,
    domain: &Domain,
    signer: Option<&'d Dnssec>,
) -> Result<Prepared<'d>, ZoneError> {
    // First, because it costs next to nothing to find out that nothing can be signed now.
    let signing = signatory(reader, domain, signer)?;
    let mut zone = read(reader, domain)?;
    let worst = check::check(&zone).into_iter().find(|finding| finding.severity == Severity::Error);
    if let Some(finding) = worst {
        return Err(ZoneError::Unservable(finding.message));
    }
    check::prune(&mut zone);
    Ok(Prepared { domain: domain.id, zone, signing })
}

impl Prepared<'_> {
    /// Its name.
    pub(super) fn apex(&self) -> NameRef<'_> {
        self.zone.apex()
    }

    /// Whether it will be signed.
    pub(super) fn is_signed(&self) -> bool {
        self.signing.is_some()
    }

    /// Whether its signatures are remembered: then nothing is taken from what is served.
    pub(super) fn is_remembered(&self) -> bool {
        self.signing.as_ref().is_some_and(|(signer, _)| signer.remembers(self.domain))
    }

    /// Signs it if it shall be, and compiles it; signatures over what is `served` so already are used again. O(records).
    pub(super) fn compile(self, served: impl Published) -> Result<Segment, ZoneError> {
        let unservable = |error: BuildError| ZoneError::Unservable(error.to_string());
        let Some((signer, signatory)) = self.signing else {
            return Segment::build(&self.zone).map_err(unservable);
        };
        let signed = signer.sign(self.zone, &signatory, &served)?;
        // As large as what is built now.
        drop(served);
        let segment = Segment::build(&signed.zone).map_err(unservable)?;
        signer.remember(self.domain, signed);
        Ok(segment)
    }
}

/// What signs a domain now; `None` if it is not signed.
pub(super) fn signatory<'d>(
    reader: &Reader<'_>,
    domain: &Domain,
    signer: Option<&'d Dnssec>,
) -> Result<Option<(&'d Dnssec, Signatory)>, ZoneError> {
    let Some(chain) = dnssec::chain_of(domain.denial) else { return Ok(None) };
    let signer = signer.ok_or(ZoneError::NoSigner)?;
    Ok(Some((signer, signer.signatory(domain, chain, &reader.keys(domain.id)?)?)))
}

/// Whether a domain shall be signed.
pub(super) fn is_signed(domain: &Domain) -> bool {
    dnssec::chain_of(domain.denial).is_some()
}

/// Reads a domain whole.
pub(super) fn read(reader: &Reader<'_>, domain: &Domain) -> Result<Zone, ZoneError> {
    let apex = absolute(&domain.name)?;
    let mut builder = ZoneBuilder::new(apex.clone());
    let soa = soa_rdata(&domain.soa, domain.serial)?;
    let record =
        Record { owner: apex.as_ref(), rtype: Rtype::SOA, ttl_secs: domain.soa.ttl_secs, rdata: &soa, line: 0 };
    builder.push(record).map_err(|_| ZoneError::TooLarge)?;
    let mut count = 0;
    reader.each_rrset(domain.id, |rrset| {
        count += 1;
        push(&mut builder, &apex, &rrset)
    })?;
    // Each row was checked by itself; one that a damaged page hides is missed only here.
    if count != domain.rrset_count {
        return Err(StoreError::Damaged("the list of RRsets").into());
    }
    Ok(builder.finish())
}

/// Adds an RRset's enabled records.
fn push(builder: &mut ZoneBuilder, apex: &Name, rrset: &Rrset) -> Result<(), ZoneError> {
    let owner = owner(&rrset.subname, apex)?;
    for record in rrset.enabled() {
        let record = Record {
            owner: owner.as_ref(),
            rtype: rrset.rtype,
            ttl_secs: rrset.ttl_secs,
            rdata: &record.rdata,
            line: 0,
        };
        builder.push(record).map_err(|_| ZoneError::TooLarge)?;
    }
    if let Some(choice) = geo::choice(apex.as_ref(), owner.as_ref(), rrset).map_err(|_| ZoneError::TooLarge)? {
        builder.choose(owner.as_ref(), rrset.rtype, choice);
    }
    Ok(())
}

/// The owner of a subname.
pub(super) fn owner(subname: &str, apex: &Name) -> Result<Name, ZoneError> {
    if subname.is_empty() {
        return Ok(apex.clone());
    }
    Name::parse(subname.as_bytes(), Some(apex.as_ref())).map_err(|_| ZoneError::Name(subname.to_owned()))
}

/// A name without a dot at its end.
pub(super) fn absolute(name: &str) -> Result<Name, ZoneError> {
    let text = format!("{}.", name.trim_end_matches('.'));
    Name::parse(text.as_bytes(), None).map_err(|_| ZoneError::Name(name.to_owned()))
}

/// The RDATA of the SOA record (RFC 1035 section 3.3.13).
pub(super) fn soa_rdata(soa: &Soa, serial: u32) -> Result<Vec<u8>, ZoneError> {
    let mut rdata = absolute(&soa.mname)?.as_wire().to_vec();
    rdata.extend_from_slice(absolute(&soa.rname)?.as_wire());
    for field in [serial, soa.refresh_secs, soa.retry_secs, soa.expire_secs, soa.minimum_secs] {
        rdata.extend_from_slice(&field.to_be_bytes());
    }
    Ok(rdata)
}
