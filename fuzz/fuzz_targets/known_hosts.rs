//! See `fwdeploy_fuzz::known_hosts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fwdeploy_fuzz::known_hosts::law(data));
