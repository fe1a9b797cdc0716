//! What a `[[route]]` changes in messages, `headers`, `answer_headers` and `replace`, and what it answers by itself, `answer`.

mod print;

use std::sync::Arc;

use toml::de::DeValue;
use weir_snapshot::{Edits, FRAMING, FieldEdits, FixedAnswer, OF_ONE_HOP, Template, TemplateError, VARIABLES};

use crate::names;
use crate::near::nearest;
use crate::raw::{Key, Kind, List, Optional, OtherwiseAll, Required, Section, Spec, Tables, Text, Value, Whole, found};
use crate::sink::{Fault, Reported, Sink};

pub(super) use print::{print, print_answer, print_path};

pub(crate) static HEADERS: Spec = Spec {
    header: "[route.headers]",
    keys: &[&SET, &REMOVE],
    later: &[],
    example: "headers = { set = { X-Real-IP = \"$client_ip\" }, remove = [\"Cookie\"] }",
    about: "Fields of the request, as the endpoint gets them. In a value `$name` or `${name}` is a variable and `$$` a \
            dollar: `$host` (lower case, without port), `$http_host` (as sent), `$client_ip`, `$scheme`, `$method`, \
            `$request_uri` (path and query as sent), `$path`, `$is_args` (`?` when there is a query), `$args`, \
            `$forwarded_for` (what goes out as `X-Forwarded-For`), `$request_id`, `$endpoint` (address and port), and \
            `$http_NAME`, a field of the request, with `_` for `-`. A field whose value comes out empty is not sent.",
};
pub(crate) static ANSWER_HEADERS: Spec = Spec {
    header: "[route.answer_headers]",
    keys: &[&SET, &REMOVE],
    later: &[],
    example: "answer_headers = { set = { X-Frame-Options = \"DENY\" }, remove = [\"Server\"] }",
    about: "Fields of the endpoint's answer, as the client gets them; values as in `[route.headers]`, and about the request.",
};
pub(crate) static ANSWER: Spec = Spec {
    header: "[route.answer]",
    keys: &[&STATUS, &LOCATION, &BODY, &TYPE],
    later: &[],
    example: "answer = { status = 404 }",
    about: "In place of `service`: what is answered without asking an endpoint.",
};

pub(super) static HEADERS_TABLE: Tables = Tables {
    name: "headers",
    spec: &HEADERS,
    shape: "table",
    default: "as they came",
    meaning: "Fields of the request to set and to take out.",
};
pub(super) static ANSWER_HEADERS_TABLE: Tables = Tables {
    name: "answer_headers",
    spec: &ANSWER_HEADERS,
    shape: "table",
    default: "as they came",
    meaning: "Fields of the answer to set and to take out.",
};
pub(super) static ANSWER_TABLE: Tables = Tables {
    name: "answer",
    spec: &ANSWER,
    shape: "table",
    default: "the service answers",
    meaning: "What is answered without asking an endpoint, in place of `service`.",
};
pub(super) static REPLACE: Key<Text<Box<str>>, Optional> = Key {
    name: "replace",
    kind: Text { shape: "path", parse: names::new_path, show: ToString::to_string },
    absent: Optional(|| "the path as it was sent".to_owned()),
    meaning: "What the endpoint gets in place of `path`; the rest of the path follows it, normalised.",
};

static SET: Key<Fields, OtherwiseAll<(Box<str>, Template)>> = Key {
    name: "set",
    kind: Fields,
    absent: OtherwiseAll(&[]),
    meaning: "Fields by name, in place of all of that name, `X_Real_IP` being one of `X-Real-IP`. In requests `Host` too, but no field of one hop, and none that \
              frames the message.",
};
static REMOVE: Key<List<Text<Box<str>>>, OtherwiseAll<Box<str>>> = Key {
    name: "remove",
    kind: List { each: Text { shape: "name of a field", parse: removable, show: ToString::to_string } },
    absent: OtherwiseAll(&[]),
    meaning: "Names of fields that do not pass, those that weir itself adds included.",
};
static STATUS: Key<Whole<u16>, Required> =
    Key { name: "status", kind: Whole { min: 200, max: 599 }, absent: Required, meaning: "The status." };
