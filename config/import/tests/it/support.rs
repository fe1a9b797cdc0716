//! The corpus, and texts that stand alone.

use std::io;
use std::path::{Path, PathBuf};

use weir_import::{Files, ImportError, Imported, import};

/// The files of the corpus.
pub(crate) struct Corpus;

impl Files for Corpus {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(folder().join(path))
    }

    fn names(&self, path: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder().join(path)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    fn is_file(&self, path: &Path) -> bool {
        folder().join(path).is_file()
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/confs")
}

/// Each configuration of the corpus, by its path in it.
pub(crate) fn corpus() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| PathBuf::from(entry.unwrap().file_name()));
    let mut all: Vec<PathBuf> = names.filter(|name| name.extension().is_some_and(|end| end == "conf")).collect();
    all.push("debian/nginx.conf".into());
    all.sort();
    all
}

/// What becomes of a configuration of the corpus.
pub(crate) fn of_corpus(path: &Path) -> Imported {
    let text = std::fs::read(folder().join(path)).unwrap();
    import(path, &text, &Corpus).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What becomes of a text that includes nothing.
pub(crate) fn of(text: &str) -> Result<Imported, ImportError> {
    import(Path::new("nginx.conf"), text.as_bytes(), &weir_import::NoFiles)
}

/// The same for a text that must be legal; what comes out must be legal too.
#[track_caller]
pub(crate) fn ok(text: &str) -> Imported {
    let imported = of(text).unwrap_or_else(|error| panic!("{error}"));
    legal(&imported.toml);
    imported
}

/// weir reads it without a problem.
#[track_caller]
pub(crate) fn legal(toml: &str) -> weir_config::Config {
    weir_config::parse("weir.toml", toml).unwrap_or_else(|problems| panic!("{problems}\n{toml}"))
}

/// The notes, one a line, with those where nothing is lost behind a `-`.
pub(crate) fn notes(imported: &Imported) -> String {
    let line = |note: &weir_import::Note| format!("{}{note}\n", if note.unneeded { "- " } else { "" });
    imported.notes.iter().map(line).collect()
}
