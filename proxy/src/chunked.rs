//! Whether the chunked framing of a request body is what RFC 9112 §7.1 says, byte by byte.
//!
//! In: the bytes behind a head that says `chunked`, in pieces of any size. Out: the first fault, or the body's end.
//! Cost: a step per byte of framing; the data of a chunk is skipped by count; no allocation.
//!
//! Why beside the library's reader, which does read them: it takes an empty size for 0, and lets LF and NUL through in
//! extensions and trailers, where the next reader on the way may see a line end. It gets no byte of a read that has a
//! fault in it. Extensions and trailers are bounded too, since they cost us without counting as body.

use crate::head::is_token;

/// What extensions may take in all, 16 KiB as hyper: there is no use for them, and one per byte of data is an attack.
const EXTENSIONS: usize = 16 * 1024;
/// What trailers may take in all, 16 KiB: half of what a whole head may.
const TRAILERS: usize = 16 * 1024;
/// Most digits of a chunk's size: below 2^60, so that no sum over it overflows.
const DIGITS: u8 = 15;

/// Reads the framing of one body.
#[derive(Clone, Debug)]
pub(crate) struct Chunked {
    at: At,
    extensions: usize,
    trailers: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// A digit of the size, or what ends it once there is one.
    Size { digits: u8, value: u64 },
    /// Blanks behind the size, which only an extension may follow.
    BeforeExtension { value: u64 },
    /// The extension, or the CR that ends its line.
    Extension { value: u64 },
    /// The LF of the size's line.
    SizeLf { value: u64 },
    /// This much data.
    Data { left: u64 },
    /// The CR behind the data.
    DataCr,
    /// Its LF.
    DataLf,
    /// A trailer, or the CR of the empty line.
    Line,
    /// A trailer's name, or its colon.
    Name,
    /// A trailer's value, or the CR behind it.
    Value,
    /// The LF behind a trailer.
    ValueLf,
    /// The LF of the empty line.
    LastLf,
    /// The body is over.
    Over,
    /// It was broken before.
    Broken,
}

impl Chunked {
    /// At the beginning of a body.
    pub(crate) fn new() -> Self {
        Self { at: At::Size { digits: 0, value: 0 }, extensions: 0, trailers: 0 }
    }

    /// Reads on; `false` at the first fault, and ever after: the framing can be read in two ways, or in none. Bytes
    /// behind the body's end are of the next request and pass unread.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((&byte, rest)) = bytes.split_first() {
            match self.at {
                At::Over => return true,
                At::Data { left } => {
                    let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(here..).unwrap_or_default();
                    let left = left - here as u64;
                    self.at = if left == 0 { At::DataCr } else { At::Data { left } };
                }
                at => {
                    self.at = self.step(at, byte);
                    bytes = rest;
                }
            }
            if self.at == At::Broken {
                return false;
            }
        }
        !self.is_broken()
    }

    /// Whether a fault was found.
    pub(crate) fn is_broken(&self) -> bool {
        self.at == At::Broken
    }

    fn step(&mut self, at: At, byte: u8) -> At {
        match (at, byte) {
            (At::Size { digits, value }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let value = value << 4 | u64::from(digit);
                if digits < DIGITS { At::Size { digits: digits + 1, value } } else { At::Broken }
            }
            (At::Size { digits: 1.., value } | At::Extension { value }, b'\r') => At::SizeLf { value },
            (At::Size { digits: 1.., value } | At::BeforeExtension { value }, b';') => At::Extension { value },
            (At::Size { digits: 1.., value } | At::BeforeExtension { value }, b' ' | b'\t') => {
                within(&mut self.extensions, EXTENSIONS, At::BeforeExtension { value })
            }
            (At::Extension { value }, _) if is_text(byte) => {
                within(&mut self.extensions, EXTENSIONS, At::Extension { value })
            }
            (At::SizeLf { value: 0 } | At::ValueLf, b'\n') => At::Line,
            (At::SizeLf { value }, b'\n') => At::Data { left: value },
            (At::DataCr, b'\r') => At::DataLf,
            (At::DataLf, b'\n') => At::Size { digits: 0, value: 0 },
            (At::Line, b'\r') => At::LastLf,
            (At::LastLf, b'\n') => At::Over,
            (At::Line | At::Name, _) if is_token(byte) => within(&mut self.trailers, TRAILERS, At::Name),
            (At::Name, b':') => At::Value,
            (At::Value, b'\r') => At::ValueLf,
            (At::Value, _) if is_text(byte) => within(&mut self.trailers, TRAILERS, At::Value),
            _ => At::Broken,
        }
    }
}

