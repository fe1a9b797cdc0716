//! The values an option can have. One that exists is legal; the check is in its `parse` and nowhere else.
//!
//! In: text. Out: a value in the unit the drawing code works in. Cost: O(length).

use super::OptionError;
use crate::kernel::{Face, Format};

/// What the mark says: 1..=[`MarkText::MAX`] characters, each of which the embedded font has, at least one with ink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkText(String);

impl MarkText {
    /// The text of a mark nobody chose.
    pub const DEFAULT: &'static str = "NWS";
    /// Longest text in characters. A mark is a name or a line; more would be shrunk to a smear anyway.
    pub const MAX: usize = 256;

    /// # Errors
    /// When the text is empty, too long, or `face` cannot draw it.
    pub fn parse(value: &str, face: &Face) -> Result<Self, OptionError> {
        let bad = |instead: String| Err(wrong("text", value, instead));
        if value.chars().count() > Self::MAX {
            return bad(format!("at most {} characters", Self::MAX));
        }
        if let Some(missing) = value.chars().find(|c| !face.has(*c)) {
            return bad(format!("characters of the embedded font, which has no {missing:?}"));
        }
        if !value.chars().any(|c| face.has_ink(c)) {
            return bad("something visible, such as `NWS`".to_owned());
        }
        Ok(Self(value.to_owned()))
    }

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where the mark goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Position {
    TopLeft,
    TopCentre,
    TopRight,
    CentreLeft,
    Centre,
    CentreRight,
    BottomLeft,
    BottomCentre,
    BottomRight,
    /// All over the picture, every second row shifted by half a step.
    Tile,
}

impl Position {
    /// # Errors
    /// When the value is none of the ten words.
    pub fn parse(value: &str) -> Result<Self, OptionError> {
        Ok(match value {
            "tl" => Self::TopLeft,
            "tc" => Self::TopCentre,
            "tr" => Self::TopRight,
            "cl" => Self::CentreLeft,
            "cc" => Self::Centre,
            "cr" => Self::CentreRight,
            "bl" => Self::BottomLeft,
            "bc" => Self::BottomCentre,
            "br" => Self::BottomRight,
            "tile" => Self::Tile,
            _ => return Err(wrong("position", value, "one of tl tc tr cl cc cr bl bc br tile")),
        })
    }
}

/// How strongly the mark covers the picture, in 255ths: what eight bits of coverage can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opacity(u8);

impl Opacity {
    /// Half transparent: readable on light and dark alike, without hiding what is below.
    pub const HALF: Self = Self(128);

    /// # Errors
    /// When the value is not a number between 0 and 1.
    pub fn parse(value: &str) -> Result<Self, OptionError> {
        let share = number(value).filter(|share| (0.0..=1.0).contains(share));
        let share = share.ok_or_else(|| wrong("opacity", value, "a number between 0 and 1, such as `0.5`"))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0..=1 times 255 fits")]
        Ok(Self((share * 255.0).round() as u8))
    }

    /// In 255ths.
    pub fn of_255(self) -> u8 {
        self.0
    }
}

/// A length: a share, or pixels. A share of the picture's width as the viewer sees it for size and margin, of the
/// mark's own height for outline and shadow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extent {
    /// Share, 0..=1.
    Share(f32),
    /// Pixels, at most 65,535, the longest side an image can have here.
    Pixels(u16),
}

impl Extent {
    /// One twentieth of the width.
    pub const DEFAULT_SIZE: Self = Self::Share(0.05);
    /// One fiftieth of the width.
    pub const DEFAULT_MARGIN: Self = Self::Share(0.02);
    /// Widest outline, and longest way of a shadow, in heights of the mark: beyond that it is a blot.
    pub const MOST_EDGE: f32 = 0.5;

    /// # Errors
    /// When the value is not a share in `(0, 1]` nor pixels from `1px`.
    pub fn parse_size(value: &str) -> Result<Self, OptionError> {
        Self::parse(value)
            .filter(|extent| !matches!(extent, Self::Pixels(0)) && *extent != Self::Share(0.0))
            .ok_or_else(|| {
                wrong(
                    "size",
                    value,
                    "a share of the width above 0 and up to 1, such as `0.05`, or pixels, such as `24px`",
                )
            })
    }

