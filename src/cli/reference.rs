//! The page `docs/reference/cli.md`, made of the definitions.

use clap::{Arg, ArgAction, Command};

use super::EXIT_STATUS;
use super::manual::definitions;

const INTRODUCTION: &str = "# Commands

This page is made from the definitions in `src/cli/mod.rs`; change those, then run
`UPDATE=1 cargo nextest run -p weir cli::reference`. `weir help COMMAND` shows the same in a terminal, `weir man COMMAND`
prints it as a man page.

";

fn page() -> String {
    let weir = definitions();
    let commands = || weir.get_subcommands().filter(|command| command.get_name() != "help");
    let list: String = commands().map(line).collect();
    let sections: String = commands().map(section).collect();
    let status = EXIT_STATUS.lines().skip(1).filter_map(|line| line.trim().split_once("  "));
    let status: Vec<String> = status.map(|(code, meaning)| format!("| {code} | {meaning} |\n")).collect();
    let status = status.concat();
    format!(
        "{INTRODUCTION}| command | what it does |\n|---|---|\n{list}\n## Exit status\n\n| status | meaning |\n|---|---|\n\
         {status}{sections}"
    )
}

fn line(command: &Command) -> String {
    let name = command.get_name();
    format!("| [`weir {name}`](#weir-{name}) | {} |\n", about(command))
}

fn section(command: &Command) -> String {
    let mut usage = command.clone();
    let usage = usage.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let long = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let rows: String =
        command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help")).map(row).collect();
    let table =
        if rows.is_empty() { rows } else { format!("\n| argument | default | meaning |\n|---|---|---|\n{rows}") };
    format!("\n## `weir {}`\n\n```text\n{usage}\n```\n\n{long}\n{table}", command.get_name())
}

fn row(arg: &Arg) -> String {
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let values: Vec<&str> = arg.get_value_names().unwrap_or_default().iter().map(|name| &**name).collect();
    let name = match (arg.get_long(), takes) {
        (Some(long), true) if arg.get_num_args().is_some_and(|count| count.min_values() == 0) => {
            let values: Vec<String> = values.iter().map(|value| format!("[{value}")).collect();
            format!("--{long} {}{}", values.join(" "), "]".repeat(values.len()))
        }
        (Some(long), true) => format!("--{long} {}", values.join(" ")),
        (Some(long), false) => format!("--{long}"),
        (None, _) if arg.is_required_set() => values.join(" "),
        (None, _) => format!("[{}]", values.join(" ")),
    };
    let words = arg.get_possible_values();
    let words: Vec<String> = words.iter().filter(|_| takes).map(|word| format!("`{}`", word.get_name())).collect();
    let meaning =
        arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default().replace('\n', " ");
    let meaning = if words.is_empty() { meaning } else { format!("{meaning}: {}", words.join(", ")) };
    let default: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| takes)
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    format!("| `{name}` | {} | {meaning} |\n", default.join(" "))
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

/// What the reference of the admin API shows as the answer to `call`.
pub(super) fn example(call: &str) -> &'static str {
    let page = include_str!("../../docs/reference/admin.md");
    let after = page.split_once(call).unwrap().1;
    after.split_once("```json\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_reference_page_says_what_the_definitions_say() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/cli.md");
    #[expect(clippy::disallowed_methods, reason = "asks whoever runs the test, not the program under test")]
    let update = std::env::var("UPDATE").is_ok_and(|value| value == "1");
    if update {
        std::fs::write(&file, page()).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page(), "{} is out of date: run with UPDATE=1", file.display());
}
