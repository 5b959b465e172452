//! Ownership and sharing: who can open what, and from when on.

use super::*;
use crate::object::attribute::{CKA_STRONGROOM_OWNER, CKA_STRONGROOM_SHARED_WITH};
use crate::object::rules;
use crate::store::{BodyKey, Kind};
use std::time::Duration;

fn person(token: &Token, name: &str) -> Arc<Login> {
    token.log_in(Role::User, Some(name), format!("pw-{name}").as_bytes()).unwrap()
}

fn names(list: &str) -> crate::object::Template {
    vec![(CKA_STRONGROOM_SHARED_WITH, Value::Bytes(list.as_bytes().to_vec()))]
}

fn read(token: &Token, access: Access<'_>, handle: Handle, kind: u64) -> Result<String> {
    let value = token.attributes(access, handle, &[kind])?.remove(0)?;
    Ok(String::from_utf8(value.bytes().unwrap().to_vec()).unwrap())
}

#[test]
fn a_sharer_finds_and_uses_and_does_nothing_else() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let (alice, bob) = (person(&here, "alice"), person(&there, "bob"));
    let mut object = key("hers", true);
    object.set(CKA_SENSITIVE, Value::Bool(false));
    object.set(CKA_EXTRACTABLE, Value::Bool(true));
    let hers = insert(&here, access(&alice), object).unwrap();
    insert(&here, access(&alice), key("unshared", true)).unwrap();
    assert!(there.find(access(&bob), &named("hers")).unwrap().is_empty());
    here.share(access(&alice), hers, &["bob"]).unwrap();
    // By label, by what every key has, and by nothing at all.
    let found = there.find(access(&bob), &named("hers")).unwrap();
    assert_eq!(found.len(), 1);
    let class = vec![(CKA_CLASS, Value::Ulong(CKO_SECRET_KEY))];
    assert_eq!(there.find(access(&bob), &class).unwrap(), found);
    let all = there.find(access(&bob), &Vec::new()).unwrap();
    assert!(all.contains(&found[0]));
    assert_eq!(there.key(access(&bob), found[0]).unwrap().value(), [7; 32]);
    let refused = Some(Error::ActionProhibited);
    assert_eq!(there.modify(access(&bob), found[0], named("his")).err(), refused);
    assert_eq!(there.destroy(access(&bob), found[0]).err(), refused);
    assert_eq!(there.copy(access(&bob), found[0], Vec::new()).err(), refused);
    assert_eq!(there.share(access(&bob), found[0], &["user"]).err(), refused);
    assert_eq!(there.unshare(access(&bob), found[0], &["bob"]).err(), refused);
    assert_eq!(there.transfer(access(&bob), found[0], "bob").err(), refused);
    let export = there.may(access(&bob), policy::Operation::Export, found[0]);
    assert_eq!(export.err(), Some(Error::KeyNotWrappable));
    // What the key itself would show is the owner's to see, and no guess is confirmed.
    let secret = Some(Error::AttributeSensitive);
    assert_eq!(read(&there, access(&bob), found[0], CKA_VALUE).err(), secret);
    let guess = vec![(CKA_VALUE, Value::Secret([7; 32][..].into()))];
    assert!(there.find(access(&bob), &guess).unwrap().is_empty());
    assert_eq!(here.find(access(&alice), &guess).unwrap(), [hers]);
    assert_eq!(read(&there, access(&bob), found[0], CKA_STRONGROOM_SHARED_WITH).err(), secret);
    assert_eq!(read(&there, access(&bob), found[0], CKA_STRONGROOM_OWNER).unwrap(), "alice");
    assert_eq!(read(&here, access(&alice), hers, CKA_STRONGROOM_SHARED_WITH).unwrap(), "bob");
    let from_alice = vec![(CKA_STRONGROOM_OWNER, Value::Bytes(b"alice".to_vec()))];
    assert!(there.find(access(&bob), &from_alice).unwrap().contains(&found[0]));
    assert!(!there.find(access(&bob), &from_alice).unwrap().is_empty());
    // What the owner changes the sharer sees, and still finds.
    here.modify(access(&alice), hers, named("renamed")).unwrap();
    assert_eq!(there.find(access(&bob), &named("renamed")).unwrap(), found);
    assert!(there.find(access(&bob), &named("hers")).unwrap().is_empty());
    here.destroy(access(&alice), hers).unwrap();
    assert!(there.find(access(&bob), &named("renamed")).unwrap().is_empty());
    assert!(there.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

#[test]
fn unsharing_ends_it_in_every_process() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let (alice, bob) = (person(&here, "alice"), person(&there, "bob"));
    let hers = insert(&here, access(&alice), key("hers", true)).unwrap();
    here.modify(access(&alice), hers, names("bob\nuser\n")).unwrap();
    assert_eq!(read(&here, access(&alice), hers, CKA_STRONGROOM_SHARED_WITH).unwrap(), "bob\nuser");
    let his = there.find(access(&bob), &named("hers")).unwrap()[0];
    let generation = there.generation();
    let used = there.key(access(&bob), his).unwrap();
    assert!(there.still_valid(&used, generation));
    here.unshare(access(&alice), hers, &["bob"]).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    assert!(!there.still_valid(&used, generation), "an open key is looked up again");
    assert_eq!(there.key(access(&bob), his).err(), Some(Error::KeyHandleInvalid));
    assert_eq!(there.object(access(&bob), his).err(), Some(Error::ObjectHandleInvalid));
    assert!(there.find(access(&bob), &named("hers")).unwrap().is_empty());
    assert!(there.find(access(&bob), &Vec::new()).unwrap().iter().all(|found| *found != his));
    let user = person(&there, "user");
    assert_eq!(there.find(access(&user), &named("hers")).unwrap().len(), 1, "the others keep it");
    here.unshare(access(&alice), hers, &["bob", "user"]).unwrap();
    assert!(there.find(access(&user), &named("hers")).unwrap().is_empty());
    assert!(there.key(access(&user), his).is_err());
}

