//! fwdeploy.
