//! The transport against a real sshd, started for each test on 127.0.0.1 with keys of its own.
//!
//! sshd needs root. Without root these tests print a note and pass, except with `CI=true`. Tests that need users of their own start sshd
//! in a mount namespace with its own `/etc/passwd` and `/etc/sudoers`, so nothing on the machine changes.

mod agent;
mod askpass;
mod decisions;
mod generations;
mod host_key;
mod hostile;
mod local;
mod login;
mod network;
mod raw;
mod run;
mod shells;
mod sshd;
mod sudo;
mod table;
mod ways;
