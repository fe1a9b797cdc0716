//! `weir explain`: where a request would go, and why there.

use super::client::{Call, Client, Failure};
use super::out::{Paint, print, say, visible};
use super::screen::Screen;
use super::shape::{Exchange, Explained, Here};
use super::table::{Cell, Column, Look, render};
use super::words::{duration, span, state};
use super::{ExplainArgs, escaped};

pub(super) async fn explain(args: &ExplainArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let mut query: Vec<(&str, String)> = Vec::new();
    let given = [("url", &args.url), ("id", &args.id), ("method", &args.method)];
    query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
    query.extend(args.client.map(|client| ("client", client.to_string())));
    query.extend(args.listener.map(|listener| ("listener", listener.to_string())));
    query.extend(args.length.map(|length| ("length", length.to_string())));
    query.extend(args.header.iter().map(|header| ("header", header.clone())));
    let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let answer = client.ask(Call::get(format!("/api/explain?{}", query.join("&")))).await?;
    if args.remote.json {
        say(&answer.text());
        return Ok(());
    }
    print(&page(&answer.read(client.admin())?, screen.look()));
    Ok(())
}

const COLUMNS: [Column; 7] = [
    Column { title: "", matters: 9, right: false },
    Column { title: "ENDPOINT", matters: 9, right: false },
    Column { title: "STATE", matters: 7, right: false },
    Column { title: "IN FLIGHT", matters: 6, right: true },
    Column { title: "PERMITS", matters: 5, right: true },
    Column { title: "WEIGHT", matters: 4, right: true },
    Column { title: "MAY HAVE IT", matters: 8, right: false },
];

/// The whole explanation.
fn page(explained: &Explained, look: Look) -> String {
    let Explained { now_unix_seconds: now, recorded, here, elsewhere } = explained;
    let then = recorded.as_ref().map(|exchange| line("then", &then(exchange, *now), look));
    let mut page = then.unwrap_or_default();
    for one in std::iter::once(here).chain(elsewhere) {
        if !elsewhere.is_empty() {
            if !page.is_empty() {
                page.push('\n');
            }
            page.push_str(&line("listener", &one.listeners.join(", "), look));
        }
        page.push_str(&at(one, look));
    }
    page
}

/// What would become of it at some listeners.
fn at(here: &Here, look: Look) -> String {
    let Here { host, path, client, route, service, policy, key, queue, candidates, outcome, .. } = here;
    let mut lines: Vec<(&str, String)> = Vec::new();
    let whom = host.as_deref().unwrap_or("(no host)");
    lines.push(("request", format!("{whom}{} from {client}", path.as_deref().unwrap_or(" (no path)"))));
    match route {
        Some(route) => lines.push(("route", format!("{}: {}", route.name, route.why))),
        None => lines.push(("route", "none".to_owned())),
    }
    if let Some(service) = service {
        lines.push(("service", format!("{service}, {}", policy.as_deref().unwrap_or("policy unknown"))));
    }
    if let Some(key) = key {
        let hash = key
            .hash
            .as_ref()
            .map_or_else(|| "which the request does not have".to_owned(), |hash| format!("hash {hash}"));
        lines.push(("key", format!("{}, {hash}", key.source)));
    }
    if let Some(queue) = queue {
        let work =
            queue.work_seconds.map_or_else(String::new, |work| format!(", its work is taken for {}", duration(work)));
        lines.push(("queue", format!("{} of {} waiting{work}", queue.waiting, queue.max)));
    }
    let mut page: String = lines.iter().map(|(name, text)| line(name, text, look)).collect();
    let rows: Vec<[Cell; 7]> = candidates
        .iter()
        .map(|candidate| {
            let endpoint = &candidate.endpoint;
            let permits = endpoint.permits_out.zip(endpoint.capacity);
            [
                Cell::painted(if candidate.chosen { ">" } else { "" }, Paint::Strong),
                endpoint.address.as_str().into(),
                state(endpoint),
                endpoint.in_flight.to_string().into(),
                permits.map_or_else(Cell::default, |(out, all)| format!("{out}/{all}").into()),
                endpoint.weight.to_string().into(),
                candidate.why.as_str().into(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        page.extend(["\n", &render(&COLUMNS, &rows, look), "\n"]);
    }
    let what = match (&outcome.endpoint, outcome.status) {
        (Some(endpoint), _) => format!("{endpoint}, {}", outcome.why),
        (None, Some(status)) if outcome.what == "answered" => format!("{status}: {}", outcome.why),
        (None, Some(status)) => {
            format!("refused with {status} ({}): {}", outcome.reason.as_deref().unwrap_or("no reason"), outcome.why)
        }
        (None, None) => format!("{}: {}", outcome.what, outcome.why),
    };
    page + &line("outcome", &what, look)
}

/// A name and what it is; the words are what was asked for, so that they are never cut.
fn line(name: &str, text: &str, look: Look) -> String {
    let name = format!("{name:<9}");
    format!("{}{}\n", Paint::Faint.over(&name, look.colours), visible(text))
}

/// What became of an exchange.
fn then(exchange: &Exchange, now: f64) -> String {
    let tries: Vec<String> = exchange.tries.iter().map(|it| format!("{} {}", it.endpoint, it.outcome)).collect();
    let tries = if tries.is_empty() { "no endpoint tried".to_owned() } else { tries.join(", then ") };
    let refusal = exchange.refusal.as_ref().map_or_else(String::new, |refusal| format!(" ({refusal})"));
    let queued = exchange.queue_seconds.filter(|queued| *queued >= 0.001);
    let queued = queued.map_or_else(String::new, |queued| format!(", {} of it in the queue", duration(queued)));
    let ago = span(now - exchange.arrived_unix_seconds);
    let took = duration(exchange.total_seconds);
    format!("{ago} ago {}{refusal} after {took}{queued}: {tries}", exchange.status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_explanation_reads_as_one() {
        let text = crate::cli::reference::example("/api/explain?id=my-request'");
        let page = page(&serde_json::from_str(text).unwrap(), Look::default());
        for line in [
            "request  127.0.0.1:8080/cat.jpg from 127.0.0.1\n",
            "service  photos, consistent-hash\n",
            "key      path, hash ",
            "queue    0 of 1024 waiting\n",
            "     ENDPOINT        STATE    IN FLIGHT  PERMITS  WEIGHT  MAY HAVE IT\n",
            "  >  127.0.0.1:3001  healthy          0      0/2       1  yes\n",
            "     127.0.0.1:3002  ejected          0      0/2       1  no: it is ejected\n",
            "outcome  127.0.0.1:3001, the key's own endpoint: it comes first after the key on the ring\n",
        ] {
            assert!(page.contains(line), "{line}: {page}");
        }
        let first = page.lines().next().unwrap();
        assert!(first.starts_with("then     ") && first.ends_with(": 127.0.0.1:3001 answered"), "{page}");
        assert!(first.contains(" ago 404 after "), "{page}");
    }
}
