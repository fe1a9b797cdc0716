//! What must hold between tables: no two of one kind in one place, no circle.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::listener::ListenerRead;
use super::route::{Matches, RouteRead};
use super::server::AdminRead;
use super::service::ServiceRead;
use crate::raw::line_of;
use crate::sink::{Fault, Sink};

/// No two sockets bound to one address, and no endpoint that is weir itself.
pub(super) fn addresses(
    listeners: &[ListenerRead],
    admin: Option<&AdminRead>,
    services: &[ServiceRead],
    text: &str,
    sink: &mut Sink,
) {
    for (index, listener) in listeners.iter().enumerate() {
        let Some(address) = listener.address else { continue };
        let twin = listeners.iter().take(index).find_map(|other| {
            other.address.filter(|other| collide(*other, address)).map(|address| (address, other.address_span.start))
        });
        if let Some((other, at)) = twin {
            let message = if other == address {
                format!("two listeners have the address `{address}`")
            } else {
                format!("the listeners `{other}` and `{address}` cannot both be bound")
            };
            let fault = Fault::new(message, "taken already");
            let help = format!("line {} has `{other}`; leave one of the two out", line_of(text, at));
            sink.wrong(listener.address_span.clone(), fault.help(help));
        }
        let Some(admin) = admin.filter(|admin| collide(admin.value.listen, address)) else { continue };
        let fault = Fault::new("a listener and `[admin]` cannot have the same address", "taken already");
        if admin.is_written {
            let line = line_of(text, listener.address_span.start);
            sink.wrong(
                admin.span.clone(),
                fault.help(format!("line {line} has listener `{address}`; write another port")),
            );
        } else {
            let help = format!("write another port, or another than `{}` as `listen` in `[admin]`", admin.value.listen);
            sink.wrong(listener.address_span.clone(), fault.help(help));
        }
    }
    for (address, span) in services.iter().flat_map(|service| &service.addresses) {
        if let Some(listener) =
            listeners.iter().filter_map(|listener| listener.address).find(|it| leads_to(*address, *it))
        {
            let fault = Fault::new("an endpoint cannot be weir itself", "requests would go round in a circle");
            sink.wrong(span.clone(), fault.help(format!("`{listener}` is a listener; write another port")));
        }
    }
}

/// Whether the two cannot be bound at once. Port 0 never collides, and the two families never do.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    one.port() != 0
        && one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (a == b || a.is_unspecified() || b.is_unspecified())
}

/// Whether a connection to `endpoint` surely reaches `listener`.
fn leads_to(endpoint: SocketAddr, listener: SocketAddr) -> bool {
    endpoint == listener
        || collide(endpoint, listener) && listener.ip().is_unspecified() && endpoint.ip().is_loopback()
        || collide(endpoint, listener) && endpoint.ip().is_unspecified() && listener.ip().is_loopback()
}

/// No two services of one name.
pub(super) fn names(services: &[ServiceRead], text: &str, sink: &mut Sink) {
    let mut first: HashMap<&str, usize> = HashMap::new();
    for service in services {
        let Some(name) = service.name.as_deref() else { continue };
        if let Some(at) = first.get(name) {
            let fault = Fault::new(format!("two services are called `{name}`"), "taken already");
            let help = format!("line {} has the first; write another name", line_of(text, *at));
            sink.wrong(service.name_span.clone(), fault.help(help));
        } else {
            first.insert(name, service.name_span.start);
        }
    }
}

/// No two routes of one host, path and listener.
pub(super) fn routes(routes: &[RouteRead], text: &str, sink: &mut Sink) {
    let mut first: HashMap<(&Matches, Option<SocketAddr>), usize> = HashMap::new();
    let mut bare: Vec<(Matches, &RouteRead, &Matches)> = Vec::new();
    for route in routes {
        let Some(matches) = &route.matches else { continue };
        bare.push((Matches { listeners: Box::default(), ..matches.clone() }, route, matches));
    }
    for (bare, route, matches) in &bare {
        let listeners: Vec<Option<SocketAddr>> = match &*matches.listeners {
            [] => vec![None],
            some => some.iter().copied().map(Some).collect(),
        };
        for listener in listeners {
            let Some(at) = first.insert((bare, listener), route.span.start) else { continue };
            let Matches { host, path, exact, .. } = bare;
            let whose = host.as_deref().map_or_else(|| "any host".to_owned(), |host| format!("host `{host}`"));
            let exact = if *exact { "exact path" } else { "path" };
            let message = format!("two routes have {whose} and {exact} `{path}`");
            let fault = Fault::new(message, "would never be used");
            let help = format!("line {} has the first; write another `path` or `host`", line_of(text, at));
            sink.wrong(route.span.clone(), fault.help(help));
            first.insert((bare, listener), at);
            break;
        }
    }
}
