//! `weir recent`: the newest exchanges.

use super::client::{Call, Client, Failure};
use super::out::{print, say};
use super::screen::Screen;
use super::shape::{Exchange, Recent};
use super::table::{Cell, Column, Look, render};
use super::words::{duration, paint_of, span};
use super::{RecentArgs, escaped};

pub(super) async fn recent(args: &RecentArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let mut query = vec![format!("limit={}", args.limit)];
    query.extend(args.service.iter().map(|service| format!("service={}", escaped(service))));
    query.extend(args.endpoint.iter().map(|endpoint| format!("endpoint={}", escaped(&endpoint.to_string()))));
    query.extend(args.status.iter().map(|status| format!("status={status}")));
    let answer = client.ask(Call::get(format!("/api/recent?{}", query.join("&")))).await?;
    if args.remote.json {
        say(&answer.text());
        return Ok(());
    }
    print(&page(&answer.read(client.admin())?, screen.look()));
    Ok(())
}

const COLUMNS: [Column; 8] = [
    Column { title: "AGO", matters: 7, right: true },
    Column { title: "STATUS", matters: 9, right: false },
    Column { title: "TOOK", matters: 8, right: true },
    Column { title: "METHOD", matters: 5, right: false },
    Column { title: "REQUEST", matters: 9, right: false },
    Column { title: "SERVICE", matters: 2, right: false },
    Column { title: "TRIED", matters: 6, right: false },
    Column { title: "ID", matters: 3, right: false },
];

fn page(recent: &Recent, look: Look) -> String {
    let Recent { now_unix_seconds: now, kept, exchanges } = recent;
    if exchanges.is_empty() {
        return match kept {
            0 => "none are kept: `recent` in `[admin]` says how many\n".to_owned(),
            _ => "no exchanges\n".to_owned(),
        };
    }
    let rows: Vec<[Cell; 8]> = exchanges.iter().map(|exchange| row(exchange, *now)).collect();
    render(&COLUMNS, &rows, look)
}

fn row(exchange: &Exchange, now: f64) -> [Cell; 8] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let why = exchange.refusal.as_ref().map_or_else(String::new, |refusal| format!(" {refusal}"));
    let cut = if exchange.cut { " cut" } else { "" };
    let status = match exchange.status {
        0 => format!("none{why}"),
        499 => "499 client left".to_owned(),
        status => format!("{status}{why}{cut}"),
    };
    let tries: Vec<String> = exchange
        .tries
        .iter()
        .map(
            |it| if it.outcome == "answered" { it.endpoint.clone() } else { format!("{} {}", it.endpoint, it.outcome) },
        )
        .collect();
    let whom = exchange.host.clone().unwrap_or_default();
    [
        span(now - exchange.arrived_unix_seconds).into(),
        Cell::painted(status, paint_of(exchange.status)),
        duration(exchange.total_seconds).into(),
        or_dash(&exchange.method).into(),
        format!("{whom}{}", or_dash(&exchange.path)).into(),
        or_dash(&exchange.service).into(),
        tries.join(", ").into(),
        or_dash(&exchange.id).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_exchange_is_a_line() {
        let text = crate::cli::reference::example("/api/recent?limit=1'");
        let mut recent: Recent = serde_json::from_str(text).unwrap();
        recent.now_unix_seconds = recent.exchanges[0].arrived_unix_seconds + 61.0;
        recent.exchanges[0].total_seconds = 0.000_479;
        let expected = "    AGO  STATUS   TOOK  METHOD  REQUEST                 SERVICE  TRIED           ID\n\
                        \x20 1m 1s  404     0.5ms  GET     127.0.0.1:8080/cat.jpg  photos   127.0.0.1:3001  my-request\n";
        assert_eq!(page(&recent, Look::default()), expected);
    }

    #[test]
    fn none_is_said_in_words() {
        let page = |kept: u64| page(&Recent { now_unix_seconds: 0.0, kept, exchanges: Vec::new() }, Look::default());
        assert!(page(0).contains("`recent` in `[admin]`") && page(7).contains("no exchanges"));
    }
}
