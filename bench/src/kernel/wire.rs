//! What the parent and a contender say to each other, a line of JSON each way.
//!
//! In: a [`Job`] on standard input. Out: first of all a [`Hello`], then for each job a [`Done`], on standard output. A
//! contender ends when its standard input does, so none outlives a parent that was killed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The first line of a contender.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Hello {
    /// What it is and of which version.
    pub(crate) version: String,
    /// The most memory it has had so far, in bytes: what an idle process takes.
    pub(crate) base: u64,
    /// What is not installed; then this line is the last.
    pub(crate) missing: Option<String>,
}

/// One file to mark.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    /// The file to mark.
    pub(crate) input: PathBuf,
    /// Where the written file goes, if anybody wants to see it.
    pub(crate) output: Option<PathBuf>,
    /// The mark for those who do not draw text: white, its coverage as alpha, 8 bits.
    pub(crate) mark: PathBuf,
    /// Where the mark's upper left corner goes.
    pub(crate) x: u32,
    /// As `x`, downwards.
    pub(crate) y: u32,
    /// The query for those who draw text.
    pub(crate) query: String,
    /// Quality for those who have to be told, 1 to 100.
    pub(crate) quality: u8,
    /// Which way to do it, of those that the contender has; ignored when it has one only.
    pub(crate) form: String,
    /// Processor time, in milliseconds, until which the same is done again: a short job is seldom timed well.
    pub(crate) enough: f64,
}

/// A job well done.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Done {
    /// Processor time of the shortest repetition in milliseconds, user and kernel, all threads.
    pub(crate) millis: f64,
    /// Bytes written.
    pub(crate) bytes: u64,
    /// The most memory the process has had so far, in bytes.
    pub(crate) peak: u64,
    /// How the picture was made, in the contender's own word.
    pub(crate) way: String,
}

/// The answer to a job.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Answer {
    /// It worked.
    Done(Done),
    /// It did not, and why.
    Failed(String),
}
