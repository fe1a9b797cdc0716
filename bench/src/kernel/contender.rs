//! A contender as the parent sees it: a process that is given jobs.
//!
//! In: a [`Job`]. Out: a [`Done`], or why not. The process is killed when the handle is dropped.

use std::path::PathBuf;
use std::process::Stdio;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::wire::{Answer, Done, Hello, Job};
use crate::error::BenchError;

const VIPS: &str = include_str!("vips.py");

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Who {
    /// The optimizer's kernel.
    Weir,
    /// libvips in whichever of its forms is the fastest.
    Vips,
    /// libvips as it is commonly used, the whole picture through `composite2`.
    Composite,
    /// ImageMagick.
    Magick,
}

impl Who {
    pub(crate) const ALL: [Self; 4] = [Self::Weir, Self::Vips, Self::Composite, Self::Magick];

    /// A column's head.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Vips => "libvips",
            Self::Composite => "composite2",
            Self::Magick => "ImageMagick",
        }
    }

    /// What to do when it is missing.
    fn remedy(self) -> &'static str {
        match self {
            Self::Weir => "build weir-bench again",
            Self::Vips | Self::Composite => "pip install 'pyvips[binary]' for the python3 in the PATH",
            Self::Magick => "apt-get install imagemagick",
        }
    }

    /// The ways in which it can do a job, the default one first. Of a PNG, also how hard it is compressed.
    pub(crate) fn forms(self, png: bool) -> &'static [&'static str] {
        match (self, png) {
            (Self::Weir, _) => &["kernel"],
            (Self::Vips, false) => &["region", "blend", "strip", "draw", "composite"],
            (Self::Vips, true) => &["strip-6", "strip-1", "blend-1", "draw-1"],
            (Self::Composite, false) => &["composite"],
            (Self::Composite, true) => &["composite-6"],
            (Self::Magick, false) => &["composite", "draw"],
            (Self::Magick, true) => &["composite", "composite-1", "draw-1"],
        }
    }

    fn command(self) -> Result<Command, BenchError> {
        let mut command = match self {
            Self::Weir | Self::Magick => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["kernel-child", if self == Self::Weir { "weir" } else { "magick" }]);
                command
            }
            Self::Vips | Self::Composite => {
                let mut command = Command::new("python3");
                command.args(["-c", VIPS]).env("VIPS_CONCURRENCY", "1");
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(command)
    }
}

/// A running contender.
pub(crate) struct Contender {
    who: Who,
    hello: Hello,
    process: Child,
    jobs: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Contender {
    /// Starts one; the inner error is a sentence about what to install.
    ///
    /// # Errors
    /// [`BenchError`] when it is ours and cannot be started.
    pub(crate) async fn start(who: Who) -> Result<Result<Self, String>, BenchError> {
        let missing = |why: &str| {
            let (name, remedy) = (who.name(), who.remedy());
            format!("no comparison with {name}, which is not installed ({why}): {remedy}")
        };
        let mut process = match who.command()?.spawn() {
            Ok(process) => process,
            Err(source) if who == Who::Weir => {
                return Err(BenchError::Start { program: PathBuf::from("weir-bench"), source });
            }
            Err(error) => return Ok(Err(missing(&format!("python3: {error}")))),
        };
        let (Some(jobs), Some(out)) = (process.stdin.take(), process.stdout.take()) else {
            return Ok(Err(missing("no pipes")));
        };
        let mut answers = BufReader::new(out).lines();
        let line = answers.next_line().await?.unwrap_or_default();
        let hello: Hello = match serde_json::from_str(&line) {
            Ok(hello) => hello,
            Err(error) => return Ok(Err(missing(&format!("it said `{line}`, {error}")))),
        };
        if let Some(why) = &hello.missing {
            return Ok(Err(missing(why)));
        }
        Ok(Ok(Self { who, hello, process, jobs, answers }))
    }

    pub(crate) fn who(&self) -> Who {
        self.who
    }

    /// What it said first.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Has a job done.
    ///
    /// # Errors
    /// A sentence about why it was not.
    pub(crate) async fn ask(&mut self, job: &Job) -> Result<Done, String> {
        let mut line = serde_json::to_vec(job).map_err(|error| error.to_string())?;
        line.push(b'\n');
        self.jobs.write_all(&line).await.map_err(|error| error.to_string())?;
        let line = self.answers.next_line().await.map_err(|error| error.to_string())?;
        let Some(line) = line else {
            let status = self.process.wait().await.map_or_else(|error| error.to_string(), |status| status.to_string());
            return Err(format!("it ended with {status}"));
        };
        match serde_json::from_str(&line).map_err(|error| format!("it said `{line}`, {error}"))? {
            Answer::Done(done) => Ok(done),
            Answer::Failed(why) => Err(why),
        }
    }
}
