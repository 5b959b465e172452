//! What one host does with records: takes what its peers wrote, sends what they do not have. Every value of
//! etcd is opened, its signature checked and its place compared before it touches the file.

use super::engine::{Engine, Fault, Put, Seen};
use super::epochs::Progress;
use super::etcd::KeyValue;
use super::history::History;
use super::news::{News, Numbers};
use super::wire::{self, Places, Refusal, Signer};
use super::witness::Witness;
use crate::audit::{Event, Note};
use crate::error::{Error, Result, printable};
use crate::object::Object;
use crate::store::keeper::Condition;
use crate::store::merge::{Verdict, decide};
use crate::store::{Change, Header, Id, Kind, Position, RecordRow, Store};
use crate::token::{Token, appliance, members};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// Records in a transaction of etcd's, whose default limit is 128 steps.
const BATCH: usize = 64;
/// Bytes in one; etcd's default limit is 1.5 MiB.
const BATCH_BYTES: usize = 1 << 20;
/// How often one record is sent again when others are faster.
const TRIES: usize = 16;

/// A host among its peers.
pub struct Peer<'a> {
    pub(super) token: &'a Token,
    pub store: Arc<Store>,
    pub signer: Signer,
    pub signers: BTreeMap<Id, [u8; 32]>,
    pub places: Places,
    /// The revision at which etcd has a record, as far as is known here.
    pub(super) known: HashMap<Id, i64>,
    /// Records that etcd does not take, or that a stranger holds there.
    skipped: HashSet<Id>,
    /// A value by somebody who may become a member was left out: all is to be read again when one does.
    strangers: bool,
    /// The same of a value of an epoch that is not known here.
    later: bool,
    pub read_again: bool,
    /// Read up to here, the file may say less.
    pub position: Position,
    /// The newest value that is known to be in etcd; the file may have an older one.
    pub(super) witness: Option<Witness>,
    pub condition: Condition,
    pub numbers: Numbers,
    pub news: News,
    pub(super) progress: Progress,
    pub(super) history: History,
}

