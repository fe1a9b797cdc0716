//! Commands, and the only place that prints.
//!
//! In: arguments. Out: what each command prints, and an exit status that scripts can rely on ([`Exit`]). The definitions
//! below are also what completions, man pages and `docs/reference/cli.md` are made of.

mod address;
mod change;
mod check;
mod client;
mod explain;
mod manual;
mod out;
mod recent;
#[cfg(test)]
mod reference;
mod reload;
mod screen;
mod shape;
mod status;
mod table;
mod words;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

pub(crate) use out::say;

use crate::{demo, import, run};
use address::Address;
use client::{Client, Failure, explained};
use out::{Exit, complain};
use screen::Screen;

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
    /// Print FILE, an nginx.conf, as a configuration of weir
    ///
    /// What could not be taken over is said on standard error.
    Import {
        /// Configuration of nginx, or a part of one
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
    /// Show how a running weir and all its endpoints are
    Status(StatusArgs),
    /// Have a running weir read its configuration again
    ///
    /// Waits for what comes of it: exit 0 when it holds, or is as it was; 1 when it is rejected, with all that is wrong on
    /// standard error, and then nothing has changed. What waits for a restart is said.
    Reload(ReloadArgs),
    /// Give an endpoint no new requests; those that it has end in peace
    Drain(EndpointArgs),
    /// Give an endpoint requests again
    Undrain(EndpointArgs),
    /// Give an endpoint another share of the requests
    Weight {
        #[command(flatten)]
        endpoint: EndpointArgs,
        /// Its weight relative to the others of the service
        #[arg(value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
        weight: u16,
    },
    /// Take an endpoint for broken, until a probe or a trial finds it well; to keep it out, drain it
    Eject(EndpointArgs),
    /// Take an endpoint for well, until it fails again
    Restore(EndpointArgs),
    /// List what was said by drain, undrain and weight, or take it back
    Overrides(OverridesArgs),
    /// Say where a request would go, and why there
    ///
    /// Nothing is sent. Of a request that was served, `--id` says what became of it and where it would go now.
    Explain(ExplainArgs),
    /// List the newest requests that were served
    Recent(RecentArgs),
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

/// How a running weir is asked.
#[derive(Debug, Args)]
struct Remote {
    /// The weir to ask, as its line `admin on http://ADDRESS` says
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090", help_heading = "Asking")]
    admin: Address,
    /// What holds the token, where the `[admin]` of that weir has a `token_file`
    #[arg(long, value_name = "FILE", help_heading = "Asking")]
    token_file: Option<PathBuf>,
    /// Print the answer as it comes, as `docs/reference/admin.md` describes it
    #[arg(long, help_heading = "Asking")]
    json: bool,
}

#[derive(Debug, Args)]
struct StatusArgs {
    /// This one alone
    service: Option<String>,
    /// Show it again every second, until Ctrl-C
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct ReloadArgs {
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct EndpointArgs {
    /// The service that it is of
    service: String,
    /// Its IP address and port, as `weir status` shows it
    address: SocketAddr,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct OverridesArgs {
    /// Take back all of them, those of a service, or that of one endpoint
    #[arg(long, value_names = ["SERVICE", "ADDRESS"], num_args = 0..=2)]
    clear: Option<Vec<String>>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    /// `http://HOST/PATH?QUERY`, or a path alone
    #[arg(required_unless_present = "id")]
    url: Option<String>,
    /// The method; GET when left out
    #[arg(long)]
    method: Option<String>,
    /// Who connects; this machine as weir sees it when left out
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// A header field; may be given often
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Bytes of the body
    #[arg(long, value_name = "BYTES")]
    length: Option<u64>,
    /// The listener that it comes to, by its address; all of them when left out
    #[arg(long, value_name = "ADDRESS")]
    listener: Option<SocketAddr>,
    /// Instead of all these: a request that was served, by its `X-Request-Id`
    #[arg(long, conflicts_with_all = ["url", "method", "client", "header", "length", "listener"])]
    id: Option<String>,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct RecentArgs {
    /// How many at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Those of this service
    #[arg(long)]
    service: Option<String>,
    /// Those that tried this endpoint
    #[arg(long, value_name = "ADDRESS")]
    endpoint: Option<SocketAddr>,
    /// Those that were answered so
    #[arg(long, value_name = "CODE")]
    status: Option<u16>,
    #[command(flatten)]
    remote: Remote,
}

impl Cli {
    /// Carries out the command.
    pub(crate) fn run(self) -> ExitCode {
        let exit = match self.command {
            Command::Check(check) => check::check(&check),
            Command::Run { file } => match check::load(&file) {
                Ok(config) => outcome(run::blocking(config, file)),
                Err(refused) => complain(&refused.to_string()),
            },
            Command::Import { file } => match import::import(&file) {
                Ok(printed) => {
                    if !printed.notes.is_empty() {
                        complain(&printed.notes);
                    }
                    say(printed.toml.trim_end());
                    Exit::Done
                }
                Err(text) => complain(&text),
            },
            Command::Demo { listen, admin, optimizers } => outcome(demo::blocking(listen, admin, optimizers)),
            Command::Status(args) => {
                remote(&args.remote, async |client, screen| status::status(&args, client, screen).await)
            }
            Command::Reload(args) => remote(&args.remote, async |client, _| reload::reload(&args, client).await),
            Command::Drain(args) => change("drain", None, &args),
            Command::Undrain(args) => change("undrain", None, &args),
            Command::Weight { endpoint, weight } => {
                change("weight", Some(format!("{{\"weight\":{weight}}}")), &endpoint)
            }
            Command::Eject(args) => change("eject", None, &args),
            Command::Restore(args) => change("restore", None, &args),
            Command::Overrides(args) => {
                remote(&args.remote, async |client, screen| change::overrides(&args, client, screen).await)
            }
            Command::Explain(args) => {
                remote(&args.remote, async |client, screen| explain::explain(&args, client, screen).await)
            }
            Command::Recent(args) => {
                remote(&args.remote, async |client, screen| recent::recent(&args, client, screen).await)
            }
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

fn change(action: &str, body: Option<String>, args: &EndpointArgs) -> Exit {
    remote(&args.remote, async |client, _| change::change(action, body, args, client).await)
}

/// Has a running weir asked, on a small runtime of its own.
fn remote(remote: &Remote, ask: impl AsyncFnOnce(&Client, &mut Screen) -> Result<(), Failure>) -> Exit {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("error: cannot start: {error}")),
    };
    let asked = Client::new(&remote.admin, remote.token_file.as_deref())
        .and_then(|client| runtime.block_on(ask(&client, &mut Screen::open())));
    // A name that is still being looked up would be waited for.
    runtime.shutdown_background();
    match asked {
        Ok(()) => Exit::Done,
        Err(failure) => {
            complain(&explained(&failure));
            if failure.is_absence() { Exit::Nobody } else { Exit::Refused }
        }
    }
}

/// As a part of a path or a query.
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// What is escaped: everything but what RFC 3986 calls unreserved, and the colons of addresses.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
