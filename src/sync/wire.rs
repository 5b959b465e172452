//! What lies in etcd: where, and in which form. Everything is sealed for the members, then signed by the member
//! who put it there, both bound to the token and to the key in etcd.
//!
//! Value: the member's id (16), Ed25519 signature (64), from epoch 2 on the epoch (u32 LE), then sealed as by
//! [`Store::seal_for`]. Keys, below the configured prefix and the token's id: `m/ID` members, `e/ID` epochs, `r/ID`
//! all other records; beside them `status/`, `join/` and `welcome/`. Members and epochs are read by everybody
//! whatever epoch he has: they are of none.

use super::engine::Seen;
use crate::crypto::Secret;
use crate::crypto::ed25519::{PrivateKey, PublicKey, verify_all};
use crate::error::Result;
use crate::store::{Id, Kind, RecordRow, Store};
use std::collections::BTreeMap;
use std::fmt;

const SEALED: &str = "strongroom cluster";
/// What is signed begins so; of a value that says its epoch with the second.
const SIGNED: [&[u8]; 2] = [b"strongroom cluster 1\n", b"strongroom cluster 2\n"];
/// Of a record.
const FORM: u8 = 1;
const SIGNATURE: usize = 64;
/// From so many on, signatures are cheaper together.
const TOGETHER: usize = 4;

/// Why a value is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody of us made it as it is.
    Broken(&'static str),
    /// Whoever signed it is no member that is known here (yet).
    Stranger(Id),
    /// Signed by a host that was removed.
    Removed(Id),
    /// Signed and sealed by a member, and of no form that is known here.
    Newer,
    /// Signed by a member, and sealed under an epoch whose secret this host does not have (yet).
    Later(u32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Broken(why) => write!(f, "{why}"),
            Refusal::Stranger(id) => write!(f, "signed by {id}, who is no member of this cluster"),
            Refusal::Removed(id) => write!(f, "signed by {id}, who was removed from this cluster"),
            Refusal::Newer => write!(f, "of a form that this version does not know"),
            Refusal::Later(epoch) => write!(f, "of epoch {epoch}, whose key this host does not have"),
        }
    }
}

/// Where the records of a token lie.
#[derive(Clone)]
pub struct Places {
    prefix: String,
    token: String,
}

impl Places {
    pub fn new(prefix: &str, token: Id) -> Places {
        Places { prefix: prefix.to_owned(), token: token.to_string() }
    }

    /// Of everything that is watched.
    pub fn all(&self) -> Vec<u8> {
        format!("{}{}/", self.prefix, self.token).into_bytes()
    }

    pub fn members(&self) -> Vec<u8> {
        [&self.all()[..], b"m/"].concat()
    }

    pub fn records(&self) -> Vec<u8> {
        [&self.all()[..], b"r/"].concat()
    }

    pub fn epochs(&self) -> Vec<u8> {
        [&self.all()[..], b"e/"].concat()
    }

    pub fn of(&self, kind: Kind, id: Id) -> Vec<u8> {
        let folder = match kind {
            Kind::Member => self.members(),
            Kind::Epoch => self.epochs(),
            _ => self.records(),
        };
        [folder, id.to_string().into_bytes()].concat()
    }

    /// The id that a key names.
    pub fn id(&self, key: &[u8]) -> Option<Id> {
        let folders = [self.records(), self.members(), self.epochs()];
        let name = folders.iter().find_map(|folder| key.strip_prefix(&folder[..]))?;
        let digits: String = std::str::from_utf8(name).ok()?.chars().filter(|c| *c != '-').collect();
        let id = crate::audit::from_hex(&digits)?.try_into().map(Id).ok()?;
        (id.to_string().as_bytes() == name).then_some(id)
    }

    pub fn statuses(&self) -> Vec<u8> {
        format!("{}status/{}/", self.prefix, self.token).into_bytes()
    }

    pub fn status(&self, peer: Id) -> Vec<u8> {
        [self.statuses(), peer.to_string().into_bytes()].concat()
    }
}

/// Where hosts ask to join, and where they find the answer: they know the token's id only after it.
pub fn requests(prefix: &str) -> Vec<u8> {
    format!("{prefix}join/").into_bytes()
}

