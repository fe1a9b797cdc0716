//! One client connection: head, exchange, head, exchange, …
//!
//! In: a stream just accepted. Cost while idle: the task, the wire and one timer; no buffer is held, since what arrives
//! is read into the worker's own scratch space first. The header deadline runs from the first byte of a head to its
//! last, in total, so a drip of bytes does not renew it; the wait between two requests has its own.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use pingora_core::protocols::Stream;
use tokio::io::ReadBuf;
use weir_snapshot::ListenerSettings;

use crate::access_log::{Facts, Traffic};
use crate::core::Core;
use crate::downstream::Downstream;
use crate::exchange::{After, Exchange};
use crate::head::{self, Head, Read};
use crate::record::Record;
use crate::refusal::Refusal;
use crate::timer::Timer;
use crate::wire::{Handle, Wire};

/// As nginx's `lingering_timeout`: how long a client that was refused may pause before it is given up.
const LINGER_PAUSE: Duration = Duration::from_secs(5);
/// As nginx's `lingering_time`: how long in all its bytes are read and dropped.
const LINGER_TOTAL: Duration = Duration::from_secs(30);

thread_local! {
    /// One per worker instead of one per connection. Never borrowed across an await: `poll_fill` is not async.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; 16 * 1024].into_boxed_slice());
}

/// Serves a connection until it ends.
pub(crate) async fn serve(core: Arc<Core>, settings: &ArcSwap<ListenerSettings>, io: Stream, peer: SocketAddr) {
    let (wire, handle) = Wire::new(io);
    let mut stream: Stream = Box::new(wire);
    let mut closing = std::pin::pin!(core.closing.cancelled());
    let mut timer = Timer::new(core.clock);
    let mut buf = BytesMut::new();
    loop {
        let head = match next_head(&core, settings, &handle, &mut timer, closing.as_mut(), &mut buf).await {
            Next::Head(head) => head,
            Next::Over => return,
            Next::Refused(refusal) => {
                core.observe.refused(refusal);
                let mut record = Record::new(timer.now());
                record.client = Some(peer.ip().to_canonical());
                record.refused(refusal);
                let traffic = Traffic { bytes_in: 0, bytes_out: refusal.body().len() as u64 };
                finished(&core, None, record, traffic);
                handle.push(&refusal.last_answer());
                let limit = settings.load().write_timeout.duration();
                if drained(&handle, &mut timer, limit).await {
                    linger(&handle, &mut timer, closing.as_mut()).await;
                }
                return;
            }
        };
        // Once for each exchange, when its head is there: it may have been waited for across a reload. What changes from now
        // on holds for the next one.
        let listener = settings.load_full();
        let mut record = Record::new(core.clock.now());
        let Ok(mut down) = Downstream::new(stream, handle.clone(), &head, std::mem::take(&mut buf)) else {
            tracing::error!("a request head that was accepted could not be handed to the session");
            return;
        };
        let exchange = Exchange {
            core: &core,
            listener: &listener,
            head: &head,
            timer: &mut timer,
            down: &mut down,
            record: &mut record,
        };
        // Boxed, so that an idle connection does not carry the room that an exchange needs.
        let after = Box::pin(exchange.run(peer)).await;
        let traffic = Traffic { bytes_in: down.bytes_in, bytes_out: down.bytes_out };
        finished(&core, Some(&head), record, traffic);
        match after {
            After::Reuse => match down.release().await {
                Some((kept, rest)) => (stream, buf) = (kept, rest),
                None => return,
            },
            After::Close => return,
            After::Linger => {
                linger(&handle, &mut timer, closing.as_mut()).await;
                return;
            }
        }
        handle.rest();
    }
}

