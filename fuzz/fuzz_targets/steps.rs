//! See `fwdeploy_fuzz::steps`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::steps::law(data));
