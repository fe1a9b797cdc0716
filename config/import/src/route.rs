//! A location to the lines of a route.

use std::collections::{BTreeSet, HashMap};

use weir_snapshot::{FRAMING, OF_ONE_HOP, RoutePath};

use crate::note::Notes;
use crate::scope::Scope;
use crate::site::{Action, Answer, Location, Pass};
use crate::toml::Table;
use crate::tree::Directive;
use crate::upstream::Upstream;
use crate::value::{DAY, TIB, is_field, key, quoted, show_bytes, show_millis};
use crate::variables::{Known, template};

/// The path of a location as weir writes it: nginx compares with what stands there once a request is decoded.
fn written(path: &str) -> RoutePath {
    RoutePath::of_plain(path.as_bytes())
}

/// Which of the requests that come in a route is for.
pub(crate) struct Whose<'a> {
    pub(crate) host: Option<&'a str>,
    /// Lines of `listeners`; `None` for all.
    pub(crate) listeners: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) tls: bool,
}

/// The service behind a `proxy_pass`.
pub(crate) struct Behind<'a> {
    pub(crate) name: &'a str,
    pub(crate) upstream: &'a Upstream,
}

/// The largest body that is held in memory without being asked for.
const HELD: u64 = 64 << 20;
/// weir's default for the largest body, and nginx's.
const BODY: u64 = 1 << 20;

/// The head of a route: what it is for.
pub(crate) fn begin(whose: &Whose<'_>, path: &str, exact: bool, from: String) -> Table {
    let mut table = Table::new("[[route]]", from);
    if let Some(host) = whose.host {
        table.put("host", quoted(host), None);
    }
    table.put("path", quoted(written(path).written()), None);
    if exact {
        table.put("match", quoted("exact"), None);
    }
    if let Some(listeners) = whose.listeners {
        table.put("listeners", listeners.to_owned(), None);
    }
    table
}

/// Adds what a route answers by itself.
pub(crate) fn put_answer(table: &mut Table, answer: &Answer) {
    let mut value = format!("{{ status = {}", answer.status);
    if let Some(location) = &answer.location {
        value.extend([", location = ", &quoted(location)]);
    }
    if let Some(body) = answer.body.as_deref().filter(|body| !body.is_empty()) {
        value.extend([", body = ", &quoted(body)]);
    }
    table.put("answer", value + " }", answer.comment.clone());
}

/// The route of a location; `behind` where it passes requests on.
pub(crate) fn table(location: &Location, whose: &Whose<'_>, behind: Option<&Behind<'_>>, notes: &mut Notes) -> Table {
    let mut table = lines(location, whose, behind, notes);
    table.above.extend(notes.about(&location.inside));
    table
}

fn lines(location: &Location, whose: &Whose<'_>, behind: Option<&Behind<'_>>, notes: &mut Notes) -> Table {
    let from = format!("{} {}", location.directive.place, location.directive.shown());
    let mut table = begin(whose, &location.path, location.exact, from);
    let (pass, behind) = match (&location.action, behind) {
        (Action::Pass(pass), Some(behind)) => (pass, behind),
        (Action::Answer(answer), _) => {
            put_answer(&mut table, answer);
            put_added(&mut table, location, whose, None, notes);
            return table;
        }
        (Action::Pass(pass), None) => {
            let why = format!("no endpoint is left of `{}`", pass.to);
            put_answer(&mut table, &Answer::of(502, &why));
            return table;
        }
    };
    let from = table.len();
    table.put("service", quoted(behind.name), None);
    if let Some(replace) = &pass.replace {
        table.put("replace", quoted(replace), None);
    }
    put_body(&mut table, &location.scope, notes);
    put_timeouts(&mut table, &location.scope, behind.upstream, notes);
    put_retry(&mut table, &location.scope, behind.upstream, notes);
    put_fields(&mut table, location, pass, whose, notes);
    put_added(&mut table, location, whose, Some(pass), notes);
    if let Some(closed) = &location.closed {
        table.hold_back(from);
        put_answer(&mut table, &Answer::of(403, &closed.why));
    }
    table
}

