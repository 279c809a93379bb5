use std::os::unix::fs::FileExt;

use super::*;

const SIZE: u64 = 3 * BLOCK + 1000;

fn key() -> ContentKey {
    ContentKey([7; 32])
}

fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at / 251 + at) as u8).collect()
}

fn put(kept: &Kept, block: u32) {
    let range = bytes_of(block, SIZE);
    kept.put(&key(), SIZE, block, &content()[range.start as usize..range.end as usize]).unwrap();
}

async fn read(kept: &Arc<Kept>, range: Range<u64>) -> Option<Vec<u8>> {
    let bytes = kept.read(key(), SIZE, range.clone()).await?;
    assert_eq!(bytes, content()[range.start as usize..range.end as usize], "never wrong bytes");
    Some(bytes.to_vec())
}

#[tokio::test]
async fn what_is_here_is_read_after_a_restart_and_the_rest_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Arc::new(Kept::open(dir.path()).unwrap());
    put(&kept, 1);
    put(&kept, 3);
    assert_eq!(kept.bytes(), BLOCK + 1000);
    drop(kept);
    let kept = Arc::new(Kept::open(dir.path()).unwrap());
    kept.scan().unwrap();
    assert_eq!(kept.bytes(), BLOCK + 1000);
    assert_eq!(kept.missing(&key(), SIZE, 8), [0..1, 2..3]);
    assert!(read(&kept, 70_000..70_010).await.is_some());
    assert!(read(&kept, 0..10).await.is_none());
    put(&kept, 0);
    put(&kept, 2);
    assert!(kept.missing(&key(), SIZE, 8).is_empty());
    assert!(read(&kept, 5..SIZE).await.is_some());
    // Whole, it is found without a look at the directory.
    let again = Arc::new(Kept::open(dir.path()).unwrap());
    assert!(read(&again, 0..SIZE).await.is_some());
    again.scan().unwrap();
    assert_eq!(again.bytes(), SIZE);
    assert_eq!(again.retain(|_| false), SIZE);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "its space has come back");
}

#[tokio::test]
async fn a_damaged_block_is_missing_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Arc::new(Kept::open(dir.path()).unwrap());
    (0..4).for_each(|block| put(&kept, block));
    let file = std::fs::OpenOptions::new().write(true).open(dir.path().join(key().hex())).unwrap();
    file.write_all_at(b"!", BLOCK + 5).unwrap();
    assert!(read(&kept, 0..SIZE).await.is_none());
    let missing = kept.missing(&key(), SIZE, 8);
    assert_eq!((kept.damaged(), missing.len(), missing[0].clone()), (1, 1, 1..2));
    assert!(read(&kept, 2 * BLOCK..SIZE).await.is_some());
    put(&kept, 1);
    assert!(read(&kept, 0..SIZE).await.is_some());
    assert_eq!(kept.bytes(), SIZE);
}

#[tokio::test]
async fn after_a_power_cut_a_checksum_without_its_block_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::open(dir.path()).unwrap();
    put(&kept, 0);
    put(&kept, 1);
    let part = dir.path().join(format!("{}.part", key().hex()));
    let file = std::fs::OpenOptions::new().write(true).open(part).unwrap();
    file.write_all_at(&vec![0; BLOCK as usize], 0).unwrap();
    let kept = Arc::new(Kept::open(dir.path()).unwrap());
    kept.scan().unwrap();
    assert_eq!(kept.missing(&key(), SIZE, 1), [0..1, 2..3, 3..4]);
    assert!(read(&kept, 0..10).await.is_none());
    assert!(read(&kept, BLOCK..2 * BLOCK).await.is_some());
}

#[test]
fn a_size_is_told_by_the_length_on_disk() {
    for size in [1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK, 1 << 40] {
        assert_eq!(file::size_of(size + size.div_ceil(BLOCK) * 8), Some(size));
    }
    for len in [0, 1, 8, BLOCK + 9] {
        assert_eq!(file::size_of(len), None, "{len}");
    }
}
