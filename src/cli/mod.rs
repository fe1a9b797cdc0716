//! Commands, and the only place that prints.
//!
//! In: arguments. Out: what each command prints, and an exit status that scripts can rely on ([`Exit`]). The definitions
//! below are also what completions, man pages and `docs/reference/cli.md` are made of.

mod check;
mod manual;
mod out;
#[cfg(test)]
mod reference;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

pub(crate) use out::say;

use crate::{demo, run};
use out::{Exit, complain};

const EXIT_STATUS: &str = "\
Exit status:
  0  done
  1  something is wrong, or was refused: standard error says what and what to do
  2  wrong usage
  3  no weir answers at the admin address";

/// A Layer-7 load balancer and service-discovery proxy
#[derive(Debug, Parser)]
#[command(name = "weir", version, about, arg_required_else_help = true, after_help = EXIT_STATUS)]
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
    /// Say everything that is wrong with FILE
    ///
    /// Each problem comes with its place and with what to write instead, on standard error. Exit 0 when nothing is wrong,
    /// else 1.
    Check(Check),
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
    /// Print what makes SHELL complete weir's commands
    ///
    /// For bash: `weir completions bash > /etc/bash_completion.d/weir`. For zsh a file called `_weir` in a folder of
    /// `$fpath`, for fish `~/.config/fish/completions/weir.fish`.
    Completions {
        /// Which one
        shell: clap_complete::Shell,
    },
    /// Print the man page of weir, or of one of its commands
    ///
    /// To read it at once: `weir man status | man -l -`.
    Man(Man),
}

#[derive(Debug, Args)]
struct Check {
    /// Configuration, TOML
    file: PathBuf,
    /// Print the configuration whole, what is left to its default included: TOML that means the same
    #[arg(long)]
    print: bool,
    /// Print the outcome as JSON on standard output: `file`, `ok` and `problems`, each with `file`, `line`, `column`,
    /// `message`, `label` and `help`
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

#[derive(Debug, Args)]
struct Man {
    /// A command such as `status`; the page that lists them all when left out
    command: Option<String>,
    /// Write all pages into this folder instead, `weir.1` and `weir-COMMAND.1`
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    all: Option<PathBuf>,
}

impl Cli {
    /// Carries out the command.
    pub(crate) fn run(self) -> ExitCode {
        let exit = match self.command {
            Command::Check(check) => check::check(&check),
            Command::Run { file } => match check::load(&file) {
                Ok(config) => outcome(run::blocking(config)),
                Err(refused) => complain(&refused.to_string()),
            },
            Command::Demo { listen, admin, optimizers } => outcome(demo::blocking(listen, admin, optimizers)),
            Command::Completions { shell } => manual::completions(shell),
            Command::Man(man) => manual::man(&man),
        };
        exit.into()
    }
}

fn outcome(result: Result<(), run::RunError>) -> Exit {
    match result {
        Ok(()) => Exit::Done,
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
