//! Changes: what an operator says of endpoints.
//!
//! In: a service, an address, an action. Out: what holds now. `drain`, `undrain`, `weight` and `clear` are overrides over
//! what is believed, see `weir_discovery::Control`; `eject` and `restore` turn the verdict, as if health had found it out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State, rejection::PathRejection};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use weir_discovery::{Overridden, Override, OverrideError, Weight};
use weir_snapshot::{Condition, Failure, Member, Pool, Witness};

use super::Admin;
use super::answer::{Mistake, json};
use super::endpoint::word;
use super::guard::Outcome;
use super::query::Query;

/// The largest body of a call.
const LARGEST: usize = 16 << 10;
/// For all of it to come.
const WAIT: Duration = Duration::from_secs(10);

/// What to do about a weir that leaves.
pub(crate) const SUCCESSOR: &str = "ask the weir that takes its place";
const LISTS: &str = "`weir status` (GET /api/status) lists services and endpoints";

/// What is done to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Drain,
    Undrain,
    Weight,
    Clear,
    Eject,
    Restore,
}

impl Action {
    fn read(word: &str) -> Result<Self, Mistake> {
        Ok(match word {
            "drain" => Self::Drain,
            "undrain" => Self::Undrain,
            "weight" => Self::Weight,
            "clear" => Self::Clear,
            "eject" => Self::Eject,
            "restore" => Self::Restore,
            other => {
                let help = "it is one of drain, undrain, weight, clear, eject, restore";
                return Err(Mistake::missing(format!("there is no action `{other}`"), help));
            }
        })
    }
}

/// The body of `weight`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Weighing {
    weight: u16,
}

/// What a change has come to.
#[derive(Serialize)]
struct Told {
    service: String,
    address: String,
    /// False when it was so before.
    changed: bool,
    /// The snapshot it holds in.
    revision: u64,
    /// Endpoints of the service that are not drained.
    serving: usize,
    /// None of an endpoint that is not there, as the weight.
    drained: Option<bool>,
    weight: Option<u16>,
    /// As in the status, or `absent`.
    state: &'static str,
    /// What to know about it.
    note: Option<&'static str>,
}

/// `POST /api/services/SERVICE/endpoints/ADDRESS/ACTION`.
pub(crate) async fn endpoint(
    State(admin): State<Arc<Admin>>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    request: Request,
) -> Result<Response, Mistake> {
    let shape = "the path is /api/services/SERVICE/endpoints/ADDRESS/ACTION";
    let Path((service, address, action)) = path.map_err(|error| Mistake::bad(error.body_text(), shape))?;
    let action = Action::read(&action)?;
    let body = body(request.into_body()).await?;
    let address = address.parse().map_err(|_| {
        let help = "write IP and port, such as 127.0.0.1:3001, or %5B::1%5D:3001";
        Mistake::bad(format!("`{address}` is no address of an endpoint"), help)
    })?;
    let told = match action {
        Action::Drain => set(&admin, &service, address, drain(true), &body).await?,
        Action::Undrain => set(&admin, &service, address, drain(false), &body).await?,
        Action::Weight => set(&admin, &service, address, weighing(&body)?, &[]).await?,
        Action::Clear => {
            nothing(&body)?;
            let cleared = admin.control.clear(&service, Some(address)).await.map_err(|error| mistake(&error))?;
            tell(&admin, &service, address, true, Some(cleared))
        }
        Action::Eject | Action::Restore => {
            nothing(&body)?;
            turn(&admin, &service, address, action)?
        }
    };
    let drained = told.drained.map_or("", |drained| if drained { "drained, " } else { "not drained, " });
    let weight = told.weight.map_or_else(String::new, |weight| format!("weight {weight}, "));
    let outcome = format!("{service} {address}: {drained}{weight}{}", told.state);
    let mut answer = json(StatusCode::OK, &told);
    answer.extensions_mut().insert(Outcome(outcome));
    Ok(answer)
}

fn drain(drain: bool) -> Override {
    Override { drain: Some(drain), weight: None }
}

/// The weight that a body names.
fn weighing(body: &[u8]) -> Result<Override, Mistake> {
    let help = "send `{ \"weight\": 3 }`, a whole number from 1 to 1000; to give an endpoint nothing, drain it";
    let weighing: Weighing = serde_json::from_slice(body).map_err(|error| Mistake::bad(error.to_string(), help))?;
    let weight = Weight::new(weighing.weight).map_err(|error| Mistake::bad(error.to_string(), help))?;
    Ok(Override { drain: None, weight: Some(weight) })
}

