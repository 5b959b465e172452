//! Older over newer, users and objects by themselves.

use super::*;
use crate::object::attribute::CKA_STRONGROOM_OWNER;

fn restores(token: &Token) -> Vec<crate::audit::Entry> {
    let (mut found, officer) = (Vec::new(), officer(token));
    token
        .audit_lines(access(&officer), 1, |entry, _| {
            if entry.event == "restore" {
                found.push(entry);
            }
            true
        })
        .unwrap();
    found
}

#[test]
fn an_older_backup_over_a_newer_token_needs_force_and_leaves_its_trace() {
    let site = Site::new();
    let (token, other) = (site.house.process(), site.house.process());
    let alice = person(&token, "alice");
    let gone = insert(&token, access(&alice), key("destroyed later", true)).unwrap();
    let file = site.back_up(&token);
    // Logins change nothing that would be lost.
    let elsewhere = person(&other, "alice");
    let accepts = |token: &Token| {
        let verified = token.verify_backup(&file, &site.secrets, &mut quiet()).unwrap();
        verified.over_present.unwrap().is_ok()
    };
    assert!(accepts(&token));
    site.restore(&token, &file, What::Whole, false).unwrap();
    token.destroy(access(&alice), gone).unwrap();
    insert(&token, access(&alice), key("made later", true)).unwrap();
    assert!(!accepts(&token));
    assert_eq!(site.restore(&token, &file, What::Whole, false).err(), Some(Error::ActionProhibited));
    assert_eq!((sees(&other, &elsewhere, "made later"), sees(&other, &elsewhere, "destroyed later")), (1, 0));
    let forced = Terms { force: true, ..Terms::default() };
    let refused =
        token.restore_backup(access(&alice), &file, &site.secrets, What::Whole, forced, &mut quiet());
    assert_eq!(refused.err(), Some(Error::UserNotLoggedIn));
    site.restore(&token, &file, What::Whole, true).unwrap();
    // Seen by everybody, logins and keys go on.
    for (token, login) in [(&token, &alice), (&other, &elsewhere)] {
        assert_eq!((sees(token, login, "made later"), sees(token, login, "destroyed later")), (0, 1));
        whole(token);
    }
    insert(&other, access(&elsewhere), key("after", true)).unwrap();
    assert_eq!(sees(&token, &alice, "after"), 1);
    // Nothing of the log is lost, and it says what happened.
    let entries = restores(&token);
    assert_eq!(entries.len(), 2);
    assert_eq!((entries[0].details.get("forced"), &*entries[1].details["forced"]), (None, "true"));
    assert_eq!(entries[1].details["over_sequence"], (entries[1].sequence - 1).to_string());
    assert_eq!(entries[1].details["over_hash"], entries[1].previous);
}

#[test]
fn a_password_of_another_time_is_that_of_the_backup() {
    let site = Site::new();
    let (token, other) = (site.house.process(), site.house.process());
    let file = site.back_up(&token);
    let boss = officer(&token);
    token.reset_password(access(&boss), "alice", b"changed-later").unwrap();
    other.log_in(Role::User, Some("alice"), b"changed-later").unwrap();
    site.restore(&token, &file, What::Whole, true).unwrap();
    for token in [&token, &other] {
        let later = token.log_in(Role::User, Some("alice"), b"changed-later");
        assert_eq!(later.err(), Some(Error::PinIncorrect));
        person(token, "alice");
    }
}

#[test]
fn a_newer_backup_over_a_put_back_file_brings_its_log_along() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("first", true)).unwrap();
    let config = &site.house.config;
    let (_folder, copy) = elsewhere();
    token.store().unwrap().suspend();
    rusqlite::Connection::open(&config.path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    std::fs::copy(&config.path, &copy.path).unwrap();
    std::fs::copy(config.path.with_extension("seal"), copy.path.with_extension("seal")).unwrap();
    insert(&token, access(&alice), key("second", true)).unwrap();
    let file = site.back_up(&token);
    let tip = site.read(&file).unwrap().tip;
    // The officer's login is in the copy's log only; nothing is lost with it.
    let there = Token::new(copy.clone());
    site.restore(&there, &file, What::Whole, false).unwrap();
    let alice = person(&there, "alice");
    assert_eq!((sees(&there, &alice, "first"), sees(&there, &alice, "second")), (1, 1));
    whole(&there);
    let entries = restores(&there);
    let entry = entries.last().unwrap();
    assert_eq!(entry.details["backup_hash"], crate::audit::hex(&tip.hash));
    assert_eq!(entry.sequence, tip.sequence + 1, "the backup's log goes on");
}