#[test]
fn who_lost_a_key_opens_nothing_new_with_what_he_kept() {
    let house = House::new();
    let token = house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    token.share(access(&alice), hers, &["bob", "user"]).unwrap();
    let store = token.store().unwrap();
    let id = token.resolve(access(&alice), hers).unwrap().0.unwrap().header.id;
    let kept = bob.keys.open_data_key(id, bob.user, &store.load_key(id, bob.user).unwrap().unwrap()).unwrap();
    let hers_kept =
        alice.keys.open_data_key(id, alice.user, &store.load_key(id, alice.user).unwrap().unwrap()).unwrap();
    let opens = |data_key| {
        let record = store.load(Kind::Object, id).unwrap().unwrap();
        store.open_body(&record, BodyKey::Data(data_key)).is_ok()
    };
    assert!(opens(&kept) && opens(&hers_kept));
    token.unshare(access(&alice), hers, &["bob"]).unwrap();
    assert!(!opens(&kept) && !opens(&hers_kept), "a new data key");
    let hers_kept =
        alice.keys.open_data_key(id, alice.user, &store.load_key(id, alice.user).unwrap().unwrap()).unwrap();
    token.transfer(access(&alice), hers, "bob").unwrap();
    assert!(!opens(&hers_kept) && store.load_key(id, alice.user).unwrap().is_none());
}

