//! A key of a domain that was opened and can sign.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::error;

use super::Dnssec;
use super::effort::{Hand, Measured};
use crate::keys::{KeyNumber, Seal, SigningKey};
use crate::roll::Duties;
use crate::sign::{Key, Signer, SignerError};
use crate::store::domains::Domain;
use crate::store::keys::StoredKey;

/// A failure that takes longer is no refusal at once.
const PATIENCE_SHOWN: Duration = Duration::from_millis(100);

/// A key that can sign.
pub(super) struct Opened {
    /// The key.
    pub(super) pair: SigningKey,
    /// RDATA of its DNSKEY.
    pub(super) rdata: Vec<u8>,
    /// The tag of that.
    pub(super) tag: u16,
    /// Where is noted how long that takes.
    pub(super) measured: Arc<Measured>,
}

impl Signer for Opened {
    /// Deterministically, with the crate p256 where it can be.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.measured(Hand::Single, |pair| pair.sign(message))
    }
}

/// A key that has much to sign.
pub(super) struct InBulk<'o>(pub(super) &'o Opened);

impl Signer for InBulk<'_> {
    /// With ring, which takes a quarter of the time that p256 takes.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.measured(Hand::Bulk, |pair| pair.sign_bulk(message))
    }
}

impl Opened {
    /// Signs, and notes how long it took, also when it failed: whoever waited for a device did so in vain.
    fn measured(
        &self,
        own: Hand,
        sign: impl FnOnce(&SigningKey) -> Result<Vec<u8>, String>,
    ) -> Result<Vec<u8>, SignerError> {
        let begun = Instant::now();
        let signature = sign(&self.pair);
        let taken = begun.elapsed();
        // A refusal at once tells nothing.
        if signature.is_ok() || taken > PATIENCE_SHOWN {
            let hand = if matches!(self.pair, SigningKey::Held(_)) { Hand::Device } else { own };
            self.measured.signed(self.pair.algorithm(), hand, taken);
        }
        signature.map_err(SignerError)
    }

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

impl Dnssec {
    /// The same, if its secret opens any of these keys: nothing is sealed with another one, as its keys would be lost as soon as
    /// the right one is back.
    #[must_use]
    pub fn tried_on(self, keys: &[(Domain, StoredKey)]) -> Dnssec {
        let is_sealed = |(_, stored): &&(Domain, StoredKey)| KeyNumber::from_kept(&stored.key.sealed).is_none();
        let mut failures = keys.iter().filter(is_sealed).map(|(domain, stored)| self.opened(domain, stored).err());
        let Some(Some(first)) = failures.next() else { return self };
        if failures.any(|failure| failure.is_none()) {
            return self;
        }
        error!("signed domains keep what is served, and their changes wait: the sealing key opens no key; {first}");
        Dnssec { seal: Seal::missing(format!("the one that was found opens none of the keys; {first}")), ..self }
    }
}
