//! Runs scenario files: `script` reads them, `message` writes queries and takes replies apart, `verdict` compares, and
//! `inprocess` and `plane` are the two ways to have queries answered.
//!
//! The format is described in `tests/scenarios/README.md`. Nothing here depends on the packet code under test: replies
//! are read by a reader of its own and by `hickory-proto`.

pub(crate) mod inprocess;
pub(crate) mod message;
pub(crate) mod plane;
pub(crate) mod script;
pub(crate) mod verdict;