#[test]
fn a_token_that_went_another_way_is_kept_unless_forced_and_so_is_its_log() {
    let site = Site::new();
    let token = site.house.process();
    let first = site.back_up(&token);
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("here", true)).unwrap();
    let second = site.back_up(&token);
    let (_folder, config) = elsewhere();
    let there = Token::new(config);
    site.restore(&there, &first, What::Whole, false).unwrap();
    // The older one was restored by mistake: the newer one comes with its log.
    assert_eq!(site.restore(&there, &second, What::Whole, false).err(), Some(Error::ActionProhibited));
    site.restore(&there, &second, What::Whole, true).unwrap();
    let tip = site.read(&second).unwrap().tip;
    assert_eq!(restores(&there).last().unwrap().sequence, tip.sequence + 1);
    let (_folder, config) = elsewhere();
    let there = Token::new(config);
    site.restore(&there, &first, What::Whole, false).unwrap();
    insert(&there, access(&person(&there, "alice")), key("there", true)).unwrap();
    assert_eq!(site.restore(&there, &second, What::Whole, false).err(), Some(Error::ActionProhibited));
    site.restore(&there, &second, What::Whole, true).unwrap();
    assert_eq!(restores(&there).len(), 2, "its own log has both");
    let alice = person(&there, "alice");
    assert_eq!((sees(&there, &alice, "here"), sees(&there, &alice, "there")), (1, 0));
    whole(&there);
}

#[test]
fn another_token_is_never_overwritten() {
    let (site, other) = (Site::new(), Site::new());
    let token = site.house.process();
    let file = other.back_up(&other.house.process());
    let officer = officer(&token);
    let forced = Terms { force: true, ..Terms::default() };
    for what in [What::Whole, What::User("alice"), What::Key(Id([1; 16]))] {
        let refused =
            token.restore_backup(access(&officer), &file, &other.secrets, what, forced, &mut quiet()).err();
        assert_eq!(refused, Some(Error::ArgumentsBad), "{what:?}");
    }
    let verified = token.verify_backup(&file, &other.secrets, &mut quiet()).unwrap();
    assert!(verified.over_present.unwrap().unwrap_err().contains("another"));
    whole(&token);
}

#[test]
fn a_deleted_user_comes_back_with_all_that_was_his() {
    let site = Site::new();
    let token = site.house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let add = |login: &Arc<Login>, label: &str, private| {
        insert(&token, access(login), key(label, private)).unwrap()
    };
    let to_bob = add(&alice, "alice to bob", true);
    token.share(access(&alice), to_bob, &["bob"]).unwrap();
    add(&alice, "public", false);
    let given = add(&alice, "given to bob later", true);
    let same = add(&bob, "bob to alice", true);
    token.share(access(&bob), same, &["alice"]).unwrap();
    let rekeyed = add(&bob, "rekeyed", true);
    token.share(access(&bob), rekeyed, &["alice", "user"]).unwrap();
    let file = site.back_up(&token);
    let refused = site.restore(&token, &file, What::User("alice"), false).err();
    assert_eq!(refused, Some(Error::ActionProhibited), "she is there");
    assert_eq!(site.restore(&token, &file, What::User("eve"), true).err(), Some(Error::ArgumentsBad));
    token.transfer(access(&alice), given, "bob").unwrap();
    token.delete_user(access(&officer(&token)), "alice", true).unwrap();
    token.unshare(access(&bob), rekeyed, &["user"]).unwrap();
    assert!(token.log_in(Role::User, Some("alice"), b"pw-alice").is_err());
    assert_eq!(sees(&token, &bob, "alice to bob"), 0);

    let restored = site.restore(&token, &file, What::User("alice"), false).unwrap();
    assert_eq!(restored, Restored { new: false, users: 1, objects: 2, left_out: 2, ..Restored::default() });
    let alice = person(&token, "alice");
    assert_eq!((sees(&token, &alice, "alice to bob"), sees(&token, &bob, "alice to bob")), (1, 1));
    assert_eq!((sees(&token, &alice, "bob to alice"), sees(&token, &alice, "public")), (1, 1));
    let shared = token.find(access(&alice), &named("bob to alice")).unwrap()[0];
    token.key(access(&alice), shared).unwrap();
    assert_eq!((sees(&token, &alice, "rekeyed"), sees(&token, &alice, "given to bob later")), (0, 0));
    assert_eq!(sees(&token, &bob, "given to bob later"), 1, "what is bob's now stays his");
    whole(&token);
    let entry = &restores(&token)[0];
    assert_eq!((&*entry.user.as_ref().unwrap().name, &*entry.details["what"]), ("alice", "user"));
}

