//! Envoy: `LEAST_REQUEST` with its two choices, and comparing all endpoints. Its limits, which are queues or refusals of their
//! own, are set out of reach.

use super::super::contender::Contender;
use crate::rig::proxy::Kind;

const TEXT: &str = r#"static_resources:
  listeners:
  - name: listener
    address: { socket_address: { address: "{host}", port_value: {port} } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: listener
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: { prefix: "/" }
                route:
                  cluster: optimizers
                  timeout: 90s
                  retry_policy:
                    retry_on: "connect-failure,refused-stream,reset"
                    num_retries: 2
                    host_selection_retry_max_attempts: 5
                    retry_host_predicate:
                    - name: envoy.retry_host_predicates.previous_hosts
                      typed_config:
                        "@type": type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: optimizers
    type: STATIC
    connect_timeout: 3s
{row}
    circuit_breakers:
      thresholds:
      - { max_connections: {room}, max_pending_requests: {room}, max_requests: {room}, max_retries: {room} }
    health_checks:
    - timeout: 1s
      interval: 1s
      no_traffic_interval: 1s
      unhealthy_threshold: 3
      healthy_threshold: 1
      http_health_check: { path: /healthz }
    load_assignment:
      cluster_name: optimizers
      endpoints:
      - lb_endpoints:
{endpoints}
"#;

const ENDPOINT: &str = r#"        - endpoint: { address: { socket_address: { address: "{host}", port_value: {port} } } }
          load_balancing_weight: {weight}"#;

const FULL_SCAN: &str = r#"    load_balancing_policy:
      policies:
      - typed_extension_config:
          name: envoy.load_balancing_policies.least_request
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest
            selection_method: FULL_SCAN"#;

const fn row(name: &'static str, about: &'static str, row: &'static str) -> Contender {
    Contender { name, kind: Kind::Envoy, about, text: TEXT, endpoint: ENDPOINT, row, weighted: None, promised: false }
}

/// Its entries.
pub(crate) const ENVOY: &[Contender] = &[
    row("envoy", "LEAST_REQUEST, its default of two choices", "    lb_policy: LEAST_REQUEST"),
    row("envoy-scan", "LEAST_REQUEST, all endpoints compared", FULL_SCAN),
];
