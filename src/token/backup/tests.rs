//! Backups as people use them, in one process; damage and restores have files of their own.

mod damage;
mod making;
mod merges;
mod resets;
mod restores;
mod schedules;

use super::super::tests::{House, OFFICER, access, insert, key, named};
use super::super::{Access, Login, Role, Token};
use super::contents;
use super::*;
use crate::audit::{Event, Note};
use crate::config::SlotConfig;
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::store::{Id, Row};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub const NOBODY: Access<'static> = Access { login: None, write: true, session: 1 };
/// The value of every key that `key` makes.
const VALUE: [u8; 32] = [7; 32];

pub fn quiet() -> impl FnMut(u64, u64) {
    |_, _| {}
}

/// A token with backups to one recovery key.
pub struct Site {
    pub house: House,
    pub folder: tempfile::TempDir,
    pub public: RecoveryKey,
    pub secrets: Secrets,
    count: std::cell::Cell<u32>,
}

impl Site {
    pub fn new() -> Site {
        Site::of(House::new())
    }

    pub fn of(house: House) -> Site {
        let (public, private) = new_recovery_key().unwrap();
        Site {
            house,
            folder: tempfile::tempdir().unwrap(),
            public,
            secrets: Secrets::from_key_file(&private).unwrap(),
            count: Default::default(),
        }
    }

    /// A new backup's file.
    pub fn back_up(&self, token: &Token) -> PathBuf {
        self.count.set(self.count.get() + 1);
        let file = self.folder.path().join(format!("{}.{SUFFIX}", self.count.get()));
        let officer = officer(token);
        let recipients = [Recipient::Recovery(self.public)];
        let place = Place::File(file.clone());
        token.back_up(access(&officer), &place, &recipients, SystemTime::now(), &mut quiet()).unwrap();
        file
    }

    pub fn restore(&self, token: &Token, file: &Path, what: What<'_>, force: bool) -> Result<Restored> {
        let officer = token.path().exists().then(|| officer(token));
        let access = officer.as_ref().map_or(NOBODY, access);
        token.restore_backup(
            access,
            file,
            &self.secrets,
            what,
            Terms { force, ..Terms::default() },
            &mut quiet(),
        )
    }

    pub fn read(&self, file: &Path) -> Result<contents::Contents> {
        contents::read(file, &self.secrets, &mut quiet(), &mut |_, _| Ok(()))
    }
}

/// Another host: a folder of its own, no seal key.
pub fn elsewhere() -> (tempfile::TempDir, SlotConfig) {
    let folder = tempfile::tempdir().unwrap();
    let config = SlotConfig::for_test(folder.path());
    (folder, config)
}

pub fn officer(token: &Token) -> Arc<Login> {
    token.log_in(Role::Officer, None, OFFICER).unwrap()
}

pub fn person(token: &Token, name: &str) -> Arc<Login> {
    token.log_in(Role::User, Some(name), format!("pw-{name}").as_bytes()).unwrap()
}

pub fn sees(token: &Token, login: &Arc<Login>, label: &str) -> usize {
    token.find(access(login), &named(label)).unwrap().len()
}

pub fn id_of_object(token: &Token, login: &Arc<Login>, label: &str) -> Id {
    let handle = token.find(access(login), &named(label)).unwrap()[0];
    token.resolve(access(login), handle).unwrap().0.unwrap().header.id
}

pub fn whole(token: &Token) {
    let report = token.verify(&mut |_, _| {}).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
}

#[test]
fn everything_comes_back_on_a_new_host_under_a_seal_of_its_own() {
    let site = Site::new();
    let token = site.house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    insert(&token, access(&alice), key("open", false)).unwrap();
    token.share(access(&alice), hers, &["bob"]).unwrap();
    assert_eq!(sees(&token, &bob, "hers"), 1);
    let file = site.back_up(&token);
    let contents = site.read(&file).unwrap();
    let counts = &contents.counts;
    assert_eq!((counts.officers, counts.users, counts.secret_keys, counts.shares), (1, 3, 2, 1));
    assert_eq!((counts.objects(), counts.entries), (2, contents.tip.sequence));

    let (_folder, config) = elsewhere();
    let there = Token::new(config.clone());
    let verified = there.verify_backup(&file, &site.secrets, &mut quiet()).unwrap();
    assert!(verified.over_present.is_none());
    let restored = site.restore(&there, &file, What::Whole, false).unwrap();
    assert_eq!(restored, Restored { new: true, users: 4, objects: 2, left_out: 0, ..Restored::default() });
    whole(&there);
    let (alice, bob) = (person(&there, "alice"), person(&there, "bob"));
    let found = there.find(access(&alice), &named("hers")).unwrap()[0];
    let value = there.object(access(&alice), found).unwrap();
    assert_eq!(value.object().bytes(cryptoki_sys::CKA_VALUE), VALUE);
    assert_eq!((sees(&there, &bob, "hers"), sees(&there, &bob, "open")), (1, 1));
    let seal = |config: &SlotConfig| std::fs::read(config.path.with_extension("seal")).unwrap();
    assert_ne!(seal(&config), seal(&site.house.config), "S is wrapped anew");
    // The log goes on, and says where the token came from.
    let mut last = None;
    let officer = officer(&there);
    there
        .audit_lines(access(&officer), contents.tip.sequence + 1, |entry, _| {
            last.get_or_insert(entry);
            true
        })
        .unwrap();
    let entry = last.unwrap();
    assert_eq!((&*entry.event, entry.sequence), ("restore", contents.tip.sequence + 1));
    assert_eq!(entry.details["backup_sequence"], contents.tip.sequence.to_string());
}

