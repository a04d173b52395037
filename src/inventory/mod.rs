//! Texts → who there is, and with which variables.

pub mod document;
pub mod error;
pub mod location;
pub mod secret;
pub mod suggest;
pub mod vars;
