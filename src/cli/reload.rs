//! `weir reload`: has a running weir read its configuration again, and waits for what comes of it.

use std::time::Duration;

use hyper::{Method, StatusCode};

use super::ReloadArgs;
use super::client::{Call, Client, Failure};
use super::out::{complain, say, visible};
use super::shape::{Rejected, Reloaded};

/// Reading, checking and new sources' first answers.
const DEADLINE: Duration = Duration::from_mins(2);

pub(super) async fn reload(args: &ReloadArgs, client: &Client) -> Result<(), Failure> {
    let call = Call { deadline: DEADLINE, ..Call::change(Method::POST, "/api/reload") };
    let answer = match client.ask(call).await {
        Err(Failure::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, error, answer, .. }) => {
            let Rejected { problems } = answer.read(client.admin())?;
            if args.remote.json {
                say(&answer.text());
            }
            complain(&harmless(&problems));
            let help = "mend that, then reload again; `weir check FILE` says the same without touching what runs";
            return Err(Failure::Refused {
                status: StatusCode::UNPROCESSABLE_ENTITY,
                error,
                help: help.into(),
                answer,
            });
        }
        answered => answered?,
    };
    if args.remote.json {
        say(&answer.text());
        return Ok(());
    }
    let Reloaded { result, revision, changes, pending, unanswered } = answer.read(client.admin())?;
    say(&visible(&format!("{result}, revision {revision}")));
    let lists = [("", changes), ("waits for a restart: ", pending), ("has not answered yet: ", unanswered)];
    for (before, list) in lists {
        for line in list {
            say(&visible(&format!("  {before}{line}")));
        }
    }
    Ok(())
}

/// Every line without control characters.
fn harmless(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}
