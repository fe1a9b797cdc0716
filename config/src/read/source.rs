//! `consul`, `dns` and `file` of a `[[service]]`: where endpoints are found.

mod print;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;

use weir_snapshot::Millis;

use super::endpoints::BACKUP;
use crate::raw::{
    Duration, Key, List, Optional, Otherwise, OtherwiseAll, Required, Section, Spec, Tables, Text, Whole, Word,
};
use crate::sink::{Fault, Reported, Sink};
use crate::{Agent, Consul, Dns, Family, Records, Source, SourceKind, Status, TokenFrom, defaults, names};

pub(super) use print::{print, print_agent, written_as};

pub(crate) static CONSUL: Spec = Spec {
    header: "[service.consul]",
    keys: &[
        &AGENT,
        &CONSUL_SERVICE,
        &TAGS,
        &FILTER,
        &STATUS,
        &DATACENTER,
        &NAMESPACE,
        &TOKEN_FILE,
        &TOKEN_ENV,
        &CA_FILE,
        &CERT_FILE,
        &KEY_FILE,
        &WAIT,
        &BACKUP,
    ],
    later: &[],
    example: "consul = { service = \"optimizer\" }",
    about: "Instances of a service that is registered in Consul, with the weights they registered, or meta `weight` and \
            `capacity`. Changes are followed by blocking queries. Several: `consul = [{ … }, { … }]`.",
};
pub(crate) static DNS: Spec = Spec {
    header: "[service.dns]",
    keys: &[&DNS_NAME, &RECORDS, &PORT, &RESOLVERS, &BACKUP],
    later: &[],
    example: "dns = { name = \"optimizer.example\", port = 3001 }",
    about: "Addresses or SRV records of a name, looked up again when their TTL ends. A headless Service of Kubernetes is \
            such a name. Several: `dns = [{ … }, { … }]`.",
};
pub(crate) static FILE: Spec = Spec {
    header: "[service.file]",
    keys: &[&PATH, &BACKUP],
    later: &[],
    example: "file = { path = \"/etc/weir/optimizers.toml\" }",
    about: "A file of TOML with `endpoints = [...]` as in `[[service]]`, by IP address alone; `endpoints = []` is allowed. \
            Its folder is watched, so that a file renamed over it and a symlink that is swapped are noticed. A file that is \
            wrong changes nothing and is reported as a configuration is. Several: `file = [{ … }, { … }]`.",
};

pub(super) static CONSUL_TABLES: Tables = Tables {
    name: "consul",
    spec: &CONSUL,
    shape: "table, or array of tables",
    default: "none",
    meaning: "Endpoints that are registered in Consul.",
};
pub(super) static DNS_TABLES: Tables = Tables {
    name: "dns",
    spec: &DNS,
    shape: "table, or array of tables",
    default: "none",
    meaning: "Endpoints that DNS knows.",
};
pub(super) static FILE_TABLES: Tables = Tables {
    name: "file",
    spec: &FILE,
    shape: "table, or array of tables",
    default: "none",
    meaning: "Endpoints that a watched file lists.",
};

