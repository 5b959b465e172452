//! What is recorded of what, and what an attacker cannot do to it unnoticed.

use super::super::tests::{House, OFFICER, access, insert, key, named};
use super::*;
use crate::audit::{Tip, hash, hex};
use crate::error::Error;
use crate::store::{BodyKey, Header, Kind};
use std::os::unix::net::UnixDatagram;

impl House {
    fn officer(&self, token: &Token) -> Arc<Login> {
        token.log_in(Role::Officer, None, OFFICER).unwrap()
    }

    /// Everything in the log, read by an officer of another process.
    fn entries(&self) -> Vec<Entry> {
        let token = self.process();
        let (officer, mut all) = (self.officer(&token), Vec::new());
        token
            .audit_lines(access(&officer), 1, |entry, _| {
                all.push(entry);
                true
            })
            .unwrap();
        all
    }

    /// The log's events from an entry on, each with its actor or the user it is about.
    fn told(&self, from: usize) -> Vec<String> {
        let name = |entry: &Entry| {
            let person = entry.actor.as_ref().or(entry.user.as_ref());
            person.map_or("-".to_owned(), |person| person.name.clone())
        };
        self.entries()[from..].iter().map(|entry| format!("{} {}", entry.event, name(entry))).collect()
    }

    fn sql(&self, statements: &str) {
        rusqlite::Connection::open(&self.config.path).unwrap().execute_batch(statements).unwrap();
    }

    fn faults(&self) -> Vec<String> {
        self.process().verify(&mut |_, _| {}).unwrap().faults
    }
}

fn records(token: &Token, login: &Arc<Login>, how_many: usize) {
    for number in 0..how_many {
        token.record(access(login), Note::of(Event::Wrap).object(number)).unwrap();
    }
}

#[test]
fn a_new_token_tells_its_beginning() {
    let house = House::new();
    let told = house.told(0);
    let begun = ["token-initialized -", "user-created so", "login so", "user-created so"];
    assert_eq!((&told[..4], told.len()), (&begun.map(str::to_owned)[..], 7));
    let entries = house.entries();
    assert_eq!(entries[3].user.as_ref().unwrap().name, "user");
    assert!(entries.iter().zip(1..).all(|(entry, sequence)| entry.sequence == sequence));
    assert_eq!(entries[6].event, "login", "the officer who reads is in the log himself");
    assert!(house.faults().is_empty());
}

#[test]
fn the_life_of_a_key_is_recorded_with_ids_and_without_labels() {
    let house = House::new();
    let token = house.process();
    let alice = token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    let handle = insert(&token, access(&alice), key("a secret label", true)).unwrap();
    let id = token.object(access(&alice), handle).unwrap().id().into_owned();
    token.modify(access(&alice), handle, named("renamed")).unwrap();
    let (copy, note) = token.copy(access(&alice), handle, named("a copy")).unwrap();
    token.insert_all(access(&alice), vec![copy], note).unwrap();
    let object = token.key(access(&alice), handle).unwrap();
    token.record_wrap(access(&alice), &object, &object, "CKM_AES_KEY_WRAP").unwrap();
    token.destroy(access(&alice), handle).unwrap();
    let events =
        ["login alice", "generate alice", "modify alice", "copy alice", "wrap alice", "destroy alice"];
    assert_eq!(house.told(6)[..6], events);
    let entries = house.entries();
    for (place, about) in [(7, true), (8, true), (9, false), (10, true), (11, true)] {
        assert_eq!(entries[place].objects == [id.as_str()], about, "{:?}", entries[place]);
    }
    assert_eq!((&*entries[8].details["attributes"], &entries[9].details["from"]), ("CKA_LABEL", &id));
    assert_eq!(entries[10].details["mechanism"], "CKM_AES_KEY_WRAP");
    let text = format!("{entries:?}");
    assert!(!text.contains("a secret label") && !text.contains("renamed"));
    let file = std::fs::read(&house.config.path).unwrap();
    let log = std::fs::read(house.config.path.with_extension("db-wal")).unwrap_or_default();
    for clear in [&b"alice"[..], b"\"generate", b"\"sequence\"", id.as_bytes()] {
        let found = [&file, &log].iter().any(|bytes| bytes.windows(clear.len()).any(|part| part == clear));
        assert!(!found, "{} is readable in the file", String::from_utf8_lossy(clear));
    }
}