#[test]
fn users_objects_stay_sealed_inside() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("private name", true)).unwrap();
    insert(&token, access(&alice), key("public name", false)).unwrap();
    let file = site.back_up(&token);
    let mut plain = Vec::new();
    let mut opened_with_s = Vec::new();
    contents::read(&file, &site.secrets, &mut quiet(), &mut |reading, row| {
        if let Row::Record(row) = row {
            plain.extend_from_slice(&row.record.body);
            row.keys.iter().for_each(|(_, wrapped)| plain.extend_from_slice(wrapped));
            opened_with_s.extend(reading.check.open(&row.record).map(|body| body.to_vec()));
        }
        Ok(())
    })
    .unwrap();
    let holds = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    for text in [&VALUE[..], b"private name", b"public name", b"alice"] {
        assert!(!holds(&plain, text));
    }
    let opened = opened_with_s.concat();
    assert!(holds(&opened, b"public name") && holds(&opened, b"alice"), "S opens what S seals");
    assert!(!holds(&opened, b"private name"), "and no private object");
}

#[test]
fn what_is_destroyed_is_in_no_later_backup() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    let id = id_of_object(&token, &alice, "hers");
    let traces = |file: &Path| {
        let (mut rows, mut wrapped) = (0, Vec::new());
        contents::read(file, &site.secrets, &mut quiet(), &mut |_, row| {
            if let Row::Record(row) = row {
                rows += usize::from(row.record.header.id == id);
                wrapped.extend(row.keys.iter().map(|(_, key)| key.clone()));
            }
            Ok(())
        })
        .unwrap();
        (rows, wrapped)
    };
    let before = traces(&site.back_up(&token));
    assert_eq!((before.0, before.1.len()), (1, 1));
    token.destroy(access(&alice), hers).unwrap();
    assert_eq!(traces(&site.back_up(&token)), (0, Vec::new()));
}

#[test]
fn making_one_needs_an_officer_and_is_recorded_with_what_it_holds() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    let place = Place::File(site.folder.path().join("x"));
    let recipients = [Recipient::Recovery(site.public)];
    for asker in [NOBODY, access(&alice)] {
        let refused = token.back_up(asker, &place, &recipients, SystemTime::now(), &mut quiet()).err();
        assert_eq!(refused, Some(Error::UserNotLoggedIn));
    }
    let officer = officer(&token);
    let reader = Access { write: false, ..access(&officer) };
    let refused = token.back_up(reader, &place, &recipients, SystemTime::now(), &mut quiet()).err();
    assert_eq!(refused, Some(Error::SessionReadOnly));
    let nobody = token.back_up(access(&officer), &place, &[], SystemTime::now(), &mut quiet()).err();
    assert_eq!(nobody, Some(Error::ArgumentsBad));
    assert_eq!(std::fs::read_dir(site.folder.path()).unwrap().count(), 0, "nothing is left");
    let words = Recipient::Passphrase(Secret::from(&b"many long words"[..]));
    let both = [words, Recipient::Recovery(site.public)];
    let made = token.back_up(access(&officer), &place, &both, SystemTime::now(), &mut quiet()).unwrap();
    let again = token.back_up(access(&officer), &place, &both, SystemTime::now(), &mut quiet()).err();
    assert_eq!(again, Some(Error::ArgumentsBad), "never over a file");
    let mut entry = None;
    token
        .audit_lines(access(&officer), made.header.sequence + 1, |line, _| {
            entry.get_or_insert(line);
            true
        })
        .unwrap();
    let entry = entry.unwrap();
    assert_eq!((&*entry.event, entry.actor.unwrap().name.as_str()), ("backup", "so"));
    assert_eq!(entry.details["recipients"], format!("passphrase, {}", site.public.fingerprint()));
    assert_eq!(entry.details["records"], made.records.to_string());
    // Either opens it.
    let path = &made.path;
    let read = |secrets| contents::read(path, &secrets, &mut quiet(), &mut |_, _| Ok(())).is_ok();
    let words = |text: &[u8]| Secrets::Passphrase(Secret::from(text));
    assert!(read(site.secrets.clone()) && read(words(b"many long words")));
    assert!(!read(words(b"many long word")));
}

#[test]
#[ignore = "a measurement"]
fn many_keys() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    for batch in 0..20 {
        let keys = (0..500).map(|at| key(&format!("key {batch} {at}"), true)).collect();
        token.insert_all(access(&alice), keys, Note::of(Event::Generate)).unwrap();
    }
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let start = std::time::Instant::now();
        work();
        eprintln!("{what}: {:?}", start.elapsed());
    };
    let mut file = PathBuf::new();
    timed("create", &mut || file = site.back_up(&token));
    timed("verify", &mut || drop(site.read(&file).unwrap()));
    timed("restore over", &mut || assert!(site.restore(&token, &file, What::Whole, true).is_ok()));
    let (_folder, config) = elsewhere();
    timed("restore new", &mut || {
        assert!(site.restore(&Token::new(config.clone()), &file, What::Whole, true).is_ok());
    });
}
