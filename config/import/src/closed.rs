//! Whether a location lets everybody in.
//!
//! What nginx refuses must not be open in weir: where a rule about who may come in cannot be taken over, the route answers
//! 403 until a person has decided.

use crate::note::Notes;
use crate::scope::{LUA, Scope};
use crate::tree::Directive;

/// Why a route answers no one.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) why: String,
}

/// Notes a rule that closes, and says why.
fn shut(directive: &Directive, why: &str, notes: &mut Notes) -> Closed {
    notes.lost(directive, format!("{why}: its routes answer 403 until you have decided who may come in"));
    Closed { why: format!("closed, because of {} `{}`", directive.place, directive.shown()) }
}

/// What a route says that answers 403 as nginx does.
pub(crate) const DENIED: &str = "`deny all`, as in nginx";

/// Whether the rules that hold in a scope keep everybody out.
pub(crate) fn denies_all(scope: &Scope) -> bool {
    scope.all("allow").first().is_some_and(|first| first.name == "deny" && first.word(0) == "all")
}

/// Whether the rules that hold in a scope keep anybody out.
pub(crate) fn by_rules(scope: &Scope, notes: &mut Notes) -> Option<Closed> {
    let lists = scope.all("allow");
    let mut found = None;
    match lists.first() {
        Some(_) if denies_all(scope) => return Some(Closed { why: DENIED.to_owned() }),
        Some(first) if lists.iter().any(|rule| rule.name == "deny") => {
            found = Some(shut(first, "weir does not look at who comes in", notes));
        }
        _ => {}
    }
    for name in ["auth_basic", "auth_request", "auth_jwt"] {
        if let Some(rule) = scope.all(name).iter().find(|rule| rule.word(0) != "off") {
            let closed = shut(rule, "weir asks nobody for a password or a token", notes);
            found.get_or_insert(closed);
        }
    }
    if let Some(rule) = scope.all(LUA).first() {
        let closed = shut(rule, "a program decides here", notes);
        found.get_or_insert(closed);
    }
    if let Some(rule) = scope.get("ssl_verify_client").filter(|rule| rule.word(0) == "on") {
        let closed = shut(rule, "weir asks clients for no certificate", notes);
        found.get_or_insert(closed);
    }
    found
}

/// Whether the conditions of a block keep anybody out.
pub(crate) fn by_conditions<'a>(inside: impl IntoIterator<Item = &'a Directive>, notes: &mut Notes) -> Option<Closed> {
    let mut found = None;
    for directive in inside {
        let refuses = directive.inside().iter().any(refuses);
        let why = match directive.name.as_str() {
            "limit_except" => "weir does not look at the method",
            "if" => "weir has no conditions",
            _ => continue,
        };
        if refuses {
            let closed = shut(directive, &format!("{why}, and this one may refuse a request"), notes);
            found.get_or_insert(closed);
        } else {
            notes.lost(
                directive,
                format!(
                    "{why}: what is in it is not taken over; often a route with `host`, `path` or `answer` does it"
                ),
            );
        }
    }
    found
}

/// Whether a location may keep a request out, by its rules, its conditions, or always.
pub(crate) fn keeps_out(location: &Directive, scope: &Scope) -> bool {
    by_rules(scope, &mut Notes::default()).is_some() || location.inside().iter().any(refuses)
}

/// Whether a directive in a condition keeps a request out.
fn refuses(directive: &Directive) -> bool {
    let status = directive.word(0).parse::<u16>();
    match directive.name.as_str() {
        "return" => status.is_ok_and(|status| status >= 400),
        "deny" | "auth_basic" | "auth_request" | "internal" => true,
        name => name.contains("_by_lua") || directive.inside().iter().any(refuses),
    }
}
