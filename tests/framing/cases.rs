//! The table, heading by heading.

mod bodies;
mod good;
mod heads;
mod limits;
mod targets;

use crate::case::Case;

/// Every line, in the order of the page.
pub(crate) fn all() -> Vec<Case> {
    [
        bodies::lengths(),
        bodies::codings(),
        bodies::chunks(),
        heads::lines(),
        heads::hosts(),
        heads::nominations(),
        targets::targets(),
        targets::request_lines(),
        limits::limits(),
        good::good(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
