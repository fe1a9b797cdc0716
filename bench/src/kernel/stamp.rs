//! The same mark for those who cannot draw our text: a small picture and its place.
//!
//! In: the size of a photo. Out: a white PNG with the mark's coverage as alpha, exactly as our kernel draws it, and where its
//! upper left corner goes. Cost: a black picture of that size through the kernel; nothing of it is timed.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use image::{GrayImage, Luma, Rgba, RgbaImage};
use weir_optimizer::kernel::{Format, Header, Kernel, Limits};

use crate::error::chain;

/// A mark and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) path: PathBuf,
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// Writes the mark that `query` means for a picture of `size` into `folder`.
///
/// # Errors
/// A sentence when there is nothing to see, or the file cannot be written.
pub(crate) fn cut(query: &str, size: (u32, u32), folder: &Path) -> Result<Stamp, String> {
    let kernel = Kernel::new().map_err(|error| chain(&error))?;
    let plan = kernel.plan(query).map_err(|error| chain(&error))?;
    let mut black = Cursor::new(Vec::new());
    GrayImage::new(size.0, size.1).write_to(&mut black, image::ImageFormat::Png).map_err(|error| chain(&error))?;
    let black = Bytes::from(black.into_inner());
    let header = Header::read(&black, &Limits::default()).map_err(|refusal| chain(&refusal))?;
    let marked =
        kernel.optimize(&black, &header, &plan, Format::Png, &mut |_| {}).map_err(|refusal| chain(&refusal))?;
    // White over black leaves the coverage.
    let marked = image::load_from_memory(&marked.to_vec()).map_err(|error| chain(&error))?.into_luma8();
    let inked = || marked.enumerate_pixels().filter(|(_, _, Luma([value]))| *value > 0);
    let (Some(left), Some(right)) = (inked().map(|(x, ..)| x).min(), inked().map(|(x, ..)| x).max()) else {
        return Err("the mark cannot be seen".to_owned());
    };
    let top = inked().map(|(_, y, _)| y).min().unwrap_or_default();
    let bottom = inked().map(|(_, y, _)| y).max().unwrap_or_default();
    let (width, height) = (right - left + 1, bottom - top + 1);
    let stamp = RgbaImage::from_fn(width, height, |x, y| {
        let Luma([coverage]) = *marked.get_pixel(left + x, top + y);
        Rgba([255, 255, 255, coverage])
    });
    let path = folder.join(format!("mark-{}x{}.png", size.0, size.1));
    stamp.save(&path).map_err(|error| chain(&error))?;
    Ok(Stamp { path, x: left, y: top, width, height })
}

impl Stamp {
    /// How far two written files are apart under the mark: peak signal to noise ratio in decibels, 99 at most. Low numbers mean that one of them
    /// drew something else or somewhere else. `None` when one of them cannot be decoded here.
    pub(crate) fn agreement(&self, one: &Path, other: &Path) -> Option<f64> {
        let part = |path: &Path| {
            let picture = image::ImageReader::open(path).ok()?.with_guessed_format().ok()?.decode().ok()?.into_rgb8();
            let fits = self.x + self.width <= picture.width() && self.y + self.height <= picture.height();
            fits.then(|| image::imageops::crop_imm(&picture, self.x, self.y, self.width, self.height).to_image())
        };
        let (one, other) = (part(one)?, part(other)?);
        let squares = one.iter().zip(other.iter()).map(|(one, other)| f64::from(one.abs_diff(*other)).powi(2));
        let mean = squares.sum::<f64>() / f64::from(u32::try_from(one.len()).ok()?);
        Some((10.0 * (255.0_f64.powi(2) / mean).log10()).min(99.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_bottom_right_keeps_its_margin_and_has_half_the_coverage() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = cut("margin=20px&size=50px", (400, 300), folder.path()).unwrap();
        assert!(stamp.x > 200 && stamp.y > 150, "{stamp:?}");
        assert!(stamp.x + stamp.width <= 380 && stamp.y + stamp.height <= 280, "{stamp:?}");
        let picture = image::open(&stamp.path).unwrap().into_rgba8();
        assert_eq!(picture.dimensions(), (stamp.width, stamp.height));
        assert_eq!(picture.pixels().map(|Rgba([.., alpha])| *alpha).max(), Some(128));
    }

    #[test]
    fn a_file_agrees_with_itself_and_not_with_one_without_a_mark() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = cut("", (200, 200), folder.path()).unwrap();
        let [black, marked] = ["black.png", "marked.png"].map(|name| folder.path().join(name));
        image::RgbImage::new(200, 200).save(&black).unwrap();
        image::RgbImage::from_pixel(200, 200, image::Rgb([128; 3])).save(&marked).unwrap();
        assert!(stamp.agreement(&black, &black).unwrap() > 98.0);
        assert!(stamp.agreement(&black, &marked).unwrap() < 10.0);
        assert_eq!(stamp.agreement(&black, Path::new("/nowhere")), None);
    }
}
