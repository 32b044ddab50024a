//! RRsets of which a part is answered: chosen per query, by where the client is and by weights.
//!
//! The zone has such an RRset whole, as transfers show it; here is what may be answered in its place. Each alternative is
//! a little zone with records of that owner and type, and their signatures where the zone is signed, so that all that works
//! on RRsets works on alternatives. Invariant of [`Choice`]: groups ascend by region, no group is empty, no weight is 0.

use std::collections::BTreeMap;

use super::name::NameRef;
use super::region::Region;
use super::rtype::Rtype;
use super::zone::{Record, Zone, ZoneBuilder, ZoneTooLarge};

/// The most alternatives of an RRset: each is compiled and signed.
pub const ALTERNATIVES_MAX: usize = 64;

/// What may be answered in place of an RRset.
#[derive(Clone)]
pub struct Choice {
    /// By ascending region, none twice.
    groups: Vec<Group>,
}

/// What clients of one region get.
#[derive(Clone)]
pub struct Group {
    /// The region.
    pub region: Region,
    /// What they get one of, by weight.
    pub alternatives: Vec<Alternative>,
}

/// A set of records that may be answered.
#[derive(Clone)]
pub struct Alternative {
    /// Its share among those of its group; not 0.
    pub weight: u32,
    /// The records and their signatures, in a zone without anything else.
    pub zone: Zone,
}

/// A record with what decides when it is answered.
#[derive(Debug, Clone, Copy)]
pub struct Member<'m> {
    /// Whom it is meant for.
    pub region: Region,
    /// Its share; 0 if it has none.
    pub weight: u32,
    /// Its RDATA.
    pub rdata: &'m [u8],
}

impl Choice {
    /// What may be answered in place of the RRset of these members; `None` if that is all of them, always.
    ///
    /// Clients of a region get the records meant for it. If any of these has a weight, they get one of those that have, by
    /// weight, else all.
    ///
    /// # Errors
    /// [`ZoneTooLarge`] as for any zone.
    pub fn of(
        apex: NameRef<'_>,
        owner: NameRef<'_>,
        rtype: Rtype,
        ttl_secs: u32,
        members: &[Member<'_>],
    ) -> Result<Option<Choice>, ZoneTooLarge> {
        let is_plain = |member: &Member<'_>| member.region == Region::DEFAULT && member.weight == 0;
        if !is_choosable(rtype) || members.iter().all(is_plain) {
            return Ok(None);
        }
        let mut regions: BTreeMap<Region, Vec<&Member<'_>>> = BTreeMap::new();
        members.iter().for_each(|member| regions.entry(member.region).or_default().push(member));
        let alternative = |weight: u32, members: &[&Member<'_>]| {
            let mut builder = ZoneBuilder::new(apex.to_name());
            for Member { rdata, .. } in members {
                builder.push(Record { owner, rtype, ttl_secs, rdata, line: 0 })?;
            }
            Ok(Alternative { weight, zone: builder.finish() })
        };
        let group = |(region, members): (Region, Vec<&Member<'_>>)| {
            let weighted: Vec<_> = members.iter().filter(|member| member.weight > 0).collect();
            let alternatives = if weighted.is_empty() {
                vec![alternative(1, &members)?]
            } else {
                weighted.into_iter().map(|member| alternative(member.weight, &[member])).collect::<Result<_, _>>()?
            };
            Ok(Group { region, alternatives })
        };
        Ok(Some(Choice { groups: regions.into_iter().map(group).collect::<Result<_, _>>()? }))
    }

    /// What clients get, by ascending region.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// All alternatives, by region.
    pub fn alternatives(&self) -> impl Iterator<Item = &Alternative> {
        self.groups.iter().flat_map(|group| &group.alternatives)
    }

    /// The same with other zones in place of these: signed ones, for example.
    ///
    /// # Errors
    /// The first that `change` ends with.
    pub fn try_map<E>(&self, mut change: impl FnMut(&Zone) -> Result<Zone, E>) -> Result<Choice, E> {
        let mut groups = Vec::with_capacity(self.groups.len());
        for Group { region, alternatives } in &self.groups {
            let mut changed = Vec::with_capacity(alternatives.len());
            for Alternative { weight, zone } in alternatives {
                changed.push(Alternative { weight: *weight, zone: change(zone)? });
            }
            groups.push(Group { region: *region, alternatives: changed });
        }
        Ok(Choice { groups })
    }
}

/// Whether RRsets of a type may be chosen from: not what makes a zone one, names other names, or proves something.
#[must_use]
pub fn is_choosable(rtype: Rtype) -> bool {
    let fixed = [
        Rtype::SOA,
        Rtype::NS,
        Rtype::CNAME,
        Rtype::DNAME,
        Rtype::DS,
        Rtype::DNSKEY,
        Rtype::CDS,
        Rtype::CDNSKEY,
        Rtype::RRSIG,
        Rtype::NSEC,
        Rtype::NSEC3,
        Rtype::NSEC3PARAM,
        Rtype::ZONEMD,
    ];
    !fixed.contains(&rtype)
}

#[cfg(test)]
mod tests {
    use super::super::name::Name;
    use super::*;

    /// What may be answered of members written as `region/weight/octet`.
    fn check(members: &str, expected: &str) {
        let rdata: Vec<u8> = (0..=255).collect();
        let members: Vec<Member<'_>> = members
            .split_whitespace()
            .map(|member| {
                let fields: Vec<&str> = member.split('/').collect();
                let octet: usize = fields[2].parse().unwrap();
                let region = Region::parse(fields[0]).unwrap();
                Member { region, weight: fields[1].parse().unwrap(), rdata: &rdata[octet..=octet] }
            })
            .collect();
        let apex: Name = "a.test.".parse().unwrap();
        let choice = Choice::of(apex.as_ref(), apex.as_ref(), Rtype::A, 60, &members).unwrap();
        let shown = choice.iter().flat_map(Choice::groups).map(|Group { region, alternatives }| {
            let sets = alternatives.iter().map(|Alternative { weight, zone }| {
                let rrset = zone.owner(apex.as_ref()).unwrap().rrset(Rtype::A).unwrap();
                format!("{weight}{:?}", rrset.records().map(|record| record.rdata[0]).collect::<Vec<_>>())
            });
            format!("{region}: {}", sets.collect::<Vec<_>>().join(" "))
        });
        assert_eq!(shown.collect::<Vec<_>>().join("; "), expected, "{members:?}");
    }

    #[test]
    fn regions_make_groups_and_weights_single_records() {
        check("default/0/1 default/0/2", "");
        check("default/90/1 default/10/2", "default: 90[1] 10[2]");
        check("default/90/1 default/0/2", "default: 90[1]");
        check("US/0/1 DE/0/2 default/0/3", "default: 1[3]; DE: 1[2]; US: 1[1]");
        check("US/0/1 US/0/2", "US: 1[1, 2]");
        check("US/7/1 US/3/2 default/0/3 default/0/4", "default: 1[3, 4]; US: 7[1] 3[2]");
    }
}
