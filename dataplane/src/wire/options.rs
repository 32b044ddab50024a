//! EDNS(0) options (RFC 6891 section 6.1.2): which of those we know a query carries, and their codes.
//!
//! What an option means is decided by `answer`; here is only where it lies and whether its form is right. Invariant:
//! reading costs one pass, whatever the options are, and allocates nothing. RFC 5001, RFC 7828, RFC 7871, RFC 7873, RFC
//! 9660.

/// Name server identifier (RFC 5001).
pub(crate) const NSID: u16 = 3;
/// Subnet of the client (RFC 7871).
pub(crate) const SUBNET: u16 = 8;
/// Cookie (RFC 7873).
pub(crate) const COOKIE: u16 = 10;
/// Idle timeout of TCP connections (RFC 7828).
pub(crate) const KEEPALIVE: u16 = 11;
/// Extended DNS error (RFC 8914); never asked for.
pub(crate) const EDE: u16 = 15;
/// Version of the zone (RFC 9660).
pub(crate) const ZONEVERSION: u16 = 19;

/// Code and length in front of an option's content.
pub(crate) const OPTION_HEAD: usize = 4;
/// Octets of a client cookie (RFC 7873 section 4).
pub(crate) const CLIENT_COOKIE_LEN: usize = 8;
/// Octets of a cookie option that holds a server cookie too (RFC 7873 section 4).
const WHOLE_COOKIE_LEN: std::ops::RangeInclusive<usize> = 16..=40;

/// The options of a query that we know; others are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// A bit for each [`Wish`].
    wishes: u8,
    /// Octets of the first cookie; 0 if there is none.
    cookie_len: u8,
    /// Where it starts in the message.
    cookie_off: u16,
    /// Octets of the first subnet, plus one; 0 if there is none.
    subnet_end: u16,
    /// Where it starts in the message.
    subnet_off: u16,
}

/// What a client asks for by an option without content of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wish {
    /// Who answers.
    Nsid = 1,
    /// How long a TCP connection may be idle.
    Keepalive = 2,
    /// The serial of the zone.
    ZoneVersion = 4,
}

/// An option whose form is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadOption;