/// The redirection that nginx makes of a location's path without its last slash.
pub(crate) fn slash(location: &Location, whose: &Whose<'_>) -> Option<Table> {
    let Action::Pass(_) = &location.action else { return None };
    let bare = location.path.strip_suffix('/').filter(|bare| !bare.is_empty() && !location.exact)?;
    let from = format!("{} {}: nginx adds the slash", location.directive.place, location.directive.shown());
    let mut table = begin(whose, bare, true, from);
    let answer = Answer {
        status: 301,
        location: Some(format!("{}$is_args$args", written(&location.path).written().replace('$', "$$"))),
        ..Answer::default()
    };
    put_answer(&mut table, &answer);
    Some(table)
}

fn put_body(table: &mut Table, scope: &Scope, notes: &mut Notes) {
    let written = scope.bytes("client_max_body_size", notes);
    let max = match written {
        Some(0) => TIB,
        Some(bytes) => bytes.min(TIB),
        None => BODY,
    };
    let mut keys = Vec::new();
    let mut comment = None;
    if written.is_some() && max != BODY {
        keys.push(format!("max = \"{}\"", show_bytes(max)));
    }
    if written == Some(0) {
        comment = Some("0 is unlimited in nginx; this is the most that weir takes".to_owned());
    }
    if scope.says("proxy_request_buffering", "off") {
        keys.push("buffer = \"0B\"".to_owned());
        comment = comment.or_else(|| Some("passed on as it comes, so that a failed try cannot be repeated".to_owned()));
    } else if max > BODY {
        keys.push(format!("buffer = \"{}\"", show_bytes(max.min(HELD))));
        comment =
            comment.or_else(|| Some("nginx keeps large bodies in files, weir in memory, up to `buffer`".to_owned()));
    }
    if !keys.is_empty() {
        table.put("body", format!("{{ {} }}", keys.join(", ")), comment);
    }
}

fn put_timeouts(table: &mut Table, scope: &Scope, upstream: &Upstream, notes: &mut Notes) {
    let mut keys = Vec::new();
    for (word, name) in
        [("connect", "proxy_connect_timeout"), ("read", "proxy_read_timeout"), ("write", "proxy_send_timeout")]
    {
        keys.extend(scope.millis(name, notes).map(|span| format!("{word} = \"{}\"", show_millis(span))));
    }
    keys.extend(upstream.keepalive_timeout.map(|span| format!("idle = \"{}\"", show_millis(span))));
    keys.push(format!("total = \"{}\"", show_millis(DAY)));
    let comment = "nginx has no limit for a whole exchange; weir's own would be 5 minutes".to_owned();
    table.put("timeout", format!("{{ {} }}", keys.join(", ")), Some(comment));
}

/// The words of `proxy_next_upstream` that are statuses.
pub(crate) fn statuses(scope: &Scope) -> BTreeSet<u16> {
    let words = scope.get("proxy_next_upstream").map_or(&[][..], |directive| &directive.words);
    words
        .iter()
        .filter_map(|word| word.strip_prefix("http_")?.parse().ok())
        .filter(|status| (400..=599).contains(status))
        .collect()
}

/// Those that nginx counts against the endpoint.
pub(crate) fn blamed(scope: &Scope) -> BTreeSet<u16> {
    statuses(scope).into_iter().filter(|status| !matches!(status, 403 | 404)).collect()
}

fn put_retry(table: &mut Table, scope: &Scope, upstream: &Upstream, notes: &mut Notes) {
    let mut keys = Vec::new();
    let mut tries = upstream.tries();
    if let Some(directive) = scope.get("proxy_next_upstream") {
        let has = |word: &str| directive.words.iter().any(|other| other == word);
        if has("off") {
            tries = 1;
        } else {
            let mut on: Vec<String> = ["error", "timeout"].into_iter().filter(|word| has(word)).map(quoted).collect();
            on.extend(statuses(scope).iter().map(|status| format!("\"{status}\"")));
            if on.iter().map(String::as_str).ne(["\"error\"", "\"timeout\""]) {
                keys.push(format!("on = [{}]", on.join(", ")));
            }
            if has("invalid_header") && !has("error") {
                notes.lost(directive, "`invalid_header`: weir counts a broken answer as an `error`");
            }
            if has("non_idempotent") {
                keys.push("non_idempotent = true".to_owned());
            }
        }
    }
    if let Some(directive) = scope.get("proxy_next_upstream_tries") {
        match directive.word(0).parse::<u64>() {
            Ok(0) => {}
            Ok(most) => tries = tries.min(most.min(10)),
            Err(_) => notes.lost(directive, "no number"),
        }
    }
    if let Some(directive) = scope.get("proxy_next_upstream_timeout").filter(|directive| directive.word(0) != "0") {
        notes.lost(
            directive,
            "weir limits no tries by time; `timeout.total` ends the whole exchange, and `retry.budget` a storm",
        );
    }
    keys.insert(usize::from(keys.first().is_some_and(|key| key.starts_with("on"))), format!("tries = {tries}"));
    let comment = (tries > 1)
        .then(|| "each endpoint once, as nginx; at most a fifth of all requests again (`budget`)".to_owned());
    table.put("retry", format!("{{ {} }}", keys.join(", ")), comment);
}

