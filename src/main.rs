//! hardway: chooses the role of this process before any thread exists.

fn main() {}
