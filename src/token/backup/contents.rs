//! Reading a backup to its end, with everything checked that can be: the stream, each record against the state
//! digest, the audit log's chain and signatures.

use super::super::audit::seed_in;
use super::super::users::User;
use super::super::{Role, Token};
use super::compare::Comparing;
use super::header::{BackupFile, Header};
use super::recipients::Secrets;
use super::rows;
use crate::audit::chain::{Chain, Findings};
use crate::audit::{Tip, hex};
use crate::crypto::Hash;
use crate::crypto::ed25519::PrivateKey;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::store::{Check, Id, Identity, Kind, RecordRow, Row};
use cryptoki_sys::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What is inside a backup, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub officers: u64,
    pub users: u64,
    pub private_keys: u64,
    pub public_keys: u64,
    pub secret_keys: u64,
    pub certificates: u64,
    pub other_objects: u64,
    /// Data keys of objects for others than their owners.
    pub shares: u64,
    /// Of the audit log.
    pub entries: u64,
    /// Of the cluster that the token was in; none, when it was in none.
    pub members: u64,
}

impl Counts {
    pub fn objects(&self) -> u64 {
        let keys = self.private_keys + self.public_keys + self.secret_keys;
        keys + self.certificates + self.other_objects
    }

    fn object(&mut self, check: &Check, row: &RecordRow) {
        let is = |class: CK_OBJECT_CLASS| check.has_term(row, &(CKA_CLASS, class.to_le_bytes().to_vec()));
        // Private objects stay sealed; the index tells their class to whoever has the seal key.
        let count = match () {
            () if is(CKO_PRIVATE_KEY) => &mut self.private_keys,
            () if is(CKO_PUBLIC_KEY) => &mut self.public_keys,
            () if is(CKO_SECRET_KEY) => &mut self.secret_keys,
            () if is(CKO_CERTIFICATE) => &mut self.certificates,
            () => &mut self.other_objects,
        };
        *count += 1;
        let owner = row.record.header.owner;
        self.shares += row.keys.iter().filter(|(holder, _)| *holder != owner).count() as u64;
    }
}

/// A backup that was read to its end and is whole.
pub struct Contents {
    pub header: Header,
    pub identity: Identity,
    pub tip: Tip,
    pub counts: Counts,
    /// What the log inside is signed with (Ed25519); none in a token that signed nothing yet.
    pub audit_key: Option<[u8; 32]>,
    pub(super) people: BTreeMap<Id, User>,
}

impl Contents {
    /// That the file is the one that was looked at: the second reading of it must not be of another.
    pub(super) fn is_still(&self, before: &Contents) -> Result<()> {
        let same = self.header == before.header && self.identity.state == before.identity.state;
        if same { Ok(()) } else { Err(Error::FunctionFailed.because("the backup was exchanged meanwhile")) }
    }

    /// SHA-256 of the audit key, for people to compare with one that they noted: a backup for a recovery key may
    /// be anyone's work who has the public half.
    pub fn fingerprint(&self) -> Option<String> {
        self.audit_key.map(|key| format!("SHA256:{}", hex(&Hash::Sha256.digest(&key))))
    }

    pub(super) fn named(&self, name: &str) -> Option<&User> {
        self.people.values().find(|user| user.name == name)
    }
}

/// Reads a backup to its end: `ArgumentsBad`, `EncryptedDataInvalid`, `DeviceError` when it is not whole,
/// `PinIncorrect` when these secrets do not open it.
/// `take` sees the rows before that is known. `watch`: bytes done, of all.
pub(super) fn read(
    path: &Path,
    secrets: &Secrets,
    watch: &mut dyn FnMut(u64, u64),
    take: &mut dyn FnMut(&Reading, &Row) -> Result<()>,
) -> Result<Contents> {
    let (header, mut stream) = BackupFile::open(path)?.unlock(secrets)?;
    let invalid = |why: &str| Error::EncryptedDataInvalid.because(format_args!("{}: {why}", path.display()));
    let Some(Row::Identity(identity)) = rows::read(&mut stream)? else {
        return Err(invalid("the backup does not begin with a token"));
    };
    let check = Check::new(&identity)?;
    let tip = check.tip();
    if !header.is_of(identity.token) || !header.tip_is(tip) {
        return Err(invalid("the header is not that of the token inside"));
    }
    let chain = Chain::whole(identity.token.to_string(), None);
    let mut reading =
        Reading { check, chain, counts: Counts::default(), audit_key: None, people: BTreeMap::new() };
    take(&reading, &Row::Identity(identity.clone()))?;
    while let Some(row) = rows::read(&mut stream)? {
        reading.row(&identity, &row)?;
        take(&reading, &row)?;
        watch(stream.done(), stream.all);
    }
    let Reading { check, chain, counts, audit_key, people } = reading;
    check.finish()?;
    let Findings { faults, .. } = chain.finish(Some(tip));
    match faults.first() {
        Some(fault) => Err(Error::DeviceError.because(format_args!("the audit log inside: {fault}"))),
        None => Ok(Contents { header, identity, tip, counts, audit_key, people }),
    }
}

