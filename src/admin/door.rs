//! How many may be connected to the admin listener at once.
//!
//! In: connections. Out: those that there is room for; the others wait in the system's queue. Cost: one counter.
//! Why: whoever opens connections and says nothing must not take the descriptors that clients need.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may be connected: operators, scrapers and pages are few.
pub(crate) const PLACES: usize = 128;

/// A listener with so many places.
pub(crate) struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection that holds a place.
pub(crate) struct Guest {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

/// Whose connection it is.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Door {
    pub(crate) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(PLACES)) }
    }
}

impl Listener for Door {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        // Nobody closes the semaphore.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, peer) = Listener::accept(&mut self.listener).await;
        (Guest { stream, _place: place }, peer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        Self(*stream.remote_addr())
    }
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_gets_in_once_one_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut door = Door::new(listener);
        let (mut clients, mut guests) = (Vec::new(), Vec::new());
        for _ in 0..PLACES {
            clients.push(TcpStream::connect(address).await.unwrap());
            guests.push(door.accept().await);
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        tokio::select! {
            biased;
            _ = door.accept() => panic!("there is no place"),
            () = std::future::ready(()) => {}
        }
        drop(guests.pop());
        let (_guest, peer) = door.accept().await;
        assert_eq!(peer, clients[PLACES].local_addr().unwrap());
    }
}
