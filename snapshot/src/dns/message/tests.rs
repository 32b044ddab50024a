//! Tests of reading and writing messages.

use super::*;
use crate::dns::name::NameError;
use crate::dns::rdata::{self, RdataError};

/// A header with these counts, then `body`.
fn message(counts: [u16; 4], body: &[u8]) -> Vec<u8> {
    let mut octets = vec![0xab, 0xcd, 0x84, 0x00];
    octets.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
    octets.extend_from_slice(body);
    octets
}

/// The error of a message that cannot be read.
fn error(octets: &[u8]) -> MessageError {
    Message::from_wire(octets).unwrap_err()
}

#[test]
fn a_query_is_read_as_it_was_written() {
    let qname: Name = "WwW.example.".parse().unwrap();
    let edns = Edns {
        payload_len: 1232,
        rcode_high: 0,
        version: 0,
        flags: Edns::DO,
        options: vec![EdnsOption { code: 3, value: Vec::new() }, EdnsOption { code: 10, value: b"12345678".to_vec() }],
    };
    for edns in [None, Some(edns)] {
        let query = Query {
            id: 7,
            flags: Flags::RD | Flags::CD,
            qname: qname.as_ref(),
            qtype: Rtype::AAAA,
            qclass: Class::IN,
            edns: edns.clone(),
        };
        let read = Message::from_wire(&query.to_wire().unwrap()).unwrap();
        assert_eq!(read.header, Header { id: 7, flags: Flags(0x0110) });
        assert_eq!(read.questions.len(), 1);
        assert_eq!(read.questions[0].qname.as_wire(), qname.as_wire());
        assert_eq!((read.questions[0].qtype, read.questions[0].qclass), (Rtype::AAAA, Class::IN));
        assert_eq!(read.edns, edns);
        assert!(read.answers.is_empty() && read.authorities.is_empty() && read.additionals.is_empty());
    }
}

#[test]
fn too_many_options_are_an_error() {
    let option = EdnsOption { code: 12, value: vec![0; 40_000] };
    let edns = Edns { payload_len: 512, rcode_high: 0, version: 0, flags: 0, options: vec![option.clone(), option] };
    let qname = Name::root();
    let query = Query {
        id: 0,
        flags: Flags::NONE,
        qname: qname.as_ref(),
        qtype: Rtype::NS,
        qclass: Class::IN,
        edns: Some(edns),
    };
    assert_eq!(query.to_wire(), Err(OptionsTooLong));
}

#[test]
fn sections_are_read_with_names_expanded() {
    let octets = message(
        [1, 1, 1, 2],
        b"\x07example\0\0\x0f\0\x01\
          \xc0\x0c\0\x0f\0\x01\0\0\x0e\x10\0\x07\0\x0a\x02mx\xc0\x0c\
          \xc0\x0c\0\x02\0\x01\0\0\x0e\x10\0\x02\xc0\x27\
          \xc0\x27\0\x01\0\x01\0\0\x0e\x10\0\x04\x0a\0\0\x01\
          \0\0\x29\x04\xd0\x01\0\x80\0\0\0",
    );
    let read = Message::from_wire(&octets).unwrap();
    assert_eq!(read.header.flags, Flags::QR | Flags::AA);
    assert_eq!(read.header.opcode(), Opcode::QUERY);
    assert_eq!(read.rcode(), Rcode::BADVERS);
    let text = |resource: &Resource| {
        let Resource { owner, rtype, class, ttl_secs, rdata } = resource;
        format!("{owner} {ttl_secs} {class} {rtype} {}", rdata::Text { rtype: *rtype, rdata })
    };
    assert_eq!(text(&read.answers[0]), "example. 3600 IN MX 10 mx.example.");
    assert_eq!(text(&read.authorities[0]), "example. 3600 IN NS mx.example.");
    assert_eq!(text(&read.additionals[0]), "mx.example. 3600 IN A 10.0.0.1");
    assert_eq!(read.additionals.len(), 1);
    assert_eq!(read.edns.unwrap().payload_len, 1232);
}

#[test]
fn counts_that_lie_are_errors() {
    assert_eq!(error(&message([0xffff; 4], b"")), MessageError::Name { off: 12, error: NameError::Short });
    assert_eq!(error(&message([1, 0, 0, 0], b"\0\0\x01\0")), MessageError::Short);
    assert_eq!(error(&message([0, 0, 0, 0], b"\0")), MessageError::Trailing);
    assert_eq!(error(b"\0\x01\0\0\0\0\0\0\0\0\0"), MessageError::Short);
    assert_eq!(error(&message([0, 1, 0, 0], b"\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03")), MessageError::Short);
}

