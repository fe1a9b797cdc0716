//! The limit of open files: a proxy needs two for each exchange.

/// Raises the soft limit to the hard one. What cannot be raised is said, not fatal.
pub(crate) fn raise() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => tracing::debug!(limit, "open files"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of open files"),
    }
}
