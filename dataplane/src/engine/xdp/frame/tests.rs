//! Frames of queries by hand, and what comes of them.

use super::*;

/// A query as a frame: from 192.0.2.1 port 51200 to 192.0.2.53 port 53, with `tag` or not.
fn frame_v4(tag: &[u8], payload: &[u8]) -> Vec<u8> {
    let total_len = u16::try_from(28 + payload.len()).unwrap().to_be_bytes();
    let udp_len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let mut header = [&[0x45, 0x20], &total_len[..], &[7, 7, 0, 0, 3, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 53]].concat();
    let check = checksum(sum(&header)).to_ne_bytes();
    header[10..12].copy_from_slice(&check);
    let udp = [&[200, 0, 0, 53], &udp_len[..], &[0xab, 0xcd], payload].concat();
    [b"SERVERclient", tag, &[8, 0], &header[..], &udp[..]].concat()
}

/// The same from 2001:db8::1 to 2001:db8::53.
fn frame_v6(tag: &[u8], payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let mut header = [&[0x6a, 0xbc, 0xde, 0xf0], &udp_len[..], &[17, 3]].concat();
    for last in [1, 0x53] {
        header.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    let udp = [&[200, 0, 0, 53], &udp_len[..], &[0xab, 0xcd], payload].concat();
    [b"SERVERclient", tag, &[0x86, 0xdd], &header[..], &udp[..]].concat()
}

/// A tag of VLAN 5.
const TAG: &[u8] = &[0x81, 0, 0, 5];

/// One's complement sum of `bytes` by the book, 16 bits at a time.
fn plain_sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    words.fold(0, |sum, word| (sum + word) % 0xffff)
}

/// Answers `frame` with `text` and checks everything that a receiver would.
fn check_reply(frame: &[u8], text: &[u8]) -> Vec<u8> {
    let layout = parse(frame).unwrap();
    let mut chunk = frame.to_vec();
    // What lay in the chunk before must not leave.
    chunk.resize(1792, 0xee);
    chunk[layout.payload_off..][..text.len()].copy_from_slice(text);
    let len = reply(&mut chunk, &layout, text.len()).unwrap();
    let sent = &chunk[..len];
    assert!(len >= 60 && !sent.contains(&0xee));
    assert_eq!(&sent[..12], b"clientSERVER");
    assert_eq!(sent[12..layout.ip_off], frame[12..layout.ip_off], "type and tag stay");
    let (ip, end) = (&sent[layout.ip_off..], layout.payload_off + text.len() - layout.ip_off);
    let addresses = if layout.client.is_ipv4() { &ip[12..20] } else { &ip[8..40] };
    let udp = &ip[layout.payload_off - 8 - layout.ip_off..end];
    let pseudo = [addresses, &[0, 17], &udp[4..6]].concat();
    assert_eq!((plain_sum(&pseudo) + plain_sum(udp)) % 0xffff, 0, "UDP checksum");
    assert_ne!(udp[6..8], [0, 0]);
    assert_eq!((&udp[..4], &udp[8..]), (&[0, 53, 200, 0][..], text));
    assert_eq!(usize::from(number(udp, 4).unwrap()), udp.len());
    sent.to_vec()
}

#[test]
fn replies_go_back_with_right_lengths_and_sums() {
    for tag in [&[][..], TAG] {
        for text in [&b"twelve bytes"[..], b"an odd one, and longer than what was asked", &[0xff; 1200], b""] {
            let frame = frame_v4(tag, b"a question, really");
            assert_eq!(parse(&frame).unwrap().client, IpAddr::from([192, 0, 2, 1]));
            let sent = check_reply(&frame, text);
            let ip = &sent[14 + tag.len()..];
            assert_eq!(plain_sum(&ip[..20]) % 0xffff, 0, "header checksum");
            assert_eq!(
                (ip[1], &ip[4..9], &ip[12..20]),
                (0, &[0, 0, 0x40, 0, 64][..], &[192, 0, 2, 53, 192, 0, 2, 1][..])
            );
            assert_eq!(usize::from(number(ip, 2).unwrap()), 28 + text.len());

            let frame = frame_v6(tag, b"a question, really");
            let sent = check_reply(&frame, text);
            let ip = &sent[14 + tag.len()..];
            assert_eq!((&ip[..4], ip[6], ip[7], ip[23], ip[39]), (&[0x60, 0, 0, 0][..], 17, 64, 0x53, 1));
            assert_eq!(usize::from(number(ip, 4).unwrap()), 8 + text.len());
        }
    }
}