#[test]
fn a_user_who_comes_back_can_be_reset_under_a_new_reset_key_and_officers_do_not_come_back_alone() {
    let site = Site::new();
    let token = site.house.process();
    let boss = officer(&token);
    token.create_user(access(&boss), "carol", Role::Officer, b"pw-carol").unwrap();
    insert(&token, access(&person(&token, "alice")), key("hers", true)).unwrap();
    let file = site.back_up(&token);
    token.delete_user(access(&boss), "alice", true).unwrap();
    // The token gets another reset key.
    token.delete_user(access(&boss), "carol", true).unwrap();
    let refused = site.restore(&token, &file, What::User("carol"), false).err();
    assert_eq!(refused, Some(Error::ActionProhibited));
    site.restore(&token, &file, What::User("alice"), false).unwrap();
    person(&token, "alice");
    token.reset_password(access(&boss), "alice", b"forgot-the-old").unwrap();
    let alice = token.log_in(Role::User, Some("alice"), b"forgot-the-old").unwrap();
    assert_eq!(sees(&token, &alice, "hers"), 1, "the reset keeps the objects");
    whole(&token);
}

#[test]
fn a_log_without_its_old_entries_is_backed_up_and_compared_all_the_same() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    let before = site.back_up(&token);
    for _ in 0..300 {
        token.record(access(&alice), Note::of(Event::Use)).unwrap();
    }
    let boss = officer(&token);
    token.audit_checkpoint(access(&boss)).unwrap();
    let mut export = Vec::new();
    token
        .audit_lines(access(&boss), 1, |_, line| {
            export.extend_from_slice(line);
            export.push(b'\n');
            true
        })
        .unwrap();
    let later = crate::audit::time(SystemTime::now() + std::time::Duration::from_secs(60));
    let pruned = token.audit_prune(access(&boss), &later, &export[..]).unwrap();
    assert!(pruned.first > 200, "{pruned:?}");
    let file = site.back_up(&token);
    let contents = site.read(&file).unwrap();
    assert_eq!(contents.counts.entries, contents.tip.sequence - pruned.first + 1);
    site.restore(&token, &file, What::Whole, false).unwrap();
    insert(&token, access(&alice), key("later", true)).unwrap();
    assert_eq!(site.restore(&token, &file, What::Whole, false).err(), Some(Error::ActionProhibited));
    // One of before has no entry in common with what is left of the log.
    assert_eq!(site.restore(&token, &before, What::Whole, false).err(), Some(Error::ActionProhibited));
    site.restore(&token, &before, What::Whole, true).unwrap();
    whole(&token);
    let (_folder, config) = elsewhere();
    let there = Token::new(config);
    site.restore(&there, &file, What::Whole, false).unwrap();
    whole(&there);
}

#[test]
fn a_user_who_is_there_is_replaced_by_force() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("then", true)).unwrap();
    let file = site.back_up(&token);
    let boss = officer(&token);
    token.reset_password(access(&boss), "alice", b"changed-later").unwrap();
    let alice = token.log_in(Role::User, Some("alice"), b"changed-later").unwrap();
    insert(&token, access(&alice), key("since", true)).unwrap();
    site.restore(&token, &file, What::User("alice"), true).unwrap();
    let alice = person(&token, "alice");
    assert_eq!((sees(&token, &alice, "then"), sees(&token, &alice, "since")), (1, 0));
    assert!(token.log_in(Role::User, Some("alice"), b"changed-later").is_err());
    // Somebody else of that name stays.
    token.delete_user(access(&boss), "alice", true).unwrap();
    token.create_user(access(&boss), "alice", Role::User, b"another-alice").unwrap();
    assert_eq!(site.restore(&token, &file, What::User("alice"), true).err(), Some(Error::ActionProhibited));
    whole(&token);
}