static LOCATION: Key<Text<Template>, Optional> = Key {
    name: "location",
    kind: Text { shape: "text with variables", parse: template, show: ToString::to_string },
    absent: Optional(|| "none".to_owned()),
    meaning: "`Location`, with variables as in `[route.headers]`; only for the statuses 201 and 300 to 399.",
};
static BODY: Key<Text<Box<str>>, Optional> = Key {
    name: "body",
    kind: Text { shape: "text", parse: |text| Ok(text.into()), show: ToString::to_string },
    absent: Optional(|| "empty".to_owned()),
    meaning: "The body, as it is.",
};
static TYPE: Key<Text<Template>, Optional> = Key {
    name: "type",
    kind: Text { shape: "media type", parse: media_type, show: ToString::to_string },
    absent: Optional(|| "`\"text/plain\"`".to_owned()),
    meaning: "`Content-Type` of the body.",
};

/// What a body is called that has no `type`.
const PLAIN: &str = "text/plain";

/// A table of fields by name.
struct Fields;

impl Kind for Fields {
    type Out = Vec<(Box<str>, Template)>;

    fn read(&self, name: &str, value: &Value<'_>, sink: &mut Sink) -> Result<Self::Out, Reported> {
        let DeValue::Table(table) = value.get_ref() else {
            let fault = Fault::new(format!("`{name}` is a table of fields"), found(value.get_ref()));
            return Err(sink.wrong(value.span(), fault.help("write for example `{ X-Real-IP = \"$client_ip\" }`")));
        };
        let mut read: Vec<(Box<str>, Template)> = Vec::with_capacity(table.len());
        let mut whole = Ok(());
        for (key, value) in table {
            let field = settable(key.get_ref()).map_err(|fault| sink.wrong(key.span(), fault));
            let text = value.get_ref().as_str().ok_or_else(|| Fault::new("a field holds text", found(value.get_ref())));
            let text = text.and_then(template).map_err(|fault| sink.wrong(value.span(), fault));
            match (field, text) {
                (Ok(field), _) if read.iter().any(|(other, _)| other.eq_ignore_ascii_case(&field)) => {
                    let fault = Fault::new(format!("field `{field}` is set twice"), "names of fields have no case");
                    whole = Err(sink.wrong(key.span(), fault));
                }
                (Ok(field), Ok(text)) => read.push((field, text)),
                _ => whole = Err(Reported),
            }
        }
        whole.map(|()| read)
    }

    fn shape(&self) -> String {
        "table of text with variables, by the names of fields".to_owned()
    }

    fn show(&self, value: &Self::Out) -> String {
        let fields: Vec<String> = value.iter().map(|(name, text)| format!("{name} = \"{text}\"")).collect();
        if fields.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", fields.join(", ")) }
    }
}

fn settable(text: &str) -> Result<Box<str>, Fault> {
    if !names::is_token(text) {
        return Err(Fault::new("a field's name is letters, digits and `-`", "no field can have this name"));
    }
    let lower = text.to_ascii_lowercase();
    if FRAMING.contains(&&*lower) {
        let fault = Fault::new(format!("`{text}` says where a message ends"), "weir frames messages itself");
        return Err(fault.help("leave it out"));
    }
    if OF_ONE_HOP.contains(&&*lower) {
        let fault = Fault::new(format!("`{text}` belongs to one connection"), "weir keeps its connections itself");
        return Err(fault.help("leave it out: connections are kept alive, and upgrades pass by themselves"));
    }
    Ok(text.into())
}

fn removable(text: &str) -> Result<Box<str>, Fault> {
    if text.eq_ignore_ascii_case("host") {
        return Err(Fault::new("every request has a `Host`", "cannot be taken out").help("set it to something else"));
    }
    settable(text)
}

