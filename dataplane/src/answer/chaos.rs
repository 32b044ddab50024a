//! Questions about the server itself, in class CH (RFC 4892).

use snapshot::dns::class::Class;
use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::rtype::Rtype;

use super::Settings;
use crate::wire::{Query, Rcode, Section, Writer};

/// The names under which the version is asked for.
const VERSION_NAMES: [&[u8]; 2] = [b"\x07version\x04bind\0", b"\x07version\x06server\0"];
/// The names under which the server's own name is asked for: what NSID says.
const ID_NAMES: [&[u8]; 2] = [b"\x08hostname\x04bind\0", b"\x02id\x06server\0"];

/// Whether a name is one that servers answer in class CH, if their operators want to.
pub(super) fn is_known(name: &LookupName) -> bool {
    VERSION_NAMES.iter().chain(&ID_NAMES).any(|known| *known == name.as_wire())
}

/// Answers `version.bind. TXT`, `version.server. TXT`, `hostname.bind. TXT` and `id.server. TXT` if the operator set a
/// text; refuses everything else. AA stays clear: nobody delegated these names to us.
pub(super) fn answer(settings: &Settings, query: &Query, name: &LookupName, writer: &mut Writer<'_>) -> Rcode {
    let text = match name.as_wire() {
        name if VERSION_NAMES.contains(&name) => &settings.version,
        name if ID_NAMES.contains(&name) => &settings.nsid,
        _ => &None,
    };
    let Some(text) = text else { return Rcode::Refused };
    if query.qtype != Rtype::TXT && query.qtype != Rtype::ANY {
        return Rcode::NoError;
    }
    let text = text.as_bytes();
    let text = text.get(..255).unwrap_or(text);
    let text_len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    let mut record = [0; 13 + 255];
    record[..2].copy_from_slice(&[0xc0, 12]);
    record[2..4].copy_from_slice(&Rtype::TXT.0.to_be_bytes());
    record[4..6].copy_from_slice(&Class::CH.0.to_be_bytes());
    record[10..12].copy_from_slice(&(u16::from(text_len) + 1).to_be_bytes());
    record[12] = text_len;
    record[13..13 + text.len()].copy_from_slice(text);
    if writer.put(Section::Answer, &record[..13 + text.len()], 1).is_none() {
        writer.truncated = true;
    }
    Rcode::NoError
}