#[test]
fn a_destroyed_object_comes_back_to_whom_it_was_shared() {
    let site = Site::new();
    let token = site.house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    insert(&token, access(&alice), key("other", true)).unwrap();
    token.share(access(&alice), hers, &["bob", "user"]).unwrap();
    let id = id_of_object(&token, &alice, "hers");
    let file = site.back_up(&token);
    assert_eq!(site.restore(&token, &file, What::Key(id), false).err(), Some(Error::ActionProhibited));
    let unknown = site.restore(&token, &file, What::Key(Id([9; 16])), true).err();
    assert_eq!(unknown, Some(Error::ArgumentsBad));
    token.destroy(access(&alice), hers).unwrap();
    token.delete_user(access(&officer(&token)), "user", true).unwrap();
    site.restore(&token, &file, What::Key(id), false).unwrap();
    for login in [&alice, &bob] {
        let handle = token.find(access(login), &named("hers")).unwrap()[0];
        token.key(access(login), handle).unwrap();
    }
    assert_eq!(token.store().unwrap().holders(id).unwrap().len(), 2, "not the deleted one");
    whole(&token);
    // Without its owner nobody could open it.
    token.delete_user(access(&officer(&token)), "alice", true).unwrap();
    assert_eq!(site.restore(&token, &file, What::Key(id), true).err(), Some(Error::ActionProhibited));
}

