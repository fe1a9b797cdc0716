//! `[log]`.

use std::path::PathBuf;

use weir_snapshot::{LogField, LogFormat, LogRules, Sample};

use crate::near::nearest;
use crate::raw::{Key, List, Optional, Otherwise, Page, Section, Spec, Text, Word};
use crate::sink::{Fault, Reported, Sink};
use crate::text::{parse_sample, show_sample};
use crate::{AccessLog, Log, defaults};

pub(crate) static LOG: Spec = Spec {
    header: "[log]",
    keys: &[&ACCESS, &FORMAT, &FIELDS, &SAMPLE, &MODE],
    later: &[],
    example: "[log]",
    about: "The access log: one line per exchange. SIGUSR1 opens the file anew; `docs/reference/access-log.md` has the fields.",
};

static ACCESS: Key<Text<AccessLog>, Otherwise<AccessLog>> = Key {
    name: "access",
    kind: Text { shape: "`\"off\"`, `\"stdout\"` or a path", parse: parse_access, show: show_access },
    absent: Otherwise(AccessLog::Off),
    meaning: "Where the access log goes; a file is appended to.",
};
static FORMAT: Key<Word<bool>, Otherwise<bool>> = Key {
    name: "format",
    kind: Word { words: &[("json", true), ("combined", false)], later: &[] },
    absent: Otherwise(defaults::LOG_AS_JSON),
    meaning: "A line is an object, or has the form that nginx and Apache call combined.",
};
static FIELDS: Key<List<Word<LogField>>, Optional> = Key {
    name: "fields",
    kind: List { each: Word { words: LogField::ALL, later: &[] } },
    absent: Optional(|| "all up to `total_ms`".to_owned()),
    meaning: "What a line of JSON says, in this order.",
};
static SAMPLE: Key<Text<Sample>, Otherwise<Sample>> = Key {
    name: "sample",
    kind: Text {
        shape: "share, `\"0%\"` to `\"100%\"`, such as `\"0.5%\"`",
        parse: parse_sample,
        show: |sample| show_sample(*sample),
    },
    absent: Otherwise(defaults::LOG_SAMPLE),
    meaning: "How many of the exchanges that went well are logged; errors, refusals, cut answers and retries always are.",
};
static MODE: Key<Text<u32>, Otherwise<u32>> = Key {
    name: "mode",
    kind: Text { shape: "octal permissions such as `\"0640\"`", parse: parse_mode, show: |mode| format!("{mode:04o}") },
    absent: Otherwise(defaults::LOG_MODE),
    meaning: "Permissions of the file where weir creates it, less what its umask takes.",
};

pub(super) fn read_log(section: &Section<'_>, sink: &mut Sink) -> Result<Log, Reported> {
    let access = section.take(&ACCESS, sink);
    let is_json = section.take(&FORMAT, sink);
    let fields = section.take(&FIELDS, sink);
    let sample = section.take(&SAMPLE, sink);
    let mode = section.take(&MODE, sink);
    let (is_json, fields) = (is_json?, fields?);
    let format = match fields {
        Some(_) if !is_json => {
            let fault = Fault::new("the combined format has fields of its own", "not used");
            let help = "leave `fields` out, or write `format = \"json\"`";
            return Err(sink.wrong(section.key_span(FIELDS.name), fault.help(help)));
        }
        None if is_json => LogFormat::Json(LogField::usual()),
        None => LogFormat::Combined,
        Some(fields) => LogFormat::Json(distinct(fields, section, sink)?),
    };
    Ok(Log { access: access?, rules: LogRules { format, sample: sample? }, mode: mode? })
}

/// Writes it.
pub(super) fn print(log: &Log, page: &mut Page) {
    let Log { access, rules: LogRules { format, sample }, mode } = log;
    page.table(LOG.header);
    page.key(&ACCESS, access);
    page.key(&FORMAT, &matches!(format, LogFormat::Json(_)));
    if let LogFormat::Json(fields) = format {
        page.settled(&FIELDS, fields, &LogField::usual());
    }
    page.key(&SAMPLE, sample);
    page.key(&MODE, mode);
}

/// The fields, if there are some and no two are the same.
fn distinct(fields: Vec<LogField>, section: &Section<'_>, sink: &mut Sink) -> Result<Vec<LogField>, Reported> {
    if fields.is_empty() {
        let fault = Fault::new("a line of the log has a field at least", "none");
        let help = "leave `fields` out for all, or write `access = \"off\"`";
        return Err(sink.wrong(section.span(FIELDS.name), fault.help(help)));
    }
    let twice = fields.iter().enumerate().find(|(at, field)| fields.iter().take(*at).any(|earlier| earlier == *field));
    match twice {
        Some((_, field)) => {
            let fault = Fault::new(format!("`{}` is listed twice", field.name()), "a key may stand in an object once");
            Err(sink.wrong(section.span(FIELDS.name), fault.help("leave one of them out")))
        }
        None => Ok(fields),
    }
}

fn parse_access(text: &str) -> Result<AccessLog, Fault> {
    match text {
        "off" => Ok(AccessLog::Off),
        "stdout" => Ok(AccessLog::Stdout),
        // A bare word is more probably a slip of a word than a file in whatever directory weir was started in.
        path if path.contains(['/', '.']) => Ok(AccessLog::File(PathBuf::from(path))),
        other => {
            let fault = Fault::new("`access` is `\"off\"`, `\"stdout\"` or a path with a `/` in it", "none of them");
            Err(match nearest(other, &["off", "stdout"]) {
                Some(word) => fault.help(format!("did you mean `\"{word}\"`?")),
                None => fault.help(format!("write `\"./{other}\"` if it is a file")),
            })
        }
    }
}

fn show_access(access: &AccessLog) -> String {
    match access {
        AccessLog::Off => "off".to_owned(),
        AccessLog::Stdout => "stdout".to_owned(),
        AccessLog::File(path) => path.display().to_string(),
    }
}

/// Three octal digits, perhaps with a zero before them.
fn parse_mode(text: &str) -> Result<u32, Fault> {
    let digits = text.strip_prefix('0').unwrap_or(text);
    let is_octal = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let Some(mode) = is_octal.then(|| u32::from_str_radix(digits, 8).ok()).flatten() else {
        let fault = Fault::new("permissions are three octal digits", "not of that form");
        return Err(fault.help("write for example `\"0640\"`"));
    };
    match mode {
        _ if mode & 0o111 != 0 => Err(Fault::new("a log is no program", "lets it be executed")
            .help(format!("write `\"{:04o}\"`", mode & 0o666 | 0o200))),
        _ if mode & 0o200 == 0 => Err(Fault::new("weir must be able to write its log", "does not let it")
            .help(format!("write `\"{:04o}\"`", mode | 0o600))),
        _ => Ok(mode),
    }
}
