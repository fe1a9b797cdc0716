//! What of the admin API's documents is shown to people. `docs/reference/admin.md` describes them whole.
//!
//! Everything that a newer or older weir may leave out has a default here.

use serde::Deserialize;

/// `GET /api/status`.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) revision: u64,
    pub(super) now_unix_seconds: f64,
    pub(super) uptime_seconds: f64,
    pub(super) readiness: Readiness,
    #[serde(default)]
    pub(super) configuration: Configuration,
    #[serde(default)]
    pub(super) listeners: Vec<Listener>,
    pub(super) services: Vec<Service>,
}

/// How the configuration stands.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Configuration {
    #[serde(default)]
    pub(super) pending: Vec<String>,
    #[serde(default)]
    pub(super) reloads: Vec<Was>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Was {
    pub(super) at_unix_seconds: f64,
    pub(super) result: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Readiness {
    pub(super) state: String,
    #[serde(default)]
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Listener {
    pub(super) address: String,
    pub(super) open_connections: u64,
    pub(super) max_connections: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) policy: String,
    #[serde(default)]
    pub(super) all_ejected: bool,
    pub(super) queue: Option<Queue>,
    #[serde(default)]
    pub(super) sources: Vec<Source>,
    pub(super) endpoints: Vec<Endpoint>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Queue {
    pub(super) waiting: u64,
    pub(super) max: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Source {
    #[serde(rename = "source")]
    pub(super) name: String,
    pub(super) state: String,
    pub(super) since_unix_seconds: Option<f64>,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) remarks: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Endpoint {
    pub(super) address: String,
    pub(super) state: String,
    pub(super) drained: bool,
    pub(super) since_unix_seconds: Option<f64>,
    pub(super) trial_from_unix_seconds: Option<f64>,
    #[serde(default)]
    pub(super) failures: Vec<Failure>,
    pub(super) in_flight: u64,
    pub(super) permits_out: Option<u64>,
    pub(super) capacity: Option<u64>,
    pub(super) latency_seconds: Option<f64>,
    pub(super) weight: u64,
    pub(super) tier: String,
    #[serde(default)]
    pub(super) source: String,
    #[serde(rename = "override")]
    pub(super) overridden: Option<Override>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Failure {
    pub(super) at_unix_seconds: f64,
    pub(super) by: String,
    pub(super) reason: String,
    #[serde(default)]
    pub(super) text: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Override {
    pub(super) believed: Believed,
}

#[derive(Debug, Deserialize)]
pub(super) struct Believed {
    pub(super) drained: bool,
    pub(super) weight: u64,
}

/// What a change of an endpoint has come to.
#[derive(Debug, Deserialize)]
pub(super) struct Changed {
    pub(super) service: String,
    pub(super) address: String,
    #[serde(rename = "changed")]
    pub(super) is_new: bool,
    pub(super) serving: u64,
    pub(super) drained: bool,
    pub(super) weight: u64,
    pub(super) state: String,
    pub(super) note: Option<String>,
}

/// `POST /api/reload`, carried out.
#[derive(Debug, Deserialize)]
pub(super) struct Reloaded {
    pub(super) result: String,
    pub(super) revision: u64,
    #[serde(default)]
    pub(super) changes: Vec<String>,
    #[serde(default)]
    pub(super) pending: Vec<String>,
    #[serde(default)]
    pub(super) unanswered: Vec<String>,
}

/// And not.
#[derive(Debug, Deserialize)]
pub(super) struct Rejected {
    pub(super) problems: String,
}

/// `GET /api/overrides`.
#[derive(Debug, Deserialize)]
pub(super) struct Overrides {
    pub(super) overrides: Vec<Said>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) service: String,
    pub(super) address: String,
    pub(super) drain: Option<bool>,
    pub(super) weight: Option<u64>,
    pub(super) present: bool,
}

/// `GET /api/recent`.
#[derive(Debug, Deserialize)]
pub(super) struct Recent {
    pub(super) now_unix_seconds: f64,
    pub(super) kept: u64,
    pub(super) exchanges: Vec<Exchange>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Exchange {
    pub(super) id: Option<String>,
    pub(super) arrived_unix_seconds: f64,
    pub(super) method: Option<String>,
    pub(super) host: Option<String>,
    pub(super) path: Option<String>,
    pub(super) service: Option<String>,
    #[serde(default)]
    pub(super) tries: Vec<Try>,
    pub(super) status: u16,
    pub(super) refusal: Option<String>,
    #[serde(default)]
    pub(super) cut: bool,
    pub(super) total_seconds: f64,
    pub(super) queue_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Try {
    pub(super) endpoint: String,
    pub(super) outcome: String,
}

/// `GET /api/explain`.
#[derive(Debug, Deserialize)]
pub(super) struct Explained {
    pub(super) now_unix_seconds: f64,
    pub(super) recorded: Option<Exchange>,
    #[serde(flatten)]
    pub(super) here: Here,
    /// What differs at other listeners.
    #[serde(default)]
    pub(super) elsewhere: Vec<Here>,
}

/// What would become of a request at some listeners.
#[derive(Debug, Deserialize)]
pub(super) struct Here {
    #[serde(default)]
    pub(super) listeners: Vec<String>,
    pub(super) host: Option<String>,
    pub(super) path: Option<String>,
    pub(super) client: String,
    pub(super) route: Option<RouteChoice>,
    pub(super) service: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) key: Option<Key>,
    pub(super) queue: Option<QueueNow>,
    #[serde(default)]
    pub(super) candidates: Vec<Candidate>,
    pub(super) outcome: Outcome,
}

#[derive(Debug, Deserialize)]
pub(super) struct RouteChoice {
    pub(super) name: String,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) source: String,
    pub(super) hash: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct QueueNow {
    pub(super) waiting: u64,
    pub(super) max: u64,
    pub(super) work_seconds: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Candidate {
    #[serde(flatten)]
    pub(super) endpoint: Endpoint,
    pub(super) chosen: bool,
    pub(super) why: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Outcome {
    pub(super) what: String,
    pub(super) endpoint: Option<String>,
    pub(super) status: Option<u16>,
    pub(super) reason: Option<String>,
    pub(super) why: String,
}