#[test]
fn passwords_wrong_and_right_are_recorded() {
    let house = House::new();
    let token = house.process();
    assert!(token.log_in(Role::User, Some("mallory"), b"guess").is_err());
    assert!(token.log_in(Role::User, Some("so"), OFFICER).is_err(), "an officer is no user");
    for _ in 0..6 {
        assert!(token.log_in(Role::User, None, b"bob:guess").is_err());
    }
    // No user's name before the colon: all of it is a password, and is not told.
    assert!(token.log_in(Role::User, None, b"hunter:2").is_err());
    let officer = house.officer(&token);
    token.reset_password(access(&officer), "bob", b"new-password").unwrap();
    let bob = token.log_in(Role::User, Some("bob"), b"new-password").unwrap();
    token.set_pin(access(&bob), b"new-password", b"his-own-one").unwrap();
    let wrong = ["login-failed bob"; 5];
    let told = house.told(6);
    assert_eq!(told[..2], ["login-failed mallory", "login-failed so"]);
    assert_eq!(told[2..7], wrong);
    let rest =
        ["locked bob", "login-failed bob", "login-failed user", "login so", "password-reset so", "login bob"];
    assert_eq!(told[7..13], rest);
    assert_eq!(told[13], "password-changed bob");
    let entries = house.entries();
    assert_eq!(entries[6 + 8].details["answer"], "CKR_PIN_LOCKED");
    let text = format!("{entries:?}");
    assert!(["hunter", "guess", "new-password", "his-own"].iter().all(|secret| !text.contains(secret)));
}

#[test]
fn repeated_logins_are_counted_and_told_with_the_next_write() {
    let house = House::new();
    let token = house.process();
    let login = || token.log_in(Role::User, None, b"pw-user").unwrap();
    let first = login();
    let began = std::time::Instant::now();
    for _ in 0..3 {
        token.log_out(Some(login()));
    }
    println!("a login and a logout that are counted: {:?}", began.elapsed() / 3);
    assert_eq!(house.told(6), ["login user", "login so"]);
    insert(&token, access(&first), key("k", true)).unwrap();
    let entries = house.entries();
    let (repeats, made) = (&entries[8], &entries[9]);
    assert_eq!((&*repeats.event, &*made.event), ("logins-repeated", "generate"));
    assert_eq!((&*repeats.details["logins"], &*repeats.details["logouts"]), ("3", "3"));
    token.log_out(Some(first));
    token.close();
    assert_eq!(house.told(11), ["logout user", "login so"], "once, at the end of the library");
    token.close();
    assert_eq!(house.told(13), ["login so"]);
}

#[test]
fn a_forked_child_tells_nothing_of_its_parents_logins() {
    let house = House::new();
    let token = house.process();
    let login = token.log_in(Role::User, None, b"pw-user").unwrap();
    let parents = Login {
        user: login.user,
        name: login.name.clone(),
        role: login.role,
        token: login.token,
        process: std::process::id() + 1,
        credential: login.credential,
        keys: login.keys.clone(),
        ended: Default::default(),
    };
    token.log_out(Some(Arc::new(parents)));
    token.close();
    assert_eq!(house.told(6), ["login user", "login so"]);
}

#[test]
fn a_call_that_fails_leaves_no_entry() {
    let house = House::new();
    let token = house.process();
    let alice = token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    token.log_out(Some(Arc::clone(&alice)));
    let store = token.store().unwrap();
    let before = store.log().unwrap();
    let failed: Result<()> = token.write(&store, |change| {
        change.audit(Some(&alice), Note::of(Event::Destroy))?;
        Err(Error::FunctionCanceled)
    });
    assert_eq!((failed, store.log().unwrap()), (Err(Error::FunctionCanceled), before));
    token.write(&store, |_| Ok(())).unwrap();
    assert_eq!(house.told(7)[0], "logout alice", "what was counted is not lost with it");
}

#[test]
fn only_officers_read() {
    let house = House::new();
    let token = house.process();
    let alice = token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    let nobody = Access { login: None, write: true, session: 0 };
    for asker in [access(&alice), nobody] {
        assert_eq!(token.audit_lines(asker, 1, |_, _| true), Err(Error::UserNotLoggedIn));
        assert_eq!(token.audit_checkpoint(asker), Err(Error::UserNotLoggedIn));
    }
}

