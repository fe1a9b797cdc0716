//! The binary `weir`: wires configuration, discovery and proxy together.
fn main() {}
