//! Records that are answered by place and weight: what their rows mean, and where addresses are.
//!
//! The rows of an RRset have regions and weights as people wrote them; here they become what is compiled, or are refused
//! when they are written. Where addresses are comes from a file in the format of MaxMind (`mmdb`), which is read anew when
//! it changes (`watch`). Nothing is chosen here: that is the data plane's. Invariant: what was accepted compiles.

mod mmdb;
#[cfg(test)]
pub(crate) mod testing;
mod watch;

use snapshot::dns::choice::{ALTERNATIVES_MAX, Choice, Member, is_choosable};
use snapshot::dns::name::NameRef;
use snapshot::dns::region::Region;
use snapshot::dns::rtype::Rtype;
use snapshot::dns::zone::ZoneTooLarge;

pub use mmdb::{MmdbError, places};
pub use watch::Watch;

use crate::store::rrsets::{Record, Rrset};

/// Bytes of RDATA at most of an RRset with regions or weights: it is compiled in as many ways as there are alternatives, and
/// all of them together have to fit 64 KiB.
const RDATA_LEN_MAX: usize = 16 << 10;

/// Reads a list of regions, as `US`, `EU, US` or `continent:NA`; `None` if one is none.
#[must_use]
pub fn regions(text: &str) -> Option<Vec<Region>> {
    text.split(',').map(Region::parse).collect()
}

/// What may be answered in place of an RRset; `None` if that is all of its enabled records, always.
///
/// # Errors
/// [`ZoneTooLarge`] as for any zone.
pub fn choice(apex: NameRef<'_>, owner: NameRef<'_>, rrset: &Rrset) -> Result<Option<Choice>, ZoneTooLarge> {
    if rrset.enabled().all(is_plain) {
        return Ok(None);
    }
    Choice::of(apex, owner, rrset.rtype, rrset.ttl_secs, &members(rrset.enabled()))
}

/// Refuses an RRset that cannot be compiled as its records say.
///
/// # Errors
/// A sentence for people.
pub fn check(rtype: Rtype, records: &[Record]) -> Result<(), String> {
    if records.iter().all(is_plain) {
        return Ok(());
    }
    if !is_choosable(rtype) {
        return Err(format!("{rtype} records are answered together, everywhere: they have no weight and no geo."));
    }
    if let Some(wrong) = records.iter().filter_map(|record| record.geo.as_deref()).find(|geo| regions(geo).is_none()) {
        return Err(format!("{wrong:?} is no region: {REGION_FORM}"));
    }
    // Disabled records count too: whoever enables one must not be refused then.
    let members = members(records.iter());
    if members.len() > ALTERNATIVES_MAX {
        return Err(format!("An RRset with weights or regions may have at most {ALTERNATIVES_MAX} records."));
    }
    if members.iter().map(|member| member.rdata.len()).sum::<usize>() > RDATA_LEN_MAX {
        return Err(format!("An RRset with weights or regions may have at most {RDATA_LEN_MAX} octets of data."));
    }
    Ok(())
}

/// How regions are written, for those who wrote something else.
pub const REGION_FORM: &str =
    "write a country as US, a continent as EU or continent:NA, several with commas, or default.";

/// Whether a record is answered always.
fn is_plain(record: &Record) -> bool {
    record.weight.unwrap_or(0) == 0 && record.geo.is_none()
}

/// The records with each of their regions. One whose region is none is answered to nobody in particular.
fn members<'r>(records: impl Iterator<Item = &'r Record>) -> Vec<Member<'r>> {
    let of = |record: &'r Record| {
        let regions = record.geo.as_deref().map_or(Some(vec![Region::DEFAULT]), regions).unwrap_or_default();
        let (weight, rdata) = (record.weight.unwrap_or(0), &*record.rdata);
        regions.into_iter().map(move |region| Member { region, weight, rdata })
    };
    records.flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record with a weight and a region.
    fn record(weight: Option<u32>, geo: Option<&str>) -> Record {
        Record { weight, geo: geo.map(str::to_owned), ..Record::new("192.0.2.1".into(), vec![192, 0, 2, 1]) }
    }

    /// What is said to so many equal records.
    fn check_records(rtype: Rtype, record: &Record, count: usize, expected: &str) {
        let found = check(rtype, &vec![record.clone(); count]).err().unwrap_or_default();
        assert!(found.contains(expected) && found.is_empty() == expected.is_empty(), "{found:?} for {record:?}");
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_with_a_reason() {
        check_records(Rtype::A, &record(None, None), 1000, "");
        check_records(Rtype::A, &record(Some(0), None), 1000, "");
        check_records(Rtype::A, &record(Some(7), Some("US, continent:EU")), 32, "");
        check_records(Rtype::A, &record(Some(7), Some("US, continent:EU")), 33, "at most 64");
        check_records(Rtype::A, &record(None, Some("Mars")), 1, "\"Mars\" is no region");
        check_records(Rtype::CNAME, &record(Some(1), None), 1, "CNAME records are answered together");
        let large = Record { rdata: vec![0; RDATA_LEN_MAX / 2 + 1], ..record(Some(1), None) };
        check_records(Rtype::TXT, &large, 2, "at most 16384 octets");
    }
}
