//! What one host does with records: takes what its peers wrote, sends what they do not have. Every value of
//! etcd is opened, its signature checked and its place compared before it touches the file.

use super::engine::{Engine, Fault, Put, Seen};
use super::etcd::{Header, KeyValue};
use super::merge::{Verdict, decide};
use super::wire::{self, Places, Refusal, Signer};
use super::witness::Witness;
use crate::audit::{Event, Note};
use crate::error::{Error, Result, printable};
use crate::object::Object;
use crate::store::keeper::Condition;
use crate::store::{Change, Id, Kind, Position, RecordRow, Store};
use crate::token::{Token, appliance, members};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Records in a transaction of etcd's, whose default limit is 128 steps.
const BATCH: usize = 64;
/// Bytes in one; etcd's default limit is 1.5 MiB.
const BATCH_BYTES: usize = 1 << 20;
/// Records on a page of a range.
const PAGE: i64 = 500;
/// How often one record is sent again when others are faster.
const TRIES: usize = 16;

/// A host among its peers.
pub struct Peer<'a> {
    token: &'a Token,
    pub store: Arc<Store>,
    pub signer: Signer,
    pub signers: BTreeMap<Id, [u8; 32]>,
    pub places: Places,
    /// The revision at which etcd has a record, as far as is known here.
    known: HashMap<Id, i64>,
    /// Records that etcd does not take, or that a stranger holds there.
    skipped: HashSet<Id>,
    /// A value by somebody who may become a member was left out: all is to be read again when one does.
    strangers: bool,
    pub read_again: bool,
    /// Read up to here, the file may say less.
    pub position: Position,
    /// The newest value that is known to be in etcd; the file may have an older one.
    witness: Option<Witness>,
    pub condition: Condition,
}

/// Why it cannot go on: this host, or the engine.
#[derive(Debug)]
pub enum Stop {
    Host(Error),
    Engine(Fault),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Host(error) => write!(f, "{}", error.cause()),
            Stop::Engine(fault) => write!(f, "{fault}"),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Host(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Engine(fault)
    }
}

/// A value and what it says.
struct Incoming {
    id: Id,
    revision: i64,
    record: std::result::Result<RecordRow, Refusal>,
}