#[test]
fn a_sum_of_zero_is_sent_as_all_ones() {
    let frame = frame_v4(&[], b"twelve bytes");
    let sent = check_reply(&frame, b"\0\0");
    // A payload that makes up for the sum of the rest makes the sum itself zero.
    let left = sent[40..42].to_vec();
    let sent = check_reply(&frame, &left);
    assert_eq!(sent[40..42], [0xff, 0xff]);
}

#[test]
fn frames_that_no_host_would_answer_are_refused() {
    let (v4, v6) = (frame_v4(&[], b"a question"), frame_v6(TAG, b"a question"));
    assert!(parse(&v4).is_some() && parse(&v6).is_some());
    for frame in [&v4, &v6] {
        for len in 0..frame.len() {
            assert_eq!(parse(&frame[..len]), None, "cut to {len}");
        }
    }
    // Offsets in the frame and what is written there; the header checksum is made right again for IPv4.
    let cases: [(&str, usize, &[u8]); 11] = [
        ("options", 14, &[0x46]),
        ("a fragment", 20, &[0x20]),
        ("TCP", 23, &[6]),
        ("longer than it is", 16, &[1, 0]),
        ("shorter than its UDP", 16, &[0, 30]),
        ("port 0", 34, &[0, 0]),
        ("UDP too short", 38, &[0, 7]),
        ("from nobody", 26, &[0, 0, 0, 0]),
        ("from many", 26, &[224, 0, 0, 1]),
        ("from everybody", 26, &[255, 255, 255, 255]),
        ("from ourselves", 26, &[192, 0, 2, 53]),
    ];
    for (name, off, bytes) in cases {
        let mut frame = v4.clone();
        frame[off..off + bytes.len()].copy_from_slice(bytes);
        frame[24..26].fill(0);
        let check = checksum(sum(&frame[14..34])).to_ne_bytes();
        frame[24..26].copy_from_slice(&check);
        assert_eq!(parse(&frame), None, "{name}");
    }
    let mut frame = v4.clone();
    frame[24] ^= 1;
    assert_eq!(parse(&frame), None, "header checksum");
    let cases: [(&str, usize, &[u8]); 5] = [
        ("version", 18, &[0x40]),
        ("an extension header", 24, &[0]),
        ("no UDP checksum", 64, &[0, 0]),
        ("longer than it is", 22, &[1, 0]),
        ("from many", 26, &[0xff, 2]),
    ];
    for (name, off, bytes) in cases {
        let mut frame = v6.clone();
        frame[off..off + bytes.len()].copy_from_slice(bytes);
        assert_eq!(parse(&frame), None, "{name}, IPv6");
    }
}

#[test]
fn what_fills_a_frame_up_is_no_payload() {
    let mut frame = frame_v4(&[], b"short");
    frame.resize(60, 0xee);
    assert_eq!(parse(&frame).unwrap().payload_len, 5);
}

#[test]
fn replies_fit_the_link_and_the_chunk() {
    let v4 = parse(&frame_v4(TAG, b"a question")).unwrap();
    let v6 = parse(&frame_v6(&[], b"a question")).unwrap();
    assert_eq!((v4.reply_len_max(1500, 1792), v6.reply_len_max(1500, 1792)), (1472, 1452));
    assert_eq!((v4.reply_len_max(9000, 1792), v6.reply_len_max(9000, 1792)), (1746, 1730));
    assert_eq!(v4.reply_len_max(0, 1792), 10, "never less than the query");
    assert_eq!(reply(&mut [0; 100], &v4, 100), None);
}
