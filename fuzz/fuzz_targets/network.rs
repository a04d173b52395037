//! See `fwdeploy_fuzz::network`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::network::law(data));