pub(super) static AGENT: Key<Text<Box<str>>, Optional> = Key {
    name: "address",
    kind: Text { shape: "URL", parse: names::agent_url, show: ToString::to_string },
    absent: Optional(|| format!("`\"{}\"`", defaults::CONSUL_ADDRESS)),
    meaning: "The HTTP API of an agent, `http` or `https`.",
};
static CONSUL_SERVICE: Key<Text<Box<str>>, Required> = Key {
    name: "service",
    kind: Text { shape: "text", parse: names::some_text, show: ToString::to_string },
    absent: Required,
    meaning: "What the service is called in Consul.",
};
static TAGS: Key<List<Text<Box<str>>>, OtherwiseAll<Box<str>>> = Key {
    name: "tags",
    kind: List { each: Text { shape: "text", parse: names::some_text, show: ToString::to_string } },
    absent: OtherwiseAll(&[]),
    meaning: "Only instances that have all of them.",
};
static FILTER: Key<Text<Box<str>>, Optional> = Key {
    name: "filter",
    kind: Text { shape: "text", parse: names::some_text, show: ToString::to_string },
    absent: Optional(|| "all instances".to_owned()),
    meaning: "Only instances for which this is true, in Consul's own language: `Service.Meta.zone == \"a\"`.",
};
static STATUS: Key<Word<Status>, Otherwise<Status>> = Key {
    name: "status",
    kind: Word { words: &[("passing", Status::Passing), ("warning", Status::Warning)], later: &[] },
    absent: Otherwise(Status::Passing),
    meaning: "Which instances: those whose checks all pass, or also those that warn, with the weight that they have then.",
};
static DATACENTER: Key<Text<Box<str>>, Optional> = Key {
    name: "datacenter",
    kind: Text { shape: "text", parse: names::some_text, show: ToString::to_string },
    absent: Optional(|| "the agent's own".to_owned()),
    meaning: "Whose instances.",
};
pub(super) static NAMESPACE: Key<Text<Box<str>>, Optional> = Key {
    name: "namespace",
    kind: Text { shape: "text", parse: names::some_text, show: ToString::to_string },
    absent: Optional(|| "none".to_owned()),
    meaning: "For Consul Enterprise.",
};
static TOKEN_FILE: Key<Text<PathBuf>, Optional> = Key {
    name: "token_file",
    kind: Text { shape: "path", parse: names::path, show: names::show_path },
    absent: Optional(|| "none".to_owned()),
    meaning: "A file that holds the ACL token; read at the start, and again when Consul denies.",
};
pub(super) static TOKEN_ENV: Key<Text<Box<str>>, Optional> = Key {
    name: "token_env",
    kind: Text { shape: "name of a variable", parse: names::variable, show: ToString::to_string },
    absent: Optional(|| "`CONSUL_HTTP_TOKEN`, if it is set and there is no `token_file`".to_owned()),
    meaning: "An environment variable that holds the ACL token.",
};
pub(super) static CA_FILE: Key<Text<PathBuf>, Optional> = Key {
    name: "ca_file",
    kind: Text { shape: "path", parse: names::path, show: names::show_path },
    absent: Optional(|| "those that the system trusts".to_owned()),
    meaning: "The authorities that an `https` agent's certificate may come from, PEM.",
};
pub(super) static CERT_FILE: Key<Text<PathBuf>, Optional> = Key {
    name: "cert_file",
    kind: Text { shape: "path", parse: names::path, show: names::show_path },
    absent: Optional(|| "none".to_owned()),
    meaning: "A client certificate for an `https` agent, PEM; with `key_file`.",
};
pub(super) static KEY_FILE: Key<Text<PathBuf>, Optional> = Key {
    name: "key_file",
    kind: Text { shape: "path", parse: names::path, show: names::show_path },
    absent: Optional(|| "none".to_owned()),
    meaning: "The key of `cert_file`, PEM.",
};
static WAIT: Key<Duration, Otherwise<Millis>> = Key {
    name: "wait",
    kind: Duration { min: Millis::from_secs(1), max: Millis::from_secs(600) },
    absent: Otherwise(defaults::CONSUL_WAIT),
    meaning: "How long a query waits for a change. A change is told at once; this is how often an unchanged list is asked.",
};

static DNS_NAME: Key<Text<Box<str>>, Required> = Key {
    name: "name",
    kind: Text { shape: "name", parse: names::dns_name, show: ToString::to_string },
    absent: Required,
    meaning: "What is looked up; with a dot at its end it is not searched for in other domains.",
};
static RECORDS: Key<Word<Wanted>, Otherwise<Wanted>> = Key {
    name: "type",
    kind: Word {
        words: &[("A+AAAA", Wanted::Both), ("A", Wanted::V4), ("AAAA", Wanted::V6), ("SRV", Wanted::Services)],
        later: &[],
    },
    absent: Otherwise(Wanted::Both),
    meaning: "Addresses, which need a `port`; or SRV records, which have ports, weights and priorities of their own: the \
              lowest priority serves, the others are backups.",
};
static PORT: Key<Whole<u16>, Optional> = Key {
    name: "port",
    kind: Whole { min: 1, max: u16::MAX },
    absent: Optional(|| "required unless `type` is `\"SRV\"`".to_owned()),
    meaning: "The port of every address.",
};
static RESOLVERS: Key<List<Text<SocketAddr>>, OtherwiseAll<SocketAddr>> = Key {
    name: "resolvers",
    kind: List {
        each: Text { shape: "IP address with or without port", parse: names::resolver, show: SocketAddr::to_string },
    },
    absent: OtherwiseAll(&[]),
    meaning: "DNS servers to ask, in this order; `[]`: those of the system.",
};

static PATH: Key<Text<PathBuf>, Required> = Key {
    name: "path",
    kind: Text { shape: "path", parse: names::path, show: names::show_path },
    absent: Required,
    meaning: "The file.",
};

/// The words of `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Both,
    V4,
    V6,
    Services,
}

