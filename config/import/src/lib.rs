//! nginx's configuration to weir's, and a list of what could not be taken over.
//!
//! In: the text of an `nginx.conf`, whole or in part, and something that reads the files it includes. Out: TOML that
//! `weir-config` accepts, with a comment on each line that means something else than in nginx, and a note for each
//! directive that is not in it. What nginx refuses is never open in the result: a route whose rules cannot be taken over
//! answers 403. Cost: one pass over the text, and a table per location and host.
//! Where things are: `lex` and `tree` read nginx's syntax; `scope` knows what is inherited; `upstream`, `site`, `pattern` and `closed`
//! say what blocks mean; `plan`, `services`, `route` and `toml` write. Source: the modules of nginx 1.22 to 1.31; what both do is
//! compared by `tests/import`.

mod closed;
mod context;
mod glob;
mod lex;
mod listen;
mod note;
mod path;
mod pattern;
mod plan;
mod route;
mod scope;
mod services;
mod site;
mod toml;
mod tree;
mod upstream;
mod value;
mod variables;
mod words;

use std::io;
use std::path::Path;

pub use note::Note;
pub use tree::Place;

/// Reads the files that a configuration includes.
pub trait Files {
    /// The content of a file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The names of what is in a folder, in any order; none when that cannot be said.
    fn names(&self, folder: &Path) -> Vec<String>;

    /// Whether there is a file at this path.
    fn is_file(&self, path: &Path) -> bool;
}

/// What became of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// A configuration of weir.
    pub toml: String,
    /// What is not in it: what matters first.
    pub notes: Vec<Note>,
}

/// A text that is no configuration of nginx, or holds nothing that weir could do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ImportError {
    /// Where.
    pub place: Place,
    /// What is wrong there.
    pub what: String,
    /// What else was found out before.
    pub notes: Vec<Note>,
}

/// Takes a configuration over. `path` is where the text is from: relative names in it begin in that folder.
///
/// # Errors
/// [`ImportError`] when nginx could not read it either, or nothing in it passes requests on.
pub fn import(path: &Path, text: &[u8], files: &dyn Files) -> Result<Imported, ImportError> {
    let name = path.display().to_string();
    let mut reader = tree::Reader::new(path, files);
    let directives = reader.read(&name, &String::from_utf8_lossy(text))?;
    let notes = reader.notes;
    plan::plan(&name, &directives, notes)
}

/// Reads no files: for texts that stand alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn names(&self, _: &Path) -> Vec<String> {
        Vec::new()
    }

    fn is_file(&self, _: &Path) -> bool {
        false
    }
}
