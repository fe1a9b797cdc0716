//! `[register]`: this weir as an instance of a service in Consul.

mod print;

use std::path::PathBuf;

use super::source::{AGENT, CA_FILE, CERT_FILE, KEY_FILE, NAMESPACE, TOKEN_ENV, agent};
use crate::raw::{Key, List, Optional, OtherwiseAll, Required, Section, Spec, Text};
use crate::sink::{Reported, Sink};
use crate::{Advertise, Register, names};

pub(super) use print::print;

pub(crate) static REGISTER: Spec = Spec {
    header: "[register]",
    keys: &[
        &SERVICE,
        &ID,
        &TAGS,
        &ADVERTISE,
        &AGENT,
        &NAMESPACE,
        &TOKEN_FILE,
        &TOKEN_ENV,
        &CA_FILE,
        &CERT_FILE,
        &KEY_FILE,
    ],
    later: &[],
    example: "[register]",
    about: "This weir as an instance of a service in Consul: registered once it is ready, again within two seconds when the \
            agent forgot it, and taken off before the listeners close. An agent on the same machine checks `/readyz`, one \
            elsewhere that a connection opens.",
};

static SERVICE: Key<Text<Box<str>>, Required> = Key {
    name: "service",
    kind: Text { shape: "text", parse: names::some_text, show: ToString::to_string },
    absent: Required,
    meaning: "What the service is called in Consul.",
};
static ID: Key<Text<Box<str>>, Optional> = Key {
    name: "id",
    kind: Text { shape: "text", parse: names::some_text, show: ToString::to_string },
    absent: Optional(|| "service, address and port".to_owned()),
    meaning: "What tells this instance from all others of its agent.",
};
static TAGS: Key<List<Text<Box<str>>>, OtherwiseAll<Box<str>>> = Key {
    name: "tags",
    kind: List { each: Text { shape: "text", parse: names::some_text, show: ToString::to_string } },
    absent: OtherwiseAll(&[]),
    meaning: "The instance's tags.",
};
static ADVERTISE: Key<Text<Advertise>, Optional> = Key {
    name: "advertise",
    kind: Text { shape: "IP address or name, with or without port", parse: names::advertised, show },
    absent: Optional(|| "the first listener; on every address: that of the agent's node".to_owned()),
    meaning: "Where others reach this weir.",
};

/// As that of a source, which also reads it again.
static TOKEN_FILE: Key<Text<PathBuf>, Optional> = Key {
    name: "token_file",
    kind: Text { shape: "path", parse: names::path, show: names::show_path },
    absent: Optional(|| "none".to_owned()),
    meaning: "A file that holds the ACL token; read at the start.",
};

pub(super) fn read(section: &Section<'_>, sink: &mut Sink) -> Result<Register, Reported> {
    let service = section.take(&SERVICE, sink);
    let id = section.take(&ID, sink);
    let tags = section.take(&TAGS, sink);
    let advertise = section.take(&ADVERTISE, sink);
    let agent = agent(section, sink);
    Ok(Register { agent: agent?, service: service?, id: id?, tags: tags?, advertise: advertise? })
}

fn show(advertise: &Advertise) -> String {
    let Advertise { host, port } = advertise;
    match port {
        None => host.to_string(),
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    }
}
