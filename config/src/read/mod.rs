//! TOML tables to settings, one file per table of the text.

mod check;
mod health;
mod listener;
mod route;
mod server;
mod service;

use weir_snapshot::Millis;

use crate::Config;
use crate::raw::{Document, Section, Spec, Tables};
use crate::sink::{Fault, Reported, Sink};

/// Every table that there can be, in the order of the reference page.
pub(crate) static SPECS: &[&Spec] = &[
    &FILE,
    &server::SERVER,
    &server::ADMIN,
    &server::LOG,
    &listener::LISTENER,
    &route::ROUTE,
    &route::BODY,
    &route::TIMEOUT,
    &route::RETRY,
    &service::SERVICE,
    &service::ENDPOINT,
    &service::HASH,
    &service::IP_PREFIX,
    &health::HEALTH,
];

/// The longest that any pause may be configured to last; more is a slip of the unit.
const ONE_DAY: Millis = Millis::from_secs(86_400);
/// The shortest timeout; zero would refuse everything.
const SHORTEST: Millis = Millis::new(1);

static FILE: Spec = Spec {
    header: "",
    keys: &[&SERVER, &ADMIN, &LOG, &LISTENERS, &ROUTES, &SERVICES],
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
    spec: &server::LOG,
    shape: "table",
    default: "all defaults",
    meaning: "What is logged, and where to.",
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
    let document = Document::parse(text);
    let mut sink = Sink::default();
    let config = read_tables(&document, text, &mut sink);
    let problems = document.problems(sink.into_list());
    match config {
        Ok(config) if problems.is_empty() => Ok(config),
        // Every `Reported` has its reason in the sink, but a reason may be withheld for the sake of a syntax error.
        _ => Err(problems),
    }
}

fn read_tables(document: &Document<'_>, text: &str, sink: &mut Sink) -> Result<Config, Reported> {
    let file = Section::root(document.root.get_ref(), text.len(), &FILE, sink);
    let server = file.table(&SERVER, sink).and_then(|section| server::read_server(&section, sink));
    let admin = file.table(&ADMIN, sink).and_then(|section| server::read_admin(&section, sink));
    let log = file.table(&LOG, sink).and_then(|section| server::read_log(&section, sink));
    let listeners = listener::read_all(&file.tables(&LISTENERS, sink), sink);
    let services = service::read_all(&file.tables(&SERVICES, sink), text, sink);
    let memory = server.as_ref().ok().map(|server| server.body_memory);
    let routes = route::read_all(&file.tables(&ROUTES, sink), &services, memory, sink);
    for (tables, example) in
        [(&LISTENERS, "address = \"0.0.0.0:8080\""), (&ROUTES, "service = \"…\""), (&SERVICES, "name = \"…\"")]
    {
        if !file.has(tables.name) {
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
        listeners: all(listeners.into_iter().map(|listener| listener.settings))?,
        services: all(services.into_iter().map(|service| service.settings))?,
        routes: all(routes.into_iter().map(|route| route.settings))?,
    })
}

fn all<T>(read: impl Iterator<Item = Result<T, Reported>>) -> Result<Vec<T>, Reported> {
    read.collect()
}
