//! An error and what caused it, in one line: hyper and the system say what happened in the causes.

use std::error::Error;
use std::iter::successors;

/// The error, and each of its causes behind a colon.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
