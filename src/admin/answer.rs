//! What a call is answered: JSON, or what was wrong with it and what to do instead.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::task::JoinError;

use super::guard::Outcome;

/// A call that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) status: StatusCode,
    /// What is wrong.
    pub(crate) error: Cow<'static, str>,
    /// What to do about it.
    pub(crate) help: Cow<'static, str>,
}

impl Mistake {
    pub(crate) fn new(
        status: StatusCode,
        error: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, error: error.into(), help: help.into() }
    }

    /// The call itself cannot be understood.
    pub(crate) fn bad(error: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, help)
    }

    /// What it names is not there.
    pub(crate) fn missing(error: impl Into<Cow<'static, str>>, help: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, help)
    }
}

#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    help: &'a str,
}

impl IntoResponse for Mistake {
    fn into_response(self) -> Response {
        let mut answer = json(self.status, &Told { error: &self.error, help: &self.help });
        answer.extensions_mut().insert(Outcome(self.error.into_owned()));
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"weir\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

/// What a call is answered that broke.
pub(crate) fn broken(fault: &JoinError) -> Mistake {
    tracing::error!(%fault, "an admin call broke, by a fault of weir's own");
    let error = "the call broke, by a fault of weir's own";
    Mistake::new(StatusCode::INTERNAL_SERVER_ERROR, error, "look into weir's log")
}

/// An answer of JSON, which nobody keeps, and no page of another origin may take for anything else.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(mut text) = serde_json::to_vec(value) else {
        // Only maps whose keys are no text cannot be written, and there are none.
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    text.push(b'\n');
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
