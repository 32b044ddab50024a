//! Parts of the world: which of them a record is meant for, and where a client is.
//!
//! It knows no addresses; what says where an address is comes from elsewhere (`image::places`). Invariant: a [`Location`]
//! has at most 13 bits, of which ten are a country and three a continent. Codes of countries are those of ISO 3166-1, those
//! of continents the usual ones of two letters.

use std::fmt;

/// Bits of a location that are its country.
const COUNTRY_BITS: u16 = 10;
/// Letters of the alphabet.
const LETTERS: u16 = 26;
/// What is written in front of a continent whose code is a country's as well.
const CONTINENT_PREFIX: &str = "continent:";
/// The continents; a continent's number is its place here, from 1.
const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];
/// Those whose code is no country's: Africa is not Afghanistan, but there is no country EU.
const PLAIN_CONTINENTS: [&str; 3] = ["AN", "EU", "OC"];

/// What a record is meant for: a country, a continent, or what has no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Region(u16);

/// Where a client is: its country and its continent, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Location(u16);

impl Region {
    /// Everywhere where no other record is meant for.
    pub const DEFAULT: Region = Region(0);

    /// Reads `DE`, `EU` or `continent:NA`, without regard to case; nothing, `default` and `*` are [`Region::DEFAULT`].
    /// `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Region> {
        let text = text.trim().to_ascii_uppercase();
        if matches!(&*text, "" | "DEFAULT" | "*") {
            return Some(Region::DEFAULT);
        }
        let prefix = CONTINENT_PREFIX.to_ascii_uppercase();
        match text.strip_prefix(&prefix) {
            Some(code) => continent(code).map(|number| Region(number << COUNTRY_BITS)),
            None if PLAIN_CONTINENTS.contains(&&*text) => continent(&text).map(|number| Region(number << COUNTRY_BITS)),
            None => country(&text).map(Region),
        }
    }

    /// Its number in snapshots.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The region of a number; `None` if it has none.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Region> {
        let location = Location::from_number(number)?;
        let is_one = location.country() == Region::DEFAULT || location.continent() == Region::DEFAULT;
        is_one.then_some(Region(number))
    }
}

/// Writes what [`Region::parse`] reads.
impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = usize::from(self.0 >> COUNTRY_BITS);
        if let Some(code) = number.checked_sub(1).and_then(|idx| CONTINENTS.get(idx)) {
            let prefix = if PLAIN_CONTINENTS.contains(code) { "" } else { CONTINENT_PREFIX };
            return write!(f, "{prefix}{code}");
        }
        let Some(country) = self.0.checked_sub(1) else { return f.write_str("default") };
        let letter = |value: u16| char::from(b'A' + u8::try_from(value % LETTERS).unwrap_or(0));
        write!(f, "{}{}", letter(country / LETTERS), letter(country))
    }
}

impl Location {
    /// A place by the codes of its country and its continent; a code that is none says nothing.
    #[must_use]
    pub fn new(country_code: Option<&str>, continent_code: Option<&str>) -> Location {
        let country = country_code.and_then(country).unwrap_or(0);
        let continent = continent_code.and_then(continent).unwrap_or(0);
        Location(continent << COUNTRY_BITS | country)
    }

    /// Its country; [`Region::DEFAULT`] if that is not known.
    #[must_use]
    pub fn country(self) -> Region {
        Region(self.0 & ((1 << COUNTRY_BITS) - 1))
    }

    /// Its continent; [`Region::DEFAULT`] if that is not known.
    #[must_use]
    pub fn continent(self) -> Region {
        Region(self.0 & !((1 << COUNTRY_BITS) - 1))
    }

    /// Its number in snapshots.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// The place of a number; `None` if it has none.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Location> {
        let country = number & ((1 << COUNTRY_BITS) - 1);
        let is_fine = country <= LETTERS * LETTERS && usize::from(number >> COUNTRY_BITS) <= CONTINENTS.len();
        is_fine.then_some(Location(number))
    }
}

/// The number of a country by its two letters, from 1.
fn country(code: &str) -> Option<u16> {
    let [first, second] = *code.as_bytes() else { return None };
    let letter = |octet: u8| {
        let octet = octet.to_ascii_uppercase();
        octet.is_ascii_uppercase().then(|| u16::from(octet - b'A'))
    };
    Some(1 + letter(first)? * LETTERS + letter(second)?)
}

/// The number of a continent by its two letters, from 1.
fn continent(code: &str) -> Option<u16> {
    let idx = CONTINENTS.iter().position(|known| known.eq_ignore_ascii_case(code))?;
    u16::try_from(idx + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a region and writes it again.
    fn check(text: &str, expected: Option<&str>) {
        let region = Region::parse(text);
        assert_eq!(region.map(|region| region.to_string()).as_deref(), expected, "{text}");
        if let Some(region) = region {
            assert_eq!(Region::parse(&region.to_string()), Some(region), "{text}");
            assert_eq!(Region::from_number(region.number()), Some(region), "{text}");
        }
    }

    #[test]
    fn regions_are_countries_continents_or_the_default() {
        check("US", Some("US"));
        check(" de ", Some("DE"));
        check("ZZ", Some("ZZ"));
        check("AA", Some("AA"));
        check("NA", Some("NA"));
        check("continent:na", Some("continent:NA"));
        check("continent:EU", Some("EU"));
        check("eu", Some("EU"));
        for text in ["", "default", "*"] {
            check(text, Some("default"));
        }
        for text in ["USA", "U", "1A", "continent:US", "continent:", "É"] {
            check(text, None);
        }
    }

    #[test]
    fn a_location_has_a_country_and_a_continent_as_far_as_they_are_known() {
        let berlin = Location::new(Some("DE"), Some("EU"));
        assert_eq!((Some(berlin.country()), Some(berlin.continent())), (Region::parse("DE"), Region::parse("EU")));
        let windhoek = Location::new(Some("na"), Some("af"));
        assert_eq!(windhoek.country().to_string(), "NA");
        assert_eq!(windhoek.continent().to_string(), "continent:AF");
        assert_eq!(Location::new(Some("?"), None), Location::default());
        assert_eq!(Location::from_number(berlin.number()), Some(berlin));
        assert_eq!(Location::from_number(u16::MAX), None);
        assert_eq!(Location::from_number(1023), None);
        assert_eq!(Region::from_number(berlin.number()), None);
    }
}
