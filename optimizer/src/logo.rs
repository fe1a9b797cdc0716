//! Reads the logos named on the command line.
//!
//! In: `NAME=FILE` words. Out: decoded logos, or what is wrong with the first that is not, and what to write. Cost: one
//! read and one decode each, before anything is served.

use std::error::Error as _;
use std::fs::File;
use std::io::{self, Read as _};

use weir_optimizer::kernel::Logos;

/// Reads the file of each word.
pub(crate) fn read(words: &[String]) -> Result<Logos, String> {
    let mut logos = Logos::default();
    for word in words {
        let fault = |why: String| format!("cannot use `--logo {word}`: {why}");
        let (name, path) =
            word.split_once('=').ok_or_else(|| fault("write it as NAME=FILE, such as `shop=shop.png`".to_owned()))?;
        let file = bytes(path).map_err(|error| fault(format!("cannot read the file: {error}")))?;
        logos.add(name, &file).map_err(|error| {
            let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
            fault(format!("{error}{cause}"))
        })?;
    }
    Ok(logos)
}

/// The file, or as much of it as is too much.
fn bytes(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(Logos::MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
