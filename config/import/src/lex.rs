//! nginx's text to words, braces and semicolons.
//!
//! In: the text of one file. Out: tokens with their lines. Cost: one pass.
//! Source: `ngx_conf_read_token` of nginx: a word ends at a blank, `;` or `{` (but `${` begins a variable); quotes count
//! only at its start, and something that separates must follow the closing one; `#` begins a comment only where a word
//! could begin; of the escapes `\" \' \\ \t \r \n` are resolved and all others stay, for patterns.

use std::iter::Peekable;
use std::str::Chars;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    /// `{`
    Open,
    /// `}`
    Close,
    /// `;`
    End,
}

/// The tokens of a text, one by one.
pub(crate) struct Lexer<'a> {
    chars: Peekable<Chars<'a>>,
    line: u32,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        // A byte order mark is no part of the text; nginx skips it too.
        Self { chars: text.trim_start_matches('\u{feff}').chars().peekable(), line: 1 }
    }

    /// The line that was reached, from 1.
    pub(crate) fn line(&self) -> u32 {
        self.line
    }

    /// The next token and the line it begins in; `None` at the end of the text.
    pub(crate) fn next(&mut self) -> Result<Option<(Token, u32)>, &'static str> {
        while let Some(&letter) = self.chars.peek() {
            let line = self.line;
            let token = match letter {
                ' ' | '\t' | '\r' | '\n' => {
                    self.take();
                    continue;
                }
                '#' => {
                    while self.chars.peek().is_some_and(|&letter| letter != '\n') {
                        self.take();
                    }
                    continue;
                }
                ';' => Token::End,
                '{' => Token::Open,
                '}' => Token::Close,
                '"' | '\'' => return self.quoted(letter).map(|word| Some((Token::Word(word), line))),
                _ => return self.plain().map(|word| Some((Token::Word(word), line))),
            };
            self.take();
            return Ok(Some((token, line)));
        }
        Ok(None)
    }

    fn take(&mut self) -> Option<char> {
        let letter = self.chars.next();
        if letter == Some('\n') {
            self.line += 1;
        }
        letter
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        self.take();
        let mut word = String::new();
        loop {
            match self.take() {
                None => return Err("a quote is not closed"),
                Some('\\') => self.escape(&mut word)?,
                Some(letter) if letter == quote => break,
                Some(letter) => word.push(letter),
            }
        }
        match self.chars.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | ';' | '{' | ')') => Ok(word),
            Some(_) => Err("a blank, `;` or `{` must follow a closing quote"),
        }
    }

    fn plain(&mut self) -> Result<String, &'static str> {
        let mut word = String::new();
        while let Some(&letter) = self.chars.peek() {
            match letter {
                ' ' | '\t' | '\r' | '\n' | ';' => break,
                '{' if !word.ends_with('$') => break,
                _ => {}
            }
            self.take();
            if letter == '\\' {
                self.escape(&mut word)?;
            } else {
                word.push(letter);
            }
        }
        Ok(word)
    }

    /// What follows a backslash.
    fn escape(&mut self, word: &mut String) -> Result<(), &'static str> {
        let letter = self.take().ok_or("the text ends behind a backslash")?;
        match letter {
            '"' | '\'' | '\\' => word.push(letter),
            't' => word.push('\t'),
            'r' => word.push('\r'),
            'n' => word.push('\n'),
            other => word.extend(['\\', other]),
        }
        Ok(())
    }

    /// Passes over Lua up to the brace that closes its block; strings and comments of Lua may hold braces.
    pub(crate) fn skip_lua(&mut self) -> Result<(), &'static str> {
        let mut depth = 1_u32;
        while let Some(letter) = self.take() {
            match letter {
                '{' => depth = depth.saturating_add(1),
                '}' if depth == 1 => return Ok(()),
                '}' => depth -= 1,
                '"' | '\'' => self.skip_lua_string(letter),
                '-' if self.chars.peek() == Some(&'-') => {
                    while self.chars.peek().is_some_and(|&letter| letter != '\n') {
                        self.take();
                    }
                }
                _ => {}
            }
        }
        Err("a block of Lua is not closed")
    }

    fn skip_lua_string(&mut self, quote: char) {
        while let Some(letter) = self.take() {
            match letter {
                '\\' => drop(self.take()),
                letter if letter == quote => return,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Result<Vec<String>, &'static str> {
        let mut lexer = Lexer::new(text);
        let mut all = Vec::new();
        while let Some((token, line)) = lexer.next()? {
            all.push(match token {
                Token::Word(word) => format!("{line}:{word}"),
                other => format!("{line}:{other:?}"),
            });
        }
        Ok(all)
    }

    #[test]
    fn words_end_where_nginx_ends_them() {
        assert_eq!(words("a b;\n# c;\nd#e{f}").unwrap(), ["1:a", "1:b", "1:End", "3:d#e", "3:Open", "3:f}"]);
        assert_eq!(words("set $a ${b}c;").unwrap(), ["1:set", "1:$a", "1:${b}c", "1:End"]);
        assert_eq!(words("a \"b ; c\" 'd\"';").unwrap(), ["1:a", "1:b ; c", "1:d\"", "1:End"]);
        assert_eq!(words(r#"a "x\"y" \.php$ "a\tb";"#).unwrap(), ["1:a", "1:x\"y", "1:\\.php$", "1:a\tb", "1:End"]);
        assert_eq!(words("\u{feff}a;").unwrap(), ["1:a", "1:End"]);
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        assert!(words("a \"b").is_err());
        assert!(words("a \"b\"c;").is_err());
        assert!(words("a \\").is_err());
    }
}