    /// # Errors
    /// When the value is not a share in `[0, 0.5]` nor pixels.
    pub fn parse_margin(value: &str) -> Result<Self, OptionError> {
        Self::parse(value).filter(|extent| !matches!(extent, Self::Share(share) if *share > 0.5)).ok_or_else(|| {
            wrong("margin", value, "a share of the width between 0 and 0.5, such as `0.02`, or pixels, such as `10px`")
        })
    }

    /// The width of an outline or the way of a shadow, by the name of its key. `None` for no length at all.
    ///
    /// # Errors
    /// When the value is not a share in `[0, 0.5]` nor pixels.
    pub fn parse_edge(key: &'static str, value: &str) -> Result<Option<Self>, OptionError> {
        let edge =
            Self::parse(value).filter(|extent| !matches!(extent, Self::Share(share) if *share > Self::MOST_EDGE));
        let edge = edge.ok_or_else(|| {
            let instead = "a share of the mark's height between 0 and 0.5, such as `0.05`, or pixels, such as `2px`";
            wrong(key, value, instead)
        })?;
        Ok(Some(edge).filter(|edge| !matches!(edge, Self::Pixels(0)) && *edge != Self::Share(0.0)))
    }

    /// As a share of a mark `height` pixels high, at most [`Extent::MOST_EDGE`].
    pub fn edge_of(self, height: f32) -> f32 {
        let share = match self {
            Self::Share(share) => share,
            Self::Pixels(pixels) => f32::from(pixels) / height.max(1.0),
        };
        share.min(Self::MOST_EDGE)
    }

    fn parse(value: &str) -> Option<Self> {
        match value.strip_suffix("px") {
            Some(pixels) => pixels.bytes().all(|b| b.is_ascii_digit()).then(|| pixels.parse().ok())?.map(Self::Pixels),
            None => number(value).filter(|share| (0.0..=1.0).contains(share)).map(Self::Share),
        }
    }

    /// In pixels of a picture `width` pixels wide.
    pub fn pixels(self, width: u32) -> f32 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "a width is below 2^24")]
            Self::Share(share) => share * width as f32,
            Self::Pixels(pixels) => f32::from(pixels),
        }
    }
}

/// A colour, in the picture's own colour space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color(pub [u8; 3]);

impl Color {
    /// `ffffff`.
    pub const WHITE: Self = Self([255; 3]);
    /// `000000`.
    pub const BLACK: Self = Self([0; 3]);

    /// The value of this key.
    ///
    /// # Errors
    /// When the value is not six hexadecimal digits.
    pub fn parse(key: &'static str, value: &str) -> Result<Self, OptionError> {
        let six = value.len() == 6 && value.bytes().all(|b| b.is_ascii_hexdigit());
        let bits = six.then(|| u32::from_str_radix(value, 16).ok()).flatten();
        let [_, r, g, b] = bits
            .ok_or_else(|| wrong(key, value, "six hexadecimal digits rrggbb without `#`, such as `ffffff`"))?
            .to_be_bytes();
        Ok(Self([r, g, b]))
    }

    /// Whether red, green and blue are equal, so that a greyscale picture can stay one.
    pub fn is_grey(self) -> bool {
        let Self([r, g, b]) = self;
        r == g && g == b
    }
}

/// A clockwise turn, 0 up to but not including 360.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Degrees(f32);

impl Degrees {
    /// Upright.
    pub const NONE: Self = Self(0.0);

    /// # Errors
    /// When the value is not a number between -360 and 360.
    pub fn parse(value: &str) -> Result<Self, OptionError> {
        let turn = number(value).filter(|turn| (-360.0..=360.0).contains(turn));
        let turn =
            turn.ok_or_else(|| wrong("rotate", value, "degrees clockwise between -360 and 360, such as `-30`"))?;
        // Adding zero turns -0 into 0, so that both have one normalised form.
        Ok(Self(turn.rem_euclid(360.0) % 360.0 + 0.0))
    }

