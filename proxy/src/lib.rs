//! The exchange: listener, route, admit, pick, forward, observe, on pingora-core.
