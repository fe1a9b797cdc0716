//! Whether a failed try is followed by another: pure.
//!
//! Defaults are those of nginx's `proxy_next_upstream error timeout`: a request that may change something is not sent
//! again once any of it was sent. What was never sent, or was turned away unread, may always be tried elsewhere.

use std::borrow::Cow;

use weir_snapshot::RetryRules;

/// How a try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: nothing was sent.
    Connect,
    /// No connection in time: nothing was sent.
    ConnectTimeout,
    /// The connection broke before an answer.
    Broken,
    /// No answer in time, or the endpoint stopped reading.
    Timeout,
    /// What came was no answer.
    BadAnswer,
    /// An answer whose status counts as a failure.
    Status(u16),
    /// 503 with `Retry-After`: the endpoint turned the request away. It is busy, not broken.
    Busy,
}

impl Failure {
    /// What happened, for people.
    pub(crate) fn words(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Connect => "no connection",
            Self::ConnectTimeout => "no connection in time",
            Self::Broken => "the connection broke before an answer",
            Self::Timeout => "no answer in time",
            Self::BadAnswer => "what came was no answer",
            Self::Status(status) => return Cow::Owned(format!("answered {status}")),
            Self::Busy => "busy",
        })
    }

    /// The value of the metric label `reason`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Broken => "broken",
            Self::Timeout => "timeout",
            Self::BadAnswer => "bad_answer",
            Self::Status(_) => "status",
            Self::Busy => "busy",
        }
    }
}

/// What is true of the exchange at the time of the failure.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, all sixteen mixtures can occur")]
pub(crate) struct Facts {
    /// Tries made, this one included.
    pub(crate) tries: u8,
    /// The whole-exchange deadline has passed.
    pub(crate) past_deadline: bool,
    /// Bytes of an answer went to the client, interim ones aside.
    pub(crate) answered: bool,
    /// Everything that was sent can be sent again: the body is held whole, or none of it has left.
    pub(crate) replayable: bool,
    /// The method is idempotent by definition.
    pub(crate) idempotent: bool,
}

/// Whether another endpoint may be tried. The budget is asked after this, so that a "no" costs no token.
pub(crate) fn may_try_again(rules: &RetryRules, facts: Facts, failure: Failure) -> bool {
    if facts.tries >= rules.tries || facts.past_deadline || facts.answered || !facts.replayable {
        return false;
    }
    let allowed = match failure {
        Failure::Connect | Failure::Broken | Failure::BadAnswer => rules.on_error,
        Failure::ConnectTimeout | Failure::Timeout => rules.on_timeout,
        Failure::Status(status) => rules.on_statuses.binary_search(&status).is_ok(),
        Failure::Busy => true,
    };
    let unsent = matches!(failure, Failure::Connect | Failure::ConnectTimeout | Failure::Busy);
    allowed && (unsent || facts.idempotent || rules.non_idempotent)
}

#[cfg(test)]
mod tests {
    use weir_snapshot::BudgetRules;

    use super::*;

    fn nginx_like() -> RetryRules {
        RetryRules {
            on_error: true,
            on_timeout: true,
            on_statuses: vec![502],
            tries: 3,
            non_idempotent: false,
            budget: BudgetRules { percent: 20, floor_per_second: 10 },
        }
    }

    const FIRST_GET: Facts =
        Facts { tries: 1, past_deadline: false, answered: false, replayable: true, idempotent: true };

    #[test]
    fn a_get_is_tried_again_after_every_allowed_class_and_no_other() {
        for failure in [Failure::Connect, Failure::Broken, Failure::Timeout, Failure::Status(502), Failure::Busy] {
            assert!(may_try_again(&nginx_like(), FIRST_GET, failure), "{failure:?}");
        }
        assert!(!may_try_again(&nginx_like(), FIRST_GET, Failure::Status(500)));
        let no_errors = RetryRules { on_error: false, ..nginx_like() };
        assert!(!may_try_again(&no_errors, FIRST_GET, Failure::Broken));
    }

    #[test]
    fn a_post_is_tried_again_only_when_the_endpoint_cannot_have_acted_on_it() {
        let post = Facts { idempotent: false, ..FIRST_GET };
        for failure in [Failure::Connect, Failure::ConnectTimeout, Failure::Busy] {
            assert!(may_try_again(&nginx_like(), post, failure), "{failure:?}");
        }
        for failure in [Failure::Broken, Failure::Timeout, Failure::Status(502)] {
            assert!(!may_try_again(&nginx_like(), post, failure), "{failure:?}");
            let allowed = RetryRules { non_idempotent: true, ..nginx_like() };
            assert!(may_try_again(&allowed, post, failure), "{failure:?}");
        }
    }

    #[test]
    fn nothing_is_tried_again_once_the_client_has_an_answer_the_deadline_passed_tries_or_body_are_gone() {
        for facts in [
            Facts { answered: true, ..FIRST_GET },
            Facts { past_deadline: true, ..FIRST_GET },
            Facts { tries: 3, ..FIRST_GET },
            Facts { replayable: false, ..FIRST_GET },
        ] {
            assert!(!may_try_again(&nginx_like(), facts, Failure::Connect), "{facts:?}");
        }
    }
}
