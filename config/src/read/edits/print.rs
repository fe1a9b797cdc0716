//! Writes what a `[[route]]` changes in messages, and what it answers by itself.

use weir_snapshot::{Edits, FieldEdits, FixedAnswer, Template};

use super::{ANSWER, ANSWER_HEADERS, BODY, HEADERS, LOCATION, PLAIN, REMOVE, REPLACE, SET, STATUS, TYPE};
use crate::raw::{Page, Spec};

/// The key of the route itself.
pub(in crate::read) fn print_path(edits: Option<&Edits>, page: &mut Page) {
    page.key(&REPLACE, &edits.and_then(|edits| edits.path.clone()));
}

/// The tables.
pub(in crate::read) fn print(edits: Option<&Edits>, page: &mut Page) {
    let Some(Edits { path: _, host, request, answer }) = edits else { return };
    let host = host.iter().map(|host| ("Host".into(), host.clone()));
    let FieldEdits { set, remove } = request;
    let request = FieldEdits { set: host.chain(set.iter().cloned()).collect(), remove: remove.clone() };
    print_fields(&HEADERS, &request, page);
    print_fields(&ANSWER_HEADERS, answer, page);
}

fn print_fields(spec: &Spec, edits: &FieldEdits, page: &mut Page) {
    if *edits == FieldEdits::default() {
        return;
    }
    page.table(spec.header);
    page.key(&SET, &edits.set);
    page.key(&REMOVE, &edits.remove);
}

/// The table in place of a service.
pub(in crate::read) fn print_answer(answer: &FixedAnswer, page: &mut Page) {
    let FixedAnswer { status, location, body } = answer;
    page.table(ANSWER.header);
    page.key(&STATUS, status);
    page.key(&LOCATION, location);
    page.key(&BODY, &body.as_ref().map(|(_, body)| body.clone()));
    // What is stored is the text of a media type, which was a template without variables.
    let kind = body.as_ref().and_then(|(kind, _)| Template::new(kind).ok());
    page.key(&TYPE, &kind.filter(|kind| kind.to_string() != PLAIN));
}
