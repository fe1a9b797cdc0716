//! What to draw and how to write it: the options of one request.
//!
//! In: the query of the request target. Out: a [`Plan`] whose every value is legal, or the first option that is not,
//! with what to write instead. Cost: O(length of the query). Names, units and defaults are those of the HTTP interface
//! described in the crate's documentation.

mod query;
mod values;

use std::sync::Arc;

use crate::kernel::{Face, Format, Logo, Logos};

pub use self::values::{Color, Degrees, Extent, FormatAsk, MarkText, Metadata, Opacity, Position, Quality};

/// The keys a query may have.
pub const KEYS: [&str; 15] = [
    "text",
    "logo",
    "position",
    "opacity",
    "size",
    "margin",
    "color",
    "outline",
    "outline_color",
    "shadow",
    "shadow_color",
    "rotate",
    "format",
    "quality",
    "metadata",
];

/// A query option that is not legal: which one, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No option has this name.
    #[error("unknown option `{key}`: write one of {}", KEYS.join(", "))]
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
    /// An option that means nothing beside another one, or without it.
    #[error("`{key}` {why}: {instead}")]
    Misplaced {
        /// The key.
        key: &'static str,
        /// What is wrong with it here.
        why: &'static str,
        /// What to write.
        instead: &'static str,
    },
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("`{part}` in the query is not percent-encoded UTF-8: write a literal `%` as `%25`")]
    Encoding {
        /// The part of the query.
        part: String,
    },
}

/// What the mark shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A line of text.
    Text {
        /// The characters.
        text: MarkText,
        /// Colour of the letters.
        color: Color,
    },
    /// A picture given at start.
    Logo(Arc<Logo>),
}

/// An outline, or a shadow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    /// How wide the outline is, or how far the shadow falls to the right and down. Never zero.
    pub extent: Extent,
    /// Its colour.
    pub color: Color,
}

/// The mark itself and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// What is drawn.
    pub content: Content,
    /// Where.
    pub position: Position,
    /// How strongly it covers the picture, outline and shadow included.
    pub opacity: Opacity,
    /// Height of a line of text, from ascender to descender, or of a logo.
    pub size: Extent,
    /// Distance to the edges, and around each copy of a tiled mark.
    pub margin: Extent,
    /// A line around it.
    pub outline: Option<Edge>,
    /// A shadow with a soft edge, that ends where the mark does on the upper left.
    pub shadow: Option<Edge>,
    /// Clockwise turn. The shadow falls to the lower right all the same.
    pub rotate: Degrees,
}

impl Mark {
    /// Whether all of it is grey, so that a greyscale picture can stay one.
    pub fn is_grey(&self) -> bool {
        let own = match &self.content {
            Content::Text { color, .. } => color.is_grey(),
            Content::Logo(logo) => logo.is_grey(),
        };
        own && [self.outline, self.shadow].iter().flatten().all(|edge| edge.color.is_grey())
    }
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
    /// [`OptionError`] for the first key that is unknown, written twice, has a value that cannot be meant, or does not go
    /// with another. A text that `face` cannot draw is one of them, and so is a logo that is not among `logos`.
    pub fn parse(query: &str, face: &Face, logos: &Logos) -> Result<Self, OptionError> {
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
        let [
            text,
            logo,
            position,
            opacity,
            size,
            margin,
            color,
            outline,
            outline_color,
            shadow,
            shadow_color,
            rotate,
            format,
            quality,
            metadata,
        ] = found;
        Ok(Self {
            mark: Mark {
                content: content(text.as_deref(), logo, color, face, logos)?,
                position: given(position, Position::parse)?.unwrap_or(Position::BottomRight),
                opacity: given(opacity, Opacity::parse)?.unwrap_or(Opacity::HALF),
                size: given(size, Extent::parse_size)?.unwrap_or(Extent::DEFAULT_SIZE),
                margin: given(margin, Extent::parse_margin)?.unwrap_or(Extent::DEFAULT_MARGIN),
                outline: edge(("outline", outline), ("outline_color", outline_color), "write `outline=0.05` too")?,
                shadow: edge(("shadow", shadow), ("shadow_color", shadow_color), "write `shadow=0.05` too")?,
                rotate: given(rotate, Degrees::parse)?.unwrap_or(Degrees::NONE),
            },
            format: given(format, FormatAsk::parse)?.unwrap_or(FormatAsk::Keep),
            quality: given(quality, Quality::parse)?,
            metadata: given(metadata, Metadata::parse)?.unwrap_or(Metadata::Strip),
        })
    }

    /// The options in one fixed form: two queries that ask for the same bytes have the same form, however they were
    /// written. A logo counts by its bytes and not by its name. `target` is the format decided for the answer. Part of
    /// the `ETag`.
    pub fn normalised(&self, target: Format) -> String {
        let mark = &self.mark;
        // All else comes from enums and numbers, so only the text could hold a separator; it comes last.
        let content = match &mark.content {
            Content::Text { text, color } => format!("text {color:?} {}", text.as_str()),
            Content::Logo(logo) => format!("logo {:032x}", logo.hash()),
        };
        format!(
            "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {target:?} {content}",
            mark.position,
            mark.opacity,
            mark.size,
            mark.margin,
            mark.outline,
            mark.shadow,
            mark.rotate,
            self.quality,
            self.metadata,
        )
    }
}

fn content(
    text: Option<&str>,
    logo: Option<String>,
    color: Option<String>,
    face: &Face,
    logos: &Logos,
) -> Result<Content, OptionError> {
    let Some(name) = logo else {
        let text = MarkText::parse(text.unwrap_or(MarkText::DEFAULT), face)?;
        let color = given(color, |value| Color::parse("color", value))?.unwrap_or(Color::WHITE);
        return Ok(Content::Text { text, color });
    };
    let beside = |why, instead| Err(OptionError::Misplaced { key: "logo", why, instead });
    if text.is_some() {
        return beside("does not go with `text`", "write one of them");
    }
    if color.is_some() {
        return beside("does not go with `color`", "leave out `color`, a logo has its own");
    }
    let Some(logo) = logos.get(&name) else {
        let instead = match &logos.names().collect::<Vec<_>>()[..] {
            [] => "`text` instead: no logo was given at start".to_owned(),
            names => format!("one of {}", names.join(", ")),
        };
        return Err(OptionError::Value { key: "logo", value: name, instead });
    };
    Ok(Content::Logo(Arc::clone(logo)))
}

/// A key for a length and one for its colour, which means nothing without.
fn edge(
    (key, extent): (&'static str, Option<String>),
    (color_key, color): (&'static str, Option<String>),
    instead: &'static str,
) -> Result<Option<Edge>, OptionError> {
    let color = given(color, |value| Color::parse(color_key, value))?;
    let Some(extent) = extent else {
        let misplaced = OptionError::Misplaced { key: color_key, why: "has nothing to colour", instead };
        return color.map_or(Ok(None), |_| Err(misplaced));
    };
    let extent = Extent::parse_edge(key, &extent)?;
    Ok(extent.map(|extent| Edge { extent, color: color.unwrap_or(Color::BLACK) }))
}

fn given<T>(
    value: Option<String>,
    parse: impl FnOnce(&str) -> Result<T, OptionError>,
) -> Result<Option<T>, OptionError> {
    value.map(|value| parse(&value)).transpose()
}
