//! Answers one request.
//!
//! In: a request. Out: a response, always. Cost: routing is two comparisons; the rest is the work.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, EXPECT, HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use tokio::sync::OwnedSemaphorePermit;

use super::body::{self, Received};
use super::condition::{self, Outcome};
use super::metrics::Times;
use super::pieces::Pieces;
use super::work::{Finished, Stopwatch};
use super::{Shared, accept, metrics, tag};
use crate::kernel::{Format, Header, Output, Stage};
use crate::plan::{FormatAsk, Plan};
use crate::refusal::Refusal;

const X_OPTIMIZER: HeaderName = HeaderName::from_static("x-optimizer");
const X_OPTIMIZER_PATH: HeaderName = HeaderName::from_static("x-optimizer-path");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// When a refused client may come back: the queue turns over in about this time.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("1");

type Answer = Response<Pieces>;

/// Answers `request`. Never fails; what goes wrong is an answer too.
pub(super) async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, mut body) = request.into_parts();
    let (mut answer, reason) = match route(&shared, &head, &mut body).await {
        Ok(answer) if answer.status() == StatusCode::NOT_MODIFIED => (answer, "not_modified"),
        Ok(answer) => (answer, "ok"),
        Err(refusal) => {
            // A client that waits for `100 Continue` has sent nothing yet, and one that stopped sends no more.
            let silent = matches!(refusal, Refusal::SlowBody { .. } | Refusal::BodyAborted);
            if !body.is_end_stream() && !silent && !head.headers.contains_key(EXPECT) {
                tokio::spawn(body::linger(body));
            }
            (refused(&refusal), refusal.status_and_label().1)
        }
    };
    if !matches!(head.uri.path(), "/healthz" | "/metrics") {
        shared.metrics.answered(answer.status().as_u16(), reason);
    }
    let headers = answer.headers_mut();
    // The id was checked when the optimizer was made, so this is always a header value.
    if let Ok(id) = HeaderValue::from_str(&shared.id) {
        headers.insert(X_OPTIMIZER, id);
    }
    if shared.draining.load(Relaxed) {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

async fn route(shared: &Arc<Shared>, head: &Parts, body: &mut Incoming) -> Result<Answer, Refusal> {
    let wrong_method = |path, allow| Refusal::Method { path, allow, method: head.method.to_string() };
    let reads = head.method == Method::GET || head.method == Method::HEAD;
    match head.uri.path() {
        "/optimize" if head.method == Method::POST => optimize(shared, head, body).await,
        "/optimize" => Err(wrong_method("/optimize", "POST")),
        "/healthz" if reads && shared.draining.load(Relaxed) => Ok(text(StatusCode::SERVICE_UNAVAILABLE, "draining\n")),
        "/healthz" if reads => Ok(text(StatusCode::OK, "ok\n")),
        "/metrics" if reads => Ok(text(StatusCode::OK, metrics::text(shared))),
        "/healthz" => Err(wrong_method("/healthz", "GET, HEAD")),
        "/metrics" => Err(wrong_method("/metrics", "GET, HEAD")),
        path => Err(Refusal::NotFound { path: path.to_owned() }),
    }
}

async fn optimize(shared: &Arc<Shared>, head: &Parts, body: &mut Incoming) -> Result<Answer, Refusal> {
    let plan = shared.kernel.plan(head.uri.query().unwrap_or_default())?;
    let mut watch = Stopwatch::start();
    // What could never be held is too large, not refused as busy for ever.
    let limit = shared.limits.bytes.min(shared.body_limit);
    let Received { image, mut memory } = body::receive(&head.headers, body, limit, &shared.body_memory).await?;
    let read = watch.lap();
    let header = Header::read(&image, &shared.limits)?;
    let target = match plan.format {
        FormatAsk::Keep => header.format,
        FormatAsk::Is(format) => format,
        FormatAsk::Auto => accept::choose(accepts(head).as_deref(), &header),
    };
    let etag = tag::of(&image, &plan, target).await?;
    let varies = plan.format == FormatAsk::Auto;
    match condition::outcome(&head.headers, &etag) {
        Outcome::Wanted => {}
        Outcome::Known if shared.not_modified => {
            let mut answer = Response::new(Pieces::new(Vec::new(), None));
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            describe(answer.headers_mut(), shared, &etag, varies, &[("read", read)]);
            return Ok(answer);
        }
        Outcome::Known | Outcome::Other => return Err(Refusal::Precondition { etag, varies }),
    }
    let bytes = shared.kernel.memory(image.len() as u64, &header, &plan, target);
    let job = Job { shared: Arc::clone(shared), image, header, plan, target };
    let Finished { result, waited, memory: taken } = shared.workers.run(bytes, move || job.run()).await?;
    let Done { output, stages, bytes_in, sliced } = result?;
    // What is sent is in memory until it is: what is new, and the input if some of it is sent again.
    let input = if sliced.is_some() { memory.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) } else { 0 };
    body::hold(&mut memory, &shared.body_memory, input + output.len() - sliced.unwrap_or(0))?;
    drop(taken);
    let work = stages.iter().map(|(_, took)| *took).sum();
    shared.metrics.worked(Times { read, wait: waited, work }, bytes_in, &output);

    let path = output.path;
    let mut answer = Response::new(Pieces::new(output.pieces, memory));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(target.media_type()));
    headers.insert(X_OPTIMIZER_PATH, HeaderValue::from_static(path.name()));
    let times = [&[("read", read), ("wait", waited)], &stages[..], &[("work", work)]].concat();
    describe(headers, shared, &etag, varies, &times);
    Ok(answer)
}