fn template(text: &str) -> Result<Template, Fault> {
    Template::new(text).map_err(|error| match &error {
        TemplateError::NoName => {
            Fault::new(error.to_string(), "no name follows").help("write `$$` for a dollar that stands for itself")
        }
        TemplateError::Illegal(_) => Fault::new(error.to_string(), "would end the field, or worse"),
        TemplateError::Unknown { name } => {
            let fault = Fault::new(error.to_string(), "not known");
            let known: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
            let here = match name.as_str() {
                "remote_addr" | "realip_remote_addr" | "binary_remote_addr" => Some("client_ip"),
                "proxy_add_x_forwarded_for" => Some("forwarded_for"),
                "uri" | "document_uri" => Some("path"),
                "query_string" => Some("args"),
                "request_method" => Some("method"),
                "upstream_addr" => Some("endpoint"),
                _ => nearest(name, &known),
            };
            fault.help(match here {
                Some(known) => format!("did you mean `${known}`?"),
                None => format!("the variables are `${}` and `$http_NAME`", known.join("`, `$")),
            })
        }
    })
}

fn media_type(text: &str) -> Result<Template, Fault> {
    let template = template(text)?;
    if !text.contains('/') || text.contains('$') {
        return Err(Fault::new("a media type is two words with a `/`", "not of that form")
            .help("write for example `\"text/html\"`"));
    }
    Ok(template)
}

/// What a route changes; `None` when that is nothing.
pub(super) fn read(route: &Section<'_>, sink: &mut Sink) -> Result<Option<Arc<Edits>>, Reported> {
    let path = route.take(&REPLACE, sink);
    let request = route.table(&HEADERS_TABLE, sink).and_then(|section| read_fields(&section, sink));
    let answer_table = route.table(&ANSWER_HEADERS_TABLE, sink);
    let answer = answer_table.as_ref().map_err(|reported| *reported).and_then(|section| read_fields(section, sink));
    if answer.iter().flat_map(|answer| &answer.set).any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        let fault =
            Fault::new("an answer has no `Host`", "belongs to requests").help("set it in `headers`, or leave it out");
        return Err(sink.wrong(route.span(ANSWER_HEADERS_TABLE.name), fault));
    }
    let (path, mut request, answer) = (path?, request?, answer?);
    let at = request.set.iter().position(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = at.map(|at| request.set.remove(at).1);
    let edits = Edits { path, host, request, answer };
    Ok((edits != Edits::default()).then(|| Arc::new(edits)))
}

fn read_fields(section: &Section<'_>, sink: &mut Sink) -> Result<FieldEdits, Reported> {
    let set = section.take(&SET, sink);
    let remove = section.take(&REMOVE, sink);
    let (set, remove) = (set?, remove?);
    let both = remove.iter().find(|name| set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)));
    if let Some(name) = both {
        let fault = Fault::new(format!("field `{name}` is both set and removed"), "set as well");
        return Err(sink.wrong(section.span(REMOVE.name), fault.help("leave one of the two out: to set is to replace")));
    }
    Ok(FieldEdits { set, remove })
}

/// What a route answers by itself.
pub(super) fn read_answer(route: &Section<'_>, sink: &mut Sink) -> Result<Option<Arc<FixedAnswer>>, Reported> {
    if !route.has(ANSWER_TABLE.name) {
        return Ok(None);
    }
    let section = route.table(&ANSWER_TABLE, sink)?;
    let status = section.take(&STATUS, sink);
    let location = section.take(&LOCATION, sink);
    let body = section.take(&BODY, sink);
    let kind = section.take(&TYPE, sink);
    let (status, location, body, kind) = (status?, location?, body?, kind?);
    if location.is_some() && status != 201 && !(300..=399).contains(&status) {
        let fault = Fault::new(format!("an answer of status {status} leads nowhere"), "would be ignored by clients");
        return Err(sink.wrong(section.span(LOCATION.name), fault.help("write `status = 302`, or another redirection")));
    }
    if body.is_some() && matches!(status, 204 | 205 | 304) {
        let fault = Fault::new(format!("an answer of status {status} has no body"), "cannot be sent")
            .help("leave `body` out, or write another status");
        return Err(sink.wrong(section.span(BODY.name), fault));
    }
    if body.is_none() && kind.is_some() {
        let fault = Fault::new("`type` is that of the body", "there is none");
        return Err(sink.wrong(section.span(TYPE.name), fault.help("add `body`, or leave `type` out")));
    }
    let kind = kind.map_or_else(|| PLAIN.to_owned(), |kind| kind.to_string());
    let body = body.map(|body| (kind.into(), body));
    Ok(Some(Arc::new(FixedAnswer { status, location, body })))
}