/// Counts a byte; broken once there are too many.
fn within(count: &mut usize, most: usize, next: At) -> At {
    *count += 1;
    if *count <= most { next } else { At::Broken }
}

/// What a value or an extension may hold: no control character but the tab.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Broken;

    /// Fed byte by byte: where the body ends, if it is sound and whole.
    fn end_of(bytes: &[u8]) -> Result<Option<usize>, Broken> {
        let mut chunked = Chunked::new();
        for (at, byte) in bytes.iter().enumerate() {
            if !chunked.feed(&[*byte]) {
                return Err(Broken);
            }
            if chunked.at == At::Over {
                return Ok(Some(at + 1));
            }
        }
        Ok(None)
    }

    #[test]
    fn what_the_grammar_allows_is_allowed() {
        for good in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00005\r\nhello\r\n000\r\n\r\n",
            "A\r\n0123456789\r\n0\r\n\r\n",
            "5 ;a=b;c=\"d e\"\r\nhello\r\n0;g\r\n\r\n",
            "0\r\nSum: 1\r\nX:\r\nY: caf\u{e9}\t!\r\n\r\n",
        ] {
            assert_eq!(end_of(good.as_bytes()), Ok(Some(good.len())), "{good:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_broken() {
        for bad in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\n",
            "5\rh",
            "5;a\nb",
            "5;a\rb",
            "5;a\0b",
            "5;\x7f",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rX",
            "0\r\n\n",
            "0\r\n\rX",
            "0\r\nnonsense\r\n",
            "0\r\nSum : 1\r\n",
            "0\r\n: 1\r\n",
            "0\r\nSum: 1\n",
            "0\r\nSum: \0",
            "0\r\nSum: 1\r\n 2\r\n",
            "0\r\nSum: 1\rX",
            "1000000000000000\r\n",
        ] {
            assert_eq!(end_of(bad.as_bytes()), Err(Broken), "{bad:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let extension = format!("1;{}\r\na\r\n", "x".repeat(1000));
        assert_eq!(end_of(extension.repeat(16).as_bytes()), Ok(None));
        assert_eq!(end_of(extension.repeat(17).as_bytes()), Err(Broken));
        let trailers = format!("0\r\n{}", format!("X: {}\r\n", "x".repeat(1000)).repeat(17));
        assert_eq!(end_of(trailers.as_bytes()), Err(Broken));
    }

    /// Pieces of framing, sound and broken, in any order: what a client could send.
    fn framing() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"5\r\nhello\r\n"[..],
            b"1;a=b\r\nx\r\n",
            b"0\r\n\r\n",
            b"0\r\n",
            b"A: 1\r\n",
            b"\r\n",
            b"\n",
            b"\r",
            b";",
            b":",
            b" ",
            b"\0",
            b"f",
            b"0",
            b"2\r\nab\r\n",
            b"GET / HTTP/1.1\r\n",
        ]);
        vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut_the_outcome_is_the_same(bytes in framing()) {
            let mut whole = Chunked::new();
            let stated = whole.feed(&bytes);
            for cut in 0..=bytes.len() {
                let mut pieces = Chunked::new();
                let outcome = pieces.feed(&bytes[..cut]) && pieces.feed(&bytes[cut..]);
                prop_assert_eq!(outcome, stated);
                prop_assert_eq!(pieces.at, whole.at);
            }
        }

        #[test]
        fn a_sound_body_ends_where_it_ends_whatever_follows(
            chunks in vec(vec(any::<u8>(), 1..40), 0..6), follows in vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\nSum: 1\r\n\r\n");
            let end = bytes.len();
            bytes.extend_from_slice(&follows);
            prop_assert_eq!(end_of(&bytes), Ok(Some(end)));
            prop_assert!(Chunked::new().feed(&bytes));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
            Chunked::new().feed(&bytes);
        }
    }
}
