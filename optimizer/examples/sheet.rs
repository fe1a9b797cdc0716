//! Writes the pictures of `docs/guide/marks.md`: `sheet [FOLDER]`.
//!
//! In: the photos of the demo and of the tests, a logo drawn here. Out: contact sheets, each cell marked by the kernel
//! with the query below it. Run it from the project's root; without a folder it writes to `docs/pictures`.

use std::error::Error;
use std::io::Cursor;
use std::path::PathBuf;

use bytes::Bytes;
use clap::Parser;
use image::codecs::jpeg::{JpegDecoder, JpegEncoder};
use image::imageops::{FilterType, overlay};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use weir_optimizer::kernel::{Header, Kernel, Limits, Logos, Output};
use weir_optimizer::plan::FormatAsk;

const PHOTO: &[u8] = include_bytes!("../photos/life.jpg");
const OPTIMISED: &[u8] = include_bytes!("../tests/photos/optimised.jpg");
const PROGRESSIVE: &[u8] = include_bytes!("../tests/photos/progressive.jpg");
const GREY: &[u8] = include_bytes!("../tests/photos/grey.jpg");
const CMYK: &[u8] = include_bytes!("../tests/photos/cmyk.jpg");

/// Pixels about each cell, and of the words below it.
const GAP: u32 = 8;
const WORDS: u32 = 22;
/// Good enough for small photos, and small enough for a repository.
const QUALITY: u8 = 62;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Writes the pictures of the guide.
#[derive(Parser)]
struct Cli {
    /// Where to
    #[arg(default_value = "docs/pictures")]
    folder: PathBuf,
}

fn main() -> Result<()> {
    let Cli { folder } = Cli::parse();
    std::fs::create_dir_all(&folder)?;
    let mut logos = Logos::default();
    logos.add("weir", &logo()?)?;
    let kernel = Kernel::with_logos(logos)?;
    for (name, sheet) in [
        ("positions", positions(&kernel)?),
        ("orientations", orientations(&kernel)?),
        ("options", options(&kernel)?),
        ("edges", edges(&kernel)?),
        ("paths", paths(&kernel)?),
    ] {
        let mut file = Vec::new();
        sheet.write_with_encoder(JpegEncoder::new_with_quality(&mut file, QUALITY))?;
        std::fs::write(folder.join(name).with_extension("jpg"), file)?;
    }
    Ok(())
}

/// The nine.
fn positions(kernel: &Kernel) -> Result<RgbImage> {
    let photo = jpeg(&small(210)?)?;
    let mut sheet = Sheet::new(kernel, 3, (210, 140));
    for position in ["tl", "tc", "tr", "cl", "cc", "cr", "bl", "bc", "br"] {
        let query = format!("position={position}");
        sheet.cell(&shown(&marked(kernel, &photo, &format!("{query}&size=0.12&opacity=0.9"))?.to_vec())?, &query)?;
    }
    sheet.finish()
}

/// As it is stored, and below it as a viewer shows it.
fn orientations(kernel: &Kernel) -> Result<RgbImage> {
    let upright = small(150)?;
    let mut sheet = Sheet::new(kernel, 4, (150, 150));
    for four in [1..=4, 5..=8] {
        let files: Vec<_> = four.clone().map(|tag| turned(&upright, tag)).collect::<Result<_>>()?;
        let query = "text=R4&size=0.25&opacity=1&outline=0.08&outline_color=c02020";
        let outputs: Vec<_> = files.iter().map(|file| marked(kernel, file, query)).collect::<Result<_>>()?;
        for (tag, output) in four.clone().zip(&outputs) {
            let stored = image::load_from_memory_with_format(&output.to_vec(), ImageFormat::Jpeg)?;
            sheet.cell(&stored, &format!("{tag}, as stored"))?;
        }
        for (tag, output) in four.zip(&outputs) {
            sheet.cell(&shown(&output.to_vec())?, &format!("{tag}, as seen"))?;
        }
    }
    sheet.finish()
}

