//! The access log: opened as configured, and opened anew on SIGUSR1, as nginx does for whoever rotates logs.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use weir_config::{AccessLog, Log};
use weir_proxy::{LogTo, Proxy};

use crate::run::RunError;

/// The log that the configuration asks for.
pub(crate) fn open(log: &Log) -> Result<Option<weir_proxy::AccessLog>, RunError> {
    let (to, path) = match &log.access {
        AccessLog::Off => return Ok(None),
        AccessLog::Stdout => (LogTo::Stdout, PathBuf::from("standard output")),
        AccessLog::File(path) => (LogTo::File { path: path.clone(), mode: log.mode }, path.clone()),
    };
    let opened = weir_proxy::AccessLog::start(to, log.rules.clone());
    opened.map(Some).map_err(|source| RunError::AccessLog { path, source })
}

/// SIGUSR1.
#[derive(Debug)]
pub(crate) struct Reopen(Signal);

impl Reopen {
    /// Starts to listen; from now on the signal does not end the process, whether there is a log or not.
    pub(crate) fn listen() -> io::Result<Self> {
        signal(SignalKind::user_defined1()).map(Self)
    }

    /// Has the log opened anew at every signal, until `end`.
    pub(crate) async fn serve(mut self, proxy: Arc<Proxy>, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                // The stream of signals has no end.
                _ = self.0.recv() => {
                    if !proxy.reopen_log() {
                        tracing::info!("there is no access log to open anew");
                    }
                }
            }
        }
    }
}
