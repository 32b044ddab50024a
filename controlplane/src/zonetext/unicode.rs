//! Names in other scripts than ASCII become A-labels (RFC 5891).
//!
//! A label of a zone file is a string of octets. One with octets above 127 that are UTF-8 is taken for text; what cannot be
//! an A-label stays as it is, for the rules of names to refuse.

use snapshot::dns::name::{LABEL_LEN_MAX, Name, NameRef};
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;

/// The name with A-labels; `None` if nothing changes.
pub(super) fn to_ascii(name: NameRef<'_>) -> Option<Name> {
    if name.as_wire().is_ascii() {
        return None;
    }
    let mut wire = Vec::with_capacity(name.as_wire().len());
    for label in name.labels() {
        let ascii = label_to_ascii(label);
        let label = ascii.as_deref().map_or(label, str::as_bytes);
        wire.push(u8::try_from(label.len()).ok()?);
        wire.extend_from_slice(label);
    }
    wire.push(0);
    Name::from_wire(&wire).ok()
}

/// RDATA whose names have A-labels; `None` if nothing changes.
pub(super) fn rdata_to_ascii(rtype: Rtype, rdata: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rdata.len());
    let mut copied = 0;
    for span in rdata::names(rtype, rdata) {
        let end = span.off + span.len;
        let name = rdata.get(span.off..end).and_then(|wire| NameRef::prefix_of(wire).ok());
        if let Some(ascii) = name.and_then(to_ascii) {
            out.extend_from_slice(rdata.get(copied..span.off)?);
            out.extend_from_slice(ascii.as_wire());
            copied = end;
        }
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(rdata.get(copied..)?);
    Some(out)
}

/// The A-label of a label; `None` if it is ASCII or cannot be one.
fn label_to_ascii(label: &[u8]) -> Option<String> {
    if label.is_ascii() {
        return None;
    }
    let ascii = idna::domain_to_ascii(std::str::from_utf8(label).ok()?).ok()?;
    // Some characters become dots, which would make two labels of one.
    let is_label = (1..=LABEL_LEN_MAX).contains(&ascii.len()) && !ascii.contains('.');
    is_label.then_some(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_a_labels_where_they_can() {
        for (text, expected) in [
            ("b\u{fc}cher.example.", Some("xn--bcher-kva.example.")),
            ("B\u{dc}CHER.WWW.", Some("xn--bcher-kva.WWW.")),
            ("_x.b\u{fc}cher.", Some("_x.xn--bcher-kva.")),
            ("_b\u{fc}.", Some("xn--_b-yka.")),
            ("a\u{3002}b.", Some("a\\227\\128\\130b.")),
            ("www.example.", None),
        ] {
            let name: Name = text.parse().unwrap();
            let shown = to_ascii(name.as_ref()).map(|name| name.to_string());
            assert_eq!(shown.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn all_names_of_rdata_are_looked_at() {
        let parse = |rtype, text: &str| rdata::parse_text(rtype, text.as_bytes(), None).unwrap();
        let converted = rdata_to_ascii(Rtype::RP, &parse(Rtype::RP, "b\u{fc}.a. x\u{fc}.b.")).unwrap();
        assert_eq!(converted, parse(Rtype::RP, "xn--b-eha.a. xn--x-eha.b."));
        let converted = rdata_to_ascii(Rtype::MX, &parse(Rtype::MX, "10 b\u{fc}.a.")).unwrap();
        assert_eq!(converted, parse(Rtype::MX, "10 xn--b-eha.a."));
        assert_eq!(rdata_to_ascii(Rtype::TXT, &parse(Rtype::TXT, "\"b\u{fc}.a.\"")), None);
        assert_eq!(rdata_to_ascii(Rtype::RP, &parse(Rtype::RP, "a. b.")), None);
    }
}
