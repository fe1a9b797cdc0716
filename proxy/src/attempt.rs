//! One try at one endpoint: a connection, the request, and whatever comes of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::ErrorType;
use pingora_http::{RequestHeader, ResponseHeader};
use weir_snapshot::Lease;

use crate::downstream::Downstream;
use crate::exchange::{After, Plan};
use crate::forward::{Sending, answer_head, ends_with_connection, request_head};
use crate::head::Framing;
use crate::idle::Connection;
use crate::pump::{Event, Late, Limits, Pump, Upload};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::retry::Failure;
use crate::seek::{Next, Visited, busy_span};
use crate::timer::Timer;
use crate::wire::{Handle, Wire};

/// How long a pooled connection may have rested to be trusted with a request that must not be sent twice: shorter than
/// any common keep-alive timeout, so that the endpoint is not about to close it.
const FRESH: Duration = Duration::from_secs(1);

/// How a try ended.
pub(crate) enum Tried {
    /// The client has its answer, or as much of it as there was.
    Over(After),
    /// The client left before it had an answer.
    Gone,
    /// The client is to be told no, and no other endpoint asked.
    Refused(Refusal),
    /// The endpoint failed; whether another is asked stands in `next`.
    Failed(Failure),
}

/// One try.
pub(crate) struct Attempt<'a> {
    pub(crate) plan: &'a Plan<'a>,
    pub(crate) lease: &'a Lease,
    /// Whether the exchange waited in the queue for it.
    pub(crate) waited: bool,
    /// The endpoints tried so far, this one included.
    pub(crate) visited: &'a Visited,
    /// Where the endpoint of the next try goes.
    pub(crate) next: &'a mut Option<Next>,
    pub(crate) timer: &'a mut Timer,
    pub(crate) down: &'a mut Downstream,
    pub(crate) record: &'a mut Record,
}

enum Unconnected {
    Gone,
    Late,
    Failed { failure: Failure, blame: bool },
}

/// Where a connection is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Fresh,
    /// It served an exchange before, and may have died since.
    Pooled {
        may_resend: bool,
    },
}

enum Conversation {
    Ended(Tried),
    /// The pooled connection was dead: nothing was heard, nothing is proven against the endpoint.
    Stale,
}

/// What the head of the answer, or its absence, amounts to.
enum Verdict {
    Answer { head: Box<ResponseHeader>, status: u16, busy: bool },
    Failed(Failure),
    Stopped(Event),
}

