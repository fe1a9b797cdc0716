//! Pictures that marks can show.
//!
//! In: names and files, at start. Out: decoded pixels by name. Cost: four bytes per pixel for each, for the life of the
//! process. No I/O: the caller reads the files.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::{Header, Limits, complete, decode};
use crate::plan::Metadata;
use crate::refusal::Refusal;

/// A logo that cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LogoError {
    /// The name is not one that can be written in a query without thinking.
    #[error("the name `{name}` is not 1 to 64 letters, digits, `-`, `_` or `.`: write one such as `shop-2`")]
    Name {
        /// As given.
        name: String,
    },
    /// The same name twice.
    #[error("the name `{name}` is given twice: write each logo under its own")]
    Twice {
        /// As given.
        name: String,
    },
    /// More bytes than are kept.
    #[error("the file is more than {} bytes: write a smaller one, such as a PNG 1024 pixels wide", Logos::MOST_BYTES)]
    TooManyBytes,
    /// More pixels than are kept.
    #[error(
        "it is {width} x {height}, and at most {} pixels are kept: write a smaller picture, such as one 1024 pixels wide",
        Logos::MOST_PIXELS
    )]
    TooManyPixels {
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
    },
    /// No picture, or a broken one.
    #[error("it cannot be read: write a PNG, a WebP or a JPEG")]
    Unreadable(#[source] Refusal),
    /// All of it is transparent.
    #[error("all of it is transparent: write a picture that shows something")]
    Invisible,
}

/// A picture with alpha, upright.
#[derive(Clone, PartialEq, Eq)]
pub struct Logo {
    width: usize,
    /// Four bytes a pixel.
    rgba: Vec<u8>,
    hash: u128,
    grey: bool,
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Logo({} x {}, {:032x})", self.width(), self.height(), self.hash)
    }
}

impl Logo {
    /// Reads a file.
    fn read(file: &[u8]) -> Result<Self, LogoError> {
        if file.len() as u64 > Logos::MOST_BYTES {
            return Err(LogoError::TooManyBytes);
        }
        let limits = Limits { pixels: Logos::MOST_PIXELS, bytes: Logos::MOST_BYTES };
        let header = Header::read(file, &limits).map_err(|refusal| match refusal {
            Refusal::TooManyPixels { width, height, .. } => LogoError::TooManyPixels { width, height },
            other => LogoError::Unreadable(other),
        })?;
        complete::check(file, &header).map_err(LogoError::Unreadable)?;
        let picture = decode::decode(file, &header, Metadata::Strip).map_err(LogoError::Unreadable)?;
        let image = picture.pixels.into_rgba8();
        let width = image.width() as usize;
        let rgba = image.into_raw();
        let shown = || rgba.as_chunks::<4>().0.iter().filter(|[.., alpha]| *alpha > 0);
        if shown().next().is_none() {
            return Err(LogoError::Invisible);
        }
        let grey = shown().all(|[r, g, b, _]| r == g && g == b);
        Ok(Self { width, hash: xxh3_128(file), grey, rgba })
    }

    /// Pixels across, at least 1.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Pixels down, at least 1.
    pub fn height(&self) -> usize {
        self.rgba.len() / 4 / self.width
    }

    /// Red, green, blue, alpha, not multiplied by it.
    pub(super) fn rgba(&self) -> &[u8] {
        &self.rgba
    }

    /// Stands for the bytes of its file.
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// Whether everything to see of it is grey.
    pub fn is_grey(&self) -> bool {
        self.grey
    }
}

/// Logos by name. Cheap to clone: the pixels are shared.
#[derive(Clone, Debug, Default)]
pub struct Logos(BTreeMap<String, Arc<Logo>>);

impl Logos {
    /// Largest file: a logo is small, and this bounds the time a start takes.
    pub const MOST_BYTES: u64 = 8 << 20;
    /// Most pixels, 2048 x 2048: 16 MiB in memory, and 50 ms to make a stamp of.
    pub const MOST_PIXELS: u64 = 4 << 20;

    /// Takes the bytes of a PNG, a WebP or a JPEG under a name of 1 to 64 letters, digits, `-`, `_` and `.`.
    ///
    /// # Errors
    /// [`LogoError`] for a name or a file that cannot be used.
    pub fn add(&mut self, name: &str, file: &[u8]) -> Result<(), LogoError> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !plain || !(1..=64).contains(&name.len()) {
            return Err(LogoError::Name { name: name.to_owned() });
        }
        if self.0.contains_key(name) {
            return Err(LogoError::Twice { name: name.to_owned() });
        }
        self.0.insert(name.to_owned(), Arc::new(Logo::read(file)?));
        Ok(())
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Logo>> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
