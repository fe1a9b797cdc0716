//! Writes `[[listener]]`.

use weir_snapshot::ListenerSettings;

use super::{
    ADDRESS, FIELD_NAMES, HEADER_TIMEOUT, IDLE_TIMEOUT, LISTENER, MAX_CONNECTIONS, MAX_FIELDS, MAX_HEAD, MAX_TARGET,
    READ_TIMEOUT, WRITE_TIMEOUT,
};
use crate::defaults;
use crate::raw::Page;

pub(in crate::read) fn print(listener: &ListenerSettings, page: &mut Page) {
    let ListenerSettings {
        address,
        max_connections,
        header_timeout,
        idle_timeout,
        read_timeout,
        write_timeout,
        max_head,
        max_fields,
        max_target,
        field_names,
    } = listener;
    page.table(LISTENER.header);
    page.key(&ADDRESS, address);
    page.key(&MAX_CONNECTIONS, max_connections);
    page.key(&HEADER_TIMEOUT, header_timeout);
    page.key(&IDLE_TIMEOUT, idle_timeout);
    page.key(&READ_TIMEOUT, read_timeout);
    page.key(&WRITE_TIMEOUT, write_timeout);
    page.key(&MAX_HEAD, max_head);
    page.key(&MAX_FIELDS, max_fields);
    page.settled(&MAX_TARGET, max_target, &defaults::MAX_TARGET.min(*max_head));
    page.key(&FIELD_NAMES, field_names);
}
