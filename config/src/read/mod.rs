//! TOML tables to settings, one file per table of the text.

mod check;
mod edits;
mod endpoints;
mod health;
mod listener;
mod log;
mod print;
mod queue;
mod register;
mod route;
mod server;
mod service;
mod source;

use weir_snapshot::Millis;

pub(crate) use print::{print, print_listener, print_process, print_route, print_service};

use crate::raw::{Document, Section, Spec, Tables};
use crate::sink::{Fault, Reported, Sink};
use crate::{Config, Endpoint};

/// Every table that there can be, in the order of the reference page.
pub(crate) static SPECS: &[&Spec] = &[
    &FILE,
    &server::SERVER,
    &server::ADMIN,
    &log::LOG,
    &server::DISCOVERY,
    &register::REGISTER,
    &listener::LISTENER,
    &route::ROUTE,
    &route::BODY,
    &route::TIMEOUT,
    &route::RETRY,
    &edits::HEADERS,
    &edits::ANSWER_HEADERS,
    &edits::ANSWER,
    &service::SERVICE,
    &endpoints::ENDPOINT,
    &source::CONSUL,
    &source::DNS,
    &source::FILE,
    &service::HASH,
    &service::IP_PREFIX,
    &health::HEALTH,
    &queue::QUEUE,
];

/// The longest that any pause may be configured to last; more is a slip of the unit.
const ONE_DAY: Millis = Millis::from_secs(86_400);
/// The shortest timeout; zero would refuse everything.
const SHORTEST: Millis = Millis::new(1);

static FILE: Spec = Spec {
    header: "",
    keys: &[&SERVER, &ADMIN, &LOG, &DISCOVERY, &REGISTER, &LISTENERS, &ROUTES, &SERVICES],
    later: &[],
    example: "[[listener]]",
    about: "Only a listener, a route and a service are required.",
};

static SERVER: Tables = Tables {
    name: "server",
    spec: &server::SERVER,
    shape: "table",
    default: "all defaults",
    meaning: "The process: threads, memory, shutdown.",
};
static ADMIN: Tables = Tables {
    name: "admin",
    spec: &server::ADMIN,
    shape: "table",
    default: "all defaults",
    meaning: "Where metrics and health are served.",
};
static LOG: Tables = Tables {
    name: "log",
    spec: &log::LOG,
    shape: "table",
    default: "all defaults",
    meaning: "What is logged, and where to.",
};
static DISCOVERY: Tables = Tables {
    name: "discovery",
    spec: &server::DISCOVERY,
    shape: "table",
    default: "all defaults",
    meaning: "What the sources of endpoints have in common.",
};
static REGISTER: Tables = Tables {
    name: "register",
    spec: &register::REGISTER,
    shape: "table",
    default: "it is not registered",
    meaning: "This weir as an instance of a service in Consul.",
};
static LISTENERS: Tables = Tables {
    name: "listener",
    spec: &listener::LISTENER,
    shape: "list of tables",
    default: "required",
    meaning: "Where clients connect; at least one.",
};
static ROUTES: Tables = Tables {
    name: "route",
    spec: &route::ROUTE,
    shape: "list of tables",
    default: "required",
    meaning: "Which requests go to which service; at least one. The most specific host wins, then the longest path.",
};
static SERVICES: Tables = Tables {
    name: "service",
    spec: &service::SERVICE,
    shape: "list of tables",
    default: "required",
    meaning: "Groups of endpoints that can stand in for one another; at least one.",
};

/// Reads the whole text; `Err` holds everything that is wrong with it.
pub(crate) fn read(text: &str) -> Result<Config, Vec<crate::Problem>> {
    let mut room = String::new();
    let document = Document::parse(text, &mut room);
    let mut sink = Sink::default();
    let config = read_tables(&document, text, &mut sink);
    let problems = document.problems(sink.into_list());
    match config {
        Ok(config) if problems.is_empty() => Ok(config),
        // Every `Reported` has its reason in the sink, but a reason may be withheld for the sake of a syntax error.
        _ => Err(problems),
    }
}

