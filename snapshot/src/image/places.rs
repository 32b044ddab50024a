//! The table of places: where the addresses of clients are, by prefix.
//!
//! It lies in a pack like the segment of a zone, under a name that no zone may have, so that it is published, shadowed,
//! compacted and checked as they are. It covers all addresses: each is in one prefix, which is as short as it can be, so an
//! answer holds for just those clients (RFC 7871 section 7.2.1). Of IPv6 only the first 64 bits count. The bytes are in
//! `FORMAT.md` section 4.7.

use std::net::IpAddr;

use super::build::{BuildError, Segment};
use super::bytes::u32_at;
use super::digest::Digest;
use super::layout::{KIND_PLACES, PLACES_APEX, header};
use super::line::{LINE_LEN, push_lines};
use super::pack::ZoneFacts;
use super::view::View;
use crate::dns::name::{Name, NameRef};
use crate::dns::region::Location;

/// Where the number of IPv4 prefixes lies.
const IPV4_COUNT: usize = header::SERIAL;
/// Where that of IPv6 lies.
const IPV6_COUNT: usize = header::NODE_COUNT;
/// The prefixes begin here: the apex takes one line.
const PREFIXES_OFF: usize = header::APEX + LINE_LEN;
/// Bits of an address of IPv4.
const IPV4_BITS: u8 = 32;
/// Bits of an address of IPv6 that count.
const IPV6_BITS: u8 = 64;
/// The first address of IPv6 that stands for one of IPv4 (RFC 4291 section 2.5.5.2).
const MAPPED_FIRST: u128 = 0xffff << 32;
/// Bits that all such addresses begin with.
const MAPPED_LEN: u8 = 96;
/// The most prefixes of a family: far more than any table has.
const PREFIX_COUNT_MAX: usize = 1 << 24;
/// Bytes of what is known of a prefix: location, length, zero.
const VALUE_LEN: usize = 4;

/// The table of places of a view.
#[derive(Clone, Copy)]
pub struct Places<'v> {
    /// The first addresses of IPv4 prefixes, ascending.
    ipv4: &'v [[u8; 4]],
    /// What is known of them.
    ipv4_values: &'v [[u8; VALUE_LEN]],
    /// The first addresses of IPv6 prefixes, ascending.
    ipv6: &'v [[u8; 8]],
    /// What is known of them.
    ipv6_values: &'v [[u8; VALUE_LEN]],
}

/// Makes a table.
pub struct PlacesBuilder {
    /// Prefixes of IPv4.
    ipv4: Fold,
    /// Prefixes of IPv6.
    ipv6: Fold,
}

/// Prefixes that cover all addresses up to some point.
struct Fold {
    /// Bits of an address.
    bits: u8,
    /// The prefixes: first address, length, location.
    prefixes: Vec<(u64, u8, Location)>,
    /// The first address that they do not cover.
    next: u128,
}

impl Default for PlacesBuilder {
    fn default() -> PlacesBuilder {
        let fold = |bits| Fold { bits, prefixes: Vec::new(), next: 0 };
        PlacesBuilder { ipv4: fold(IPV4_BITS), ipv6: fold(IPV6_BITS) }
    }
}

impl PlacesBuilder {
    /// Adds a prefix behind those before it of its family, in none of which it may lie. Addresses that are in no prefix are
    /// nowhere. Of a prefix of IPv6 with more than 64 bits the first of each 64 counts.
    ///
    /// # Errors
    /// [`BuildError::Places`] if the prefix is none, or not behind the others; [`BuildError::TooLarge`] for more than 2^24 of a
    /// family.
    pub fn push(&mut self, first: IpAddr, len: u8, location: Location) -> Result<(), BuildError> {
        match first {
            IpAddr::V4(first) => self.ipv4.push(u64::from(first.to_bits()), len, location),
            IpAddr::V6(first) => {
                let (high, low) = halves(first.to_bits());
                match len {
                    0..=IPV6_BITS if low == 0 => self.ipv6.push(high, len, location),
                    65..=128 if low == 0 => self.ipv6.push(high, IPV6_BITS, location),
                    65..=128 => Ok(()),
                    _ => Err(BuildError::Places),
                }
            }
        }
    }

