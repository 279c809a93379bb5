//! Reading, writing, flushing, committing: which bytes the kernel keeps, sends, sends again and throws away.
//!
//! Functions named are of NFS:kext/nfs_bio.c and nfs_vnops.c.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nfs3_types::nfs3::*;
use nfs3_types::xdr_codec::Opaque;

use crate::attributes::Fresh;
use crate::errno::{Errno, Result};
use crate::mount::{Mount, done};
use crate::node::{Node, PAGE};

/// How a program writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// O_APPEND.
    pub append: bool,
    /// O_SYNC.
    pub sync: bool,
    /// F_NOCACHE: Finder and copyfile.
    pub no_cache: bool,
}

impl Mount {
    /// write(2): nfs_vnop_write. Returns where it was written.
    pub async fn write(
        self: &Arc<Self>,
        node: &Arc<Node>,
        offset: u64,
        data: &[u8],
        how: Manner,
    ) -> Result<u64> {
        let (error, invalidate) =
            node.with(|state| (state.write_error.take(), std::mem::take(&mut state.need_invalidate)));
        if invalidate {
            self.invalidate(node, true, true).await;
        }
        if let Some(errno) = error {
            return Err(errno);
        }
        let mut at = offset;
        if how.append || how.sync {
            if node.with(|state| state.modified) {
                node.with(|state| state.attr_valid = false);
                // Takes the file's error and goes on.
                self.invalidate(node, true, false).await;
            }
            if how.append {
                self.getattr(node, Fresh::Asked).await?;
                at = node.size();
            }
        }
        let start = at;
        let mut rest = data;
        while !rest.is_empty() {
            let within = at % self.block;
            let count = (self.block - within).min(rest.len() as u64);
            let (now, later) = rest.split_at(count as usize);
            self.write_block(node, at / self.block, within, now, how).await?;
            at += count;
            rest = later;
            if node.with(|state| state.need_commit()) >= self.options.many_need_commit {
                let _ = self.flush_commits(node).await;
            }
        }
        Ok(start)
    }

    /// The part of a write that falls into one block.
    async fn write_block(
        self: &Arc<Self>,
        node: &Arc<Node>,
        block: u64,
        on: u64,
        data: &[u8],
        how: Manner,
    ) -> Result<()> {
        let range = on..on + data.len() as u64;
        loop {
            node.acquire(block).await;
            let apart = node.with(|state| {
                let buffer = state.buffers.entry(block).or_default();
                let dirty = &buffer.dirty;
                let apart = !dirty.is_empty() && (range.start > dirty.end || range.end < dirty.start);
                buffer.stable |= apart;
                apart
            });
            if !apart {
                break;
            }
            // Not contiguous with what is dirty: that goes out first, FILE_SYNC (NB_STABLE).
            self.write_buffer(node, block, true).await?;
        }
        self.read_edges(node, block, &range, how).await;
        let whole = range.end == self.block;
        let at_once = whole || how.append || how.no_cache || how.sync;
        node.with(|state| {
            state.modified = true;
            let end = block * self.block + range.end;
            state.size = state.size.max(end);
            let buffer = state.buffers.entry(block).or_default();
            buffer.no_cache |= how.no_cache;
            buffer.fill(range.start, data);
            buffer.dirty = if buffer.dirty.is_empty() {
                range.clone()
            } else {
                buffer.dirty.start.min(range.start)..buffer.dirty.end.max(range.end)
            };
            // "it must be written again and not just committed"
            buffer.need_commit = false;
            if !at_once {
                buffer.delayed = true;
                buffer.busy = false;
            }
        });
        if at_once {
            self.write_buffer(node, block, !how.sync).await?;
        }
        Ok(())
    }