impl Attempt<'_> {
    /// Tries.
    pub(crate) async fn run(mut self) -> Tried {
        let plan = self.plan;
        let may_resend = plan.head.is_idempotent() || plan.route.settings.retry.non_idempotent;
        // A body that streams can be sent once; a dead pooled connection would cost the request.
        let rested = match (plan.streams, may_resend) {
            (true, _) => Duration::ZERO,
            (false, true) => Duration::MAX,
            (false, false) => FRESH,
        };
        let pooled = (!rested.is_zero())
            .then(|| plan.core.idle.take(self.lease.member().into(), self.timer.now(), rested))
            .flatten();
        if let Some(connection) = pooled {
            plan.core.observe.connected(self.lease, "reused");
            if let Conversation::Ended(tried) = self.converse(connection, Origin::Pooled { may_resend }).await {
                return tried;
            }
            plan.core.observe.connected(self.lease, "stale");
        }
        let opening = self.timer.now();
        match self.connect().await {
            Ok(connection) => {
                self.record.connect = Some(self.timer.now().since(opening));
                plan.core.observe.connected(self.lease, "new");
                match self.converse(connection, Origin::Fresh).await {
                    Conversation::Ended(tried) => tried,
                    Conversation::Stale => self.failed(Failure::Broken, true, self.untouched()),
                }
            }
            Err(Unconnected::Gone) => {
                self.note("stopped");
                Tried::Gone
            }
            Err(Unconnected::Late) => {
                self.note(Failure::ConnectTimeout.label());
                self.blame_for_all_the_time(Failure::ConnectTimeout);
                Tried::Refused(Refusal::Deadline)
            }
            Err(Unconnected::Failed { failure, blame }) => self.failed(failure, blame, self.untouched()),
        }
    }

    /// Whether everything the client has sent so far is held, so that another endpoint can have it from the start.
    fn untouched(&self) -> bool {
        self.down.bytes_in == self.plan.held.len()
    }

    /// Notes how the try ended.
    fn note(&mut self, outcome: &'static str) {
        self.plan.core.observe.tried(self.lease, outcome);
        self.record.tried(self.lease, outcome);
    }

    /// The exchange's whole time passed while this endpoint was waited for. If none was tried before it, and nothing was
    /// spent in a queue, it had all of that time; one that was tried later may have had a moment only.
    fn blame_for_all_the_time(&self, failure: Failure) {
        if self.record.tries == 1 && !self.waited {
            self.plan.blame(self.lease, failure.label(), failure.words());
        }
    }

    /// Notes a failure, blames, and decides whether to go on: in this order, since an ejection may be what makes all
    /// endpoints of the pool ejected, and the next one to be had.
    fn failed(&mut self, failure: Failure, blame: bool, replayable: bool) -> Tried {
        let Self { plan, lease, visited, .. } = *self;
        self.note(failure.label());
        if blame {
            plan.blame(lease, failure.label(), failure.words());
        }
        // It never worked on it.
        plan.settle(lease, None, Duration::ZERO, self.waited);
        let facts = plan.facts(self.record.tries, self.down.is_answered(), replayable);
        plan.goes_on(failure, facts, (lease, visited), self.next);
        Tried::Failed(failure)
    }

    /// A fresh connection, unless the client leaves meanwhile.
    async fn connect(&mut self) -> Result<Connection, Unconnected> {
        let plan = self.plan;
        let peer = HttpPeer::new(self.lease.address(), false, String::new());
        let deadline = self.timer.now().after(plan.route.settings.timeouts.connect);
        let mut connecting = pin!(plan.core.connector.new_stream(&peer));
        let (down, timer) = (&mut *self.down, &mut *self.timer);
        poll_fn(|cx| {
            if let Poll::Ready(outcome) = connecting.as_mut().poll(cx) {
                return Poll::Ready(match outcome {
                    Ok(io) if is_connected_to_itself(&io) => {
                        Err(Unconnected::Failed { failure: Failure::Connect, blame: true })
                    }
                    Ok(io) => {
                        let (stream, wire) = Wire::new(io);
                        Ok(Connection { stream: Box::new(stream), wire })
                    }
                    // The library calls it internal when the socket could not be made: our fault, not the endpoint's.
                    Err(error) => {
                        let ours = [ErrorType::InternalError, ErrorType::SocketError, ErrorType::BindError];
                        Err(Unconnected::Failed { failure: Failure::Connect, blame: !ours.contains(error.etype()) })
                    }
                });
            }
            if down.poll_gone(cx).is_ready() {
                return Poll::Ready(Err(Unconnected::Gone));
            }
            timer.poll(cx, deadline.min(plan.deadline)).map(|()| {
                Err(if plan.deadline <= deadline {
                    Unconnected::Late
                } else {
                    Unconnected::Failed { failure: Failure::ConnectTimeout, blame: true }
                })
            })
        })
        .await
    }

    /// Sends the request over a connection and passes the answer on.
    async fn converse(&mut self, connection: Connection, origin: Origin) -> Conversation {
        use Conversation::Ended;
        let Self { plan, lease, visited, .. } = *self;
        let (sending, upload) = self.upload();
        let head = request_head(plan.head, &plan.client, plan.id, &lease.member().label, sending);
        let Connection { stream, wire } = connection;
        let mut up = HttpSession::new(stream);
        if (plan.head.is_head() || plan.head.upgrade) && tell(&mut up, &wire, plan.head.is_head()).await.is_err() {
            return Ended(Tried::Refused(Refusal::BadAnswer));
        }
        wire.push(&head);
        let mut pump = Pump::new(self.down, up, wire.clone(), self.timer, self.plan.limits(), upload);
        let sent_at = plan.core.clock.now();
        let verdict = await_answer(plan, &mut pump).await;
        // A pooled connection that ends without a word may have been dead before: nothing is proven against the endpoint.
        let stale = matches!(verdict, Verdict::Failed(Failure::Broken)) && !pump.heard() && origin != Origin::Fresh;
        if stale && origin == (Origin::Pooled { may_resend: true }) {
            return Conversation::Stale;
        }
        let failure = match &verdict {
            Verdict::Answer { busy: true, .. } => Some(Failure::Busy),
            Verdict::Answer { status, .. } => plan.counts(*status).then_some(Failure::Status(*status)),
            Verdict::Failed(failure) => Some(*failure),
            Verdict::Stopped(_) => None,
        };
        tell_queue(plan, lease, &verdict, plan.core.clock.now().since(sent_at), self.waited);
        let replayable = !pump.consumed();
        if let Some(failure) = failure {
            if plan.blames(failure) && !stale {
                plan.blame(lease, failure.label(), failure.words());
            }
            // Other failures may be quick because they are failures.
            if failure == Failure::Timeout {
                let now = plan.core.clock.now();
                lease.answered(now, now.since(sent_at));
            }
            let facts = plan.facts(self.record.tries, pump.down.is_answered(), replayable);
            let goes_on = plan.goes_on(failure, facts, (lease, visited), self.next);
            if goes_on || matches!(verdict, Verdict::Failed(_)) {
                drop(pump);
                self.note(failure.label());
                return Ended(Tried::Failed(failure));
            }
        }
        match verdict {
            Verdict::Failed(failure) => Ended(Tried::Failed(failure)),
            Verdict::Stopped(event) => {
                let endpoint_is_late = matches!(event, Event::Late(Late::Total)) && pump.awaited_the_endpoint();
                drop(pump);
                if endpoint_is_late {
                    self.note(Failure::Timeout.label());
                    self.blame_for_all_the_time(Failure::Timeout);
                } else {
                    self.note("stopped");
                }
                Ended(stopped(&event))
            }
            Verdict::Answer { head, status, busy } => {
                let now = plan.core.clock.now();
                match failure {
                    // Blamed above, if it is to be.
                    Some(_) => {}
                    None if plan.blames(Failure::Status(status)) => {
                        let failure = Failure::Status(status);
                        plan.blame(lease, failure.label(), failure.words());
                    }
                    None => {
                        plan.credit(lease);
                        lease.answered(now, now.since(sent_at));
                    }
                }
                let label = if busy { "busy" } else { "answered" };
                plan.core.observe.tried(lease, label);
                self.record.tried(lease, label);
                self.record.answered(status, now.since(sent_at));
                if plan.core.is_draining() || ends_with_connection(&head, plan.head) {
                    pump.down.close_afterwards();
                }
                let (after, cut) = deliver(plan, lease, pump, head).await;
                self.record.cut = cut;
                Ended(Tried::Over(after))
            }
        }
    }

    /// The body as this try sends it.
    fn upload(&self) -> (Sending, Upload) {
        let plan = self.plan;
        let sending = match (plan.streams, plan.head.framing) {
            (true, framing) => Sending::streamed(framing),
            (false, Framing::None) => Sending::Nothing,
            (false, _) => Sending::Length(plan.held.len()),
        };
        let (pieces, held) = (plan.held.pieces(), plan.held.len());
        let max = plan.route.settings.max_body.get();
        (sending, Upload { pieces, streams: plan.streams, sending, max, held, taken: held })
    }
}

