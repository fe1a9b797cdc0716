//! A weir in front of scripted endpoints.

use weir_testkit::{Endpoint, Weir};

/// What a test changes about the plain configuration: lines of TOML for each table.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Setup<'a> {
    /// Lines of `[server]`.
    pub(crate) server: &'a str,
    /// Lines of the `[[listener]]`.
    pub(crate) listener: &'a str,
    /// Lines of the `[[route]]`, which takes every path.
    pub(crate) route: &'a str,
    /// Lines of the `[[service]]`.
    pub(crate) service: &'a str,
}

impl Setup<'_> {
    /// The configuration file.
    pub(crate) fn toml(&self, endpoints: &[&Endpoint]) -> String {
        let addresses: Vec<String> = endpoints.iter().map(|endpoint| format!("\"{}\"", endpoint.address())).collect();
        format!(
            r#"[server]
shutdown_delay = "0s"
{server}
[admin]
listen = "127.0.0.1:0"
[[listener]]
address = "127.0.0.1:0"
{listener}
[[route]]
service = "s"
{route}
[[service]]
name = "s"
policy = "round-robin"
endpoints = [{endpoints}]
{service}
"#,
            server = self.server,
            listener = self.listener,
            route = self.route,
            service = self.service,
            endpoints = addresses.join(", "),
        )
    }

    /// Runs it.
    pub(crate) fn start(&self, endpoint: &Endpoint) -> Weir {
        Weir::start(env!("CARGO_BIN_EXE_weir"), &self.toml(&[endpoint]))
    }
}

/// A weir with defaults.
pub(crate) fn weir(endpoint: &Endpoint) -> Weir {
    Setup::default().start(endpoint)
}

/// A weir that holds bodies up to 64 MiB.
pub(crate) const HOLDS: Setup<'static> =
    Setup { server: "", listener: "", route: r#"body = { max = "64MiB", buffer = "64MiB" }"#, service: "" };

/// A weir that holds no body at all.
pub(crate) const STREAMS: Setup<'static> =
    Setup { server: "", listener: "", route: r#"body = { max = "1GiB", buffer = "0B" }"#, service: "" };

/// A GET with these further lines.
pub(crate) fn get(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

/// The head of a POST with a body of this length and these further lines.
pub(crate) fn post(length: u64, lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}\r\n{lines}\r\n")
}

/// The head of a chunked POST with these further lines.
pub(crate) fn post_chunked(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n{lines}\r\n")
}

/// Waits until no exchange is under way at any endpoint.
pub(crate) fn wait_until_leases_are_back(weir: &Weir) {
    weir.wait_for_metric("weir_in_flight", &[("service", "s")], |in_flight| in_flight == 0.0);
}

/// Asserts that weir answered with this refusal of its own, and counted it.
pub(crate) fn assert_refused(weir: &Weir, response: &weir_testkit::Response, status: u16, reason: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    let said: serde_json::Value = serde_json::from_str(&response.text()).unwrap();
    assert_eq!((said["status"].as_u64(), said["reason"].as_str()), (Some(u64::from(status)), Some(reason)));
    assert_eq!(response.field("content-type"), Some("application/json"));
    let counted = weir.metric("weir_refusals_total", &[("reason", reason)]);
    assert!(counted >= 1.0, "weir_refusals_total{{reason=\"{reason}\"}} is {counted}");
}
