//! How long a kernel is kept waiting.

use std::time::{Duration, Instant};

use nfs3_client::nfs3_types::nfs3::nfsstat3;
use testkit::{Fault, Harm};

use crate::support::Room;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_names_waits_for_a_slow_listing_three_seconds_and_the_listing_goes_on() {
    let room = Room::new();
    room.hub.client().put(&room.bucket, "there.txt", b"there");
    let engine = room.serve();
    room.hub.faults().add(Fault::on("/tree", Harm::Delay { ms: 5000 }));
    let mut wire = engine.mount().await;
    let start = Instant::now();
    assert_eq!(wire.create("new.txt").await.unwrap_err(), nfsstat3::NFS3ERR_JUKEBOX);
    let waited = start.elapsed();
    assert!((2.5..4.5).contains(&waited.as_secs_f64()), "answered after {waited:?}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let start = Instant::now();
    wire.create("new.txt").await.expect("the listing that went on is known now");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let root = wire.root.clone();
    wire.lookup(&root, "there.txt").await.expect("what was there is still there");
}
