//! Writes `[server]`, `[admin]` and `[discovery]`.

use super::{
    ADMIN, ADMIN_LISTEN, BODY_MEMORY, CACHE_DIR, DISCOVERY, RECENT, SERVER, SHUTDOWN_DEADLINE, SHUTDOWN_DELAY,
    START_WAIT, THREADS, TOKEN_FILE, TRUSTED_PROXIES,
};
use crate::raw::Page;
use crate::{Admin, Discovery, Server};

pub(in crate::read) fn print_server(server: &Server, page: &mut Page) {
    let Server { threads, shutdown_delay, shutdown_deadline, trusted_proxies, body_memory } = server;
    page.table(SERVER.header);
    page.key(&THREADS, threads);
    page.key(&SHUTDOWN_DELAY, shutdown_delay);
    page.key(&SHUTDOWN_DEADLINE, shutdown_deadline);
    page.key(&TRUSTED_PROXIES, &trusted_proxies.0);
    page.key(&BODY_MEMORY, body_memory);
}

pub(in crate::read) fn print_admin(admin: &Admin, page: &mut Page) {
    let Admin { listen, token_file, recent } = admin;
    page.table(ADMIN.header);
    page.key(&ADMIN_LISTEN, listen);
    page.key(&TOKEN_FILE, token_file);
    page.key(&RECENT, recent);
}

pub(in crate::read) fn print_discovery(discovery: &Discovery, page: &mut Page) {
    let Discovery { cache_dir, start_wait } = discovery;
    page.table(DISCOVERY.header);
    page.key(&CACHE_DIR, cache_dir);
    page.key(&START_WAIT, start_wait);
}
