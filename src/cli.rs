//! Commands, and the only place that prints.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use weir_config::Config;

use crate::{demo, run};

/// A Layer-7 load balancer and service-discovery proxy.
#[derive(Debug, Parser)]
#[command(name = "weir", version, about, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Balance as FILE says, until SIGTERM or SIGINT
    Run {
        /// Configuration, TOML
        file: PathBuf,
    },
    /// Say everything that is wrong with FILE; exit 0 when nothing is, else 1
    Check {
        /// Configuration, TOML
        file: PathBuf,
    },
    /// Run optimizers and a proxy in front of them, all in this process
    Demo {
        /// Where clients connect
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where metrics and health are served; a loopback address
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
        admin: SocketAddr,
        /// How many optimizers
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=64))]
        optimizers: u8,
    },
}

impl Cli {
    /// Carries out the command.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Check { file } => match load(&file) {
                Ok(config) => {
                    say(&format!(
                        "{}: ok, {} listener(s), {} route(s), {} service(s)",
                        file.display(),
                        config.listeners.len(),
                        config.routes.len(),
                        config.services.len()
                    ));
                    ExitCode::SUCCESS
                }
                Err(text) => complain(&text),
            },
            Command::Run { file } => match load(&file) {
                Ok(config) => outcome(run::blocking(config, file)),
                Err(text) => complain(&text),
            },
            Command::Demo { listen, admin, optimizers } => outcome(demo::blocking(listen, admin, optimizers)),
        }
    }
}

fn load(file: &Path) -> Result<Config, String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("error: cannot read `{}`: {error}", file.display()))?;
    weir_config::parse(&file.display().to_string(), &text).map_err(|problems| problems.to_string())
}

fn outcome(result: Result<(), run::RunError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}");
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            complain(&text)
        }
    }
}

fn complain(text: &str) -> ExitCode {
    drop(writeln!(std::io::stderr().lock(), "{}", text.trim_end()));
    ExitCode::FAILURE
}

/// Prints a line that a person, or a script that started us, waits for.
pub(crate) fn say(line: &str) {
    // Whoever closed our standard output does not want to know; that is no reason to stop serving.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
