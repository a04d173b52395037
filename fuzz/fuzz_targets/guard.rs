//! See `fwdeploy_fuzz::guard`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::guard::law(data));
