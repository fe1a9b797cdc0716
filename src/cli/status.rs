//! `weir status`: everything on one screen.

use std::time::Duration;

use super::client::{Call, Client, Failure, explained};
use super::out::{Paint, print, visible};
use super::screen::Screen;
use super::shape::{Endpoint, Service, Source, Status};
use super::table::{Cell, Column, Look, render, shortened};
use super::words::{duration, span, state};
use super::{StatusArgs, escaped};

/// From one look to the next, with `--watch`.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks once, or again and again until Ctrl-C.
pub(super) async fn status(args: &StatusArgs, client: &Client, screen: &mut Screen) -> Result<(), Failure> {
    let first = look(args, client, screen.look()).await?;
    if !args.watch {
        print(&first);
        return Ok(());
    }
    let stopped = tokio::signal::ctrl_c();
    let mut stopped = std::pin::pin!(stopped);
    let mut ticks = tokio::time::interval(PAUSE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut frame = first;
    while screen.draw(&frame) {
        tokio::select! {
            _ = &mut stopped => break,
            _ = ticks.tick() => {}
        }
        // A weir that is started again is worth waiting for.
        frame = tokio::select! {
            _ = &mut stopped => break,
            frame = look(args, client, screen.look()) => frame.unwrap_or_else(|failure| explained(&failure) + "\n"),
        };
    }
    screen.leave();
    Ok(())
}

/// What is shown of one answer.
async fn look(args: &StatusArgs, client: &Client, look: Look) -> Result<String, Failure> {
    let query = args.service.as_deref().map_or_else(String::new, |name| format!("?service={}", escaped(name)));
    let answer = client.ask(Call::get(format!("/api/status{query}"))).await?;
    if args.remote.json {
        return Ok(answer.text() + "\n");
    }
    Ok(page(&answer.read(client.admin())?, &client.admin().to_string(), look))
}

const COLUMNS: [Column; 10] = [
    Column { title: "ENDPOINT", matters: 9, right: false },
    Column { title: "STATE", matters: 9, right: false },
    Column { title: "FOR", matters: 7, right: false },
    Column { title: "IN FLIGHT", matters: 8, right: true },
    Column { title: "PERMITS", matters: 5, right: true },
    Column { title: "LATENCY", matters: 4, right: true },
    Column { title: "WEIGHT", matters: 3, right: true },
    Column { title: "TIER", matters: 2, right: false },
    Column { title: "SOURCE", matters: 1, right: false },
    Column { title: "NOTE", matters: 6, right: false },
];

/// The whole page.
fn page(status: &Status, admin: &str, look: Look) -> String {
    let Status { version, revision, now_unix_seconds: now, uptime_seconds, readiness, .. } = status;
    let Status { configuration, listeners, services, .. } = status;
    let (word, paint) = match readiness.state.as_str() {
        "ready" => ("ready", Paint::Good),
        "degraded" => ("degraded", Paint::Doubtful),
        other => (other, Paint::Bad),
    };
    let up = span(*uptime_seconds);
    let plain = format!("weir {version} at {admin}: {word}, up {up}, revision {revision}");
    let mut page = cut(&plain, look).replacen(word, &paint.over(word, look.colours), 1) + "\n";
    for line in readiness.text.lines() {
        page += &(cut(&format!("  {line}"), look) + "\n");
    }
    if let Some(last) = configuration.reloads.first() {
        let ago = span(now - last.at_unix_seconds);
        let line = match last.result.as_str() {
            "rejected" => Some(format!("  the configuration was rejected {ago} ago: `weir reload` says why")),
            "failed" => Some(format!("  the reload broke {ago} ago, by a fault of weir's own: its log says more")),
            _ => None,
        };
        page.extend(line.map(|line| cut(&line, look) + "\n"));
    }
    for line in &configuration.pending {
        page += &(cut(&format!("  waits for a restart: {line}"), look) + "\n");
    }
    for listener in listeners {
        let (open, most) = (listener.open_connections, listener.max_connections);
        page += &(cut(&format!("listening on {}: {open} of {most} connections", listener.address), look) + "\n");
    }
    for service in services {
        page += "\n";
        page += &section(service, *now, look);
    }
    page
}

/// A service and its endpoints.
fn section(service: &Service, now: f64, look: Look) -> String {
    let Service { name, policy, all_ejected, queue, sources, endpoints } = service;
    let serving = |endpoint: &&Endpoint| !endpoint.drained && endpoint.state == "healthy";
    let healthy = endpoints.iter().filter(serving).count();
    let in_flight: u64 = endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
    let mut rest = format!(": {policy}, {healthy} of {} healthy, {in_flight} in flight", endpoints.len());
    if let Some(queue) = queue {
        rest.push_str(&[", ", &queue.waiting.to_string(), " of ", &queue.max.to_string(), " waiting"].concat());
    }
    if *all_ejected {
        rest += ", all ejected";
    }
    let shown = cut(&format!("{name}{rest}"), look);
    let mut section = shown.replacen(name.as_str(), &Paint::Strong.over(name, look.colours), 1) + "\n";
    for source in sources {
        for line in troubles(source, now) {
            section += &(Paint::Doubtful.over(&cut(&format!("  {line}"), look), look.colours) + "\n");
        }
    }
    // What is the same for all says nothing.
    let tiers = endpoints.iter().any(|endpoint| endpoint.tier != "primary");
    let several =
        endpoints.iter().any(|endpoint| Some(&endpoint.source) != endpoints.first().map(|first| &first.source));
    let weights = endpoints.iter().any(|endpoint| endpoint.weight != 1);
    let rows: Vec<[Cell; 10]> = endpoints
        .iter()
        .map(|endpoint| {
            let permits = endpoint.permits_out.zip(endpoint.capacity);
            [
                endpoint.address.as_str().into(),
                state(endpoint),
                endpoint.since_unix_seconds.map_or_else(Cell::default, |since| span(now - since).into()),
                endpoint.in_flight.to_string().into(),
                permits.map_or_else(Cell::default, |(out, all)| format!("{out}/{all}").into()),
                endpoint.latency_seconds.map_or_else(Cell::default, |latency| duration(latency).into()),
                only(weights, &endpoint.weight.to_string()),
                only(tiers, &endpoint.tier),
                only(several, &endpoint.source),
                note(endpoint, now).into(),
            ]
        })
        .collect();
    if rows.is_empty() { section + "  no endpoints\n" } else { section + &render(&COLUMNS, &rows, look) }
}

fn only(wanted: bool, text: &str) -> Cell {
    if wanted { text.into() } else { Cell::default() }
}

/// What is not as it should be with a source, a line for each.
fn troubles(source: &Source, now: f64) -> Vec<String> {
    let mut lines = Vec::new();
    if source.state != "answers" {
        let since = source.since_unix_seconds.map_or_else(String::new, |since| format!(" for {}", span(now - since)));
        let error = source.error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        lines.push(format!("{} is {}{since}{error}", source.name, source.state));
    }
    lines.extend(source.remarks.iter().map(|remark| format!("{}: {remark}", source.name)));
    lines
}

/// What is particular about an endpoint.
fn note(endpoint: &Endpoint, now: f64) -> String {
    let mut notes = Vec::new();
    if let Some(overridden) = &endpoint.overridden {
        let believed = &overridden.believed;
        if believed.drained != endpoint.drained {
            notes.push(if endpoint.drained { "drained by hand" } else { "undrained by hand" }.to_owned());
        }
        if believed.weight != endpoint.weight {
            notes.push(format!("weight {} by hand, else {}", endpoint.weight, believed.weight));
        }
    }
    if endpoint.state != "healthy" {
        if let Some(failure) = endpoint.failures.first() {
            let what = if failure.text.is_empty() { &failure.reason } else { &failure.text };
            notes.push(format!("{what} ({}, {} ago)", failure.by, span(now - failure.at_unix_seconds)));
        }
        if let Some(trial) = endpoint.trial_from_unix_seconds.filter(|trial| *trial > now && !endpoint.drained) {
            notes.push(format!("tried again in {}", span(trial - now)));
        }
    }
    notes.join("; ")
}

/// A line that fits.
fn cut(line: &str, look: Look) -> String {
    shortened(&visible(line), look.width.unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::reference::example;

    /// The documented status, at a moment of its own.
    fn document() -> Value {
        let mut status: Value = serde_json::from_str(example("curl -s http://127.0.0.1:9090/api/status\n")).unwrap();
        status["now_unix_seconds"] = 1000.0.into();
        status["uptime_seconds"] = 65.2.into();
        let broken = &mut status["services"][0]["endpoints"][1];
        broken["since_unix_seconds"] = 990.0.into();
        broken["trial_from_unix_seconds"] = 1018.5.into();
        broken["failures"][0]["at_unix_seconds"] = 997.0.into();
        status
    }

    fn shown(width: Option<usize>) -> String {
        let status: Status = serde_json::from_value(document()).unwrap();
        page(&status, "127.0.0.1:9090", Look { width, colours: false })
    }

    #[test]
    fn the_documented_status_is_a_page_that_says_what_matters() {
        let expected = "\
weir 0.1.0 at 127.0.0.1:9090: ready, up 1m 5s, revision 1
listening on 127.0.0.1:8080: 0 of 10000 connections

photos: consistent-hash, 1 of 2 healthy, 0 in flight, 0 of 1024 waiting
  ENDPOINT        STATE    FOR  IN FLIGHT  PERMITS  NOTE
  127.0.0.1:3001  healthy               0      0/2
  127.0.0.1:3002  ejected  10s          0      0/2  no connection (exchange, 3s ago); tried again in 18s
";
        assert_eq!(shown(None), expected);
    }

    #[test]
    fn no_line_is_longer_than_the_terminal_is_wide() {
        for width in 20..120 {
            let page = shown(Some(width));
            assert!(page.lines().all(|line| line.chars().count() <= width), "{width}:\n{page}");
            assert!(width < 40 || page.contains("127.0.0.1:3002  ejected"), "{width}:\n{page}");
        }
    }

    #[test]
    fn what_an_operator_said_and_what_a_source_suffers_from_is_shown() {
        let mut status = document();
        let service = &mut status["services"][0];
        service["sources"] = json!([{
            "source": "consul shop", "state": "failing", "since_unix_seconds": 940.0, "error": "no \u{1b}[2Jleader",
            "remarks": ["one is odd"]
        }]);
        service["endpoints"][0]["drained"] = true.into();
        let believed = json!({ "drained": false, "weight": 3 });
        service["endpoints"][0]["override"] = json!({ "drained": true, "weight": 1, "believed": believed });
        status["configuration"] = json!({
            "pending": ["[server] threads 0 -> 3"], "reloads": [{ "at_unix_seconds": 880.0, "result": "rejected" }]
        });
        let page = page(&serde_json::from_value(status).unwrap(), "a:1", Look::default());
        for line in [
            "  the configuration was rejected 2m ago: `weir reload` says why\n",
            "  waits for a restart: [server] threads 0 -> 3\n",
            "  consul shop is failing for 1m: no \u{fffd}[2Jleader\n  consul shop: one is odd\n",
            "3001  drained",
            "drained by hand; weight 1 by hand, else 3\n",
        ] {
            assert!(page.contains(line), "{line}: {page}");
        }
    }
}
