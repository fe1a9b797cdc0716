//! Our side of a comparison, in a process of its own: the optimizer's kernel, and ImageMagick as a whole program.
//!
//! In: the protocol of [`super::wire`]. Out: the same. Cost: that of the work. The kernel is called as its HTTP shell calls it,
//! bytes in and pieces out; reading the file is not timed. ImageMagick is timed from start to end, less what the same
//! program takes to start, write nothing and end. Processor time and memory are what Linux counts.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;
use weir_optimizer::kernel::{Header, KERNEL_VERSION, Kernel, Limits, Output};
use weir_optimizer::plan::FormatAsk;

use super::wire::{Answer, Done, Hello, Job};
use crate::error::chain;

/// Which contender to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// The optimizer's kernel.
    Weir,
    /// ImageMagick.
    Magick,
}

impl Role {
    /// Says hello and answers jobs until standard input ends.
    ///
    /// # Errors
    /// When standard input or output breaks.
    pub(crate) fn answer(self) -> io::Result<()> {
        match self {
            Self::Weir => {
                let kernel = Kernel::new().map_err(io::Error::other)?;
                let version = format!("weir-optimizer {} ({KERNEL_VERSION})", env!("CARGO_PKG_VERSION"));
                say(&Hello { version, base: own_peak()?, missing: None })?;
                let mut held = None;
                each_job(|job| mark(&kernel, job, &mut held))
            }
            Self::Magick => {
                let Some((program, version)) = magick() else {
                    let missing = Some("neither `magick` nor `convert` can be started".to_owned());
                    return say(&Hello { version: String::new(), base: 0, missing });
                };
                let mut start_up = f64::INFINITY;
                // Twice: the first start reads the program from the disk.
                for _ in 0..2 {
                    start_up = start_up.min(timed(&mut idle(&program)).map_err(io::Error::other)?);
                }
                say(&Hello { version, base: childrens_peak()?, missing: None })?;
                each_job(|job| {
                    start_up = start_up.min(timed(&mut idle(&program))?);
                    convert(&program, job, start_up)
                })
            }
        }
    }
}

fn each_job(mut work: impl FnMut(&Job) -> Result<Done, String>) -> io::Result<()> {
    for line in io::stdin().lock().lines() {
        let job: Job = serde_json::from_str(&line?)?;
        say(&work(&job).map_or_else(Answer::Failed, Answer::Done))?;
    }
    Ok(())
}

