//! Writes `queue` of a `[[service]]`.

use weir_balance::{Nanos, Rules};
use weir_snapshot::{Millis, QueueRules, WorkFrom};

use super::{ADAPTIVE, AGEING, BELIEVED, CAPACITY, EXTRA, MAX, ORDER, Order, QUEUE, SLACK, SMALL, STEP, TIMEOUT};
use crate::defaults;
use crate::raw::Page;

pub(in crate::read) fn print(rules: &QueueRules, work: WorkFrom, adaptive: bool, page: &mut Page) {
    let QueueRules { capacity, extra, timeout, order } = rules;
    let Rules { max, factor, believed, least: _, handicap, slack, small } = order;
    let predicts = work != WorkFrom::Nothing;
    let usual = if predicts { Order::SmallestFirst } else { Order::Fifo };
    let (order, usual_extra) = if *factor == 0 { (Order::Fifo, 0) } else { (Order::SmallestFirst, defaults::EXTRA) };
    page.table(QUEUE.header);
    page.key(&CAPACITY, &capacity.get());
    page.key(&MAX, max);
    page.key(&TIMEOUT, timeout);
    page.settled(&ORDER, &order, &usual);
    if order == Order::SmallestFirst {
        page.settled(&AGEING, factor, &defaults::AGEING);
    }
    if predicts {
        page.key(&BELIEVED, &millis(*believed));
        page.settled(&EXTRA, extra, &usual_extra);
        page.key(&SMALL, &millis(*small));
    }
    page.key(&STEP, &millis(*handicap));
    page.key(&SLACK, &millis(*slack));
    page.key(&ADAPTIVE, &adaptive);
}

/// All of them were milliseconds when they were read.
fn millis(span: Nanos) -> Millis {
    Millis::new(span.0 / 1_000_000)
}
