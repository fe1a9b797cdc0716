//! Marks files and says how, and what it cost: `mark [--query QUERY] [--out FOLDER] [--times N] FILE...`
//!
//! In: pictures. Out: a line each, with the processor time of the best of N runs; with a folder, the marked pictures.
//! The processor time is that of this thread, from Linux, so that other work on the machine does not count.

use std::path::Path;
use std::process::ExitCode;

use bytes::Bytes;
use clap::Parser;
use weir_optimizer::kernel::{Header, Kernel, Limits, Output};
use weir_optimizer::plan::FormatAsk;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Marks files and says how, and what it cost.
#[derive(Parser)]
struct Cli {
    /// As in a request
    #[arg(long, default_value = "")]
    query: String,
    /// Folder for the marked files
    #[arg(long)]
    out: Option<std::path::PathBuf>,
    /// Runs of which the best counts
    #[arg(long, default_value_t = 5)]
    times: u32,
    /// Pictures
    files: Vec<std::path::PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    for file in &cli.files {
        if let Err(error) = one(&cli, file) {
            eprintln!("{}: {error}", file.display());
        }
    }
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn one(cli: &Cli, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let input = Bytes::from(std::fs::read(file)?);
    let kernel = Kernel::new()?;
    let plan = kernel.plan(&cli.query)?;
    let header = Header::read(&input, &Limits::default())?;
    let target = match plan.format {
        FormatAsk::Is(format) => format,
        FormatAsk::Keep | FormatAsk::Auto => header.format,
    };
    let mut best: Option<(f64, Output)> = None;
    for _ in 0..cli.times.max(1) {
        let before = spent();
        let output = kernel.optimize(&input, &header, &plan, target, &mut |_| {})?;
        let took = spent() - before;
        if best.as_ref().is_none_or(|(least, _)| took < *least) {
            best = Some((took, output));
        }
    }
    let Some((took, output)) = best else { return Ok(()) };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let (path, pieces) = (output.path.name(), output.pieces.len());
    let new: usize =
        output.pieces.iter().filter(|piece| !input.as_ptr_range().contains(&piece.as_ptr())).map(Bytes::len).sum();
    println!(
        "{name:40} {path:9} {took:8.2} ms  {:9} to {:9} bytes, {new} new, {pieces} pieces",
        input.len(),
        output.len()
    );
    if let Some(folder) = &cli.out {
        std::fs::write(folder.join(name.as_ref()), output.to_vec())?;
    }
    Ok(())
}

/// Processor time of this thread so far, in milliseconds.
fn spent() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    std::time::Duration::try_from(time).unwrap_or_default().as_secs_f64() * 1e3
}