#[test]
fn a_transferred_key_is_the_new_owners() {
    let house = House::new();
    let token = house.process();
    let (alice, bob, user) = (person(&token, "alice"), person(&token, "bob"), person(&token, "user"));
    let handle = insert(&token, access(&alice), key("hers", true)).unwrap();
    token.share(access(&alice), handle, &["user"]).unwrap();
    let to_bob = vec![(CKA_STRONGROOM_OWNER, Value::Bytes(b"bob".to_vec()))];
    token.modify(access(&alice), handle, to_bob).unwrap();
    assert_eq!(token.object(access(&alice), handle).err(), Some(Error::ObjectHandleInvalid));
    assert!(token.find(access(&alice), &named("hers")).unwrap().is_empty());
    assert_eq!(token.find(access(&user), &named("hers")).unwrap(), [handle], "the sharer keeps it");
    assert_eq!(read(&token, access(&user), handle, CKA_STRONGROOM_OWNER).unwrap(), "bob");
    token.modify(access(&bob), handle, named("his")).unwrap();
    token.share(access(&bob), handle, &["alice"]).unwrap();
    assert_eq!(token.modify(access(&alice), handle, named("hers")).err(), Some(Error::ActionProhibited));
    // And on, to one who had it shared.
    token.transfer(access(&bob), handle, "user").unwrap();
    assert!(token.find(access(&bob), &named("his")).unwrap().is_empty());
    assert_eq!(read(&token, access(&user), handle, CKA_STRONGROOM_SHARED_WITH).unwrap(), "alice");
    token.destroy(access(&user), handle).unwrap();
    assert!(token.find(access(&alice), &named("his")).unwrap().is_empty());
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

#[test]
fn what_cannot_be_shared_is_not() {
    let house = House::new();
    let token = house.process();
    let alice = person(&token, "alice");
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    for nobody in ["so", "eve", "Bob", ""] {
        let shared = token.share(access(&alice), hers, &[nobody]);
        assert_eq!(shared.err(), Some(Error::ArgumentsBad), "{nobody}");
    }
    let value = Some(Error::AttributeValueInvalid);
    assert_eq!(token.modify(access(&alice), hers, names("bob\neve")).err(), value);
    let both = [names("bob"), named("new")].concat();
    let reader = Access { write: false, ..access(&alice) };
    assert_eq!(token.modify(reader, hers, both.clone()).err(), Some(Error::SessionReadOnly));
    assert_eq!(read(&token, access(&alice), hers, CKA_STRONGROOM_SHARED_WITH).unwrap(), "");
    // With oneself: nothing to do.
    token.share(access(&alice), hers, &["alice"]).unwrap();
    assert_eq!(read(&token, access(&alice), hers, CKA_STRONGROOM_SHARED_WITH).unwrap(), "");
    token.modify(access(&alice), hers, both).unwrap();
    let bob = person(&token, "bob");
    assert_eq!(token.find(access(&bob), &named("new")).unwrap(), [hers], "both changes in one");
    // Public objects are everybody's to see, and their maker's to change.
    let open = insert(&token, access(&alice), key("open", false)).unwrap();
    assert_eq!(token.share(access(&alice), open, &["bob"]).err(), Some(Error::ActionProhibited));
    assert_eq!(token.destroy(access(&bob), open).err(), Some(Error::ActionProhibited));
    assert_eq!(token.modify(access(&bob), open, named("his")).err(), Some(Error::ActionProhibited));
    assert_eq!(read(&token, access(&bob), open, CKA_STRONGROOM_OWNER).unwrap(), "alice");
    token.transfer(access(&alice), open, "bob").unwrap();
    token.destroy(access(&bob), open).unwrap();
    // In the template of a new key.
    let mut object = key("made shared", true);
    object.set(CKA_STRONGROOM_SHARED_WITH, Value::Bytes(b"bob".to_vec()));
    let made = insert(&token, access(&alice), object).unwrap();
    assert_eq!(token.find(access(&bob), &named("made shared")).unwrap(), [made]);
    let mut object = key("public and shared", false);
    object.set(CKA_STRONGROOM_SHARED_WITH, Value::Bytes(b"bob".to_vec()));
    assert_eq!(insert(&token, access(&alice), object).err(), Some(Error::TemplateInconsistent));
    let stored = token.resolve(access(&alice), made).unwrap().1;
    assert!(rules::read(stored.object(), CKA_STRONGROOM_SHARED_WITH).unwrap().same(&Value::Bytes(vec![])));
}

#[test]
fn what_happens_to_custody_is_recorded() {
    let house = House::new();
    let token = house.process();
    let (alice, officer) = (person(&token, "alice"), token.log_in(Role::Officer, None, OFFICER).unwrap());
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    token.share(access(&alice), hers, &["bob", "user"]).unwrap();
    token.unshare(access(&alice), hers, &["user"]).unwrap();
    token.modify(access(&alice), hers, [names(""), named("renamed")].concat()).unwrap();
    let open = insert(&token, access(&alice), key("open", false)).unwrap();
    token.transfer(access(&alice), open, "user").unwrap();
    token.transfer(access(&alice), hers, "bob").unwrap();
    token.unlock(access(&officer), "alice").unwrap();
    let mut entries = Vec::new();
    let take = |entry, _: &[u8]| {
        entries.push(entry);
        true
    };
    token.audit_lines(access(&officer), 1, take).unwrap();
    let told: Vec<String> = entries
        .into_iter()
        .filter(|entry: &crate::audit::Entry| {
            ["share", "unshare", "transfer", "modify", "unlocked"].contains(&entry.event.as_str())
        })
        .map(|entry| {
            let user = entry.user.map_or_else(String::new, |user| user.name);
            format!("{} {} {user}", entry.actor.unwrap().name, entry.event)
        })
        .collect();
    let mut shares = told[..2].to_vec();
    shares.sort();
    assert_eq!(shares, ["alice share bob", "alice share user"]);
    let rest = [
        "alice unshare user",
        "alice modify ",
        "alice unshare bob",
        "alice transfer user",
        "alice transfer bob",
        "so unlocked alice",
    ];
    assert_eq!(told[2..], rest);
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

#[test]
fn what_was_given_away_meanwhile_is_not_destroyed() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let (alice, again, bob) = (person(&here, "alice"), person(&there, "alice"), person(&there, "bob"));
    let hers = insert(&here, access(&alice), key("hers", true)).unwrap();
    let seen = here.resolve(access(&alice), hers).unwrap().0.unwrap().header;
    let far = there.find(access(&again), &named("hers")).unwrap()[0];
    there.transfer(access(&again), far, "bob").unwrap();
    assert_eq!(here.destroy_records(access(&alice), &[seen]), Err(Error::FunctionFailed));
    assert_eq!(here.destroy(access(&alice), hers), Err(Error::ObjectHandleInvalid));
    assert_eq!(there.find(access(&bob), &named("hers")).unwrap().len(), 1);
}