/// Whether weir keeps a field to itself.
fn is_own(name: &str) -> bool {
    [OF_ONE_HOP, FRAMING].iter().any(|own| own.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

fn put_fields(table: &mut Table, location: &Location, pass: &Pass, whose: &Whose<'_>, notes: &mut Notes) {
    let known = known(location, whose, Some(pass));
    let mut fields = Fields::default();
    let mut host = None;
    for directive in location.scope.all("proxy_set_header") {
        let name = directive.word(0);
        let lower = name.to_ascii_lowercase();
        if is_own(name) {
            let why = "weir keeps its connections itself: they stay open, upgrades pass, and bodies are framed";
            notes.unneeded(directive, why);
            continue;
        }
        if !is_field(name) {
            notes.lost(directive, "no field can have this name");
            continue;
        }
        match template(directive.word(1), &known) {
            Ok(value) if lower == "host" => host = Some(value),
            Ok(value) if value.is_empty() => fields.remove(name),
            // What weir sends anyway.
            Ok(value) if (&*lower, &*value) == ("x-forwarded-for", "$forwarded_for") => {
                notes.unneeded(
                    directive,
                    "weir sends the chain itself; it believes only `trusted_proxies` about who came before",
                );
            }
            Ok(value) if (&*lower, &*value) == ("x-request-id", "$request_id") => {
                notes.unneeded(directive, "weir sends one itself");
            }
            Ok(value) => fields.set(name, value),
            Err(what) => {
                let why = match &*lower {
                    "host" => "the endpoint gets nginx's `$proxy_host`",
                    "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "forwarded" => {
                        "weir sends its own, and believes clients only if they are in `trusted_proxies`"
                    }
                    _ => {
                        fields.remove(name);
                        "what clients send as this field is taken out, lest it be believed"
                    }
                };
                notes.lost(directive, format!("weir has no word for {what}; {why}"));
            }
        }
    }
    let mut comment = None;
    if let Some(value) = host {
        // What weir sends anyway, or nothing, which no request may have.
        if value != "$http_host" && !value.is_empty() {
            fields.set("Host", value);
        }
    } else {
        fields.set("Host", pass.host.replace('$', "$$"));
        comment = Some("nginx's `$proxy_host`; leave `Host` out to pass on what the client sent".to_owned());
    }
    if let Some(value) = fields.text() {
        table.put("headers", value, comment);
    }
}

/// `add_header` and `proxy_hide_header`.
fn put_added(table: &mut Table, location: &Location, whose: &Whose<'_>, pass: Option<&Pass>, notes: &mut Notes) {
    let known = known(location, whose, pass);
    let mut fields = Fields::default();
    let mut always = true;
    for directive in location.scope.all("proxy_hide_header").iter().filter(|_| pass.is_some()) {
        let name = directive.word(0);
        if is_field(name) && !is_own(name) {
            fields.remove(name);
        }
    }
    for directive in location.scope.all("add_header") {
        let name = directive.word(0);
        if !is_field(name) || is_own(name) || name.eq_ignore_ascii_case("host") {
            notes.lost(directive, "weir sets no such field in answers");
            continue;
        }
        match template(directive.word(1), &known) {
            Ok(value) if value.is_empty() => {}
            Ok(value) => {
                always &= directive.word(2) == "always";
                fields.set(name, value);
            }
            Err(what) => notes.lost(directive, format!("weir has no word for {what}")),
        }
    }
    let comment = (!always).then(|| "in answers of every status, and in place of the endpoint's own".to_owned());
    if let Some(value) = fields.text() {
        table.put("answer_headers", value, comment);
    }
}

fn known<'a>(location: &'a Location, whose: &Whose<'_>, pass: Option<&'a Pass>) -> Known<'a> {
    Known {
        proxy_host: pass.map(|pass| pass.host.as_str()),
        server_name: &location.server_name,
        port: whose.port,
        tls: whose.tls,
        constants: &location.scope.constants,
    }
}

