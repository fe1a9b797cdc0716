//! A configuration written out whole, with everything that it leaves to its defaults.

use super::{REGISTER, listener, register, route, server, service};
use weir_snapshot::ListenerSettings;

use crate::raw::Page;
use crate::{Config, Route, Service};

const INTRODUCTION: &str = "\
# All that holds, what was left to its default included. `# default` marks what need not be written, `# key: ...` what is
# not set and what holds instead.
";

/// TOML that reads as `config`.
pub(crate) fn print(config: &Config) -> String {
    let Config { server, admin, log, discovery, register, listeners, routes, services } = config;
    let mut page = Page::new(INTRODUCTION);
    if register.is_none() {
        page.no_table(&REGISTER);
    }
    server::print_server(server, &mut page);
    server::print_admin(admin, &mut page);
    server::print_log(log, &mut page);
    server::print_discovery(discovery, &mut page);
    if let Some(register) = register {
        register::print(register, &mut page);
    }
    for listener in listeners {
        listener::print(listener, &mut page);
    }
    for route in routes {
        route::print(route, services, server.body_memory, &mut page);
    }
    for service in services {
        service::print(service, &mut page);
    }
    page.into_text()
}

/// `[server]`, `[admin]`, `[log]`, `[discovery]` and `[register]` alone.
pub(crate) fn print_process(config: &Config) -> String {
    let Config { server, admin, log, discovery, register, .. } = config;
    let mut page = Page::new("");
    server::print_server(server, &mut page);
    server::print_admin(admin, &mut page);
    server::print_log(log, &mut page);
    server::print_discovery(discovery, &mut page);
    if let Some(register) = register {
        register::print(register, &mut page);
    }
    page.into_text()
}

/// One `[[listener]]`.
pub(crate) fn print_listener(listener: &ListenerSettings) -> String {
    let mut page = Page::new("");
    listener::print(listener, &mut page);
    page.into_text()
}

/// One `[[route]]` of this configuration.
pub(crate) fn print_route(route: &Route, config: &Config) -> String {
    let mut page = Page::new("");
    route::print(route, &config.services, config.server.body_memory, &mut page);
    page.into_text()
}

/// One `[[service]]`.
pub(crate) fn print_service(service: &Service) -> String {
    let mut page = Page::new("");
    service::print(service, &mut page);
    page.into_text()
}
