//! The executable specification of answering, and the product compared with it.
//!
//! `spec/model.rs` states authoritative answering in the words of the RFCs; here it meets `answer::respond` on every
//! small zone, on drawn zones, on chains of aliases, and on zone files. A difference is a mistake on one side: which one
//! is decided by the RFC that the model cites at the rule in question. What runs by default takes about half a minute;
//! `PETREL_SPEC=full cargo test -p dataplane --release --test spec -- --nocapture` compares all of them.

#[path = "spec/cases.rs"]
mod cases;
#[path = "spec/chains.rs"]
mod chains;
#[path = "spec/compare.rs"]
mod compare;
#[path = "spec/drawn.rs"]
mod drawn;
#[path = "spec/message.rs"]
mod message;
#[path = "spec/model.rs"]
mod model;
#[path = "spec/overlaid.rs"]
mod overlaid;
#[path = "spec/serve.rs"]
mod serve;
#[path = "spec/signed.rs"]
mod signed;
#[path = "spec/small.rs"]
mod small;
#[path = "spec/zones.rs"]
mod zones;
