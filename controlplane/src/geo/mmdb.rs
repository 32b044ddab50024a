//! A database of places (MaxMind DB format) becomes the table that is published.
//!
//! Of each network only country and continent are kept: the country it is used in, or else the one it is registered in.
//! Makers of databases put the codes into fields of their own; those of the usual free ones are known here ([`Entry`]).
//! Networks that lie together and have the same become one. It is read whole, so that a change of the file meanwhile does
//! no harm. Invariant: a file that tells nobody's place is refused, not taken for a world without places.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use maxminddb::{LookupResult, MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;
use snapshot::dns::region::Location;
use snapshot::image::{BuildError, PlacesBuilder, Segment};

/// The largest file in bytes; those of cities have some 120 MB.
const FILE_LEN_MAX: u64 = 1 << 30;

/// Why a file is no table of places.
#[derive(Debug, thiserror::Error)]
pub enum MmdbError {
    /// It cannot be read.
    #[error("reading {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It is no such database.
    #[error("{path} is no database of places (MaxMind DB): {cause}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: Box<MaxMindDbError>,
    },
    /// It is one, of something else.
    #[error(
        "{path} has no codes of countries or continents: its records have {found}, and what is read are {}",
        KNOWN_FIELDS.join(", ")
    )]
    Fields {
        /// The file.
        path: PathBuf,
        /// What the first record has.
        found: String,
    },
    /// Its networks make no table.
    #[error("{path}: {cause}")]
    Build {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: BuildError,
    },
}

/// The fields that are looked at.
const KNOWN_FIELDS: [&str; 8] = [
    "country.iso_code",
    "country_code",
    "country",
    "registered_country.iso_code",
    "registered_country",
    "continent.code",
    "continent_code",
    "continent",
];
/// How many fields an error names.
const FIELDS_SHOWN_MAX: usize = 12;

/// What a record can say of a place. GeoLite2 and the free databases of DB-IP and IP2Location have maps with codes; those of
/// ipinfo.io and those made of public registries have the codes themselves.
#[derive(Deserialize)]
struct Entry<'r> {
    /// The country it is used in.
    #[serde(borrow)]
    country: Option<Field<'r>>,
    /// The same, where `country` may be a name.
    #[serde(borrow)]
    country_code: Option<Field<'r>>,
    /// The country it is registered in.
    #[serde(borrow)]
    registered_country: Option<Field<'r>>,
    /// The continent.
    #[serde(borrow)]
    continent: Option<Field<'r>>,
    /// The same, where `continent` may be a name.
    #[serde(borrow)]
    continent_code: Option<Field<'r>>,
}

/// A country or a continent.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field<'r> {
    /// A code, or a name.
    Text(&'r str),
    /// A map with the code.
    Codes {
        /// That of a country.
        iso_code: Option<&'r str>,
        /// That of a continent.
        code: Option<&'r str>,
    },
    /// Something else, which says nothing here.
    Other(IgnoredAny),
}

/// How many networks are read: the largest databases of cities have some ten million.
const NETWORK_COUNT_MAX: usize = 1 << 25;

/// Reads a file. O(networks); a database of countries takes about a second.
///
/// # Errors
/// [`MmdbError`].
pub fn places(file: &Path) -> Result<Segment, MmdbError> {
    let octets = read(file).map_err(|cause| MmdbError::Read { path: file.to_owned(), cause })?;
    let format = |cause: MaxMindDbError| MmdbError::Format { path: file.to_owned(), cause: Box::new(cause) };
    let build = |cause| MmdbError::Build { path: file.to_owned(), cause };
    let reader = Reader::from_source(octets).map_err(format)?;
    let mut builder = PlacesBuilder::default();
    // Many networks have the same record, so each is read once.
    let mut known: HashMap<usize, Location> = HashMap::new();
    let (mut is_placed, mut first) = (false, None);
    for (count, network) in reader.networks(WithinOptions::default()).map_err(format)?.enumerate() {
        if count >= NETWORK_COUNT_MAX {
            return Err(build(BuildError::TooLarge("the table of places")));
        }
        let network = network.map_err(format)?;
        let location = match network.offset().and_then(|offset| known.get(&offset).copied()) {
            Some(location) => location,
            None => {
                let location = location(&network).map_err(format)?;
                network.offset().map(|offset| known.insert(offset, location));
                location
            }
        };
        let prefix = network.network().map_err(format)?;
        builder.push(prefix.ip(), prefix.prefix(), location).map_err(build)?;
        is_placed |= location != Location::default();
        first = first.or(Some(network));
    }
    if let Some(first) = first.filter(|_| !is_placed) {
        return Err(MmdbError::Fields { path: file.to_owned(), found: fields(&first).map_err(format)? });
    }
    builder.finish().map_err(build)
}

