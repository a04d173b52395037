//! See `fwdeploy_fuzz::tables`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::tables::law(data));
