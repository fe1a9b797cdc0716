//! `weir check`: what is wrong with a configuration, or all that it says.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use weir_config::{Config, Problems};

use super::Check;
use super::out::{Exit, complain, say};

/// Why there is no configuration.
#[derive(Debug)]
pub(super) enum Refused {
    Unreadable { file: PathBuf, error: std::io::Error },
    Wrong(Problems),
}

/// As it is printed.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, error } => {
                write!(f, "error: cannot read `{}`: {error}\n  = help: {}", file.display(), advice(error))
            }
            Self::Wrong(problems) => problems.fmt(f),
        }
    }
}

/// Reads the configuration in `file`.
pub(super) fn load(file: &Path) -> Result<Config, Refused> {
    let text =
        std::fs::read_to_string(file).map_err(|error| Refused::Unreadable { file: file.to_path_buf(), error })?;
    weir_config::parse(&file.display().to_string(), &text).map_err(Refused::Wrong)
}

pub(super) fn check(check: &Check) -> Exit {
    let file = &check.file;
    match load(file) {
        Ok(config) if check.print => say(weir_config::print(&config).trim_end()),
        Ok(_) if check.json => say(&document(file, &[])),
        Ok(config) => say(&format!(
            "{}: ok, {} listener(s), {} route(s), {} service(s)",
            file.display(),
            config.listeners.len(),
            config.routes.len(),
            config.services.len()
        )),
        Err(refused) if check.json => {
            say(&document(file, &listed(file, &refused)));
            return Exit::Refused;
        }
        Err(refused) => return complain(&refused.to_string()),
    }
    Exit::Done
}

/// What `--json` prints.
#[derive(Serialize)]
struct Document<'a> {
    file: &'a str,
    ok: bool,
    problems: &'a [Listed<'a>],
}

/// A problem; line and column count from 1, and are null when the file cannot be read at all.
#[derive(Serialize)]
struct Listed<'a> {
    file: &'a str,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    label: Option<&'a str>,
    help: Option<&'a str>,
}

fn document(file: &Path, problems: &[Listed<'_>]) -> String {
    let file = file.display().to_string();
    let document = Document { file: &file, ok: problems.is_empty(), problems };
    // Text, numbers and lists alone: there is nothing in it that JSON cannot hold.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn listed<'a>(file: &'a Path, refused: &'a Refused) -> Vec<Listed<'a>> {
    let file = file.to_str().unwrap_or_default();
    match refused {
        Refused::Unreadable { error, .. } => vec![Listed {
            file,
            line: None,
            column: None,
            message: format!("cannot read it: {error}"),
            label: None,
            help: Some(advice(error)),
        }],
        Refused::Wrong(problems) => {
            let listed = problems.iter().map(|problem| {
                let (line, column) = problems.place(problem);
                let (message, label, help) = (problem.message.clone(), &*problem.label, problem.help.as_deref());
                Listed { file, line: Some(line), column: Some(column), message, label: Some(label), help }
            });
            listed.collect()
        }
    }
}

/// What to do about a file that cannot be read.
fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::NotFound => "name the file as it is seen from here; `weir demo` needs none",
        std::io::ErrorKind::PermissionDenied => "it must be readable for the user that weir runs as",
        std::io::ErrorKind::InvalidData => "TOML is UTF-8",
        std::io::ErrorKind::IsADirectory => "name a file in this folder",
        _ => "name a file that can be read",
    }
}
