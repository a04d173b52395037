//! See `fwdeploy_fuzz::small`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::small::law(data));
