//! Bytes as a file of each kind: see `targets::front_matter`.
#![no_main]

#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::front_matter(bytes);
});