    /// Pages that the write covers only in part are read first, unless they are known or lie behind the end.
    async fn read_edges(self: &Arc<Self>, node: &Arc<Node>, block: u64, range: &Range<u64>, how: Manner) {
        let base = block * self.block;
        let size = node.size();
        let head = range.start / PAGE * PAGE..range.start;
        let tail = range.end..(range.end.div_ceil(PAGE) * PAGE).min(self.block);
        for edge in [head, tail] {
            let known = node.with(|state| state.buffers.get(&block).is_some_and(|buffer| buffer.has(&edge)));
            if edge.is_empty() || known {
                continue;
            }
            if how.no_cache {
                // Written FILE_SYNC and dropped, rather than read.
                node.with(|state| state.buffers.entry(block).or_default().stable = true);
                continue;
            }
            let length = (edge.end - edge.start) as usize;
            if base + edge.start >= size {
                // Behind the end there are zeros: no trip to read nothing.
                node.with(|state| {
                    state.buffers.entry(block).or_default().fill_gaps(edge.start, &vec![0; length]);
                });
                continue;
            }
            match self.read_rpc(node, base + edge.start, edge.end - edge.start).await {
                Ok(mut bytes) => {
                    bytes.resize(length, 0);
                    node.with(|state| {
                        state.buffers.entry(block).or_default().fill_gaps(edge.start, &bytes);
                    });
                }
                // "couldn't read the data, so treat buffer as synchronous NOCACHE"
                Err(_) => node.with(|state| {
                    let buffer = state.buffers.entry(block).or_default();
                    buffer.stable = true;
                    buffer.no_cache = true;
                }),
            }
        }
    }

    /// nfs_buf_write: commits or writes a block that the caller holds; it is let go at the end.
    async fn write_buffer(self: &Arc<Self>, node: &Arc<Node>, block: u64, in_background: bool) -> Result<()> {
        self.check_verifier(node, block);
        let (commit, verifier) = node.with(|state| {
            state.output += 1;
            let buffer = state.buffers.entry(block).or_default();
            buffer.delayed = false;
            (buffer.need_commit.then(|| buffer.dirty.clone()), buffer.verifier)
        });
        if let Some(range) = commit {
            let base = block * self.block;
            let offset = base + range.start;
            match self.commit(node, offset, (range.end - range.start) as u32, verifier).await {
                Ok(()) => node.with(|state| {
                    if let Some(buffer) = state.buffers.get_mut(&block) {
                        buffer.need_commit = false;
                        buffer.dirty = 0..0;
                        buffer.stable = false;
                        buffer.busy = false;
                    }
                    state.output -= 1;
                }),
                // Kept, and written again.
                Err(Errno::STALE_VERIFIER) => node.with(|state| {
                    if let Some(buffer) = state.buffers.get_mut(&block) {
                        buffer.need_commit = false;
                        buffer.delayed = true;
                        buffer.busy = false;
                    }
                    state.output -= 1;
                }),
                // NB_ERROR: dropped, and `n_error` is not even set on this path.
                Err(errno) => {
                    node.with(|state| {
                        state.buffers.remove(&block);
                        state.output -= 1;
                    });
                    self.ledger.discarded(node.number, offset..base + range.end, errno);
                    if !in_background {
                        return Err(errno);
                    }
                }
            }
            return Ok(());
        }
        let size = node.size();
        let base = block * self.block;
        let job = node.with(|state| {
            let buffer = state.buffers.entry(block).or_default();
            buffer.dirty.end = buffer.dirty.end.min(size.saturating_sub(base));
            if buffer.dirty.start >= buffer.dirty.end {
                buffer.dirty = 0..0;
                buffer.busy = false;
                buffer.stable = false;
                state.output -= 1;
                return None;
            }
            let unstable = in_background && !buffer.stable;
            let how = if unstable { stable_how::UNSTABLE } else { stable_how::FILE_SYNC };
            Some((buffer.dirty.clone(), buffer.copy(buffer.dirty.clone()), how))
        });
        let Some((range, bytes, how)) = job else { return Ok(()) };
        if !in_background {
            return self.write_rpcs(node, block, range, bytes, how).await;
        }
        // nfs_async_write_start: at most 128 for the whole mount; the writer waits here for its turn.
        let permit = Arc::clone(&self.writes).acquire_owned().await.map_err(|_| Errno::ENXIO)?;
        let flying = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.sent.most_writes.fetch_max(flying, Ordering::Relaxed);
        let (mount, node) = (Arc::clone(self), Arc::clone(node));
        tokio::spawn(async move {
            mount.late(block).await;
            let _ = mount.write_rpcs(&node, block, range, bytes, how).await;
            mount.in_flight.fetch_sub(1, Ordering::Relaxed);
            drop(permit);
        });
        Ok(())
    }

