//! The plainest fair configuration of each proxy, in front of one endpoint: what `overhead` and `idle` measure.
//!
//! In: an endpoint, an address to listen on, room for connections. Out: text. Pure. Each has one worker and no access log, and is
//! set up as a fair user would: nginx keeps connections to the endpoint open and takes large bodies, and buffers as it does by
//! default; `HAProxy` reuses connections to the endpoint as freely as it can; Envoy's limits are out of reach.

use std::net::SocketAddr;

use super::proxy::Kind;

/// The configuration for `room` connections at once, listening on `listen` (weir takes a free port and says it). `{folder}`
/// is left for the caller to fill.
pub(crate) fn configuration(kind: Kind, endpoint: SocketAddr, listen: SocketAddr, room: usize) -> String {
    let text = match kind {
        Kind::Weir | Kind::Permits | Kind::Queue | Kind::NoRecent => WEIR,
        Kind::Nginx => NGINX,
        Kind::Haproxy => HAPROXY,
        Kind::Envoy => ENVOY,
    };
    // nginx counts the connections to the endpoint too.
    let places = if kind == Kind::Nginx { 2 * room } else { room };
    let queue = match kind {
        Kind::Permits => WIDE,
        Kind::Queue => NARROW,
        _ => "",
    };
    let recent = if kind == Kind::NoRecent { "recent = 0\n" } else { "" };
    text.replace("{queue}", queue)
        .replace("{recent}", recent)
        .replace("{listen}", &listen.to_string())
        .replace("{listen_port}", &listen.port().to_string())
        .replace("{endpoint}", &endpoint.to_string())
        .replace("{endpoint_port}", &endpoint.port().to_string())
        .replace("{room}", &places.to_string())
}

const WEIR: &str = r#"[server]
threads = 1
shutdown_delay = "0s"
[admin]
listen = "127.0.0.1:0"
{recent}[log]
access = "off"
[[listener]]
address = "127.0.0.1:0"
max_connections = {room}
[[route]]
service = "endpoint"
body = { max = "64MiB", buffer = "32MiB" }
[[service]]
name = "endpoint"
policy = "least-connections"
endpoints = [ { address = "{endpoint}" } ]
{queue}"#;

/// More permits than anything here has connections.
const WIDE: &str = r#"work = "image"
queue = { capacity = 60000 }
"#;

/// Fewer permits than the cases have connections: of 64, 60 wait at any moment.
const NARROW: &str = r#"work = "image"
queue = { capacity = 4, max = 60000, extra = 0 }
"#;

const NGINX: &str = "daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events { worker_connections {room}; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
  upstream endpoint { server {endpoint}; keepalive 64; }
  server {
    listen {listen};
    location / {
      proxy_pass http://endpoint;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }
  }
}
";

const HAPROXY: &str = "global
  nbthread 1
  maxconn {room}
defaults
  mode http
  option http-keep-alive
  timeout connect 3s
  timeout client 75s
  timeout server 60s
frontend listener
  bind {listen}
  default_backend endpoint
backend endpoint
  http-reuse always
  server endpoint {endpoint}
";

const ENVOY: &str = r#"static_resources:
  listeners:
  - name: listener
    address: { socket_address: { address: 127.0.0.1, port_value: {listen_port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: listener
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: endpoint } }] }
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: endpoint
    type: STATIC
    circuit_breakers:
      thresholds: [{ max_connections: {room}, max_pending_requests: {room}, max_requests: {room} }]
    load_assignment:
      cluster_name: endpoint
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: {endpoint_port} } } }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_has_no_place_left_to_fill() {
        let endpoint = SocketAddr::from(([127, 0, 0, 1], 3001));
        for kind in [Kind::Weir, Kind::Permits, Kind::Queue, Kind::NoRecent, Kind::Nginx, Kind::Haproxy, Kind::Envoy] {
            let text = configuration(kind, endpoint, endpoint, 100).replace("{folder}", "");
            for place in ["{listen", "{endpoint", "{room}", "{queue}", "{recent}"] {
                assert!(!text.contains(place), "{text}");
            }
            assert!(text.contains("3001"), "{text}");
        }
    }
}
