//! Writes `health` of a `[[service]]`.

use weir_snapshot::{HealthRules, Millis, Probe, ProbeKind};

use super::{BLAME, BODY, FAILURES, HEALTH, HOST, How, INTERVAL, KIND, PATH, STATUSES, SUCCESSES, TIMEOUT, WINDOW};
use crate::defaults;
use crate::raw::Page;

pub(in crate::read) fn print(health: &HealthRules, page: &mut Page) {
    let HealthRules { failures, window, successes, statuses, probe } = health;
    page.table(HEALTH.header);
    match probe {
        None => page.key(&KIND, &How::Passive),
        Some(Probe { kind: ProbeKind::Tcp, interval, timeout }) => {
            page.key(&KIND, &How::Tcp);
            print_times(*interval, *timeout, page);
        }
        Some(Probe { kind: ProbeKind::Http { path, host, statuses, body }, interval, timeout }) => {
            page.key(&KIND, &How::Http);
            page.settled(&PATH, &(&**path).into(), &defaults::PROBE_PATH.into());
            page.key(&HOST, &host.as_deref().map(Into::into));
            page.key(&STATUSES, statuses);
            page.key(&BODY, &body.as_deref().map(Into::into));
            print_times(*interval, *timeout, page);
        }
    }
    page.key(&FAILURES, failures);
    page.key(&WINDOW, window);
    page.key(&SUCCESSES, successes);
    page.key(&BLAME, &ranges_of(statuses));
}

fn print_times(interval: Millis, timeout: Millis, page: &mut Page) {
    page.key(&INTERVAL, &interval);
    page.settled(&TIMEOUT, &timeout, &defaults::PROBE_TIMEOUT.min(interval));
}

/// The ranges that [`super::each_of`] makes these ascending statuses of, as few as possible.
pub(in crate::read) fn ranges_of(statuses: &[u16]) -> Vec<(u16, u16)> {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for &status in statuses {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == status => *last = status,
            _ => ranges.push((status, status)),
        }
    }
    ranges
}
