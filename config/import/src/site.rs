//! `server` to listeners, hosts and locations.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use crate::closed::{Closed, DENIED, by_conditions, by_rules, denies_all, keeps_out};
use crate::listen::{Listen, listens, names, nginx_port};
use crate::note::Notes;
use crate::path::{legal, legal_replacement, strip_prefix_ignoring_case, stripped};
use crate::pattern::{self, Reach, Written};
use crate::scope::Scope;
use crate::tree::Directive;
use crate::variables::{Known, constant, template};

/// One `server`.
pub(crate) struct Site {
    pub(crate) listens: Vec<Listen>,
    /// Hosts as weir writes them.
    pub(crate) hosts: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) locations: Vec<Location>,
    /// `$server_port`, if there is but one.
    pub(crate) port: Option<u16>,
    /// Whether all of it is for TLS.
    pub(crate) tls: bool,
    pub(crate) directive: Directive,
    /// What the server itself says and weir does not do.
    pub(crate) lost: Vec<String>,
}

/// One `location`, or what stands for one.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) path: String,
    pub(crate) exact: bool,
    pub(crate) action: Action,
    pub(crate) closed: Option<Closed>,
    pub(crate) scope: Scope,
    pub(crate) directive: Directive,
    /// `$server_name`.
    pub(crate) server_name: String,
    pub(crate) shape: Shape,
    /// What stands in it, and in the location with a name that it leads to.
    pub(crate) inside: Vec<Directive>,
}

/// Which routes a location becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Its own, and the redirection to its last slash.
    Prefix,
    /// Its own alone.
    Pattern,
    /// The redirection alone: a pattern takes all requests below it.
    Redirection,
}

/// What a location does.
#[derive(Clone)]
pub(crate) enum Action {
    Pass(Pass),
    Answer(Answer),
}

/// A `proxy_pass`.
#[derive(Clone)]
pub(crate) struct Pass {
    /// As written, `host` or `host:port`.
    pub(crate) to: String,
    /// `$proxy_host`.
    pub(crate) host: String,
    /// What stands for the location's path.
    pub(crate) replace: Option<String>,
    pub(crate) directive: Directive,
}

/// What is answered without a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// A template of weir's.
    pub(crate) location: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) comment: Option<String>,
}

impl Answer {
    /// An answer of this status, for this reason.
    pub(crate) fn of(status: u16, comment: &str) -> Self {
        Self { status, comment: (!comment.is_empty()).then(|| comment.to_owned()), ..Self::default() }
    }
}

/// What all locations of a server are read with.
struct Context<'a> {
    named: HashMap<&'a str, (&'a Directive, Scope)>,
    /// Those of them that something led to so far.
    used: RefCell<HashSet<String>>,
    server_name: String,
    port: Option<u16>,
    tls: bool,
}

impl Site {
    /// Reads a `server`; what it says of single hosts by `if` comes out as further ones.
    pub(crate) fn read(directive: &Directive, outer: &Scope, notes: &mut Notes) -> Vec<Self> {
        let inside = directive.inside();
        let scope = outer.inner(inside, notes);
        let is_ssl = inside.iter().any(|each| each.name == "ssl" && each.word(0) == "on");
        let written: Vec<&Directive> = inside.iter().filter(|each| each.name == "listen").collect();
        let mut listens: Vec<Listen> = written.iter().flat_map(|each| listens(each, is_ssl, notes)).collect();
        if written.is_empty() {
            listens.push(Listen::everywhere(directive));
        }
        let (mut hosts, server_name) = names(inside, notes);
        let ports: Vec<u16> = listens.iter().map(nginx_port).collect();
        let port = ports.first().copied().filter(|first| ports.iter().all(|port| port == first));
        let tls = !listens.is_empty() && listens.iter().all(|listen| listen.tls);
        let mut context = Context { named: HashMap::new(), used: RefCell::default(), server_name, port, tls };
        for each in inside.iter().filter(|each| each.name == "location" && each.word(0).starts_with('@')) {
            context.named.insert(each.word(0), (each, scope.inner(each.inside(), notes)));
        }
        let mut locations = Vec::new();
        // Before any location is looked for, nginx does what the server itself says.
        let by_host: Vec<(&Directive, String)> = inside
            .iter()
            .filter_map(|each| Some((each, host_of_condition(each)?)))
            .filter(|(_, host)| hosts.contains(host))
            .collect();
        let other = inside.iter().filter(|each| by_host.iter().all(|(handled, _)| !std::ptr::eq(*handled, *each)));
        let whole = by_conditions(other, notes);
        let all = inside.iter().find(|each| each.name == "return").map(|each| context.answer(each, &scope, notes));
        for each in inside.iter().filter(|each| each.name == "rewrite") {
            notes.lost(
                each,
                "weir does not rewrite paths by patterns; `replace` puts another path in place of a route's own",
            );
        }
        if let Some(answer) = all {
            for each in inside.iter().filter(|each| each.name == "location") {
                notes.unneeded(each, "no request gets here: the server's `return` answers before");
            }
            locations.push(context.location("/", false, Action::Answer(answer), whole, (&scope, directive)));
        } else {
            context.gather(inside, &scope, &[], &mut locations, notes);
            let used = context.used.borrow();
            for (named, _) in context.named.iter().filter(|(name, _)| !used.contains(**name)).map(|(_, named)| named) {
                notes.lost(named, UNUSED);
            }
            drop(used);
            if let Some(whole) = whole {
                for location in &mut locations {
                    location.closed.get_or_insert_with(|| whole.clone());
                }
            }
        }
        let mut further = Vec::new();
        for (each, host) in by_host {
            let Some(answer) = each.inside().first() else { continue };
            let action = Action::Answer(context.answer(answer, &scope, notes));
            let locations = vec![context.location("/", false, action, None, (&scope, each))];
            hosts.retain(|other| *other != host);
            let directive = Directive { block: None, ..each.clone() };
            let (listens, scope) = (listens.clone(), scope.clone());
            further.push(Self { listens, hosts: vec![host], scope, locations, port, tls, directive, lost: Vec::new() });
        }
        // What a location is not, its own route says.
        let shown = |each: &&Directive| locations.iter().all(|location| location.directive.place != each.place);
        let lost = notes.about(inside.iter().filter(shown));
        let directive = Directive { block: None, ..directive.clone() };
        let mut sites = vec![Self { listens, hosts, scope, locations, port, tls, directive, lost }];
        sites.extend(further);
        sites
    }
}

