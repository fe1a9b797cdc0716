//! What another configuration changes, in words.
//!
//! In: two configurations. Out: a list of changes, each a line. Pure. Cost: one look at each route and service; those that
//! differ are written out and compared key by key, 50 µs each.
//! Compared is what [`crate::print`] writes, so that every key there is takes part, under the name it is written with.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::hash::Hash;

use weir_snapshot::ListenerSettings;

use crate::raw::{Branch, Tree, tree};
use crate::read::{print_listener, print_process, print_route, print_service};
use crate::{Config, Route, Service};

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose: ``service `a` ``, ``route `/x` ``, ``listener `0.0.0.0:80` ``, or nothing for the process.
    pub subject: String,
    /// What: ``weight of `10.0.0.1:80` 1 → 3``.
    pub text: String,
    /// Why it does not hold before weir is started again; `None` when a reload is enough.
    pub restart: Option<&'static str>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.subject.is_empty() {
            write!(f, "{}: ", self.subject)?;
        }
        f.write_str(&self.text)?;
        self.restart.map_or(Ok(()), |why| write!(f, " (needs a restart: {why})"))
    }
}

/// Everything in which `new` differs from `old`: first the process and its listeners, then routes and services in the
/// order of `new`, then those that are gone. Empty when both mean the same, however they are written.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = process(old, new);
    let sides = pair_up(&old.routes, &new.routes, |route| (route.host.clone(), route.path.clone()));
    for (before, after) in sides {
        let subject = before.or(after).map(route_name).unwrap_or_default();
        match (before, after) {
            (Some(before), Some(after)) if before != after => {
                let sides = (tree(&print_route(before, old)), tree(&print_route(after, new)));
                compare(&subject, "", &rows(sides.0, "route"), &rows(sides.1, "route"), &mut changes);
            }
            (None, Some(after)) => say(&subject, format!("added, to service `{}`", after.service), &mut changes),
            (Some(_), None) => say(&subject, "removed".to_owned(), &mut changes),
            _ => {}
        }
    }
    let sides = pair_up(&old.services, &new.services, |service| service.name.clone());
    for (before, after) in sides {
        let subject = before.or(after).map(|service| format!("service `{}`", service.name)).unwrap_or_default();
        match (before, after) {
            (Some(before), Some(after)) if before != after => {
                let sides = (tree(&print_service(before)), tree(&print_service(after)));
                compare(&subject, "", &rows(sides.0, "service"), &rows(sides.1, "service"), &mut changes);
            }
            (None, Some(after)) => say(&subject, format!("added, with {}", size(after)), &mut changes),
            (Some(_), None) => say(&subject, "removed".to_owned(), &mut changes),
            _ => {}
        }
    }
    changes
}

/// What in `new` does not hold in a weir that was started with `started`, before it is started again.
pub fn pending(started: &Config, new: &Config) -> Vec<Change> {
    process(started, new).into_iter().filter(|change| change.restart.is_some()).collect()
}

/// The tables of the process, and the listeners.
fn process(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    let (before, after) = (tree(&print_process(old)), tree(&print_process(new)));
    compare("", "", &before, &after, &mut changes);
    for (before, after) in pair_up(&old.listeners, &new.listeners, |listener| listener.address) {
        let name = |listener: &ListenerSettings| format!("listener `{}`", listener.address);
        let subject = before.or(after).map(name).unwrap_or_default();
        match (before, after) {
            (Some(before), Some(after)) if before != after => {
                let sides = (tree(&print_listener(before)), tree(&print_listener(after)));
                compare(&subject, "", &rows(sides.0, "listener"), &rows(sides.1, "listener"), &mut changes);
            }
            (None, Some(_)) => changes.push(Change {
                subject,
                text: "added".to_owned(),
                restart: Some("listeners are opened at the start; nobody can connect to it before"),
            }),
            (Some(_), None) => changes.push(Change {
                subject,
                text: "removed".to_owned(),
                restart: Some("listeners are closed at the end; it goes on to accept until then"),
            }),
            _ => {}
        }
    }
    changes
}

/// Why a key of the process does not change while it runs.
fn restart(path: &str) -> Option<&'static str> {
    match path.split('.').next() {
        Some("admin") => Some("the admin listener is opened at the start"),
        Some("register") => Some("weir registers once, at the start"),
        _ => match path {
            "server.threads" => Some("threads are started once"),
            "discovery.cache_dir" => Some("the folder is opened at the start"),
            _ => None,
        },
    }
}

