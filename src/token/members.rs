//! A token that is one of several: how it becomes a member of a cluster, and who the others are.
//!
//! A member is a host by its identity (AU, `appliance`), whose key signs what it sends (`sync`). A new host asks
//! with a [`JoinRequest`]; an officer on a member compares its fingerprint and answers with the token's secrets,
//! its id and the members so far, in an HPKE ciphertext that only the asker opens. HPKE names no sender, so both
//! sides then compare a code that only somebody with these secrets can make.

use super::appliance::Appliance;
use super::custody::still_good;
use super::policy::{Operation, may_manage};
use super::{Access, Token, appliance};
use crate::audit::{Event, Note, hex};
use crate::config::SlotConfig;
use crate::crypto::ed25519::{PrivateKey, PublicKey};
use crate::crypto::hash::Hmac;
use crate::crypto::{Hash, Secret, hpke};
use crate::error::{Error, Result};
use crate::object::{Object, Value};
use crate::store::{BodyKey, Change, Commit, Header, Id, Kind, RecordRow, Ring, Store};
use std::collections::BTreeMap;

/// Fields of a member's record.
const NAME: u64 = 1;
const SIGNS: u64 = 30;
const RECEIVES: u64 = 31;

const WELCOME: &[u8] = b"strongroom cluster welcome 2";
const LONGEST_NAME: usize = 64;

/// A peer as its record says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: Id,
    /// The host's name, for people.
    pub name: String,
    /// Ed25519.
    pub signs: [u8; 32],
    /// X25519: the secrets of new epochs are sealed to it. Absent in records of before there were epochs.
    pub receives: Option<[u8; 32]>,
}

impl Member {
    fn write(&self, change: &mut Change<'_>, version: u64) -> Result<()> {
        let author = change.author();
        let header =
            Header { kind: Kind::Member, id: self.id, version, epoch: 1, author, owner: Id::NONE, flags: 0 };
        let mut fields = Object::new(vec![
            (NAME, Value::Bytes(self.name.as_bytes().to_vec())),
            (SIGNS, Value::Bytes(self.signs.to_vec())),
        ]);
        if let Some(receives) = self.receives {
            fields.set(RECEIVES, Value::Bytes(receives.to_vec()));
        }
        change.put(header, BodyKey::Seal, &fields.encode(), &[])
    }

    fn decode(id: Id, body: &Secret) -> Result<Member> {
        let fields = Object::decode(body)?;
        let damaged = || Error::DeviceError.because("a member's record does not decode");
        let signs = signs(&fields).ok_or_else(damaged)?;
        let receives = fields.bytes(RECEIVES).try_into().ok();
        Ok(Member { id, name: String::from_utf8_lossy(fields.bytes(NAME)).into_owned(), signs, receives })
    }
}

/// The key that a member signs with, in the fields of his record.
pub(crate) fn signs(fields: &Object) -> Option<[u8; 32]> {
    fields.bytes(SIGNS).try_into().ok()
}

/// What a new host asks with. The private halves stay in its memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    pub member: Member,
    /// X25519: the answer is sealed to it, and later the secrets of new epochs.
    pub sealed_to: [u8; 32],
}

/// The private halves of a request.
pub struct Joining {
    pub request: JoinRequest,
    seed: Secret,
    private: Secret,
}

impl JoinRequest {
    /// Form (1), both public keys, then the host's name.
    pub fn encode(&self) -> Vec<u8> {
        let Member { name, signs, .. } = &self.member;
        [&[1][..], signs, &self.sealed_to, name.as_bytes()].concat()
    }

    /// `None` when it is none.
    pub fn decode(bytes: &[u8]) -> Option<JoinRequest> {
        let (fixed, name) = bytes.split_first_chunk::<65>()?;
        let name = std::str::from_utf8(name).ok().filter(|name| is_name(name))?;
        let signs: [u8; 32] = fixed[1..33].try_into().ok()?;
        // One that can never verify is no member.
        PublicKey::new(&signs).ok()?;
        let sealed_to = fixed[33..].try_into().ok()?;
        let id = Appliance::named(signs).id;
        let member = Member { id, name: name.to_owned(), signs, receives: Some(sealed_to) };
        (fixed[0] == 1).then_some(JoinRequest { member, sealed_to })
    }

    /// What two people compare: 128 bits of SHA-256 in groups of four hex digits.
    pub fn fingerprint(&self) -> String {
        grouped(&Hash::Sha256.digest(&self.encode())[..16])
    }
}

fn grouped(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    digits.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join("-")
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(|c| c.is_ascii_graphic())
}

pub(super) fn check_name(name: &str) -> Result<()> {
    let wrong = || Error::ArgumentsBad.because("a host's name is 1 to 64 visible ASCII characters");
    is_name(name).then_some(()).ok_or_else(wrong)
}

