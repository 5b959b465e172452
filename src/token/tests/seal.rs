//! Seals are an officer's business, recorded, and another process's rotation disturbs nobody.

use super::*;

fn other(house: &House) -> SealConfig {
    SealConfig::KeyFile(house.config.path.with_extension("other"))
}

fn events(token: &Token, officer: &Arc<Login>) -> Vec<String> {
    let mut events = Vec::new();
    let take = |entry: crate::audit::Entry, _: &[u8]| {
        if entry.event.starts_with("seal-") {
            let details: Vec<_> =
                entry.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
            events.push(format!("{} {}", entry.event, details.join(" ")));
        }
        true
    };
    token.audit_lines(access(officer), 1, take).unwrap();
    events
}

#[test]
fn officers_only() {
    let house = House::new();
    let token = house.process();
    let user = token.log_in(Role::User, None, b"pw-user").unwrap();
    for asker in [NOBODY, access(&user)] {
        assert_eq!(token.add_seal(asker, &other(&house)), Err(Error::UserNotLoggedIn));
        assert_eq!(token.remove_seal(asker, 1, true), Err(Error::UserNotLoggedIn));
        assert_eq!(token.rotate_seal(asker, None), Err(Error::UserNotLoggedIn));
    }
    assert!(!house.config.path.with_extension("other").exists(), "nothing is made for them");
    let seals = token.seals().unwrap();
    assert_eq!((seals.len(), seals[0].number, seals[0].state), (1, 1, SealState::InUse));
}

#[test]
fn what_was_done_is_recorded() {
    let house = House::new();
    let (token, running) = (house.process(), house.process());
    let user = running.log_in(Role::User, None, b"pw-user").unwrap();
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let reader = Access { write: false, ..access(&officer) };
    assert_eq!(token.add_seal(reader, &other(&house)), Err(Error::SessionReadOnly));
    assert_eq!(token.add_seal(access(&officer), &other(&house)), Ok(2));
    assert_eq!(token.add_seal(access(&officer), &other(&house)), Err(Error::ArgumentsBad), "twice");
    assert_eq!(token.remove_seal(access(&officer), 1, false), Err(Error::ActionProhibited));
    token.remove_seal(access(&officer), 2, false).unwrap();
    let rotated = token.rotate_seal(access(&officer), None).unwrap();
    assert_eq!((rotated.number, rotated.removed, rotated.new_key), (2, vec![1], true));
    assert_eq!(
        events(&token, &officer),
        [
            "seal-added provider=key seal=2",
            "seal-removed provider=key seal=2",
            "seal-added provider=key replaces=1 seal=2",
            "seal-rotated provider=key removed=1 seal=2",
        ]
    );
    insert(&running, access(&user), key("made after it", true)).unwrap();
    assert!(house.process().verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

/// The new key cannot take its place (a mount point, say): everything is as it was.
#[test]
fn a_rotation_that_cannot_be_finished_is_taken_back() {
    let house = House::new();
    let token = house.process();
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let credential =
        SealConfig::Credential { name: "token".into(), folder: house.config.path.parent().map(Into::into) };
    std::fs::copy(house.config.path.with_extension("seal"), house.config.path.with_file_name("token"))
        .unwrap();
    let service = Token::new(SlotConfig { seal: credential, ..house.config.clone() });
    let there = service.log_in(Role::Officer, None, OFFICER).unwrap();
    assert_eq!(service.rotate_seal(access(&there), None), Err(Error::ActionProhibited), "not ours to write");
    // Somebody puts another key there in the middle of it.
    let store = token.store().unwrap();
    let opened = store.opened_by(&house.config.seal).unwrap().unwrap();
    let rotation = crate::store::Rotation::begin(opened, &house.config.seal, None).unwrap();
    let number = token.add_successor(&officer, &store, &rotation).unwrap().unwrap();
    token.forget_successor(&officer, &store, &rotation, number);
    assert_eq!(token.seals().unwrap().len(), 1);
    assert_eq!(events(&token, &officer).last().unwrap(), "seal-removed provider=key seal=2");
}
