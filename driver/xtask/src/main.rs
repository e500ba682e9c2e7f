//! Development tasks: tidy.

fn main() {}
