//! `server` to listeners, hosts and locations.

use std::collections::HashMap;

use crate::closed::{Closed, by_conditions, by_rules};
use crate::listen::{Listen, listen, names, nginx_port};
use crate::note::Notes;
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
    server_name: String,
    port: Option<u16>,
    tls: bool,
}

impl Site {
    /// Reads a `server`.
    pub(crate) fn read(directive: &Directive, outer: &Scope, notes: &mut Notes) -> Self {
        let inside = directive.inside();
        let scope = outer.inner(inside, notes);
        let is_ssl = inside.iter().any(|each| each.name == "ssl" && each.word(0) == "on");
        let written: Vec<&Directive> = inside.iter().filter(|each| each.name == "listen").collect();
        let mut listens: Vec<Listen> = written.iter().filter_map(|each| listen(each, is_ssl, notes)).collect();
        if written.is_empty() {
            listens.push(Listen::everywhere(directive));
        }
        let (hosts, server_name) = names(inside, notes);
        let ports: Vec<u16> = listens.iter().map(nginx_port).collect();
        let port = ports.first().copied().filter(|first| ports.iter().all(|port| port == first));
        let tls = !listens.is_empty() && listens.iter().all(|listen| listen.tls);
        let mut context = Context { named: HashMap::new(), server_name, port, tls };
        for each in inside.iter().filter(|each| each.name == "location" && each.word(0).starts_with('@')) {
            context.named.insert(each.word(0), (each, scope.inner(each.inside(), notes)));
        }
        let mut locations = Vec::new();
        // Before any location is looked for, nginx does what the server itself says.
        let whole = by_conditions(inside, notes);
        let all = inside.iter().find(|each| each.name == "return").map(|each| context.answer(each, &scope, notes));
        for each in inside.iter().filter(|each| each.name == "rewrite") {
            notes.lost(
                each,
                "weir does not rewrite paths by patterns; `replace` puts another path in place of a route's own",
            );
        }
        if let Some(answer) = all {
            locations.push(context.location("/", false, Action::Answer(answer), whole, (&scope, directive)));
        } else {
            context.gather(inside, &scope, &mut locations, notes);
            if let Some(whole) = whole {
                for location in &mut locations {
                    location.closed.get_or_insert_with(|| whole.clone());
                }
            }
        }
        let directive = Directive { block: None, ..directive.clone() };
        Self { listens, hosts, scope, locations, port, tls, directive }
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
        }
    }

    /// The locations of a block, and those in them.
    fn gather(&self, inside: &[Directive], outer: &Scope, all: &mut Vec<Location>, notes: &mut Notes) {
        for directive in inside.iter().filter(|each| each.name == "location") {
            let (kind, path) = match (directive.word(0), directive.word(1)) {
                (kind @ ("=" | "^~" | "~" | "~*"), path) => (kind, path),
                // The sign and the path may stand together.
                (path, "") => ["~*", "^~", "=", "~"]
                    .into_iter()
                    .find_map(|kind| Some((kind, path.strip_prefix(kind)?)))
                    .unwrap_or(("", path)),
                _ => {
                    notes.lost(directive, "no location is written like this");
                    continue;
                }
            };
            let scope = outer.inner(directive.inside(), notes);
            if kind.starts_with('~') {
                notes.lost(
                    directive,
                    "weir knows no patterns: its requests go where the rest of the path leads; write a `[[route]]` for each \
                     prefix that is meant",
                );
                continue;
            }
            if path.starts_with('@') {
                continue;
            }
            if let Err(why) = legal(path) {
                notes.lost(directive, why);
                continue;
            }
            let (action, scope) = self.action(directive, path, scope, notes);
            let conditions = by_conditions(directive.inside(), notes);
            let shut = by_rules(&scope, notes).or(conditions);
            // The first of two counts; nginx refuses such a file.
            if all.iter().all(|other| (other.path.as_str(), other.exact) != (path, kind == "=")) {
                all.push(self.location(path, kind == "=", action, shut, (&scope, directive)));
            }
            self.gather(directive.inside(), &scope, all, notes);
        }
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
        if let Some(files) = find("try_files") {
            let last = files.words.last().map_or("", String::as_str);
            if let Some((named, inner)) = self.named.get(last) {
                notes.lost(files, format!("weir serves no files: all requests go on to `{last}`"));
                if let Some(pass) = named.inside().iter().find(|each| each.name == "proxy_pass") {
                    return (Self::pass(pass, "", inner, notes), inner.clone());
                }
            }
        }
        let handler = inside.iter().find(|each| each.name.ends_with("_pass"));
        if handler.is_some() {
            let answer = Answer::of(502, "nginx asks something here that does not speak HTTP, which weir cannot");
            return (Action::Answer(answer), scope);
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
        let Some(url) = constant(directive.word(0), &scope.constants) else {
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
        let by_variable = directive.word(0).contains('$');
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

/// What the path of a location becomes by `rewrite ^/api/(.*)$ /$1 break`, if that is what is written.
fn stripped(rewrite: &Directive, path: &str) -> Option<String> {
    let [pattern, target, flag] = rewrite.words.as_slice() else { return None };
    if flag != "break" {
        return None;
    }
    let pattern = pattern.strip_prefix('^')?;
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let mut target = target.strip_suffix("$1")?.to_owned();
    let mut prefix = if let Some(prefix) = pattern.strip_suffix("(/.*)") {
        target.push('/');
        format!("{prefix}/")
    } else {
        pattern.strip_suffix("(.*)")?.to_owned()
    };
    prefix = prefix.replace("\\.", ".");
    (prefix == path && legal(path).is_ok() && legal_replacement(&target).is_ok()).then_some(target)
}

/// Whether a route can have this path: weir looks for routes after it has brought a path into its normal form.
fn legal(path: &str) -> Result<(), &'static str> {
    let normal = !path.contains("//") && path.split('/').all(|segment| !matches!(segment, "." | ".."));
    match path {
        _ if !path.starts_with('/') => Err("weir's paths begin with `/`"),
        _ if !normal => Err("no request has such a path: slashes are merged, and dots resolved, before"),
        _ if path.contains(char::REPLACEMENT_CHARACTER) => Err("weir reads files as UTF-8, and this is none"),
        _ => Ok(()),
    }
}

fn legal_replacement(path: &str) -> Result<(), &'static str> {
    match path {
        _ if !path.starts_with('/') => Err("weir's paths begin with `/`"),
        _ if path.contains(['?', '#']) => Err("weir puts no query of its own into requests"),
        _ if path.contains('%') => Err("weir's `replace` is written without escapes here"),
        _ if !path.bytes().all(|byte| byte.is_ascii_graphic()) => Err("weir's paths are visible ASCII"),
        _ => Ok(()),
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
