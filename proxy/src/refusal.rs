//! Why we said no: one `match` gives each refusal its status, its label and its words.

use bytes::Bytes;

use crate::head::Fault;

/// Why an exchange was answered by weir itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The head is not HTTP, or could be read in two ways.
    BadRequest(Fault),
    /// Request line and fields exceed the limit.
    HeadTooLarge,
    /// More fields than the limit.
    TooManyFields,
    /// The target exceeds the limit.
    TargetTooLong,
    /// The head did not arrive within its deadline.
    HeadTimeout,
    /// CONNECT: weir is no forward proxy.
    ConnectMethod,
    /// No route for this host and path.
    NoRoute,
    /// The body exceeds the route's limit.
    BodyTooLarge,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The chunked framing of the body is broken.
    BadBody,
    /// No endpoint of the service admits the exchange.
    NoEndpoint,
    /// As many exchanges wait for the service as may.
    QueueFull {
        /// Whole seconds after which it is worth coming back.
        retry_after: u32,
    },
    /// The same, and one of a better priority took its place.
    QueueDisplaced {
        /// As in [`Refusal::QueueFull`].
        retry_after: u32,
    },
    /// It waited in the queue as long as it may.
    QueueTimeout {
        /// As in [`Refusal::QueueFull`].
        retry_after: u32,
    },
    /// No try reached an endpoint.
    ConnectFailed,
    /// The endpoint did not answer in time.
    EndpointTimeout,
    /// The endpoint closed or reset the connection before it answered.
    EndpointBroken,
    /// What the endpoint answered is not HTTP, or an upgrade nobody asked for.
    BadAnswer,
    /// The whole-exchange deadline passed.
    Deadline,
}

impl Refusal {
    /// The status of the answer.
    pub(crate) const fn status(self) -> u16 {
        match self {
            Self::BadRequest(_) | Self::BadBody => 400,
            Self::NoRoute => 404,
            Self::ConnectMethod => 405,
            Self::HeadTimeout | Self::BodyTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::ConnectFailed | Self::EndpointBroken | Self::BadAnswer => 502,
            Self::NoEndpoint | Self::QueueFull { .. } | Self::QueueDisplaced { .. } | Self::QueueTimeout { .. } => 503,
            Self::EndpointTimeout | Self::Deadline => 504,
        }
    }

    /// The value of the metric label `reason`, also in the answer and in the access log.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::BadRequest(fault) => fault.label(),
            Self::HeadTooLarge => "head_too_large",
            Self::TooManyFields => "too_many_fields",
            Self::TargetTooLong => "target_too_long",
            Self::HeadTimeout => "head_timeout",
            Self::ConnectMethod => "connect_method",
            Self::NoRoute => "no_route",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BadBody => "bad_body",
            Self::NoEndpoint => "no_endpoint",
            Self::QueueFull { .. } => "queue_full",
            Self::QueueDisplaced { .. } => "queue_displaced",
            Self::QueueTimeout { .. } => "queue_timeout",
            Self::ConnectFailed => "connect_failed",
            Self::EndpointTimeout => "endpoint_timeout",
            Self::EndpointBroken => "endpoint_broken",
            Self::BadAnswer => "bad_answer",
            Self::Deadline => "deadline",
        }
    }

    /// What the client can do about it.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::BadRequest(fault) => fault.message(),
            Self::HeadTooLarge => "the request head is larger than this server accepts",
            Self::TooManyFields => "the request has more header fields than this server accepts",
            Self::TargetTooLong => "the request target is longer than this server accepts",
            Self::HeadTimeout => "the request head did not arrive in time",
            Self::ConnectMethod => "CONNECT is not supported: this is a reverse proxy",
            Self::NoRoute => "no route for this host and path",
            Self::BodyTooLarge => "the request body is larger than this route accepts",
            Self::BodyTimeout => "the request body did not arrive in time",
            Self::BadBody => "the chunked framing of the request body is broken",
            Self::NoEndpoint => "no endpoint can take the request now",
            Self::QueueFull { .. } => "too many requests wait already",
            Self::QueueDisplaced { .. } => "too many requests of higher priority wait",
            Self::QueueTimeout { .. } => "no endpoint had room for the request in time",
            Self::ConnectFailed => "no endpoint could be reached",
            Self::EndpointTimeout => "the endpoint did not answer in time",
            Self::EndpointBroken => "the endpoint closed the connection before it answered",
            Self::BadAnswer => "the endpoint's answer could not be understood",
            Self::Deadline => "the request took longer than this route allows",
        }
    }

    /// Whole seconds after which another attempt makes sense.
    pub(crate) const fn retry_after(self) -> Option<u32> {
        match self {
            Self::NoEndpoint => Some(1),
            Self::QueueFull { retry_after }
            | Self::QueueDisplaced { retry_after }
            | Self::QueueTimeout { retry_after } => Some(retry_after),
            _ => None,
        }
    }

    /// The answer's body, JSON.
    pub(crate) fn body(self) -> Bytes {
        let (status, label, message) = (self.status(), self.label(), self.message());
        Bytes::from(format!("{{\"status\":{status},\"reason\":\"{label}\",\"message\":\"{message}\"}}\n"))
    }

    /// The whole answer for a connection that ends with it, for use before there is a session.
    pub(crate) fn last_answer(self) -> Bytes {
        let body = self.body();
        let allow = if matches!(self, Self::ConnectMethod) {
            "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"
        } else {
            ""
        };
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{allow}Connection: close\r\n\r\n",
            self.status(),
            http::StatusCode::from_u16(self.status()).ok().and_then(|status| status.canonical_reason()).unwrap_or(""),
            body.len()
        )
        .into_bytes();
        answer.extend_from_slice(&body);
        Bytes::from(answer)
    }
}

#[cfg(test)]
mod tests {

    /// Every label that a refusal may have, read from the two `match`es that give them.
    fn labels() -> Vec<String> {
        let sources = [include_str!("refusal.rs"), include_str!("head/fault.rs")];
        let arms = sources.iter().flat_map(|text| text.lines()).filter_map(|line| line.split_once("=> \""));
        let words = arms.filter_map(|(_, rest)| rest.split('"').next());
        words.filter(|word| !word.contains(' ') && !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn the_runbook_names_every_reason() {
        let runbook = include_str!("../../docs/runbook/refusals.md");
        let labels = labels();
        assert!(labels.len() > 30, "{labels:?}");
        for label in labels {
            assert!(runbook.contains(&format!("`{label}`")), "{label} is not in docs/runbook/refusals.md");
        }
    }
}