/// What the keys do.
fn options(kernel: &Kernel) -> Result<RgbImage> {
    let photo = jpeg(&small(240)?)?;
    let mut sheet = Sheet::new(kernel, 3, (240, 160));
    for query in [
        "",
        "size=0.2&opacity=0.8",
        "size=40px&color=ffd000",
        "opacity=0.25&size=0.15",
        "opacity=1&size=0.15",
        "rotate=-30&size=0.2&position=cc",
        "logo=weir&size=0.25&opacity=1",
        "logo=weir&size=0.3&rotate=15&position=cc",
        "logo=weir&size=0.3&shadow=0.06&opacity=1",
        "position=tile",
        "position=tile&rotate=-30&margin=12px",
        "logo=weir&position=tile&size=0.1",
        "text=%C2%A9+Me&size=0.1&outline=0.05",
        "text=%C2%A9+Me&size=0.1&shadow=0.06",
        "size=1&margin=0.1&opacity=0.4",
    ] {
        let picture = shown(&marked(kernel, &photo, query)?.to_vec())?;
        sheet.cell(&picture, if query.is_empty() { "nothing asked for" } else { query })?;
    }
    sheet.finish()
}

/// Outlines and shadows, enlarged.
fn edges(kernel: &Kernel) -> Result<RgbImage> {
    let photo = jpeg(&small(240)?)?;
    let mut sheet = Sheet::new(kernel, 3, (240, 160));
    for edge in [
        "outline=0.04",
        "outline=0.12&outline_color=c02020",
        "outline=1px&size=20px",
        "shadow=0.06",
        "shadow=0.2&shadow_color=102060",
        "outline=0.05&shadow=0.1&rotate=-20",
    ] {
        let query = format!("text=Rag&size=0.35&position=cc&opacity=1&{edge}");
        let query = if edge.contains("size") { query.replace("size=0.35&", "") } else { query };
        sheet.cell(&shown(&marked(kernel, &photo, &query)?.to_vec())?, edge)?;
    }
    sheet.finish()
}

/// One file for each way, and which that is.
fn paths(kernel: &Kernel) -> Result<RgbImage> {
    let mut sheet = Sheet::new(kernel, 3, (240, 160));
    let clear = RgbaImage::from_fn(240, 160, |x, y| {
        let far = (f64::from(x) - 120.0).hypot(f64::from(y) - 80.0);
        Rgba([40, 120, 200, if far < 70.0 { 255 } else { 0 }])
    });
    let mut png = Cursor::new(Vec::new());
    clear.write_to(&mut png, ImageFormat::Png)?;
    for (what, file, query) in [
        ("baseline JPEG", &jpeg(&small(240)?)?[..], ""),
        ("JPEG with its own tables", OPTIMISED, ""),
        ("progressive JPEG", PROGRESSIVE, ""),
        ("grey JPEG", GREY, ""),
        ("CMYK JPEG", CMYK, ""),
        ("PNG with alpha", png.get_ref(), ""),
        ("JPEG, quality=60", &jpeg(&small(240)?)?, "quality=60"),
        ("JPEG, format=webp", &jpeg(&small(240)?)?, "format=webp"),
        ("grey JPEG, colour logo", GREY, ""),
    ] {
        let output = marked(kernel, file, &format!("logo=weir&size=0.25&opacity=1&{query}"))?;
        let grey = what == "grey JPEG";
        let output = if grey { marked(kernel, file, "size=0.12&opacity=0.9&outline=0.06")? } else { output };
        sheet.cell(&shown(&output.to_vec())?, &format!("{what}: {}", output.path.name()))?;
    }
    sheet.finish()
}

fn marked(kernel: &Kernel, file: &[u8], query: &str) -> Result<Output> {
    let plan = kernel.plan(query)?;
    let header = Header::read(file, &Limits::default())?;
    let target = match plan.format {
        FormatAsk::Is(format) => format,
        FormatAsk::Keep | FormatAsk::Auto => header.format,
    };
    Ok(kernel.optimize(&Bytes::copy_from_slice(file), &header, &plan, target, &mut |_| {})?)
}

/// The photo, smaller.
fn small(width: u32) -> Result<DynamicImage> {
    Ok(image::load_from_memory(PHOTO)?.resize(width, width, FilterType::Lanczos3))
}

fn jpeg(picture: &DynamicImage) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut file, 92))?;
    Ok(file)
}

/// A JPEG whose tag makes a viewer show `upright`.
fn turned(upright: &DynamicImage, tag: u8) -> Result<Vec<u8>> {
    let undo = match tag {
        6 => 8,
        8 => 6,
        other => other,
    };
    let mut stored = upright.clone();
    stored.apply_orientation(Orientation::from_exif(undo).unwrap_or(Orientation::NoTransforms));
    let file = jpeg(&stored)?;
    let mut exif = b"\xff\xe1\0\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([tag, 0, 0, 0, 0, 0, 0]);
    Ok([&file[..2], &exif, &file[2..]].concat())
}

