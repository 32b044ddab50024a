//! Looks for what proves a domain: the text through a resolver, the delegation at the servers of the parent.
//!
//! How they are asked is `crate::ask`'s. Blocking, for threads that may. Invariant: whatever the answers are, it is over
//! within [`TIME_MAX`] and after a bounded number of questions.

use std::time::Instant;

use snapshot::dns::message::{Flags, Rcode};
use snapshot::dns::rtype::Rtype;

use super::{Challenge, Proof};
use crate::ask::{Question, addresses, ask, asking, parent_hosts};

pub use crate::ask::{LookupError, Servers, TIME_MAX};

/// How many servers of the parent are asked.
const SERVER_COUNT_MAX: usize = 3;

/// Looks for a proof; `None` if there is none.
///
/// # Errors
/// [`LookupError`], if that cannot be told.
pub fn look(servers: &Servers, challenge: &Challenge) -> Result<Option<Proof>, LookupError> {
    let until = Instant::now() + TIME_MAX;
    let resolver = asking(servers.resolver, until);
    // A domain that is delegated to us alone is lame as long as it is not served: SERVFAIL is no proof, and no failure.
    if challenge.is_proved_by_txt(&resolver(challenge.txt_owner(), Rtype::TXT)?) {
        return Ok(Some(Proof::Txt));
    }
    if challenge.server().is_none() {
        return Ok(None);
    }
    let hosts = parent_hosts(challenge.domain(), &resolver)?;
    let mut is_answered = false;
    for host in hosts.iter().take(SERVER_COUNT_MAX) {
        for addr in servers.reachable(host, addresses(host.as_ref(), &resolver)?)?.into_iter().take(1) {
            let question = Question { qname: challenge.domain(), qtype: Rtype::NS, flags: Flags::NONE };
            let Some(answer) = ask(addr, question, until) else { continue };
            if !matches!(answer.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN) {
                continue;
            }
            is_answered = true;
            if challenge.is_proved_by_delegation(&answer) {
                return Ok(Some(Proof::Delegation));
            }
        }
    }
    if is_answered { Ok(None) } else { Err(LookupError::Authorities) }
}