    /// nfsiod threads send as they are scheduled: in any order.
    async fn late(&self, block: u64) {
        if let Some(seed) = self.options.shuffle {
            let mixed = (seed ^ block).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            tokio::time::sleep(Duration::from_micros((mixed >> 40) % 40_000)).await;
        }
    }

    /// nfs_buf_write_rpc and nfs_buf_write_rpc_finish: the WRITEs of one block, and their replies.
    async fn write_rpcs(
        &self,
        node: &Node,
        block: u64,
        range: Range<u64>,
        bytes: Vec<u8>,
        how: stable_how,
    ) -> Result<()> {
        let outcome = self.send_writes(node, block, &range, &bytes, how).await;
        self.finish_write(node, block, range, outcome)
    }

    /// The lowest level of commitment of all replies.
    async fn send_writes(
        &self,
        node: &Node,
        block: u64,
        range: &Range<u64>,
        bytes: &[u8],
        how: stable_how,
    ) -> Result<stable_how> {
        let mut lowest = stable_how::FILE_SYNC;
        let mut at = 0;
        let mut how = how;
        let mut rewrite = false;
        while at < bytes.len() && !rewrite {
            let count = (bytes.len() - at).min(self.wsize as usize);
            let offset = block * self.block + range.start + at as u64;
            let reply = self.write_rpc(node, offset, &bytes[at..at + count], how).await?;
            if reply.count == 0 {
                return Err(Errno::EIO);
            }
            if (reply.committed as u32) < lowest as u32 {
                lowest = reply.committed;
            }
            let verifier = u64::from_be_bytes(reply.verf.0);
            rewrite = node.with(|state| {
                let Some(buffer) = state.buffers.get_mut(&block) else { return false };
                let other = buffer.verifier != 0 && buffer.verifier != verifier;
                buffer.verifier = verifier;
                buffer.stale_verifier |= other;
                other
            });
            if rewrite {
                // NB_STALEWVERF: counts as uncommitted, and will be written again.
                lowest = stable_how::UNSTABLE;
            } else if (reply.count as usize) < count {
                // The rest after a short reply goes FILE_SYNC.
                how = stable_how::FILE_SYNC;
            }
            at += (reply.count as usize).min(count);
        }
        Ok(lowest)
    }

    async fn write_rpc(
        &self,
        node: &Node,
        offset: u64,
        data: &[u8],
        stable: stable_how,
    ) -> Result<WRITE3resok> {
        if stable == stable_how::UNSTABLE {
            self.sent.unstable.fetch_add(1, Ordering::Relaxed);
        } else {
            self.sent.file_sync.fetch_add(1, Ordering::Relaxed);
            self.ledger.chance(node.number);
        }
        let args = WRITE3args {
            file: node.handle.clone(),
            offset,
            count: data.len() as u32,
            stable,
            data: Opaque::borrowed(data),
        };
        let (order, result) = self.ask::<WRITE3res>(NFS_PROGRAM::NFSPROC3_WRITE, &args).await?;
        let now = self.clock.now();
        match result {
            Nfs3Result::Ok(reply) => {
                node.with(|state| state.load_wcc(&reply.file_wcc, order, now));
                self.set_verifier(reply.verf);
                Ok(reply)
            }
            Nfs3Result::Err((status, failed)) => {
                node.with(|state| state.load_wcc(&failed.file_wcc, order, now));
                Err(Errno::of(status))
            }
        }
    }