fn say(line: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Marks one file with the kernel; `held` is the file of the job before.
fn mark(kernel: &Kernel, job: &Job, held: &mut Option<(PathBuf, Bytes)>) -> Result<Done, String> {
    if held.as_ref().is_none_or(|(path, _)| *path != job.input) {
        *held = None;
        let bytes = std::fs::read(&job.input).map_err(|error| chain(&error))?;
        *held = Some((job.input.clone(), Bytes::from(bytes)));
    }
    let Some((_, input)) = held else { return Err("no file".to_owned()) };
    let plan = kernel.plan(&job.query).map_err(|error| chain(&error))?;
    let once = || -> Result<Output, String> {
        let header = Header::read(input, &Limits::default()).map_err(|refusal| chain(&refusal))?;
        let target = match plan.format {
            FormatAsk::Is(format) => format,
            FormatAsk::Keep | FormatAsk::Auto => header.format,
        };
        kernel.optimize(input, &header, &plan, target, &mut |_| {}).map_err(|refusal| chain(&refusal))
    };
    let mut spent = Spending::new(job.enough);
    let output = loop {
        let before = cpu(UsageWho::RUSAGE_SELF)?;
        let output = once()?;
        if spent.is_enough(cpu(UsageWho::RUSAGE_SELF)? - before) {
            break output;
        }
    };
    let peak = own_peak().map_err(|error| chain(&error))?;
    if let Some(path) = &job.output {
        std::fs::write(path, output.to_vec()).map_err(|error| chain(&error))?;
    }
    Ok(Done { millis: spent.least, bytes: output.len() as u64, peak, way: output.path.name().to_owned() })
}

/// Marks one file with ImageMagick.
fn convert(program: &Path, job: &Job, start_up: f64) -> Result<Done, String> {
    let folder = tempfile::tempdir().map_err(|error| chain(&error))?;
    let name = job.input.file_name().unwrap_or_default();
    let output = job.output.clone().unwrap_or_else(|| folder.path().join(name));
    let (form, level) = job.form.split_once('-').map_or((job.form.as_str(), None), |(form, level)| (form, Some(level)));
    let mut spent = Spending::new(job.enough);
    loop {
        let mut command = single(program);
        command.arg(&job.input);
        match form {
            "composite" => {
                command.arg(&job.mark).arg("-geometry").arg(format!("+{}+{}", job.x, job.y)).arg("-composite")
            }
            "draw" => command.arg("-draw").arg(format!("image over {},{} 0,0 '{}'", job.x, job.y, job.mark.display())),
            other => return Err(format!("there is no form `{other}`")),
        };
        if let Some(level) = level {
            command.arg("-define").arg(format!("png:compression-level={level}"));
        } else if job.input.extension().is_none_or(|ending| ending != "png") {
            // Of a PNG, "quality" is how hard it is compressed, and the default is the best there is.
            command.arg("-quality").arg(job.quality.to_string());
        }
        command.arg(&output);
        if spent.is_enough(timed(&mut command)?) {
            break;
        }
    }
    Ok(Done {
        millis: (spent.least - start_up).max(0.0),
        bytes: std::fs::metadata(&output).map_err(|error| chain(&error))?.len(),
        peak: childrens_peak().map_err(|error| chain(&error))?,
        way: job.form.clone(),
    })
}

/// Repetitions of the same job.
struct Spending {
    enough: f64,
    spent: f64,
    least: f64,
}

impl Spending {
    fn new(enough: f64) -> Self {
        Self { enough, spent: 0.0, least: f64::INFINITY }
    }

    /// Counts a repetition in milliseconds; whether it was the last.
    fn is_enough(&mut self, millis: f64) -> bool {
        self.spent += millis;
        self.least = self.least.min(millis);
        self.spent >= self.enough
    }
}

/// The program and its version; it is called `magick` from version 7 on.
fn magick() -> Option<(PathBuf, String)> {
    ["magick", "convert"].into_iter().find_map(|name| {
        let output = Command::new(name).arg("-version").stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let words: HashMap<usize, &str> = text.split_whitespace().enumerate().collect();
        let known = words.get(&1).is_some_and(|word| *word == "ImageMagick");
        known.then(|| (PathBuf::from(name), format!("ImageMagick {}", words.get(&2).unwrap_or(&""))))
    })
}

/// The program with one thread.
fn single(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.env("MAGICK_THREAD_LIMIT", "1").env("OMP_NUM_THREADS", "1");
    command
}

/// A run that does nothing.
fn idle(program: &Path) -> Command {
    let mut command = single(program);
    command.args(["-size", "1x1", "xc:black", "null:"]);
    command
}

/// Processor time of a whole program, in milliseconds.
fn timed(command: &mut Command) -> Result<f64, String> {
    let before = cpu(UsageWho::RUSAGE_CHILDREN)?;
    let output = command.stderr(Stdio::piped()).output().map_err(|error| chain(&error))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(cpu(UsageWho::RUSAGE_CHILDREN)? - before)
}

/// Processor time so far in milliseconds, user and kernel.
fn cpu(whose: UsageWho) -> Result<f64, String> {
    let usage = getrusage(whose).map_err(|error| error.to_string())?;
    let millis = |time: nix::sys::time::TimeVal| {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 microseconds")]
        let parts = (time.tv_sec() as f64, time.tv_usec() as f64);
        parts.0 * 1e3 + parts.1 / 1e3
    };
    Ok(millis(usage.user_time()) + millis(usage.system_time()))
}

/// The most resident memory of this process so far, in bytes.
fn own_peak() -> io::Result<u64> {
    // Not `getrusage`, whose count begins with what the parent had at the fork.
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The most resident memory of any child that has ended, in bytes.
fn childrens_peak() -> io::Result<u64> {
    // In KiB on Linux. Here the parent is this process, which has next to nothing.
    Ok(u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss()).unwrap_or_default() * 1024)
}
