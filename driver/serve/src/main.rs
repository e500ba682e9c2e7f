//! The default binary: the driver in the user-mode host.

fn main() {}
