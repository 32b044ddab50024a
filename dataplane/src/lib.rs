//! The data plane: answers DNS queries from an immutable snapshot.
//!
//! It holds no key but cookie secrets, opens no database and writes no file but its control socket.

pub mod answer;
mod bind;
pub mod config;
mod control;
pub mod engine;
pub mod guard;
mod life;
pub mod packet;
pub mod prefix;
mod quarantine;
pub mod responder;
mod slot;
mod stats;
mod stream;
mod watchdog;
mod wire;
mod worker;

pub use life::run;