/// What a picture and the word that it has not changed have in common.
fn describe(headers: &mut HeaderMap, shared: &Shared, etag: &str, varies: bool, times: &[(&str, Duration)]) {
    // Digits, letters and punctuation: always header values.
    for (name, value) in [(ETAG, format!("\"{etag}\"")), (SERVER_TIMING, timing(times))] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if varies {
        headers.insert(VARY, HeaderValue::from_static("Accept"));
    }
    if let Some(value) = &shared.cache_control {
        headers.insert(CACHE_CONTROL, value.clone());
    }
}

/// All `Accept` headers as one, as RFC 9110 allows to read them.
fn accepts(head: &Parts) -> Option<String> {
    let values: Vec<_> = head.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// One image and what to do with it.
struct Job {
    shared: Arc<Shared>,
    image: Bytes,
    header: Header,
    plan: Plan,
    target: Format,
}

/// What came of it.
struct Done {
    output: Output,
    /// Those there were, in order.
    stages: Vec<(&'static str, Duration)>,
    bytes_in: usize,
    /// How much of the output is in the memory of the input, if any is.
    sliced: Option<usize>,
}

impl Job {
    fn run(&self) -> Result<Done, Refusal> {
        let mut watch = Stopwatch::start();
        let mut stages = Vec::with_capacity(3);
        let mut note = |stage| {
            let name = match stage {
                Stage::Decode => "decode",
                Stage::Draw => "draw",
                Stage::Encode => "encode",
                Stage::Splice => "splice",
            };
            stages.push((name, watch.lap()));
        };
        let output = self.shared.kernel.optimize(&self.image, &self.header, &self.plan, self.target, &mut note)?;
        let input = self.image.as_ptr_range();
        let slices = output.pieces.iter().filter(|piece| input.contains(&piece.as_ptr())).map(Bytes::len);
        let sliced = Some(slices.sum()).filter(|sum| *sum > 0);
        Ok(Done { output, stages, bytes_in: self.image.len(), sliced })
    }
}

fn timing(stages: &[(&str, Duration)]) -> String {
    let mut line = String::new();
    for (name, took) in stages {
        let comma = if line.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        if write!(line, "{comma}{name};dur={:.3}", took.as_secs_f64() * 1000.0).is_err() {
            break;
        }
    }
    line
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Pieces::new(vec![body.into()], None));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn refused(refusal: &Refusal) -> Answer {
    let (status, label) = refusal.status_and_label();
    let body = format!("{{\"error\":{},\"reason\":\"{label}\"}}\n", json(&refusal.to_string()));
    let mut answer = Response::new(Pieces::new(vec![Bytes::from(body)], None));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match refusal {
        Refusal::Method { allow, .. } => {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        Refusal::Precondition { etag, varies } => {
            // Of digits and letters, so always a header value.
            if let Ok(value) = HeaderValue::try_from(format!("\"{etag}\"")) {
                headers.insert(ETAG, value);
            }
            if *varies {
                headers.insert(VARY, HeaderValue::from_static("Accept"));
            }
        }
        Refusal::QueueFull | Refusal::BodyMemory => {
            headers.insert(RETRY_AFTER, RETRY_SECONDS);
        }
        _ => {}
    }
    answer
}

/// `text` as a JSON string. Written by hand: it is the only JSON here.
fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(format!("\\u{:04x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_backslashes_and_control_characters_are_escaped_in_json() {
        assert_eq!(json("a\"b\\c\n\u{85}é"), r#""a\"b\\c\u000a\u0085é""#);
    }
}
