//! Standard output as a page that is drawn again and again.
//!
//! On a terminal a page replaces the one before, line by line, without a flicker; elsewhere each follows the one before.

use std::io::{self, IsTerminal as _, Write};

use terminal_size::{Height, Width, terminal_size_of};

use super::out::{print, wants_colours};
use super::table::Look;

/// Where pages go.
#[derive(Debug)]
pub(super) struct Screen {
    is_terminal: bool,
    colours: bool,
    drawn: bool,
}

const CLEAR: &str = "\u{1b}[2J";
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

impl Screen {
    pub(super) fn open() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), colours: wants_colours(), drawn: false }
    }

    /// As wide as the terminal is now; without limit elsewhere.
    pub(super) fn look(&self) -> Look {
        Look { width: self.size().map(|(width, _)| width), colours: self.colours }
    }

    fn size(&self) -> Option<(usize, usize)> {
        let (Width(width), Height(height)) = terminal_size_of(io::stdout()).filter(|_| self.is_terminal)?;
        Some((width.into(), height.into()))
    }

    /// Draws a page in the place of the one before; `false` when nobody can see it any more.
    pub(super) fn draw(&mut self, page: &str) -> bool {
        let text = match self.size() {
            Some((_, height)) => {
                let first = if self.drawn { "" } else { CLEAR };
                format!("{first}{HOME}{}{CLEAR_BELOW}", fitted(page, height))
            }
            None => page.to_owned(),
        };
        self.drawn = true;
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
    }

    /// Leaves the last page where it is.
    pub(super) fn leave(&self) {
        if self.is_terminal {
            print("\n");
        }
    }
}

/// As many lines as there is room for above the cursor; the last says what is not shown.
fn fitted(page: &str, height: usize) -> String {
    let lines: Vec<&str> = page.lines().collect();
    let room = height.saturating_sub(1);
    let mut text = String::with_capacity(page.len() + lines.len() * CLEAR_LINE.len());
    let shown = if lines.len() <= room { lines.len() } else { room.saturating_sub(1) };
    for line in lines.iter().take(shown) {
        text.extend([line, CLEAR_LINE, "\n"]);
    }
    if shown < lines.len() {
        let rest = format!("{} more lines: `weir status SERVICE` shows one service", lines.len() - shown);
        text.extend([rest.as_str(), CLEAR_LINE, "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_too_long_says_how_much_is_missing() {
        let page = "a\nb\nc\nd\n";
        assert_eq!(fitted(page, 5).matches(CLEAR_LINE).count(), 4);
        let cut = fitted(page, 4);
        assert!(cut.starts_with("a\u{1b}[K\nb\u{1b}[K\n2 more lines"), "{cut}");
        assert_eq!(cut.lines().count(), 3, "the cursor stays below them");
    }
}
