//! Hostile packets, one test for each entry of the threat catalogue that concerns queries; the names begin with its
//! numbers.
//!
//! All but two of them run in process, on the answering code as workers call it. Replies are read by the reader of the
//! scenarios and by `hickory-proto`. What is random comes from seeds that are written down here.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "shared with the scenarios, which look into records")]
mod common;
#[path = "../harness/message.rs"]
#[expect(dead_code, reason = "shared with the scenarios, which write every kind of query")]
mod message;
#[path = "../server/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of a process's life, which stop and watch it")]
mod server;

mod compression;
mod counts;
mod crowd;
mod denial;
mod mixing;
mod nsec3;
mod packets;
mod poison;
mod responses;
mod served;
mod sizes;
mod sweep;
mod targets;
