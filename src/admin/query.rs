//! The arguments of a call, from its query: each known, each once, unless it may come often.

use axum::http::Uri;

use super::answer::Mistake;

/// The arguments of a call.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// The arguments of this address, which may be `known` ones or, any number of times, `often`.
    pub(crate) fn read(uri: &Uri, known: &[&str], often: &[&str]) -> Result<Self, Mistake> {
        let pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned();
        let pairs: Vec<(String, String)> = pairs.collect();
        for (index, (name, _)) in pairs.iter().enumerate() {
            let all = || known.iter().chain(often).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            if often.contains(&name.as_str()) {
                continue;
            }
            if !known.contains(&name.as_str()) {
                return Err(Mistake::bad(format!("`{name}` is no argument of this call"), format!("it has {}", all())));
            }
            if pairs.iter().take(index).any(|(other, _)| other == name) {
                return Err(Mistake::bad(format!("`{name}` is given twice"), "leave one out"));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of this argument.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// All values of this argument.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The value of this argument as what `shape` says.
    pub(crate) fn parse<T: std::str::FromStr>(&self, name: &str, shape: &str) -> Result<Option<T>, Mistake> {
        let wrong = |value: &str| Mistake::bad(format!("`{name}={value}` is not {shape}"), format!("write {shape}"));
        self.get(name).map(|value| value.parse().map_err(|_| wrong(value))).transpose()
    }
}
