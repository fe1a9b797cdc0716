//! The files, read.

use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

/// A path of the repository.
pub(crate) fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file of the repository.
#[track_caller]
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file below a folder of the repository, by its path there.
pub(crate) fn below(folder: &str) -> Vec<String> {
    let (mut folders, mut found) = (vec![at(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// Those of these files that end so.
pub(crate) fn ending<'a>(files: &'a [String], ends: &[&str]) -> Vec<&'a str> {
    files.iter().map(String::as_str).filter(|file| ends.iter().any(|end| file.ends_with(end))).collect()
}

/// The documents of a file of YAML.
#[track_caller]
pub(crate) fn yaml(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The one document of a file of YAML.
#[track_caller]
pub(crate) fn one(path: &str) -> Yaml {
    let mut documents = yaml(path);
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

/// What a path such as `spec.containers.0.image` leads to; `BadValue` where there is nothing.
pub(crate) fn get<'a>(yaml: &'a Yaml, path: &str) -> &'a Yaml {
    path.split('.').fold(yaml, |yaml, key| match key.parse::<usize>() {
        Ok(index) if yaml.as_vec().is_some() => &yaml[index],
        _ => &yaml[key],
    })
}

/// As [`get`], for text.
#[track_caller]
pub(crate) fn word<'a>(yaml: &'a Yaml, path: &str) -> &'a str {
    get(yaml, path).as_str().unwrap_or_else(|| panic!("no text at `{path}`: {yaml:?}"))
}

/// As [`get`], for a number.
#[track_caller]
pub(crate) fn number(yaml: &Yaml, path: &str) -> u64 {
    let number = get(yaml, path).as_i64().unwrap_or_else(|| panic!("no number at `{path}`: {yaml:?}"));
    u64::try_from(number).unwrap()
}

/// The words of a list.
#[track_caller]
pub(crate) fn words<'a>(yaml: &'a Yaml, path: &str) -> Vec<&'a str> {
    let list = get(yaml, path).as_vec().unwrap_or_else(|| panic!("no list at `{path}`: {yaml:?}"));
    list.iter().map(|item| item.as_str().unwrap_or_default()).collect()
}