    /// Sine and cosine; exact at the quarter turns, so that upright text has sharp stems.
    ///
    /// By their series and not by the system's library, whose last bit depends on its version and the processor: the
    /// same request gives the same bytes everywhere.
    pub fn sin_cos(self) -> (f32, f32) {
        let quarters = (f64::from(self.0) / 90.0).round();
        // At most an eighth of a turn, where the first term left out is below 1e-11.
        let rest = (f64::from(self.0) - 90.0 * quarters).to_radians();
        let series = |first: f64, divisors: [f64; 6]| {
            first * divisors.iter().rev().fold(1.0, |inner, divisor| 1.0 - rest * rest / divisor * inner)
        };
        let sin = series(rest, [6.0, 20.0, 42.0, 72.0, 110.0, 156.0]);
        let cos = series(1.0, [2.0, 12.0, 30.0, 56.0, 90.0, 132.0]);
        let (sin, cos) = match quarters {
            1.0 => (cos, -sin),
            2.0 => (-sin, -cos),
            3.0 => (-cos, sin),
            _ => (sin, cos),
        };
        #[expect(clippy::cast_possible_truncation, reason = "that is as exact as outlines are")]
        (sin as f32, cos as f32)
    }
}

/// The format of the answer, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatAsk {
    /// The format of the input.
    Keep,
    /// Whatever the `Accept` header of the request prefers.
    Auto,
    /// This one.
    Is(Format),
}

impl FormatAsk {
    /// # Errors
    /// When the value is none of the four words.
    pub fn parse(value: &str) -> Result<Self, OptionError> {
        Ok(match value {
            "jpeg" => Self::Is(Format::Jpeg),
            "png" => Self::Is(Format::Png),
            "webp" => Self::Is(Format::WebP),
            "auto" => Self::Auto,
            _ => return Err(wrong("format", value, "one of jpeg png webp auto")),
        })
    }
}

/// What happens to what is said about a picture; its colour profile is kept in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// EXIF data, and in a JPEG that stays one all other metadata, go out as they came: a small picture inside of EXIF
    /// data too, which has no mark. Those that JFIF has room for never go out.
    Keep,
    /// None of it goes out. A JPEG that is spliced still tells its orientation.
    Strip,
}

impl Metadata {
    /// # Errors
    /// When the value is neither word.
    pub fn parse(value: &str) -> Result<Self, OptionError> {
        match value {
            "keep" => Ok(Self::Keep),
            "strip" => Ok(Self::Strip),
            _ => Err(wrong("metadata", value, "one of keep strip")),
        }
    }
}

/// Quality of a lossy picture on libjpeg's scale: 1..=100. A PNG has none and ignores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality(u8);

impl Quality {
    /// For an input that does not tell its own: visually close, and what image services commonly write.
    pub const DEFAULT: Self = Self(85);

    /// `raw` drawn into 1..=100.
    pub fn near(raw: u8) -> Self {
        Self(raw.clamp(1, 100))
    }

    /// # Errors
    /// When the value is not a whole number between 1 and 100.
    pub fn parse(value: &str) -> Result<Self, OptionError> {
        let digits = value.bytes().all(|b| b.is_ascii_digit());
        let quality = digits.then(|| value.parse().ok()).flatten().filter(|quality| (1..=100).contains(quality));
        quality.map(Self).ok_or_else(|| wrong("quality", value, "a whole number between 1 and 100"))
    }

    /// 1..=100.
    pub fn get(self) -> u8 {
        self.0
    }
}

fn wrong(key: &'static str, value: &str, instead: impl Into<String>) -> OptionError {
    OptionError::Value { key, value: value.to_owned(), instead: instead.into() }
}

// `f32::from_str` also reads "inf", "NaN" and "1e30"; an option is digits, a point and a sign.
fn number(value: &str) -> Option<f32> {
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    plain.then(|| value.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_and_cosine_are_right_at_every_degree_and_exact_at_quarter_turns() {
        for degrees in -360_i16..=360 {
            let (sin, cos) = Degrees::parse(&degrees.to_string()).unwrap().sin_cos();
            let (wanted_sin, wanted_cos) = f64::from(degrees).to_radians().sin_cos();
            assert!((f64::from(sin) - wanted_sin).abs() < 1e-7 && (f64::from(cos) - wanted_cos).abs() < 1e-7);
            let exact = [0.0, 1.0, -1.0];
            assert!(degrees % 90 != 0 || exact.contains(&sin) && exact.contains(&cos));
        }
    }
}
