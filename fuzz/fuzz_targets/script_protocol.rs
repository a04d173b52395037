//! See `fwdeploy_fuzz::script_protocol`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::script_protocol::law(data));
