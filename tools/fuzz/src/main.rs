//! The fuzzing program: libFuzzer's `main`, and the check that `PETREL_FUZZ` names.

#![no_main]

use std::sync::LazyLock;

/// The check of this run.
static CHECK: LazyLock<petrel_fuzz::Check> = LazyLock::new(|| {
    let target = std::env::var("PETREL_FUZZ").unwrap_or_default();
    petrel_fuzz::check_of(&target).unwrap_or_else(|| panic!("PETREL_FUZZ={target:?} names no target"))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (*CHECK)(bytes));
