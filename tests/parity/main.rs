//! The same inventories, patterns and templates, for fwdeploy and for the real Ansible: there is no difference but those that the
//! manual has in its table. And the files of `examples/`, for those who take them: they are what the published schemas describe.
//!
//! Ansible is installed from PyPI into a virtual environment below `target/`. Nothing is skipped: where it cannot be installed, the
//! tests fail and say so.

mod ansible;
mod differences;
mod examples;
mod expressions;
mod inventories;
mod patterns;
mod venv;
