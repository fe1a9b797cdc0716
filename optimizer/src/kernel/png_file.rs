//! Pixels to PNG, row by row.
//!
//! In: pixels, and what is said about them. Out: the file, in pieces. Cost: 5 ms per megapixel of RGB, of which half is
//! memory that was never used before; so nothing is written to a buffer that moves as it grows.
//! Every row is filtered by Paeth's predictor: it sees what is like the pixel above or the one to the left, in photos and
//! drawings alike, and to try the others on each row takes an eighth more and saves nothing (`docs/adr/0011`).

use std::borrow::Cow;
use std::io::{self, Write};

use bytes::Bytes;
use fdeflate::Compressor;
use image::DynamicImage;
use png::{BitDepth, ColorType, Compression, Encoder, EncodingError, Filter, Info};

use crate::refusal::Refusal;

/// Bytes of a piece of the file.
const PIECE: usize = 1 << 20;
/// Bytes of compressed data in a chunk.
const CHUNK: usize = 64 << 10;
/// The number of the filter.
const PAETH: u8 = 4;

/// Writes grey or RGB pixels, with alpha or without, of 8 or 16 bits.
pub(super) fn write(pixels: &DynamicImage, icc: Option<Vec<u8>>, exif: Option<Vec<u8>>) -> Result<Vec<Bytes>, Refusal> {
    let mut info = Info::with_size(pixels.width(), pixels.height());
    info.icc_profile = icc.map(Cow::Owned);
    info.exif_metadata = exif.map(Cow::Owned);
    let failed = |error: EncodingError| Refusal::Internal { why: error.to_string() };
    let packed = packed(pixels, info.clone()).map_err(failed)?;
    // Codes made for pictures make noise longer; it is written as it is, which takes a byte a row and some for blocks.
    let bytes = pixels.as_bytes().len() + pixels.height() as usize;
    if packed.full.len() * PIECE + packed.last.len() <= bytes + bytes / 500 {
        return Ok(packed.finish());
    }
    drop(packed);
    Ok(stored(pixels, info).map_err(failed)?.finish())
}

fn encoder<'a>(
    pixels: &DynamicImage,
    info: Info<'a>,
    to: &'a mut Pieces,
) -> Result<Encoder<'a, &'a mut Pieces>, EncodingError> {
    let color = pixels.color();
    let mut encoder = Encoder::with_info(to, info)?;
    encoder.set_color(match (color.has_color(), color.has_alpha()) {
        (false, false) => ColorType::Grayscale,
        (false, true) => ColorType::GrayscaleAlpha,
        (true, false) => ColorType::Rgb,
        (true, true) => ColorType::Rgba,
    });
    encoder.set_depth(if deep(pixels) { BitDepth::Sixteen } else { BitDepth::Eight });
    Ok(encoder)
}

fn deep(pixels: &DynamicImage) -> bool {
    pixels.color().bytes_per_pixel() > pixels.color().channel_count()
}

fn packed(pixels: &DynamicImage, info: Info<'_>) -> Result<Pieces, EncodingError> {
    let mut pieces = Pieces::default();
    let mut file = encoder(pixels, info, &mut pieces)?.write_header()?;
    let pixel = usize::from(pixels.color().bytes_per_pixel());
    let width = pixels.width() as usize * pixel;
    let mut deflate = Compressor::new(Data { file: &mut file, chunk: Vec::with_capacity(CHUNK + 8) })?;
    let mut filtered = vec![PAETH; 1 + width];
    // This row and the one above, after as many zeros as a pixel has bytes: what is left of the first pixel.
    let mut row = vec![0; pixel + width];
    let mut above = row.clone();
    for samples in pixels.as_bytes().chunks(width.max(1)) {
        row[pixel..].copy_from_slice(samples);
        if deep(pixels) {
            turn(&mut row[pixel..]);
        }
        paeth(&row, &above, pixel, &mut filtered[1..]);
        deflate.write_data(&filtered)?;
        std::mem::swap(&mut row, &mut above);
    }
    deflate.finish()?.end()?;
    file.finish()?;
    Ok(pieces)
}