impl Context<'_> {
    fn known<'a>(&'a self, proxy_host: Option<&'a str>, scope: &'a Scope) -> Known<'a> {
        Known {
            proxy_host,
            server_name: &self.server_name,
            port: self.port,
            tls: self.tls,
            constants: &scope.constants,
        }
    }

    fn location(
        &self,
        path: &str,
        exact: bool,
        action: Action,
        closed: Option<Closed>,
        (scope, directive): (&Scope, &Directive),
    ) -> Location {
        Location {
            path: path.to_owned(),
            exact,
            action,
            closed,
            scope: scope.clone(),
            directive: Directive { block: None, ..directive.clone() },
            server_name: self.server_name.clone(),
            shape: Shape::Prefix,
            inside: Vec::new(),
        }
    }

    /// The locations of a block, and those in them; `beside` are the longer paths that the block around does not get.
    fn gather(&self, inside: &[Directive], outer: &Scope, beside: &[&str], all: &mut Vec<Location>, notes: &mut Notes) {
        let mut written: Vec<(&Directive, Written<'_>)> = Vec::new();
        for directive in inside.iter().filter(|each| each.name == "location") {
            match kind_and_path(directive) {
                Some((_, name)) if name.starts_with('@') => {
                    let read = self.named.get(name).is_some_and(|(read, _)| std::ptr::eq(*read, directive));
                    if !read {
                        notes.lost(directive, UNUSED);
                    }
                }
                Some((kind, path)) => {
                    let nested = directive.inside().iter().any(|each| each.name == "location");
                    written.push((directive, Written { kind, path, nested }));
                }
                None => notes.lost(directive, "no location is written like this"),
            }
        }
        let (directives, written): (Vec<&Directive>, Vec<Written<'_>>) = written.into_iter().unzip();
        for ((directive, location), reach) in directives.iter().zip(&written).zip(pattern::settle(&written)) {
            let scope = outer.inner(directive.inside(), notes);
            let (paths, shape) = match reach {
                Reach::Own => (vec![(location.path.to_owned(), location.kind == "=")], Shape::Prefix),
                Reach::Covered(by) => {
                    let by = directives.get(by).map_or_else(String::new, |by| by.place.to_string());
                    notes.unneeded(directive, format!("no request gets here: the pattern in {by} takes them before"));
                    (vec![(location.path.to_owned(), false)], Shape::Redirection)
                }
                Reach::Paths { paths, rough } => {
                    if let Some(rough) = rough {
                        notes.lost(directive, rough);
                    }
                    (paths.into_iter().map(|matched| (matched.path, matched.exact)).collect(), Shape::Pattern)
                }
                Reach::Unknown => {
                    notes.lost(directive, left_out(directive, &scope));
                    continue;
                }
            };
            let reached = |path: &str| beside.iter().all(|other| !path.starts_with(other));
            let paths: Vec<(String, bool)> = paths.into_iter().filter(|(path, _)| reached(path)).collect();
            if paths.is_empty() {
                notes.unneeded(directive, "no request gets here: other locations take them before");
            }
            for (path, exact) in paths {
                if let Err(why) = legal(&path) {
                    notes.lost(directive, why);
                    continue;
                }
                let (action, scope) = self.action(directive, &path, scope.clone(), notes);
                let inside = self.holding(directive);
                let conditions = by_conditions(&inside, notes);
                let shut = by_rules(&scope, notes).or(conditions);
                let mut read = self.location(&path, exact, action, shut, (&scope, directive));
                (read.shape, read.inside) = (shape, inside);
                // The first of two counts; nginx refuses such a file.
                if all.iter().all(|other| (&other.path, other.exact) != (&path, exact)) {
                    all.push(read);
                }
            }
            match shape {
                Shape::Prefix => {
                    let longer = written.iter().filter(|other| !other.kind.starts_with('~') && other.kind != "=");
                    let longer = longer
                        .map(|other| other.path)
                        .filter(|other| other.len() > location.path.len() && other.starts_with(location.path));
                    let beside: Vec<&str> = beside.iter().copied().chain(longer).collect();
                    self.gather(directive.inside(), &scope, &beside, all, notes);
                }
                Shape::Pattern | Shape::Redirection => {
                    for nested in directive.inside().iter().filter(|each| each.name == "location") {
                        let scope = scope.inner(nested.inside(), notes);
                        notes.lost(nested, left_out(nested, &scope));
                    }
                }
            }
        }
    }

    /// What stands in a location and in the one with a name that it leads to, without further locations.
    fn holding(&self, directive: &Directive) -> Vec<Directive> {
        let files = directive.inside().iter().find(|each| each.name == "try_files");
        let last = files.and_then(|files| files.words.last()).map_or("", String::as_str);
        let named = self.named.get(last);
        if named.is_some() {
            self.used.borrow_mut().insert(last.to_owned());
        }
        let all = directive.inside().iter().chain(named.into_iter().flat_map(|(named, _)| named.inside()));
        all.filter(|each| each.name != "location").cloned().collect()
    }

    /// What a location does, in nginx's order: rewriting and `return` come before the handler. With it the scope that holds
    /// then: another one where the location hands on to one with a name.
    fn action(&self, directive: &Directive, path: &str, scope: Scope, notes: &mut Notes) -> (Action, Scope) {
        let inside = directive.inside();
        let find = |name: &str| inside.iter().find(|each| each.name == name);
        if let Some(answer) = find("return") {
            return (Action::Answer(self.answer(answer, &scope, notes)), scope);
        }
        if find("internal").is_some() {
            return (Action::Answer(Answer::of(404, "`internal`: clients get 404 from nginx as well")), scope);
        }
        // Where there is no file, and weir has none, nginx goes to the last of these before it comes to `proxy_pass`.
        if let Some(files) = find("try_files") {
            let last = files.words.last().map_or("", String::as_str);
            if let Some((named, inner)) = self.named.get(last) {
                notes.lost(files, format!("weir serves no files: all requests go on to `{last}`"));
                if let Some(pass) = named.inside().iter().find(|each| each.name == "proxy_pass") {
                    return (Self::pass(pass, "", inner, notes), inner.clone());
                }
            } else if find("proxy_pass").is_some() {
                notes.lost(files, "weir serves no files: all requests are passed on");
            }
        }
        if let Some(pass) = find("proxy_pass") {
            let mut pass = Self::pass(pass, path, &scope, notes);
            for rewrite in inside.iter().filter(|each| each.name == "rewrite") {
                match (&mut pass, stripped(rewrite, path)) {
                    (Action::Pass(pass), Some(new)) => pass.replace = Some(new),
                    _ => notes.lost(
                        rewrite,
                        "weir does not rewrite paths by patterns; `replace` puts another path in place of a route's own",
                    ),
                }
            }
            return (pass, scope);
        }
        for rewrite in inside.iter().filter(|each| each.name == "rewrite") {
            notes.lost(rewrite, "weir does not rewrite paths by patterns; a redirection is `answer` with `location`");
        }
        let handler = inside.iter().find(|each| each.name.ends_with("_pass"));
        if handler.is_some() {
            let answer = Answer::of(502, "nginx asks something here that does not speak HTTP, which weir cannot");
            return (Action::Answer(answer), scope);
        }
        if denies_all(&scope) {
            return (Action::Answer(Answer::of(403, DENIED)), scope);
        }
        let mut bare = directive.clone();
        bare.block = None;
        notes.lost(
            &bare,
            "nginx answers here by itself, with files or a module; weir answers 404: put a file server behind it",
        );
        (Action::Answer(Answer::of(404, "weir serves no files")), scope)
    }

    fn pass(directive: &Directive, path: &str, scope: &Scope, notes: &mut Notes) -> Action {
        let mut refuse = |status: u16, why: &str| {
            notes.lost(directive, why);
            Action::Answer(Answer::of(status, why))
        };
        // With the client's own target behind it, as without anything: it is passed on as it came.
        let written = directive.word(0);
        let written = ["$request_uri", "${request_uri}"]
            .iter()
            .find_map(|target| {
                written.strip_suffix(target).filter(|before| !before.trim_start_matches("http://").contains('/'))
            })
            .unwrap_or(written);
        let Some(url) = constant(written, &scope.constants) else {
            return refuse(502, "the address is made of variables: weir needs a name that is written");
        };
        let Some(rest) = strip_prefix_ignoring_case(&url, "http://") else {
            return refuse(502, "weir speaks plain HTTP to endpoints: not HTTPS yet");
        };
        if rest.starts_with("unix:") {
            return refuse(502, "weir does not connect to Unix sockets: let it listen on a port");
        }
        let (to, uri) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if to.is_empty() || to.contains('@') || !to.bytes().all(|byte| byte.is_ascii_graphic()) {
            return refuse(502, "no host is written");
        }
        let by_variable = written.contains('$');
        let replace = match uri {
            "" => None,
            _ if by_variable => {
                return refuse(
                    502,
                    "with variables, nginx puts this path in place of all of the request's; weir cannot",
                );
            }
            uri => match legal_replacement(uri) {
                Ok(()) => Some(uri.to_owned()),
                Err(why) => return refuse(502, why),
            },
        };
        let replace = replace.filter(|_| path.starts_with('/'));
        let host = to.strip_suffix(":80").unwrap_or(to).to_owned();
        Action::Pass(Pass { to: to.to_owned(), host, replace, directive: directive.clone() })
    }

    /// What `return` answers.
    fn answer(&self, directive: &Directive, scope: &Scope, notes: &mut Notes) -> Answer {
        let known = self.known(None, scope);
        let (status, text) = match directive.word(0).parse::<u16>() {
            Ok(status) => (status, directive.words.get(1)),
            Err(_) => (302, directive.words.first()),
        };
        if status == 444 {
            return Answer::of(404, "nginx closes the connection without a word (444)");
        }
        if !(200..=599).contains(&status) {
            notes.lost(directive, "no status that weir answers with");
            return Answer::of(404, "another status in nginx");
        }
        let mut answer = Answer::of(status, "");
        let Some(text) = text else { return answer };
        if matches!(status, 301 | 302 | 303 | 307 | 308) {
            match template(text, &known) {
                Ok(location) => {
                    if text.contains("$uri") || text.contains("$document_uri") {
                        answer.comment = Some("nginx's `$uri` is decoded; `$path` is as it was sent".to_owned());
                    }
                    answer.location = Some(location);
                }
                Err(what) => {
                    notes.lost(directive, format!("weir has no word for {what}"));
                    return Answer::of(404, "nginx redirects to what weir has no word for");
                }
            }
        } else if !matches!(status, 204 | 205 | 304) {
            match constant(text, &scope.constants) {
                Some(body) => answer.body = Some(body),
                None => notes.lost(directive, "a body with variables: weir answers without one"),
            }
        }
        answer
    }
}

/// The sign and the path of a location, which may stand together.
fn kind_and_path(directive: &Directive) -> Option<(&str, &str)> {
    match (directive.word(0), directive.word(1)) {
        (kind @ ("=" | "^~" | "~" | "~*"), path) => Some((kind, path)),
        (path, "") => {
            let glued = ["~*", "^~", "=", "~"].into_iter().find_map(|kind| Some((kind, path.strip_prefix(kind)?)));
            Some(glued.unwrap_or(("", path)))
        }
        _ => None,
    }
}

/// Why a location with a name is not in the result.
const UNUSED: &str = "nothing that weir does leads here";

/// Why a pattern is not in the result, and what that means.
fn left_out(directive: &Directive, scope: &Scope) -> &'static str {
    if keeps_out(directive, scope) {
        "nginx keeps requests out here, by a pattern that weir does not know: weir lets them through to where the rest of \
         the path leads. Refuse them there, or write a `[[route]]` with `answer = { status = 403 }` for each prefix"
    } else {
        "weir does not know this pattern: its requests go where the rest of the path leads; write a `[[route]]` for each \
         prefix that is meant"
    }
}

/// The host in `if ($host = name) { return …; }`, if a directive is that and no more: a route does the same.
fn host_of_condition(directive: &Directive) -> Option<String> {
    let [answer] = directive.inside() else { return None };
    let text = directive.words.join(" ");
    let text = text.strip_prefix('(')?.strip_suffix(')')?.trim();
    let host = text.strip_prefix("$host")?.trim_start().strip_prefix('=')?.trim();
    (directive.name == "if" && answer.name == "return").then(|| host.to_ascii_lowercase())
}
