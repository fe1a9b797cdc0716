//! The files of a run: made ones with a target each, or those of a folder.
//!
//! In: a folder to keep them in. Out: a [`Photo`] for each, made once and found again the next time. Cost: some ten seconds
//! the first time. The one real photo of this repository is taken as it is; from it [`scene`] paints larger ones, which
//! libjpeg-turbo's `cjpeg` and `jpegtran` and the `image` crate write: the same bytes on every machine that has the same
//! version of those.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;
use weir_optimizer::kernel::{Format, Header, Limits};

use super::scene;
use crate::error::{BenchError, chain};

/// The photo that everything is made from.
const LIFE: &[u8] = include_bytes!("../../../optimizer/photos/life.jpg");

/// A file to mark.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Photo {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) png: bool,
    pub(crate) jpeg: bool,
    /// About the quality it was written with; 85 for those that do not tell.
    pub(crate) quality: u8,
    /// weir's CPU time at source quality as a share of libvips', at most.
    pub(crate) target: Option<f64>,
}

/// A file that the kernel does not read.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Refused {
    pub(crate) name: String,
    pub(crate) why: String,
}

/// How a file is written.
enum Recipe {
    /// The photo as it is.
    AsIs,
    /// By `cjpeg`, with the standard Huffman tables.
    Cjpeg { size: (u32, u32), enlarged: u32, grain: u32, quality: &'static str, sampling: &'static str },
    /// From another file by `jpegtran`.
    Jpegtran { from: &'static str, options: &'static [&'static str] },
    /// By the `image` crate as it comes.
    Png { size: (u32, u32), enlarged: u32, grain: u32 },
}

/// The folder's usual name; another one whenever a recipe is changed, or the files of the old one would be found.
pub(crate) const FOLDER: &str = "corpus-1";

const UHD: (u32, u32) = (7680, 4320);

/// Name, recipe and target of all, in the order in which they are made.
const RECIPES: [(&str, Recipe, Option<f64>); 10] = [
    ("100kb-standard.jpg", Recipe::AsIs, Some(1.0 / 9.0)),
    ("4mp-standard.jpg", cjpeg((2560, 1600), 4, 0, "80", "2x2"), None),
    ("4mp-optimised.jpg", Recipe::Jpegtran { from: "4mp-standard.jpg", options: &["-optimize"] }, Some(1.0 / 6.0)),
    ("4mp-progressive.jpg", Recipe::Jpegtran { from: "4mp-standard.jpg", options: &["-progressive"] }, None),
    ("12mp-standard.jpg", cjpeg((4000, 3000), 2, 4, "85", "2x2"), Some(1.0 / 9.0)),
    ("12mp-dense-422.jpg", cjpeg((4000, 3000), 2, 12, "95", "2x1"), None),
    ("12mp-rgb.png", Recipe::Png { size: (4000, 3000), enlarged: 2, grain: 2 }, Some(1.0 / 4.0)),
    ("8k-standard.jpg", cjpeg(UHD, 3, 4, "85", "2x2"), Some(1.0 / 8.0)),
    ("8k-optimised.jpg", Recipe::Jpegtran { from: "8k-standard.jpg", options: &["-optimize"] }, None),
    ("8k-progressive.jpg", Recipe::Jpegtran { from: "8k-standard.jpg", options: &["-progressive"] }, Some(0.7)),
];

const fn cjpeg(size: (u32, u32), enlarged: u32, grain: u32, quality: &'static str, sampling: &'static str) -> Recipe {
    Recipe::Cjpeg { size, enlarged, grain, quality, sampling }
}

/// The made corpus in `folder`, of it those whose name contains one of `only` (all, when that is empty). What cannot be made
/// is left out and `say` told why.
///
/// # Errors
/// [`BenchError::Write`] when the folder cannot be written to.
pub(crate) fn made(folder: &Path, only: &[String], say: impl Fn(&str)) -> Result<Vec<Photo>, BenchError> {
    fs::create_dir_all(folder).map_err(|source| BenchError::Write { path: folder.to_owned(), source })?;
    let mut photos = Vec::new();
    for (name, recipe, target) in &RECIPES {
        if !wanted(name, only) {
            continue;
        }
        let path = match make(folder, name, recipe, &say) {
            Ok(path) => path,
            Err(why) => {
                say(&format!("warning: no {name}: {why}"));
                continue;
            }
        };
        match photo(&path) {
            Ok(photo) => photos.push(Photo { target: *target, ..photo }),
            Err(why) => say(&format!("warning: no {name}: {why}")),
        }
    }
    Ok(photos)
}

/// The pictures right in `folder` that the kernel reads, in the order of their names, and what is said of the others.
///
/// # Errors
/// [`BenchError::Proc`] when the folder cannot be read.
pub(crate) fn found(folder: &Path, only: &[String]) -> Result<(Vec<Photo>, Vec<Refused>), BenchError> {
    let failed = |source| BenchError::Proc { path: folder.display().to_string(), source };
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).map_err(failed)?.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let (mut photos, mut refused) = (Vec::new(), Vec::new());
    let known = ["jpg", "jpeg", "png", "webp"];
    for path in paths {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !known.contains(&ending.as_str()) || !wanted(&name, only) {
            continue;
        }
        match photo(&path) {
            Ok(photo) => photos.push(photo),
            Err(why) => refused.push(Refused { name, why }),
        }
    }
    Ok((photos, refused))
}

fn wanted(name: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|part| name.contains(part.as_str()))
}