    /// The table as a segment.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] for more than 2^24 prefixes of a family.
    pub fn finish(mut self) -> Result<Segment, BuildError> {
        let mut out = vec![0; PREFIXES_OFF];
        out[header::KIND] = KIND_PLACES;
        out[header::APEX_LEN] = u8::try_from(PLACES_APEX.len()).unwrap_or(0);
        out[header::APEX_LABELS] = 1;
        out[header::APEX..][..PLACES_APEX.len()].copy_from_slice(PLACES_APEX);
        for (fold, count_off) in [(&mut self.ipv4, IPV4_COUNT), (&mut self.ipv6, IPV6_COUNT)] {
            fold.fill(1 << fold.bits);
            let count = u32::try_from(fold.prefixes.len()).unwrap_or(u32::MAX);
            if fold.prefixes.len() > PREFIX_COUNT_MAX {
                return Err(BuildError::TooLarge("the table of places"));
            }
            out[count_off..][..4].copy_from_slice(&count.to_le_bytes());
            let address_len = usize::from(fold.bits / 8);
            for (first, ..) in &fold.prefixes {
                out.extend_from_slice(&first.to_le_bytes()[..address_len]);
            }
            for (_, len, location) in &fold.prefixes {
                out.extend_from_slice(&location.number().to_le_bytes());
                out.extend_from_slice(&[*len, 0]);
            }
        }
        out.resize(out.len().next_multiple_of(LINE_LEN), 0);
        let facts = ZoneFacts {
            apex: Places::apex(),
            serial: 0,
            signed: false,
            names: 0,
            rrsets: 0,
            records: 0,
            bytes: out.len() as u64,
            digest: Digest::of(&out),
            base: None,
        };
        let mut lines = Vec::with_capacity(out.len() / LINE_LEN);
        push_lines(&mut lines, &out);
        Ok(Segment { facts, lines })
    }
}

impl Fold {
    /// Adds a prefix behind the others.
    fn push(&mut self, first: u64, len: u8, location: Location) -> Result<(), BuildError> {
        if len > self.bits || u128::from(first) < self.next {
            return Err(BuildError::Places);
        }
        let size = 1_u128 << (self.bits - len);
        if !u128::from(first).is_multiple_of(size) || u128::from(first) + size > 1 << self.bits {
            return Err(BuildError::Places);
        }
        self.fill(first.into());
        self.add(len, location);
        // A tree that shares its branches can have more networks than there is memory for.
        if self.prefixes.len() > PREFIX_COUNT_MAX { Err(BuildError::TooLarge("the table of places")) } else { Ok(()) }
    }

    /// Covers the addresses up to `end`, which are nowhere, with as few prefixes as can be.
    fn fill(&mut self, end: u128) {
        while self.next < end {
            let aligned = self.next.trailing_zeros().min(self.bits.into());
            let size_bits = aligned.min((end - self.next).ilog2());
            self.add(self.bits - u8::try_from(size_bits).unwrap_or(self.bits), Location::default());
        }
    }

    /// Adds the prefix of this length that comes next, and joins halves that are at one place.
    fn add(&mut self, len: u8, location: Location) {
        let first = u64::try_from(self.next).unwrap_or(u64::MAX);
        self.next += 1 << (self.bits - len);
        self.prefixes.push((first, len, location));
        while let [.., (first, len, location), (_, last_len, last_location)] = self.prefixes[..]
            && (len, location) == (last_len, last_location)
            && first >> (self.bits - len) & 1 == 0
        {
            self.prefixes.truncate(self.prefixes.len() - 2);
            self.prefixes.push((first, len - 1, location));
        }
    }
}

impl<'v> Places<'v> {
    /// The name that the table has among zones, for whoever publishes or deletes it.
    #[must_use]
    pub fn apex() -> Name {
        Name::from_wire(PLACES_APEX).unwrap_or_else(|_| Name::root())
    }

    /// Reads the table in a segment.
    fn read(segment: &'v [u8]) -> Option<Places<'v>> {
        let count = |off| usize::try_from(u32_at(segment, off)?).ok().filter(|count| *count <= PREFIX_COUNT_MAX);
        let (ipv4_count, ipv6_count) = (count(IPV4_COUNT)?, count(IPV6_COUNT)?);
        let rest = segment.get(PREFIXES_OFF..)?;
        let (ipv4, rest) = rest.split_at_checked(ipv4_count * 4)?;
        let (ipv4_values, rest) = rest.split_at_checked(ipv4_count * VALUE_LEN)?;
        let (ipv6, rest) = rest.split_at_checked(ipv6_count * 8)?;
        let ipv6_values = rest.get(..ipv6_count * VALUE_LEN)?;
        Some(Places {
            ipv4: ipv4.as_chunks().0,
            ipv4_values: ipv4_values.as_chunks().0,
            ipv6: ipv6.as_chunks().0,
            ipv6_values: ipv6_values.as_chunks().0,
        })
    }

    /// Where an address is, and the length of the prefix for which that is so, in bits of the address as it was given: an
    /// address of IPv6 that stands for one of IPv4 is where that is, and its prefix is 96 bits longer. O(log prefixes).
    #[must_use]
    pub fn find(&self, address: IpAddr) -> (Location, u8) {
        match (address, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V4(address)) => self.find_ipv4(address.to_bits()),
            (_, IpAddr::V4(mapped)) => {
                let (location, len) = self.find_ipv4(mapped.to_bits());
                (location, MAPPED_LEN + len)
            }
            (_, IpAddr::V6(address)) => {
                let (location, len) = self.find_ipv6(address.to_bits());
                // A prefix that reaches around the addresses that stand for IPv4 does not hold for these.
                let common = (address.to_bits() ^ MAPPED_FIRST).leading_zeros();
                (location, len.max(u8::try_from(common + 1).unwrap_or(len)))
            }
        }
    }