#[test]
fn filters_choose() {
    let house = House::new();
    let count = |filter: Filter| house.entries().iter().filter(|entry| filter.wants(entry)).count();
    let all = Filter::default();
    assert_eq!(count(Filter { event: Some("user-created".into()), ..all.clone() }), 4);
    assert_eq!(count(Filter { user: Some("alice".into()), ..all.clone() }), 1);
    assert_eq!(count(Filter { since: Some("2999-01-01T00:00:00.000000Z".into()), ..all.clone() }), 0);
    assert_eq!(count(Filter { object: Some("none".into()), ..all }), 0);
}

/// Whoever has the file and not the seal key.
#[test]
fn a_log_cut_edited_reordered_or_added_to_is_noticed() {
    let tricks = [
        ("the end cut off", "DELETE FROM audit WHERE sequence = (SELECT max(sequence) FROM audit)"),
        ("all of it", "DELETE FROM audit"),
        ("one in the middle", "DELETE FROM audit WHERE sequence = 3"),
        ("the first", "DELETE FROM audit WHERE sequence = 1"),
        (
            "a bit",
            "UPDATE audit SET body = CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB) WHERE sequence = 4",
        ),
        ("shortened", "UPDATE audit SET body = x'0102' WHERE sequence = 4"),
        (
            "two exchanged",
            "UPDATE audit SET sequence = -1 WHERE sequence = 2; UPDATE audit SET sequence = 2 WHERE sequence = 3;
             UPDATE audit SET sequence = 3 WHERE sequence = -1",
        ),
        ("one told twice", "INSERT INTO audit SELECT max(sequence) + 1, body FROM audit"),
        ("one in the place of another", "UPDATE audit SET body = (SELECT body FROM audit WHERE sequence = 2) WHERE sequence = 5"),
        ("the token's memory of it", "UPDATE meta SET value = zeroblob(112) WHERE name = 'state'"),
    ];
    for (what, trick) in tricks {
        let house = House::new();
        let token = house.process();
        records(&token, &house.officer(&token), 3);
        assert!(house.faults().is_empty());
        house.sql(trick);
        let faults = house.process().verify(&mut |_, _| {}).map(|report| report.faults);
        assert!(faults.as_ref().is_err() || !faults.as_ref().unwrap().is_empty(), "{what} is not noticed");
        println!("{what}: {faults:?}");
    }
}

/// The whole log of another time, with the token's memory of that time: whole in itself, and only what
/// was kept elsewhere tells.
#[test]
fn a_log_put_back_is_noticed_by_an_earlier_export() {
    let house = House::new();
    let token = house.process();
    let officer = house.officer(&token);
    let tip = || house.process().store().unwrap().log().unwrap().tip;
    let holds = |tip| house.process().audit_verify(Some(tip)).unwrap().holds;
    let early = tip();
    house.sql("CREATE TABLE kept AS SELECT value FROM meta WHERE name = 'state'");
    records(&token, &officer, 2);
    let exported = tip();
    assert_eq!((holds(early), holds(exported)), (Some(true), Some(true)));
    house.sql(
        "UPDATE meta SET value = (SELECT value FROM kept) WHERE name = 'state';
         DELETE FROM audit WHERE sequence > (SELECT max(sequence) - 2 FROM audit); DROP TABLE kept",
    );
    assert!(house.faults().is_empty(), "as if the last two entries had never been");
    assert_eq!((holds(early), holds(exported)), (Some(true), Some(false)));
    // Somebody with the seal key goes on from there: another history, signed and whole.
    let forger = house.process();
    let login = house.officer(&forger);
    records(&forger, &login, 5);
    forger.audit_checkpoint(access(&login)).unwrap();
    assert!(house.faults().is_empty());
    assert_eq!((holds(early), holds(exported)), (Some(true), Some(false)));
    assert_eq!(holds(Tip::default()), Some(true));
}

