//! Several seals of one token: each opens it, none can be made up, one can be exchanged while others open
//! it, and whatever breaks off in between leaves a token that opens.

use super::*;
use crate::config::PassphraseSource;
use std::sync::atomic::AtomicBool;

fn opens(config: &SlotConfig, seal: &SealConfig) -> Result<()> {
    Store::open(&SlotConfig { seal: seal.clone(), ..config.clone() }).map(drop)
}

fn add(store: &Store, seal: &SealConfig) -> Result<u32> {
    let wrapping = Wrapping::fresh(seal)?;
    store.write(|change| change.add_seal(&wrapping))
}

fn begin(store: &Store, seal: &SealConfig) -> Result<Rotation> {
    let opened = store.opened_by(seal)?.ok_or(Error::TokenNotRecognized)?;
    Rotation::begin(opened, seal, None)
}

fn rotate(store: &Store, seal: &SealConfig) -> Result<(u32, Vec<u32>)> {
    let rotation = begin(store, seal)?;
    let number = store.write(|change| rotation.add(change))?;
    store.write(|change| rotation.finish(change, seal, Some(number)))
}

fn remove(store: &Store, seal: &SealConfig, number: u32, force: bool) -> Result<()> {
    let opened = store.opened_by(seal)?;
    store.write(|change| change.remove_seal(number, opened.as_ref(), seal, force))
}

fn states(store: &Store, seal: &SealConfig) -> Vec<(u32, SealState)> {
    let opened = store.opened_by(seal).unwrap_or_default();
    store.seals(opened.as_ref()).unwrap().iter().map(|seal| (seal.number, seal.state)).collect()
}

fn other_key(folder: &tempfile::TempDir, name: &str) -> SealConfig {
    SealConfig::KeyFile(folder.path().join(name))
}

fn passphrase_of(folder: &tempfile::TempDir, words: &str) -> SealConfig {
    let file = folder.path().join("words");
    std::fs::write(&file, words).unwrap();
    SealConfig::Passphrase(PassphraseSource::File(file))
}

#[test]
fn each_seal_opens_and_a_removed_one_does_not() {
    let (folder, config, store) = fresh();
    let (second, words) = (other_key(&folder, "second"), passphrase_of(&folder, "correct horse\n"));
    assert_eq!(opens(&config, &second), Err(Error::TokenNotRecognized), "no key file is made to open");
    assert_eq!((add(&store, &second), add(&store, &words)), (Ok(2), Ok(3)));
    for seal in [&config.seal, &second, &words] {
        assert_eq!(opens(&config, seal), Ok(()), "{seal:?}");
    }
    use SealState::*;
    assert_eq!(states(&store, &second), [(1, Intact), (2, InUse), (3, Intact)]);
    assert_eq!(remove(&store, &second, 2, false), Err(Error::ActionProhibited), "in use");
    assert_eq!(remove(&store, &second, 9, true), Err(Error::ArgumentsBad));
    remove(&store, &second, 1, false).unwrap();
    assert_eq!(opens(&config, &config.seal), Err(Error::TokenNotRecognized));
    remove(&store, &second, 2, true).unwrap();
    assert_eq!(remove(&store, &words, 3, true), Err(Error::ActionProhibited), "the last one");
    assert_eq!(opens(&config, &second), Err(Error::TokenNotRecognized));
    assert_eq!(opens(&config, &words), Ok(()));
    assert!(store.verify().unwrap().faults.is_empty());
}

/// A credential holds what a key file holds: moving from one to the other needs no new seal.
#[test]
fn a_credential_is_a_key_file_in_another_place() {
    let (folder, config, _store) = fresh();
    let held = folder.path().join("credentials");
    std::fs::create_dir(&held).unwrap();
    let credential = |folder| SealConfig::Credential { name: "token".into(), folder: Some(folder) };
    std::fs::copy(folder.path().join("token.seal"), held.join("token")).unwrap();
    let mode = |mode| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(held.join("token"), mode).unwrap();
    };
    mode(0o440);
    assert_eq!(opens(&config, &credential(held.clone())), Ok(()), "as systemd makes it for a service's user");
    mode(0o444);
    assert_eq!(opens(&config, &credential(held.clone())), Err(Error::TokenNotRecognized));
    let unset = SealConfig::Credential { name: "token".into(), folder: None };
    assert_eq!(opens(&config, &unset), Err(Error::TokenNotRecognized));
    assert_eq!(opens(&config, &credential(folder.path().to_owned())), Err(Error::TokenNotRecognized));
}

