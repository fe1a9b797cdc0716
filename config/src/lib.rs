//! TOML text to a typed Config, or every problem with its place and its cure.
