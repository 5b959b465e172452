//! Whether etcd still is what was read: a value that this host saw there or put there, the newest one. One that
//! was put back to an older snapshot does not have it, whatever its revision is by now.

use super::engine::{self, Engine, Fault};
use super::etcd::KeyValue;
use crate::crypto::Hash;
use crate::error::Result;
use crate::store::{Change, Store};

/// The row of the token's file: revision u64, 8 bytes of the value's SHA-256, the key in etcd.
const ROW: &str = "witness";

/// Where a value was at a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    pub revision: i64,
    /// Values are sealed with random salts: no two are the same.
    hash: [u8; 8],
    key: Vec<u8>,
}

fn hash_of(value: &[u8]) -> [u8; 8] {
    let mut hash = [0; 8];
    hash.copy_from_slice(&Hash::Sha256.digest(value)[..8]);
    hash
}

impl Witness {
    pub fn new(key: &[u8], value: &[u8], revision: i64) -> Witness {
        Witness { revision, hash: hash_of(value), key: key.to_vec() }
    }

    pub fn load(store: &Store) -> Result<Option<Witness>> {
        Ok(store.local(ROW)?.as_deref().and_then(Self::decode))
    }

    fn decode(row: &[u8]) -> Option<Witness> {
        let (revision, rest) = row.split_first_chunk()?;
        let (hash, key) = rest.split_first_chunk()?;
        Some(Witness { revision: i64::from_le_bytes(*revision), hash: *hash, key: key.to_vec() })
    }

    pub fn save(&self, change: &mut Change<'_>) -> Result<()> {
        change.set_local(ROW, &[&self.revision.to_le_bytes(), &self.hash[..], &self.key].concat())
    }

    fn is(&self, there: Option<&KeyValue>) -> bool {
        there.is_some_and(|kv| kv.mod_revision == self.revision && hash_of(&kv.value) == self.hash)
    }

    /// False also when etcd forgot what was there then.
    pub async fn holds(&self, engine: &mut Engine) -> engine::Result<bool> {
        let now = engine.get(&self.key).await?;
        if self.is(now.as_ref()) {
            return Ok(true);
        }
        if now.is_some_and(|kv| kv.mod_revision <= self.revision) {
            return Ok(false);
        }
        match engine.get_at(&self.key, self.revision).await {
            Ok(then) => Ok(self.is(then.as_ref())),
            Err(Fault::Compacted) => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SlotConfig;

    #[test]
    fn it_is_the_very_value_at_its_revision() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(&SlotConfig::for_test(folder.path()), |_| Ok(())).unwrap();
        assert_eq!(Witness::load(&store).unwrap(), None);
        let seen = Witness::new(b"here/key", b"value", 7);
        store.write(|change| seen.save(change)).unwrap();
        assert_eq!(Witness::load(&store).unwrap(), Some(seen.clone()));
        let there = |value: &[u8], mod_revision| KeyValue {
            key: b"here/key".to_vec(),
            value: value.to_vec(),
            mod_revision,
        };
        assert!(seen.is(Some(&there(b"value", 7))));
        for other in [there(b"value", 6), there(b"value", 8), there(b"other", 7)] {
            assert!(!seen.is(Some(&other)), "{other:?}");
        }
        assert!(!seen.is(None));
    }
}
