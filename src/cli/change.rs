//! `weir drain`, `undrain`, `weight`, `eject`, `restore` and `overrides`.

use hyper::Method;

use super::client::{Call, Client, Failure};
use super::out::{print, say, visible};
use super::screen::Screen;
use super::shape::{Changed, Overrides, Said};
use super::table::{Cell, Column, render};
use super::{EndpointArgs, OverridesArgs, escaped};

/// Carries out `action` on an endpoint; `body` is JSON.
pub(super) async fn change(
    action: &str,
    body: Option<String>,
    args: &EndpointArgs,
    client: &Client,
) -> Result<(), Failure> {
    let (service, address) = (escaped(&args.service), escaped(&args.address.to_string()));
    let call = Call::change(Method::POST, format!("/api/services/{service}/endpoints/{address}/{action}"));
    let call = Call { body: body.or(call.body), ..call };
    let answer = client.ask(call).await?;
    if args.remote.json {
        say(&answer.text());
        return Ok(());
    }
    let Changed { service, address, is_new, serving, drained, weight, state, note } = answer.read(client.admin())?;
    let drained = drained.map_or("", |drained| if drained { "drained, " } else { "not drained, " });
    let weight = weight.map_or_else(String::new, |weight| format!("weight {weight}, "));
    let before = if is_new { "" } else { ", as it was before" };
    say(&visible(&format!("{address} of {service}: {drained}{weight}{}{before}", state.replace('_', " "))));
    let plural = if serving == 1 { "endpoint" } else { "endpoints" };
    say(&visible(&format!("{serving} {plural} of {service} not drained")));
    if let Some(note) = note {
        say(&visible(&note));
    }
    Ok(())
}

const COLUMNS: [Column; 5] = [
    Column { title: "SERVICE", matters: 9, right: false },
    Column { title: "ENDPOINT", matters: 9, right: false },
    Column { title: "DRAIN", matters: 8, right: false },
    Column { title: "WEIGHT", matters: 8, right: true },
    Column { title: "NOTE", matters: 1, right: false },
];

/// Lists what operators have said, or takes it back.
pub(super) async fn overrides(args: &OverridesArgs, client: &Client, screen: &Screen) -> Result<(), Failure> {
    let call = match &args.clear {
        None => Call::get("/api/overrides"),
        Some(of) => {
            let query: Vec<String> = ["service", "address"]
                .into_iter()
                .zip(of)
                .map(|(name, value)| format!("{name}={}", escaped(value)))
                .collect();
            let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            Call::change(Method::DELETE, format!("/api/overrides{query}"))
        }
    };
    let answer = client.ask(call).await?;
    if args.remote.json {
        say(&answer.text());
        return Ok(());
    }
    let Overrides { overrides } = answer.read(client.admin())?;
    if overrides.is_empty() {
        say(if args.clear.is_some() { "no overrides are left" } else { "no overrides" });
        return Ok(());
    }
    let rows: Vec<[Cell; 5]> = overrides
        .iter()
        .map(|Said { service, address, drain, weight, present }| {
            [
                service.into(),
                address.into(),
                drain.map_or("", |drain| if drain { "yes" } else { "no" }).into(),
                weight.map_or_else(String::new, |weight| weight.to_string()).into(),
                if *present { "" } else { "not there now; holds once it returns" }.into(),
            ]
        })
        .collect();
    print(&render(&COLUMNS, &rows, screen.look()));
    Ok(())
}