pub fn request(prefix: &str, fingerprint: &str) -> Vec<u8> {
    format!("{prefix}join/{fingerprint}").into_bytes()
}

pub fn answer(prefix: &str, fingerprint: &str) -> Vec<u8> {
    format!("{prefix}welcome/{fingerprint}").into_bytes()
}

/// Who signs here.
pub struct Signer {
    pub id: Id,
    pub key: PrivateKey,
}

fn statement(token: Id, key: &[u8], tail: &[u8], says_epoch: bool) -> Vec<u8> {
    let begin = SIGNED[usize::from(says_epoch)];
    [begin, &token.0, &(key.len() as u32).to_le_bytes(), key, tail].concat()
}

/// Whether what lies there is of no epoch.
fn is_standing(key: &[u8]) -> bool {
    let folder = key.rsplit(|byte| *byte == b'/').nth(1);
    folder == Some(b"m") || folder == Some(b"e")
}

/// The value for a key.
pub fn pack(store: &Store, signer: &Signer, key: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let epoch = (!is_standing(key)).then(|| store.ring().present());
    let sealed = store.seal_for((SEALED, epoch), key, plain)?;
    let (tail, says_epoch) = match epoch {
        Some(number @ 2..) => ([&number.to_le_bytes()[..], &sealed].concat(), true),
        _ => (sealed, false),
    };
    let mut signature = [0; SIGNATURE];
    signer.key.sign(&statement(store.token_id(), key, &tail, says_epoch), &mut signature)?;
    Ok([&signer.id.0[..], &signature, &tail].concat())
}

/// The epoch that a value says, if it is one from 2 on.
fn marked(tail: &[u8]) -> Option<u32> {
    tail.first_chunk().map(|number| u32::from_le_bytes(*number)).filter(|number| *number > 1)
}

/// Whether a value is sealed as it is today; whether it is good is another question.
pub fn is_present(store: &Store, key: &[u8], value: &[u8]) -> bool {
    let present = store.ring().present();
    let marked = parts(value).and_then(|(.., tail)| marked(tail));
    is_standing(key) || present == 1 || marked == Some(present)
}

/// What is sealed, and whether the value says its epoch.
fn open(store: &Store, key: &[u8], tail: &[u8]) -> Option<(Secret, bool)> {
    if is_standing(key) {
        return Some((store.open_for((SEALED, None), key, tail)?, false));
    }
    let marked = marked(tail).and_then(|number| store.open_for((SEALED, Some(number)), key, &tail[4..]));
    let first = || store.open_for((SEALED, Some(1)), key, tail).map(|plain| (plain, false));
    marked.map(|plain| (plain, true)).or_else(first)
}

/// A record as it is sealed: its form (1), then its bytes.
pub fn plain(row: &RecordRow) -> Vec<u8> {
    [&[FORM][..], &row.encode()].concat()
}

/// A value's signer, signature, and what is sealed.
fn parts(value: &[u8]) -> Option<(Id, &[u8; SIGNATURE], &[u8])> {
    let (signer, rest) = value.split_first_chunk()?;
    let (signature, sealed) = rest.split_first_chunk()?;
    Some((Id(*signer), signature, sealed))
}

/// Which of these are signed by members that are known now, and whether what is signed says its epoch; as far as
/// that can be told of all at once. The others are to be looked at one by one.
pub fn signed_together(store: &Store, signers: &BTreeMap<Id, [u8; 32]>, seen: &[&Seen]) -> Vec<Option<bool>> {
    let (token, present, mut statements) = (store.token_id(), store.ring().present(), Vec::new());
    for (number, Seen { key, value, .. }) in seen.iter().enumerate() {
        let Some((signer, signature, tail)) = value.as_ref().and_then(|value| parts(value)) else { continue };
        if let Some(public) = signers.get(&signer) {
            let says_epoch = !is_standing(key) && marked(tail).is_some_and(|epoch| epoch <= present);
            let said = statement(token, key, tail, says_epoch);
            statements.push((number, says_epoch, *public, said, *signature));
        }
    }
    let mut good = vec![None; seen.len()];
    let signed: Vec<_> =
        statements.iter().map(|(.., public, said, signature)| (*public, &said[..], *signature)).collect();
    if signed.len() >= TOGETHER && verify_all(&signed) {
        statements.iter().for_each(|(number, says_epoch, ..)| good[*number] = Some(*says_epoch));
    }
    good
}