/// What a record says. Of several codes the first one counts that is one: free databases have `-` and names in such fields too.
fn location(network: &LookupResult<'_, Vec<u8>>) -> Result<Location, MaxMindDbError> {
    let Some(entry) = network.decode::<Entry<'_>>()? else { return Ok(Location::default()) };
    let countries = [&entry.country, &entry.country_code, &entry.registered_country].map(|field| match field {
        Some(Field::Text(code)) => Some(*code),
        Some(Field::Codes { iso_code, .. }) => *iso_code,
        Some(Field::Other(_)) | None => None,
    });
    let continents = [&entry.continent, &entry.continent_code].map(|field| match field {
        Some(Field::Text(code)) => Some(*code),
        Some(Field::Codes { code, .. }) => *code,
        Some(Field::Other(_)) | None => None,
    });
    let is_country = |code: &&str| Location::new(Some(code), None) != Location::default();
    let is_continent = |code: &&str| Location::new(None, Some(code)) != Location::default();
    let country = countries.into_iter().flatten().find(is_country);
    Ok(Location::new(country, continents.into_iter().flatten().find(is_continent)))
}

/// The names of the fields of a record, for people.
fn fields(network: &LookupResult<'_, Vec<u8>>) -> Result<String, MaxMindDbError> {
    let fields = network.decode::<BTreeMap<String, IgnoredAny>>()?.unwrap_or_default();
    let names: Vec<String> = fields.into_keys().take(FIELDS_SHOWN_MAX).map(|name| format!("{name:?}")).collect();
    Ok(if names.is_empty() { "no fields".to_owned() } else { names.join(", ") })
}

/// The whole file.
fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let len = File::open(file)?.take(FILE_LEN_MAX + 1).read_to_end(&mut octets)?;
    if len as u64 > FILE_LEN_MAX {
        return Err(std::io::Error::other(format!("longer than {FILE_LEN_MAX} bytes")));
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use snapshot::image::{Generation, PackFile, View};

    use super::super::testing::mmdb;
    use super::*;

    /// A view of the table made of a file.
    fn view(octets: &[u8]) -> Result<View, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("places.mmdb");
        std::fs::write(&file, octets).unwrap();
        let segment = places(&file).map_err(|error| error.to_string().replace(&*file.to_string_lossy(), "FILE"))?;
        let pack = PackFile::encode(vec![segment]).unwrap().open().unwrap();
        Ok(View::assemble(Generation(1), vec![Arc::new(pack)]).unwrap())
    }

    #[test]
    fn each_network_is_where_the_database_says() {
        let octets = mmdb(&[
            ("198.18.0.0/16", "US", "NA"),
            ("198.19.0.0/17", "DE", "EU"),
            ("198.19.128.0/18", "DE", "EU"),
            ("198.20.0.0/24", "r:FR", "EU"),
            ("198.20.1.0/24", "f:BR", "SA"),
            ("198.20.2.0/24", "t:CL", "SA"),
            ("198.20.3.0/24", "n:PE", "SA"),
            ("198.20.4.0/24", "t:-", "-"),
            ("2001:db8::/32", "JP", "AS"),
        ]);
        let view = view(&octets).unwrap();
        let reader = Reader::from_source(octets).unwrap();
        for (address, expected) in [
            ("198.18.255.1", "US continent:NA /16"),
            ("198.19.0.1", "DE EU /17"),
            ("198.19.130.1", "DE EU /18"),
            ("198.19.200.1", "default default /18"),
            ("198.20.0.9", "FR EU /24"),
            ("198.20.1.9", "BR continent:SA /24"),
            ("198.20.2.9", "CL continent:SA /24"),
            ("198.20.3.9", "PE continent:SA /24"),
            ("198.20.4.9", "default default /"),
            ("2001:db8:7::1", "JP continent:AS /32"),
            ("2001:db9::1", "default default /32"),
            ("::1", "default default /"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let (location, len) = view.places().unwrap().find(address);
            let shown = format!("{} {} /{len}", location.country(), location.continent());
            assert!(shown.starts_with(expected), "{address}: {shown}");
            // The reader of the format finds the same place.
            assert_eq!(super::location(&reader.lookup(address).unwrap()).unwrap(), location, "{address}");
        }
    }

    #[test]
    fn a_database_of_something_else_is_refused_and_its_fields_are_named() {
        let refused = view(&mmdb(&[("198.18.0.0/16", "a:64500", "Example")])).err().unwrap();
        assert_eq!(
            refused,
            "FILE has no codes of countries or continents: its records have \"as_name\", \"asn\", and what is read are \
             country.iso_code, country_code, country, registered_country.iso_code, registered_country, continent.code, \
             continent_code, continent"
        );
        let refused = view(&mmdb(&[("198.18.0.0/16", "t:Brazil", "South America")])).err().unwrap();
        assert!(refused.contains("its records have \"continent\", \"country\", and"), "{refused}");
        // One that has nothing yet is none of something else.
        assert!(view(&mmdb(&[])).is_ok());
    }

    #[test]
    fn what_is_no_database_is_refused_and_nothing_panics() {
        assert!(view(b"").err().unwrap().starts_with("FILE is no database of places (MaxMind DB): "));
        assert!(places(Path::new("/nonexistent")).err().unwrap().to_string().starts_with("reading /nonexistent: "));
        let sound = mmdb(&[("198.18.0.0/16", "US", "NA"), ("2001:db8::/32", "JP", "AS")]);
        for len in (0..sound.len()).step_by(7) {
            drop(view(&sound[..len]));
        }
    }
}
