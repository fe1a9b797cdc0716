//! What to draw and how to write it: the options of one request.
//!
//! In: the query of the request target. Out: a [`Plan`] whose every value is legal, or the first option that is not,
//! with what to write instead. Cost: O(length of the query). Names, units and defaults are those of the HTTP interface
//! described in the crate's documentation.

mod query;
mod values;

use crate::kernel::{Face, Format};

pub use self::values::{Color, Degrees, Extent, FormatAsk, MarkText, Metadata, Opacity, Position, Quality};

/// The keys a query may have.
pub const KEYS: [&str; 10] =
    ["text", "position", "opacity", "size", "margin", "color", "rotate", "format", "quality", "metadata"];

/// A query option that is not legal: which one, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No option has this name.
    #[error(
        "unknown option `{key}`: write one of text, position, opacity, size, margin, color, rotate, format, quality, metadata"
    )]
    Unknown {
        /// The key as written.
        key: String,
    },
    /// The same option twice.
    #[error("`{key}` is written twice: write it once")]
    Twice {
        /// The key as written.
        key: &'static str,
    },
    /// The value of a known option is out of range or not of its form.
    #[error("`{key}` is `{value}`: write {instead}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value as written, after percent-decoding.
        value: String,
        /// What to write.
        instead: String,
    },
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("`{part}` in the query is not percent-encoded UTF-8: write a literal `%` as `%25`")]
    Encoding {
        /// The part of the query.
        part: String,
    },
}

/// The mark itself and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// What is written.
    pub text: MarkText,
    /// Where.
    pub position: Position,
    /// How strongly it covers the picture.
    pub opacity: Opacity,
    /// Height of a line of text, from ascender to descender.
    pub size: Extent,
    /// Distance to the edges, and around each copy of a tiled mark.
    pub margin: Extent,
    /// Colour of the letters.
    pub color: Color,
    /// Clockwise turn of the text.
    pub rotate: Degrees,
}

/// A whole request: what to draw, and what to write it as.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The mark.
    pub mark: Mark,
    /// The format of the answer.
    pub format: FormatAsk,
    /// How good a lossy answer is to be. `None` keeps about the quality of the input.
    pub quality: Option<Quality>,
    /// What of the metadata goes out again.
    pub metadata: Metadata,
}

impl Plan {
    /// Reads the query of a request target, without its `?`. An absent key takes its default.
    ///
    /// # Errors
    /// [`OptionError`] for the first key that is unknown, written twice, or has a value that cannot be meant. A text
    /// that `face` cannot draw is one of them.
    pub fn parse(query: &str, face: &Face) -> Result<Self, OptionError> {
        let mut found: [Option<String>; KEYS.len()] = Default::default();
        for pair in query::pairs(query) {
            let (key, value) = pair?;
            let Some(at) = KEYS.iter().position(|known| *known == key) else {
                return Err(OptionError::Unknown { key });
            };
            if found[at].replace(value).is_some() {
                return Err(OptionError::Twice { key: KEYS[at] });
            }
        }
        let [text, position, opacity, size, margin, color, rotate, format, quality, metadata] = found;
        Ok(Self {
            mark: Mark {
                text: MarkText::parse(text.as_deref().unwrap_or(MarkText::DEFAULT), face)?,
                position: given(position, Position::parse)?.unwrap_or(Position::BottomRight),
                opacity: given(opacity, Opacity::parse)?.unwrap_or(Opacity::HALF),
                size: given(size, Extent::parse_size)?.unwrap_or(Extent::DEFAULT_SIZE),
                margin: given(margin, Extent::parse_margin)?.unwrap_or(Extent::DEFAULT_MARGIN),
                color: given(color, Color::parse)?.unwrap_or(Color::WHITE),
                rotate: given(rotate, Degrees::parse)?.unwrap_or(Degrees::NONE),
            },
            format: given(format, FormatAsk::parse)?.unwrap_or(FormatAsk::Keep),
            quality: given(quality, Quality::parse)?,
            metadata: given(metadata, Metadata::parse)?.unwrap_or(Metadata::Strip),
        })
    }

    /// The options in one fixed form: two queries that ask for the same bytes have the same form, however they were
    /// written. `target` is the format decided for the answer. Part of the `ETag`.
    pub fn normalised(&self, target: Format) -> String {
        let mark = &self.mark;
        // Position and size come from enums and numbers, so only the text could hold a separator; it comes last.
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {target:?} {}",
            mark.position,
            mark.opacity,
            mark.size,
            mark.margin,
            mark.color,
            mark.rotate,
            self.quality,
            self.metadata,
            mark.text.as_str()
        )
    }
}

fn given<T>(
    value: Option<String>,
    parse: impl FnOnce(&str) -> Result<T, OptionError>,
) -> Result<Option<T>, OptionError> {
    value.map(|value| parse(&value)).transpose()
}