fn finished(core: &Core, head: Option<&Head>, record: Record, traffic: Traffic) {
    let total = core.clock.now().since(record.arrived);
    core.observe.finished(&record, total);
    if let Some(log) = &*core.access_log.load() {
        #[expect(clippy::disallowed_methods, reason = "the access log is what wall time is for")]
        log.note(&Facts { head, record: &record, traffic, total, now: SystemTime::now() });
    }
    core.recent.note(head, record, traffic, total);
}

enum Next {
    Head(Box<Head>),
    Refused(Refusal),
    Over,
}

/// Waits for the next head and reads it, under the settings of each moment: they may change while it waits.
async fn next_head(
    core: &Core,
    settings: &ArcSwap<ListenerSettings>,
    handle: &Handle,
    timer: &mut Timer,
    mut closing: Pin<&mut impl Future<Output = ()>>,
    buf: &mut BytesMut,
) -> Next {
    let since = timer.now();
    let mut started = (!buf.is_empty()).then(|| timer.now());
    let mut scanned = 0;
    loop {
        if !buf.is_empty() {
            match head::read(buf, &mut scanned, &settings.load()) {
                Read::Head(head) => return Next::Head(head),
                Read::Refused(refusal) => return Next::Refused(refusal),
                // A blank line alone starts nothing.
                Read::More if buf.is_empty() => started = None,
                Read::More => {}
            }
        }
        let due = || match started {
            Some(first_byte) => first_byte.after(settings.load().header_timeout),
            None => since.after(settings.load().idle_timeout),
        };
        let deadline = due();
        let filled = poll_fn(|cx| {
            if let Poll::Ready(filled) = poll_fill(handle, cx, buf) {
                return Poll::Ready(Some(filled));
            }
            if buf.is_empty() && closing.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Some(false));
            }
            timer.poll(cx, deadline).map(|()| None)
        })
        .await;
        match filled {
            Some(true) => started = started.or_else(|| Some(timer.now())),
            Some(false) => return Next::Over,
            // It may wait for longer by now.
            None if timer.now() < due() => {}
            None if buf.is_empty() => return Next::Over,
            None => return Next::Refused(Refusal::HeadTimeout),
        }
        if core.closing.is_cancelled() && buf.is_empty() {
            return Next::Over;
        }
    }
}

/// Reads what is there; `false` when the client has closed or reset the connection.
fn poll_fill(handle: &Handle, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<bool> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut read = ReadBuf::new(scratch);
        handle.poll_read(cx, &mut read).map(|outcome| {
            buf.extend_from_slice(read.filled());
            outcome.is_ok() && !read.filled().is_empty()
        })
    })
}

/// Waits until the client has taken everything, for `limit` at most.
async fn drained(handle: &Handle, timer: &mut Timer, limit: Duration) -> bool {
    let deadline = timer.now().after(limit);
    poll_fn(|cx| match handle.poll_drained(cx) {
        Poll::Ready(outcome) => Poll::Ready(outcome.is_ok()),
        Poll::Pending => timer.poll(cx, deadline).map(|()| false),
    })
    .await
}

/// Ends our half, then reads and drops what the client still sends: closing a socket with unread bytes makes the kernel
/// send a reset, which may destroy the answer before the client has read it.
async fn linger(handle: &Handle, timer: &mut Timer, mut closing: Pin<&mut impl Future<Output = ()>>) {
    let end = timer.now().after(LINGER_TOTAL);
    if poll_fn(|cx| handle.poll_shutdown(cx)).await.is_err() {
        return;
    }
    let mut dropped = BytesMut::new();
    loop {
        let deadline = timer.now().after(LINGER_PAUSE).min(end);
        let more = poll_fn(|cx| {
            if let Poll::Ready(more) = poll_fill(handle, cx, &mut dropped) {
                return Poll::Ready(more);
            }
            if closing.as_mut().poll(cx).is_ready() {
                return Poll::Ready(false);
            }
            timer.poll(cx, deadline).map(|()| false)
        })
        .await;
        if !more || timer.now() >= end {
            return;
        }
        dropped.clear();
    }
}
