//! Records and RRsets of the REST API: text to record and back, and JSON to drafts.
//!
//! The first byte of a record chooses the type. A list of RRsets is as JSON has it, for a domain that has one RRset.

use controlplane::rrset::canonical::canonical;
use controlplane::rrset::kinds::ACCEPTED;
use controlplane::rrset::{Limits, Method, Rules, bulk, item};
use snapshot::dns::rdata;
use snapshot::dns::rtype::Rtype;

/// Takes the bytes as a record: its canonical text is stable and means the same in a zone file.
pub(crate) fn check_record(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let rtype = ACCEPTED[usize::from(choice) % ACCEPTED.len()];
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let Ok(content) = canonical(rtype, text) else { return };
    assert_eq!(canonical(rtype, &content.text).as_ref(), Ok(&content), "{rtype} {text:?}");
    let read = rdata::parse_text(rtype, content.text.as_bytes(), None);
    assert_eq!(read.as_ref(), Ok(&content.rdata), "{rtype} {text:?}");
}

/// Takes the bytes as a body, of one RRset and of a list, for each method.
pub(crate) fn check_body(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice(bytes) else { return };
    let rules = Rules { domain: "example.com", ttl_secs_min: 3600, limits: Limits::HOSTING };
    for method in [Method::Post, Method::Put, Method::Patch] {
        let Ok(bulk) = bulk::read(&body, method, &rules) else { continue };
        let count = body.as_array().map_or(0, Vec::len);
        match bulk.settle(|_| vec![Rtype::TXT]) {
            Ok(drafts) => assert_eq!(drafts.len(), count, "a draft for each position"),
            Err(answer) => assert!(answer.as_array().is_some_and(|list| !list.is_empty()), "an answer that is a list"),
        }
    }
    for method in [Method::Put, Method::Patch] {
        if let Ok(draft) = item::change(&body, method, ("www", Rtype::A), &rules).and_then(item::Revision::settle) {
            assert_eq!((draft.subname.as_str(), draft.rtype), ("www", Rtype::A), "an RRset keeps its key");
        }
    }
    if let Ok(draft) = item::create(&body, &rules).and_then(|creation| creation.settle(&[Rtype::TXT])) {
        assert!(
            draft.ttl.is_some() && draft.records.is_some_and(|records| !records.is_empty()),
            "a new RRset is whole"
        );
    }
}