    /// Where an address of IPv4 is.
    fn find_ipv4(&self, address: u32) -> (Location, u8) {
        let after = self.ipv4.partition_point(|first| u32::from_le_bytes(*first) <= address);
        known(self.ipv4_values, after)
    }

    /// Where an address of IPv6 is that stands for none of IPv4.
    fn find_ipv6(&self, address: u128) -> (Location, u8) {
        let (address, _) = halves(address);
        let after = self.ipv6.partition_point(|first| u64::from_le_bytes(*first) <= address);
        known(self.ipv6_values, after)
    }

    /// How many prefixes of IPv4 and of IPv6 it has.
    #[must_use]
    pub fn prefix_counts(&self) -> (usize, usize) {
        (self.ipv4.len(), self.ipv6.len())
    }
}

impl View {
    /// The table of places, if one was published. A hash and a probe.
    #[must_use]
    pub fn places(&self) -> Option<Places<'_>> {
        Places::read(self.places_segment()?)
    }

    /// What tells the table of places from others, if one was published. O(prefixes).
    #[must_use]
    pub fn places_digest(&self) -> Option<Digest> {
        self.places_segment().map(Digest::of)
    }
}

/// What is known of the prefix before a position.
fn known(values: &[[u8; VALUE_LEN]], after: usize) -> (Location, u8) {
    let value = after.checked_sub(1).and_then(|at| values.get(at));
    value.and_then(|value| read_value(*value)).unwrap_or_default()
}

/// The first and the last 64 bits of an address of IPv6.
fn halves(address: u128) -> (u64, u64) {
    let half = |value: u128| u64::try_from(value & u128::from(u64::MAX)).unwrap_or(0);
    (half(address >> 64), half(address))
}

/// Reads what is known of a prefix.
fn read_value([low, high, len, _]: [u8; VALUE_LEN]) -> Option<(Location, u8)> {
    Some((Location::from_number(u16::from_le_bytes([low, high]))?, len))
}

/// Checks a table: prefixes that cover all addresses, each once.
pub(super) fn verify_places(segment: &[u8]) -> Result<(), &'static str> {
    let head = segment.get(..PREFIXES_OFF).ok_or("header is cut")?;
    let is_named = NameRef::prefix_of(&head[header::APEX..]).is_ok_and(|apex| apex.as_wire() == PLACES_APEX);
    let places = Places::read(segment).filter(|_| is_named).ok_or("table of places is cut")?;
    let known = [header::KIND, header::APEX_LEN, header::APEX_LABELS];
    let is_set = |at: usize| {
        known.contains(&at)
            || (IPV4_COUNT..IPV4_COUNT + 4).contains(&at)
            || (IPV6_COUNT..IPV6_COUNT + 4).contains(&at)
            || (header::APEX..header::APEX + PLACES_APEX.len()).contains(&at)
    };
    let lens = (head[header::APEX_LEN], head[header::APEX_LABELS]);
    if head.iter().enumerate().any(|(at, octet)| *octet != 0 && !is_set(at)) || lens != (9, 1) {
        return Err("reserved bytes are set");
    }
    let ipv4 = places.ipv4.iter().map(|first| u64::from(u32::from_le_bytes(*first)));
    covers(ipv4, places.ipv4_values, IPV4_BITS)?;
    covers(places.ipv6.iter().map(|first| u64::from_le_bytes(*first)), places.ipv6_values, IPV6_BITS)?;
    let len = PREFIXES_OFF + places.ipv4.len() * (4 + VALUE_LEN) + places.ipv6.len() * (8 + VALUE_LEN);
    let padding = segment.get(len..).ok_or("table of places is cut")?;
    if padding.len() >= LINE_LEN || padding.iter().any(|octet| *octet != 0) {
        return Err("table of places is followed by something");
    }
    Ok(())
}

/// Checks that prefixes follow each other from the first address to the last.
fn covers(firsts: impl Iterator<Item = u64>, values: &[[u8; VALUE_LEN]], bits: u8) -> Result<(), &'static str> {
    let mut next = 0_u128;
    for (first, value) in firsts.zip(values) {
        let (_, len) = read_value(*value).filter(|(_, len)| *len <= bits && value[3] == 0).ok_or("prefix is none")?;
        let size = 1_u128 << (bits - len);
        if u128::from(first) != next || !next.is_multiple_of(size) {
            return Err("prefixes do not follow each other");
        }
        next += size;
    }
    if next == 1 << bits { Ok(()) } else { Err("prefixes do not cover all addresses") }
}

#[cfg(test)]
mod tests;
