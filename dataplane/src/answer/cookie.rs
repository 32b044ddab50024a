//! Server cookies: made, checked and renewed (RFC 7873, RFC 9018).
//!
//! It keeps nothing per client: a cookie proves by itself that we made it for this address and when. Servers that share
//! a secret accept each other's cookies, whoever wrote them. Invariants: no cookie is valid for another address or client
//! cookie than its own; comparing takes the same time wherever the difference lies; times are compared as serial numbers,
//! so that nothing happens in 2038 or 2106.

use std::fmt;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::wire::options::CLIENT_COOKIE_LEN;

/// Octets of a cookie option as we send it: client cookie and server cookie.
pub(super) const COOKIE_LEN: usize = CLIENT_COOKIE_LEN + 16;
/// Octets of a secret.
pub const SECRET_LEN: usize = 16;
/// The version of server cookies that we make (RFC 9018 section 4).
const VERSION: u8 = 1;
/// Where the reserved octets lie; 0 as we make them.
const RESERVED: std::ops::Range<usize> = CLIENT_COOKIE_LEN + 1..CLIENT_COOKIE_LEN + 4;
/// Octets in front of the hash: client cookie, version, reserved, timestamp.
const HASHED_LEN: usize = CLIENT_COOKIE_LEN + 8;
/// How old a cookie may be (RFC 9018 section 4.3).
const AGE_SECS_MAX: i32 = 3600;
/// The least age: cookies may be made in the future, by a server whose clock is ahead (RFC 9018 section 4.3).
const AHEAD_SECS_MIN: i32 = -300;
/// From this age on a cookie is replaced (RFC 9018 section 4.3).
const AGE_SECS_FRESH: i32 = 1800;

/// What is done about cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookiePolicy {
    /// Cookies are ignored, as by a server that does not know them; malformed ones are errors all the same.
    #[default]
    Ignore,
    /// Each cookie is answered by ours; no reply depends on it.
    Answer,
    /// The same, and over UDP a client cookie without a valid server cookie gets BADCOOKIE instead of an answer.
    Require,
}

/// What cookies are made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; SECRET_LEN]);

impl fmt::Debug for Secret {
    /// Shows that there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Policy and secrets.
#[derive(Debug, Clone, Default)]
pub struct Cookies {
    /// What is done.
    policy: CookiePolicy,
    /// The first makes cookies, all check them: so secrets are rolled over (RFC 9018 section 5).
    secrets: Vec<Secret>,
}

/// What a cookie shows of its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has no server cookie yet.
    New,
    /// Its server cookie is ours and in time.
    Known,
    /// Its server cookie is not ours, for another client, too old or too new.
    Wrong,
}

/// A cookie, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    /// What it shows.
    pub(super) standing: Standing,
    /// The content of the option in the reply.
    pub(super) reply: [u8; COOKIE_LEN],
}

impl Cookies {
    /// Cookies made with the first of `secrets`; without any, none are made.
    #[must_use]
    pub fn new(policy: CookiePolicy, secrets: Vec<Secret>) -> Cookies {
        let policy = if secrets.is_empty() { CookiePolicy::Ignore } else { policy };
        Cookies { policy, secrets }
    }

    /// What is done about cookies.
    #[must_use]
    pub fn policy(&self) -> CookiePolicy {
        self.policy
    }

    /// Judges the content of a cookie option, 8 or 16 to 40 octets; `None` if cookies are ignored. One hash for each
    /// secret, and one more for a new cookie.
    pub(super) fn judge(&self, cookie: &[u8], client: IpAddr, now_secs: u32) -> Option<Judged> {
        let (client_cookie, server_cookie) = cookie.split_first_chunk::<CLIENT_COOKIE_LEN>()?;
        let maker = self.secrets.first().filter(|_| self.policy != CookiePolicy::Ignore)?;
        let new = |standing| Judged { standing, reply: maker.make(*client_cookie, client, now_secs) };
        if server_cookie.is_empty() {
            return Some(new(Standing::New));
        }
        let Ok(whole) = <&[u8; COOKIE_LEN]>::try_from(cookie) else { return Some(new(Standing::Wrong)) };
        let age_secs = age_secs(whole, now_secs);
        let in_time = (AHEAD_SECS_MIN..=AGE_SECS_MAX).contains(&age_secs);
        Some(match self.secrets.iter().position(|secret| secret.made(whole, client)) {
            // One that was made as we would make it goes back as it is, as long as it is fresh.
            Some(0) if in_time && age_secs <= AGE_SECS_FRESH && whole[RESERVED] == [0; 3] => {
                Judged { standing: Standing::Known, reply: *whole }
            }
            Some(_) if in_time => new(Standing::Known),
            _ => new(Standing::Wrong),
        })
    }
}

