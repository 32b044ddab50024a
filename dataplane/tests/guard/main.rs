//! Floods, reflection and strangers against the answering code with its guard, in virtual time.
//!
//! Names begin with the entries of the catalogue of threats and faults. Nothing here depends on a clock or on the machine: time is
//! an argument, and what is random comes from seeds that are written down.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "shared with the scenarios, which look into records")]
mod common;
#[path = "../threats/packets.rs"]
mod packets;

mod access;
mod bench;
mod flood;
mod reflection;
