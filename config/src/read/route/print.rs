//! Writes `[[route]]` with its `body`, `timeout` and `retry`.

use weir_snapshot::{BudgetRules, Bytes, Queueing, RetryRules, RouteSettings, Timeouts};

use super::{
    BODY, BUDGET, BUDGET_FLOOR, BUFFER, CONNECT, Class, HOST, IDLE, MAX, NON_IDEMPOTENT, ON, PATH, PRIORITY, READ,
    RETRY, ROUTE, SERVICE, TIMEOUT, TOTAL, TRIES, WRITE,
};
use crate::raw::Page;
use crate::read::health::ranges_of;
use crate::{Route, Service, defaults};

/// `memory` is what all held bodies may take; `services` are all there are.
pub(in crate::read) fn print(route: &Route, services: &[Service], memory: Bytes, page: &mut Page) {
    let Route { host, path, service, settings } = route;
    // What is hashed and what work is predicted from is the service's to say.
    let RouteSettings { max_body, buffer_body, timeouts, retry, key: _, queueing } = settings;
    let Queueing { work: _, priority, adaptive: _ } = queueing;
    page.table(ROUTE.header);
    page.key(&HOST, host);
    page.settled(&PATH, path, &defaults::PATH.into());
    page.key(&SERVICE, service);
    if services.iter().any(|it| it.name == *service && it.queue.is_some()) {
        page.key(&PRIORITY, priority);
    }
    page.table(BODY.header);
    page.key(&MAX, max_body);
    page.settled(&BUFFER, buffer_body, &defaults::BUFFER_BODY.min(*max_body).min(memory));
    print_timeouts(timeouts, page);
    print_retry(retry, page);
}

fn print_timeouts(timeouts: &Timeouts, page: &mut Page) {
    let Timeouts { connect, read, write, idle, total } = timeouts;
    page.table(TIMEOUT.header);
    page.settled(&CONNECT, connect, &defaults::CONNECT_TIMEOUT.min(*total));
    page.key(&READ, read);
    page.key(&WRITE, write);
    page.key(&IDLE, idle);
    page.key(&TOTAL, total);
}

fn print_retry(retry: &RetryRules, page: &mut Page) {
    let RetryRules { on_error, on_timeout, on_statuses, tries, non_idempotent, budget } = retry;
    let BudgetRules { percent, floor_per_second } = budget;
    let words = [(*on_error, Class::Error), (*on_timeout, Class::Timeout)];
    let statuses = ranges_of(on_statuses).into_iter().map(|(first, last)| Class::Statuses(first, last));
    let on = words.into_iter().filter_map(|(is_on, class)| is_on.then_some(class)).chain(statuses).collect();
    page.table(RETRY.header);
    page.key(&ON, &on);
    page.key(&TRIES, tries);
    page.key(&NON_IDEMPOTENT, non_idempotent);
    page.key(&BUDGET, percent);
    page.key(&BUDGET_FLOOR, floor_per_second);
}