impl<'a> Peer<'a> {
    /// `ActionProhibited` when the token is no member of a cluster.
    pub fn new(token: &'a Token, prefix: &str) -> Result<Peer<'a>> {
        let store = token.store()?;
        let none = || Error::ActionProhibited.because("this token is no member of a cluster");
        let (id, key) = (store.peer()?.ok_or_else(none)?, appliance::signing_key(&store)?.ok_or_else(none)?);
        let signer = Signer { id, key };
        let signers = members::signers(token.members()?);
        let condition = Condition { pid: std::process::id(), ..Condition::default() };
        Ok(Peer {
            places: Places::new(prefix, store.token_id()),
            position: store.position()?,
            witness: Witness::load(&store)?,
            token,
            store,
            signer,
            signers,
            known: HashMap::new(),
            skipped: HashSet::new(),
            strangers: false,
            read_again: false,
            condition,
        })
    }

    fn write<T>(&self, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        self.token.write_from_peers((&self.store, self.signer.id), work)
    }

    /// Something that an operator should know of.
    fn notice(&mut self, what: String) {
        let what = printable(&what);
        log::warn!("cluster: {what}");
        self.condition.last_error = what;
    }

    /// Reads what etcd has (since the position; everything when it is nothing, or of another engine, or of a
    /// state that etcd was put back from), takes it, and after everything sends what etcd lacks. `watch`: how
    /// many of how many records are read.
    pub async fn catch_up(
        &mut self,
        engine: &mut Engine,
        watch: &mut dyn FnMut(u64, u64),
    ) -> std::result::Result<(), Stop> {
        let first = engine.all(&self.places.members()).await?;
        let header = first.header.unwrap_or_default();
        let (members, mut seen) = (first.kvs.len() as u64, HashSet::new());
        let everything = self.must_read_everything(engine, &header).await?;
        if everything {
            (self.witness, self.position) = (None, Position::default());
            self.known.clear();
        }
        self.take_page(first.kvs, &mut seen)?;
        let count = self.read_pages(engine, header.revision, &mut seen, watch).await?;
        if everything {
            self.send_what_lacks(&seen)?;
        } else if self.store.summary()?.1 > members + count + self.store.pending()? {
            // Whoever deleted there was seen by nobody of us.
            self.notice("etcd lacks records that it had: everything is compared".into());
            self.read_again = true;
        }
        self.save(Position { engine: header.cluster_id, revision: header.revision })?;
        Ok(())
    }

    async fn must_read_everything(
        &mut self,
        engine: &mut Engine,
        now: &Header,
    ) -> std::result::Result<bool, Stop> {
        let Position { engine: id, revision } = self.position;
        if std::mem::take(&mut self.read_again) || id != now.cluster_id || revision == 0 {
            return Ok(true);
        }
        let holds = match &self.witness {
            _ if revision > now.revision => false,
            Some(witness) => witness.holds(engine).await?,
            None => true,
        };
        if !holds {
            self.notice("etcd is not as it was (put back, or long compacted): everything is compared".into());
        }
        Ok(!holds)
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
        let since = self.position.revision.min(upto) + 1;
        let (mut read, mut more, mut limit, mut count) = (0, true, PAGE, None);
        while more {
            let page = match engine.changed((&prefix, &from), limit, since, revision).await {
                Err(Fault::TooMuch) if limit > 1 => {
                    limit = (limit / 8).max(1);
                    continue;
                }
                page => page?,
            };
            count.get_or_insert(page.count as u64);
            more = page.more;
            if let Some(last) = page.kvs.last() {
                from = [&last.key[..], &[0]].concat();
            }
            read += page.kvs.len() as u64;
            watch(read, read - page.kvs.len() as u64 + page.count as u64);
            self.take_page(page.kvs, seen)?;
        }
        Ok(count.unwrap_or_default())
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

    /// A value that is in etcd.
    fn witness(&mut self, key: &[u8], value: &[u8], revision: i64) {
        if self.witness.as_ref().is_none_or(|newest| newest.revision < revision) {
            self.witness = Some(Witness::new(key, value, revision));
        }
    }

    /// Remembers how far everything was read.
    pub fn save(&mut self, position: Position) -> Result<()> {
        if self.store.position()? != position {
            self.write(|change| {
                self.witness.as_ref().map_or(Ok(()), |newest| newest.save(change))?;
                change.set_position(position)
            })?;
        }
        self.position = position;
        Ok(())
    }

    /// Takes what was written, each by its own merit; what is refused stays out and is said.
    pub fn take(&mut self, seen: Vec<Seen>) -> Result<()> {
        let (mut news, mut nameless) = (Vec::new(), Vec::new());
        for Seen { key, value, revision } in seen {
            let Some(id) = self.places.id(&key) else {
                nameless.extend(value.map(|_| key));
                continue;
            };
            if self.known.get(&id).is_some_and(|known| *known >= revision) {
                continue;
            }
            let Some(value) = value else {
                self.notice(format!("record {id} was deleted in etcd"));
                self.known.insert(id, 0);
                self.write(|change| resend(change, id))?;
                continue;
            };
            self.witness(&key, &value, revision);
            let place = (&self.places, &key[..]);
            let record = wire::unpack_record(&self.store, &self.signers, place, &value);
            if let Err(refusal) = &record {
                self.refuse(&key, refusal);
            } else if let Ok(RecordRow { record: taken, .. }) = &record
                && taken.header.kind == Kind::Member
            {
                // Those that follow may be by him.
                self.admit(record.as_ref().ok());
            }
            news.push(Incoming { id, revision, record });
        }
        self.refuse_nameless(&nameless);
        if news.is_empty() {
            return Ok(());
        }
        let overruled = self.write(|change| {
            let mut overruled = Vec::new();
            for incoming in &news {
                take_one(change, incoming, &mut overruled)?;
            }
            Ok(overruled)
        })?;
        for id in overruled {
            log::warn!("cluster: a change of {id} made here gave way to a peer's");
        }
        self.known.extend(news.iter().filter(|one| one.record.is_ok()).map(|one| (one.id, one.revision)));
        Ok(())
    }

    /// Keys of others, of which there may be very many: one line says it.
    fn refuse_nameless(&mut self, keys: &[Vec<u8>]) {
        let Some((last, more)) = keys.split_last() else { return };
        self.condition.refused += more.len() as u64;
        self.refuse(last, &Refusal::Broken("no name of ours"));
        if !more.is_empty() {
            log::warn!("cluster: and {} more keys like it", more.len());
        }
    }

    fn refuse(&mut self, key: &[u8], refusal: &Refusal) {
        self.condition.refused += 1;
        self.strangers |= matches!(refusal, Refusal::Stranger(_));
        self.notice(format!("{} was refused: {refusal}", String::from_utf8_lossy(key)));
    }

    /// A member's record says with which key he signs.
    fn admit(&mut self, member: Option<&RecordRow>) {
        let Some(member) = member else { return };
        let body = self
            .store
            .open_body(&member.record, crate::store::BodyKey::Seal)
            .and_then(|body| Object::decode(&body));
        let Some(signs) = body.ok().and_then(|fields| members::signs(&fields)) else { return };
        if self.signers.insert(member.record.header.id, signs).is_none() {
            self.skipped.clear();
            self.read_again |= std::mem::take(&mut self.strangers);
        }
    }

    /// Sends the oldest of what the peers do not have; whether there may be more.
    pub async fn send(&mut self, engine: &mut Engine) -> std::result::Result<bool, Stop> {
        let batch = self.batch()?;
        if batch.is_empty() {
            return Ok(false);
        }
        let puts = batch.iter().map(|whole| self.packed(whole)).collect::<Result<Vec<_>>>()?;
        let first = puts.first().map(|put| (put.key.clone(), put.value.clone())).unwrap_or_default();
        match engine.swap(puts).await {
            Ok(Ok(revision)) => self.sent(&batch, first, revision)?,
            Ok(Err(_)) | Err(Fault::Unfit(_)) => {
                for whole in batch {
                    self.send_one(engine, whole).await?;
                }
            }
            Err(fault) => return Err(fault.into()),
        }
        Ok(true)
    }

    fn batch(&mut self) -> Result<Vec<RecordRow>> {
        let mut bytes = 0;
        let waiting = self.store.outgoing(BATCH + self.skipped.len())?;
        let waiting = waiting.into_iter().filter(|whole| !self.skipped.contains(&whole.record.header.id));
        let batch: Vec<RecordRow> = waiting
            .take_while(|whole| {
                let first = bytes == 0;
                bytes += whole.record.body.len() + 200 + 100 * whole.keys.len() + 16 * whole.terms.len();
                first || bytes <= BATCH_BYTES
            })
            .take(BATCH)
            .collect();
        batch
            .iter()
            .filter(|whole| whole.record.header.kind == Kind::Member)
            .for_each(|member| self.admit(Some(member)));
        Ok(batch)
    }

    fn packed(&self, whole: &RecordRow) -> Result<Put> {
        let key = self.places.of(self.folder(whole), whole.record.header.id);
        let value = wire::pack(&self.store, &self.signer, &key, &wire::plain(whole))?;
        Ok(Put { key, value, since: self.known.get(&whole.record.header.id).copied().unwrap_or(0) })
    }

    /// Where a record lies: what is left of one, where it lay.
    fn folder(&self, whole: &RecordRow) -> Kind {
        let was_member =
            whole.record.header.kind == Kind::Gone && whole.record.header.flags == Kind::Member as u32;
        if was_member { Kind::Member } else { whole.record.header.kind }
    }

    /// `first`: the key and value of one of them.
    fn sent(&mut self, batch: &[RecordRow], first: (Vec<u8>, Vec<u8>), revision: i64) -> Result<()> {
        self.witness(&first.0, &first.1, revision);
        self.write(|change| {
            self.witness.as_ref().map_or(Ok(()), |newest| newest.save(change))?;
            batch.iter().try_for_each(|whole| change.sent(whole))
        })?;
        self.known.extend(batch.iter().map(|whole| (whole.record.header.id, revision)));
        Ok(())
    }

    /// One record against what etcd has in its place.
    async fn send_one(&mut self, engine: &mut Engine, whole: RecordRow) -> std::result::Result<(), Stop> {
        let id = whole.record.header.id;
        for _ in 0..TRIES {
            let put = self.packed(&whole)?;
            let (key, value) = (put.key.clone(), put.value.clone());
            match engine.swap(vec![put]).await {
                Ok(Ok(revision)) => {
                    self.sent(&[whole], (key, value), revision)?;
                    return Ok(());
                }
                Ok(Err(None)) => drop(self.known.insert(id, 0)),
                Ok(Err(Some(there))) => match self.settle(&whole, &key, there)? {
                    true => return Ok(()),
                    false => continue,
                },
                Err(Fault::Unfit(why)) => {
                    self.skipped.insert(id);
                    self.notice(format!("etcd does not take record {id}: {why}"));
                    return Ok(());
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        Err(Fault::CutOff(format!("record {id} is changed there all the time")).into())
    }

    /// Whether there is nothing more to send of ours, now that etcd has this.
    fn settle(&mut self, ours: &RecordRow, key: &[u8], there: KeyValue) -> Result<bool> {
        let id = ours.record.header.id;
        match wire::unpack_record(&self.store, &self.signers, (&self.places, key), &there.value) {
            Ok(theirs) if decide(Some(ours), &theirs) == Verdict::Ours => {
                self.known.insert(id, there.mod_revision);
                Ok(false)
            }
            Ok(_) => {
                self.known.remove(&id);
                let seen = Seen { key: key.to_vec(), value: Some(there.value), revision: there.mod_revision };
                self.take(vec![seen])?;
                Ok(true)
            }
            // What nobody of us wrote is written over.
            Err(refusal @ Refusal::Broken(_)) => {
                self.refuse(key, &refusal);
                self.known.insert(id, there.mod_revision);
                Ok(false)
            }
            Err(refusal) => {
                self.refuse(key, &refusal);
                self.skipped.insert(id);
                Ok(true)
            }
        }
    }
}

/// What is here of an id goes to the peers again.
fn resend(change: &mut Change<'_>, id: Id) -> Result<()> {
    if change.whole(id)?.is_some() { change.send(id) } else { Ok(()) }
}

fn take_one(change: &mut Change<'_>, incoming: &Incoming, overruled: &mut Vec<Id>) -> Result<()> {
    let id = incoming.id;
    let Ok(theirs) = &incoming.record else {
        // Ours, if there is one, belongs in its place.
        return match incoming.record {
            Err(Refusal::Broken(_)) => resend(change, id),
            _ => Ok(()),
        };
    };
    let ours = change.whole(id)?;
    match decide(ours.as_ref(), theirs) {
        Verdict::Same => change.sent(theirs),
        Verdict::Ours => change.send(id),
        Verdict::Foreign => Ok(()),
        Verdict::Theirs => {
            if let Some(ours) = ours.filter(|_| change.is_pending(id).unwrap_or(false)) {
                change.overruled(id, ours.record.header.version)?;
                let note =
                    Note::of(Event::Overruled).object(id).detail("version", ours.record.header.version);
                change.enter(note.detail("by", theirs.record.header.author))?;
                overruled.push(id);
            }
            change.adopt(theirs)
        }
    }
}

/// What a history does to a host besides: its letters go to everybody, and nobody answers.
#[cfg(test)]
impl Peer<'_> {
    /// Key and value for a record.
    pub fn letter(&self, whole: &RecordRow) -> Result<(Vec<u8>, Vec<u8>)> {
        self.packed(whole).map(|put| (put.key, put.value))
    }

    pub fn posted(&self, sent: &[RecordRow]) -> Result<()> {
        self.write(|change| sent.iter().try_for_each(|whole| change.sent(whole)))
    }
}
