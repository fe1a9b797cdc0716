//! Tokens to directives, with the files that they include in their places.

use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::glob;
use crate::lex::{Lexer, Token};
use crate::note::Notes;
use crate::{Files, ImportError};

/// Where something is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file, as it was named.
    pub file: Rc<str>,
    /// From 1.
    pub line: u32,
    /// How much was read before it, from 0: what the files that a file includes say comes where it includes them.
    pub(crate) order: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A directive, its words and its block.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
    pub(crate) block: Option<Vec<Directive>>,
    pub(crate) place: Place,
}

impl Directive {
    /// The word at this index, from 0 behind the name.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// The directives in its block.
    pub(crate) fn inside(&self) -> &[Self] {
        self.block.as_deref().unwrap_or_default()
    }

    /// As it is written, without its block.
    pub(crate) fn shown(&self) -> String {
        let mut text = self.name.clone();
        for word in &self.words {
            text.push(' ');
            text.push_str(word);
        }
        text
    }
}

/// Blocks in blocks; nginx's own modules need five.
const DEEPEST: usize = 32;
/// Includes in includes.
const INCLUDES: usize = 16;
/// Files in all.
const FILES: usize = 4096;
/// Where packages of nginx keep their files.
const USUAL: &str = "/etc/nginx";

/// Reads a text and all that it includes.
pub(crate) struct Reader<'a> {
    files: &'a dyn Files,
    /// The folder that relative names begin in: that of the first file.
    folder: PathBuf,
    opened: usize,
    /// Directives so far.
    read: u32,
    pub(crate) notes: Notes,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(main: &Path, files: &'a dyn Files) -> Self {
        let folder = main.parent().map(Path::to_path_buf).unwrap_or_default();
        Self { files, folder, opened: 0, read: 0, notes: Notes::default() }
    }

    /// The directives of a text.
    pub(crate) fn read(&mut self, name: &str, text: &str) -> Result<Vec<Directive>, ImportError> {
        self.file(name, text, 0)
    }

    fn file(&mut self, name: &str, text: &str, depth: usize) -> Result<Vec<Directive>, ImportError> {
        let file: Rc<str> = name.into();
        let mut lexer = Lexer::new(text);
        let all = self.block(&file, &mut lexer, 0, depth)?;
        Ok(all)
    }

    fn block(
        &mut self,
        file: &Rc<str>,
        lexer: &mut Lexer<'_>,
        nested: usize,
        depth: usize,
    ) -> Result<Vec<Directive>, ImportError> {
        let wrong = |line: u32, what: String| ImportError {
            place: Place { file: file.clone(), line, order: 0 },
            what,
            notes: Vec::new(),
        };
        let mut all = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let mut first = 1;
        loop {
            let token = lexer.next().map_err(|what| wrong(lexer.line(), what.to_owned()))?;
            let Some((token, line)) = token else {
                return match (words.first(), nested) {
                    (Some(word), _) => Err(wrong(first, format!("`{word}` has no `;` behind it"))),
                    (None, 0) => Ok(all),
                    (None, _) => Err(wrong(lexer.line(), "a `}` is missing at the end".to_owned())),
                };
            };
            match token {
                Token::Word(word) => {
                    if words.is_empty() {
                        first = line;
                    }
                    words.push(word);
                }
                Token::Close => {
                    return match (words.first(), nested) {
                        (Some(word), _) => Err(wrong(first, format!("`{word}` has no `;` behind it"))),
                        (None, 0) => Err(wrong(line, "a `}` closes nothing".to_owned())),
                        (None, _) => Ok(all),
                    };
                }
                Token::End | Token::Open => {
                    let mut parts = std::mem::take(&mut words).into_iter();
                    let mark = if token == Token::End { ";" } else { "{" };
                    let Some(name) = parts.next() else {
                        return Err(wrong(line, format!("a `{mark}` stands alone")));
                    };
                    self.read = self.read.saturating_add(1);
                    let place = Place { file: file.clone(), line: first, order: self.read };
                    let mut directive = Directive { name, words: parts.collect(), block: None, place };
                    if token == Token::Open {
                        if nested == DEEPEST {
                            return Err(wrong(line, "more blocks in blocks than anybody writes".to_owned()));
                        }
                        directive.block = Some(if directive.name.ends_with("_by_lua_block") {
                            lexer.skip_lua().map_err(|what| wrong(line, what.to_owned()))?;
                            Vec::new()
                        } else {
                            self.block(file, lexer, nested + 1, depth)?
                        });
                    }
                    if directive.name == "include" && directive.block.is_none() {
                        all.extend(self.include(&directive, depth)?);
                    } else {
                        all.push(directive);
                    }
                }
            }
        }
    }

    fn include(&mut self, directive: &Directive, depth: usize) -> Result<Vec<Directive>, ImportError> {
        let wrong =
            |what: &str| ImportError { place: directive.place.clone(), what: what.to_owned(), notes: Vec::new() };
        let [pattern] = directive.words.as_slice() else {
            return Err(wrong("`include` takes one name"));
        };
        if depth == INCLUDES {
            return Err(wrong("files include each other without end"));
        }
        let mut all = Vec::new();
        for path in self.named(pattern) {
            self.opened += 1;
            if self.opened > FILES {
                return Err(wrong("more files than anybody includes"));
            }
            match self.files.read(&path) {
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&bytes);
                    all.extend(self.file(&path.display().to_string(), &text, depth + 1)?);
                }
                // A list of media types is for files that nginx serves itself.
                Err(_) if path.ends_with("mime.types") => {}
                Err(error) => {
                    self.notes.lost(directive, format!("cannot read it ({error}); import again with it in place"));
                }
            }
        }
        Ok(all)
    }

    /// The files that a name stands for: in the folder of the first file, unless the name begins with `/`. What lies in
    /// the usual folder of another machine may have been copied along with the first file, and then that copy is meant.
    fn named(&self, pattern: &str) -> Vec<PathBuf> {
        let path = self.folder.join(pattern);
        let copied = Path::new(pattern).strip_prefix(USUAL).ok().filter(|_| self.folder != Path::new(USUAL));
        if let Some(rest) = copied {
            let copy = self.folder.join(rest);
            let found = glob::find(self.files, &copy);
            if !found.is_empty() && found.iter().all(|path| self.files.is_file(path)) {
                return found;
            }
        }
        glob::find(self.files, &path)
    }
}