type Read = fn(&Section<'_>, &mut Sink) -> Result<SourceKind, Reported>;

/// The sources of a service, beside the endpoints that are written there.
pub(super) fn read_all(section: &Section<'_>, sink: &mut Sink) -> Result<Vec<Source>, Reported> {
    let mut read: Vec<Result<Source, Reported>> = Vec::new();
    let kinds: [(&Tables, Read); 3] = [(&CONSUL_TABLES, consul), (&FILE_TABLES, file), (&DNS_TABLES, dns)];
    for (tables, kind) in kinds {
        let sections = section.one_or_more(tables, sink);
        if sections.is_empty() && section.has(tables.name) {
            read.push(Err(Reported));
        }
        for section in sections {
            let kind = kind(&section, sink);
            let backup = section.take(&BACKUP, sink);
            read.push(kind.and_then(|kind| Ok(Source { kind, backup: backup? })));
        }
    }
    read.into_iter().collect()
}

fn consul(section: &Section<'_>, sink: &mut Sink) -> Result<SourceKind, Reported> {
    let agent = agent(section, sink);
    let service = section.take(&CONSUL_SERVICE, sink);
    let tags = section.take(&TAGS, sink);
    let filter = section.take(&FILTER, sink);
    let status = section.take(&STATUS, sink);
    let datacenter = section.take(&DATACENTER, sink);
    let wait = section.take(&WAIT, sink);
    Ok(SourceKind::Consul(Consul {
        agent: agent?,
        service: service?,
        tags: tags?,
        filter: filter?,
        datacenter: datacenter?,
        status: status?,
        wait: wait?,
    }))
}

/// How an agent is reached: the keys that every table about one has.
pub(super) fn agent(section: &Section<'_>, sink: &mut Sink) -> Result<Agent, Reported> {
    let address = section.take(&AGENT, sink).map(|address| address.unwrap_or_else(|| defaults::CONSUL_ADDRESS.into()));
    let namespace = section.take(&NAMESPACE, sink);
    let token = token(section, sink);
    let ca_file = section.take(&CA_FILE, sink);
    let identity = identity(section, sink);
    let plain = address.as_ref().is_ok_and(|address| address.starts_with("http://"));
    let tls = [CA_FILE.name, CERT_FILE.name, KEY_FILE.name].into_iter().find(|name| section.has(name));
    if let Some(name) = tls.filter(|_| plain) {
        let fault = Fault::new(format!("`{name}` needs an `https` address"), "would not be used");
        let help = "write `address = \"https://HOST:8501\"`, or leave it out";
        return Err(sink.wrong(section.key_span(name), fault.help(help)));
    }
    Ok(Agent { address: address?, namespace: namespace?, token: token?, ca_file: ca_file?, identity: identity? })
}

fn token(section: &Section<'_>, sink: &mut Sink) -> Result<TokenFrom, Reported> {
    let file = section.take(&TOKEN_FILE, sink);
    let variable = section.take(&TOKEN_ENV, sink);
    match (file?, variable?) {
        (Some(_), Some(_)) => {
            let fault = Fault::new("there is one token, from `token_file` or from `token_env`", "from both");
            Err(sink.wrong(section.key_span(TOKEN_ENV.name), fault.help("leave one of the two out")))
        }
        (Some(file), None) => Ok(TokenFrom::File(file)),
        (None, Some(variable)) => Ok(TokenFrom::Variable(variable)),
        (None, None) => Ok(TokenFrom::Usual),
    }
}

fn identity(section: &Section<'_>, sink: &mut Sink) -> Result<Option<(PathBuf, PathBuf)>, Reported> {
    let certificate = section.take(&CERT_FILE, sink);
    let key = section.take(&KEY_FILE, sink);
    let (there, lacking) = match (certificate?, key?) {
        (Some(certificate), Some(key)) => return Ok(Some((certificate, key))),
        (None, None) => return Ok(None),
        (Some(_), None) => (CERT_FILE.name, KEY_FILE.name),
        (None, Some(_)) => (KEY_FILE.name, CERT_FILE.name),
    };
    let fault = Fault::new("`cert_file` and `key_file` belong together", format!("`{lacking}` is missing"));
    Err(sink.missing(section.key_span(there), fault.help(format!("add `{lacking}`"))))
}

fn dns(section: &Section<'_>, sink: &mut Sink) -> Result<SourceKind, Reported> {
    let name = section.take(&DNS_NAME, sink);
    let wanted = section.take(&RECORDS, sink);
    let port = section.take(&PORT, sink);
    let resolvers = section.take(&RESOLVERS, sink);
    // What is wrong with the name may be the port that is missing here.
    let name = name?;
    let records = match (wanted?, port?.and_then(NonZeroU16::new)) {
        (Wanted::Services, None) => Records::Services,
        (Wanted::Services, Some(_)) => {
            let fault = Fault::new("SRV records have ports of their own", "would not be used");
            return Err(sink.wrong(section.key_span(PORT.name), fault.help("leave `port` out")));
        }
        (wanted, Some(port)) => Records::Addresses {
            family: match wanted {
                Wanted::V4 => Family::V4,
                Wanted::V6 => Family::V6,
                Wanted::Both | Wanted::Services => Family::Both,
            },
            port,
        },
        (_, None) => {
            let fault = Fault::new("`port` is missing from `[service.dns]`", "an address has no port");
            let help = "add `port = 3001`, or `type = \"SRV\"` if the name has such records";
            return Err(sink.missing(section.span(DNS_NAME.name), fault.help(help)));
        }
    };
    let (weight, drain) = (defaults::WEIGHT, defaults::DRAIN);
    Ok(SourceKind::Dns(Dns { name, records, resolvers: resolvers?, weight, drain, capacity: None }))
}

fn file(section: &Section<'_>, sink: &mut Sink) -> Result<SourceKind, Reported> {
    section.take(&PATH, sink).map(SourceKind::File)
}
