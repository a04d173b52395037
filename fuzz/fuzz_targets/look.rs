//! See `fwdeploy_fuzz::look`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::look::law(data));
