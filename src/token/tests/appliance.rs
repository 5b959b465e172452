//! The host's own identity (AU): what it may, whose it is, and how a file comes by it.

use super::super::appliance::{Appliance, NAME, load, login};
use super::*;
use crate::store::Kind;

/// What the host tries with the access that it has.
#[test]
fn the_host_opens_uses_and_manages_nothing() {
    let house = House::new();
    let token = house.process();
    let store = token.store().unwrap();
    let (alice, so) = (
        token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap(),
        token.log_in(Role::Officer, None, OFFICER).unwrap(),
    );
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    let open = insert(&token, access(&alice), key("open", false)).unwrap();
    let host = login(&store).unwrap();
    let au = access(&host);
    assert_eq!(host.person().role, "AU");
    assert!(token.find(au, &named("hers")).unwrap().is_empty());
    assert_eq!(token.object(au, hers).err(), Some(Error::ObjectHandleInvalid));
    assert_eq!(token.key(au, hers).err(), Some(Error::KeyHandleInvalid));
    assert_eq!(token.find(au, &named("open")).unwrap(), [open], "as everybody");
    assert_eq!(token.key(au, open).err(), Some(Error::KeyFunctionNotPermitted));
    let forbidden = Some(Error::ActionProhibited);
    assert_eq!(insert(&token, au, key("own", true)).err(), forbidden);
    assert_eq!(insert(&token, au, key("own", false)).err(), forbidden);
    assert_eq!(token.destroy(au, open).err(), forbidden);
    assert_eq!(token.modify(au, open, named("renamed")).err(), forbidden);
    assert!(token.share(au, hers, &["bob"]).is_err());
    assert_eq!(token.create_user(au, "eve", Role::User, b"pw-eve").err(), forbidden);
    assert_eq!(token.reset_password(au, "alice", b"new-password").err(), forbidden);
    assert_eq!(token.delete_user(au, "alice", true).err(), forbidden);
    assert_eq!(token.unlock(au, "alice").err(), forbidden);
    assert_eq!(token.init_pin(au, b"new-password").err(), forbidden);
    assert_eq!(token.audit_lines(au, 1, |_, _| true).err(), forbidden);
    // Its keys are of this moment: the records hold nothing for them.
    for object in store.list(Kind::Object).unwrap().into_iter().filter(|header| header.owner != Id::NONE) {
        let wrapped = store.load_key(object.id, object.owner).unwrap().unwrap();
        assert!(host.keys.open_data_key(object.id, object.owner, &wrapped).is_err());
    }
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty(), "and this is what it may");
    // Nobody logs in as it, deletes it, or takes its name.
    for role in [Role::User, Role::Officer, Role::Appliance] {
        for pin in [&b"pw-alice"[..], OFFICER, b""] {
            assert_eq!(token.log_in(role, Some(NAME), pin).err(), Some(Error::PinIncorrect));
        }
    }
    let none = Some(Error::ArgumentsBad);
    for role in [Role::User, Role::Officer] {
        assert_eq!(token.create_user(access(&so), NAME, role, b"password").err(), none);
    }
    assert_eq!(token.delete_user(access(&so), NAME, true).err(), none);
    assert_eq!(token.reset_password(access(&so), NAME, b"password").err(), none);
    assert_eq!(token.unlock(access(&so), NAME).err(), none);
    let config = SlotConfig { default_user: NAME.into(), ..house.config.clone() };
    assert_eq!(Token::new(config).init_pin(access(&so), b"password").err(), none);
}

#[test]
fn an_identity_stays_with_its_file_and_its_token() {
    let house = House::new();
    let token = house.process();
    let here: Appliance = token.appliance().unwrap().unwrap();
    assert_eq!(house.process().appliance().unwrap(), Some(here));
    assert_ne!(Some(here.public), token.audit_key().unwrap(), "not the log's key");
    let made = || {
        let so = token.log_in(Role::Officer, None, OFFICER).unwrap();
        let mut events = Vec::new();
        let take = |entry: crate::audit::Entry, _: &[u8]| {
            events.extend(entry.details.get("appliance").map(|name| (entry.event.clone(), name.clone())));
            true
        };
        token.audit_lines(access(&so), 1, take).unwrap();
        events
    };
    assert_eq!(made(), [("token-initialized".into(), here.fingerprint())]);
    // A file of before: the next officer brings one, once, and the log says so.
    let store = token.store().unwrap();
    let file = rusqlite::Connection::open(&house.config.path).unwrap();
    let row = || {
        file.query_row("SELECT value FROM meta WHERE name = 'appliance'", [], |row| row.get::<_, Vec<u8>>(0))
    };
    let kept = row().unwrap();
    file.execute("DELETE FROM meta WHERE name = 'appliance'", []).unwrap();
    assert_eq!(load(&store).unwrap(), None);
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
    token.log_in(Role::User, Some("alice"), b"pw-alice").unwrap();
    assert_eq!(token.appliance().unwrap(), None, "users bring none");
    let first = made();
    let now = token.appliance().unwrap().unwrap();
    assert_ne!(now, here);
    assert_eq!(first[1], ("appliance-made".into(), now.fingerprint()));
    assert_eq!(made().len(), 2);
    // A changed row, and that of another token, are noticed.
    let mut changed = row().unwrap();
    changed[20] ^= 1;
    for wrong in [changed, kept[..40].to_vec()] {
        file.execute("UPDATE meta SET value = ? WHERE name = 'appliance'", [wrong]).unwrap();
        assert_eq!(token.appliance().err(), Some(Error::DeviceError));
        let faults = token.verify(&mut |_, _| {}).unwrap().faults;
        assert_eq!(faults, ["this host's identity (AU) was altered"]);
    }
    token.initialize(OFFICER, "anew").unwrap();
    let anew = token.appliance().unwrap().unwrap();
    assert!(anew != here && anew != now);
}
