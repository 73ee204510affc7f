//! Bytes as a file that is edited: see `targets::write_back_edit`.
#![no_main]

#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::write_back_edit(bytes);
});
