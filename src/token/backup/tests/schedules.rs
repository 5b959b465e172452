//! Schedules, lists, and what is removed when.

use super::*;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn scheduled(site: &Site) -> Schedule {
    Schedule {
        every_hours: 24,
        keep_days: 30,
        folder: site.folder.path().to_owned(),
        recipients: vec![site.public.to_string()],
    }
}

#[test]
fn without_an_officer_backups_go_to_registered_keys_only() {
    let site = Site::new();
    let token = site.house.process();
    let now = SystemTime::now();
    let none = token.back_up_as_scheduled(NOBODY, now, &mut quiet()).err();
    assert_eq!(none, Some(Error::ArgumentsBad), "nothing is scheduled");
    let (alice, officer) = (person(&token, "alice"), officer(&token));
    for asker in [NOBODY, access(&alice)] {
        assert_eq!(token.set_schedule(asker, Some(&scheduled(&site))), Err(Error::UserNotLoggedIn));
    }
    let wrong = |change: fn(&mut Schedule)| {
        let mut schedule = scheduled(&site);
        change(&mut schedule);
        token.set_schedule(access(&officer), Some(&schedule)).err()
    };
    let bad = Some(Error::ArgumentsBad);
    assert_eq!(wrong(|schedule| schedule.keep_days = 6), bad);
    assert_eq!(wrong(|schedule| schedule.keep_days = 380), bad);
    assert_eq!(wrong(|schedule| schedule.every_hours = 0), bad);
    assert_eq!(wrong(|schedule| schedule.recipients.clear()), bad);
    assert_eq!(wrong(|schedule| schedule.recipients = vec!["x".into()]), bad);
    assert_eq!(wrong(|schedule| schedule.folder = "backups".into()), bad);
    token.set_schedule(access(&officer), Some(&scheduled(&site))).unwrap();
    let other = site.house.process();
    assert_eq!(other.schedule().unwrap(), Some(scheduled(&site)), "it is the token's, not the process's");
    let made = other.back_up_as_scheduled(NOBODY, now, &mut quiet()).unwrap();
    assert_eq!(made.path.parent(), Some(site.folder.path()));
    let again = other.back_up_as_scheduled(NOBODY, now, &mut quiet()).unwrap();
    assert!(again.path != made.path && site.read(&again.path).is_ok(), "two in one second");
    assert!(site.read(&made.path).is_ok());
    let asked = token.back_up(
        NOBODY,
        &Place::Folder(site.folder.path().into()),
        &[Recipient::Recovery(site.public)],
        now,
        &mut quiet(),
    );
    assert_eq!(asked.err(), Some(Error::UserNotLoggedIn), "not anywhere else");
    token.set_schedule(access(&officer), None).unwrap();
    assert_eq!(other.schedule().unwrap(), None);
    whole(&token);
}

#[test]
fn old_backups_go_and_the_last_good_one_never() {
    let site = Site::new();
    let token = site.house.process();
    let officer = officer(&token);
    let now = SystemTime::now();
    let make = |days: u32| {
        let place = Place::Folder(site.folder.path().into());
        let recipients = [Recipient::Recovery(site.public)];
        token.back_up(access(&officer), &place, &recipients, now - DAY * days, &mut quiet()).unwrap().path
    };
    let (old, older, newest_good) = (make(50), make(100), make(40));
    // A newer one that is damaged does not count, nor do those of another token.
    let damaged = make(35);
    let mut bytes = std::fs::read(&damaged).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let stranger = Site::new();
    let foreign = site.folder.path().join(format!("foreign.{SUFFIX}"));
    std::fs::rename(stranger.back_up(&stranger.house.process()), &foreign).unwrap();
    std::fs::write(site.folder.path().join(format!("text.{SUFFIX}")), "text").unwrap();
    let listed = token.list_backups(site.folder.path(), &mut quiet()).unwrap();
    let states: Vec<_> =
        listed.iter().map(|one| (one.path.clone(), one.header.is_some(), one.intact, one.ours)).collect();
    let text = site.folder.path().join(format!("text.{SUFFIX}"));
    assert_eq!(
        states,
        [
            (foreign.clone(), true, true, false),
            (damaged.clone(), true, false, true),
            (newest_good.clone(), true, true, true),
            (old.clone(), true, true, true),
            (older.clone(), true, true, true),
            (text.clone(), false, false, false),
        ]
    );
    let prune = |days| token.prune(access(&officer), site.folder.path(), days, now);
    assert_eq!((prune(6).err(), prune(380).err()), (Some(Error::ArgumentsBad), Some(Error::ArgumentsBad)));
    assert_eq!(token.prune(NOBODY, site.folder.path(), 7, now).err(), Some(Error::UserNotLoggedIn));
    assert_eq!(prune(90).unwrap(), std::slice::from_ref(&older));
    assert_eq!(prune(90).unwrap(), [] as [PathBuf; 0]);
    assert_eq!(prune(7).unwrap(), [damaged.clone(), old.clone()]);
    assert_eq!(prune(7).unwrap(), [] as [PathBuf; 0], "the last good one stays");
    for (path, there) in [(&newest_good, true), (&foreign, true), (&text, true), (&damaged, false)] {
        assert_eq!(path.exists(), there, "{}", path.display());
    }
    let mut entries = Vec::new();
    token
        .audit_lines(access(&officer), 1, |entry, _| {
            if entry.event == "backup-pruned" {
                entries.push(entry.details["removed"].clone());
            }
            true
        })
        .unwrap();
    assert_eq!(entries, ["1", "2"]);
}

#[test]
fn without_a_good_one_nothing_goes() {
    let site = Site::new();
    let token = site.house.process();
    let file = site.back_up(&token);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(&file, bytes).unwrap();
    let officer = officer(&token);
    let late = SystemTime::now() + DAY * 400;
    assert_eq!(token.prune(access(&officer), site.folder.path(), 7, late).unwrap(), [] as [PathBuf; 0]);
    assert!(file.exists());
}