/// Every byte of a row altered: it does not open, or opens the same token, and is named; the other one opens.
#[test]
fn an_altered_seal_is_named_and_the_others_open() {
    let (folder, config, store) = fresh();
    let second = other_key(&folder, "second");
    add(&store, &second).unwrap();
    let read = |name: &str| super::super::connection::meta(&raw(&config), name).unwrap().unwrap();
    let write = |name: &str, row: &[u8]| {
        let query = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)";
        raw(&config).execute(query, rusqlite::params![name, row]).unwrap();
    };
    let good = read("seal-1");
    for position in 0..good.len() {
        let mut altered = good.clone();
        altered[position] ^= 1 << (position % 8);
        write("seal-1", &altered);
        let store = Store::open(&SlotConfig { seal: second.clone(), ..config.clone() }).unwrap();
        assert_eq!(states(&store, &second)[0], (1, SealState::Altered), "byte {position}");
        assert_eq!(store.verify().unwrap().faults, ["seal 1 was altered"], "byte {position}");
        let opened = opens(&config, &config.seal);
        assert_eq!(
            opened.is_ok(),
            position >= 102,
            "byte {position}: only the last field is no part of its key"
        );
    }
    write("seal-1", &good[..40]);
    assert_eq!(opens(&config, &second), Ok(()));
    assert_eq!(
        remove(&store, &second, 2, true),
        Err(Error::ActionProhibited),
        "the altered one opens nothing"
    );
    // Made up from a good one: another number, another name, another token's.
    write("seal-1", &good);
    write("seal-7", &good);
    write("seal-x", &good);
    let (_elsewhere, foreign, _) = fresh();
    write("seal-8", &super::super::connection::meta(&raw(&foreign), "seal-1").unwrap().unwrap());
    let altered = |(number, state)| (state == SealState::Altered).then_some(number);
    let named: Vec<u32> = states(&store, &second).into_iter().filter_map(altered).collect();
    assert_eq!(named, [0, 7, 8]);
    assert_eq!(opens(&config, &foreign.seal), Err(Error::TokenNotRecognized));
    remove(&store, &second, 7, false).unwrap();
    assert_eq!(opens(&config, &second), Ok(()));
}

#[test]
fn a_token_made_anew_has_one_seal() {
    let (folder, config, store) = fresh();
    let second = other_key(&folder, "second");
    add(&store, &second).unwrap();
    let again = Store::create(&config, |_| Ok(())).unwrap();
    assert_eq!(states(&again, &config.seal), [(1, SealState::InUse)]);
    assert_eq!(opens(&config, &second), Err(Error::TokenNotRecognized));
}

#[test]
fn a_removed_seal_leaves_no_bytes() {
    let (folder, config, store) = fresh();
    add(&store, &other_key(&folder, "second")).unwrap();
    let row = super::super::connection::meta(&raw(&config), "seal-2").unwrap().unwrap();
    let traces = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let bytes = files.map(|entry| std::fs::read(entry.unwrap().path()).unwrap());
        bytes
            .filter(|bytes| bytes.windows(16).any(|part| part == &row[18..34] || part == &row[60..76]))
            .count()
    };
    assert!(traces() > 0);
    remove(&store, &config.seal, 2, false).unwrap();
    assert_eq!(traces(), 0);
}

#[test]
fn there_are_not_too_many() {
    let (folder, config, store) = fresh();
    for number in 2..=8 {
        assert_eq!(add(&store, &other_key(&folder, &format!("key{number}"))), Ok(number));
    }
    assert_eq!(add(&store, &other_key(&folder, "one more")), Err(Error::ActionProhibited));
    assert_eq!(rotate(&store, &config.seal), Ok((9, vec![1])), "an exchange adds none");
    remove(&store, &config.seal, 8, false).unwrap();
    assert_eq!(add(&store, &other_key(&folder, "one more")), Ok(10));
}