/// How long ago the server cookie in `whole` was made, in seconds; negative if it is to be made yet. A difference of
/// 32 bits with a sign is right as long as it is below 68 years (RFC 1982).
fn age_secs(whole: &[u8; COOKIE_LEN], now_secs: u32) -> i32 {
    let [.., t0, t1, t2, t3] = whole[..HASHED_LEN] else { return i32::MAX };
    now_secs.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])).cast_signed()
}

impl Secret {
    /// A new cookie for a client.
    fn make(&self, client_cookie: [u8; CLIENT_COOKIE_LEN], client: IpAddr, now_secs: u32) -> [u8; COOKIE_LEN] {
        let mut whole = [0; COOKIE_LEN];
        whole[..CLIENT_COOKIE_LEN].copy_from_slice(&client_cookie);
        whole[CLIENT_COOKIE_LEN] = VERSION;
        whole[HASHED_LEN - 4..HASHED_LEN].copy_from_slice(&now_secs.to_be_bytes());
        let hash = self.hash(&whole, client);
        whole[HASHED_LEN..].copy_from_slice(&hash.to_be_bytes());
        whole
    }

    /// Whether this secret made the server cookie in `whole` for `client`, whenever that was.
    fn made(&self, whole: &[u8; COOKIE_LEN], client: IpAddr) -> bool {
        let Some(hash) = whole.last_chunk::<8>() else { return false };
        // One comparison of two registers: no early end tells how much was right.
        whole[CLIENT_COOKIE_LEN] == VERSION && self.hash(whole, client) == u64::from_be_bytes(*hash)
    }

