//! Who may still make a backup, and what a killed one leaves.

use super::*;
use std::time::Duration;

#[test]
fn an_officer_whom_another_process_deleted_makes_and_removes_none() {
    let site = Site::new();
    let (token, other) = (site.house.process(), site.house.process());
    let boss = officer(&token);
    token.create_user(access(&boss), "carol", Role::Officer, b"pw-carol").unwrap();
    let carol = other.log_in(Role::Officer, Some("carol"), b"pw-carol").unwrap();
    let file = site.back_up(&token);
    token.delete_user(access(&boss), "carol", true).unwrap();
    let place = Place::File(site.folder.path().join("taken along"));
    let words = [Recipient::Passphrase(Secret::from(&b"many long words"[..]))];
    let made = other.back_up(access(&carol), &place, &words, SystemTime::now(), &mut quiet());
    assert_eq!(made.err(), Some(Error::UserNotLoggedIn));
    let later = SystemTime::now() + Duration::from_secs(400 * 24 * 60 * 60);
    let newer = site.back_up(&token);
    let gone = other.prune(access(&carol), site.folder.path(), 7, later);
    assert_eq!(gone.err(), Some(Error::UserNotLoggedIn));
    let mut left: Vec<_> =
        std::fs::read_dir(site.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    left.sort();
    assert_eq!(left, [file, newer]);
}

#[test]
fn what_a_killed_backup_left_is_named_and_later_thrown_away() {
    let site = Site::new();
    let token = site.house.process();
    let boss = officer(&token);
    let file = site.folder.path().join("b.bin");
    let draft = site.folder.path().join("b.bin.draft");
    std::fs::write(&draft, b"half").unwrap();
    let place = Place::File(file.clone());
    let make = || {
        let recipients = [Recipient::Recovery(site.public)];
        token.back_up(access(&boss), &place, &recipients, SystemTime::now(), &mut quiet())
    };
    assert_eq!(make().err(), Some(Error::ArgumentsBad));
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    std::fs::File::options().write(true).open(&draft).unwrap().set_modified(long_ago).unwrap();
    make().unwrap();
    assert!(file.exists() && !draft.exists());
}

#[test]
fn a_backup_is_for_no_more_recipients_than_are_tried() {
    let site = Site::new();
    let token = site.house.process();
    let boss = officer(&token);
    let make = |count: usize| {
        let place = Place::File(site.folder.path().join(count.to_string()));
        let recipients = vec![Recipient::Recovery(site.public); count];
        token.back_up(access(&boss), &place, &recipients, SystemTime::now(), &mut quiet())
    };
    let made = make(32).unwrap();
    site.read(&made.path).unwrap();
    assert_eq!(make(33).err(), Some(Error::ArgumentsBad));
    // Nor does a header that says so get anybody to try.
    let mut header = made.header;
    header.recipients.push(header.recipients[0].clone());
    let forged = [&header.encode().unwrap()[..], &[0; 1000]].concat();
    std::fs::write(site.folder.path().join("forged"), forged).unwrap();
    let opened = BackupFile::open(&site.folder.path().join("forged"));
    assert_eq!(opened.err(), Some(Error::EncryptedDataInvalid));
}