/// The old key opens an old copy, and no later one.
#[test]
fn an_exchanged_key_opens_the_past_only() {
    let (folder, config, store) = fresh();
    put(&store, 1, 1, "kept").unwrap();
    let old = other_key(&folder, "old");
    std::fs::copy(folder.path().join("token.seal"), folder.path().join("old")).unwrap();
    store.suspend();
    let past = SlotConfig { path: folder.path().join("past.db"), ..config.clone() };
    std::fs::copy(&config.path, &past.path).unwrap();
    assert_eq!(rotate(&store, &config.seal), Ok((2, vec![1])));
    assert_eq!(opens(&config, &config.seal), Ok(()));
    assert_eq!(opens(&config, &old), Err(Error::TokenNotRecognized));
    assert_eq!(opens(&past, &old), Ok(()));
    assert_eq!(opens(&past, &config.seal), Err(Error::TokenNotRecognized));
    assert_eq!(text(&store, 1).unwrap().as_deref(), Some("kept"), "who had it open goes on");
    let mode =
        std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(folder.path().join("token.seal")).unwrap());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_passphrase_is_exchanged_too() {
    let (folder, mut config, _) = fresh();
    config.path = folder.path().join("other.db");
    config.seal = passphrase_of(&folder, "correct horse\n");
    let store = Store::create(&config, |_| Ok(())).unwrap();
    let begin = |words: Option<&[u8]>| {
        let opened = store.opened_by(&config.seal).unwrap().unwrap();
        Rotation::begin(opened, &config.seal, words.map(Secret::from))
    };
    assert_eq!(begin(Some(b"correct horse")).err(), Some(Error::ActionProhibited), "the same");
    let salt = begin(None).unwrap();
    assert_eq!(store.write(|change| salt.finish(change, &config.seal, None)), Ok((2, vec![1])));
    let words = begin(Some(b"battery staple")).unwrap();
    let number = store.write(|change| words.add(change)).unwrap();
    assert_eq!(store.write(|change| words.finish(change, &config.seal, Some(number))), Ok((3, vec![2])));
    assert_eq!(std::fs::read(folder.path().join("words")).unwrap(), b"battery staple\n");
    assert_eq!(opens(&config, &config.seal), Ok(()));
    passphrase_of(&folder, "correct horse");
    assert_eq!(opens(&config, &config.seal), Err(Error::TokenNotRecognized));
}

/// Broken off before and after the new key took its place.
#[test]
fn what_was_broken_off_is_swept_by_the_next_exchange() {
    use SealState::*;
    let (folder, config, store) = fresh();
    let rotation = begin(&store, &config.seal).unwrap();
    assert_eq!(store.write(|change| rotation.add(change)), Ok(2));
    assert_eq!(states(&store, &config.seal), [(1, InUse), (2, LeftOver)]);
    assert_eq!(remove(&store, &config.seal, 1, true), Err(Error::ActionProhibited), "its key never came");
    drop(rotation);
    assert_eq!(opens(&config, &config.seal), Ok(()));
    assert_eq!(rotate(&store, &config.seal), Ok((3, vec![1, 2])));
    assert_eq!(states(&store, &config.seal), [(3, InUse)]);
    // The key came, and the transaction did not end.
    let rotation = begin(&store, &config.seal).unwrap();
    store.write(|change| rotation.add(change)).unwrap();
    let broken: Result<()> = store.write(|change| {
        rotation.finish(change, &config.seal, Some(4))?;
        Err(Error::FunctionCanceled)
    });
    assert_eq!(broken, Err(Error::FunctionCanceled));
    assert!(rotation.in_place(&config.seal));
    assert_eq!(states(&store, &config.seal), [(3, LeftOver), (4, InUse)]);
    assert_eq!(opens(&config, &config.seal), Ok(()));
    assert_eq!(rotate(&store, &config.seal), Ok((5, vec![3, 4])));
    let drafts = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(drafts.filter(|name| name.to_string_lossy().contains("draft")).count(), 0);
}

/// What somebody else did meanwhile ends an exchange and a removal, before anything is lost.
#[test]
fn two_officers_at_once_lose_nothing() {
    let (folder, config, store) = fresh();
    let late = begin(&store, &config.seal).unwrap();
    let number = store.write(|change| late.add(change)).unwrap();
    let seen = store.opened_by(&config.seal).unwrap();
    rotate(&store, &config.seal).unwrap();
    let finished = store.write(|change| late.finish(change, &config.seal, Some(number)));
    assert_eq!(finished, Err(Error::FunctionFailed));
    assert!(!late.in_place(&config.seal));
    add(&store, &other_key(&folder, "second")).unwrap();
    let removed = store.write(|change| change.remove_seal(3, seen.as_ref(), &config.seal, false));
    assert_eq!(removed, Err(Error::FunctionFailed));
    assert_eq!(opens(&config, &config.seal), Ok(()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let store = Store::open(&config).unwrap();
                for _ in 0..15 {
                    match rotate(&store, &config.seal) {
                        Ok(_) | Err(Error::FunctionFailed) => {}
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(opens(&config, &config.seal), Ok(()));
    rotate(&store, &config.seal).unwrap();
    let used = states(&store, &config.seal).into_iter().filter(|(_, state)| *state == SealState::InUse);
    assert_eq!(used.count(), 1);
}

#[test]
fn others_open_it_at_every_moment_of_many_exchanges() {
    let (_folder, config, store) = fresh();
    let (done, openings) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(opens(&config, &config.seal), Ok(()));
                    openings.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..100 {
            rotate(&store, &config.seal).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let openings = openings.into_inner();
    assert!(openings > 50, "only {openings} openings");
}