/// Why it cannot go on: this host, or the engine.
#[derive(Debug)]
pub enum Stop {
    Host(Error),
    Engine(Fault),
    /// An officer on another member took this host out of the cluster.
    Removed,
    /// The cluster is at the first of these epochs, and this host was given none after the second.
    WrongEpoch(u32, u32),
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Stop::Host(error) => write!(f, "{}", error.cause()),
            Stop::Engine(fault) => write!(f, "{fault}"),
            Stop::Removed => write!(
                f,
                "this host was removed from the cluster: it serves on by itself, and nothing it writes reaches the others"
            ),
            Stop::WrongEpoch(theirs, ours) => write!(
                f,
                "wrong epoch: the cluster is at epoch {theirs}, and its key did not come to this host, which has epoch \
                 {ours}; an officer on another member runs `strongroom cluster rotate`"
            ),
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
        if token.was_removed()? {
            return Err(Error::ActionProhibited.because("this host was removed from its cluster"));
        }
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
            later: false,
            read_again: false,
            condition,
            numbers: Numbers::default(),
            news: News::default(),
            progress: Progress::default(),
            history: History::default(),
        })
    }

    /// Whether the file is that member still: it may have been made anew, or have left.
    pub fn is_still_one(&self) -> bool {
        self.store.is_current().unwrap_or(false)
            && self.store.peer().is_ok_and(|peer| peer == Some(self.signer.id))
    }

    pub(super) fn write<T>(&self, work: impl FnOnce(&mut Change<'_>) -> Result<T>) -> Result<T> {
        self.token.write_from_peers((&self.store, self.signer.id), work)
    }

    /// Something that an operator should know of.
    pub(super) fn notice(&mut self, what: String) {
        let what = printable(&what);
        log::warn!("cluster: {what}");
        self.condition.last_error = what;
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
        let newest = seen.iter().map(|one| one.revision).max();
        self.numbers.newest = self.numbers.newest.max(newest.unwrap_or_default());
        let is_known = |id: Option<Id>, one: &Seen| {
            id.and_then(|id| self.known.get(&id)).is_some_and(|known| *known >= one.revision)
        };
        let mut seen: Vec<_> = seen.into_iter().map(|one| (self.places.id(&one.key), one)).collect();
        seen.retain(|(id, one)| !is_known(*id, one));
        let all: Vec<_> = seen.iter().map(|(_, one)| one).collect();
        let signed = wire::signed_together(&self.store, &self.signers, &all);
        let mut incoming = Vec::new();
        for ((id, Seen { key, value, revision }), signed) in seen.into_iter().zip(signed) {
            let Some(id) = id else {
                // One that is deleted is gone.
                if value.is_some() {
                    self.refuse(&key, &Refusal::Broken("no name of ours"), None);
                }
                continue;
            };
            let Some(value) = value else {
                self.notice(format!("record {id} was deleted in etcd"));
                self.known.insert(id, 0);
                self.write(|change| resend(change, id))?;
                continue;
            };
            self.witness(&key, &value, revision);
            let place = (&self.places, &key[..], signed);
            let record = wire::unpack_signed_record(&self.store, &self.signers, place, &value);
            if let Err(refusal) = &record {
                self.refuse(&key, refusal, value.get(..16));
            } else if let Ok(RecordRow { record: taken, .. }) = &record
                && taken.header.kind == Kind::Member
            {
                // Those that follow may be by him.
                self.admit(record.as_ref().ok());
            }
            let turns = record.as_ref().is_ok_and(|whole| is_turn(&whole.record.header));
            incoming.push(Incoming { id, revision, record });
            if turns {
                // What follows may be of the new epoch, or by a host that is out.
                self.apply(std::mem::take(&mut incoming))?;
            }
        }
        self.apply(incoming)
    }

    fn apply(&mut self, incoming: Vec<Incoming>) -> Result<()> {
        if incoming.is_empty() {
            return Ok(());
        }
        let (overruled, taken) = self.write(|change| {
            let (mut overruled, mut taken) = (Vec::new(), 0);
            for one in &incoming {
                taken += u64::from(take_one(change, one, &mut overruled)?);
            }
            Ok((overruled, taken))
        })?;
        self.numbers.taken += taken;
        self.numbers.overruled += overruled.len() as u64;
        for id in overruled {
            log::warn!("cluster: a change of {id} made here gave way to a peer's");
        }
        self.known.extend(incoming.iter().filter(|one| one.record.is_ok()).map(|one| (one.id, one.revision)));
        if let Some(Incoming { id, record: Ok(last), .. }) = incoming.last() {
            match last.record.header.kind {
                Kind::Epoch => self.learn_epochs()?,
                Kind::Gone if is_turn(&last.record.header) => self.expel(*id),
                _ => {}
            }
        }
        Ok(())
    }

    /// Somebody else wrote where an epoch was to begin: when it is not good, it is written over.
    pub(super) fn note_there(&mut self, key: &[u8], id: Id, there: Option<KeyValue>) {
        let mut revision = 0;
        if let Some(there) = there {
            match wire::unpack_record(&self.store, &self.signers, (&self.places, key), &there.value) {
                Ok(_) => return,
                Err(refusal) => self.refuse(key, &refusal, there.value.get(..16)),
            }
            revision = there.mod_revision;
        }
        self.known.insert(id, revision);
    }

    /// What was left aside may be good now.
    pub(super) fn look_again(&mut self) {
        self.skipped.clear();
        if std::mem::take(&mut self.later) {
            self.news.read_again_because("something was of an epoch that was not known yet");
            self.read_again = true;
        }
    }

    /// `signer`: the id that the value gives as its signer's.
    fn refuse(&mut self, key: &[u8], refusal: &Refusal, signer: Option<&[u8]>) {
        self.condition.refused += 1;
        self.numbers.refused += 1;
        self.strangers |= matches!(refusal, Refusal::Stranger(_));
        if let Refusal::Later(epoch) = refusal {
            self.later = true;
            self.progress.missing = self.progress.missing.max(Some(*epoch));
        }
        let what = format!("{} was refused: {refusal}", String::from_utf8_lossy(key));
        if !self.news.names_refused() {
            self.condition.last_error = printable(&what);
            return;
        }
        let members = self.token.members().unwrap_or_default();
        let named = members.iter().find(|member| signer == Some(&member.id.0[..]));
        let by = named.map(|member| format!("; it names {} as its author", member.name)).unwrap_or_default();
        self.notice(what + &by);
    }

    /// A member's record says with which key he signs.
    fn admit(&mut self, member: Option<&RecordRow>) {
        let Some(member) = member else { return };
        // One who was removed may have put his old record back: he signs nothing any more.
        if !matches!(self.store.is_gone(member.record.header.id), Ok(false)) {
            return;
        }
        let body = self
            .store
            .open_body(&member.record, crate::store::BodyKey::Seal)
            .and_then(|body| Object::decode(&body));
        let Some(signs) = body.ok().and_then(|fields| members::signs(&fields)) else { return };
        if self.signers.insert(member.record.header.id, signs).is_none() {
            self.skipped.clear();
            if std::mem::take(&mut self.strangers) {
                self.news.read_again_because("a member is new, and something by him may have been refused");
                self.read_again = true;
            }
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
        loop {
            let batch = self.waiting()?;
            let headers = batch.iter().map(|whole| whole.record.header);
            let stale: Vec<Header> = headers.filter(|header| self.store.is_stale(header)).collect();
            if stale.is_empty() {
                return Ok(batch);
            }
            // Those who closed the earlier epoch could not open it.
            self.write(|change| {
                stale.iter().try_for_each(|header| change.seal_anew(header.kind, header.id))
            })?;
        }
    }

    fn waiting(&mut self) -> Result<Vec<RecordRow>> {
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

    pub(super) fn packed(&self, whole: &RecordRow) -> Result<Put> {
        let key = self.places.of(self.folder(whole), whole.record.header.id);
        let value = wire::pack(&self.store, &self.signer, &key, &wire::plain(whole))?;
        Ok(Put { key, value, since: self.known.get(&whole.record.header.id).copied().unwrap_or(0) })
    }

    /// Where a record lies: what is left of one, where it lay.
    pub(super) fn folder(&self, whole: &RecordRow) -> Kind {
        if whole.record.header.was(Kind::Member) { Kind::Member } else { whole.record.header.kind }
    }

    /// `first`: the key and value of one of them.
    fn sent(&mut self, batch: &[RecordRow], first: (Vec<u8>, Vec<u8>), revision: i64) -> Result<()> {
        self.witness(&first.0, &first.1, revision);
        self.write(|change| {
            self.witness.as_ref().map_or(Ok(()), |newest| newest.save(change))?;
            batch.iter().try_for_each(|whole| change.sent(whole))
        })?;
        self.known.extend(batch.iter().map(|whole| (whole.record.header.id, revision)));
        self.numbers.sent += batch.len() as u64;
        self.numbers.newest = self.numbers.newest.max(revision);
        if batch.iter().any(|whole| whole.record.header.kind == Kind::Gone) {
            self.outdate(revision);
        }
        Ok(())
    }

    /// One record against what etcd has in its place.
    async fn send_one(&mut self, engine: &mut Engine, whole: RecordRow) -> std::result::Result<(), Stop> {
        let id = whole.record.header.id;
        for _ in 0..TRIES {
            if self.store.is_stale(&whole.record.header) {
                // An epoch began meanwhile: the next batch has it anew.
                return Ok(());
            }
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
            Err(refusal @ (Refusal::Broken(_) | Refusal::Removed(_))) => {
                self.refuse(key, &refusal, there.value.get(..16));
                self.known.insert(id, there.mod_revision);
                Ok(false)
            }
            Err(refusal) => {
                self.refuse(key, &refusal, there.value.get(..16));
                self.skipped.insert(id);
                Ok(true)
            }
        }
    }
}

/// Whether a record changes who writes, or under what.
fn is_turn(header: &Header) -> bool {
    header.kind == Kind::Epoch || header.was(Kind::Member)
}

/// What is here of an id goes to the peers again.
pub(super) fn resend(change: &mut Change<'_>, id: Id) -> Result<()> {
    if change.whole(id)?.is_some() { change.send(id) } else { Ok(()) }
}

/// Whether it is what is here now, and was not before.
fn take_one(change: &mut Change<'_>, incoming: &Incoming, overruled: &mut Vec<Id>) -> Result<bool> {
    let id = incoming.id;
    let Ok(theirs) = &incoming.record else {
        // Ours, if there is one, belongs in its place.
        return match incoming.record {
            Err(Refusal::Broken(_) | Refusal::Removed(_)) => resend(change, id).map(|()| false),
            _ => Ok(false),
        };
    };
    let ours = change.whole(id)?;
    match decide(ours.as_ref(), theirs) {
        Verdict::Same => change.sent(theirs).map(|()| false),
        Verdict::Ours => change.send(id).map(|()| false),
        Verdict::Foreign => Ok(false),
        Verdict::Theirs => {
            if let Some(ours) = ours.filter(|_| change.is_pending(id).unwrap_or(false)) {
                change.overruled(id, ours.record.header.version)?;
                let note =
                    Note::of(Event::Overruled).object(id).detail("version", ours.record.header.version);
                change.enter(note.detail("by", theirs.record.header.author))?;
                overruled.push(id);
            }
            change.adopt(theirs).map(|()| true)
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
