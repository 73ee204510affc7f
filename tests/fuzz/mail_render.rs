//! Bytes as records in a digest: see `targets::mail_render`.
#![no_main]

#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::mail_render(bytes);
});
