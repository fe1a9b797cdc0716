//! SIGTERM and SIGINT: the first asks to leave, the second insists. SIGHUP asks to read the configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a weir.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen; from now on neither ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of either.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The signal that asks to read the configuration again.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Starts to listen; from now on it does not end the process.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one. Several that come before it is asked for are one.
    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
