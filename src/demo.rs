//! `weir demo`: optimizers and the proxy in front of them, in one process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_optimizer::{Optimizer, Options};

use crate::cli::say;
use crate::run::{self, RunError};
use crate::signals::Signals;

/// The photo that the printed command posts, from the project's root.
const PHOTO: &str = "optimizer/photos/life.jpg";

/// Runs the demo until a signal.
pub(crate) fn blocking(listen: SocketAddr, admin: SocketAddr, optimizers: u8) -> Result<(), RunError> {
    run::runtime(0)?.block_on(demo(listen, admin, optimizers))
}

async fn demo(listen: SocketAddr, admin: SocketAddr, optimizers: u8) -> Result<(), RunError> {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut endpoints = Vec::new();
    for number in 1..=optimizers {
        let options = Options { id: Some(format!("optimizer-{number}")), ..Options::default() };
        let optimizer = Optimizer::bind(options).await?;
        say(&format!("optimizer-{number} on http://{}", optimizer.local_addr()));
        endpoints.push(optimizer.local_addr());
        tasks.spawn(optimizer.run(stop.clone().cancelled_owned()));
    }
    tasks.close();
    let text = configuration(listen, admin, &endpoints);
    let config = weir_config::parse("demo.toml", &text).map_err(|problems| RunError::Demo(problems.to_string()))?;
    let outcome = run::run(config, None, |listen, admin| say(&hints(listen, admin))).await;
    stop.cancel();
    // A second signal is "now" for the optimizers too.
    let mut signals = Signals::listen()?;
    tokio::select! {
        () = tasks.wait() => {}
        () = signals.next() => {}
    }
    outcome
}

/// What a user would write for these optimizers.
fn configuration(listen: SocketAddr, admin: SocketAddr, endpoints: &[SocketAddr]) -> String {
    let endpoints = endpoints.iter().map(|address| format!("\"{address}\"")).collect::<Vec<_>>().join(", ");
    format!(
        r#"[server]
shutdown_delay = "0s"
[admin]
listen = "{admin}"
[[listener]]
address = "{listen}"
[[route]]
path = "/"
service = "optimizers"
body = {{ max = "64MiB", buffer = "32MiB" }}
timeout = {{ connect = "3s", read = "15s", total = "30s" }}
retry = {{ on = ["error", "timeout"], tries = 3, non_idempotent = true }}
[[service]]
name = "optimizers"
policy = "least-connections"
endpoints = [{endpoints}]
health = {{ kind = "http", path = "/healthz", interval = "1s" }}
"#
    )
}

/// Three commands to try.
fn hints(listen: SocketAddr, admin: SocketAddr) -> String {
    let photo = photo();
    let photo = photo.display();
    format!(
        "\ntry, in another terminal:\n\
         \x20 curl -sS --data-binary '@{photo}' 'http://{listen}/optimize?text=NWS&position=br' -o marked.jpg\n\
         \x20 curl -sS -D - -o /dev/null --data-binary '@{photo}' 'http://{listen}/optimize?position=tile&opacity=0.2'\n\
         \x20 curl -sS http://{admin}/metrics | grep weir_tries_total\n\n\
         the first saves the marked photo as marked.jpg, the second shows who drew it;\n\
         http://{admin}/ in a browser shows them all at work; Ctrl-C ends the demo"
    )
}

/// The photo, below here or where this was built, by a path that holds in any folder.
fn photo() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(PHOTO);
    Path::new(PHOTO).canonicalize().unwrap_or(built)
}