    /// nfs_buf_write_finish. An error throws the block away, puts itself into the file's one slot, and asks for
    /// an invalidation; UNSTABLE keeps the block until a COMMIT; FILE_SYNC makes it clean.
    fn finish_write(
        &self,
        node: &Node,
        block: u64,
        range: Range<u64>,
        outcome: Result<stable_how>,
    ) -> Result<()> {
        let base = block * self.block;
        if let Err(errno) = outcome {
            self.ledger.discarded(node.number, base + range.start..base + range.end, errno);
        }
        node.with(|state| {
            state.output -= 1;
            match outcome {
                Err(errno) => {
                    state.buffers.remove(&block);
                    state.write_error = Some(errno);
                    state.need_invalidate = true;
                    state.attr_valid = false;
                }
                Ok(level) => {
                    let Some(buffer) = state.buffers.get_mut(&block) else { return };
                    buffer.busy = false;
                    buffer.stable = false;
                    buffer.need_commit = level == stable_how::UNSTABLE;
                    buffer.delayed = buffer.need_commit;
                    if !buffer.need_commit {
                        buffer.dirty = 0..0;
                        if buffer.no_cache {
                            state.buffers.remove(&block);
                        }
                    }
                }
            }
        });
        outcome.map(|_| ())
    }

    /// nfs_buf_check_write_verifier: written under another verifier than the mount's is not on the server.
    fn check_verifier(&self, node: &Node, block: u64) {
        let current = self.verifier();
        node.with(|state| {
            let Some(buffer) = state.buffers.get_mut(&block) else { return };
            if buffer.need_commit && (buffer.stale_verifier || buffer.verifier != current) {
                buffer.need_commit = false;
                buffer.stale_verifier = false;
            }
        });
    }

    /// nfs3_commit_rpc. `STALE_VERIFIER` when the reply's verifier is not that of the writes.
    async fn commit(&self, node: &Node, offset: u64, count: u32, verifier: u64) -> Result<()> {
        self.sent.commits.fetch_add(1, Ordering::Relaxed);
        if offset > 0 || (count > 0 && u64::from(count) < node.size()) {
            self.sent.partial_commits.fetch_add(1, Ordering::Relaxed);
        }
        let args = COMMIT3args { file: node.handle.clone(), offset, count };
        let (order, result) = self.ask::<COMMIT3res>(NFS_PROGRAM::NFSPROC3_COMMIT, &args).await?;
        let now = self.clock.now();
        match result {
            Nfs3Result::Ok(reply) => {
                node.with(|state| state.load_wcc(&reply.file_wcc, order, now));
                let now = self.set_verifier(reply.verf);
                if now == verifier { Ok(()) } else { Err(Errno::STALE_VERIFIER) }
            }
            Nfs3Result::Err((status, failed)) => {
                node.with(|state| state.load_wcc(&failed.file_wcc, order, now));
                Err(Errno::of(status))
            }
        }
    }

    /// nfs_flushcommits: one COMMIT from the lowest to the highest uncommitted byte. Whatever error comes, the
    /// blocks are dirty again and nothing is lost. `Ok(false)`: there was nothing to commit.
    async fn flush_commits(&self, node: &Node) -> Result<bool> {
        let verifier = self.verifier();
        let blocks: Vec<u64> = node.with(|state| state.buffers.keys().copied().collect());
        blocks.iter().for_each(|block| self.check_verifier(node, *block));
        let (taken, range) = node.with(|state| {
            let mut taken = Vec::new();
            let (mut start, mut end) = (u64::MAX, 0);
            for (block, buffer) in &mut state.buffers {
                if buffer.busy || !buffer.delayed || !buffer.need_commit || buffer.verifier != verifier {
                    continue;
                }
                buffer.busy = true;
                taken.push(*block);
                let base = block * self.block;
                start = start.min(base + buffer.dirty.start);
                end = end.max(base + buffer.dirty.end);
            }
            (taken, start..end)
        });
        if taken.is_empty() {
            return Ok(false);
        }
        // Over 4 GiB: the whole file.
        let count = u32::try_from(range.end - range.start).unwrap_or(0);
        let outcome = self.commit(node, range.start, count, verifier).await;
        node.with(|state| {
            for block in taken {
                let Some(buffer) = state.buffers.get_mut(&block) else { continue };
                buffer.need_commit = false;
                buffer.busy = false;
                if outcome.is_ok() {
                    buffer.delayed = false;
                    buffer.dirty = 0..0;
                    if buffer.no_cache {
                        state.buffers.remove(&block);
                    }
                }
            }
        });
        outcome.map(|()| true)
    }

