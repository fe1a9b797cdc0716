//! Receives the image of a request.
//!
//! In: a body, raw or multipart. Out: the bytes of the image, and the permit to hold them. Cost: one copy, two for
//! multipart. Memory is paid for byte by byte as it arrives, so that many slow uploads hold little.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body_util::{BodyDataStream, BodyExt as _, Full};
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::work::Stopwatch;
use crate::refusal::Refusal;

/// Longest pause between two pieces of a body.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes a second that a body must come with on average, after one such pause. Without it, a byte now and then would hold
/// the memory of a large body for ever, and a few of those all the memory for bodies. A telephone with one bar is faster.
const LEAST_PACE: u64 = 16 << 10;
/// Room for the headers and boundaries around the image in a multipart body.
const MULTIPART_ROOM: u64 = 64 << 10;
/// Reserved at once for a body that gives its length; more is reserved as it comes.
const RESERVE: u64 = 1 << 20;
/// How long the rest of a refused body is read, so that the client reads the refusal instead of a reset connection.
const LINGER: Duration = Duration::from_secs(5);

/// An image, and the permit to hold it in memory.
pub(super) struct Received {
    pub(super) image: Bytes,
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Receives the image in `body`, at most `limit` bytes of it.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: &mut Incoming,
    limit: u64,
    memory: &Arc<Semaphore>,
) -> Result<Received, Refusal> {
    if let Some(coding) =
        headers.get(CONTENT_ENCODING).filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Refusal::ContentEncoding { coding: String::from_utf8_lossy(coding.as_bytes()).into_owned() });
    }
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("multipart/form-data") {
        let (image, memory) = whole(body, limit, limit, memory).await?;
        return Ok(Received { image, memory });
    }
    let boundary = multer::parse_boundary(media_type).map_err(|_| Refusal::Multipart {
        why: "the Content-Type is multipart/form-data without a boundary".to_owned(),
    })?;
    let (form, mut held) = whole(body, limit.saturating_add(MULTIPART_ROOM), limit, memory).await?;
    // The image is copied out of the form.
    pay(&mut held, memory, form.len())?;
    let image = file(form, boundary).await?;
    if image.len() as u64 > limit {
        return Err(Refusal::BodyTooLarge { limit });
    }
    Ok(Received { image, memory: held })
}

/// Reads on, for a while and without keeping anything, after a refusal.
pub(super) async fn linger(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever still sends after that is cut off.
    if timeout(LINGER, rest).await.is_err() {
        tracing::debug!("a refused body did not end in time");
    }
}

async fn whole(
    body: &mut (impl Body<Data = Bytes> + Unpin),
    most: u64,
    limit: u64,
    memory: &Arc<Semaphore>,
) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal> {
    let announced = body.size_hint().lower();
    if announced > most {
        return Err(Refusal::BodyTooLarge { limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(announced.min(RESERVE)).unwrap_or(0));
    let mut held = None;
    let (mut watch, mut spent) = (Stopwatch::start(), Duration::ZERO);
    loop {
        let left = patience(bytes.len() as u64).saturating_sub(spent);
        let frame = timeout(left.min(PIECE_TIMEOUT), body.frame()).await;
        let Some(frame) = frame.map_err(|_| Refusal::SlowBody { limit: PIECE_TIMEOUT, pace: LEAST_PACE })? else {
            return Ok((bytes.into(), held));
        };
        spent += watch.lap();
        let Ok(piece) = frame.map_err(|_| Refusal::BodyAborted)?.into_data() else { continue };
        if (bytes.len() + piece.len()) as u64 > most {
            return Err(Refusal::BodyTooLarge { limit });
        }
        pay(&mut held, memory, piece.len())?;
        bytes.extend_from_slice(&piece);
    }
}

/// How long a body of which `bytes` came may have taken for them.
fn patience(bytes: u64) -> Duration {
    PIECE_TIMEOUT + Duration::from_secs(bytes / LEAST_PACE)
}

/// Makes `held` a permit for `count` bytes, more or fewer than it is.
pub(super) fn hold(
    held: &mut Option<OwnedSemaphorePermit>,
    memory: &Arc<Semaphore>,
    count: usize,
) -> Result<(), Refusal> {
    let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
    if let Some(more) = count.checked_sub(have) {
        return pay(held, memory, more);
    }
    drop(held.as_mut().and_then(|held| held.split(have - count)));
    Ok(())
}

/// Adds the permit for `count` more bytes to `held`.
fn pay(held: &mut Option<OwnedSemaphorePermit>, memory: &Arc<Semaphore>, count: usize) -> Result<(), Refusal> {
    let count = u32::try_from(count).map_err(|_| Refusal::BodyMemory)?;
    let more = Arc::clone(memory).try_acquire_many_owned(count).map_err(|_| Refusal::BodyMemory)?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}

/// The field `file` of a form that is wholly there.
async fn file(form: Bytes, boundary: String) -> Result<Bytes, Refusal> {
    let broken = |error: multer::Error| Refusal::Multipart { why: format!("the multipart body is broken: {error}") };
    let mut form = multer::Multipart::new(BodyDataStream::new(Full::new(form)), boundary);
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name != "file" {
            let why = format!("unknown field `{name}`: send the image as the field `file`, and options in the query");
            return Err(Refusal::Multipart { why });
        }
        if file.replace(field.bytes().await.map_err(broken)?).is_some() {
            return Err(Refusal::Multipart { why: "the field `file` is there twice: send one image".to_owned() });
        }
    }
    file.ok_or_else(|| Refusal::Multipart { why: "there is no field `file`: send the image as one".to_owned() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use hyper::body::Frame;
    use tokio::time::{Interval, interval};

    use super::*;

    /// A body that comes in pieces of one size, one each time.
    struct Trickle {
        pieces: u32,
        size: usize,
        each: Interval,
    }

    impl Body for Trickle {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.pieces == 0 {
                return Poll::Ready(None);
            }
            ready!(self.each.poll_tick(context));
            self.pieces -= 1;
            Poll::Ready(Some(Ok(Frame::data(vec![7; self.size].into()))))
        }
    }

    async fn received(pieces: u32, size: usize, each: Duration) -> Result<usize, Refusal> {
        let memory = Arc::new(Semaphore::new(1 << 30));
        let mut body = Trickle { pieces, size, each: interval(each) };
        whole(&mut body, 1 << 30, 1 << 30, &memory).await.map(|(bytes, _)| bytes.len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_for_ever_is_refused_though_no_pause_in_it_is_long() {
        assert!(matches!(received(1000, 1, Duration::from_secs(29)).await, Err(Refusal::SlowBody { .. })));
        assert!(matches!(received(1000, 16 << 10, Duration::from_secs(2)).await, Err(Refusal::SlowBody { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_at_the_pace_of_a_slow_telephone_is_received_however_long_it_takes() {
        assert_eq!(received(1000, 20 << 10, Duration::from_secs(1)).await.unwrap(), 1000 * (20 << 10));
        assert_eq!(received(2, 100, Duration::from_secs(29)).await.unwrap(), 200);
    }
}
