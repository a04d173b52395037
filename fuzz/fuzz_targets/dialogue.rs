//! See `fwdeploy_fuzz::dialogue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::dialogue::law(data));