fn photo(path: &Path) -> Result<Photo, String> {
    let bytes = fs::read(path).map_err(|error| chain(&error))?;
    let header = Header::read(&bytes, &Limits::default()).map_err(|refusal| chain(&refusal))?;
    Ok(Photo {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        width: header.width,
        height: header.height,
        png: header.format == Format::Png,
        jpeg: header.format == Format::Jpeg,
        quality: header.quality.map_or(85, weir_optimizer::plan::Quality::get),
        target: None,
    })
}

/// The file `name`, made if it is not there yet.
fn make(folder: &Path, name: &str, recipe: &Recipe, say: &impl Fn(&str)) -> Result<PathBuf, String> {
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    say(&format!("making {}", path.display()));
    let bytes = match recipe {
        Recipe::AsIs => LIFE.to_vec(),
        Recipe::Cjpeg { size, enlarged, grain, quality, sampling } => {
            let pixels = scene::paint(LIFE, *size, *enlarged, *grain)?;
            let mut ppm = format!("P6\n{} {}\n255\n", pixels.width(), pixels.height()).into_bytes();
            ppm.extend_from_slice(&pixels);
            filter("cjpeg", &["-quality", quality, "-sample", sampling], ppm)?
        }
        Recipe::Jpegtran { from, options } => {
            let recipe = RECIPES.iter().find(|(name, ..)| name == from).map(|(_, recipe, _)| recipe);
            let source = make(folder, from, recipe.ok_or("nothing to make it from")?, say)?;
            filter("jpegtran", options, fs::read(source).map_err(|error| chain(&error))?)?
        }
        Recipe::Png { size, enlarged, grain } => {
            let mut file = std::io::Cursor::new(Vec::new());
            let pixels = scene::paint(LIFE, *size, *enlarged, *grain)?;
            pixels.write_to(&mut file, image::ImageFormat::Png).map_err(|error| chain(&error))?;
            file.into_inner()
        }
    };
    // Under its name only when it is whole: a run may be ended at any time.
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    fs::write(&unfinished, bytes).and_then(|()| fs::rename(&unfinished, &path)).map_err(|error| chain(&error))?;
    Ok(path)
}

/// What `program` makes of `input`.
fn filter(program: &str, options: &[&str], input: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(|error| format!("`{program}` cannot be started ({error}): apt-get install libjpeg-turbo-progs"))?;
    // From a thread of its own: the program may write before it has read everything.
    let feed = child.stdin.take().map(|mut pipe| std::thread::spawn(move || pipe.write_all(&input)));
    let output = child.wait_with_output().map_err(|error| chain(&error))?;
    let fed = feed.is_some_and(|feed| matches!(feed.join(), Ok(Ok(()))));
    if fed && output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_made_once_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let only = ["100kb".to_owned()];
        let photos = made(folder.path(), &only, |_| {}).unwrap();
        assert_eq!((photos.len(), photos[0].width, photos[0].height), (1, 720, 480));
        let said = std::cell::RefCell::new(Vec::new());
        made(folder.path(), &only, |line| said.borrow_mut().push(line.to_owned())).unwrap();
        assert_eq!(*said.borrow(), Vec::<String>::new());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_gives_its_pictures_and_says_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.jpg"), LIFE).unwrap();
        fs::write(folder.path().join("a.png"), "no picture").unwrap();
        fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
        let (photos, refused) = found(folder.path(), &[]).unwrap();
        assert_eq!(photos.iter().map(|photo| photo.name.as_str()).collect::<Vec<_>>(), ["b.jpg"]);
        assert_eq!(refused.iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["a.png"]);
    }
}
