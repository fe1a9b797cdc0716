//! One request, start to end: route, admit, pick, forward, and again elsewhere when that fails.
//!
//! In: a head that may be read in one way only, and its client. Out: an answer, the endpoint's or ours, and what becomes
//! of the client's connection. The snapshot is loaded once. Decisions are pure (`retry`, `verdict`, the policies); this
//! file carries them out.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use pingora_error::ErrorType;
use pingora_http::ResponseHeader;
use weir_balance::KeyHash;
use weir_snapshot::{FixedAnswer, Lease, ListenerSettings, Moment, Route, Unserved, Waiting, Witness};

use crate::attempt::{Attempt, Tried};
use crate::body::Held;
use crate::client::Client;
use crate::core::Core;
use crate::downstream::Downstream;
use crate::edits;
use crate::head::{Fault, Framing, Head, normalised};
use crate::key;
use crate::record::Record;
use crate::refusal::Refusal;
use crate::retry::{Facts, Failure, may_try_again};
use crate::seek::{self, Demand, Next, Visited};
use crate::timer::Timer;

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It may serve another request.
    Reuse,
    /// It ends at once: there is no whole answer to be lost.
    Close,
    /// It ends, but the client may still be sending: what it sends is read and dropped for a while, so that the answer
    /// is not lost to a reset.
    Linger,
}

/// One exchange.
pub(crate) struct Exchange<'a> {
    pub(crate) core: &'a Core,
    pub(crate) listener: &'a ListenerSettings,
    pub(crate) head: &'a Head,
    pub(crate) timer: &'a mut Timer,
    pub(crate) down: &'a mut Downstream,
    pub(crate) record: &'a mut Record,
}

/// What every try of one exchange has in common.
pub(crate) struct Plan<'a> {
    pub(crate) core: &'a Core,
    pub(crate) listener: &'a ListenerSettings,
    pub(crate) head: &'a Head,
    pub(crate) route: &'a Arc<Route>,
    pub(crate) client: Client,
    pub(crate) id: &'a str,
    pub(crate) key: Option<KeyHash>,
    pub(crate) held: Held,
    /// More body follows from the client behind what is held.
    pub(crate) streams: bool,
    pub(crate) deadline: Moment,
    /// Where the service has a queue.
    pub(crate) demand: Option<Demand>,
}

impl Plan<'_> {
    /// Whether another endpoint is tried after this failure; takes it into `next` if so. The endpoint comes before the
    /// answer in hand is thrown away, so that a last answer is never lost to an empty pool.
    pub(crate) fn goes_on(
        &self,
        failure: Failure,
        facts: Facts,
        (lease, visited): (&Lease, &Visited),
        next: &mut Option<Next>,
    ) -> bool {
        let rules = &self.route.settings.retry;
        if !may_try_again(rules, facts, failure) {
            return false;
        }
        *next = self.seek(lease.pool(), visited).ok();
        if next.is_none() {
            return false;
        }
        let affordable = self.route.budget.withdraw(self.core.clock.now(), &rules.budget);
        if !affordable {
            self.core.observe.budget_empty(self.route);
            *next = None;
        }
        affordable
    }

    /// Counts a failure against the endpoint, and keeps what it was.
    pub(crate) fn blame(&self, lease: &Lease, reason: &'static str, text: impl Into<Cow<'static, str>>) {
        lease.member().live.remember(weir_snapshot::Failure {
            at: self.core.clock.now(),
            by: Witness::Exchange,
            reason,
            text: text.into(),
            exchange: Some(self.id.into()),
        });
        if let Some(transition) = lease.failed(self.core.clock.now()) {
            self.core.observe.transition(lease, transition);
        }
    }

    /// Counts a success for the endpoint.
    pub(crate) fn credit(&self, lease: &Lease) {
        if let Some(transition) = lease.succeeded(self.core.clock.now()) {
            self.core.observe.transition(lease, transition);
        }
    }

    /// What is true now, for [`may_try_again`].
    pub(crate) fn facts(&self, tries: u8, answered: bool, replayable: bool) -> Facts {
        let past_deadline = self.core.clock.now() >= self.deadline;
        Facts { tries, past_deadline, answered, replayable, idempotent: self.head.is_idempotent() }
    }
}