/// As a viewer shows it, on a chequered ground where it is transparent.
fn shown(file: &[u8]) -> Result<DynamicImage> {
    let picture = if file.starts_with(&[0xff, 0xd8]) {
        let mut decoder = JpegDecoder::new(Cursor::new(file))?;
        let orientation = decoder.orientation()?;
        let mut picture = DynamicImage::from_decoder(decoder)?;
        picture.apply_orientation(orientation);
        picture
    } else {
        image::load_from_memory(file)?
    };
    let ground = |x: u32, y: u32| if (x / 8 + y / 8).is_multiple_of(2) { 255 } else { 215 };
    let mut chequered: DynamicImage = RgbaImage::from_fn(picture.width(), picture.height(), |x, y| {
        Rgba([ground(x, y), ground(x, y), ground(x, y), 255])
    })
    .into();
    overlay(&mut chequered, &picture, 0, 0);
    Ok(chequered)
}

/// A round badge with waves, as a PNG with alpha.
fn logo() -> Result<Vec<u8>> {
    const SIDE: u32 = 256;
    let picture = RgbaImage::from_fn(SIDE, SIDE, |x, y| {
        let (x, y) = (f64::from(x) - 127.5, f64::from(y) - 127.5);
        let inside = (126.0 - x.hypot(y)).clamp(0.0, 1.0);
        let rim = (x.hypot(y) - 108.0).clamp(0.0, 1.0);
        let wave = |at: f64| (11.0 - (y - at - 12.0 * (x / 17.0).sin()).abs()).clamp(0.0, 1.0);
        let white = rim.max(wave(-40.0)).max(wave(0.0)).max(wave(40.0));
        let mixed = |from: f64| {
            let sample = (from * (1.0 - white) + 255.0 * white).round();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
            let sample = sample as u8;
            sample
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
        let alpha = (inside * 255.0).round() as u8;
        Rgba([mixed(14.0), mixed(110.0), mixed(190.0), alpha])
    });
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, ImageFormat::Png)?;
    Ok(file.into_inner())
}

/// Cells in rows.
struct Sheet<'a> {
    kernel: &'a Kernel,
    columns: u32,
    cell: (u32, u32),
    cells: Vec<RgbImage>,
}

impl<'a> Sheet<'a> {
    fn new(kernel: &'a Kernel, columns: u32, cell: (u32, u32)) -> Self {
        Self { kernel, columns, cell, cells: Vec::new() }
    }

    /// Adds a picture with words below it, which are a mark too.
    fn cell(&mut self, picture: &DynamicImage, words: &str) -> Result<()> {
        let (width, height) = self.cell;
        let mut cell = RgbImage::from_pixel(width, height + WORDS, Rgb([255; 3]));
        let middle = |side: u32, own: u32| i64::from(side.saturating_sub(own) / 2);
        overlay(&mut cell, &picture.to_rgb8(), middle(width, picture.width()), middle(height, picture.height()));
        let mut strip = Cursor::new(Vec::new());
        RgbImage::from_pixel(width, WORDS, Rgb([255; 3])).write_to(&mut strip, ImageFormat::Png)?;
        let words = words.replace('%', "%25").replace('&', "%26").replace('+', "%2B");
        let query = format!("text={words}&size=13px&position=cl&margin=2px&color=303030&opacity=1");
        let strip = marked(self.kernel, strip.get_ref(), &query)?.to_vec();
        overlay(&mut cell, &image::load_from_memory(&strip)?.to_rgb8(), 0, i64::from(height));
        self.cells.push(cell);
        Ok(())
    }

    fn finish(self) -> Result<RgbImage> {
        let (width, height) = (self.cell.0 + GAP, self.cell.1 + WORDS + GAP);
        let rows = u32::try_from(self.cells.len())?.div_ceil(self.columns);
        let mut sheet = RgbImage::from_pixel(self.columns * width + GAP, rows * height + GAP, Rgb([255; 3]));
        for (number, cell) in (0..).zip(&self.cells) {
            let (x, y) = (GAP + number % self.columns * width, GAP + number / self.columns * height);
            overlay(&mut sheet, cell, i64::from(x), i64::from(y));
        }
        Ok(sheet)
    }
}
