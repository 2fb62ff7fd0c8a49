//! Wire and run.

fn main() {}
