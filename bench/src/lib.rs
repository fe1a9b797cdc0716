//! Side-by-side runs against real peers.