/// What is in both under one name, what is new, in the order of `new`; then what is gone. Of several of one name the
/// first of the one go with the first of the other.
fn pair_up<'a, T, K: Hash + Eq>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&T) -> K,
) -> Vec<(Option<&'a T>, Option<&'a T>)> {
    let mut by_name: HashMap<K, Vec<usize>> = HashMap::new();
    for (index, it) in old.iter().enumerate().rev() {
        by_name.entry(name(it)).or_default().push(index);
    }
    let mut left: Vec<Option<&T>> = old.iter().map(Some).collect();
    let mut pairs: Vec<_> = new
        .iter()
        .map(|it| {
            let index = by_name.get_mut(&name(it)).and_then(Vec::pop);
            (index.and_then(|index| left.get_mut(index)?.take()), Some(it))
        })
        .collect();
    pairs.extend(left.into_iter().flatten().map(|gone| (Some(gone), None)));
    pairs
}

/// The one table of this list.
fn rows(tables: Branch, list: &str) -> Branch {
    match tables.into_iter().find(|(name, _)| name == list) {
        Some((_, Tree::Rows(rows))) => rows.into_iter().next().unwrap_or_default(),
        _ => Branch::new(),
    }
}

fn compare(subject: &str, path: &str, old: &Branch, new: &Branch, changes: &mut Vec<Change>) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let restart = if subject.is_empty() { restart(&here) } else { None };
        let mut note = |text| changes.push(Change { subject: subject.to_owned(), text, restart });
        match (old.get(key), new.get(key)) {
            (before, after) if before == after => {}
            (Some(Tree::Table(before)), Some(Tree::Table(after))) => compare(subject, &here, before, after, changes),
            (before @ (None | Some(Tree::Rows(_))), after @ (None | Some(Tree::Rows(_)))) => {
                lists(subject, key, (listed(before), listed(after)), changes);
            }
            (Some(Tree::Word(before)), Some(Tree::Word(after))) => note(format!("`{here}` {before} → {after}")),
            (None, Some(Tree::Word(after))) => note(format!("`{here}` set to {after}")),
            (Some(Tree::Word(before)), None) => note(format!("`{here}` no longer set, was {before}")),
            (_, Some(_)) => note(format!("`{here}` added")),
            (_, None) => note(format!("`{here}` removed")),
        }
    }
}

fn listed(tree: Option<&Tree>) -> &[Branch] {
    match tree {
        Some(Tree::Rows(rows)) => rows,
        _ => &[],
    }
}

/// Endpoints by their address, sources by what they say; sources that changed go with those of their kind, in order.
fn lists(subject: &str, list: &str, (old, new): (&[Branch], &[Branch]), changes: &mut Vec<Change>) {
    let (noun, keys) = match list {
        "endpoints" => ("endpoint", &["address"][..]),
        source => (source, &["service", "name", "path"][..]),
    };
    let name = |row: &Branch| keys.iter().find_map(|key| word(row, key)).unwrap_or_default();
    let (old, new): (Vec<_>, Vec<_>) =
        (old.iter().filter(|row| !new.contains(row)).collect(), new.iter().filter(|row| !old.contains(row)).collect());
    let mut rest = old;
    for after in new {
        let same = rest.iter().position(|before| name(before) == name(after));
        let same = same.or_else(|| (noun != "endpoint" && !rest.is_empty()).then_some(0));
        match same.map(|at| rest.remove(at)) {
            Some(before) if noun == "endpoint" => endpoint(subject, &name(after), before, after, changes),
            Some(before) => compare(subject, list, before, after, changes),
            None => say(subject, format!("{noun} `{}` added", name(after)), changes),
        }
    }
    for before in rest {
        say(subject, format!("{noun} `{}` removed", name(before)), changes);
    }
}

fn endpoint(subject: &str, address: &str, old: &Branch, new: &Branch, changes: &mut Vec<Change>) {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys.into_iter().filter(|key| old.get(*key) != new.get(*key)) {
        let side = |row| word(row, key).unwrap_or_else(|| "unset".to_owned());
        let (before, after) = (side(old), side(new));
        let text = match (&**key, &*after) {
            ("drain", "true") => format!("endpoint `{address}` drained"),
            ("drain", _) => format!("endpoint `{address}` no longer drained"),
            ("backup", "true") => format!("endpoint `{address}` is a backup"),
            ("backup", _) => format!("endpoint `{address}` is a backup no longer"),
            (key, _) => format!("{key} of `{address}` {before} → {after}"),
        };
        say(subject, text, changes);
    }
}

fn word(row: &Branch, key: &str) -> Option<String> {
    match row.get(key) {
        Some(Tree::Word(word)) => Some(word.clone()),
        _ => None,
    }
}

fn say(subject: &str, text: String, changes: &mut Vec<Change>) {
    changes.push(Change { subject: subject.to_owned(), text, restart: None });
}

fn route_name(route: &Route) -> String {
    format!("route `{}{}`", route.host.as_deref().unwrap_or_default(), route.path)
}

fn size(service: &Service) -> String {
    match (service.endpoints.len(), service.sources.len()) {
        (endpoints, 0) => format!("{endpoints} endpoint(s)"),
        (0, sources) => format!("{sources} source(s)"),
        (endpoints, sources) => format!("{endpoints} endpoint(s) and {sources} source(s)"),
    }
}
