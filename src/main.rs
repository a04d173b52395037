//! The door: exits with what the command line's run returns.

fn main() {}