/// What an officer's yes is for the one who asked: to be put where he finds it, and to be read out to him.
pub struct Welcome {
    pub sealed: Vec<u8>,
    pub code: String,
}

fn code(pepper: &Secret, fingerprint: &str) -> String {
    grouped(&Hmac::sha256(pepper, &[fingerprint.as_bytes()])[..4])
}

impl Joining {
    /// `ArgumentsBad` for a name that is none: 1 to 64 visible characters of ASCII.
    pub fn new(name: &str) -> Result<Joining> {
        check_name(name)?;
        let seed = PrivateKey::generate()?;
        let Appliance { id, public } = Appliance::of(&seed)?;
        let (private, sealed_to) = appliance::receiving_pair(&seed);
        let member = Member { id, name: name.to_owned(), signs: public, receives: Some(sealed_to) };
        Ok(Joining { request: JoinRequest { member, sealed_to }, seed, private })
    }

    /// Opens the answer. `EncryptedDataInvalid` when it is not for this request.
    pub fn open(&self, sealed: &[u8]) -> Result<Joined<'_>> {
        let fingerprint = self.request.fingerprint();
        let plain = hpke::open(&self.private, WELCOME, fingerprint.as_bytes(), sealed)?;
        let wrong =
            || Error::EncryptedDataInvalid.because("the answer is of a form that this version does not know");
        let (fixed, rest) = plain.split_first_chunk::<20>().ok_or_else(wrong)?;
        let (token, length) = fixed.split_first_chunk::<16>().ok_or_else(wrong)?;
        let length = length.try_into().map(u32::from_le_bytes).map_err(|_| wrong())?;
        let (ring, rest) = rest.split_at_checked(length as usize).ok_or_else(wrong)?;
        let ring = Ring::decode(ring).ok_or_else(wrong)?;
        let members = RecordRow::decode_all(rest).ok_or_else(wrong)?;
        Ok(Joined { joining: self, token: Id(*token), ring, members })
    }
}

/// An answer, opened.
pub struct Joined<'a> {
    joining: &'a Joining,
    token: Id,
    ring: Ring,
    members: Vec<RecordRow>,
}

impl Joined<'_> {
    /// What the officer's screen must say, too.
    pub fn code(&self) -> String {
        code(&Store::secret_of(self.token, &self.ring, WELCOME), &self.joining.request.fingerprint())
    }

    /// The token that all of it is about.
    pub fn token(&self) -> Id {
        self.token
    }

    /// Whether the officer let this host in as a member; else as a clone.
    pub fn as_member(&self) -> bool {
        self.members.iter().any(|member| member.record.header.id == self.joining.request.member.id)
    }

    /// Makes the token's file here, with the members and nothing else yet; its seal is this host's own.
    /// `ActionProhibited` when there is a token already.
    pub fn make(self, config: &SlotConfig) -> Result<()> {
        if Store::exists(config) {
            return Err(Error::ActionProhibited.because("there is a token already"));
        }
        Store::create_from(config, self.token, self.ring, |change| {
            let host = appliance::make_of(change, &self.joining.seed)?;
            change.enlist(host.id)?;
            change.from_peers();
            self.members.iter().try_for_each(|member| change.adopt(member))?;
            change.enter(Note::of(Event::ClusterJoined).object(host.id))
        })
        .map(drop)
    }
}

impl Token {
    /// Makes this token the first member of a cluster. Everything in it is the peers' to get.
    /// `ActionProhibited` when it is a member already.
    pub fn found_cluster(&self, access: Access<'_>, name: &str) -> Result<()> {
        may_manage(access, Operation::ManagePeers)?;
        check_name(name)?;
        let officer = access.login.ok_or(Error::UserNotLoggedIn)?;
        self.write_here(&*self.store()?, |change| {
            still_good(change, officer)?;
            if change.peer_id().is_some() {
                return Err(Error::ActionProhibited.because("this token is a member of a cluster already"));
            }
            let host = appliance::own(change)?;
            // Of a cluster that this was a backup of: none of them is a peer here.
            drop_members(change)?;
            first_member(change, host, name)?;
            change.audit(access.login, Note::of(Event::ClusterFounded).object(host.id))
        })
        .map(drop)
    }

    /// An officer lets a host in, after comparing its fingerprint: `PublicKeyInvalid` when its keys are none.
    pub fn welcome(&self, access: Access<'_>, request: &JoinRequest) -> Result<Welcome> {
        self.let_in_host(access, request, false)
    }

    /// As `welcome`, of a host that takes all that is here to a cluster of its own, and is no member of this one.
    pub fn welcome_clone(&self, access: Access<'_>, request: &JoinRequest) -> Result<Welcome> {
        self.let_in_host(access, request, true)
    }

