//! A key of a domain that was opened and can sign.

use crate::keys::SigningKey;
use crate::roll::Duties;
use crate::sign::{Key, Signer, SignerError};

/// A key that can sign.
pub(super) struct Opened {
    /// The key.
    pub(super) pair: SigningKey,
    /// RDATA of its DNSKEY.
    pub(super) rdata: Vec<u8>,
    /// The tag of that.
    pub(super) tag: u16,
}

impl Signer for Opened {
    /// Deterministically, with the crate p256 where it can be.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.pair.sign(message).map_err(SignerError)
    }
}

/// A key that has much to sign.
pub(super) struct InBulk<'o>(pub(super) &'o Opened);

impl Signer for InBulk<'_> {
    /// With ring, which takes a quarter of the time that p256 takes.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.pair.sign_bulk(message).map_err(SignerError)
    }
}

impl Opened {
    /// As the signer wants it.
    pub(super) fn plan<'k>(&'k self, duties: Duties, signer: &'k dyn Signer) -> Key<'k> {
        Key {
            dnskey: &self.rdata,
            is_announced: duties.is_announced,
            tag: self.tag,
            algorithm: self.pair.algorithm().number(),
            signs_keys: duties.signs_keys,
            signs_zone: duties.signs_zone,
            signer,
        }
    }
}
