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

/// Whether a block with these directives, in which this scope holds, keeps anybody out.
pub(crate) fn closed(scope: &Scope, inside: &[Directive], notes: &mut Notes) -> Option<Closed> {
    let mut found: Option<Closed> = None;
    let mut shut = |directive: &Directive, why: &str, notes: &mut Notes| {
        notes.lost(directive, format!("{why}: its routes answer 403 until you have decided who may come in"));
        let why = format!("closed, because of {} `{}`", directive.place, directive.shown());
        found.get_or_insert(Closed { why });
    };
    let lists = scope.all("allow");
    match lists.first() {
        Some(first) if first.name == "deny" && first.word(0) == "all" => {
            return Some(Closed { why: "`deny all`, as in nginx".to_owned() });
        }
        Some(first) if lists.iter().any(|rule| rule.name == "deny") => {
            shut(first, "weir does not look at who comes in", notes)
        }
        _ => {}
    }
    for name in ["auth_basic", "auth_request", "auth_jwt"] {
        if let Some(rule) = scope.all(name).iter().find(|rule| rule.word(0) != "off") {
            shut(rule, "weir asks nobody for a password or a token", notes);
        }
    }
    if let Some(rule) = scope.all(LUA).first() {
        shut(rule, "a program decides here", notes);
    }
    if let Some(rule) = scope.get("ssl_verify_client").filter(|rule| rule.word(0) == "on") {
        shut(rule, "weir asks clients for no certificate", notes);
    }
    for directive in inside {
        let refuses = directive.inside().iter().any(refuses);
        match directive.name.as_str() {
            "limit_except" if refuses => shut(directive, "weir does not look at the method", notes),
            "limit_except" => notes.lost(directive, "weir does not look at the method"),
            "if" if refuses => shut(directive, "weir has no conditions, and this one may refuse a request", notes),
            "if" => notes.lost(
                directive,
                "weir has no conditions: what is in it is not taken over; often a route with `host`, `path` or `answer` does it",
            ),
            _ => {}
        }
    }
    found
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