#[test]
fn one_user_or_one_object_on_a_new_host() {
    let site = Site::new();
    let token = site.house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    insert(&token, access(&alice), key("second", true)).unwrap();
    insert(&token, access(&bob), key("his", true)).unwrap();
    token.share(access(&alice), hers, &["bob"]).unwrap();
    let id = id_of_object(&token, &alice, "hers");
    let file = site.back_up(&token);
    for (what, objects) in [(What::User("alice"), 2), (What::Key(id), 1)] {
        let (_folder, config) = elsewhere();
        let there = Token::new(config);
        let restored = site.restore(&there, &file, what, false).unwrap();
        assert_eq!(restored, Restored { new: true, users: 2, objects, ..Restored::default() }, "{what:?}");
        let names: Vec<_> = there.users().unwrap().into_iter().map(|user| user.name).collect();
        assert_eq!(names, ["alice", "so"]);
        let alice = person(&there, "alice");
        assert_eq!((sees(&there, &alice, "hers"), sees(&there, &alice, "his")), (1, 0));
        assert_eq!(sees(&there, &alice, "second") as u64, objects - 1);
        assert_eq!(there.store().unwrap().holders(id).unwrap().len(), 1);
        whole(&there);
        insert(&there, access(&alice), key("new", true)).unwrap();
    }
    for what in [What::User("eve"), What::Key(Id([9; 16]))] {
        let (folder, config) = elsewhere();
        let there = Token::new(config);
        assert_eq!(site.restore(&there, &file, what, true).err(), Some(Error::ArgumentsBad), "{what:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn nothing_is_made_beside_a_log_that_a_killed_process_left() {
    let site = Site::new();
    let token = site.house.process();
    let file = site.back_up(&token);
    insert(&token, access(&person(&token, "alice")), key("since", true)).unwrap();
    let log = PathBuf::from(format!("{}-wal", site.house.config.path.display()));
    let (_folder, config) = elsewhere();
    let beside = PathBuf::from(format!("{}-wal", config.path.display()));
    std::fs::copy(&log, &beside).unwrap();
    assert!(std::fs::metadata(&beside).unwrap().len() > 0);
    let there = Token::new(config.clone());
    assert_eq!(site.restore(&there, &file, What::Whole, false).err(), Some(Error::DeviceError));
    assert_eq!(there.initialize(OFFICER, "new").err(), Some(Error::DeviceError));
    assert!(!config.path.exists());
    std::fs::remove_file(&beside).unwrap();
    site.restore(&there, &file, What::Whole, false).unwrap();
    assert_eq!(sees(&there, &person(&there, "alice"), "since"), 0);
    whole(&there);
}

#[test]
fn an_object_that_was_given_away_since_is_not_taken_back() {
    let site = Site::new();
    let token = site.house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let sealed = insert(&token, access(&alice), key("sealed", true)).unwrap();
    let open = insert(&token, access(&alice), key("open", false)).unwrap();
    let ids = ["sealed", "open"].map(|label| id_of_object(&token, &alice, label));
    let file = site.back_up(&token);
    for id in ids {
        site.restore(&token, &file, What::Key(id), true).unwrap();
    }
    for handle in [sealed, open] {
        token.transfer(access(&alice), handle, "bob").unwrap();
    }
    for id in ids {
        let refused = site.restore(&token, &file, What::Key(id), true).err();
        assert_eq!(refused, Some(Error::ActionProhibited));
    }
    // Nor with the user who had it.
    let restored = site.restore(&token, &file, What::User("alice"), true).unwrap();
    assert_eq!(restored, Restored { users: 1, left_out: 2, ..Restored::default() });
    assert_eq!((sees(&token, &bob, "sealed"), sees(&token, &person(&token, "alice"), "sealed")), (1, 0));
    let handle = token.find(access(&bob), &named("open")).unwrap()[0];
    let record = token.resolve(access(&bob), handle).unwrap().0.unwrap();
    assert_eq!(record.key.object().bytes(CKA_STRONGROOM_OWNER), bob.user.0);
    whole(&token);
}

#[test]
fn a_log_that_tells_more_than_logins_is_never_replaced() {
    let site = Site::new();
    let token = site.house.process();
    let first = site.back_up(&token);
    insert(&token, access(&person(&token, "alice")), key("here", true)).unwrap();
    let second = site.back_up(&token);
    for event in [Event::Use, Event::Wrap, Event::LoginFailed, Event::SealAdded] {
        let (_folder, config) = elsewhere();
        let there = Token::new(config);
        site.restore(&there, &first, What::Whole, false).unwrap();
        there.record(access(&person(&there, "alice")), Note::of(event)).unwrap();
        site.restore(&there, &second, What::Whole, true).unwrap();
        assert_eq!(restores(&there).len(), 2, "{event:?}");
        assert_eq!(sees(&there, &person(&there, "alice"), "here"), 1);
        whole(&there);
    }
}

#[test]
fn a_new_seal_makes_no_backup_old() {
    let site = Site::new();
    let token = site.house.process();
    let file = site.back_up(&token);
    token.rotate_seal(access(&officer(&token)), None).unwrap();
    site.restore(&token, &file, What::Whole, false).unwrap();
    whole(&token);
}

#[test]
fn a_share_comes_back_without_the_index_of_an_older_version() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    let handles = ["then", "same"].map(|label| insert(&token, access(&alice), key(label, true)).unwrap());
    for handle in handles {
        token.share(access(&alice), handle, &["bob"]).unwrap();
    }
    let file = site.back_up(&token);
    token.modify(access(&alice), handles[0], named("now")).unwrap();
    token.delete_user(access(&officer(&token)), "bob", true).unwrap();
    site.restore(&token, &file, What::User("bob"), false).unwrap();
    let bob = person(&token, "bob");
    let all = |access| token.find(access, &Vec::new()).unwrap().len();
    assert_eq!(all(access(&bob)), all(NOBODY) + 2, "all that is shared with him");
    assert_eq!(sees(&token, &bob, "same"), 1);
    let id = id_of_object(&token, &alice, "now");
    let then = &crate::object::search::terms(&key("then", true));
    let left = token.store().unwrap().write(|change| {
        let mut left = 0;
        for term in then.iter().filter(|(_, value)| value == b"then") {
            left += usize::from(change.has_term(id, bob.user, term)?);
        }
        Ok(left)
    });
    assert_eq!(left.unwrap(), 0, "nothing says the old name");
    token.modify(access(&alice), handles[0], named("later")).unwrap();
    assert_eq!(sees(&token, &bob, "later"), 1);
    whole(&token);
}

#[test]
fn a_forged_token_is_told_by_its_audit_key() {
    let (site, forger) = (Site::new(), Site::new());
    let token = site.house.process();
    let audit_key = token.audit_key().unwrap();
    let terms = Terms { audit_key, force: true, ..Terms::default() };
    let (real, forged) = (site.back_up(&token), forger.back_up(&forger.house.process()));
    assert_ne!(site.read(&real).unwrap().fingerprint(), forger.read(&forged).unwrap().fingerprint());
    let (_folder, config) = elsewhere();
    let there = Token::new(config.clone());
    let bring = |file, secrets, what| there.restore_backup(NOBODY, file, secrets, what, terms, &mut quiet());
    for what in [What::Whole, What::User("alice")] {
        assert_eq!(bring(&forged, &forger.secrets, what).err(), Some(Error::ActionProhibited));
        assert!(!config.path.exists());
    }
    bring(&real, &site.secrets, What::Whole).unwrap();
    assert_eq!(there.audit_key().unwrap(), audit_key);
}
