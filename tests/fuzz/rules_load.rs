//! Bytes as rule files: see `targets::rules_load`.
#![no_main]

#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::rules_load(bytes);
});
