//! Bringing a content here to be kept: what the block cache has is copied, the rest comes from the Hub, and the
//! person's own reads go first.

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hub::{ErrorClass, HubError};
use tokio::time::timeout;

use super::block::{BLOCK, ContentKey, bytes_of};
use super::{Content, Kept};

/// Written to disk in one go.
pub const KEEP_PIECE: u64 = 1 << 20;
/// While somebody waits for the Hub a piece more is fetched only this often.
const MANNERS: Duration = Duration::from_millis(200);
/// A download that brings nothing for this long has failed.
const STALL: Duration = Duration::from_secs(60);

/// Why blocks were not kept.
#[derive(Debug)]
pub enum KeepError {
    Hub(HubError),
    Disk(io::Error),
}

impl From<HubError> for KeepError {
    fn from(error: HubError) -> Self {
        KeepError::Hub(error)
    }
}

impl From<io::Error> for KeepError {
    fn from(error: io::Error) -> Self {
        KeepError::Disk(error)
    }
}

impl Content {
    /// What is kept offline.
    pub fn kept(&self) -> &std::sync::Arc<Kept> {
        &self.kept
    }

    /// Somebody waits for the Hub, or reads ahead.
    pub fn is_in_demand(&self) -> bool {
        self.carrier.tally.is_fetching()
    }

    /// On return the blocks `run` of the content are kept. What was kept before an error stays.
    pub async fn keep(
        &self,
        hash: &str,
        file_size: u64,
        run: Range<u32>,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<(), KeepError> {
        let Some(key) = ContentKey::parse(hash) else {
            let what = format!("The Hub named a file's content `{hash}`, which is no Xet hash.");
            return Err(KeepError::Hub(HubError::broken(what)));
        };
        for gap in self.copy_cached(key, file_size, run, told).await? {
            let range = bytes_of(gap.start, file_size).start..bytes_of(gap.end - 1, file_size).end;
            let mut stream = self.carrier.source.fetch(hash, file_size, range.clone());
            let (mut rest, mut at) = (Bytes::new(), gap.start);
            let mut left = range.end - range.start;
            while left > 0 {
                self.be_polite().await;
                let mut piece = BytesMut::with_capacity(KEEP_PIECE.min(left) as usize);
                while (piece.len() as u64) < KEEP_PIECE.min(left) {
                    if rest.is_empty() {
                        rest = next(&mut stream).await?;
                    }
                    let wanted = (KEEP_PIECE.min(left) as usize - piece.len()).min(rest.len());
                    piece.extend_from_slice(&rest.split_to(wanted));
                }
                let len = piece.len() as u64;
                self.kept.count_download(len);
                self.put_kept(key, file_size, at, piece.freeze()).await?;
                told(len);
                left -= len;
                at += (len / BLOCK) as u32;
            }
        }
        Ok(())
    }

    /// Keeps what of `run` the block cache has; answers what it has not.
    async fn copy_cached(
        &self,
        key: ContentKey,
        file_size: u64,
        run: Range<u32>,
        told: &(dyn Fn(u64) + Sync),
    ) -> Result<Vec<Range<u32>>, KeepError> {
        let mut gaps: Vec<Range<u32>> = Vec::new();
        for part in run.clone().step_by((KEEP_PIECE / BLOCK) as usize) {
            let part = part..(part + (KEEP_PIECE / BLOCK) as u32).min(run.end);
            let known = self.carrier.store.look_up(key, part.clone()).await;
            let places: Vec<_> =
                part.clone().filter_map(|index| Some((index, known.place(index)?))).collect();
            let loaded = match places.is_empty() {
                true => Vec::new(),
                false => self.carrier.store.read(key, places).await,
            };
            let mut loaded = loaded.into_iter().peekable();
            for index in part {
                let found = loaded.next_if(|(number, _)| *number == index).and_then(|(_, bytes)| bytes);
                if let Some(bytes) = found {
                    let len = bytes.len() as u64;
                    self.put_kept(key, file_size, index, bytes).await?;
                    told(len);
                    continue;
                }
                match gaps.last_mut() {
                    Some(gap) if gap.end == index => gap.end += 1,
                    _ => gaps.push(index..index + 1),
                }
            }
        }
        Ok(gaps)
    }

    async fn put_kept(
        &self,
        key: ContentKey,
        file_size: u64,
        first: u32,
        bytes: Bytes,
    ) -> Result<(), KeepError> {
        let kept = self.kept.clone();
        let put = tokio::task::spawn_blocking(move || kept.put(&key, file_size, first, &bytes)).await;
        put.unwrap_or_else(|_| Err(io::Error::other("a write was broken off"))).map_err(KeepError::Disk)
    }

    async fn be_polite(&self) {
        if self.is_in_demand() {
            tokio::time::sleep(MANNERS).await;
        }
    }
}

async fn next(
    stream: &mut (impl futures_util::Stream<Item = Result<Bytes, HubError>> + Unpin),
) -> Result<Bytes, HubError> {
    match timeout(STALL, stream.next()).await {
        Ok(Some(chunk)) => chunk,
        Ok(None) => Err(HubError::broken("The Hub sent less of a file than it should.")),
        Err(_) => {
            let busy = ErrorClass::Busy { retry_after: None };
            Err(HubError::new(busy, "The Hub sent nothing of a file for a minute."))
        }
    }
}
