//! To whom a backup is encrypted: a passphrase, or recovery keys (X25519) whose private half lies elsewhere.
//!
//! A backup has a key of its own; the header holds it once for each recipient. To add a kind of recipient: an
//! arm in [`Recipient`], [`Secrets`] and [`Slot`].

use super::super::keychain;
use crate::audit::{from_hex, hex};
use crate::config::KdfCost;
use crate::crypto::{Hash, Secret, argon2id, hpke, random};
use crate::error::{Error, Result};
use crate::store::Id;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::str::FromStr;

const PURPOSE: &[u8] = b"strongroom backup key";
const PUBLIC: &str = "strongroom-recovery-";
const PRIVATE: &str = "strongroom-recovery-secret-";
/// Bytes of the hash behind a key, against slips of the pen: a backup to a mistyped key opens for nobody.
const CHECK: usize = 4;
/// Whoever has a backup can try passphrases at leisure.
pub const SHORTEST_PASSPHRASE: usize = 12;

/// What a backup's header may make whoever opens it do: so many slots to try, each with a passphrase
/// stretched in 1 GiB, 16 times. A configured cost above that is cut to it.
pub const MOST_SLOTS: usize = 32;
const MOST_MEMORY_KIB: u32 = 1 << 20;
const MOST_PASSES: u32 = 16;

pub fn too_many() -> Error {
    Error::ArgumentsBad.because(format_args!("a backup is for at most {MOST_SLOTS} recipients"))
}

/// A public key to which backups are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryKey(pub [u8; 32]);

fn written(prefix: &str, key: &[u8]) -> String {
    format!("{prefix}{}{}", hex(key), hex(&Hash::Sha256.digest(key)[..CHECK]))
}

fn read(prefix: &str, text: &str) -> Option<Secret> {
    let bytes = Secret::from(from_hex(text.trim().strip_prefix(prefix)?)?);
    let (key, check) = bytes.split_at_checked(32)?;
    (check == &Hash::Sha256.digest(key)[..CHECK]).then(|| key.into())
}

impl Display for RecoveryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&written(PUBLIC, &self.0))
    }
}

/// `ArgumentsBad` when it is none, or mistyped.
impl FromStr for RecoveryKey {
    type Err = Error;
    fn from_str(text: &str) -> Result<RecoveryKey> {
        let key = read(PUBLIC, text).and_then(|key| key[..].try_into().ok());
        key.map(RecoveryKey).ok_or_else(|| {
            Error::ArgumentsBad.because("a recovery public key is strongroom-recovery- and 72 hex digits")
        })
    }
}

impl RecoveryKey {
    /// Short enough for a line of the log.
    pub fn fingerprint(&self) -> String {
        format!("recovery {}", &hex(&self.0)[..16])
    }
}

/// A new recovery key: its public half, and the private one as text for a file.
pub fn new_recovery_key() -> Result<(RecoveryKey, Secret)> {
    let (private, public) = hpke::key_pair()?;
    Ok((RecoveryKey(public), Secret::from(written(PRIVATE, &private).into_bytes())))
}

/// For whom a backup is made.
#[derive(Clone)]
pub enum Recipient {
    Passphrase(Secret),
    Recovery(RecoveryKey),
}

impl Recipient {
    /// As the log says it.
    pub fn told(&self) -> String {
        match self {
            Recipient::Passphrase(_) => "passphrase".into(),
            Recipient::Recovery(key) => key.fingerprint(),
        }
    }
}

/// What somebody has who opens a backup.
#[derive(Clone)]
pub enum Secrets {
    Passphrase(Secret),
    /// The private half of a recovery key.
    Recovery(Secret),
}

impl Secrets {
    /// A recovery key's file: a line that is not a comment. `ArgumentsBad`.
    pub fn from_key_file(text: &[u8]) -> Result<Secrets> {
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#"));
        let mut keys = lines.filter_map(|line| read(PRIVATE, std::str::from_utf8(line).ok()?));
        keys.next().map(Secrets::Recovery).ok_or_else(|| {
            Error::ArgumentsBad.because("no recovery key in that file: strongroom-recovery-secret-…")
        })
    }
}

/// The backup's key for a recipient, in the header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Slot {
    /// Argon2id; everything in hex.
    Passphrase { salt: String, memory_kib: u32, passes: u32, key: String },
    /// HPKE to a public key.
    Recovery { public: String, key: String },
}

impl Slot {
    pub fn new(recipient: &Recipient, cost: KdfCost, token: Id, backup_key: &Secret) -> Result<Slot> {
        match recipient {
            Recipient::Passphrase(passphrase) => {
                if passphrase.len() < SHORTEST_PASSPHRASE {
                    return Err(Error::ArgumentsBad.because(format_args!(
                        "a backup's passphrase has at least {SHORTEST_PASSPHRASE} bytes"
                    )));
                }
                let (memory_kib, passes) =
                    (cost.memory_kib.min(MOST_MEMORY_KIB), cost.passes.min(MOST_PASSES));
                let mut salt = [0; 16];
                random::fill(&mut salt)?;
                let kek = argon2id::derive(passphrase, &salt, memory_kib, passes)?;
                let key = hex(&keychain::wrap(&kek, PURPOSE, backup_key)?);
                Ok(Slot::Passphrase { salt: hex(&salt), memory_kib, passes, key })
            }
            Recipient::Recovery(public) => {
                let key = hex(&hpke::seal(&public.0, PURPOSE, &token.0, backup_key)?);
                Ok(Slot::Recovery { public: hex(&public.0), key })
            }
        }
    }