    fn let_in_host(&self, access: Access<'_>, request: &JoinRequest, clone: bool) -> Result<Welcome> {
        may_manage(access, Operation::ManagePeers)?;
        let officer = access.login.ok_or(Error::UserNotLoggedIn)?;
        let store = self.store()?;
        let members = self.write(&store, |change| {
            still_good(change, officer)?;
            if change.peer_id().is_none() {
                return Err(Error::ActionProhibited.because("this token is no member of a cluster"));
            }
            if change.load(Kind::Gone, request.member.id)?.is_some() {
                let why =
                    "this host was removed from the cluster; it joins as a new one, with a file of its own";
                return Err(Error::ActionProhibited.because(why));
            }
            if change.load(Kind::Member, request.member.id)?.is_none() {
                let event = if clone { Event::CloneApproved } else { Event::MemberApproved };
                let note = Note::of(event).object(request.member.id);
                change.audit(access.login, note.detail("fingerprint", request.fingerprint()))?;
                if !clone {
                    request.member.write(change, 1)?;
                }
            }
            let mut members = Vec::new();
            for header in change.list(Kind::Member)? {
                members.extend(change.whole(header.id)?);
            }
            Ok(members)
        })?;
        let (members, ring) = (RecordRow::encode_all(&members), store.ring().encode());
        let length = (ring.len() as u32).to_le_bytes();
        let plain = Secret::from([&store.token_id().0[..], &length, &ring, &members].concat());
        let fingerprint = request.fingerprint();
        let sealed = hpke::seal(&request.sealed_to, WELCOME, fingerprint.as_bytes(), &plain)
            .map_err(|_| Error::PublicKeyInvalid)?;
        Ok(Welcome { sealed, code: code(&store.derived_secret(WELCOME), &fingerprint) })
    }

    /// Who is in the cluster; empty for a token that is in none.
    pub fn members(&self) -> Result<Vec<Member>> {
        let store = self.store()?;
        let mut members = Vec::new();
        for header in store.list(Kind::Member)? {
            let Some(record) = store.load(Kind::Member, header.id)? else { continue };
            members.push(Member::decode(header.id, &store.open_body(&record, BodyKey::Seal)?)?);
        }
        Ok(members)
    }

    /// The id that all members' tokens, and clones, have.
    pub fn id(&self) -> Result<Id> {
        Ok(self.store()?.token_id())
    }

    /// Publishes the key that this host gets new epochs with, in a cluster of before there were any.
    pub(crate) fn publish_receiving_key(&self) -> Result<()> {
        let store = self.store()?;
        let Some(peer) = store.peer()? else { return Ok(()) };
        let published = |change: &mut Change<'_>| {
            let Some(record) = change.load(Kind::Member, peer)? else { return Ok(None) };
            let member = Member::decode(peer, &change.open_body(&record, BodyKey::Seal)?)?;
            let receives = appliance::receives(change)?;
            Ok((member.receives != receives)
                .then_some((record.header.version, Member { receives, ..member })))
        };
        self.write_here(&store, |change| match published(change)? {
            Some((version, member)) => member.write(change, version + 1),
            None => Ok(()),
        })
        .map(drop)
    }

    /// This host's id among the members.
    pub fn peer(&self) -> Result<Option<Id>> {
        self.store()?.peer()
    }

    /// What peers wrote to this one, or what they know by now: nothing of it is news to them, and nobody
    /// waits. `TokenNotRecognized` when the file is that peer's no more.
    pub(crate) fn write_from_peers<T>(
        &self,
        (store, peer): (&Store, Id),
        work: impl FnOnce(&mut Change<'_>) -> Result<T>,
    ) -> Result<T> {
        // The peers have it, or get it again: nobody has to wait for the disk.
        let written = self.write_here_as(store, Commit::InOrder, |change| {
            if change.peer_id() != Some(peer) {
                return Err(Error::TokenNotRecognized.because("the token was initialised anew"));
            }
            change.from_peers();
            work(change)
        });
        written.map(|(result, _)| result)
    }
}

/// Who was in another cluster, and its epochs' beginnings: the secrets of those stay in the ring.
pub(super) fn drop_members(change: &mut Change<'_>) -> Result<()> {
    for kind in [Kind::Member, Kind::Epoch] {
        change.list(kind)?.into_iter().try_for_each(|old| change.remove(kind, old.id))?;
    }
    Ok(())
}

pub(super) fn first_member(
    change: &mut Change<'_>,
    Appliance { id, public }: Appliance,
    name: &str,
) -> Result<()> {
    change.enlist(id)?;
    let receives = appliance::receives(change)?;
    Member { id, name: name.to_owned(), signs: public, receives }.write(change, 1)
}

/// The keys that members sign with.
pub(crate) fn signers(members: Vec<Member>) -> BTreeMap<Id, [u8; 32]> {
    members.into_iter().map(|member| (member.id, member.signs)).collect()
}
