//! What lies in etcd: where, and in which form. Everything is sealed for those who have the token's seal key,
//! then signed by the member who put it there, both bound to the token and to the key in etcd.
//!
//! Value: the member's id (16), Ed25519 signature (64), then sealed as by [`Store::seal_for`]. Keys, below the
//! configured prefix and the token's id: `m/ID` members, `r/ID` all other records; beside them `status/`,
//! `join/` and `welcome/`.

use super::engine::Seen;
use crate::crypto::Secret;
use crate::crypto::ed25519::{PrivateKey, PublicKey, verify_all};
use crate::error::Result;
use crate::store::{Id, Kind, RecordRow, Store};
use std::collections::BTreeMap;
use std::fmt;

const SEALED: &str = "strongroom cluster";
const SIGNED: &[u8] = b"strongroom cluster 1\n";
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
    /// Signed and sealed by a member, and of no form that is known here.
    Newer,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Broken(why) => write!(f, "{why}"),
            Refusal::Stranger(id) => write!(f, "signed by {id}, who is no member of this cluster"),
            Refusal::Newer => write!(f, "of a form that this version does not know"),
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

    pub fn of(&self, kind: Kind, id: Id) -> Vec<u8> {
        let folder = if kind == Kind::Member { self.members() } else { self.records() };
        [folder, id.to_string().into_bytes()].concat()
    }

    /// The id that a key names.
    pub fn id(&self, key: &[u8]) -> Option<Id> {
        let name = key.strip_prefix(&self.members()[..]).or_else(|| key.strip_prefix(&self.records()[..]))?;
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

fn statement(token: Id, key: &[u8], sealed: &[u8]) -> Vec<u8> {
    [SIGNED, &token.0, &(key.len() as u32).to_le_bytes(), key, sealed].concat()
}

/// The value for a key.
pub fn pack(store: &Store, signer: &Signer, key: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let sealed = store.seal_for(SEALED, key, plain)?;
    let mut signature = [0; SIGNATURE];
    signer.key.sign(&statement(store.token_id(), key, &sealed), &mut signature)?;
    Ok([&signer.id.0[..], &signature, &sealed].concat())
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

/// Which of these are signed by members that are known now, as far as that can be told of all at once; the
/// others are to be looked at one by one.
pub fn signed_together(token: Id, signers: &BTreeMap<Id, [u8; 32]>, seen: &[&Seen]) -> Vec<bool> {
    let mut statements = Vec::new();
    for (number, Seen { key, value, .. }) in seen.iter().enumerate() {
        let Some((signer, signature, sealed)) = value.as_ref().and_then(|value| parts(value)) else {
            continue;
        };
        if let Some(public) = signers.get(&signer) {
            statements.push((number, *public, statement(token, key, sealed), *signature));
        }
    }
    let mut good = vec![false; seen.len()];
    let signed: Vec<_> =
        statements.iter().map(|(_, public, said, signature)| (*public, &said[..], *signature)).collect();
    if signed.len() >= TOGETHER && verify_all(&signed) {
        statements.iter().for_each(|(number, ..)| good[*number] = true);
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
    unpack_signed(store, signers, (key, false), value)
}

/// `signed`: `signed_together` said so.
fn unpack_signed(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    (key, signed): (&[u8], bool),
    value: &[u8],
) -> std::result::Result<Secret, Refusal> {
    let (signer, signature, sealed) = parts(value).ok_or(Refusal::Broken("too short to be ours"))?;
    // A foreigner's bytes do not open, either: that says more than an id that means nothing.
    let Some(plain) = store.open_for(SEALED, key, sealed) else {
        return Err(Refusal::Broken("altered, or not sealed by this cluster for this place"));
    };
    let public = signers.get(&signer).ok_or(Refusal::Stranger(signer))?;
    if signed {
        return Ok(plain);
    }
    let verified = PublicKey::new(public)
        .and_then(|public| public.verify(&statement(store.token_id(), key, sealed), signature));
    verified.map_err(|_| Refusal::Broken("its signature is wrong"))?;
    Ok(plain)
}

/// The record that a member put there.
pub fn unpack_record(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    place: (&Places, &[u8]),
    value: &[u8],
) -> std::result::Result<RecordRow, Refusal> {
    unpack_signed_record(store, signers, (place.0, place.1, false), value)
}

/// `signed`: `signed_together` said so.
pub fn unpack_signed_record(
    store: &Store,
    signers: &BTreeMap<Id, [u8; 32]>,
    (places, key, signed): (&Places, &[u8], bool),
    value: &[u8],
) -> std::result::Result<RecordRow, Refusal> {
    let plain = unpack_signed(store, signers, (key, signed), value)?;
    let whole = plain.split_first().filter(|(form, _)| **form == FORM);
    let whole = whole.and_then(|(_, row)| RecordRow::decode(row)).ok_or(Refusal::Newer)?;
    let (kind, id) = (whole.record.header.kind, whole.record.header.id);
    if places.id(key) != Some(id) || (kind != Kind::Gone && places.of(kind, id) != key) {
        return Err(Refusal::Broken("a record of another place"));
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

    #[test]
    fn all_at_once_says_of_each_whether_it_is_signed() {
        let ((one, first), (other, second), (stranger, _)) = (signer(1), signer(2), signer(3));
        let (token, signers) = (Id([9; 16]), BTreeMap::from([(one.id, first), (other.id, second)]));
        let seen = |signer: &Signer, number: u8| {
            let (key, sealed, mut signature) = (vec![number], [number; 40], [0; SIGNATURE]);
            signer.key.sign(&statement(token, &key, &sealed), &mut signature).unwrap();
            let value = [&signer.id.0[..], &signature, &sealed].concat();
            Seen { key, value: Some(value), revision: 1 }
        };
        let mut page =
            vec![seen(&one, 1), seen(&other, 2), seen(&stranger, 3), seen(&one, 4), seen(&other, 5)];
        page.push(Seen { key: vec![6], value: None, revision: 1 });
        page.push(Seen { key: vec![7], value: Some(vec![1; 70]), revision: 1 });
        let say = |page: &[Seen]| signed_together(token, &signers, &page.iter().collect::<Vec<_>>());
        assert_eq!(say(&page), [true, true, false, true, true, false, false]);
        let few = page.split_off(3);
        assert_eq!(say(&page), [false; 3], "too few to be worth it");
        page.extend(few);
        // One wrong one, and each is to be looked at.
        if let Some(value) = &mut page[4].value {
            value[90] ^= 1;
        }
        assert_eq!(say(&page), [false; 7]);
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