#[test]
fn the_token_signs_every_so_often_and_when_asked() {
    let house = House::new();
    let token = house.process();
    let officer = house.officer(&token);
    records(&token, &officer, 2 * EVERY as usize);
    let found = token.audit_verify(None).unwrap().found;
    assert_eq!((found.checkpoints, found.signed), (2, 2 * EVERY - 1));
    token.audit_checkpoint(access(&officer)).unwrap();
    let found = token.audit_verify(None).unwrap().found;
    assert_eq!((found.checkpoints, found.signed), (3, found.entries - 1));
    assert_eq!(found.faults, Vec::<String>::new());
}

#[test]
fn a_token_made_anew_names_the_end_of_the_old_log() {
    let house = House::new();
    let token = house.process();
    let before = token.store().unwrap().log().unwrap().tip;
    let id = token.store().unwrap().token_id();
    token.initialize(OFFICER, "anew").unwrap();
    let first = &house.entries()[0];
    assert_eq!((&*first.event, &first.details["former_token"]), ("token-initialized", &id.to_string()));
    let tip = (&first.details["former_sequence"], &first.details["former_hash"]);
    // The officer's password was proved for it, and that alone is no entry.
    assert_eq!(tip, (&before.sequence.to_string(), &hex(&before.hash)));
    assert_eq!(first.actor.as_ref().unwrap().name, "so");
}

#[test]
fn an_older_tokens_record_gets_its_key_at_first_use() {
    let house = House::new();
    let token = house.process();
    let (store, officer) = (token.store().unwrap(), house.officer(&token));
    let without_key = |change: &mut Change<'_>| {
        let record = change.load(Kind::Token, change.token_id())?.unwrap();
        let fields = Object::decode(&change.open_body(&record, BodyKey::Seal)?)?;
        let fields = fields.iter().filter(|(kind, _)| *kind != AUDIT_KEY).cloned().collect();
        let next = Header { version: record.header.version + 1, ..record.header };
        change.put(next, BodyKey::Seal, &Object::new(fields).encode(), &[])
    };
    store.write(without_key).unwrap();
    assert_eq!(token.audit_key().unwrap(), None);
    token.audit_checkpoint(access(&officer)).unwrap();
    let key = token.audit_key().unwrap();
    assert!(key.is_some() && house.faults().is_empty());
    token.audit_checkpoint(access(&officer)).unwrap();
    assert_eq!((token.audit_key().unwrap(), house.process().info().unwrap().label), (key, "test".into()));
}

