//! Who does what when: the forms are tried, then the rounds run, then memory is read.
//!
//! In: contenders, files. Out: [`Table`]s and the coverage. A contender that fails at a file has a fault there and no number;
//! the others go on.

use std::path::Path;

use super::contender::{Contender, Who};
use super::corpus::{Photo, Refused};
use super::stamp::{self, Stamp};
use super::wire::{Done, Job};
use super::{Ask, Cell, Comparison, Covered, Row, Table};
use crate::error::BenchError;
use crate::rounds::order;

/// A job is done again until it has taken this much CPU time in milliseconds, and its least counts.
const ENOUGH: f64 = 40.0;
/// While forms are compared, something is done twice at least: the first time grows buffers.
const TRIALS: usize = 2;

/// Fills in which way each file takes.
///
/// # Errors
/// [`BenchError::Io`] when there is no folder for what is written.
pub(crate) async fn cover(
    contenders: &mut [Contender],
    photos: &[Photo],
    result: &mut Comparison,
) -> Result<(), BenchError> {
    let Some(weir) = contenders.iter_mut().find(|each| each.who() == Who::Weir) else { return Ok(()) };
    for photo in photos {
        let job = Job { enough: 0.0, ..job(photo, Ask::Source, None) };
        match weir.ask(&job).await {
            Ok(done) => {
                result.coverage.push(Covered { name: photo.name.clone(), bytes: photo.bytes, way: done.way });
            }
            Err(why) => result.refused.push(Refused { name: photo.name.clone(), why }),
        }
    }
    Ok(())
}

/// Measures all files, asked for in one way.
///
/// # Errors
/// [`BenchError::Io`] when there is no folder for what is written.
pub(crate) async fn table(
    contenders: &mut [Contender],
    photos: &[Photo],
    ask: Ask,
    rounds: usize,
    say: &impl Fn(&str),
) -> Result<Table, BenchError> {
    let folder = tempfile::tempdir()?;
    let mut rows = Vec::new();
    // A PNG has no quality: it would be the same again.
    for photo in photos.iter().filter(|photo| ask == Ask::Source || !photo.png) {
        let row = row(contenders, photo, ask, rounds, folder.path()).await?;
        let times = row.cells.iter().map(|cell| {
            let least = crate::rounds::median(cell.millis.iter().flatten().copied());
            let name = cell.who.name();
            least.map_or_else(|| format!("{name} –"), |millis| format!("{name} {millis:.1} ms ({})", cell.way))
        });
        say(&format!("{}, {}: {}", ask.word(), photo.name, times.collect::<Vec<_>>().join("  ")));
        rows.push(row);
    }
    Ok(Table { ask, rows })
}

async fn row(
    contenders: &mut [Contender],
    photo: &Photo,
    ask: Ask,
    rounds: usize,
    folder: &Path,
) -> Result<Row, BenchError> {
    let mark = stamp::cut(ask.query(), (photo.width, photo.height), folder);
    let mut cells = Vec::new();
    for contender in &mut *contenders {
        let who = contender.who();
        let mut cell = Cell {
            who,
            way: String::new(),
            millis: Vec::new(),
            bytes: None,
            memory: None,
            agreement: None,
            fault: None,
        };
        match (who, &mark) {
            (Who::Weir, _) | (_, Ok(_)) => {
                match fastest(contender, photo, &job(photo, ask, mark.as_ref().ok())).await {
                    Ok(form) => cell.way = form,
                    Err(why) => cell.fault = Some(why),
                }
            }
            (_, Err(why)) => cell.fault = Some(why.clone()),
        }
        cells.push(cell);
    }
    for round in 0..rounds {
        for number in order(cells.len(), round) {
            let (Some(contender), Some(cell)) = (contenders.get_mut(number), cells.get_mut(number)) else { continue };
            if cell.fault.is_some() {
                cell.millis.push(None);
                continue;
            }
            let job = Job { form: cell.way.clone(), ..job(photo, ask, mark.as_ref().ok()) };
            match contender.ask(&job).await {
                Ok(done) => {
                    cell.millis.push(Some(done.millis));
                    cell.bytes = Some(done.bytes);
                }
                Err(why) => {
                    cell.millis.push(None);
                    cell.fault = Some(why);
                }
            }
        }
    }
    let ours = folder.join(format!("weir-{}", photo.name));
    for cell in cells.iter_mut().filter(|cell| cell.fault.is_none()) {
        let output = if cell.who == Who::Weir { ours.clone() } else { folder.join(format!("peer-{}", photo.name)) };
        let job = Job {
            output: Some(output.clone()),
            form: cell.way.clone(),
            enough: 0.0,
            ..job(photo, ask, mark.as_ref().ok())
        };
        match fresh(cell.who, &job).await? {
            Ok((done, memory)) => {
                cell.memory = Some(memory);
                if cell.who == Who::Weir {
                    cell.way = done.way;
                } else if let Ok(stamp) = &mark {
                    cell.agreement = stamp.agreement(&ours, &output);
                }
            }
            Err(why) => cell.fault = Some(why),
        }
    }
    std::fs::remove_file(&ours).unwrap_or_default();
    Ok(Row { photo: photo.clone(), quality: ask.quality(photo), target: ask.target(photo), cells })
}

/// The form in which a contender is fastest at a job.
async fn fastest(contender: &mut Contender, photo: &Photo, job: &Job) -> Result<String, String> {
    let forms = contender.who().forms(photo.png);
    let (mut best, mut fault): (Option<(f64, &str)>, _) = (None, "there is no form".to_owned());
    for form in forms {
        let job = Job { form: (*form).to_owned(), enough: if forms.len() > 1 { ENOUGH } else { 0.0 }, ..job.clone() };
        for _ in 0..TRIALS {
            match contender.ask(&job).await {
                Ok(done) if best.is_none_or(|(least, _)| done.millis < least) => best = Some((done.millis, form)),
                Ok(_) => {}
                Err(why) => fault = why,
            }
        }
    }
    best.map(|(_, form)| form.to_owned()).ok_or(fault)
}

/// Does a job in a process that has done nothing before; with it goes the memory it took above what it had then.
async fn fresh(who: Who, job: &Job) -> Result<Result<(Done, u64), String>, BenchError> {
    let mut contender = match Contender::start(who).await? {
        Ok(contender) => contender,
        Err(why) => return Ok(Err(why)),
    };
    let base = contender.hello().base;
    Ok(contender.ask(job).await.map(|done| {
        let memory = done.peak.saturating_sub(base);
        (done, memory)
    }))
}

fn job(photo: &Photo, ask: Ask, mark: Option<&Stamp>) -> Job {
    Job {
        input: photo.path.clone(),
        output: None,
        mark: mark.map(|mark| mark.path.clone()).unwrap_or_default(),
        x: mark.map_or(0, |mark| mark.x),
        y: mark.map_or(0, |mark| mark.y),
        query: ask.query().to_owned(),
        quality: ask.quality(photo),
        form: String::new(),
        enough: ENOUGH,
    }
}
