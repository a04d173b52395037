//! fwdeploy.

pub mod transport;