    /// nfs_flush: first pass UNSTABLE and COMMIT, every further pass FILE_SYNC, until nothing is dirty. Returns
    /// the file's error, once, unless told to leave it (`V_IGNORE_WRITEERR`).
    pub async fn flush(self: &Arc<Self>, node: &Arc<Node>, leave_error: bool) -> Result<()> {
        let _one = node.flushing.lock().await;
        let mut first = true;
        loop {
            if self.transport.is_dead() {
                // nfs_mount_gone.
                self.drop_everything().await;
                node.with(|state| state.write_error = None);
                return Err(Errno::ENXIO);
            }
            let blocks: Vec<u64> = node.with(|state| state.buffers.keys().copied().collect());
            for block in blocks {
                self.flush_block(node, block, first).await;
            }
            node.until(|state| (state.output == 0).then_some(())).await;
            while node.with(|state| state.need_commit()) > 0 {
                if !matches!(self.flush_commits(node).await, Ok(true)) {
                    break;
                }
            }
            let again = std::mem::take(&mut first) || node.with(|state| state.is_dirty());
            if !again {
                break;
            }
        }
        node.with(|state| {
            if state.output == 0 {
                state.modified = false;
                state.attr_valid = false;
                // nfs_get_xid(&np->n_xid): only attributes asked for after this count.
                state.xid = self.transport.next_order();
            }
            match state.write_error {
                Some(errno) if !leave_error => {
                    state.write_error = None;
                    Err(errno)
                }
                _ => Ok(()),
            }
        })
    }

    async fn flush_block(self: &Arc<Self>, node: &Arc<Node>, block: u64, first: bool) {
        let there = node.with(|state| {
            let buffer = state.buffers.get(&block);
            buffer.is_some_and(|buffer| buffer.is_dirty() && !(first && buffer.busy))
        });
        if !there {
            return;
        }
        node.acquire(block).await;
        self.check_verifier(node, block);
        let write = node.with(|state| {
            let buffer = state.buffers.entry(block).or_default();
            let skip = !buffer.is_dirty() || (first && buffer.need_commit);
            buffer.stable |= !first && !skip;
            buffer.busy = !skip;
            !skip
        });
        if write {
            // Errors are the file's by now.
            let _ = self.write_buffer(node, block, true).await;
        }
    }

    /// nfs_vinvalbuf2: flush (with `save`) and forget all pages. An error of the flush is taken and dropped by
    /// its second round, whoever asked; with `leave_error` it stays.
    pub async fn invalidate(self: &Arc<Self>, node: &Arc<Node>, save: bool, leave_error: bool) {
        let _one = node.invalidating.lock().await;
        if save {
            while let Err(errno) = self.flush(node, leave_error).await {
                if errno == Errno::ENXIO && self.transport.is_dead() {
                    break;
                }
                self.ledger.swallowed(node.number);
            }
        }
        let blocks: Vec<u64> = node.with(|state| state.buffers.keys().copied().collect());
        for block in blocks {
            let dirty = loop {
                let free = node.until(|state| match state.buffers.get(&block) {
                    Some(buffer) if buffer.busy => None,
                    Some(buffer) => Some(Some(buffer.is_dirty())),
                    None => Some(None),
                });
                match free.await {
                    // Written since the flush: "extra paranoia", it is written before it is forgotten.
                    Some(true) if save && !self.transport.is_dead() => {
                        self.flush_block(node, block, false).await;
                        node.until(|state| (state.output == 0).then_some(())).await;
                    }
                    found => break found,
                }
            };
            if dirty.is_some() {
                node.with(|state| state.buffers.remove(&block));
            }
        }
        if !save {
            node.with(|state| state.modified = false);
        }
    }

    /// The delayed-write service under memory pressure: blocks that wait are written, uncommitted ones are
    /// committed (nfs_buf_delwri_service).
    pub async fn memory_pressure(self: &Arc<Self>) {
        for node in self.nodes() {
            let blocks: Vec<u64> = node.with(|state| state.buffers.keys().copied().collect());
            for block in blocks {
                self.flush_block(&node, block, true).await;
            }
            if node.with(|state| state.need_commit()) > 0 {
                let _ = self.flush_commits(&node).await;
            }
        }
    }

