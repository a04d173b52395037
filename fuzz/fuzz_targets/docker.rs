//! See `fwdeploy_fuzz::docker`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::docker::law(data));
