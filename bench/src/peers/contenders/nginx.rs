//! nginx: at its best for this work, and the block of a widely copied course as it stands.

use super::super::contender::Contender;
use crate::rig::proxy::Kind;

const HEAD: &str = "daemon off;
worker_processes {threads};
pid {folder}/pid;
error_log stderr error;
events { worker_connections {room}; }
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 64m;
{row}
}
";

/// `zone`: with several workers the counts would else be each worker's own. `fail_timeout=1s`: it has no active
/// checks, and ten seconds, its default, would keep an endpoint out long after it is back.
const BEST: &str = "  client_body_buffer_size 1m;
  upstream optimizers {
    zone optimizers 256k;
    least_conn;
{endpoints}
    keepalive 64;
  }
  server {
    listen {listen};
    location / {
      proxy_pass http://optimizers;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_next_upstream error timeout non_idempotent;
      proxy_next_upstream_tries 3;
      proxy_connect_timeout 3s;
      proxy_read_timeout 60s;
    }
  }";

const COURSE: &str = "  upstream optimizers {
    least_conn;
{endpoints}
    keepalive 32;
  }
  server {
    listen {listen};
    location / {
      proxy_pass         http://optimizers;
      proxy_next_upstream error timeout;
      proxy_connect_timeout 3s;
      proxy_read_timeout    15s;
    }
  }";

const fn row(name: &'static str, about: &'static str, row: &'static str, endpoint: &'static str) -> Contender {
    Contender { name, kind: Kind::Nginx, about, text: HEAD, endpoint, row, weighted: None, promised: false }
}

/// Its entries.
pub(crate) const NGINX: &[Contender] = &[
    row("nginx", "least_conn", BEST, "    server {address} weight={weight} max_fails=1 fail_timeout=1s;"),
    row("nginx-course", "least_conn, the course's block", COURSE, "    server {address} weight={weight};"),
];
