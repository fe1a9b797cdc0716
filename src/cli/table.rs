//! Tables for terminals.
//!
//! In: columns, rows of text, a width. Out: lines. Where the width does not suffice, columns are left out, those that matter
//! least first, and then the last one is cut. Pure, so that it can be tested without a terminal.

use super::out::{Paint, visible};

/// A column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// The columns with the lowest are left out first; 9 never is.
    pub(super) matters: u8,
    /// Whether it holds numbers.
    pub(super) right: bool,
}

/// A cell.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    pub(super) fn painted(text: impl AsRef<str>, paint: Paint) -> Self {
        Self { text: visible(text.as_ref()), paint }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, Paint::Plain)
    }
}

/// How wide, and whether in colours.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// In characters; `None` is as wide as it needs.
    pub(super) width: Option<usize>,
    pub(super) colours: bool,
}

const MARGIN: &str = "  ";

/// The lines of a table, indented by two blanks, its titles first. Columns that are empty in every row are left out.
pub(super) fn render<const N: usize>(columns: &[Column; N], rows: &[[Cell; N]], look: Look) -> String {
    let length = |text: &str| text.chars().count();
    let widest = |index: usize| rows.iter().map(|row| length(&row[index].text)).max().unwrap_or_default();
    let needed: Vec<usize> =
        (0..N).map(&widest).zip(columns).map(|(widest, column)| widest.max(length(column.title))).collect();
    let mut shown: Vec<usize> = (0..N).filter(|&index| widest(index) > 0).collect();
    let total = |shown: &[usize]| shown.iter().map(|&index| needed[index] + MARGIN.len()).sum::<usize>();
    let fits = |shown: &[usize]| look.width.is_none_or(|width| total(shown) <= width);
    while !fits(&shown) {
        let least = shown
            .iter()
            .copied()
            .filter(|&index| columns[index].matters < 9)
            .min_by_key(|&index| columns[index].matters);
        let Some(least) = least else { break };
        shown.retain(|&index| index != least);
    }
    let line = |cell: &dyn Fn(usize) -> Cell| {
        let mut line = String::new();
        let mut used = 0;
        for (at, &index) in shown.iter().enumerate() {
            let Cell { text, paint } = cell(index);
            let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(used + MARGIN.len()));
            let text = shortened(&text, room);
            let blanks = " ".repeat(needed[index].min(room).saturating_sub(length(&text)));
            let painted = paint.over(&text, look.colours);
            line.push_str(MARGIN);
            match (columns[index].right, at + 1 == shown.len()) {
                (true, _) => line.extend([blanks.as_str(), &painted]),
                (false, true) => line.push_str(&painted),
                (false, false) => line.extend([painted.as_str(), &blanks]),
            }
            used += MARGIN.len() + needed[index].min(room);
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    };
    let head = line(&|index| Cell::painted(columns[index].title, Paint::Faint));
    rows.iter().fold(head, |text, row| text + &line(&|index| row[index].clone()))
}

/// At most this many characters, the last of which says that there were more.
pub(super) fn shortened(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain((room > 0).then_some('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 4] = [
        Column { title: "ENDPOINT", matters: 9, right: false },
        Column { title: "IN FLIGHT", matters: 5, right: true },
        Column { title: "EMPTY", matters: 9, right: false },
        Column { title: "NOTE", matters: 1, right: false },
    ];

    fn shown(width: Option<usize>, colours: bool) -> String {
        let rows = [
            ["127.0.0.1:3001".into(), "7".into(), Cell::default(), Cell::painted("ok", Paint::Good)],
            ["b".into(), "12345".into(), Cell::default(), "no \u{1b}[31mconnection".into()],
        ];
        render(&COLUMNS, &rows, Look { width, colours })
    }

    #[test]
    fn a_table_is_as_wide_as_it_needs_and_its_numbers_stand_on_the_right() {
        let expected = "  ENDPOINT        IN FLIGHT  NOTE\n\
                        \x20 127.0.0.1:3001          7  ok\n\
                        \x20 b                   12345  no \u{fffd}[31mconnection\n";
        assert_eq!(shown(None, false), expected);
    }

    #[test]
    fn columns_that_matter_least_give_way_first_and_the_last_is_cut() {
        assert!(!shown(Some(30), false).contains("NOTE") && shown(Some(30), false).contains("IN FLIGHT"));
        assert!(!shown(Some(20), false).contains("IN FLIGHT"));
        assert!(shown(Some(10), false).contains("127.0.…") || shown(Some(10), false).contains("127.0.0…"));
        for width in 0..60 {
            let text = shown(Some(width), false);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}: {text}");
        }
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        assert!(shown(None, true).contains("\u{1b}[32mok\u{1b}[0m"));
        assert!(!shown(None, false).contains('\u{1b}'));
    }
}