#[test]
fn the_systems_logger_gets_each_line_after_the_commit() {
    let mut house = House::new();
    let socket = house.config.path.with_extension("socket");
    let logger = UnixDatagram::bind(&socket).unwrap();
    logger.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    house.config.audit_syslog = Some(socket.clone());
    let token = house.process();
    let officer = house.officer(&token);
    records(&token, &officer, 1);
    let mut bytes = [0; 2048];
    let mut told = || {
        let length = logger.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    for event in ["login", "wrap"] {
        let message = told();
        let start = format!("<85>strongroom[{}]: ", std::process::id());
        let line = message.strip_prefix(&start).unwrap_or_else(|| panic!("{message}"));
        assert_eq!(Entry::parse(line.as_bytes()).unwrap().event, event);
        assert_eq!(line.len(), line.trim_end().len());
        let _ = hash(line.as_bytes());
    }
    // One that takes no more holds nobody up for long, and none at all is no error.
    let began = std::time::Instant::now();
    records(&token, &officer, 40);
    assert!(began.elapsed() < std::time::Duration::from_secs(4), "{:?}", began.elapsed());
    drop(logger);
    std::fs::remove_file(socket).unwrap();
    records(&token, &officer, 1);
    assert!(house.faults().is_empty());
}

/// How fast it is with a long log; run by hand: `cargo test --lib -- --ignored --nocapture long_log`.
#[test]
#[ignore = "a measurement"]
fn a_long_log() {
    let house = House::new();
    let token = house.process();
    let (store, officer) = (token.store().unwrap(), house.officer(&token));
    let mut entries = 0;
    for _ in 0..100 {
        let began = std::time::Instant::now();
        token
            .write(&store, |change| {
                (0..1000)
                    .try_for_each(|number| change.audit(Some(&officer), Note::of(Event::Wrap).object(number)))
            })
            .unwrap();
        entries += 1000;
        if entries % 50_000 == 0 {
            println!("{entries}: {:?} an entry", began.elapsed() / 1000);
        }
    }
    let began = std::time::Instant::now();
    house.process().ready().unwrap();
    println!("open: {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let found = house.process().audit_verify(None).unwrap().found;
    println!("verify {} entries: {:?}", found.entries, began.elapsed());
    println!("file: {} bytes", std::fs::metadata(&house.config.path).unwrap().len());
}

#[test]
fn old_entries_leave_when_an_export_has_them() {
    let house = House::new();
    let token = house.process();
    let officer = house.officer(&token);
    let alice = token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    let export = |from: u64| {
        token.audit_checkpoint(access(&officer)).unwrap();
        let mut lines = Vec::new();
        let take = |_: Entry, line: &[u8]| {
            lines.extend_from_slice(line);
            lines.push(b'\n');
            true
        };
        token.audit_lines(access(&officer), from, take).unwrap();
        lines
    };
    let prune =
        |who: &Arc<Login>, before: &str, export: &[u8]| token.audit_prune(access(who), before, export);
    let (late, early) = ("2999-01-01T00:00:00Z", "2000-01-01T00:00:00Z");
    let refused = Some(Error::ActionProhibited);
    records(&token, &officer, 20);
    let first = export(1);
    let tip = token.audit_verify(None).unwrap().found.tip.sequence;
    records(&token, &officer, 10);
    // Who may not, what is too young, and exports that do not hold it all or are not of this log.
    assert_eq!(prune(&alice, late, &first).err(), Some(Error::UserNotLoggedIn));
    assert_eq!(prune(&officer, early, &first).err(), refused);
    let lines: Vec<&[u8]> = first.split_inclusive(|byte| *byte == b'\n').collect();
    let other = House::new();
    let foreign = {
        let token = other.process();
        let officer = other.officer(&token);
        token.audit_checkpoint(access(&officer)).unwrap();
        let mut all = Vec::new();
        let take = |_: Entry, line: &[u8]| {
            all.extend_from_slice(&[line, b"\n"].concat());
            true
        };
        token.audit_lines(access(&officer), 1, take).unwrap();
        all
    };
    let mut altered = first.clone();
    altered[200] ^= 1;
    let holed = [&lines[..5], &lines[6..]].concat().concat();
    for wrong in [&b""[..], &lines[1..].concat(), &altered, &foreign, &holed] {
        assert_eq!(prune(&officer, late, wrong).err(), refused);
    }
    assert!(house.faults().is_empty());
    assert_eq!(house.entries()[0].sequence, 1, "nothing went");
    // It goes: up to the checkpoint, which stays, and the log says so.
    let done = prune(&officer, late, &first).unwrap();
    assert_eq!(done, Pruned { removed: tip - 1, first: tip });
    let entries = house.entries();
    assert_eq!((entries[0].sequence, entries[0].event.as_str()), (tip, "checkpoint"));
    assert!(entries.iter().any(|entry| entry.event == "audit-pruned"));
    let found = house.process().audit_verify(None).unwrap().found;
    assert_eq!((found.first, found.faults.len()), (tip, 0));
    assert!(house.faults().is_empty());
    // The export is accepted for the rest, also one that ends just before what is left.
    let key = token.audit_key().unwrap().unwrap();
    let holds = |export: &[u8]| {
        let end = crate::audit::chain::check_export(export, key).unwrap().tip;
        token.audit_verify(Some(end)).unwrap().holds
    };
    assert_eq!((holds(&first), holds(&foreign)), (Some(true), Some(false)));
    assert_eq!(holds(&lines[..lines.len() - 1].concat()), Some(true));
    // The second time, with an export from where the log begins now.
    records(&token, &officer, 10);
    assert_eq!(prune(&officer, late, &first).err(), refused, "nothing more is in it");
    let second = export(tip);
    let again = prune(&officer, late, &second).unwrap();
    assert!(again.first > done.first && house.faults().is_empty());
    // A thief who cuts more, at a checkpoint even, is noticed.
    token.audit_checkpoint(access(&officer)).unwrap();
    let end = token.audit_verify(None).unwrap().found.tip.sequence;
    house.sql(&format!("DELETE FROM audit WHERE sequence < {end}"));
    let faults = house.faults();
    assert!(faults.iter().any(|fault| fault.contains("are missing")), "{faults:?}");
}
