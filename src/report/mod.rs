//! Values and events → text, JSON, bars. stdout is the answer, stderr the journey.

pub mod render;