    /// The backup's key; `None` when these secrets are not for this slot. `HostMemory` when there is too
    /// little of it to stretch the passphrase: that says nothing of it.
    pub fn open(&self, secrets: &Secrets, token: Id) -> Result<Option<Secret>> {
        let (kek, key) = match (self, secrets) {
            (Slot::Passphrase { salt, memory_kib, passes, key }, Secrets::Passphrase(passphrase)) => {
                // Nobody is to make us fill the memory by editing the file.
                if !(8..=MOST_MEMORY_KIB).contains(memory_kib) || !(1..=MOST_PASSES).contains(passes) {
                    return Ok(None);
                }
                let Some(salt) = from_hex(salt).and_then(|salt| salt.try_into().ok()) else {
                    return Ok(None);
                };
                (argon2id::derive(passphrase, &salt, *memory_kib, *passes)?, key)
            }
            (Slot::Recovery { key, .. }, Secrets::Recovery(private)) => {
                let key = from_hex(key);
                return Ok(key.and_then(|key| hpke::open(private, PURPOSE, &token.0, &key).ok()));
            }
            _ => return Ok(None),
        };
        Ok(from_hex(key).and_then(|key| keychain::unwrap(&kek, PURPOSE, &key).ok()))
    }

    /// As lists say it.
    pub fn told(&self) -> String {
        match self {
            Slot::Passphrase { .. } => "passphrase".into(),
            Slot::Recovery { public, .. } => format!("recovery {}", public.get(..16).unwrap_or(public)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_recovery_key_is_none() {
        let (public, private) = new_recovery_key().unwrap();
        let text = public.to_string();
        assert_eq!(text.parse(), Ok(public));
        for place in PUBLIC.len()..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[place] = if wrong[place] == b'0' { b'1' } else { b'0' };
            assert!(String::from_utf8(wrong).unwrap().parse::<RecoveryKey>().is_err(), "{place}");
        }
        let file = [b"# a comment\n", &private[..], b"\n"].concat();
        assert!(Secrets::from_key_file(&file).is_ok());
        assert!(Secrets::from_key_file(&file[..file.len() - 3]).is_err());
        assert!(Secrets::from_key_file(text.as_bytes()).is_err(), "the public half opens nothing");
    }

    #[test]
    fn a_slot_opens_for_its_recipient_only() {
        let (cost, token) = (KdfCost { memory_kib: 64, passes: 1 }, Id([3; 16]));
        let key = Secret::random(32).unwrap();
        let words = |text: &str| Secret::from(text.as_bytes());
        let by_words = Slot::new(&Recipient::Passphrase(words("correct horse")), cost, token, &key).unwrap();
        let open = |text: &str| by_words.open(&Secrets::Passphrase(words(text)), token).unwrap();
        assert_eq!(open("correct horse"), Some(key.clone()));
        assert_eq!(open("correct hors"), None);
        assert!(Slot::new(&Recipient::Passphrase(words("short")), cost, token, &key).is_err());
        let (public, private) = new_recovery_key().unwrap();
        let by_key = Slot::new(&Recipient::Recovery(public), cost, token, &key).unwrap();
        let secrets = Secrets::from_key_file(&private).unwrap();
        assert_eq!(by_key.open(&secrets, token).unwrap(), Some(key));
        assert_eq!(by_key.open(&secrets, Id([4; 16])).unwrap(), None, "of another token");
        let (_, other) = new_recovery_key().unwrap();
        assert_eq!(by_key.open(&Secrets::from_key_file(&other).unwrap(), token).unwrap(), None);
        assert_eq!(by_words.open(&secrets, token).unwrap(), None);
    }
    #[test]
    fn a_header_cannot_ask_for_more_than_is_ever_made() {
        let (token, key) = (Id([3; 16]), Secret::random(32).unwrap());
        let words = Secret::from(&b"correct horse"[..]);
        let salt = [5; 16];
        let slot = |memory_kib, passes| {
            let kek = argon2id::derive(&words, &salt, memory_kib, passes).unwrap();
            let key = hex(&keychain::wrap(&kek, PURPOSE, &key).unwrap());
            Slot::Passphrase { salt: hex(&salt), memory_kib, passes, key }
        };
        let secrets = Secrets::Passphrase(words.clone());
        assert_eq!(slot(64, MOST_PASSES).open(&secrets, token).unwrap(), Some(key.clone()));
        assert_eq!(slot(64, MOST_PASSES + 1).open(&secrets, token).unwrap(), None);
        let costly = KdfCost { memory_kib: 64, passes: 64 };
        let made = Slot::new(&Recipient::Passphrase(words.clone()), costly, token, &key).unwrap();
        assert_eq!(made.open(&secrets, token).unwrap(), Some(key.clone()), "cut to what opens");
    }
}
