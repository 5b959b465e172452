//! What a host reads when it connects: what changed since it was here, or everything, when it cannot know.

use super::engine::{Engine, Seen};
use super::etcd::{Header, KeyValue};
use super::news;
use super::peer::{Peer, Stop};
use crate::error::Result;
use crate::store::{Id, Position};
use std::collections::HashSet;

/// Records on a page of a range.
pub(super) const PAGE: i64 = 2_000;

impl Peer<'_> {
    /// Reads what etcd has (since the position; everything when it is nothing, or of another engine, or of a
    /// state that etcd was put back from), takes it, and after everything sends what etcd lacks. `watch`: how
    /// many of how many records are read.
    pub async fn catch_up(
        &mut self,
        engine: &mut Engine,
        watch: &mut dyn FnMut(u64, u64),
    ) -> std::result::Result<(), Stop> {
        let first = engine.all(&self.places.members()).await?;
        let epochs = engine.all(&self.places.epochs()).await?;
        let header = first.header.unwrap_or_default();
        let (beside, mut seen) = ((first.kvs.len() + epochs.kvs.len()) as u64, HashSet::new());
        let why = self.why_everything(engine, &header).await?;
        if let Some(why) = why {
            (self.witness, self.position) = (None, Position::default());
            self.known.clear();
            self.numbers.newest = 0;
            self.numbers.read_again += 1;
            self.news.everything(why);
        }
        self.take_page(first.kvs, &mut seen)?;
        self.take_page(epochs.kvs, &mut seen)?;
        self.check_epoch()?;
        let count = self.read_pages(engine, header.revision, &mut seen, watch).await?;
        if why.is_some() {
            self.send_what_lacks(&seen)?;
        } else if self.store.summary()?.1 > beside + count + self.store.pending()? {
            // Whoever deleted there was seen by nobody of us.
            self.notice("etcd lacks records that it had: everything is compared".into());
            self.news.read_again_because("etcd lacks records that it had");
            self.read_again = true;
        }
        self.save(Position { engine: header.cluster_id, revision: header.revision })?;
        Ok(())
    }

    async fn why_everything(
        &mut self,
        engine: &mut Engine,
        now: &Header,
    ) -> std::result::Result<Option<&'static str>, Stop> {
        let asked = std::mem::take(&mut self.read_again);
        let why = news::why_everything(asked, self.position, now.cluster_id, now.revision);
        match &self.witness {
            Some(witness) if why.is_none() && !witness.holds(engine).await? => {
                self.notice(
                    "etcd is not as it was (put back, or long compacted): everything is compared".into(),
                );
                Ok(Some("etcd is not as it was"))
            }
            _ => Ok(why),
        }
    }

    /// Takes what changed since the position, as it was at a revision; the number of records there.
    async fn read_pages(
        &mut self,
        engine: &mut Engine,
        revision: i64,
        seen: &mut HashSet<Id>,
        watch: &mut dyn FnMut(u64, u64),
    ) -> std::result::Result<u64, Stop> {
        let (prefix, mut from) = (self.places.records(), self.places.records());
        // What came between the witness and the position is nothing of ours, unless etcd was put back.
        let upto = self.witness.as_ref().map_or(i64::MAX, |witness| witness.revision);
        let news = self.position.revision.min(upto) + 1;
        let (mut read, mut more, mut limit, mut count, mut since) = (0, true, PAGE, None, news);
        while more {
            let mut page = engine.page((&prefix, &from), &mut limit, since, revision).await?;
            count.get_or_insert(page.count as u64);
            more = page.more;
            // To choose by revision etcd reads all that follows, for each page anew: where there is more than
            // one page, it is left to us.
            since = 0;
            if let Some(last) = page.kvs.last() {
                from = [&last.key[..], &[0]].concat();
            }
            read += page.kvs.len() as u64;
            watch(read, read - page.kvs.len() as u64 + page.count as u64);
            page.kvs.retain(|kv| kv.mod_revision >= news);
            self.take_page(page.kvs, seen)?;
        }
        Ok(count.unwrap_or_default())
    }

    /// Reads who the members are, and the epochs.
    pub(super) async fn read_members(&mut self, engine: &mut Engine) -> std::result::Result<(), Stop> {
        for folder in [self.places.members(), self.places.epochs()] {
            let found = engine.all(&folder).await?;
            self.take_page(found.kvs, &mut HashSet::new())?;
        }
        Ok(())
    }

    fn take_page(&mut self, page: Vec<KeyValue>, seen: &mut HashSet<Id>) -> Result<()> {
        seen.extend(page.iter().filter_map(|kv| self.places.id(&kv.key)));
        let page = page.into_iter();
        let page = page.map(|kv| Seen { key: kv.key, value: Some(kv.value), revision: kv.mod_revision });
        self.take(page.collect())
    }

    fn send_what_lacks(&mut self, seen: &HashSet<Id>) -> Result<()> {
        let lacks: Vec<Id> = self.store.all_ids()?.into_iter().filter(|id| !seen.contains(id)).collect();
        if lacks.is_empty() {
            return Ok(());
        }
        self.write(|change| lacks.iter().try_for_each(|id| change.send(*id)))
    }
}
