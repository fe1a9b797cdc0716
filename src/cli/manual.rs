//! `weir completions` and `weir man`: made of the definitions that read the arguments.

use std::io::{self, Write};

use clap::{Command, CommandFactory as _};
use clap_mangen::Man as Page;

use super::out::{Exit, complain, say};
use super::{Cli, Man};

/// All of weir's commands, ready to be described.
pub(super) fn definitions() -> Command {
    let mut weir = Cli::command();
    weir.build();
    weir
}

pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut script);
    print(&script)
}

pub(super) fn man(man: &Man) -> Exit {
    let weir = definitions();
    if let Some(folder) = &man.all {
        return match std::fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(Cli::command(), folder)) {
            Ok(()) => {
                say(&format!("{} man pages in {}", weir.get_subcommands().count(), folder.display()));
                Exit::Done
            }
            Err(error) => complain(&format!("error: cannot write man pages to `{}`: {error}", folder.display())),
        };
    }
    let page = match man.command.as_deref() {
        None => Some(weir.clone()),
        Some(name) => weir.find_subcommand(name).cloned(),
    };
    let Some(page) = page else {
        let names: Vec<&str> = weir.get_subcommands().map(Command::get_name).collect();
        complain(&format!("error: weir has no such command\n  = help: the commands are {}", names.join(", ")));
        return Exit::Usage;
    };
    let mut text = Vec::new();
    match Page::new(page).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => complain(&format!("error: cannot write the man page: {error}")),
    }
}

/// To standard output; a reader that went away early, as a pager does, is no failure.
fn print(text: &[u8]) -> Exit {
    match io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => complain(&format!("error: cannot print: {error}")),
        _ => Exit::Done,
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn completions_for_every_shell_name_every_command() {
        let weir = definitions();
        for shell in clap_complete::Shell::value_variants() {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "weir", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in weir.get_subcommands().map(Command::get_name) {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
