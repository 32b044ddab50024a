//! The real programs under real clients: pushes and upgrades under load, killed compilers, malformed packets, content that
//! shrinks, clocks that jump, signatures that grow old, and bad input of every kind.
//!
//! One program for all of it, so that the parts of `common` are built once. Tests that put load on the machine take
//! turns. Five seconds of load each by default; `PETREL_SOAK=1` makes it the full length.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in what its tests share")]

mod bad_input;
mod common;
mod control_commands;
mod faked_time;
mod gates;
mod kill_compile;
mod malformed;
mod push_under_load;
mod upgrade_under_load;
mod validating;