    /// The hash over everything in front of it and the client's address (RFC 9018 section 4.4), as its octets are sent.
    fn hash(&self, whole: &[u8; COOKIE_LEN], client: IpAddr) -> u64 {
        let mut input = [0; HASHED_LEN + 16];
        input[..HASHED_LEN].copy_from_slice(&whole[..HASHED_LEN]);
        let end = match client.to_canonical() {
            IpAddr::V4(address) => {
                input[HASHED_LEN..HASHED_LEN + 4].copy_from_slice(&address.octets());
                HASHED_LEN + 4
            }
            IpAddr::V6(address) => {
                input[HASHED_LEN..].copy_from_slice(&address.octets());
                HASHED_LEN + 16
            }
        };
        // SipHash states its result as octets in little-endian order.
        SipHasher24::new_with_key(&self.0).hash(&input[..end]).swap_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets from hexadecimal digits.
    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// A secret from hexadecimal digits.
    fn secret(text: &str) -> Secret {
        Secret(hex(text).try_into().unwrap())
    }

    /// The secret of RFC 9018 appendix A.1 to A.3.
    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    /// The old and the new secret of appendix A.4.
    const ROLLED: [&str; 2] = ["dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"];

    /// Checks standing and reply of a cookie under `secrets`, the first of which makes.
    fn check(secrets: &[&str], client: &str, now_secs: u32, cookie: &str, standing: Standing, reply: &str) {
        let cookies = Cookies::new(CookiePolicy::Answer, secrets.iter().map(|text| secret(text)).collect());
        let judged = cookies.judge(&hex(cookie), client.parse().unwrap(), now_secs).unwrap();
        let shown: String = judged.reply.iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!((judged.standing, shown.as_str()), (standing, reply), "{cookie} at {now_secs}");
    }

    #[test]
    fn t_d7_the_examples_of_rfc_9018_come_out() {
        let (v4, other, v6) = ("198.51.100.100", "203.0.113.203", "2001:db8:220:1:59de:d0f4:8769:82b8");
        let first = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        check(&[SECRET], v4, 1_559_731_985, "2464c4abcf10c957", Standing::New, first);
        check(&[SECRET], v4, 1_559_734_385, first, Standing::Known, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77");
        // Reserved octets that are not 0 are covered by the hash. The example's reply is from nearly two hours later, when
        // the cookie has expired by the same RFC; it gets the same new one.
        let strange = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
        check(&[SECRET], other, 1_559_734_700, strange, Standing::Wrong, renewed);
        let cookies = Cookies::new(CookiePolicy::Answer, vec![secret(SECRET)]);
        let judged = cookies.judge(&hex(strange), other.parse().unwrap(), 1_559_727_985).unwrap();
        assert_eq!((judged.standing, &judged.reply[8..12]), (Standing::Known, &[1, 0, 0, 0][..]));
        // A secret that was rolled over: what the old one made is good, and is replaced at once.
        let (old, new) =
            ("22681ab97d52c298010000005cf7c57926556bd0934c72f8", "22681ab97d52c298010000005cf7c609a6bb79d16625507a");
        check(&[ROLLED[1], ROLLED[0]], v6, 1_559_741_961, old, Standing::Known, new);
        check(&[ROLLED[1]], v6, 1_559_741_961, old, Standing::Wrong, new);
        check(&[ROLLED[0], ROLLED[1]], v6, 1_559_741_961, old, Standing::Known, old);
    }

    #[test]
    fn t_d7_cookies_are_good_for_an_hour_at_any_time() {
        let cookies = Cookies::new(CookiePolicy::Answer, vec![secret(SECRET)]);
        let client = IpAddr::from([192, 0, 2, 1]);
        // 2038-01-19 and 2106-02-07, to the second, and what comes after.
        for made_secs in
            [0, 1_800_000_000, 0x7fff_ff00, 0x7fff_ffff, 0x8000_0000, 2_147_558_400, 0xffff_ff00, 0xffff_ffff]
        {
            let fresh = cookies.judge(b"12345678", client, made_secs).unwrap().reply;
            for (later_secs, standing, same) in [
                (-301, Standing::Wrong, false),
                (-300, Standing::Known, true),
                (0, Standing::Known, true),
                (1800, Standing::Known, true),
                (1801, Standing::Known, false),
                (3600, Standing::Known, false),
                (3601, Standing::Wrong, false),
                (i32::MAX, Standing::Wrong, false),
                (i32::MIN, Standing::Wrong, false),
            ] {
                let now_secs = made_secs.wrapping_add_signed(later_secs);
                let judged = cookies.judge(&fresh, client, now_secs).unwrap();
                assert_eq!((judged.standing, judged.reply == fresh), (standing, same), "{made_secs} {later_secs}");
                let again = cookies.judge(&judged.reply, client, now_secs).unwrap();
                assert_eq!(again, Judged { standing: Standing::Known, reply: judged.reply });
            }
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_client_alone() {
        let cookies = Cookies::new(CookiePolicy::Answer, vec![secret(SECRET), secret(ROLLED[0])]);
        let client = IpAddr::from([192, 0, 2, 1]);
        let good = cookies.judge(b"12345678", client, 1000).unwrap().reply;
        for octet in 0..COOKIE_LEN {
            for bit in 0..8 {
                let mut forged = good;
                forged[octet] ^= 1 << bit;
                assert_eq!(cookies.judge(&forged, client, 1000).unwrap().standing, Standing::Wrong, "{octet} {bit}");
            }
        }
        for other in ["192.0.2.2", "2001:db8::1", "::192.0.2.1"] {
            assert_eq!(
                cookies.judge(&good, other.parse().unwrap(), 1000).unwrap().standing,
                Standing::Wrong,
                "{other}"
            );
        }
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        assert_eq!(cookies.judge(&good, mapped, 1000).unwrap().standing, Standing::Known);
        // Server cookies of other lengths are none of ours.
        for len in (16..=40).filter(|len| *len != COOKIE_LEN) {
            let cookie: Vec<u8> = good.iter().copied().chain([0; 16]).take(len).collect();
            assert_eq!(cookies.judge(&cookie, client, 1000).unwrap().standing, Standing::Wrong, "{len}");
        }
    }

    #[test]
    fn without_a_secret_or_by_policy_cookies_are_ignored() {
        let client = IpAddr::from([192, 0, 2, 1]);
        for cookies in [
            Cookies::default(),
            Cookies::new(CookiePolicy::Require, vec![]),
            Cookies::new(CookiePolicy::Ignore, vec![secret(SECRET)]),
        ] {
            assert_eq!(cookies.judge(b"12345678", client, 1000), None);
        }
        assert_eq!(format!("{:?}", secret(SECRET)), "Secret(..)");
    }
}
