//! `conf.d/*.conf` to files.

use std::path::{Component, Path, PathBuf};

use crate::Files;

/// The files whose path this pattern matches, in the order of their names; a pattern without wildcards is itself.
pub(crate) fn find(files: &dyn Files, pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy().into_owned();
        if !matches!(component, Component::Normal(_)) || !text.contains(['*', '?', '[']) {
            for path in &mut found {
                path.push(component);
            }
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            let mut names = files.names(folder);
            names.sort();
            // As in a shell, a wildcard does not stand for a leading dot.
            names.retain(|name| (!name.starts_with('.') || text.starts_with('.')) && matches(&text, name));
            next.extend(names.into_iter().map(|name| folder.join(name)));
        }
        found = next;
    }
    found
}

/// Whether `*`, `?` and `[a-z]` in the pattern can be filled in so that it is the name.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // Where the last `*` was, and how much of the name it stands for: to go back to, so that time is a product at most.
    let (mut at, mut of, mut star) = (0, 0, None);
    while of < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, of));
                at += 1;
                continue;
            }
            Some('?') => Some(at + 1),
            Some('[') => one_of(&pattern, at, name.get(of).copied()),
            Some(letter) if Some(letter) == name.get(of) => Some(at + 1),
            _ => None,
        };
        match (step, star) {
            (Some(next), _) => (at, of) = (next, of + 1),
            (None, Some((behind, from))) => {
                star = Some((behind, from + 1));
                (at, of) = (behind, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&letter| letter == '*')
}

/// The index behind the brackets at `at`, if the letter is one of theirs.
fn one_of(pattern: &[char], at: usize, letter: Option<char>) -> Option<usize> {
    let letter = letter?;
    let end = at + 1 + pattern.get(at + 2..)?.iter().position(|&other| other == ']')? + 1;
    let inside = pattern.get(at + 1..end)?;
    let (inverse, inside) = match inside.split_first() {
        Some(('!' | '^', rest)) if !rest.is_empty() => (true, rest),
        _ => (false, inside),
    };
    let mut hit = false;
    let mut rest = inside;
    while let Some((&first, more)) = rest.split_first() {
        if let ['-', last, behind @ ..] = more {
            hit |= (first..=*last).contains(&letter);
            rest = behind;
        } else {
            hit |= first == letter;
            rest = more;
        }
    }
    (hit != inverse).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_stand_for_what_they_do_in_a_shell() {
        for (pattern, name) in [
            ("*.conf", "a.conf"),
            ("a*b*c", "aXbYbc"),
            ("?", "ä"),
            ("[a-c]x", "bx"),
            ("[!a]", "b"),
            ("*", ""),
            ("[]]", "]"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.conf", "a.con"), ("?", ""), ("[a-c]", "d"), ("[!a]", "a"), ("[a", "a"), ("a", "ab")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
