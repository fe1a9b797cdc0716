//! Text with variables of a request in it, as a route writes it into fields.
//!
//! In: text such as `https://$host$request_uri`. Out: its parts; whoever has the request fills them in.
//! The names are nginx's where nginx has the variable: who comes from there knows them.

use std::fmt;

/// Text with variables: `$name` or `${name}`; `$$` is a dollar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    parts: Box<[Part]>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Goes out as it is.
    Text(Box<str>),
    /// Is filled in.
    Variable(Variable),
}

/// What is known of an exchange. One that the request lacks is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// The host that the request is for, in lower case, without its port.
    Host,
    /// The same as it was sent, with its port.
    HttpHost,
    /// The client's address, behind trusted proxies the one that they name.
    ClientIp,
    /// `http`.
    Scheme,
    /// Path and query, as they were sent.
    RequestUri,
    /// The path, as it was sent.
    Path,
    /// The query, without its question mark.
    Args,
    /// `?` when there is a query.
    IsArgs,
    /// The method.
    Method,
    /// The chain that goes out as `X-Forwarded-For`: that of a trusted peer, and the peer.
    ForwardedFor,
    /// What goes out as `X-Request-Id`.
    RequestId,
    /// The endpoint, as address and port; empty in answers that no endpoint gave.
    Endpoint,
    /// A field of the request, by its name in lower case; of several the first.
    Header(Box<str>),
}

/// The variables by name, [`Variable::Header`] aside, which is `http_` and the name with `_` for `-`.
pub const VARIABLES: &[(&str, Variable)] = &[
    ("host", Variable::Host),
    ("http_host", Variable::HttpHost),
    ("client_ip", Variable::ClientIp),
    ("scheme", Variable::Scheme),
    ("request_uri", Variable::RequestUri),
    ("path", Variable::Path),
    ("args", Variable::Args),
    ("is_args", Variable::IsArgs),
    ("method", Variable::Method),
    ("forwarded_for", Variable::ForwardedFor),
    ("request_id", Variable::RequestId),
    ("endpoint", Variable::Endpoint),
];

/// Text that is no [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A `$` with nothing like a name behind it, or a brace that is not closed.
    #[error("`$` is followed by the name of a variable, or by another `$`")]
    NoName,
    /// A name that is not in [`VARIABLES`].
    #[error("there is no variable `${name}`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A line break or another character that no field can hold.
    #[error("a field cannot hold the character {0:?}")]
    Illegal(char),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] for the first thing that is wrong.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        if let Some(illegal) = text.chars().find(|&letter| letter.is_control() && letter != '\t') {
            return Err(TemplateError::Illegal(illegal));
        }
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
                continue;
            }
            let (name, after) = name(after).ok_or(TemplateError::NoName)?;
            let variable = Variable::named(name).ok_or_else(|| TemplateError::Unknown { name: name.to_owned() })?;
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain).into()));
            }
            parts.push(Part::Variable(variable));
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self { text: text.into(), parts: parts.into() })
    }

    /// What it is made of, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Variable {
    /// The variable of this name, without the dollar.
    pub fn named(name: &str) -> Option<Self> {
        if let Some((_, variable)) = VARIABLES.iter().find(|(known, _)| *known == name) {
            return Some(variable.clone());
        }
        let field = name.strip_prefix("http_").filter(|field| !field.is_empty())?;
        Some(Self::Header(field.replace('_', "-").to_ascii_lowercase().into()))
    }
}

/// The name at the front, and what follows it.
fn name(text: &str) -> Option<(&str, &str)> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let (name, rest) = match text.strip_prefix('{') {
        Some(inside) => inside.split_once('}')?,
        None => text.split_at(text.find(|other| !letter(other)).unwrap_or(text.len())),
    };
    (!name.is_empty() && name.chars().all(letter)).then_some((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Part> {
        Template::new(text).unwrap().parts().to_vec()
    }

    #[test]
    fn a_name_ends_where_its_letters_end_or_at_its_brace() {
        assert_eq!(
            parts("http://$host:8080${path}x$$1"),
            [
                Part::Text("http://".into()),
                Part::Variable(Variable::Host),
                Part::Text(":8080".into()),
                Part::Variable(Variable::Path),
                Part::Text("x$1".into()),
            ]
        );
        assert_eq!(parts(""), []);
        assert_eq!(parts("$http_x_user"), [Part::Variable(Variable::Header("x-user".into()))]);
        assert_eq!(parts("$http_host"), [Part::Variable(Variable::HttpHost)]);
    }

    #[test]
    fn what_has_no_name_or_an_unknown_one_is_refused() {
        assert_eq!(Template::new("a$"), Err(TemplateError::NoName));
        assert_eq!(Template::new("${host"), Err(TemplateError::NoName));
        assert_eq!(Template::new("$ host"), Err(TemplateError::NoName));
        assert_eq!(Template::new("$uri"), Err(TemplateError::Unknown { name: "uri".to_owned() }));
        assert_eq!(Template::new("a\r\nb"), Err(TemplateError::Illegal('\r')));
    }
}