fn stored(pixels: &DynamicImage, info: Info<'_>) -> Result<Pieces, EncodingError> {
    let mut pieces = Pieces::default();
    let mut encoder = encoder(pixels, info, &mut pieces)?;
    encoder.set_compression(Compression::NoCompression);
    encoder.set_filter(Filter::NoFilter);
    let mut file = encoder.write_header()?;
    let mut rows = file.stream_writer_with_size(CHUNK)?;
    let width = pixels.width() as usize * usize::from(pixels.color().bytes_per_pixel());
    let mut row = vec![0; width];
    for samples in pixels.as_bytes().chunks(width.max(1)) {
        row.copy_from_slice(samples);
        if deep(pixels) {
            turn(&mut row);
        }
        rows.write_all(&row)?;
    }
    rows.finish()?;
    file.finish()?;
    Ok(pieces)
}

/// Samples of 16 bits, which are in the order of this processor; those of a PNG have the high byte first.
fn turn(row: &mut [u8]) {
    for sample in row.as_chunks_mut::<2>().0 {
        *sample = u16::from_ne_bytes(*sample).to_be_bytes();
    }
}

/// The difference of each byte to that of the left, upper, or upper left pixel, which is nearest to their plane.
fn paeth(row: &[u8], above: &[u8], pixel: usize, filtered: &mut [u8]) {
    let left = row.iter().zip(above);
    let here = row.iter().zip(above).skip(pixel);
    for (out, ((left, upper_left), (here, upper))) in filtered.iter_mut().zip(left.zip(here)) {
        let [a, b, c] = [*left, *upper, *upper_left].map(i16::from);
        let (to_a, to_b, to_c) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
        let second = if to_b <= to_c { *upper } else { *upper_left };
        let nearest = if to_a <= to_b && to_a <= to_c { *left } else { second };
        *out = here.wrapping_sub(nearest);
    }
}

/// Puts compressed data into chunks of the file.
struct Data<'a, 'b> {
    file: &'a mut png::Writer<&'b mut Pieces>,
    chunk: Vec<u8>,
}

impl Data<'_, '_> {
    fn end(&mut self) -> io::Result<()> {
        self.file.write_chunk(png::chunk::IDAT, &self.chunk).map_err(io::Error::other)?;
        self.chunk.clear();
        Ok(())
    }
}

impl Write for Data<'_, '_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    // Called for every eight bytes.
    #[inline]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK { self.end() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes what is written in pieces of their own, so that none is copied to make room for the next.
#[derive(Default)]
struct Pieces {
    full: Vec<Bytes>,
    last: Vec<u8>,
}

impl Pieces {
    fn finish(mut self) -> Vec<Bytes> {
        self.last.shrink_to_fit();
        self.full.push(Bytes::from(self.last));
        self.full
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.capacity() == 0 {
            self.last.reserve_exact(PIECE);
        }
        let room = self.last.capacity() - self.last.len();
        let (now, _) = bytes.split_at(room.min(bytes.len()));
        self.last.extend_from_slice(now);
        if self.last.len() == self.last.capacity() {
            self.full.push(Bytes::from(std::mem::take(&mut self.last)));
        }
        Ok(now.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use image::{GrayImage, RgbaImage};

    use super::*;

    fn length(pixels: &DynamicImage) -> usize {
        let file = write(pixels, None, None).unwrap().concat();
        assert_eq!(&image::load_from_memory(&file).unwrap(), pixels);
        file.len()
    }

    #[test]
    fn noise_takes_no_more_than_its_samples_and_some_for_blocks() {
        let mut dice: u32 = 0x9e37_79b9;
        let noise = DynamicImage::from(RgbaImage::from_fn(700, 500, |_, _| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            image::Rgba((dice ^ dice >> 15).to_be_bytes())
        }));
        for pixels in [noise.to_rgba16().into(), noise] {
            let samples = pixels.as_bytes().len();
            let file = length(&pixels);
            assert!(file < samples + samples / 500 + 1_500, "{file} for {samples}");
        }
    }

    #[test]
    fn what_repeats_across_or_down_takes_next_to_nothing() {
        let across = GrayImage::from_fn(800, 600, |_, y| image::Luma([y.to_le_bytes()[0]]));
        let down = GrayImage::from_fn(800, 600, |x, _| image::Luma([x.wrapping_mul(37).to_le_bytes()[0]]));
        for pixels in [across, down] {
            assert!(length(&pixels.into()) < 800 * 600 / 60);
        }
    }
}