/// Says so of an endpoint, and tells what holds then.
async fn set(admin: &Admin, service: &str, address: SocketAddr, to: Override, body: &[u8]) -> Result<Told, Mistake> {
    nothing(body)?;
    let said = |admin: &Admin| admin.control.overrides().get(service, address);
    let before = said(admin);
    let held = admin.control.set(service, address, to).await.map_err(|error| mistake(&error))?;
    Ok(tell(admin, service, address, before != said(admin), Some(held)))
}

/// Turns a verdict.
fn turn(admin: &Admin, service: &str, address: SocketAddr, action: Action) -> Result<Told, Mistake> {
    let snapshot = admin.reader.load();
    let (pool, member) = find(&snapshot, service, address)?;
    let (live, now) = (&member.live, admin.clock.now());
    let changed = if action == Action::Eject {
        let changed = live.eject(now).is_some();
        if changed {
            let (reason, text) = ("ejected", "ejected by hand".into());
            live.remember(Failure { at: now, by: Witness::Operator, reason, text, exchange: None });
            weir_discovery::observe::ejected_by_operator(pool.service(), member);
        }
        changed
    } else {
        let new = live.condition(now, pool.health()) == Condition::Unproven;
        live.restore(now).is_some() || new
    };
    Ok(tell(admin, service, address, changed, None))
}

/// What holds of an endpoint now; it may have gone meanwhile, or have been away all the time.
fn tell(admin: &Admin, service: &str, address: SocketAddr, changed: bool, held: Option<Overridden>) -> Told {
    let snapshot = admin.reader.load();
    let pool = snapshot.pool(service);
    let serving = pool.map_or(0, |pool| pool.members().iter().filter(|member| !member.drained).count());
    let found = pool.and_then(|pool| Some((pool, pool.members().iter().find(|member| member.address == address)?)));
    let Some((pool, member)) = found else {
        return Told {
            service: service.to_owned(),
            address: address.to_string(),
            changed,
            revision: snapshot.revision,
            serving,
            drained: None,
            weight: None,
            state: "absent",
            note: Some("there is no such endpoint now; if it returns, it is as configuration and sources say"),
        };
    };
    let state = member.live.condition(admin.clock.now(), pool.health());
    let probed = pool.health().probe.is_some();
    let note = match state {
        _ if serving == 0 => Some("no endpoint of the service gets new exchanges now: its requests are refused"),
        _ if held.is_some() => None,
        Condition::Ejected if probed => Some("the next good probes restore it; drain it to keep it out"),
        Condition::Ejected => {
            Some("an exchange may restore it once the window of `health` has passed; drain it to keep it out")
        }
        Condition::Healthy if probed => Some("failed probes eject it again"),
        _ => None,
    };
    Told {
        service: service.to_owned(),
        address: member.label.to_string(),
        changed,
        revision: snapshot.revision,
        serving,
        drained: Some(member.drained),
        weight: Some(member.weight.get()),
        state: word(state),
        note,
    }
}

fn find<'a>(
    snapshot: &'a weir_snapshot::Snapshot,
    service: &str,
    address: SocketAddr,
) -> Result<(&'a Pool, &'a Member), Mistake> {
    let pool = pool(snapshot, service)?;
    let member = pool.members().iter().find(|member| member.address == address).ok_or_else(|| {
        let error = format!("service `{service}` has no endpoint `{address}`");
        Mistake::missing(error, LISTS)
    })?;
    Ok((pool, member))
}

/// The pool of this service.
pub(crate) fn pool<'a>(snapshot: &'a weir_snapshot::Snapshot, service: &str) -> Result<&'a Arc<Pool>, Mistake> {
    snapshot.pool(service).ok_or_else(|| {
        let names = snapshot.pools.iter().take(10).map(|pool| format!("`{}`", pool.service()));
        let names = names.collect::<Vec<_>>().join(", ");
        let more = snapshot.pools.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Mistake::missing(format!("there is no service `{service}`"), format!("there are {names}{more}"))
    })
}

/// All overrides there are.
#[derive(Serialize)]
struct All {
    overrides: Vec<Said>,
}

