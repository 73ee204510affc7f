//! Bytes as a condition and records: see `targets::condition`.
#![no_main]

#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::condition(bytes);
});