/// What a member put there.
pub fn unpack(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    key: &[u8],
    value: &[u8],
) -> std::result::Result<Secret, Refusal> {
    unpack_signed(store, signers, (key, None), value)
}

/// `signed`: what `signed_together` said of it.
fn unpack_signed(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    (key, signed): (&[u8], Option<bool>),
    value: &[u8],
) -> std::result::Result<Secret, Refusal> {
    let (signer, signature, tail) = parts(value).ok_or(Refusal::Broken("too short to be ours"))?;
    let is_signed = |public: &[u8; 32], says_epoch| {
        let statement = statement(store.token_id(), key, tail, says_epoch);
        signed == Some(says_epoch)
            || PublicKey::new(public).and_then(|public| public.verify(&statement, signature)).is_ok()
    };
    let public = signers.get(&signer);
    if public.is_none() && store.is_gone(signer).unwrap_or(false) {
        return Err(Refusal::Removed(signer));
    }
    // A foreigner's bytes do not open, either: that says more than an id that means nothing.
    let Some((plain, says_epoch)) = open(store, key, tail) else {
        let later = marked(tail).filter(|number| *number > store.ring().present());
        return Err(match later.filter(|_| public.is_some_and(|public| is_signed(public, true))) {
            Some(number) => Refusal::Later(number),
            None => Refusal::Broken("altered, of an epoch that is over, or not of this cluster and place"),
        });
    };
    let public = public.ok_or(Refusal::Stranger(signer))?;
    if !is_signed(public, says_epoch) {
        return Err(Refusal::Broken("its signature is wrong"));
    }
    Ok(plain)
}

/// The record that a member put there.
pub fn unpack_record(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    place: (&Places, &[u8]),
    value: &[u8],
) -> std::result::Result<RecordRow, Refusal> {
    unpack_signed_record(store, signers, (place.0, place.1, None), value)
}