/// Reads a file of endpoints; `Err` holds everything that is wrong with it.
pub(crate) fn read_endpoints(text: &str) -> Result<Vec<Endpoint>, Vec<crate::Problem>> {
    let mut room = String::new();
    let document = Document::parse(text, &mut room);
    let mut sink = Sink::default();
    let list = endpoints::read_file(document.root.get_ref(), text, &mut sink);
    let problems = document.problems(sink.into_list());
    match list {
        Ok(list) if problems.is_empty() => Ok(list),
        _ => Err(problems),
    }
}

fn read_tables(document: &Document<'_>, text: &str, sink: &mut Sink) -> Result<Config, Reported> {
    let file = Section::root(document.root.get_ref(), text.len(), &FILE, sink);
    let server = file.table(&SERVER, sink).and_then(|section| server::read_server(&section, sink));
    let admin = file.table(&ADMIN, sink).and_then(|section| server::read_admin(&section, sink));
    let log = file.table(&LOG, sink).and_then(|section| log::read_log(&section, sink));
    let discovery = file.table(&DISCOVERY, sink).and_then(|section| server::read_discovery(&section, sink));
    let register =
        file.has(REGISTER.name).then(|| file.table(&REGISTER, sink).and_then(|section| register::read(&section, sink)));
    let listeners = listener::read_all(&file.tables(&LISTENERS, sink), sink);
    let services = service::read_all(&file.tables(&SERVICES, sink), text, sink);
    let memory = server.as_ref().ok().map(|server| server.body_memory);
    let routes = route::read_all(&file.tables(&ROUTES, sink), (&services, &listeners), memory, sink);
    for (tables, example) in
        [(&LISTENERS, "address = \"0.0.0.0:8080\""), (&ROUTES, "service = \"…\""), (&SERVICES, "name = \"…\"")]
    {
        if !file.has(tables.name) && !file.is_misspelt(tables.name) {
            let fault = Fault::new(format!("there is no {}", tables.name), "the file ends without one");
            sink.missing(text.len()..text.len(), fault.help(format!("add `[[{}]]` with `{example}`", tables.name)));
        }
    }
    check::addresses(&listeners, admin.as_ref().ok(), &services, text, sink);
    check::names(&services, text, sink);
    check::routes(&routes, text, sink);
    Ok(Config {
        server: server?,
        admin: admin?.value,
        log: log?,
        discovery: discovery?,
        register: register.transpose()?,
        listeners: all(listeners.into_iter().map(|listener| listener.settings))?,
        services: all(services.into_iter().map(|service| service.settings))?,
        routes: all(routes.into_iter().map(|route| route.settings))?,
    })
}

fn all<T>(read: impl Iterator<Item = Result<T, Reported>>) -> Result<Vec<T>, Reported> {
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Opens the table `header`, with whatever must be open around it.
    fn opening(header: &str) -> String {
        let outer = ["route", "service"].into_iter().find(|outer| header.contains(&format!("[{outer}.")));
        outer.map_or_else(|| format!("{header}\n"), |outer| format!("[[{outer}]]\n{header}\n"))
    }

    #[test]
    fn no_key_takes_a_date() {
        for spec in SPECS {
            for key in spec.keys {
                let mut text = opening(spec.header);
                text.push_str(key.name());
                text.push_str(" = ");
                let span = text.len()..text.len() + "1979-05-27".len();
                text.push_str("1979-05-27\n");
                let problems = read(&text).expect_err("most is missing");
                let found = problems.iter().any(|problem| problem.span == span);
                assert!(found, "`{}` of {} is never read", key.name(), spec.title());
            }
        }
    }

    #[test]
    fn no_key_is_both_known_and_planned_or_described_twice() {
        for spec in SPECS {
            let names: Vec<_> = spec.names().collect();
            for (index, name) in names.iter().enumerate() {
                assert!(spec.later.iter().all(|(later, _)| later != name), "{name}");
                assert!(!names.iter().skip(index + 1).any(|other| other == name), "{name}");
            }
        }
    }
}
