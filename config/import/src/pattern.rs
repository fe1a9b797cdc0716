//! `location ~ …` to prefixes, where the pattern says no more than these do.
//!
//! In: the locations of one block. Out: for each pattern what weir can do in its place, for each other location whether a
//! pattern takes its requests before. Taken are `^`, letters plain or escaped, groups of alternatives, `?` behind one of
//! these, and at the end `$`, `.*` or nothing. Cost: as many paths as the alternatives multiply to, 32 at most, times the
//! locations of the block. Source: `ngx_http_core_find_location` of nginx: `=` first, then the longest prefix, which is
//! kept when it is `^~`; else the first pattern in the order of the text, and the prefix only without one.

use std::iter::Peekable;
use std::str::Chars;

/// Paths that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) path: String,
    /// Only this path, and none below it.
    pub(crate) exact: bool,
}

/// A location of the block, as it is written.
pub(crate) struct Written<'a> {
    /// `=`, `^~`, `~`, `~*` or nothing.
    pub(crate) kind: &'a str,
    pub(crate) path: &'a str,
    /// Whether it holds further locations.
    pub(crate) nested: bool,
}

impl Written<'_> {
    fn is_pattern(&self) -> bool {
        self.kind.starts_with('~')
    }
}

/// What becomes of a location because of the patterns in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// No pattern changes anything.
    Own,
    /// The pattern at this index takes all requests before.
    Covered(usize),
    /// A pattern that is one for these; without any when other locations take its requests before.
    Paths { paths: Vec<Matched>, rough: Option<&'static str> },
    /// A pattern that weir has nothing for.
    Unknown,
}

/// What becomes of each location of a block.
pub(crate) fn settle(all: &[Written<'_>]) -> Vec<Reach> {
    let mut reaches: Vec<Reach> = Vec::with_capacity(all.len());
    let mut earlier: Vec<(usize, Matched)> = Vec::new();
    for (index, location) in all.iter().enumerate() {
        if !location.is_pattern() {
            reaches.push(Reach::Own);
            continue;
        }
        let Some((found, rough)) = paths(location.path).filter(|(found, _)| !entangled(found, all)) else {
            reaches.push(Reach::Unknown);
            continue;
        };
        let anycase =
            location.kind == "~*" && found.iter().any(|matched| matched.path.contains(|it: char| it.is_alphabetic()));
        let paths: Vec<Matched> = found.into_iter().filter(|matched| gets_here(matched, all, &earlier)).collect();
        earlier.extend(paths.iter().map(|matched| (index, matched.clone())));
        let rough =
            if anycase { Some("weir looks at upper and lower case: only as it is written here") } else { rough };
        reaches.push(Reach::Paths { paths, rough });
    }
    for (location, reach) in all.iter().zip(&mut reaches) {
        let covers = |matched: &Matched| !matched.exact && location.path.starts_with(&matched.path);
        if location.kind.is_empty()
            && let Some((by, _)) = earlier.iter().find(|(_, matched)| covers(matched))
        {
            *reach = Reach::Covered(*by);
        }
    }
    reaches
}

/// Whether nginx would look into blocks of locations before it comes to the pattern.
fn entangled(found: &[Matched], all: &[Written<'_>]) -> bool {
    let meets = |location: &Written<'_>, matched: &Matched| {
        location.path.starts_with(&matched.path) || matched.path.starts_with(location.path)
    };
    let mut nested = all.iter().filter(|location| location.nested && location.kind.is_empty());
    nested.any(|location| found.iter().any(|matched| meets(location, matched)))
}

/// Whether no other location takes all of these requests before.
fn gets_here(matched: &Matched, all: &[Written<'_>], earlier: &[(usize, Matched)]) -> bool {
    let before = all.iter().any(|location| match location.kind {
        "=" => matched.exact && location.path == matched.path,
        "^~" => matched.path.starts_with(location.path),
        _ => false,
    });
    let covered = earlier.iter().any(|(_, other)| {
        if other.exact { matched.exact && other.path == matched.path } else { matched.path.starts_with(&other.path) }
    });
    !before && !covered
}

/// More alternatives than anybody writes out.
const MOST: usize = 32;
/// Groups in groups.
const DEEPEST: usize = 8;

/// The paths that a pattern matches, if it says no more than that; and what is different about them.
fn paths(pattern: &str) -> Option<(Vec<Matched>, Option<&'static str>)> {
    let mut reader = Reader { rest: pattern.chars().peekable(), rough: None };
    let mut found: Vec<Piece> = Vec::new();
    loop {
        reader.rest.next_if_eq(&'^')?;
        found.extend(reader.sequence(0)?);
        match reader.rest.next() {
            None => break,
            Some('|') => {}
            Some(_) => return None,
        }
    }
    let mut all: Vec<Matched> =
        found.into_iter().map(|piece| Matched { exact: piece.end == End::Whole, path: piece.text }).collect();
    all.sort_by(|one, other| (one.path.len(), one.exact, &one.path).cmp(&(other.path.len(), other.exact, &other.path)));
    let mut kept: Vec<Matched> = Vec::new();
    for matched in all {
        let covered =
            kept.iter().any(|other| *other == matched || !other.exact && matched.path.starts_with(&other.path));
        if !covered {
            kept.push(matched);
        }
    }
    (kept.len() <= MOST && kept.iter().all(|matched| matched.path.starts_with('/'))).then_some((kept, reader.rough))
}

/// A text that a part of the pattern matches.
#[derive(Clone)]
struct Piece {
    text: String,
    end: End,
}

/// What may follow a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// What the pattern says next, or anything at its end.
    Next,
    /// Nothing.
    Whole,
    /// Anything.
    Open,
}

struct Reader<'a> {
    rest: Peekable<Chars<'a>>,
    rough: Option<&'static str>,
}

