//! Names: the forms of a name agree with each other.

use snapshot::dns::lookup_name::LookupName;
use snapshot::dns::name::{Name, NameRef};

/// Takes the bytes as wire format and as text.
pub(crate) fn check(bytes: &[u8]) {
    let mut lookup = LookupName::default();
    let assigned = lookup.assign(bytes);
    match NameRef::prefix_of(bytes) {
        Ok(name) => {
            assert_eq!(assigned, Some(name.as_wire().len()), "both readers take the same bytes");
            forms(name, &lookup);
            // A second name behind the first one gives something to compare with.
            if let Ok(other) = NameRef::prefix_of(&bytes[name.as_wire().len()..]) {
                order(name, other);
            }
        }
        Err(_) => assert_eq!(assigned, None, "both readers refuse the same bytes"),
    }
    let root = Name::root();
    for origin in [None, Some(root.as_ref())] {
        if let Ok(name) = Name::parse(bytes, origin) {
            round_trip(name.as_ref());
        }
    }
}

/// Compares a name with its lookup form.
fn forms(name: NameRef<'_>, lookup: &LookupName) {
    assert_eq!(lookup.as_wire(), name.to_name().to_canonical().as_wire());
    assert_eq!(lookup.label_count(), name.label_count());
    let mut above = Some(name);
    let mut labels = name.label_count();
    while let Some(ancestor) = above {
        assert!(lookup.suffix(labels).eq_ignore_ascii_case(ancestor.as_wire()));
        assert!(name.is_at_or_below(ancestor));
        above = ancestor.parent();
        labels = labels.saturating_sub(1);
    }
    round_trip(name);
}

/// Prints a name and reads it back.
fn round_trip(name: NameRef<'_>) {
    let text = name.to_string();
    let read = Name::parse(text.as_bytes(), None).expect("what is printed can be read");
    assert_eq!(read.as_wire(), name.as_wire(), "{text}");
}

/// Compares two names label by label from the root, and by their sort keys (RFC 4034 section 6.1).
fn order(a: NameRef<'_>, b: NameRef<'_>) {
    let labels = |name: NameRef<'_>| {
        let mut labels: Vec<_> = name.labels().map(<[u8]>::to_ascii_lowercase).collect();
        labels.reverse();
        labels
    };
    let key = |name: NameRef<'_>| {
        let mut key = Vec::new();
        name.push_sort_key(&mut key);
        key
    };
    assert_eq!(labels(a).cmp(&labels(b)), key(a).cmp(&key(b)), "{a} and {b}");
}