/// Tells the queue of the service, if it has one, what the endpoint made of the exchange.
fn tell_queue(plan: &Plan<'_>, lease: &Lease, verdict: &Verdict, taken: Duration, waited: bool) {
    match verdict {
        Verdict::Answer { head, busy: true, .. } => {
            if plan.route.settings.queueing.adaptive {
                lease.busy(plan.core.clock.now(), busy_span(&head.headers));
            }
            plan.settle(lease, None, Duration::ZERO, waited);
        }
        Verdict::Answer { head, status, .. } => plan.settle(lease, Some((*status, &head.headers)), taken, waited),
        Verdict::Failed(_) | Verdict::Stopped(_) => plan.settle(lease, None, taken, waited),
    }
}

/// Waits for the final answer's head; interim ones go to clients that know them.
async fn await_answer(plan: &Plan<'_>, pump: &mut Pump<'_>) -> Verdict {
    loop {
        match pump.next().await {
            Event::Head => {}
            Event::Broken => return Verdict::Failed(Failure::Broken),
            Event::BadAnswer => return Verdict::Failed(Failure::BadAnswer),
            Event::Late(Late::Answer | Late::EndpointWrite) => return Verdict::Failed(Failure::Timeout),
            event => return Verdict::Stopped(event),
        }
        let Some(answer) = pump.answer() else { return Verdict::Failed(Failure::BadAnswer) };
        let status = answer.status.as_u16();
        let Some(head) = answer_head(answer, plan.head).filter(|_| status != 101 || plan.head.upgrade) else {
            return Verdict::Failed(Failure::BadAnswer);
        };
        if status >= 200 || status == 101 {
            let busy = status == 503 && answer.headers.contains_key(http::header::RETRY_AFTER);
            return Verdict::Answer { head, status, busy };
        }
        // 100 was answered by us.
        if status != 100 && plan.head.is_11 && pump.down.write_head(head).is_err() {
            return Verdict::Stopped(Event::ClientGone);
        }
    }
}

