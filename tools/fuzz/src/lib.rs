//! What the fuzz targets check, one module per target.
//!
//! A check takes any bytes and panics if a promise is broken; an input that is refused is fine. Nothing here writes to
//! the file system, reads a clock or draws random numbers, so that every finding can be replayed.

mod ask;
mod exchange;
mod key;
mod manifest;
mod memory;
mod name;
mod opt;
mod packet;
mod rdata;
mod rrset;
mod segment;
mod zone_file;

/// What a target does with an input.
pub type Check = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Check); 11] = [
    ("key", key::check),
    ("manifest", manifest::check),
    ("name", name::check),
    ("opt", opt::check),
    ("packet", packet::check),
    ("rdata_text", rdata::check_text),
    ("rdata_wire", rdata::check_wire),
    ("record", rrset::check_record),
    ("rrset_json", rrset::check_body),
    ("segment", segment::check),
    ("zone_file", zone_file::check),
];

/// The check of a target.
#[must_use]
pub fn check_of(target: &str) -> Option<Check> {
    TARGETS.iter().find(|(name, _)| *name == target).map(|(_, check)| *check)
}
