//! See `fwdeploy_fuzz::busctl`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::busctl::law(data));
