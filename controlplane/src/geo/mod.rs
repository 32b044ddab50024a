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

/// What clients of one region get: sets of records with their weights.
pub type Answers = (Region, Vec<(u32, Vec<Record>)>);

/// Rows that are compiled into just these answers in place of the RRset of the records `whole`: what [`choice`] does, the other
/// way round. `None` if no rows can be.
///
/// A row whose weight or region makes no difference to anybody has none.
#[must_use]
pub fn rows(whole: &[Record], answers: &[Answers]) -> Option<Vec<Record>> {
    let is_weighted = |sets: &[(u32, Vec<Record>)]| sets.len() > 1 || sets.iter().any(|(weight, _)| *weight != 1);
    let is_answered = |record: &&Record| {
        let mut sets = answers.iter().flat_map(|(_, sets)| sets);
        sets.any(|(_, records)| records.iter().any(|answered| answered.rdata == record.rdata))
    };
    let silent: Vec<&Record> = whole.iter().filter(|record| !is_answered(record)).collect();
    // What nobody gets lies beside weights without having one; a single record may have the weight that it takes.
    let hides = |(_, sets): &&Answers| is_weighted(sets);
    let may_hide = |(_, sets): &&Answers| sets.iter().all(|(_, records)| records.len() == 1);
    let hiding = match &silent[..] {
        [] => None,
        _ => Some(answers.iter().find(hides).or_else(|| answers.iter().find(may_hide))?.0),
    };
    let mut rows: Vec<(Record, Vec<Region>)> = Vec::new();
    let mut add = |record: &Record, weight: Option<u32>, region: Region| {
        let is_same = |(row, _): &&mut (Record, Vec<Region>)| row.rdata == record.rdata && row.weight == weight;
        match rows.iter_mut().find(is_same) {
            Some((_, regions)) => regions.push(region),
            None => rows.push((Record { weight, ..record.clone() }, vec![region])),
        }
    };
    for (region, sets) in answers {
        let is_weighted = is_weighted(sets) || hiding == Some(*region);
        for (weight, records) in sets {
            if is_weighted && records.len() != 1 {
                return None;
            }
            records.iter().for_each(|record| add(record, is_weighted.then_some(*weight), *region));
        }
    }
    hiding.iter().for_each(|region| silent.iter().for_each(|record| add(record, None, *region)));
    let row = |(record, regions): (Record, Vec<Region>)| {
        let text = regions.iter().map(Region::to_string).collect::<Vec<_>>().join(",");
        Record { geo: (regions != [Region::DEFAULT]).then_some(text), ..record }
    };
    Some(rows.into_iter().map(row).collect())
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
        return Err(format!(
            "An RRset with weights or regions may have at most {ALTERNATIVES_MAX} records, each counted once for each of its \
             regions; this has {}.",
            members.len()
        ));
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
    use proptest::prelude::*;
    use snapshot::dns::name::Name;
    use snapshot::dns::zone::Zone;

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

    /// The records of a little zone with one RRset.
    fn records_of(zone: &Zone) -> Vec<Record> {
        let rrsets = zone.owners().flat_map(|owner| owner.rrsets().collect::<Vec<_>>());
        let rdatas = rrsets.flat_map(|rrset| rrset.records().map(|record| record.rdata.to_vec()).collect::<Vec<_>>());
        rdatas.map(|rdata| Record::new(format!("{rdata:?}"), rdata)).collect()
    }

    /// What is answered of rows: all of them, and what in their place.
    fn answers(rows: &[Record]) -> (Vec<Record>, Vec<Answers>) {
        let apex: Name = "a.test.".parse().unwrap();
        let owner = apex.as_ref();
        let members: Vec<_> =
            rows.iter().map(|row| Member { region: Region::DEFAULT, weight: 7, rdata: &row.rdata }).collect();
        // Each of them alone is a set without duplicates.
        let alone = Choice::of(owner, owner, Rtype::A, 60, &members).unwrap();
        let mut whole: Vec<Record> =
            alone.iter().flat_map(Choice::alternatives).flat_map(|one| records_of(&one.zone)).collect();
        whole.sort_by(|a, b| a.rdata.cmp(&b.rdata));
        whole.dedup();
        let choice = Choice::of(owner, owner, Rtype::A, 60, &members_of(rows)).unwrap();
        let sets = |group: &snapshot::dns::choice::Group| {
            let mut sets: Vec<_> = group.alternatives.iter().map(|one| (one.weight, records_of(&one.zone))).collect();
            sets.sort_by(|a, b| (a.0, &a.1[0].rdata).cmp(&(b.0, &b.1[0].rdata)));
            (group.region, sets)
        };
        (whole, choice.iter().flat_map(Choice::groups).map(sets).collect())
    }

    /// The members that rows make.
    fn members_of(rows: &[Record]) -> Vec<Member<'_>> {
        members(rows.iter())
    }

    /// Rows written as `octet/weight/regions`, what they answer turned into rows again.
    fn check_rows(rows: &str, expected: &str) {
        let row = |text: &str| {
            let fields: Vec<&str> = text.split('/').collect();
            let weight = fields[1].parse().ok();
            let geo = (!fields[2].is_empty()).then(|| fields[2].to_owned());
            Record { weight, geo, ..Record::new(String::new(), vec![192, 0, 2, fields[0].parse().unwrap()]) }
        };
        let rows: Vec<Record> = rows.split(' ').map(row).collect();
        let (whole, answers) = answers(&rows);
        let shown = |row: &Record| {
            let weight = row.weight.map_or(String::new(), |weight| weight.to_string());
            format!("{}/{weight}/{}", row.rdata[3], row.geo.as_deref().unwrap_or_default())
        };
        let found = super::rows(&whole, &answers).map(|rows| rows.iter().map(shown).collect::<Vec<_>>().join(" "));
        assert_eq!(found.as_deref(), Some(expected), "{rows:?}");
    }

    #[test]
    fn rows_come_back_from_what_is_answered() {
        check_rows("1/90/ 2/10/", "2/10/ 1/90/");
        check_rows("1//US 2//DE 3//", "3// 2//DE 1//US");
        check_rows("1//US,EU 2//default", "2// 1//US,EU");
        check_rows("1/7/US 2/3/US 3// 4//", "3// 4// 2/3/US 1/7/US");
        check_rows("1/5/US,DE 2/6/DE", "1/5/DE,US 2/6/DE");
        // One that nobody gets, beside a weight that tells nobody apart.
        check_rows("1/1/ 2//", "1/1/ 2//");
        check_rows("1/1/US 2//US 3//EU 4//EU", "1/1/US 3//EU 4//EU 2//US");
    }

    proptest! {
        #[test]
        fn whatever_rows_answer_can_be_had_from_rows_again(
            rows in prop::collection::vec((0_u8..5, 0_u32..3, prop::collection::vec(0_usize..4, 1..4)), 1..7),
        ) {
            let regions = ["default", "US", "DE", "EU"];
            let row = |(octet, weight, places): &(u8, u32, Vec<usize>)| {
                let geo = places.iter().map(|place| regions[*place]).collect::<Vec<_>>().join(",");
                let weight = (*weight > 0).then_some(*weight);
                Record { weight, geo: Some(geo), ..Record::new(String::new(), vec![192, 0, 2, *octet]) }
            };
            let rows: Vec<Record> = rows.iter().map(row).collect();
            let (whole, before) = answers(&rows);
            prop_assume!(!before.is_empty());
            let again = super::rows(&whole, &before).expect("rows made it");
            // To give everybody all of them is what happens without weights and regions.
            let (whole_again, after) = answers(&again);
            let after = if after.is_empty() { vec![(Region::DEFAULT, vec![(1, whole_again.clone())])] } else { after };
            prop_assert_eq!((whole_again, after), (whole, before), "{:?} of {:?}", again, rows);
        }
    }

    #[test]
    fn what_cannot_be_compiled_is_refused_with_a_reason() {
        check_records(Rtype::A, &record(None, None), 1000, "");
        check_records(Rtype::A, &record(Some(0), None), 1000, "");
        check_records(Rtype::A, &record(Some(7), Some("US, continent:EU")), 32, "");
        check_records(
            Rtype::A,
            &record(Some(7), Some("US, continent:EU")),
            33,
            "at most 64 records, each counted once",
        );
        check_records(Rtype::A, &record(Some(7), Some("US, continent:EU")), 33, "this has 66.");
        check_records(Rtype::A, &record(None, Some("Mars")), 1, "\"Mars\" is no region");
        check_records(Rtype::CNAME, &record(Some(1), None), 1, "CNAME records are answered together");
        let large = Record { rdata: vec![0; RDATA_LEN_MAX / 2 + 1], ..record(Some(1), None) };
        check_records(Rtype::TXT, &large, 2, "at most 16384 octets");
    }
}
