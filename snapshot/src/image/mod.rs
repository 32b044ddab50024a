//! The snapshot files: how zones are compiled into them, authenticated, loaded and looked up.
//!
//! `FORMAT.md` beside this crate is the specification of the bytes; this module is its only implementation. It knows no
//! directory (see `handover`) and composes no message (see the data plane's `answer`). Invariants: a file is never
//! changed after it was written; what was loaded was authenticated, verified and copied into memory of our own, so a
//! lookup cannot meet a malformed byte.
//!
//! The way up: [`Segment::build`] compiles one zone, [`PackFile::encode`] puts segments into a file, [`Manifest`] lists
//! the packs of a generation. The way down: [`Pack::load`] checks a file, [`View::follow`] makes zones findable.

mod buckets;
mod build;
mod bytes;
mod chain;
mod choice;
mod chunked;
mod denial;
mod digest;
mod file;
mod hash;
mod layout;
mod line;
mod links;
mod lookup;
mod manifest;
mod node;
mod order;
mod overlay;
mod pack;
mod pairing;
mod places;
mod prefetch;
mod render;
mod sign;
mod succession;
mod verify;
mod verify_denial;
mod view;
mod zoneref;

#[cfg(test)]
mod tests;

pub use build::{BaseFacts, BuildError, Segment};
pub use choice::Choices;
pub use denial::{Chain, Denial, Hashed, HashedChain};
pub use digest::{Digest, ParseDigestError};
pub use file::{FileKind, LoadError};
pub use lookup::{Encloser, Found, NameHashes, Zone};
pub use manifest::{Generation, Manifest, PackRef};
pub use node::{Node, RrsetBody};
pub use overlay::{Laid, OVERLAY_NODES_MAX, OverlayBuilder, OverlayError, ReadError, Touched, ZoneReader};
pub use pack::{Copied, PACK_LEN_MAX, Pack, PackFile, ZoneCounts, ZoneFacts};
pub use places::{Places, PlacesBuilder};
pub use sign::{KeyError, PublicKey, SigningKey, Trust};
pub use view::{View, ZoneId};
