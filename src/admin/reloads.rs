//! `POST /api/reload`, and the reloads that were.

use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::Admin;
use super::actions::{SUCCESSOR, body, nothing};
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
    /// `applied`, `unchanged`, `rejected`, `failed` or `abandoned`.
    result: &'static str,
    revision: u64,
    /// The first ones.
    changes: Vec<String>,
    /// The beginning.
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
    /// As `weir check` prints them; none when weir leaves.
    problems: Option<&'a str>,
}

/// How many changes of a reload that was are told. The log has them all.
const CHANGES: usize = 50;
/// How many lines of its problems, and bytes of them.
const PROBLEMS: (usize, usize) = (100, 16 << 10);

impl Configuration {
    pub(crate) fn of(reloader: &Reloader) -> Self {
        let reloads = reloader.history().iter().map(Was::of).collect();
        Self { pending: waiting(&reloader.pending()), reloads }
    }
}

impl Was {
    fn of(entry: &Entry) -> Self {
        let (changes, problems) = match &entry.outcome {
            Outcome::Applied { changes, .. } => (first(changes), None),
            Outcome::Unchanged | Outcome::Abandoned => (Vec::new(), None),
            Outcome::Rejected { problems } | Outcome::Failed { problems } => (Vec::new(), Some(beginning(problems))),
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

/// What waits for a restart, and why.
fn waiting(pending: &[weir_config::Change]) -> Vec<String> {
    let line = |change: &weir_config::Change| {
        // That it needs one is what the list is for.
        let bare = weir_config::Change { restart: None, ..change.clone() };
        change.restart.map_or_else(|| bare.to_string(), |why| format!("{bare} ({why})"))
    };
    pending.iter().map(line).collect()
}

/// The first changes, and how many more there are: the status is asked for every second.
fn first(changes: &[weir_config::Change]) -> Vec<String> {
    let shown = lines(changes.get(..CHANGES).unwrap_or(changes));
    let more = changes.len().saturating_sub(CHANGES);
    shown.into_iter().chain((more > 0).then(|| format!("and {more} more, which the log has"))).collect()
}

/// The first lines of a text, and how many more there are.
fn beginning(text: &str) -> String {
    let (most, room) = PROBLEMS;
    let ends = text.split_inclusive('\n').take(most).scan(0, |end, line| {
        *end += line.len();
        Some(*end)
    });
    let end = ends.take_while(|end| *end <= room).last().unwrap_or_default();
    match text.split_at(end) {
        (whole, "") => whole.to_owned(),
        (shown, rest) => format!("{shown}and {} more lines, which the log has\n", rest.lines().count()),
    }
}

/// `POST /api/reload`: answers once it is over.
pub(crate) async fn reload(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Mistake> {
    nothing(&body(request.into_body()).await?)?;
    let outcome = admin.reloader.reload(Trigger::Admin).await;
    let result = outcome.result().label();
    let mut answer = match &outcome {
        Outcome::Applied { revision, changes, pending, unanswered } => {
            let (changes, pending) = (lines(changes), waiting(pending));
            json(
                StatusCode::OK,
                &Reloaded { result, revision: *revision, changes, pending, unanswered: unanswered.clone() },
            )
        }
        Outcome::Unchanged => {
            let revision = admin.reader.load().revision;
            let pending = waiting(&admin.reloader.pending());
            let told = Reloaded { result, revision, changes: Vec::new(), pending, unanswered: Vec::new() };
            json(StatusCode::OK, &told)
        }
        Outcome::Rejected { problems } => {
            let error = "the configuration is rejected, everything stays as it was";
            let help = "mend what `problems` says, then reload again";
            json(StatusCode::UNPROCESSABLE_ENTITY, &Rejected { error, help, result, problems: Some(problems) })
        }
        Outcome::Failed { problems } => {
            let error = "the reload broke, by a fault of weir's own";
            let help = "look into weir's log, then reload again";
            json(StatusCode::INTERNAL_SERVER_ERROR, &Rejected { error, help, result, problems: Some(problems) })
        }
        Outcome::Abandoned => {
            let error = "weir is leaving, nothing is changed any more";
            json(StatusCode::SERVICE_UNAVAILABLE, &Rejected { error, help: SUCCESSOR, result, problems: None })
        }
    };
    answer.extensions_mut().insert(guard::Outcome(result.to_owned()));
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_a_text_is_whole_lines_and_says_how_many_are_missing() {
        assert_eq!(beginning("a\nb"), "a\nb");
        assert_eq!(beginning(""), "");
        let many = "line\n".repeat(250);
        let shown = beginning(&many);
        assert!(shown.starts_with("line\n") && shown.ends_with("and 150 more lines, which the log has\n"), "{shown}");
        assert_eq!(shown.lines().count(), 101);
        let long = format!("{}\nshort\n", "ä".repeat(PROBLEMS.1));
        assert_eq!(beginning(&long), "and 2 more lines, which the log has\n");
    }

    #[test]
    fn what_waits_for_a_restart_says_so_once() {
        let change =
            weir_config::Change { subject: "s".to_owned(), text: "added".to_owned(), restart: Some("because") };
        assert_eq!(waiting(&[change]), ["s: added (because)"]);
    }
}