impl Options {
    /// Whether there is none that we know.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.wishes == 0 && self.cookie_len == 0 && self.subnet_end == 0
    }

    /// Whether the client asks for this.
    pub(crate) fn has(self, wish: Wish) -> bool {
        self.wishes & wish as u8 != 0
    }

    /// The content of the cookie in the message it was read from: 8 or 16 to 40 octets.
    pub(crate) fn cookie(self, message: &[u8]) -> Option<&[u8]> {
        if self.cookie_len == 0 {
            return None;
        }
        message.get(usize::from(self.cookie_off)..)?.get(..self.cookie_len.into())
    }

    /// The content of the subnet in the message it was read from; it may have any form.
    pub(crate) fn subnet(self, message: &[u8]) -> Option<&[u8]> {
        let len = self.subnet_end.checked_sub(1)?;
        message.get(usize::from(self.subnet_off)..)?.get(..len.into())
    }

    /// Reads the options in `message[off..end]`, the RDATA of an OPT record. O(options), no allocation.
    ///
    /// # Errors
    /// [`BadOption`] if a length leads beyond the RDATA, or the cookie has a length that none can have (RFC 7873
    /// section 5.2.2).
    #[cold]
    pub(crate) fn read(message: &[u8], mut off: usize, end: usize) -> Result<Options, BadOption> {
        let mut options = Options::default();
        let rdata = message.get(..end).ok_or(BadOption)?;
        while off < end {
            let head = rdata.get(off..).and_then(|rest| rest.first_chunk::<OPTION_HEAD>()).ok_or(BadOption)?;
            let [code_high, code_low, len_high, len_low] = *head;
            off += OPTION_HEAD;
            let len = usize::from(u16::from_be_bytes([len_high, len_low]));
            if end - off < len {
                return Err(BadOption);
            }
            options.take(u16::from_be_bytes([code_high, code_low]), off, len)?;
            off += len;
        }
        Ok(options)
    }

    /// Notes one option whose content is `len` octets at `off`.
    fn take(&mut self, code: u16, off: usize, len: usize) -> Result<(), BadOption> {
        match code {
            // Of several cookies the first one counts, and the others are not even looked at (RFC 7873 section 5.2).
            COOKIE if self.cookie_len == 0 => {
                if len != CLIENT_COOKIE_LEN && !WHOLE_COOKIE_LEN.contains(&len) {
                    return Err(BadOption);
                }
                self.cookie_len = u8::try_from(len).map_err(|_| BadOption)?;
                self.cookie_off = u16::try_from(off).map_err(|_| BadOption)?;
            }
            // Whose subnets are looked at is not known here.
            SUBNET if self.subnet_end == 0 => {
                self.subnet_end = u16::try_from(len + 1).map_err(|_| BadOption)?;
                self.subnet_off = u16::try_from(off).map_err(|_| BadOption)?;
            }
            // What a client puts into its NSID is ignored (RFC 5001 section 2.1).
            NSID => self.wishes |= Wish::Nsid as u8,
            // Only a server states a timeout or a version; a client that does asks for nothing.
            KEEPALIVE if len == 0 => self.wishes |= Wish::Keepalive as u8,
            ZONEVERSION if len == 0 => self.wishes |= Wish::ZoneVersion as u8,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads options behind one octet of something else; shows wishes and cookie.
    fn check(rdata: &[u8], expected: &str) {
        let message = [&[0xff], rdata, &[0xff]].concat();
        let shown = match Options::read(&message, 1, 1 + rdata.len()) {
            Ok(options) => format!("{} {:02x?}", options.wishes, options.cookie(&message).unwrap_or_default()),
            Err(BadOption) => "bad".to_owned(),
        };
        assert_eq!(shown, expected, "{rdata:02x?}");
    }

    /// One option.
    fn option(code: u8, content: &[u8]) -> Vec<u8> {
        [&[0, code, 0, u8::try_from(content.len()).unwrap()], content].concat()
    }

    #[test]
    fn options_are_read_and_bad_ones_found() {
        check(&[], "0 []");
        check(&option(3, &[]), "1 []");
        check(&option(3, b"ignored"), "1 []");
        check(&option(11, &[]), "2 []");
        check(&option(11, &[0, 100]), "0 []");
        check(&option(19, &[]), "4 []");
        check(&option(19, &[2, 0, 0, 0, 0, 1]), "0 []");
        check(&[option(3, &[]), option(99, &[1, 2, 3]), option(19, &[])].concat(), "5 []");
        check(&[0xfd, 0xe9, 0, 0], "0 []");
        let message = [&[0xff][..], &option(8, &[0, 1, 8, 0, 10]), &option(8, &[])].concat();
        let options = Options::read(&message, 1, message.len()).unwrap();
        assert_eq!((options.subnet(&message), options.is_empty()), (Some(&[0, 1, 8, 0, 10][..]), false));
        for torn in [&[0][..], &[0, 3], &[0, 3, 0], &[0, 3, 0, 1], &[0, 99, 0, 4, 1, 2, 3], &[0, 99, 0xff, 0xff]] {
            check(torn, "bad");
            check(&[option(3, &[]), torn.to_vec()].concat(), "bad");
        }
    }

    #[test]
    fn cookies_have_8_or_16_to_40_octets_and_the_first_one_counts() {
        for len in 0..=64_u8 {
            let content: Vec<u8> = (0..len).collect();
            let expected =
                if len == 8 || (16..=40).contains(&len) { format!("0 {content:02x?}") } else { "bad".into() };
            check(&option(10, &content), &expected);
            // Nothing is wrong with what is not looked at.
            let twice = [option(10, b"\x01\x02\x03\x04\x05\x06\x07\x08"), option(10, &content)].concat();
            check(&twice, "0 [01, 02, 03, 04, 05, 06, 07, 08]");
        }
    }
}
