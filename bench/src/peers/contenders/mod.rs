//! The configurations, one table per proxy.
//!
//! Each peer is set up as somebody would who knows it well and wants it to win: one worker unless told otherwise, so that its
//! counts are whole; connections to endpoints kept alive; active checks where it has them; a failed request tried again
//! elsewhere, POST or not, since drawing a watermark twice does no harm; no access log; room for every connection.

mod envoy;
mod haproxy;
mod nginx;
mod weir;

pub(crate) use envoy::ENVOY;
pub(crate) use haproxy::HAPROXY;
pub(crate) use nginx::NGINX;
pub(crate) use weir::WEIR;
