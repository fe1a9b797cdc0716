//! The directives that need no code of their own: weir has no use for them, or no equivalent.

/// What becomes of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Read elsewhere in this crate.
    Read,
    /// Nothing is lost without it, and why.
    Unneeded(&'static str),
    /// Something is lost, and what to do.
    Lost(&'static str),
}

/// Directives with a value that the inner block inherits; read where a server or a route is made.
pub(crate) const INHERITED: &[&str] = &[
    "proxy_connect_timeout",
    "proxy_read_timeout",
    "proxy_send_timeout",
    "proxy_next_upstream",
    "proxy_next_upstream_tries",
    "proxy_next_upstream_timeout",
    "proxy_request_buffering",
    "client_max_body_size",
    "client_header_timeout",
    "client_body_timeout",
    "send_timeout",
    "keepalive_timeout",
    "large_client_header_buffers",
    "absolute_redirect",
    "underscores_in_headers",
    "ignore_invalid_headers",
];

/// Directives that may stand several times, all of which an inner block inherits unless it has one of its own.
pub(crate) const INHERITED_LISTS: &[&str] = &[
    "proxy_set_header",
    "proxy_hide_header",
    "add_header",
    "access_log",
    "allow",
    "auth_basic",
    "auth_request",
    "auth_jwt",
];

/// Directives whose meaning is found in their place.
const READ: &[&str] = &[
    "http",
    "server",
    "location",
    "upstream",
    "listen",
    "server_name",
    "proxy_pass",
    "return",
    "deny",
    "satisfy",
    "if",
    "set",
    "set_real_ip_from",
    "real_ip_header",
    "real_ip_recursive",
    "worker_processes",
    "rewrite",
    "try_files",
    "internal",
    "limit_except",
    "map",
];

const SAME: &str = "weir does so by itself";
const ITS_OWN: &str = "weir has its own way, see docs/guide/from-nginx.md";
const STATIC: &str = "about files that nginx serves itself";
const TLS: &str = "weir does not speak TLS yet: put what does in front of it";
const TLS_OUT: &str = "weir does not speak TLS to endpoints yet";
const CACHE: &str = "weir keeps no cache: put one in front of it, or behind it";
const LIMIT: &str =
    "weir has no limits per client by rate; a `queue` with fair shares keeps one client from taking all";

/// Directives by name, and what becomes of them.
const WORDS: &[(&str, Fate)] = &[
    ("events", Fate::Unneeded(SAME)),
    ("root", Fate::Unneeded(STATIC)),
    ("alias", Fate::Unneeded(STATIC)),
    ("index", Fate::Unneeded(STATIC)),
    ("types", Fate::Unneeded(STATIC)),
    ("default_type", Fate::Unneeded(STATIC)),
    ("charset", Fate::Unneeded(STATIC)),
    ("sendfile", Fate::Unneeded(STATIC)),
    ("sendfile_max_chunk", Fate::Unneeded(STATIC)),
    ("aio", Fate::Unneeded(STATIC)),
    ("directio", Fate::Unneeded(STATIC)),
    ("autoindex", Fate::Unneeded(STATIC)),
    ("log_not_found", Fate::Unneeded(STATIC)),
    ("tcp_nopush", Fate::Unneeded(SAME)),
    ("tcp_nodelay", Fate::Unneeded(SAME)),
    ("types_hash_max_size", Fate::Unneeded(SAME)),
    ("types_hash_bucket_size", Fate::Unneeded(SAME)),
    ("server_names_hash_bucket_size", Fate::Unneeded(SAME)),
    ("server_names_hash_max_size", Fate::Unneeded(SAME)),
    ("variables_hash_max_size", Fate::Unneeded(SAME)),
    ("variables_hash_bucket_size", Fate::Unneeded(SAME)),
    ("map_hash_bucket_size", Fate::Unneeded(SAME)),
    ("map_hash_max_size", Fate::Unneeded(SAME)),
    ("proxy_headers_hash_max_size", Fate::Unneeded(SAME)),
    ("proxy_headers_hash_bucket_size", Fate::Unneeded(SAME)),
    ("reset_timedout_connection", Fate::Unneeded(SAME)),
    ("merge_slashes", Fate::Unneeded("weir merges slashes before it looks for the route")),
    ("server_tokens", Fate::Unneeded("weir does not name itself in answers")),
    ("proxy_http_version", Fate::Unneeded("weir speaks HTTP/1.1 to endpoints")),
    ("proxy_buffering", Fate::Unneeded("weir passes answers on as fast as the client reads")),
    ("proxy_buffers", Fate::Unneeded("weir passes answers on as fast as the client reads")),
    ("proxy_buffer_size", Fate::Unneeded("weir passes answers on as fast as the client reads")),
    ("proxy_busy_buffers_size", Fate::Unneeded("weir passes answers on as fast as the client reads")),
    ("proxy_max_temp_file_size", Fate::Unneeded("weir writes no files for bodies")),
    ("proxy_temp_file_write_size", Fate::Unneeded("weir writes no files for bodies")),
    ("proxy_temp_path", Fate::Unneeded("weir writes no files for bodies")),
    ("client_body_temp_path", Fate::Unneeded("weir writes no files for bodies")),
    ("client_body_in_file_only", Fate::Unneeded("weir writes no files for bodies")),
    ("client_body_in_single_buffer", Fate::Unneeded("weir writes no files for bodies")),
    ("client_body_buffer_size", Fate::Unneeded("weir holds whole bodies in memory, up to `body.buffer`")),
    ("client_header_buffer_size", Fate::Unneeded("weir's buffers grow up to `max_head`")),
    ("connection_pool_size", Fate::Unneeded(SAME)),
    ("request_pool_size", Fate::Unneeded(SAME)),
    ("output_buffers", Fate::Unneeded(SAME)),
    ("postpone_output", Fate::Unneeded(SAME)),
    ("lingering_close", Fate::Unneeded(SAME)),
    ("lingering_time", Fate::Unneeded(SAME)),
    ("lingering_timeout", Fate::Unneeded(SAME)),
    ("proxy_socket_keepalive", Fate::Unneeded("weir finds dead connections by its timeouts")),
    ("proxy_ignore_client_abort", Fate::Lost("weir ends the exchange when the client leaves")),
    ("fastcgi_temp_path", Fate::Unneeded(STATIC)),
    ("uwsgi_temp_path", Fate::Unneeded(STATIC)),
    ("scgi_temp_path", Fate::Unneeded(STATIC)),
    ("user", Fate::Unneeded("whoever starts weir decides, such as a systemd unit")),
    ("pid", Fate::Unneeded("whoever starts weir knows its process")),
    ("daemon", Fate::Unneeded("weir stays in the foreground")),
    ("master_process", Fate::Unneeded("weir is one process")),
    ("error_log", Fate::Unneeded("weir writes to standard error; the variable WEIR_LOG says how much")),
    ("log_format", Fate::Unneeded("weir's access log is one object of JSON per line")),
    ("worker_rlimit_nofile", Fate::Unneeded("weir takes all that the system allows")),
    ("worker_connections", Fate::Unneeded("a listener's `max_connections` is 10,000 unless you write another number")),
    ("worker_shutdown_timeout", Fate::Unneeded("see `shutdown_deadline` in `[server]`")),
    ("worker_cpu_affinity", Fate::Unneeded(SAME)),
    ("worker_priority", Fate::Unneeded(SAME)),
    ("multi_accept", Fate::Unneeded(SAME)),
    ("use", Fate::Unneeded(SAME)),
    ("accept_mutex", Fate::Unneeded(SAME)),
    ("thread_pool", Fate::Unneeded(SAME)),
    ("pcre_jit", Fate::Unneeded(SAME)),
    ("load_module", Fate::Unneeded("weir loads no modules; what they brought is named in its place")),
    ("env", Fate::Unneeded(SAME)),
    ("resolver", Fate::Unneeded("weir asks the system's resolvers; write `dns` with `resolvers` to ask others")),
    ("resolver_timeout", Fate::Unneeded(ITS_OWN)),
    ("keepalive_requests", Fate::Unneeded("weir does not count the requests of a connection")),
    ("keepalive_time", Fate::Unneeded("weir does not limit the age of a connection")),
    ("keepalive_disable", Fate::Unneeded(ITS_OWN)),
    ("server_name_in_redirect", Fate::Unneeded("weir's redirections are relative")),
    ("port_in_redirect", Fate::Unneeded("weir's redirections are relative")),
    ("recursive_error_pages", Fate::Unneeded("there are no error pages")),
    ("proxy_bind", Fate::Lost("weir lets the system choose the address that it connects from")),
    ("proxy_redirect", Fate::Lost("weir passes `Location` as the endpoint writes it")),
    ("proxy_cookie_domain", Fate::Lost("weir passes cookies as they are")),
    ("proxy_cookie_path", Fate::Lost("weir passes cookies as they are")),
    ("proxy_cookie_flags", Fate::Lost("weir passes cookies as they are")),
    ("proxy_intercept_errors", Fate::Lost("weir passes the endpoint's errors on")),
    ("proxy_pass_header", Fate::Unneeded("weir passes all fields of an answer")),
    ("proxy_ignore_headers", Fate::Lost("weir passes all fields of an answer, and obeys none")),
    ("proxy_pass_request_headers", Fate::Lost("weir passes the request's fields; take them out with `headers.remove`")),
    ("proxy_pass_request_body", Fate::Lost("weir passes the request's body")),
    ("proxy_method", Fate::Lost("weir passes the request's method")),
    ("proxy_set_body", Fate::Lost("weir passes the request's body")),
    ("proxy_limit_rate", Fate::Lost("weir does not slow answers down")),
    ("limit_rate", Fate::Lost("weir does not slow answers down")),
    ("limit_rate_after", Fate::Lost("weir does not slow answers down")),
    ("proxy_store", Fate::Lost(CACHE)),
    ("expires", Fate::Lost("set `Cache-Control` with `answer_headers`")),
    ("add_trailer", Fate::Lost("weir adds no trailers")),
    ("etag", Fate::Unneeded(STATIC)),
    ("error_page", Fate::Lost("weir's own answers are JSON, and the endpoint's pass as they are")),
    ("gzip", Fate::Lost("weir does not compress: let the endpoints do it")),
    ("brotli", Fate::Lost("weir does not compress: let the endpoints do it")),
    ("gunzip", Fate::Lost("weir does not unpack")),
    ("sub_filter", Fate::Lost("weir does not change bodies")),
    ("ssi", Fate::Lost("weir does not change bodies")),
    ("mirror", Fate::Lost("weir sends a request to one endpoint")),
    ("geo", Fate::Lost("weir has no variables of one's own")),
    ("geoip_country", Fate::Lost("weir does not know countries")),
    ("geoip2", Fate::Lost("weir does not know countries")),
    ("split_clients", Fate::Lost("use weights between the endpoints of one service")),
    ("limit_req", Fate::Lost(LIMIT)),
    ("limit_req_zone", Fate::Lost(LIMIT)),
    ("limit_req_status", Fate::Lost(LIMIT)),
    ("limit_req_log_level", Fate::Lost(LIMIT)),
    ("limit_conn", Fate::Lost(LIMIT)),
    ("limit_conn_zone", Fate::Lost(LIMIT)),
    ("limit_conn_status", Fate::Lost(LIMIT)),
    ("open_file_cache", Fate::Unneeded(STATIC)),
    ("stub_status", Fate::Lost("see `/metrics` of the admin listener")),
    ("status_zone", Fate::Unneeded("see `/metrics` of the admin listener")),
    ("http2", Fate::Lost("weir speaks HTTP/1.1 to clients")),
    ("http3", Fate::Lost("weir speaks HTTP/1.1 to clients")),
    ("stream", Fate::Lost("weir balances HTTP, not bare TCP or UDP")),
    ("mail", Fate::Lost("weir balances HTTP")),
    ("perl", Fate::Lost("weir runs no programs in requests")),
    ("perl_set", Fate::Lost("weir runs no programs in requests")),
    ("health_check", Fate::Lost("write `health = { kind = \"http\" }` to the service")),
    ("match", Fate::Lost("write `health = { kind = \"http\" }` to the service")),
    ("set_from_accept_language", Fate::Lost("weir has no variables of one's own")),
    ("userid", Fate::Lost("weir sets no cookies of its own")),
    ("auth_basic_user_file", Fate::Read),
    ("auth_request_set", Fate::Lost("weir asks nobody else about a request")),
    ("auth_http", Fate::Lost("weir asks nobody else about a request")),
    ("break", Fate::Unneeded("it ends the rewriting, of which there is none")),
];

/// Beginnings of names, and what becomes of all that begin so.
const FAMILIES: &[(&str, Fate)] = &[
    // Said at the `listen` that they are for.
    ("ssl_", Fate::Unneeded(TLS)),
    ("quic_", Fate::Unneeded(TLS)),
    ("http2_", Fate::Lost("weir speaks HTTP/1.1 to clients")),
    ("proxy_ssl_", Fate::Lost(TLS_OUT)),
    ("proxy_cache", Fate::Lost(CACHE)),
    ("proxy_no_cache", Fate::Lost(CACHE)),
    ("proxy_force_ranges", Fate::Lost(CACHE)),
    ("gzip_", Fate::Unneeded("weir does not compress: let the endpoints do it")),
    ("brotli_", Fate::Unneeded("weir does not compress: let the endpoints do it")),
    ("open_file_cache_", Fate::Unneeded(STATIC)),
    ("fastcgi_", Fate::Lost("weir speaks HTTP alone to endpoints")),
    ("uwsgi_", Fate::Lost("weir speaks HTTP alone to endpoints")),
    ("scgi_", Fate::Lost("weir speaks HTTP alone to endpoints")),
    ("grpc_", Fate::Lost("weir speaks HTTP/1.1 to endpoints")),
    ("memcached_", Fate::Lost("weir speaks HTTP alone to endpoints")),
    ("sub_filter_", Fate::Lost("weir does not change bodies")),
    ("ssi_", Fate::Unneeded("weir does not change bodies")),
    ("autoindex_", Fate::Unneeded(STATIC)),
    ("dav_", Fate::Lost("about files that nginx serves itself; weir serves none")),
    ("image_filter", Fate::Lost("weir does not change bodies")),
    ("lua_", Fate::Unneeded("weir runs no programs in requests")),
    ("js_", Fate::Lost("weir runs no programs in requests")),
    ("modsecurity", Fate::Lost("weir does not look for attacks: keep the firewall in front of it")),
    ("opentelemetry", Fate::Lost("traces come with a later version of weir")),
    ("otel_", Fate::Lost("traces come with a later version of weir")),
];

/// What becomes of a directive of this name.
pub(crate) fn fate(name: &str) -> Fate {
    if [READ, INHERITED, INHERITED_LISTS].iter().any(|list| list.contains(&name)) {
        return Fate::Read;
    }
    if name.contains("_by_lua") {
        return Fate::Lost(
            "weir runs no programs in requests: what it did must be done in front of weir, or behind it",
        );
    }
    let by_name = WORDS.iter().find(|(known, _)| *known == name);
    let by_family = || FAMILIES.iter().find(|(family, _)| name.starts_with(family));
    by_name.or_else(by_family).map_or(Fate::Lost("weir has nothing like it"), |(_, fate)| *fate)
}