/// `signed`: what `signed_together` said of it.
pub fn unpack_signed_record(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    (places, key, signed): (&Places, &[u8], Option<bool>),
    value: &[u8],
) -> std::result::Result<RecordRow, Refusal> {
    let plain = unpack_signed(store, signers, (key, signed), value)?;
    let whole = plain.split_first().filter(|(form, _)| **form == FORM);
    let whole = whole.and_then(|(_, row)| RecordRow::decode(row)).ok_or(Refusal::Newer)?;
    let (kind, id) = (whole.record.header.kind, whole.record.header.id);
    if places.id(key) != Some(id) || (kind != Kind::Gone && places.of(kind, id) != key) {
        return Err(Refusal::Broken("a record of another place"));
    }
    if !store.has_epoch_of(&whole.record.header) {
        return Err(Refusal::Broken("a record of an epoch that is over"));
    }
    if (kind == Kind::Token) != (id == store.token_id()) {
        return Err(Refusal::Broken("the description of another token"));
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SlotConfig;
    use crate::store::{BodyKey, Header};

    fn signer(id: u8) -> (Signer, [u8; 32]) {
        let key = PrivateKey::new(&PrivateKey::generate().unwrap()).unwrap();
        let public = key.public();
        (Signer { id: Id([id; 16]), key }, public)
    }

    #[test]
    fn only_what_a_member_put_in_its_very_place_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&SlotConfig::for_test(folder.path()), |_| Ok(())).unwrap();
        let id = Id([5; 16]);
        let header =
            Header { kind: Kind::Object, id, version: 1, epoch: 1, author: id, owner: Id::NONE, flags: 0 };
        store.write(|change| change.put(header, BodyKey::Seal, b"body", &[(1, vec![2])])).unwrap();
        let whole = store.write(|change| change.whole(id)).unwrap().unwrap();
        let places = Places::new("here/", store.token_id());
        let key = places.of(Kind::Object, id);
        assert_eq!(places.id(&key), Some(id));
        let ((member, public), (stranger, _)) = (signer(1), signer(2));
        let signers = BTreeMap::from([(member.id, public)]);
        let take = |key: &[u8], value: &[u8]| unpack_record(&store, &signers, (&places, key), value);
        let value = pack(&store, &member, &key, &plain(&whole)).unwrap();
        assert_eq!(take(&key, &value), Ok(whole.clone()));
        for at in [0, 15, 16, 79, 80, 96, value.len() - 1] {
            let mut altered = value.clone();
            altered[at] ^= 1;
            assert!(take(&key, &altered).is_err(), "byte {at}");
        }
        for length in [0, 15, 79, 80, 111, value.len() - 1] {
            assert!(matches!(take(&key, &value[..length]), Err(Refusal::Broken(_))), "{length} bytes");
        }
        // Of another place, of another kind, by a stranger, of a later form, of another token.
        let elsewhere = places.of(Kind::Object, Id([6; 16]));
        assert!(matches!(take(&elsewhere, &value), Err(Refusal::Broken(_))));
        let moved = pack(&store, &member, &elsewhere, &plain(&whole)).unwrap();
        assert!(matches!(take(&elsewhere, &moved), Err(Refusal::Broken(_))));
        let as_member = places.of(Kind::Member, id);
        let disguised = pack(&store, &member, &as_member, &plain(&whole)).unwrap();
        assert!(matches!(take(&as_member, &disguised), Err(Refusal::Broken(_))));
        let strange = pack(&store, &stranger, &key, &plain(&whole)).unwrap();
        assert_eq!(take(&key, &strange), Err(Refusal::Stranger(stranger.id)));
        let later = pack(&store, &member, &key, &[&[9], &whole.encode()[..]].concat()).unwrap();
        assert_eq!(take(&key, &later), Err(Refusal::Newer));
        let folder = tempfile::tempdir().unwrap();
        let other = Store::create(&SlotConfig::for_test(folder.path()), |_| Ok(())).unwrap();
        let foreign = pack(&other, &member, &key, &plain(&whole)).unwrap();
        assert!(matches!(take(&key, &foreign), Err(Refusal::Broken(_))));
    }

    /// A host that was removed has the secrets of then and its key; members have gone on.
    #[test]
    fn what_a_removed_host_makes_or_kept_is_refused_and_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&SlotConfig::for_test(folder.path()), |_| Ok(())).unwrap();
        let ((member, public), (out, his)) = (signer(1), signer(2));
        let as_member = Header {
            kind: Kind::Member,
            id: out.id,
            version: 1,
            epoch: 1,
            author: member.id,
            owner: Id::NONE,
            flags: 0,
        };
        let folder = tempfile::tempdir().unwrap();
        let (token, ring) = (store.token_id(), store.ring().clone());
        let kept = Store::create_from(&SlotConfig::for_test(folder.path()), token, ring, |_| Ok(())).unwrap();
        store
            .write(|change| {
                change.enlist(member.id)?;
                change.put(as_member, BodyKey::Seal, b"", &[])?;
                change.put(Header { kind: Kind::Object, ..as_member }, BodyKey::Seal, b"body", &[])
            })
            .unwrap();
        let whole = store.write(|change| change.whole(out.id)).unwrap().unwrap();
        let places = Places::new("here/", token);
        let (key, standing) = (places.of(Kind::Object, out.id), places.of(Kind::Member, out.id));
        let (mut signers, plain) = (BTreeMap::from([(member.id, public), (out.id, his)]), plain(&whole));
        let earlier = [&member, &out].map(|signer| pack(&store, signer, &key, &plain).unwrap());
        assert!(earlier.iter().all(|value| unpack(&store, &signers, &key, value).is_ok()));
        // He is taken out, and an epoch begins.
        let secret = Secret::random(32).unwrap();
        store
            .write(|change| {
                change.remove(Kind::Member, out.id)?;
                change.learn_epochs([(2, secret)])
            })
            .unwrap();
        signers.remove(&out.id);
        let take = |value: &[u8]| unpack(&store, &signers, &key, value);
        assert!(take(&earlier[0]).is_ok(), "a member's, while records are sealed anew");
        assert_eq!(take(&earlier[1]), Err(Refusal::Removed(out.id)));
        let by_him = pack(&kept, &out, &key, &plain).unwrap();
        assert_eq!(take(&by_him), Err(Refusal::Removed(out.id)));
        let mut in_anothers_name = by_him.clone();
        in_anothers_name[..16].copy_from_slice(&member.id.0);
        assert_eq!(take(&in_anothers_name), Err(Refusal::Broken("its signature is wrong")));
        // The epoch that is over is closed.
        let mut mark = crate::store::Mark::default();
        while let Some(next) = store.write(|change| change.reseal(mark, 9)).unwrap() {
            mark = next;
        }
        assert_eq!(store.write(|change| change.drop_epochs()), Ok(vec![1]));
        store.refresh().unwrap();
        for value in [&earlier[0], &in_anothers_name] {
            assert!(matches!(take(value), Err(Refusal::Broken(_))));
            assert!(!is_present(&store, &key, value));
        }
        assert_eq!(take(&by_him), Err(Refusal::Removed(out.id)));
        // What is written now: he cannot read it, and says which epoch he lacks; who the members are, he can.
        let present = pack(&store, &member, &key, &plain).unwrap();
        assert!(take(&present).is_ok() && is_present(&store, &key, &present));
        let his_view = BTreeMap::from([(member.id, public)]);
        assert_eq!(unpack(&kept, &his_view, &key, &present), Err(Refusal::Later(2)));
        let members = pack(&store, &member, &standing, b"").unwrap();
        assert!(unpack(&kept, &his_view, &standing, &members).is_ok());
        // A member's value with a body of an epoch that is over: nobody could open the record.
        let taken = |plain: &[u8]| {
            let value = pack(&store, &member, &key, plain).unwrap();
            unpack_record(&store, &signers, (&places, &key), &value)
        };
        let object = store.load(Kind::Object, out.id).unwrap().unwrap();
        let mut row = RecordRow { record: object, keys: Vec::new(), terms: Vec::new() };
        assert_eq!(taken(&super::plain(&row)), Ok(row.clone()));
        row.record.header.epoch = 1;
        assert_eq!(taken(&super::plain(&row)), Err(Refusal::Broken("a record of an epoch that is over")));
        // Nobody's later epoch is junk.
        let mut claimed = present.clone();
        claimed[16 + SIGNATURE] = 9;
        assert!(matches!(unpack(&kept, &his_view, &key, &claimed), Err(Refusal::Broken(_))));
    }

    #[test]
    fn all_at_once_says_of_each_whether_it_is_signed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&SlotConfig::for_test(folder.path()), |_| Ok(())).unwrap();
        let ((one, first), (other, second), (stranger, _)) = (signer(1), signer(2), signer(3));
        let signers = BTreeMap::from([(one.id, first), (other.id, second)]);
        let seen = |signer: &Signer, number: u8| {
            let (key, sealed, mut signature) = (vec![number], [number; 40], [0; SIGNATURE]);
            let said = statement(store.token_id(), &key, &sealed, false);
            signer.key.sign(&said, &mut signature).unwrap();
            let value = [&signer.id.0[..], &signature, &sealed].concat();
            Seen { key, value: Some(value), revision: 1 }
        };
        let mut page =
            vec![seen(&one, 1), seen(&other, 2), seen(&stranger, 3), seen(&one, 4), seen(&other, 5)];
        page.push(Seen { key: vec![6], value: None, revision: 1 });
        page.push(Seen { key: vec![7], value: Some(vec![1; 70]), revision: 1 });
        let say = |page: &[Seen]| signed_together(&store, &signers, &page.iter().collect::<Vec<_>>());
        let (yes, no) = (Some(false), None);
        assert_eq!(say(&page), [yes, yes, no, yes, yes, no, no]);
        let few = page.split_off(3);
        assert_eq!(say(&page), [None; 3], "too few to be worth it");
        page.extend(few);
        // One wrong one, and each is to be looked at.
        if let Some(value) = &mut page[4].value {
            value[90] ^= 1;
        }
        assert_eq!(say(&page), [None; 7]);
    }

    #[test]
    fn names_that_are_not_ours_name_nothing() {
        let places = Places::new("here/", Id([1; 16]));
        let name = String::from_utf8(places.of(Kind::User, Id([0xab; 16]))).unwrap();
        assert_eq!(places.id(name.as_bytes()), Some(Id([0xab; 16])));
        let base = name.rsplit_once('/').unwrap().0;
        for wrong in [format!("{base}/no-name"), name.to_uppercase(), name.replace("ab-", "ab"), name + "00"]
        {
            assert_eq!(places.id(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