    /// fsync(2): nfs_vnop_fsync.
    pub async fn fsync(self: &Arc<Self>, node: &Arc<Node>) -> Result<()> {
        if node.with(|state| std::mem::take(&mut state.need_invalidate)) {
            self.invalidate(node, true, true).await;
        }
        self.flush(node, false).await
    }

    /// close(2) of a descriptor that was written through: nfs_vnop_close.
    pub async fn flush_on_close(self: &Arc<Self>, node: &Arc<Node>) -> Result<()> {
        if node.with(|state| std::mem::take(&mut state.need_invalidate)) {
            self.invalidate(node, true, true).await;
        }
        let flushed = match node.with(|state| state.modified) {
            true => self.flush(node, false).await,
            false => Ok(()),
        };
        match node.with(|state| state.write_error.take()) {
            Some(errno) => Err(errno),
            None => flushed,
        }
    }

    /// read(2): nfs_vnop_read, nfs_bioread.
    pub async fn read(self: &Arc<Self>, node: &Arc<Node>, offset: u64, count: usize) -> Result<Vec<u8>> {
        if node.with(|state| std::mem::take(&mut state.need_invalidate)) {
            self.invalidate(node, true, true).await;
        }
        self.getattr(node, Fresh::Cached).await?;
        let end = offset.saturating_add(count as u64).min(node.size());
        let mut out = Vec::new();
        let mut at = offset;
        while at < end {
            let block = at / self.block;
            let base = block * self.block;
            let range = at - base..(end - base).min(self.block);
            out.extend(self.read_block(node, block, range.clone()).await?);
            at = base + range.end;
        }
        Ok(out)
    }

    async fn read_block(
        self: &Arc<Self>,
        node: &Arc<Node>,
        block: u64,
        range: Range<u64>,
    ) -> Result<Vec<u8>> {
        loop {
            node.acquire(block).await;
            let (known, dirty) = node.with(|state| {
                let buffer = state.buffers.entry(block).or_default();
                (buffer.has(&range).then(|| buffer.copy(range.clone())), !buffer.dirty.is_empty())
            });
            if let Some(bytes) = known {
                node.release(block);
                return Ok(bytes);
            }
            if !dirty {
                break;
            }
            // Dirty bytes in a block that must be read: they go out first. A block that only awaits its COMMIT is
            // committed by this.
            self.write_buffer(node, block, true).await?;
        }
        let base = block * self.block;
        let wanted = self.block.min(node.size().saturating_sub(base));
        let mut bytes = match self.read_rpc(node, base, wanted).await {
            Ok(bytes) => bytes,
            Err(errno) => {
                node.with(|state| state.buffers.remove(&block));
                return Err(errno);
            }
        };
        // A short read at the end of the file is zeros.
        bytes.resize(wanted as usize, 0);
        node.with(|state| {
            let buffer = state.buffers.entry(block).or_default();
            buffer.fill(0, &bytes);
            buffer.busy = false;
        });
        let end = (range.end as usize).min(bytes.len());
        Ok(bytes[(range.start as usize).min(end)..end].to_vec())
    }

    /// nfs_read_rpc: until everything is here or the server says it is the end.
    async fn read_rpc(&self, node: &Node, offset: u64, count: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while (all.len() as u64) < count {
            self.sent.reads.fetch_add(1, Ordering::Relaxed);
            let left = count - all.len() as u64;
            let args = READ3args {
                file: node.handle.clone(),
                offset: offset + all.len() as u64,
                count: left.min(u64::from(self.rsize)) as u32,
            };
            let (order, result) = self.ask::<READ3res>(NFS_PROGRAM::NFSPROC3_READ, &args).await?;
            let read = done(result)?;
            if let Nfs3Option::Some(attr) = &read.file_attributes {
                let now = self.clock.now();
                node.with(|state| state.load(attr, order, now));
            }
            all.extend_from_slice(read.data.as_ref());
            if read.eof || read.data.is_empty() {
                break;
            }
        }
        Ok(all)
    }
}