impl Exchange<'_> {
    /// Serves the request.
    pub(crate) async fn run(mut self, peer: SocketAddr) -> After {
        let snapshot = self.core.reader.load();
        let client = Client::of(peer, self.head, &self.core.trusted_proxies.load());
        self.record.listener = Some(self.listener.address);
        self.record.client = Some(client.address);
        let id = self.core.request_ids.of(self.head);
        self.record.id.clone_from(&id);
        let Some(path) = normalised(self.head.path()) else {
            self.down.close_afterwards();
            return self.refuse(Refusal::BadRequest(Fault::EscapesRoot)).await;
        };
        let Some(route) = snapshot.routes.find_on(self.listener.address, self.head.host(), &path) else {
            return self.refuse(Refusal::NoRoute).await;
        };
        self.record.route = Some(route.clone());
        if let Some(answer) = &route.settings.answer {
            return self.answer(answer, route, &client).await;
        }
        route.budget.deposit(self.record.arrived);
        if matches!(self.head.framing, Framing::Length(length) if length > route.settings.max_body.get()) {
            return self.refuse(Refusal::BodyTooLarge).await;
        }
        let deadline = self.record.arrived.after(route.settings.timeouts.total);
        let (held, streams) = match self.hold_body(route, deadline).await {
            Ok(body) => body,
            Err(after) => return after,
        };
        let key = key::of(route, self.head, &client, (!streams).then_some(&held));
        self.record.key = key;
        let demand = self.demand(route, &client, &held);
        let Self { core, listener, head, .. } = self;
        let plan = Plan { core, listener, head, route, client, id: &id, key, held, streams, deadline, demand };
        self.try_until_answered(&plan).await
    }

    /// Reads the body whole, as far as the route's limit and the memory of all go; says whether more follows.
    async fn hold_body(&mut self, route: &Route, deadline: Moment) -> Result<(Held, bool), After> {
        let settings = &route.settings;
        let mut held = Held::new(&self.core.body_budget, settings.buffer_body.get().min(settings.max_body.get()));
        let fits = match self.head.framing {
            Framing::None | Framing::Length(0) => return Ok((held, false)),
            Framing::Length(length) => held.may_hold(length),
            Framing::Chunked => true,
        };
        if self.head.expects_continue && self.down.ask_for_body().is_err() {
            return Err(self.gone());
        }
        if !fits {
            self.core.observe.body_streamed();
            return Ok((held, true));
        }
        let mut since = self.timer.now();
        loop {
            let late = since.after(self.listener.read_timeout).min(deadline);
            let (down, timer) = (&mut *self.down, &mut *self.timer);
            let read = poll_fn(|cx| {
                // Our "go on" may still be in the backlog. A client that is gone is noticed by the read.
                let _sent = down.wire.poll_drained(cx);
                if let Poll::Ready(read) = down.poll_body(cx) {
                    return Poll::Ready(Some(read));
                }
                timer.poll(cx, late).map(|()| None)
            })
            .await;
            match read {
                None if late == deadline => return Err(self.refuse_and_close(Refusal::Deadline).await),
                None => return Err(self.refuse_and_close(Refusal::BodyTimeout).await),
                Some(Ok(None)) => break,
                Some(Ok(Some(piece))) => {
                    held.push(piece);
                    if held.len() > settings.max_body.get() {
                        return Err(self.refuse_and_close(Refusal::BodyTooLarge).await);
                    }
                    // Memory is set aside as bytes arrive, not for what a head announces: a client that sends no body
                    // must not keep others from having theirs held.
                    if !held.reserve(held.len()) {
                        if !self.down.body_done() {
                            held.finish();
                            self.core.observe.body_streamed();
                            return Ok((held, true));
                        }
                        // It is all here: to stream it would save nothing.
                        held.reserve_anyway();
                    }
                    since = self.timer.now();
                }
                Some(Err(error)) => {
                    return Err(match error.etype() {
                        ErrorType::ReadError | ErrorType::ConnectionClosed => self.gone(),
                        _ => self.refuse_and_close(Refusal::BadBody).await,
                    });
                }
            }
        }
        held.finish();
        self.core.observe.body_held();
        Ok((held, false))
    }

    /// What the queue of the service, if it has one, is told of the exchange.
    fn demand(&mut self, route: &Route, client: &Client, held: &Held) -> Option<Demand> {
        route.pool.permits()?;
        self.record.queued = Some(Duration::ZERO);
        let length = match self.head.framing {
            Framing::Length(length) => Some(length),
            Framing::None | Framing::Chunked => None,
        };
        let service = route.pool.service();
        let prediction = self.core.works.predict(service, route.settings.queueing.work, held, length);
        if let Some(prediction) = &prediction {
            prediction.metrics().predicted(Duration::from_nanos(prediction.work.0));
        }
        Some(Demand::new(self.timer.now(), client, prediction))
    }

    /// Endpoint after endpoint, until one answers or the rules say stop.
    async fn try_until_answered(&mut self, plan: &Plan<'_>) -> After {
        let mut visited = Visited::default();
        let mut next = match plan.seek(&plan.route.pool, &visited) {
            Ok(next) => Some(next),
            Err(why) => return self.refuse(seek::refusal_for(why)).await,
        };
        let mut refusal = Refusal::NoEndpoint;
        while let Some(found) = next.take() {
            let (lease, waited) = match found {
                Next::Lease(lease) => (lease, false),
                Next::Queued(waiting) => match self.wait(waiting).await {
                    Ok(lease) => (lease, true),
                    Err(Parted::Gone) => return self.gone(),
                    // What the try before came to says more than that there is nobody else.
                    Err(Parted::Unserved(Unserved::NoEndpoint)) => break,
                    Err(Parted::Unserved(why)) => return self.refuse(seek::refusal_for(why)).await,
                },
            };
            visited.push(plan, &lease);
            self.record.tries = self.record.tries.saturating_add(1);
            let attempt = Attempt {
                plan,
                lease: &lease,
                waited,
                visited: &visited,
                next: &mut next,
                timer: self.timer,
                down: self.down,
                record: self.record,
            };
            match attempt.run().await {
                Tried::Over(after) => return after,
                Tried::Gone => return self.gone(),
                Tried::Refused(refusal) => return self.refuse(refusal).await,
                Tried::Failed(failure) => {
                    refusal = refusal_for(failure);
                    if next.is_some() {
                        self.core.observe.retried(plan.route, failure);
                    }
                }
            }
        }
        self.refuse(refusal).await
    }

    /// Waits in the queue, for as long as the client does.
    async fn wait(&mut self, mut waiting: Waiting) -> Result<Lease, Parted> {
        let since = self.timer.now();
        let (down, timer) = (&mut *self.down, &mut *self.timer);
        let deadline = waiting.deadline();
        let parted = poll_fn(|cx| {
            if let Poll::Ready(served) = Pin::new(&mut waiting).poll(cx) {
                return Poll::Ready(Some(served.map_err(Parted::Unserved)));
            }
            if down.poll_gone(cx).is_ready() {
                return Poll::Ready(Some(Err(Parted::Gone)));
            }
            timer.poll(cx, deadline).map(|()| None)
        })
        .await;
        let waited = self.timer.now().since(since);
        self.record.queued = self.record.queued.map(|before| before + waited);
        parted.unwrap_or_else(|| waiting.give_up().map_err(Parted::Unserved))
    }

    /// The client left: nobody is answered.
    fn gone(&mut self) -> After {
        self.record.status = CLIENT_GONE;
        After::Close
    }

    /// Answers with a refusal after a fault that leaves the connection unusable.
    async fn refuse_and_close(&mut self, refusal: Refusal) -> After {
        self.down.close_afterwards();
        match self.refuse(refusal).await {
            After::Reuse | After::Linger => After::Linger,
            After::Close => After::Close,
        }
    }

    /// Answers with a refusal; the connection stays usable if the request was read to its end.
    async fn refuse(&mut self, refusal: Refusal) -> After {
        self.record.refused(refusal);
        self.core.observe.refused(refusal);
        if self.down.is_answered() {
            return After::Close;
        }
        self.answer_with(|exchange| exchange.write_refusal(refusal)).await
    }

    /// Answers as the route says; the connection stays usable if the request was read to its end.
    async fn answer(&mut self, answer: &FixedAnswer, route: &Route, client: &Client) -> After {
        self.record.status = answer.status;
        let id = self.record.id.clone();
        let facts = edits::Facts { head: self.head, client, id: &id, endpoint: "" };
        self.answer_with(|exchange| exchange.write_answer(answer, route, &facts)).await
    }

    /// Writes an answer of our own and waits until the client has it.
    async fn answer_with(&mut self, write: impl FnOnce(&mut Self) -> pingora_error::Result<()>) -> After {
        let whole = self.down.body_done();
        if !whole || self.core.is_draining() {
            self.down.close_afterwards();
        }
        if write(self).is_err() {
            return self.gone();
        }
        let deadline = self.timer.now().after(self.listener.write_timeout);
        let (down, timer) = (&mut *self.down, &mut *self.timer);
        let written = poll_fn(|cx| match down.wire.poll_drained(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.is_ok()),
            Poll::Pending => timer.poll(cx, deadline).map(|()| false),
        })
        .await;
        match written {
            true if whole && self.down.keeps_alive() => After::Reuse,
            true => After::Linger,
            false => After::Close,
        }
    }

    fn write_answer(
        &mut self,
        answer: &FixedAnswer,
        route: &Route,
        facts: &edits::Facts<'_>,
    ) -> pingora_error::Result<()> {
        let mut head = Box::new(ResponseHeader::build(answer.status, Some(6))?);
        let body = answer.body.as_ref().map_or("", |(_, body)| body);
        if let Some((kind, _)) = &answer.body {
            head.insert_header(http::header::CONTENT_TYPE, &**kind)?;
        }
        // RFC 9110 §8.6: these two say nothing of a length.
        if !matches!(answer.status, 204 | 304) {
            head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
        }
        if let Some(location) = &answer.location {
            head.insert_header(http::header::LOCATION, facts.fill(location))?;
        }
        head.insert_header("X-Request-Id", facts.id)?;
        if let Some(edits) = &route.settings.edits {
            edits::change_answer(&edits.answer, facts, &mut head);
        }
        self.down.write_head(head)?;
        if !self.head.is_head() {
            self.down.write_body(body.as_bytes())?;
        }
        self.down.finish_answer()
    }

    fn write_refusal(&mut self, refusal: Refusal) -> pingora_error::Result<()> {
        let body = refusal.body();
        let mut head = Box::new(ResponseHeader::build(refusal.status(), Some(6))?);
        head.insert_header(http::header::CONTENT_TYPE, "application/json")?;
        head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
        if let Some(seconds) = refusal.retry_after() {
            head.insert_header(http::header::RETRY_AFTER, seconds)?;
        }
        if !self.record.id.is_empty() {
            head.insert_header("X-Request-Id", self.record.id.as_str())?;
        }
        self.down.write_head(head)?;
        if !self.head.is_head() {
            self.down.write_body(&body)?;
        }
        self.down.finish_answer()
    }
}

/// Why an exchange left the queue without an endpoint.
enum Parted {
    /// The client left.
    Gone,
    /// The queue gave it none.
    Unserved(Unserved),
}

/// nginx's status for "the client closed the connection"; it is only ever logged and counted.
pub(crate) const CLIENT_GONE: u16 = 499;

/// What the client is told when the last try failed like this.
fn refusal_for(failure: Failure) -> Refusal {
    match failure {
        Failure::Connect => Refusal::ConnectFailed,
        Failure::ConnectTimeout | Failure::Timeout => Refusal::EndpointTimeout,
        Failure::Broken => Refusal::EndpointBroken,
        Failure::BadAnswer | Failure::Status(_) => Refusal::BadAnswer,
        Failure::Busy => Refusal::NoEndpoint,
    }
}
