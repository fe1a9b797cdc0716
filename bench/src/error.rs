//! Why there is no measurement at all; what spoils one round only is a [`crate::rig::load::Fault`].

use std::io;
use std::path::PathBuf;

/// What ends a run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("there is no weir at `{}`: build it (cargo build --profile dist -p weir) or name it with --weir", .path.display())]
    NoWeir { path: PathBuf },
    #[error("there is no browser to look with: apt-get install chromium chromium-driver")]
    NoBrowser,
    #[error("none of the chosen proxies is installed")]
    NoProxy,
    #[error("cannot run on core {core}: choose another with --proxy-core and --load-core")]
    Core { core: usize, source: io::Error },
    #[error("cannot start `{}`", .program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("`{name}` did not get ready ({reason}); it wrote:\n{output}")]
    NotReady { name: &'static str, reason: &'static str, output: String },
    #[error("cannot read `{path}`")]
    Proc { path: String, source: io::Error },
    #[error("`{path}` has an unknown form")]
    ProcForm { path: String },
    #[error(
        "{wanted} connections need {needed} open files, but the limit is {limit}: raise it (ulimit -Hn) or ask for fewer"
    )]
    OpenFiles { wanted: usize, needed: u64, limit: u64 },
    #[error("cannot write `{}`", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no picture to mark: choose a folder with JPEG, PNG or WebP files, or another --only")]
    NoPhotos,
    #[error("cannot read the photos in `{}`", .path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "there is no optimizer at `{}`: build it (cargo build --profile dist -p weir-optimizer) or name it with --optimizer",
        .path.display()
    )]
    NoOptimizer { path: PathBuf },
    #[error("there are no photos to be read in `{}`", .path.display())]
    Photos { path: PathBuf, source: io::Error },
    #[error("the optimizer does not do photo {number}: {reason}")]
    Lesson { number: usize, reason: String },
    #[error("cannot plot the runs in `{}`: {why}", .path.display())]
    Runs { path: PathBuf, why: String },
    #[error("{0}")]
    Trace(String),
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// `error` and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = vec![error.to_string().trim_end().to_owned()];
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    words.join(": ")
}
