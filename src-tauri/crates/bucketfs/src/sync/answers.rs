//! What a person decides: deletions that ask first, conflicts, edits that are to be dropped.

use std::sync::Arc;

use super::queue::Key;
use super::report::{Conflict, DeletesAnswer, HeldDeletes, Resolution, Version};
use super::restore::{below, take_back};
use super::watcher::nearest_folder;
use super::work::Work;
use crate::attr::{FileId, Timestamp};
use crate::bucket_fs::{BucketFs, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::names::conflicts::{self, Pair};
use crate::names::{Content, Node, Place, query};

impl BucketFs {
    /// Deletions that wait for [`BucketFs::answer_deletes`]: so many at once are asked about first.
    pub fn held_deletes(&self) -> Option<HeldDeletes> {
        match Work::find(self) {
            Ok(work) => work.asks,
            Err(error) => {
                tracing::error!(%error, "the queue could not be read");
                None
            }
        }
    }

    /// Sends every pending deletion now, or takes all of them back. Answers how many that were.
    pub async fn answer_deletes(self: &Arc<Self>, answer: DeletesAnswer) -> Result<u64> {
        let owner = (self.config.uid, self.config.gid);
        match answer {
            DeletesAnswer::Send => {
                let count = self.names.change(|tx| tx.release_deletes()).await?;
                self.queue.wake();
                Ok(count)
            }
            DeletesAnswer::Restore => {
                let keys = self
                    .names
                    .change(move |tx| {
                        let pending = query::deletes(tx.db())?;
                        let keys: Vec<String> =
                            pending.into_iter().filter(|one| one.is_held()).map(|one| one.path).collect();
                        for key in &keys {
                            take_back(tx, key, owner)?;
                        }
                        Ok(keys)
                    })
                    .await?;
                for key in &keys {
                    self.queue.succeeded(&Key::Delete(key.clone()));
                }
                self.list_again(&keys)?;
                Ok(keys.len() as u64)
            }
        }
    }

    /// Folders of these keys are listed anew: the Hub knows best what is in them.
    fn list_again(self: &Arc<Self>, keys: &[String]) -> Result<()> {
        let mut folders: Vec<FileId> = Vec::new();
        self.names.ask(|db| {
            for key in keys {
                let folder = nearest_folder(db, key)?;
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
            Ok(())
        })?;
        for folder in folders {
            self.listings.folder_changed(self, folder);
        }
        Ok(())
    }

    /// Pairs of files that came from one name and are both still there, oldest first.
    pub fn conflicts(&self) -> Result<Vec<Conflict>> {
        let pairs = self.names.ask(conflicts::all)?;
        pairs.into_iter().map(|pair| self.told(pair)).collect()
    }

    fn told(&self, pair: Pair) -> Result<Conflict> {
        let (mine, theirs) = (self.live(pair.mine)?, self.live(pair.theirs)?);
        let (my_path, their_path) = (self.path_of(&mine), self.path_of(&theirs));
        let mine_has_the_name = my_path == pair.path;
        let (path, kept_as) = if mine_has_the_name { (my_path, their_path) } else { (their_path, my_path) };
        let version = |node: &Node| {
            let attr = self.attr_of(node);
            Some(Version { size: attr.size, mtime_ms: attr.mtime.as_ms() })
        };
        let (id, at_ms) = (pair.id, pair.at_ms);
        Ok(Conflict { id, path, kept_as, at_ms, mine: version(&mine), theirs: version(&theirs) })
    }

    /// Solves a conflict: one of the two takes the name and the other goes (it can be restored while the Hub
    /// has it), or both stay as they are.
    ///
    /// Errors: `NotFound` for a conflict that is not there (any more).
    pub async fn resolve(self: &Arc<Self>, id: u64, how: Resolution) -> Result<()> {
        self.refuse_read_only()?;
        let gone = || {
            Error::new(ErrorKind::NotFound, format!("There is no conflict {id} (any more)."))
                .advise("`bucketbarctl conflicts` lists them.")
        };
        let pair = self.names.ask(|db| conflicts::get(db, id))?.ok_or_else(gone)?;
        let (mine, theirs) = (self.names.node(pair.mine)?, self.names.node(pair.theirs)?);
        if let (Some(mine), Some(theirs)) = (mine, theirs)
            && !mine.gone
            && !theirs.gone
        {
            match how {
                Resolution::KeepBoth => {}
                Resolution::KeepMine => self.keep_only(&mine, &theirs, &pair.path).await?,
                Resolution::KeepTheirs => self.keep_only(&theirs, &mine, &pair.path).await?,
            }
        }
        self.names
            .change(move |tx| {
                tx.forget_conflict(id)?;
                tx.forget_solved_conflicts()
            })
            .await
    }

    /// `kept` has the name afterwards, `dropped` is gone.
    async fn keep_only(&self, kept: &Node, dropped: &Node, path: &str) -> Result<()> {
        if self.path_of(kept) == path {
            self.remove(dropped.parent, &dropped.name, None).await.map(|_| ())
        } else {
            self.rename(kept.parent, &kept.name, dropped.parent, &dropped.name, None).await.map(|_| ())
        }
    }

    /// Drops what was changed here in one file and shows the Hub's version again; a deletion that has not left
    /// is taken back. Asks the Hub.
    ///
    /// Errors: `Invalid` when there is no change, or the file exists on this machine only; `NotFound` when the
    /// Hub has no version of it any more; `Busy` while it is being saved. Nothing is dropped then.
    pub async fn discard(self: &Arc<Self>, path: &str) -> Result<()> {
        self.refuse_read_only()?;
        let path = path.trim_matches('/');
        let Some(node) = self.names.ask(|db| query::at_shown_path(db, path))? else {
            return self.discard_deletion(path).await;
        };
        let staged = self.staging.get(node.id).filter(|staged| staged.with_layout(|layout| layout.dirty));
        let Some(staged) = staged else {
            return Err(Error::new(ErrorKind::Invalid, format!("{path} has no change that is not saved.")));
        };
        let place = self.names.ask(|db| query::actual_place(db, &node))?;
        let Some(key) = place.filter(|_| node.place != Place::Nowhere && node.base.is_some()) else {
            return Err(Error::new(ErrorKind::Invalid, format!("{path} is on this machine only."))
                .advise("Delete it if you do not want it."));
        };
        if self.queue.progress_of(node.id).is_some_and(|progress| progress.committing) {
            return Err(Error::new(ErrorKind::Busy, format!("{path} is being saved in this moment."))
                .advise("Try again; an older version can be restored: bucketbarctl recent-deletes"));
        }
        let found = self.bucket.paths_info(std::slice::from_ref(&key)).await?.into_iter().next();
        let Some(found) = found else {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("The Hub has no version of {path} any more; your change was not dropped."),
            ));
        };
        let id = node.id;
        let shown = staged.with_layout(|layout| layout.mtime);
        self.names
            .change(move |tx| {
                let mut node = tx.live(id)?;
                node.size = found.size;
                node.base = Some(Content { hash: found.xet_hash, size: found.size });
                node.mtime = Timestamp::after(node.mtime.max(shown).max(node.ctime));
                node.ctime = node.mtime;
                tx.put(&node)
            })
            .await?;
        let staging = self.staging.clone();
        let dropped = blocking(move || Ok(staging.retire(id, |layout| layout.in_flight == 0))).await?;
        if !dropped {
            return Err(Error::new(ErrorKind::Busy, format!("{path} is being written to in this moment."))
                .advise("Close the program that has it open and try again."));
        }
        self.queue.succeeded(&Key::File(id));
        Ok(())
    }

    async fn discard_deletion(self: &Arc<Self>, path: &str) -> Result<()> {
        let key = query::join(&self.config.prefix, path);
        let owner = (self.config.uid, self.config.gid);
        let taken = key.clone();
        let was_pending = self
            .names
            .change(move |tx| {
                let pending = query::delete_at(tx.db(), &taken)?.is_some();
                take_back(tx, &taken, owner)?;
                Ok(pending)
            })
            .await?;
        if !was_pending {
            return Err(Error::new(ErrorKind::NotFound, format!("There is no {path}."))
                .advise("What was deleted here and has left already: bucketbarctl recent-deletes"));
        }
        self.queue.succeeded(&Key::Delete(key.clone()));
        self.list_again(&[key])
    }

    /// For messages: the key as a path in the mount.
    pub(crate) fn path_of_key(&self, key: &str) -> String {
        below(&self.config.prefix, key)
    }
}
