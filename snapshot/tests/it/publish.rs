use std::sync::Arc;

use weir_snapshot::{Publisher, RouteTable, Snapshot};

use crate::support::{pool, rules};

fn revision(revision: u64) -> Snapshot {
    Snapshot { revision, ..Snapshot::default() }
}

#[test]
fn a_reader_gets_the_newest_snapshot_and_keeps_the_one_it_loaded() {
    let mut publisher = Publisher::new(revision(1));
    let reader = publisher.reader();
    let kept = reader.load();
    publisher.publish(revision(2));
    assert_eq!(kept.revision, 1);
    assert_eq!(reader.clone().load().revision, 2);
}

#[tokio::test]
async fn whoever_waits_for_a_revision_is_woken_and_finds_it_loaded() {
    let mut publisher = Publisher::new(revision(1));
    let reader = publisher.reader();
    let mut revisions = reader.revisions();
    let waiting = tokio::spawn(async move {
        revisions.changed().await.unwrap();
        reader.load().revision
    });
    tokio::task::yield_now().await;
    publisher.publish(revision(2));
    assert_eq!(waiting.await.unwrap(), 2);
}

#[tokio::test]
async fn waiting_ends_when_the_publisher_is_gone() {
    let publisher = Publisher::new(revision(1));
    let mut revisions = publisher.reader().revisions();
    drop(publisher);
    assert!(revisions.changed().await.is_err());
}

#[test]
fn a_pool_is_found_by_its_service() {
    let pools = vec![pool(1, rules())];
    let snapshot = Snapshot { revision: 1, routes: RouteTable::default(), pools };
    assert!(Arc::ptr_eq(snapshot.pool("optimizers").unwrap(), &snapshot.pools[0]));
    assert!(snapshot.pool("others").is_none());
}
