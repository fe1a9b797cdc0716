//! Counts what an optimizer does, and writes it as Prometheus text.
//!
//! In: answers and durations. Out: text. Cost: one short lock per request, against milliseconds of work.
//! Kept here and not in a process-wide recorder, because several optimizers may live in one process.
//! Source: the Prometheus text exposition format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Shared;
use crate::kernel::{KERNEL_VERSION, Output, Path};

/// Upper ends of the buckets in milliseconds: from a thumbnail to the largest picture on a busy machine.
const BUCKETS: [u32; 15] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// The counters of one optimizer.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    /// By status and reason. Both come from fixed lists, never from requests.
    answers: BTreeMap<(u16, &'static str), u64>,
    /// Pictures written, in the order of [`Path::ALL`].
    paths: [u64; Path::ALL.len()],
    read: Histogram,
    wait: Histogram,
    work: Histogram,
    bytes_in: u64,
    bytes_out: u64,
}

/// How long the parts of one answer took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Until the body was there.
    pub(super) read: Duration,
    /// For a worker and for memory.
    pub(super) wait: Duration,
    /// On the worker.
    pub(super) work: Duration,
}

#[derive(Debug, Default)]
struct Histogram {
    /// Observations in each bucket alone; larger ones are only in `count`.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Duration,
}

impl Histogram {
    fn observe(&mut self, took: Duration) {
        if let Some(at) = BUCKETS.iter().position(|end| took <= Duration::from_millis(u64::from(*end))) {
            self.buckets[at] += 1;
        }
        self.count += 1;
        self.sum += took;
    }

    fn write(&self, out: &mut String, name: &str, help: &str) -> std::fmt::Result {
        writeln!(out, "# HELP {name} {help}\n# TYPE {name} histogram")?;
        let mut below = 0;
        for (end, count) in BUCKETS.iter().zip(self.buckets) {
            below += count;
            writeln!(out, "{name}_bucket{{le=\"{}\"}} {below}", f64::from(*end) / 1000.0)?;
        }
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {}", self.count)?;
        writeln!(out, "{name}_sum {}\n{name}_count {}", self.sum.as_secs_f64(), self.count)
    }
}

impl Metrics {
    /// One answer to a request, `reason` being a refusal's label or `ok`.
    pub(super) fn answered(&self, status: u16, reason: &'static str) {
        self.counts(|counts| *counts.answers.entry((status, reason)).or_default() += 1);
    }

    /// One picture written.
    pub(super) fn worked(&self, times: Times, bytes_in: usize, output: &Output) {
        self.counts(|counts| {
            counts.read.observe(times.read);
            counts.wait.observe(times.wait);
            counts.work.observe(times.work);
            counts.bytes_in += bytes_in as u64;
            counts.bytes_out += output.len() as u64;
            for (path, count) in Path::ALL.iter().zip(&mut counts.paths) {
                *count += u64::from(*path == output.path);
            }
        });
    }

    fn counts<T>(&self, with: impl FnOnce(&mut Counts) -> T) -> T {
        // Counters are whole numbers: whatever a panic left is still a count.
        with(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Everything about one optimizer, as Prometheus reads it.
pub(super) fn text(shared: &Shared) -> String {
    let mut out = String::with_capacity(4096);
    // Writing to a string does not fail.
    match shared.metrics.counts(|counts| write(&mut out, shared, counts)) {
        Ok(()) | Err(std::fmt::Error) => out,
    }
}

fn write(out: &mut String, shared: &Shared, counts: &Counts) -> std::fmt::Result {
    let id = &shared.id;
    writeln!(out, "# HELP weir_optimizer_info Which optimizer and kernel this is.\n# TYPE weir_optimizer_info gauge")?;
    writeln!(out, "weir_optimizer_info{{id=\"{id}\",kernel=\"{KERNEL_VERSION}\"}} 1")?;
    let name = "weir_optimizer_requests_total";
    writeln!(out, "# HELP {name} Answers by status and reason.\n# TYPE {name} counter")?;
    for ((status, reason), count) in &counts.answers {
        writeln!(out, "{name}{{status=\"{status}\",reason=\"{reason}\"}} {count}")?;
    }
    let name = "weir_optimizer_paths_total";
    writeln!(out, "# HELP {name} Pictures by the way they were written.\n# TYPE {name} counter")?;
    for (path, count) in Path::ALL.iter().zip(counts.paths) {
        writeln!(out, "{name}{{path=\"{}\"}} {count}", path.name())?;
    }
    let workers = &shared.workers;
    let memory = workers.memory();
    let marks = shared.kernel.kept_marks();
    let bodies = shared.body_limit.saturating_sub(shared.body_memory.available_permits() as u64);
    let simple = [
        ("abandoned_total", "counter", "Images whose client left while they waited.", workers.abandoned()),
        ("image_bytes_in_total", "counter", "Bytes of images read.", counts.bytes_in),
        ("image_bytes_out_total", "counter", "Bytes of images written.", counts.bytes_out),
        ("running", "gauge", "Images being worked on.", workers.running() as u64),
        ("waiting", "gauge", "Images waiting for a worker or for memory.", workers.waiting() as u64),
        ("kernel_memory_bytes", "gauge", "Most that the images being worked on may take.", memory.used()),
        ("kernel_memory_limit_bytes", "gauge", "What all images may take.", memory.limit()),
        ("kernel_memory_waits_total", "counter", "Images that had a worker and waited for memory.", memory.waits()),
        ("marks_kept_total", "counter", "Marks that were still there from an image before.", marks.hits),
        ("marks_drawn_total", "counter", "Marks that were drawn.", marks.misses),
        ("marks_bytes", "gauge", "Bytes of drawn marks kept.", marks.bytes),
        ("body_memory_bytes", "gauge", "Bytes of bodies held, received or being sent.", bodies),
        ("body_memory_limit_bytes", "gauge", "What all bodies may take.", shared.body_limit),
    ];
    for (name, kind, help, value) in simple {
        writeln!(out, "# HELP weir_optimizer_{name} {help}\n# TYPE weir_optimizer_{name} {kind}")?;
        writeln!(out, "weir_optimizer_{name} {value}")?;
    }
    counts.read.write(out, "weir_optimizer_read_seconds", "Time until the body of an image was there.")?;
    counts.wait.write(out, "weir_optimizer_wait_seconds", "Time an image waited for a worker and for memory.")?;
    counts.work.write(out, "weir_optimizer_work_seconds", "Time a worker took for an image.")
}