/// A backup as far as it was read.
pub(super) struct Reading {
    pub check: Check,
    chain: Chain,
    counts: Counts,
    audit_key: Option<[u8; 32]>,
    pub people: BTreeMap<Id, User>,
}

impl Reading {
    fn row(&mut self, identity: &Identity, row: &Row) -> Result<()> {
        match row {
            Row::Identity(_) => Err(Error::EncryptedDataInvalid.because("a backup of two tokens")),
            Row::Record(row) => {
                self.check.record(row)?;
                self.record(identity, row)
            }
            Row::Line(sequence, body) => {
                let line = self.check.line(*sequence, body)?;
                self.counts.entries += 1;
                self.chain.take(&line);
                Ok(())
            }
        }
    }

    fn record(&mut self, identity: &Identity, row: &RecordRow) -> Result<()> {
        match row.record.header.kind {
            Kind::Object => self.counts.object(&self.check, row),
            Kind::User => {
                let user = User::decode(row.record.header, &self.check.open(&row.record)?)?;
                let officer = user.role == Role::Officer;
                *if officer { &mut self.counts.officers } else { &mut self.counts.users } += 1;
                self.people.insert(user.header.id, user);
            }
            Kind::Token => {
                let seed = seed_in(&Object::decode(&self.check.open(&row.record)?)?);
                let key = seed.map(|seed| PrivateKey::new(&seed).map(|key| key.public())).transpose()?;
                self.chain = Chain::whole(identity.token.to_string(), key);
                self.audit_key = key;
            }
            Kind::Member => self.counts.members += 1,
            Kind::Gone | Kind::Epoch => {}
        }
        Ok(())
    }
}

/// Whether a backup would be taken over the present token without force, in words for people.
pub struct Verified {
    pub contents: Contents,
    /// `None`: there is no present token.
    pub over_present: Option<std::result::Result<(), String>>,
}

impl Token {
    /// Opens a backup to its end and counts what is inside; nothing of it is shown. Needs nobody: who has
    /// the secret has the backup.
    pub fn verify_backup(
        &self,
        path: &Path,
        secrets: &Secrets,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Verified> {
        let store = if self.is_made() { Some(self.store()) } else { None };
        let mut comparing = match &store {
            Some(Ok(store)) => Comparing::new(store).ok(),
            _ => None,
        };
        let contents = read(path, secrets, watch, &mut |reading, row| {
            comparing.as_mut().map_or(Ok(()), |comparing| comparing.take(reading, row))
        })?;
        let unusable = || Err("the present token cannot be used".to_owned());
        let over_present = match (&store, comparing) {
            (None, _) => None,
            (Some(Ok(store)), _) if !store.is(&contents.identity) => {
                Some(Err("the present token is another one, and never overwritten".to_owned()))
            }
            (Some(Ok(store)), _) if store.peer()?.is_some() => {
                Some(Err("it is a member of a cluster: --merge or --new-cluster says what is to be done"
                    .to_owned()))
            }
            (Some(_), Some(comparing)) => Some(
                comparing
                    .finish(contents.tip)?
                    .objection()
                    .map_or(Ok(()), |why| Err(why + "; force does it")),
            ),
            (Some(_), None) => Some(unusable()),
        };
        Ok(Verified { contents, over_present })
    }
}
