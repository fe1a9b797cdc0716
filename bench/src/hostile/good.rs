//! Photos that must come back right, whatever else is sent at the same time.
//!
//! In: the photos of the repository, larger ones made of them, a folder. Out: requests, each with the answer that a
//! quiet optimizer gives, which is decoded and looked at once. Under load every answer must equal it byte for byte.

use std::fs;
use std::io::Cursor;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use image::imageops::FilterType;
use image::{DynamicImage, GenericImageView as _, ImageDecoder as _, ImageFormat, ImageReader};

use super::client::{self, Reply};
use crate::error::BenchError;

const PHOTO: &[u8] = include_bytes!("../../../optimizer/photos/life.jpg");
const SMALL: [(&str, &[u8]); 4] = [
    ("progressive", include_bytes!("../../../optimizer/tests/photos/progressive.jpg")),
    ("restarts", include_bytes!("../../../optimizer/tests/photos/restarts.jpg")),
    ("grey", include_bytes!("../../../optimizer/tests/photos/grey.jpg")),
    ("cmyk", include_bytes!("../../../optimizer/tests/photos/cmyk.jpg")),
];
/// Larger than that, few options are tried: decoding takes its time.
const LARGE: usize = 1 << 20;
/// Least likeness in decibels, away from the mark, of a picture that is encoded again.
const LIKENESS: f64 = 25.0;

/// A request and its right answer.
#[derive(Clone, Debug)]
pub(crate) struct Good {
    /// Photo and query.
    pub(crate) name: String,
    pub(crate) photo: Bytes,
    pub(crate) query: &'static str,
    /// What a quiet optimizer answers.
    pub(crate) right: Reply,
}

/// The photos: a name and a file each.
///
/// # Errors
/// When the folder cannot be read.
pub(crate) fn photos(folder: Option<&Path>) -> Result<Vec<(String, Bytes)>, BenchError> {
    let mut photos = vec![("photo".to_owned(), Bytes::from_static(PHOTO))];
    photos.extend(SMALL.map(|(name, file)| (name.to_owned(), Bytes::from_static(file))));
    if let Ok(photo) = image::load_from_memory(PHOTO) {
        let sized = |width, height| photo.resize_exact(width, height, FilterType::Triangle);
        for (name, picture, format) in [
            ("JPEG of 6 megapixels", sized(3000, 2000), ImageFormat::Jpeg),
            ("PNG", sized(900, 600), ImageFormat::Png),
            ("PNG with transparency", DynamicImage::from(sized(300, 200).to_rgba8()), ImageFormat::Png),
            ("WebP", sized(480, 320), ImageFormat::WebP),
        ] {
            let mut file = Cursor::new(Vec::new());
            // An encoder that fails leaves a photo out, which the report shows by its absence.
            if picture.write_to(&mut file, format).is_ok() {
                photos.push((name.to_owned(), file.into_inner().into()));
            }
        }
    }
    if let Some(folder) = folder {
        let unread = |source| BenchError::Folder { path: folder.to_owned(), source };
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).map_err(unread)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files {
            let extension =
                file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_lowercase();
            if matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp") {
                let bytes = fs::read(&file).map_err(unread)?;
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                photos.push((name, bytes.into()));
            }
        }
    }
    Ok(photos)
}

/// Asks a quiet optimizer for every photo under several options, and looks at each answer. What is wrong with one goes
/// to `faults`; a photo that it refuses is left out, and named there when it is one of ours.
pub(crate) async fn requests(address: SocketAddr, photos: &[(String, Bytes)], faults: &mut Vec<String>) -> Vec<Good> {
    let mut good = Vec::new();
    for (name, photo) in photos {
        let queries: &[&str] = if photo.len() > LARGE {
            &["", "quality=40"]
        } else {
            &[
                "",
                "position=tile&opacity=0.3",
                "quality=40",
                "format=webp&quality=75",
                "format=png",
                "metadata=keep&position=bl",
            ]
        };
        for query in queries.iter().copied() {
            let what = format!("{name}, {query:?}");
            let Some(right) = client::ask(address, &client::head(query, "", photo.len()), photo).await else {
                faults.push(format!("{what}: no answer from a quiet optimizer"));
                continue;
            };
            if let Err(why) = look(photo, query, &right) {
                faults.push(format!("{what}: {why}"));
                continue;
            }
            good.push(Good { name: what, photo: photo.clone(), query, right });
        }
    }
    good
}

/// Whether the answer is the photo with something at the bottom, by a decoder of our own.
fn look(photo: &[u8], query: &str, reply: &Reply) -> Result<(), String> {
    if reply.status != 200 {
        return Err(format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body).trim()));
    }
    if reply.field("etag").is_none() {
        return Err("it has no ETag".to_owned());
    }
    let (before, after) = (seen(photo)?, seen(&reply.body)?);
    if before.dimensions() != after.dimensions() {
        return Err(format!("{:?} became {:?}", before.dimensions(), after.dimensions()));
    }
    if query.contains("tile") {
        return Ok(());
    }
    let (width, height) = before.dimensions();
    let top = |picture: &DynamicImage| picture.crop_imm(0, 0, width, height / 2).to_rgb8();
    let (before, after) = (top(&before), top(&after));
    let sum: u64 = before.iter().zip(after.iter()).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let decibels = if sum == 0 { 99.0 } else { 10.0 * (255.0 * 255.0 * before.len() as f64 / sum as f64).log10() };
    let kept = matches!(reply.field("x-optimizer-path"), Some("splice" | "transcode"));
    if decibels < if kept { 99.0 } else { LIKENESS } {
        return Err(format!("beside the mark it is another picture: {decibels:.1} dB"));
    }
    Ok(())
}

/// The pixels as a viewer sees them.
fn seen(file: &[u8]) -> Result<DynamicImage, String> {
    let read = || {
        let reader = ImageReader::new(Cursor::new(file)).with_guessed_format()?;
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        Ok::<_, image::ImageError>(picture)
    };
    read().map_err(|error| format!("it cannot be decoded: {error}"))
}