/// Fields to set and to take out; what came last counts.
#[derive(Default)]
struct Fields {
    order: Vec<String>,
    /// By name in lower case; `None` to take out.
    values: HashMap<String, Option<String>>,
}

impl Fields {
    fn put(&mut self, name: &str, value: Option<String>) {
        let lower = name.to_ascii_lowercase();
        if !self.values.contains_key(&lower) {
            self.order.push(name.to_owned());
        }
        self.values.insert(lower, value);
    }

    fn set(&mut self, name: &str, value: String) {
        self.put(name, Some(value));
    }

    fn remove(&mut self, name: &str) {
        self.put(name, None);
    }

    fn text(&self) -> Option<String> {
        let of = |name: &String| self.values.get(&name.to_ascii_lowercase()).cloned().flatten();
        let set: Vec<String> =
            self.order.iter().filter_map(|name| Some(format!("{} = {}", key(name), quoted(&of(name)?)))).collect();
        let removed: Vec<String> =
            self.order.iter().filter(|name| of(name).is_none()).map(|name| quoted(name)).collect();
        let mut keys = Vec::new();
        if !set.is_empty() {
            keys.push(format!("set = {{ {} }}", set.join(", ")));
        }
        if !removed.is_empty() {
            keys.push(format!("remove = [{}]", removed.join(", ")));
        }
        (!keys.is_empty()).then(|| format!("{{ {} }}", keys.join(", ")))
    }
}

/// Directives that a whole listener has from its default server.
pub(crate) fn put_listener(table: &mut Table, scope: &Scope, notes: &mut Notes) {
    for (word, name) in [
        ("header_timeout", "client_header_timeout"),
        ("idle_timeout", "keepalive_timeout"),
        ("read_timeout", "client_body_timeout"),
        ("write_timeout", "send_timeout"),
    ] {
        let Some(span) = scope.millis(name, notes) else { continue };
        let comment = (span == 0).then(|| "0 in nginx: no connection is kept".to_owned());
        table.put(word, quoted(&show_millis(span)), comment);
    }
    if scope.says("ignore_invalid_headers", "off") {
        table.put("field_names", quoted("any"), None);
    } else if scope.says("underscores_in_headers", "on") {
        table.put("field_names", quoted("underscores"), None);
    }
    let Some(directive) = scope.get("large_client_header_buffers") else { return };
    let number: Option<u64> = directive.word(0).parse().ok();
    match number.zip(crate::value::bytes(directive.word(1))) {
        Some((number, size)) if number > 0 && size > 0 => {
            let head = number.saturating_mul(size).clamp(1 << 10, 1 << 20);
            let target = size.clamp(1, head);
            table.put("max_head", quoted(&show_bytes(head)), None);
            table.put("max_target", quoted(&show_bytes(target)), None);
        }
        _ => notes.lost(directive, "no number and size"),
    }
}

/// Where the access log goes: the value of `access` and what to know about it.
pub(crate) fn access(scope: &Scope, notes: &mut Notes) -> Option<(String, Option<String>)> {
    let directive: &Directive = scope.all("access_log").first()?;
    for other in scope.all("access_log").iter().skip(1) {
        notes.lost(other, "weir writes one access log");
    }
    if directive.words.iter().any(|word| word.starts_with("if=")) {
        notes.lost(directive, "weir writes a line for every exchange, or for the share that `sample` says");
    }
    match directive.word(0) {
        "off" => None,
        "/dev/stdout" | "/proc/self/fd/1" => Some((quoted("stdout"), Some("JSON".to_owned()))),
        path if path.starts_with('/') && !path.contains('$') => {
            Some((quoted(path), Some("one object of JSON per line, not nginx's format".to_owned())))
        }
        _ => {
            notes.lost(directive, "weir writes its access log to standard output or to a file with an absolute path");
            None
        }
    }
}
