//! nginx's variables to weir's.

use std::collections::HashMap;

/// What is known where a value is written.
pub(crate) struct Known<'a> {
    /// `$proxy_host`, where there is a `proxy_pass`.
    pub(crate) proxy_host: Option<&'a str>,
    /// `$server_name`.
    pub(crate) server_name: &'a str,
    /// `$server_port`, if there is but one.
    pub(crate) port: Option<u16>,
    /// Whether clients of nginx come over TLS.
    pub(crate) tls: bool,
    /// What `set` gave constants to.
    pub(crate) constants: &'a HashMap<String, String>,
}

/// A piece of a value.
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Variable(&'a str),
}

/// Text and variables, in order.
pub(crate) fn pieces(value: &str) -> Vec<Piece<'_>> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut all = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        let (name, behind) = match after.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(after.find(|other| !letter(other)).unwrap_or(after.len())),
        };
        if !before.is_empty() {
            all.push(Piece::Text(before));
        }
        if name.is_empty() {
            all.push(Piece::Text("$"));
        } else {
            all.push(Piece::Variable(name));
        }
        rest = behind;
    }
    if !rest.is_empty() {
        all.push(Piece::Text(rest));
    }
    all
}

/// A value with the constants in it filled in; `None` when another variable is left.
pub(crate) fn constant(value: &str, constants: &HashMap<String, String>) -> Option<String> {
    let mut out = String::new();
    for piece in pieces(value) {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Variable(name) => out.push_str(constants.get(name)?),
        }
    }
    Some(out)
}

/// A value as a template of weir's; `Err` is the first thing that weir has no word for.
pub(crate) fn template(value: &str, known: &Known<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut open = false;
    for piece in pieces(value) {
        match piece {
            Piece::Text(text) => {
                // Or it would be read as part of the name.
                let joins = text.chars().next().is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_');
                if open && joins {
                    brace_last(&mut out);
                }
                out.push_str(&text.replace('$', "$$"));
                open = false;
            }
            Piece::Variable(name) => {
                let word = variable(name, known).ok_or_else(|| format!("`${name}`"))?;
                open = word.starts_with('$') && !word.starts_with("$$");
                out.push_str(&word);
            }
        }
    }
    let illegal = out.chars().any(|letter| letter.is_control() && letter != '\t');
    if illegal { Err("a line break, or another character that no field can hold".to_owned()) } else { Ok(out) }
}

/// `…$name` to `…${name}`.
fn brace_last(out: &mut String) {
    if let Some((before, name)) = out.rsplit_once('$') {
        *out = format!("{before}${{{name}}}");
    }
}

fn variable(name: &str, known: &Known<'_>) -> Option<String> {
    let weirs = match name {
        "remote_addr" => "$client_ip",
        "proxy_add_x_forwarded_for" => "$forwarded_for",
        "query_string" => "$args",
        "uri" | "document_uri" => "$path",
        "request_method" => "$method",
        "upstream_addr" => "$endpoint",
        "scheme" if known.tls => "https",
        "host" | "http_host" | "scheme" | "request_uri" | "args" | "is_args" | "request_id" => {
            return Some(format!("${name}"));
        }
        "proxy_host" => return Some(known.proxy_host?.replace('$', "$$")),
        "proxy_port" => {
            return Some(known.proxy_host?.rsplit_once(':').map_or("80", |(_, port)| port).replace('$', "$$"));
        }
        "server_name" => return Some(known.server_name.replace('$', "$$")),
        "server_port" => return known.port.map(|port| port.to_string()),
        _ => {
            let is_field = name.strip_prefix("http_").is_some_and(|field| !field.is_empty());
            if let Some(constant) = known.constants.get(name) {
                return Some(constant.replace('$', "$$"));
            }
            return is_field.then(|| format!("${}", name.to_ascii_lowercase()));
        }
    };
    Some(weirs.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_get_weirs_names_and_constants_their_values() {
        let constants = HashMap::from([("tier".to_owned(), "gold".to_owned())]);
        let known = Known {
            proxy_host: Some("api:81"),
            server_name: "a.example",
            port: Some(8080),
            tls: false,
            constants: &constants,
        };
        let of = |value: &str| template(value, &known);
        assert_eq!(of("$host:$server_port").unwrap(), "$host:8080");
        assert_eq!(of("${remote_addr}x").unwrap(), "${client_ip}x");
        assert_eq!(of("$tier-$http_x_id").unwrap(), "gold-$http_x_id");
        assert_eq!(of("$proxy_host $proxy_port").unwrap(), "api:81 81");
        assert_eq!(of("5$").unwrap(), "5$$");
        assert_eq!(of("$remote_user"), Err("`$remote_user`".to_owned()));
        assert_eq!(constant("http://$tier", &constants).unwrap(), "http://gold");
        assert_eq!(constant("http://$other", &constants), None);
    }
}
