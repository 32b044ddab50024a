//! A database of places (MaxMind DB format) becomes the table that is published.
//!
//! Of each network only country and continent are kept: the country it is used in, or else the one it is registered in.
//! Networks that lie together and have the same become one. It is read whole, so that a change of the file meanwhile does
//! no harm.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions, path};
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
    /// Its networks make no table.
    #[error("{path}: {cause}")]
    Build {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: BuildError,
    },
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
    }
    builder.finish().map_err(build)
}

/// What a record says, in the form of MaxMind or flat, as others have it.
fn location(network: &LookupResult<'_, Vec<u8>>) -> Result<Location, MaxMindDbError> {
    let (country, registered) = (path!["country", "iso_code"], path!["registered_country", "iso_code"]);
    let (continent, flat, flat_continent) =
        (path!["continent", "code"], path!["country_code"], path!["continent_code"]);
    let first = |paths: &[&[PathElement<'_>]]| {
        let mut found = paths.iter().map(|path| network.decode_path::<&str>(path)).filter_map(Result::transpose);
        found.next().transpose()
    };
    Ok(Location::new(first(&[&country, &registered, &flat])?, first(&[&continent, &flat_continent])?))
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
    fn what_is_no_database_is_refused_and_nothing_panics() {
        assert!(view(b"").err().unwrap().starts_with("FILE is no database of places (MaxMind DB): "));
        assert!(places(Path::new("/nonexistent")).err().unwrap().to_string().starts_with("reading /nonexistent: "));
        let sound = mmdb(&[("198.18.0.0/16", "US", "NA"), ("2001:db8::/32", "JP", "AS")]);
        for len in (0..sound.len()).step_by(7) {
            drop(view(&sound[..len]));
        }
    }
}
