//! A token or a key that is never printed.
//!
//! In: text. Out: the value of a header, and nothing for whoever prints it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use http::HeaderValue;

/// An ACL token. Neither `Debug` nor any error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(HeaderValue);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Nothing, or what cannot be sent in a header. What it is, is not repeated.
    #[error("the Consul token is empty or has characters other than visible ASCII")]
    NotToken,
    /// The same, in a file.
    #[error("`{}` does not hold one Consul token of visible ASCII characters", .path.display())]
    NotTokenFile {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the Consul token from `{}`", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Secret {
    /// A token, without the blanks and line ends around it.
    ///
    /// # Errors
    /// [`SecretError::NotToken`].
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::NotToken);
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| SecretError::NotToken)?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// The token in a file, which holds nothing else. Reads it once, blocking.
    ///
    /// # Errors
    /// [`SecretError::Unreadable`], [`SecretError::NotTokenFile`].
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, SecretError> {
        let path = path.into();
        match read(&path) {
            Ok(text) => Self::new(&text).map_err(|_| SecretError::NotTokenFile { path }),
            Err(source) => Err(SecretError::Unreadable { path, source }),
        }
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

fn read(path: &Path) -> io::Result<String> {
    // A file that is no text is no token either; its bytes are not looked at further.
    std::fs::read(path).map(|bytes| String::from_utf8(bytes).unwrap_or_default())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_hidden_from_debug_and_from_the_header_too() {
        let secret = Secret::new(" 1f1e-77\n").unwrap();
        assert_eq!(secret.header(), "1f1e-77");
        let shown = format!("{secret:?} {:?}", secret.header());
        assert!(!shown.contains("1f1e"), "{shown}");
    }

    #[test]
    fn what_cannot_be_a_token_is_refused_without_being_repeated() {
        for text in ["", " \n", "two words", "tab\there", "non-äscii"] {
            assert!(matches!(Secret::new(text), Err(SecretError::NotToken)), "{text}");
        }
    }

    #[test]
    fn a_file_holds_one_token_or_the_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(matches!(Secret::from_file(&path), Err(SecretError::Unreadable { .. })));
        std::fs::write(&path, "1f1e-77\n").unwrap();
        assert_eq!(Secret::from_file(&path).unwrap(), Secret::new("1f1e-77").unwrap());
        std::fs::write(&path, "token one\ntoken two\n").unwrap();
        let error = Secret::from_file(&path).unwrap_err().to_string();
        assert!(error.contains("token") && !error.contains("two"), "{error}");
    }
}
