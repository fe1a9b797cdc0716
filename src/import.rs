//! `weir import FILE`: an nginx.conf to a configuration of weir's.
//!
//! Standard output gets the TOML and nothing else, so that it can go to a file; what could not be taken over goes to
//! standard error, one line for each directive.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use weir_import::{Files, ImportError, Note};

/// The files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_path_buf() };
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }
}

/// What `weir import` prints.
pub(crate) struct Printed {
    /// For standard output: a configuration that `weir check` accepts.
    pub(crate) toml: String,
    /// For standard error: what is not in it.
    pub(crate) notes: String,
}

/// Takes over the configuration in `file` and all that it includes.
///
/// # Errors
/// What to say when the file cannot be read, is none of nginx's, or holds nothing that weir can do.
pub(crate) fn import(file: &Path) -> Result<Printed, String> {
    let text = fs::read(file).map_err(|error| format!("error: cannot read `{}`: {error}", file.display()))?;
    let imported = weir_import::import(file, &text, &Disk).map_err(|error| {
        let ImportError { notes, .. } = &error;
        format!("{}error: {error}", listed(notes))
    })?;
    // What comes out is to be relied on, so it is not only believed to be legal.
    weir_config::parse("the result", &imported.toml)
        .map_err(|problems| format!("error: the result is no configuration, by a fault of weir's own:\n{problems}"))?;
    Ok(Printed { notes: listed(&imported.notes), toml: imported.toml })
}

/// One line per note, those where something is lost first.
fn listed(notes: &[Note]) -> String {
    let mut text = String::new();
    for (unneeded, title) in [(false, "not taken over as it was"), (true, "not needed")] {
        let part: Vec<&Note> = notes.iter().filter(|note| note.unneeded == unneeded).collect();
        if part.is_empty() {
            continue;
        }
        // Writing to a String does not fail.
        writeln!(text, "{title}:").ok();
        for note in part {
            writeln!(text, "{note}").ok();
        }
    }
    text
}