/// Passes the final answer on, to its last byte; says whether it broke off before.
async fn deliver(plan: &Plan<'_>, lease: &Lease, mut pump: Pump<'_>, head: Box<ResponseHeader>) -> (After, bool) {
    let tunnel = head.status == 101;
    if pump.deliver(head).is_err() {
        return (After::Close, true);
    }
    let event = pump.next().await;
    match event {
        Event::Delivered if tunnel => (After::Linger, false),
        Event::Delivered => {
            let wire = pump.up_wire.clone();
            let whole = pump.down.body_done();
            let reusable = pump.down.keeps_alive();
            if let Some(mut up) = pump.into_clean() {
                up.respect_keepalive();
                if let Some(stream) = up.reuse().await {
                    let idle = plan.route.settings.timeouts.idle.duration();
                    let whom = lease.member().into();
                    plan.core.idle.put(whom, Connection { stream, wire }, plan.core.clock.now(), idle);
                }
            }
            (if whole && reusable { After::Reuse } else { After::Linger }, false)
        }
        // The answer cannot be completed: the client sees the connection end before the answer's length is reached, or
        // before its last chunk.
        Event::Broken | Event::BadAnswer | Event::Late(Late::Answer | Late::EndpointWrite) => {
            if !tunnel {
                plan.blame(lease, "cut", "the answer broke off");
            }
            plan.core.observe.cut(lease);
            (After::Close, !tunnel)
        }
        Event::Late(Late::Total) => {
            plan.core.observe.cut(lease);
            (After::Close, true)
        }
        _ => (After::Close, !tunnel),
    }
}

/// What a client is told whose own fault, or whose deadline, stopped the try.
fn stopped(event: &Event) -> Tried {
    match event {
        Event::BadBody => Tried::Refused(Refusal::BadBody),
        Event::BodyTooLarge => Tried::Refused(Refusal::BodyTooLarge),
        Event::Late(Late::ClientRead) => Tried::Refused(Refusal::BodyTimeout),
        Event::Late(Late::Total) => Tried::Refused(Refusal::Deadline),
        _ => Tried::Gone,
    }
}

impl Plan<'_> {
    fn limits(&self) -> Limits {
        let timeouts = self.route.settings.timeouts;
        Limits {
            answer: timeouts.read,
            endpoint_write: timeouts.write,
            client_read: self.listener.read_timeout,
            client_write: self.listener.write_timeout,
            total: Some(self.deadline),
        }
    }

    /// Whether an answer of this status is a failed try.
    fn counts(&self, status: u16) -> bool {
        self.route.settings.retry.on_statuses.binary_search(&status).is_ok()
    }

    /// Whether a failure speaks against the endpoint.
    fn blames(&self, failure: Failure) -> bool {
        match failure {
            Failure::Busy => false,
            Failure::Status(status) => self.route.pool.health().statuses.binary_search(&status).is_ok(),
            _ => true,
        }
    }
}

/// Tells the session what it will read the answer to, which decides how that is framed: a `HEAD`, or an upgrade. What it
/// writes for that goes nowhere; the head that the endpoint gets is ours, which may hold targets the library's type cannot.
async fn tell(up: &mut HttpSession, wire: &Handle, is_head: bool) -> pingora_error::Result<()> {
    let mut request = Box::new(RequestHeader::build(if is_head { "HEAD" } else { "GET" }, b"/", Some(1))?);
    request.set_version(http::Version::HTTP_11);
    if !is_head {
        request.insert_header(http::header::UPGRADE, "any")?;
    }
    wire.mute(true);
    let told = up.write_request_header(request).await;
    wire.mute(false);
    told.map(drop)
}

/// Whether a connection to a local port found nobody there and, by TCP's simultaneous open, itself: possible when the
/// port lies in the range that connections are opened from.
fn is_connected_to_itself(io: &Stream) -> bool {
    let digest = io.get_socket_digest();
    digest.is_some_and(|digest| {
        let peer = digest.peer_addr().and_then(|address| address.as_inet());
        peer.is_some_and(|peer| {
            peer.ip().is_loopback() && digest.local_addr().and_then(|address| address.as_inet()) == Some(peer)
        })
    })
}