/// What was said of one endpoint; null is nothing.
#[derive(Serialize)]
struct Said {
    service: String,
    address: String,
    drain: Option<bool>,
    weight: Option<u16>,
    /// Whether the service has such an endpoint now. If not, it holds once the endpoint returns.
    present: bool,
}

/// `GET /api/overrides`.
pub(crate) async fn overrides(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Mistake> {
    Query::read(request.uri(), &[], &[])?;
    Ok(json(StatusCode::OK, &all(&admin)))
}

fn all(admin: &Admin) -> All {
    let snapshot = admin.reader.load();
    let said = admin.control.overrides();
    let present = |service: &str, address: SocketAddr| {
        snapshot.pool(service).is_some_and(|pool| pool.members().iter().any(|member| member.address == address))
    };
    let overrides = said.iter().map(|(service, address, said)| Said {
        service: service.to_owned(),
        address: address.to_string(),
        drain: said.drain,
        weight: said.weight.map(Weight::get),
        present: present(service, address),
    });
    All { overrides: overrides.collect() }
}

/// `DELETE /api/overrides`: all, those of `service=NAME`, or that of `address=IP:PORT` too.
pub(crate) async fn clear(State(admin): State<Arc<Admin>>, request: Request) -> Result<Response, Mistake> {
    let query = Query::read(request.uri(), &["service", "address"], &[])?;
    nothing(&body(request.into_body()).await?)?;
    let address = query.parse("address", "an address such as 127.0.0.1:3001")?;
    let services: Vec<String> = match query.get("service") {
        Some(service) => vec![service.to_owned()],
        None if address.is_some() => return Err(Mistake::bad("`address` needs `service`", "say which service")),
        None => {
            let said = admin.control.overrides();
            let mut services: Vec<String> = said.iter().map(|(service, ..)| service.to_owned()).collect();
            services.dedup();
            services
        }
    };
    let count = admin.control.overrides().iter().count();
    let all_of_them = query.get("service").is_none();
    let mut failed = None;
    for service in &services {
        match admin.control.clear(service, address).await {
            Ok(_) => {}
            // Somebody else was quicker.
            Err(OverrideError::NotOverridden) if all_of_them => {}
            Err(error) => failed = Some(error),
        }
    }
    if let Some(error) = failed {
        return Err(mistake(&error));
    }
    let left = all(&admin);
    let outcome = Outcome(format!("{} overrides cleared", count.saturating_sub(left.overrides.len())));
    let mut answer = json(StatusCode::OK, &left);
    answer.extensions_mut().insert(outcome);
    Ok(answer)
}

/// The body of a call.
pub(crate) async fn body(body: Body) -> Result<axum::body::Bytes, Mistake> {
    let help = "send what docs/reference/admin.md says";
    match timeout(WAIT, to_bytes(body, LARGEST)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_too_large(&error) => {
            Err(Mistake::new(StatusCode::PAYLOAD_TOO_LARGE, "the body of the call is larger than 16 KiB", help))
        }
        Ok(Err(_)) => Err(Mistake::bad("the body of the call broke off", help)),
        Err(_) => {
            let error = format!("the body of the call did not come within {} s", WAIT.as_secs());
            Err(Mistake::new(StatusCode::REQUEST_TIMEOUT, error, help))
        }
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}

/// A body that says nothing: none, or `{}`.
pub(crate) fn nothing(body: &[u8]) -> Result<(), Mistake> {
    match body.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(Mistake::bad("this call takes no body", "send none, or `{}`")),
    }
}

fn mistake(error: &OverrideError) -> Mistake {
    let (status, help) = match error {
        OverrideError::NoService { .. } | OverrideError::NoEndpoint { .. } => (StatusCode::NOT_FOUND, LISTS),
        OverrideError::NotOverridden => {
            (StatusCode::NOT_FOUND, "`weir overrides` (GET /api/overrides) lists what is overridden")
        }
        OverrideError::Weightless { .. } => (StatusCode::CONFLICT, "any other policy knows weights"),
        OverrideError::Nothing => (StatusCode::BAD_REQUEST, "say what to change"),
        OverrideError::Unpublished => (StatusCode::INTERNAL_SERVER_ERROR, "look into weir's log"),
        OverrideError::Ended => (StatusCode::SERVICE_UNAVAILABLE, SUCCESSOR),
    };
    Mistake::new(status, error.to_string(), help)
}
