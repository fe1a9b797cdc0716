//! Requests, and what is compared of their answers.

use weir_testkit::{Raw, Response};

use crate::stage::Proxy;

/// A request to one of the ports of the text.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) port: u16,
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) target: &'a str,
    /// Further lines of the head.
    pub(crate) fields: &'a [&'a str],
    /// How many bytes of body.
    pub(crate) body: usize,
}

/// `GET target` for a host, on port 80 of the text.
pub(crate) fn get<'a>(host: &'a str, target: &'a str) -> Ask<'a> {
    Ask { port: 80, method: "GET", host, target, fields: &[], body: 0 }
}

impl<'a> Ask<'a> {
    pub(crate) fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    pub(crate) fn fields(self, fields: &'a [&'a str]) -> Self {
        Self { fields, ..self }
    }

    pub(crate) fn posting(self, body: usize) -> Self {
        Self { method: "POST", body, ..self }
    }

    /// Sends it and gives what is to be the same in both.
    pub(crate) fn of(&self, proxy: &Proxy) -> String {
        let response = self.response(proxy);
        let mut seen = format!("{}\n", response.status);
        if let Some(location) = response.field("location") {
            // nginx makes a path a whole URL with its own host and port in it; browsers do the same with a path.
            let location = proxy.as_written(location);
            let own = [format!("http://{}:{}", self.host, self.port), format!("http://{}", self.host)];
            let path = own.iter().find_map(|own| location.strip_prefix(own.as_str())).unwrap_or(&location);
            seen.extend(["location ", path, "\n"]);
        }
        for name in ["x-frame-options", "x-served-by", "cache-control", "x-secret"] {
            if let Some(value) = response.field(name) {
                seen.extend([name, ": ", value, "\n"]);
            }
        }
        // The body of what was not passed on is each one's own, but for what is written in the configuration.
        if response.status == 200 {
            seen += &proxy.as_written(&response.text());
        }
        seen
    }

    /// Sends it.
    pub(crate) fn response(&self, proxy: &Proxy) -> Response {
        let Self { method, host, target, fields, body, port } = *self;
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for field in fields {
            head.extend([field, "\r\n"]);
        }
        if body > 0 {
            head.extend(["Content-Length: ", &body.to_string(), "\r\n"]);
        }
        let mut client = Raw::connect(proxy.address(port));
        client.write(head + "\r\n");
        // Who is refused for the length that it announces may find the connection closed.
        drop(client.try_write(vec![b'x'; body]));
        client.response()
    }
}
