//! What a route changes in the messages that pass, and what it answers itself.

use crate::{Template, same_field};

/// What a route changes in requests on their way to the endpoint, and in answers on their way back. A route that changes
/// nothing has none of these, and costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// In place of the route's own path; the rest of the normalised path follows it. Starts with `/`.
    pub path: Option<Box<str>>,
    /// The `Host` that the endpoint gets; the client's when this is absent, or comes out empty.
    pub host: Option<Template>,
    /// Fields of the request.
    pub request: FieldEdits,
    /// Fields of the answer.
    pub answer: FieldEdits,
}

/// Fields to set and to take out. Names are tokens, of no field that belongs to one hop or frames the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldEdits {
    /// In place of all fields of this name; none where the template comes out empty.
    pub set: Vec<(Box<str>, Template)>,
    /// Names of fields that do not pass.
    pub remove: Vec<Box<str>>,
}

impl FieldEdits {
    /// Whether fields of this name, or of one that an endpoint may take for it, do not pass as they are.
    pub fn touches(&self, name: &[u8]) -> bool {
        let is = |other: &str| same_field(other.as_bytes(), name);
        self.set.iter().any(|(set, _)| is(set)) || self.remove.iter().any(|removed| is(removed))
    }
}

/// What a route answers without asking any endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedAnswer {
    /// 200 to 599, and not 204 or 304 with a body.
    pub status: u16,
    /// `Location`, for the redirections.
    pub location: Option<Template>,
    /// `Content-Type` and the body.
    pub body: Option<(Box<str>, Box<str>)>,
}
