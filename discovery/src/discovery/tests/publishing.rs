//! When something is published, and when not.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refused_override_does_not_hold_up_the_change_after_it() {
    let discovery = Scripted::start();
    assert!(discovery.control.set("t", port(1), DRAIN).await.is_err());
    discovery.tell(0, 1..2).await;
    assert_eq!((discovery.revision(), discovery.endpoints()), (2, 1));
    discovery.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_published_is_still_to_be_published_but_not_at_once() {
    // No snapshot can be made of an endpoint that is there twice.
    let twice = [Found::new(port(1)), Found::new(port(1))].into();
    let (mut discovery, _told, _ids) = scripted(CONFIG, None, twice);
    discovery.memberships.touch("s");
    assert!(!discovery.publish().await);
    assert!(discovery.memberships.is_changed());
    assert!(discovery.quiet_until > discovery.clock.now().after(GATHER), "what fails each time must not fill the log");
}
