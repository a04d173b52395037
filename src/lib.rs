//! fwdeploy.

pub mod inventory;
