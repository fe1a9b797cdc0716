//! `POST /api/reload`, and the reloads that were.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Admin;
use super::actions::{body, nothing};
use super::answer::{Mistake, json};
use super::guard;
use super::times::unix;
use crate::reload::{Entry, Outcome, Reloader, Trigger};

/// How the configuration stands.
#[derive(Serialize)]
pub(crate) struct Configuration {
    /// What does not hold before weir is started again, a line each.
    pending: Vec<String>,
    /// The newest, newest first.
    reloads: Vec<Was>,
}

/// A reload that was.
#[derive(Serialize)]
struct Was {
    at_unix_seconds: f64,
    /// `file`, `signal` or `admin`.
    trigger: &'static str,
    /// `applied`, `unchanged` or `rejected`.
    result: &'static str,
    revision: u64,
    changes: Vec<String>,
    problems: Option<String>,
}

/// What a reload has come to.
#[derive(Serialize)]
struct Reloaded {
    result: &'static str,
    revision: u64,
    /// What is different, a line each.
    changes: Vec<String>,
    pending: Vec<String>,
    /// New sources that have not answered yet.
    unanswered: Vec<String>,
}

/// A configuration that is not taken over.
#[derive(Serialize)]
struct Rejected<'a> {
    error: &'static str,
    help: &'static str,
    result: &'static str,
    /// As `weir check` prints them.
    problems: &'a str,
}

impl Configuration {
    pub(crate) fn of(reloader: &Reloader) -> Self {
        let reloads = reloader.history().into_iter().map(Was::of).collect();
        Self { pending: lines(&reloader.pending()), reloads }
    }
}

impl Was {
    fn of(entry: Entry) -> Self {
        let (changes, problems) = match &entry.outcome {
            Outcome::Applied { changes, .. } => (lines(changes), None),
            Outcome::Unchanged => (Vec::new(), None),
            Outcome::Rejected { problems } => (Vec::new(), Some(problems.to_string())),
        };
        Self {
            at_unix_seconds: unix(entry.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()),
            trigger: entry.trigger.label(),
            result: entry.outcome.result().label(),
            revision: entry.revision,
            changes,
            problems,
        }
    }
}

fn lines(changes: &[weir_config::Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}

/// `POST /api/reload`: answers once it is over.
pub(crate) async fn reload(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Mistake> {
    nothing(&body(request.into_body()).await?)?;
    let outcome = admin.reloader.reload(Trigger::Admin).await;
    let result = outcome.result().label();
    let mut answer = match &outcome {
        Outcome::Applied { revision, changes, pending, unanswered } => {
            let (changes, pending) = (lines(changes), lines(pending));
            json(
                StatusCode::OK,
                &Reloaded { result, revision: *revision, changes, pending, unanswered: unanswered.clone() },
            )
        }
        Outcome::Unchanged => {
            let revision = admin.reader.load().revision;
            let pending = lines(&admin.reloader.pending());
            let told = Reloaded { result, revision, changes: Vec::new(), pending, unanswered: Vec::new() };
            json(StatusCode::OK, &told)
        }
        Outcome::Rejected { problems } => {
            let told = Rejected {
                error: "the configuration is rejected, everything stays as it was",
                help: "mend what `problems` says, then reload again",
                result,
                problems,
            };
            json(StatusCode::UNPROCESSABLE_ENTITY, &told)
        }
    };
    answer.extensions_mut().insert(guard::Outcome(result.to_owned()));
    Ok(answer)
}
