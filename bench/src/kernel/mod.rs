//! What the optimizer's kernel costs, next to libvips and ImageMagick on the same files with the same mark.
//!
//! In: files, rounds. Out: a [`Comparison`]. Each contender is a process of its own, so that its CPU time and its memory are
//! its own; they take turns file by file, in an order that changes from round to round. Memory is read in a fresh process
//! for each file. The method in full, and what can be held against it: `docs/guide/kernel.md`.

mod child;
mod contender;
mod corpus;
mod report;
mod scene;
mod stamp;
mod turns;
mod wire;

use std::path::PathBuf;

use serde::Serialize;

pub(crate) use self::child::Role;
use self::contender::{Contender, Who};
pub(crate) use self::corpus::FOLDER;
use self::corpus::{Photo, Refused};
use crate::error::BenchError;
use crate::rig::machine::Machine;

/// What to measure.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Turns of each contender; with none, only the ways that the kernel takes are listed.
    pub(crate) rounds: usize,
    /// Files to take instead of the made ones.
    pub(crate) photos: Option<PathBuf>,
    /// Parts of names, of which one must occur; none means all.
    pub(crate) only: Vec<String>,
    /// Where the made files are kept.
    pub(crate) corpus: PathBuf,
}

/// One kind of answer that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ask {
    /// The picture with a mark, about as good as it was.
    Source,
    /// The picture with a mark, at quality 85.
    Q85,
}

impl Ask {
    /// One word for progress and headings.
    fn word(self) -> &'static str {
        match self {
            Self::Source => "mark at source quality",
            Self::Q85 => "re-encode at Q85",
        }
    }

    /// What our kernel is asked.
    fn query(self) -> &'static str {
        match self {
            Self::Source => "text=NWS&position=br&opacity=0.5&size=0.05&margin=0.02",
            Self::Q85 => "text=NWS&position=br&opacity=0.5&size=0.05&margin=0.02&quality=85",
        }
    }

    /// What the peers are told for `photo`.
    fn quality(self, photo: &Photo) -> u8 {
        match self {
            Self::Source => photo.quality,
            Self::Q85 => 85,
        }
    }

    /// The most that weir may take as a share of libvips.
    fn target(self, photo: &Photo) -> Option<f64> {
        match self {
            Self::Source => photo.target,
            Self::Q85 => photo.jpeg.then_some(1.0 / 2.1),
        }
    }
}

/// All that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) machine: Machine,
    pub(crate) rounds: usize,
    /// Who takes part, and of which version.
    pub(crate) versions: Vec<(Who, String)>,
    /// Who does not, and what to install.
    pub(crate) missing: Vec<String>,
    /// At source quality, then at quality 85; empty without rounds.
    pub(crate) tables: Vec<Table>,
    /// Name, bytes and way of every file.
    pub(crate) coverage: Vec<Covered>,
    /// Files that the kernel does not read.
    pub(crate) refused: Vec<Refused>,
}

impl Comparison {
    /// Whether our own side failed with a file that it reads.
    pub(crate) fn lacks(&self) -> bool {
        let ours = self.tables.iter().flat_map(|table| &table.rows).filter_map(|row| row.cell(Who::Weir));
        ours.clone().any(|cell| cell.fault.is_some())
    }
}

/// Which way one file takes.
#[derive(Debug, Serialize)]
pub(crate) struct Covered {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    /// At source quality.
    pub(crate) way: String,
}

/// All files, asked for in one way.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) ask: Ask,
    pub(crate) rows: Vec<Row>,
}

/// One file, asked for in one way.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) photo: Photo,
    /// What the peers were told.
    pub(crate) quality: u8,
    /// weir's CPU time as a share of libvips', at most.
    pub(crate) target: Option<f64>,
    pub(crate) cells: Vec<Cell>,
}

/// One contender with one file.
#[derive(Debug, Serialize)]
pub(crate) struct Cell {
    pub(crate) who: Who,
    /// How it did it; for weir the path, for others the form.
    pub(crate) way: String,
    /// Milliseconds of CPU time, one per round; `None` where it failed.
    pub(crate) millis: Vec<Option<f64>>,
    /// Bytes of its file.
    pub(crate) bytes: Option<u64>,
    /// The most memory above that of an idle process, in bytes, in a fresh process.
    pub(crate) memory: Option<u64>,
    /// How near its picture is to weir's under the mark, in decibels.
    pub(crate) agreement: Option<f64>,
    /// Why it has no result.
    pub(crate) fault: Option<String>,
}

impl Row {
    /// What `who` did.
    pub(crate) fn cell(&self, who: Who) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.who == who)
    }
}

/// Runs it all; `say` is told of progress, line by line.
///
/// # Errors
/// [`BenchError`] when our own side cannot be started or the files cannot be read. A contender that is missing is none.
pub(crate) async fn run(options: &Options, say: impl Fn(&str)) -> Result<Comparison, BenchError> {
    let machine = Machine::here();
    let (photos, refused) = match &options.photos {
        Some(folder) => corpus::found(folder, &options.only)?,
        None => (corpus::made(&options.corpus, &options.only, &say)?, Vec::new()),
    };
    if photos.is_empty() && refused.is_empty() {
        return Err(BenchError::NoPhotos);
    }
    let (mut contenders, mut missing) = (Vec::new(), Vec::new());
    for who in Who::ALL {
        if options.rounds == 0 && who != Who::Weir {
            continue;
        }
        match Contender::start(who).await? {
            Ok(contender) => contenders.push(contender),
            // libvips takes part twice, and is missing once.
            Err(_) if who == Who::Composite => {}
            Err(why) => missing.push(why),
        }
    }
    for why in &missing {
        say(&format!("warning: {why}"));
    }
    let versions = contenders.iter().map(|each| (each.who(), each.hello().version.clone())).collect();
    let mut result = Comparison {
        machine,
        rounds: options.rounds,
        versions,
        missing,
        tables: Vec::new(),
        coverage: Vec::new(),
        refused,
    };
    turns::cover(&mut contenders, &photos, &mut result).await?;
    if options.rounds > 0 {
        for ask in [Ask::Source, Ask::Q85] {
            let table = turns::table(&mut contenders, &photos, ask, options.rounds, &say).await?;
            result.tables.push(table);
        }
    }
    Ok(result)
}