impl Reader<'_> {
    /// Up to `|`, `)` or the end.
    fn sequence(&mut self, depth: usize) -> Option<Vec<Piece>> {
        let one = |text: String, end: End| vec![Piece { text, end }];
        let mut all = one(String::new(), End::Next);
        while let Some(letter) = self.rest.next_if(|letter| !matches!(letter, '|' | ')')) {
            let mut piece = match letter {
                '$' => one(String::new(), End::Whole),
                '.' => {
                    match self.rest.next()? {
                        '*' => {}
                        '+' => self.rough = Some("in weir it is also for the path itself, with nothing behind it"),
                        _ => return None,
                    }
                    one(String::new(), End::Open)
                }
                '(' if depth == DEEPEST => return None,
                '(' => self.group(depth + 1)?,
                '\\' => one(self.rest.next_if(char::is_ascii_punctuation)?.into(), End::Next),
                '[' | ']' | '{' | '}' | '*' | '+' | '?' | '^' => return None,
                plain => one(plain.into(), End::Next),
            };
            match self.rest.peek() {
                Some('?') => {
                    self.rest.next();
                    piece.extend(one(String::new(), End::Next));
                }
                Some('*' | '+' | '{') => return None,
                _ => {}
            }
            all = joined(&all, &piece)?;
        }
        Some(all)
    }

    /// What is between parentheses, of which the first is read.
    fn group(&mut self, depth: usize) -> Option<Vec<Piece>> {
        if self.rest.next_if_eq(&'?').is_some() {
            // `?:` only groups, `?<name>` names what is matched.
            match self.rest.next()? {
                ':' => {}
                '<' => self
                    .rest
                    .by_ref()
                    .take_while(|letter| *letter != '>')
                    .try_for_each(|letter| (letter.is_ascii_alphanumeric() || letter == '_').then_some(()))?,
                _ => return None,
            }
        }
        let mut all = self.sequence(depth)?;
        while self.rest.next_if_eq(&'|').is_some() {
            all.extend(self.sequence(depth)?);
        }
        self.rest.next_if_eq(&')')?;
        (all.len() <= MOST).then_some(all)
    }
}

/// Each of the first followed by each of the second, as far as that matches anything.
fn joined(all: &[Piece], next: &[Piece]) -> Option<Vec<Piece>> {
    let mut out = Vec::new();
    for first in all {
        for second in next {
            match first.end {
                End::Next => out.push(Piece { text: format!("{}{}", first.text, second.text), end: second.end }),
                _ if second.text.is_empty() && second.end != End::Open => out.push(first.clone()),
                // Nothing follows an end.
                End::Whole => {}
                End::Open => return None,
            }
        }
    }
    (out.len() <= MOST).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> Option<String> {
        let (found, rough) = paths(pattern)?;
        let mut all: Vec<String> =
            found.iter().map(|matched| format!("{}{}", if matched.exact { "=" } else { "" }, matched.path)).collect();
        all.extend(rough.map(|_| "roughly".to_owned()));
        Some(all.join(" "))
    }

    #[test]
    fn patterns_that_are_prefixes_become_prefixes() {
        for (pattern, expected) in [
            ("^/api/", "/api/"),
            ("^/(api|uploads|socket\\.io)", "/api /uploads /socket.io"),
            ("^/(?:v1|v2)/(.*)$", "/v1/ /v2/"),
            ("^/assets/(?<path>.+)$", "/assets/ roughly"),
            ("^/(health|health/ready)(/|$)", "=/health /health/"),
            ("^/x/?$", "=/x =/x/"),
            ("^/x/?", "/x"),
            ("^/exact\\.php$", "=/exact.php"),
            ("^/a(/.*)?$", "=/a /a/"),
            ("^/a|^/b", "/a /b"),
            ("^/", "/"),
        ] {
            assert_eq!(shown(pattern).as_deref(), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn what_says_more_than_a_prefix_is_none() {
        for pattern in [
            "", "/api", "\\.php$", "^/[ab]", "^/a+", "^/\\d+", "^/a.*b", "^/a.b", "^/(a", "^/a)", "^/a|/b", "^api",
            "^/(?i)a", "^/a{2}", "^(^/a)", "^/(a|b)*", "^", "^/(?=a)", "^/a\\",
        ] {
            assert_eq!(shown(pattern), None, "{pattern}");
        }
        let many = format!("^/{}", "(a|b)".repeat(9));
        assert_eq!(shown(&many), None);
        assert_eq!(shown(&format!("^/{}", "(".repeat(10_000))), None);
    }

    #[test]
    fn patterns_and_prefixes_take_from_each_other_what_they_take_in_nginx() {
        let written = |(kind, path): (&'static str, &'static str)| Written { kind, path, nested: false };
        let all = [
            ("", "/"),
            ("", "/api/v2/"),
            ("^~", "/api/static/"),
            ("~", "^/api/"),
            ("~", "^/api/v3/"),
            ("^~", "/files/"),
            ("~", "^/files/x"),
            ("=", "/one"),
            ("~", "^/one$"),
            ("~", "\\.php$"),
        ]
        .map(written);
        let paths = |paths: &[&str]| Reach::Paths {
            paths: paths.iter().map(|path| Matched { path: (*path).to_owned(), exact: false }).collect(),
            rough: None,
        };
        let expected = [
            Reach::Own,
            Reach::Covered(3),
            Reach::Own,
            paths(&["/api/"]),
            paths(&[]),
            Reach::Own,
            paths(&[]),
            Reach::Own,
            paths(&[]),
            Reach::Unknown,
        ];
        assert_eq!(settle(&all), expected);
    }
}