#[test]
fn pointers_in_rdata_are_expanded_only_where_receivers_must() {
    let record = |rtype: u8, rdata: &[u8]| {
        let mut body = b"\x01a\0\0\x01\0\x01".to_vec();
        body.extend_from_slice(&[0, 0, rtype, 0, 1, 0, 0, 0, 0, 0, u8::try_from(rdata.len()).unwrap()]);
        body.extend_from_slice(rdata);
        message([1, 1, 0, 0], &body)
    };
    // NS, RP and SRV are in the list of RFC 3597 section 4; DNAME, NSEC and HTTPS are not.
    for (rtype, rdata) in [(2, &b"\xc0\x0c"[..]), (17, b"\xc0\x0c\xc0\x0c"), (33, b"\0\0\0\0\0\0\xc0\x0c")] {
        let read = Message::from_wire(&record(rtype, rdata)).unwrap();
        assert!(read.answers[0].rdata.ends_with(b"\x01a\0"), "{rtype}");
    }
    for (rtype, rdata) in [(39, &b"\xc0\x0c"[..]), (47, b"\xc0\x0c\0\x01\x40"), (65, b"\0\x01\xc0\x0c")] {
        let expected = RdataError::Name(NameError::LabelType(0xc0));
        assert_eq!(
            error(&record(rtype, rdata)),
            MessageError::Rdata { off: 30, rtype: Rtype(rtype.into()), error: expected }
        );
    }
    // The name's own part may not leave the RDATA, nor may octets be left over.
    for (rdata, expected) in [
        (&b"\xc0"[..], RdataError::Name(NameError::Short)),
        (b"\x01a", RdataError::Name(NameError::Short)),
        (b"\xc0\x1e", RdataError::Name(NameError::LabelType(0xc0))),
        (b"\xc0\x0c\0", RdataError::Trailing),
        (b"", RdataError::Name(NameError::Short)),
    ] {
        assert_eq!(error(&record(2, rdata)), MessageError::Rdata { off: 30, rtype: Rtype::NS, error: expected });
    }
}

#[test]
fn opt_is_one_and_at_the_root_in_the_additional_section() {
    let opt = b"\0\0\x29\x02\0\0\0\0\0\0\0";
    assert_eq!(error(&message([0, 0, 0, 2], &opt.repeat(2))), MessageError::Opt);
    assert_eq!(error(&message([0, 1, 0, 0], opt)), MessageError::Opt);
    assert_eq!(error(&message([0, 0, 0, 1], b"\x01a\0\0\x29\x02\0\0\0\0\0\0\0")), MessageError::Opt);
    let cut = MessageError::Rdata { off: 23, rtype: Rtype::OPT, error: RdataError::Short };
    assert_eq!(error(&message([0, 0, 0, 1], b"\0\0\x29\x02\0\0\0\0\0\0\x03\0\x0a\0")), cut);
    assert_eq!(error(&message([0, 0, 0, 1], b"\0\0\x29\x02\0\0\0\0\0\0\x05\0\x0a\0\x02x")), cut);
}

#[test]
fn an_update_names_rrsets_without_rdata() {
    let update = message([0, 0, 1, 0], b"\x01a\0\0\x01\0\xff\0\0\0\0\0\0");
    assert_eq!(Message::from_wire(&update).unwrap().authorities[0].rdata, b"");
    let bad = message([0, 0, 1, 0], b"\x01a\0\0\x01\0\x01\0\0\0\0\0\0");
    assert_eq!(error(&bad), MessageError::Rdata { off: 25, rtype: Rtype::A, error: RdataError::Short });
}

#[test]
fn no_cut_or_flipped_octet_upsets_the_reader() {
    let octets = message(
        [1, 1, 0, 1],
        b"\x07example\0\0\x0f\0\x01\xc0\x0c\0\x0f\0\x01\0\0\x0e\x10\0\x07\0\x0a\x02mx\xc0\x0c\0\0\x29\x04\xd0\0\0\x80\0\0\0",
    );
    assert!(Message::from_wire(&octets).is_ok());
    for len in 0..octets.len() {
        assert!(Message::from_wire(&octets[..len]).is_err(), "{len}");
    }
    for off in 0..octets.len() {
        for value in 0..=u8::MAX {
            let mut changed = octets.clone();
            changed[off] = value;
            if let Ok(read) = Message::from_wire(&changed) {
                assert!(read.questions.len() + read.answers.len() + read.additionals.len() <= 3);
            }
        }
    }
}
