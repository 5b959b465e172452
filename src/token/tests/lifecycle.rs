//! Versions, suspension and validity: who may, what it leaves, and against what others do meanwhile.

use super::*;
use crate::mechanism::{self, Params};
use crate::object::attribute::*;
use crate::object::template::Asker;
use crate::object::{Template, rules, version};

fn person(token: &Token, name: &str) -> Arc<Login> {
    token.log_in(Role::User, Some(name), format!("pw-{name}").as_bytes()).unwrap()
}

/// A P-256 pair (public, private) as C_GenerateKeyPair makes it.
fn pair(token: &Token, login: &Arc<Login>, label: &str) -> (Handle, Handle) {
    let curve = crate::crypto::Curve::P256.oid_der().to_vec();
    let row = mechanism::all().find(|row| row.keys == [CKK_EC] && row.generate_pair.is_some()).unwrap();
    let common = || {
        vec![
            (CKA_TOKEN, Value::Bool(true)),
            (CKA_LABEL, Value::Bytes(label.as_bytes().to_vec())),
            (CKA_ID, Value::Bytes(vec![7])),
        ]
    };
    let public = [common(), vec![(CKA_EC_PARAMS, Value::Bytes(curve))]].concat();
    let draft = |class, template| {
        Draft::new(Origin::Generated, Some(class), Some(CKK_EC), template, Asker::User).unwrap()
    };
    let (public, private) = (draft(CKO_PUBLIC_KEY, public), draft(CKO_PRIVATE_KEY, common()));
    let (first, second) =
        (row.generate_pair.unwrap())(Params::None, public.attributes(), private.attributes()).unwrap();
    let objects = vec![public.complete(first).unwrap(), private.complete(second).unwrap()];
    let made = token.insert_all(access(login), objects, Note::of(Event::GeneratePair)).unwrap();
    (made[0], made[1])
}

fn object(token: &Token, login: &Arc<Login>, key: Handle) -> Object {
    token.object(access(login), key).unwrap().object().clone()
}

fn set(kind: u64, value: Value) -> Template {
    vec![(kind, value)]
}

fn events(token: &Token, officer: &Arc<Login>, wanted: &[&str]) -> Vec<String> {
    let mut told = Vec::new();
    let take = |entry: crate::audit::Entry, _: &[u8]| {
        if wanted.contains(&entry.event.as_str()) {
            told.push(format!("{} {} {:?}", entry.event, entry.objects.len(), entry.details));
        }
        true
    };
    token.audit_lines(access(officer), 1, take).unwrap();
    told
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let (alice, bob) = (person(&here, "alice"), person(&there, "bob"));
    let (public, private) = pair(&here, &alice, "signing");
    here.share(access(&alice), private, &["bob"]).unwrap();
    let before = object(&here, &alice, private);
    let rotated = here.rotate(access(&alice), private).unwrap();
    assert_eq!(rotated.version, 2);
    // The label is the new one's, at once and elsewhere.
    assert_eq!(
        there
            .find(
                access(&bob),
                &[named("signing"), vec![(CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY))]].concat()
            )
            .unwrap()
            .len(),
        1
    );
    let found = here.find(access(&alice), &named("signing")).unwrap();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&rotated.key) && found.contains(&rotated.public.unwrap()));
    let (old, new) = (object(&here, &alice, private), object(&here, &alice, rotated.key));
    assert_eq!((old.bytes(CKA_LABEL), old.bytes(CKA_ID)), (&b"signing.v1"[..], &[7][..]));
    assert_eq!(object(&here, &alice, public).bytes(CKA_LABEL), b"signing.v1");
    for usage in [CKA_SIGN, CKA_SIGN_RECOVER, CKA_ENCRYPT, CKA_WRAP] {
        assert!(!old.flag(usage));
    }
    assert!(old.flag(CKA_DERIVE) && new.flag(CKA_SIGN) && new.flag(CKA_DERIVE));
    let old_public = object(&here, &alice, public);
    assert!(old_public.flag(CKA_VERIFY) && !old_public.flag(CKA_ENCRYPT));
    // New material, one new CKA_ID, the same in all else.
    let new_public = object(&here, &alice, rotated.public.unwrap());
    assert_ne!(new.bytes(CKA_VALUE), before.bytes(CKA_VALUE));
    assert_eq!(new.bytes(CKA_PUBLIC_KEY_INFO), new_public.bytes(CKA_PUBLIC_KEY_INFO));
    assert!(new.bytes(CKA_ID) == new_public.bytes(CKA_ID) && new.bytes(CKA_ID).len() == 20);
    let own = [
        CKA_UNIQUE_ID,
        CKA_ID,
        CKA_VALUE,
        CKA_EC_POINT,
        CKA_PUBLIC_KEY_INFO,
        CKA_STRONGROOM_MADE_AT,
        CKA_STRONGROOM_SERIES,
        CKA_STRONGROOM_VERSION,
    ];
    for (kind, value) in before.iter().filter(|(kind, _)| !own.contains(kind)) {
        assert_eq!(new.get(*kind), Some(value), "{:?}", attribute_name(*kind));
    }
    assert_eq!(new.iter().count(), before.iter().count() + 2, "and the series, and what made it");
    // The sharer has both; the log says it.
    let found = there.find(access(&bob), &Vec::new()).unwrap();
    let labels: Vec<_> = found
        .iter()
        .map(|key| there.object(access(&bob), *key).unwrap())
        .filter(|key| key.class() == CKO_PRIVATE_KEY)
        .map(|key| (key.object().bytes(CKA_LABEL).to_vec(), key.may(CKA_SIGN)))
        .collect();
    assert!(
        labels.contains(&(b"signing".to_vec(), true)) && labels.contains(&(b"signing.v1".to_vec(), false))
    );
    // And once more.
    let third = here.rotate(access(&alice), rotated.key).unwrap();
    assert_eq!(third.version, 3);
    assert_eq!(here.versions(access(&alice), private).unwrap(), [private, rotated.key, third.key]);
    assert_eq!(here.versions(access(&alice), public).unwrap().len(), 3);
    let officer = here.log_in(Role::Officer, None, OFFICER).unwrap();
    let told = events(&here, &officer, &["rotate"]);
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("rotate 2 ") && told[0].contains("\"version\": \"2\""), "{told:?}");
    assert_eq!(events(&here, &officer, &["share"]).len(), 3, "of each version");
    assert!(here.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

fn attribute_name(kind: u64) -> String {
    crate::object::template::named(kind)
}

#[test]
fn a_replaced_version_gets_no_use_back() {
    let house = House::new();
    let token = house.process();
    let alice = person(&token, "alice");
    let handle = insert(&token, access(&alice), key("secret", true)).unwrap();
    let next = token.rotate(access(&alice), handle).unwrap();
    assert!(next.public.is_none());
    for usage in [CKA_SIGN, CKA_ENCRYPT, CKA_WRAP, CKA_UNWRAP, CKA_DERIVE] {
        let refused = token.modify(access(&alice), handle, set(usage, Value::Bool(true))).err();
        assert_eq!(refused, Some(Error::AttributeReadOnly), "{usage:#x}");
        let copied = token.copy(access(&alice), handle, set(usage, Value::Bool(true))).err();
        assert_eq!(copied, Some(Error::AttributeReadOnly), "{usage:#x}");
    }
    for kind in [CKA_STRONGROOM_RETIRED, CKA_STRONGROOM_VERSION, CKA_STRONGROOM_SERIES] {
        let value = if kind == CKA_STRONGROOM_SERIES { Value::Bytes(vec![]) } else { Value::Bool(false) };
        assert!(token.modify(access(&alice), handle, set(kind, value)).is_err());
    }
    // A copy can do no more, and is no version.
    let (copy, note) = token.copy(access(&alice), handle, named("copy")).unwrap();
    let copy = token.insert_all(access(&alice), vec![copy], note).unwrap()[0];
    let stored = object(&token, &alice, copy);
    assert!(!stored.flag(CKA_ENCRYPT) && stored.flag(CKA_DECRYPT) && version::is_retired(&stored));
    assert_eq!(token.versions(access(&alice), copy).unwrap(), [copy]);
    assert_eq!(token.versions(access(&alice), handle).unwrap(), [handle, next.key]);
    // What it still may can be taken; the label can be changed; it is not replaced again.
    token.modify(access(&alice), handle, set(CKA_DECRYPT, Value::Bool(false))).unwrap();
    token.modify(access(&alice), handle, named("old")).unwrap();
    assert_eq!(token.rotate(access(&alice), handle).err(), Some(Error::ActionProhibited));
    let (template, asker) = (set(CKA_STRONGROOM_RETIRED, Value::Bool(true)), Asker::User);
    let made = Draft::new(Origin::Created, Some(CKO_SECRET_KEY), Some(CKK_AES), template, asker);
    assert_eq!(made.err(), Some(Error::AttributeReadOnly));
}

#[test]
fn what_cannot_be_replaced_is_not() {
    let house = House::new();
    let token = house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let (public, private) = pair(&token, &alice, "pair");
    token.share(access(&alice), private, &["bob"]).unwrap();
    assert_eq!(token.rotate(access(&bob), private).err(), Some(Error::ActionProhibited));
    assert_eq!(token.rotate(access(&alice), public).err(), Some(Error::KeyTypeInconsistent));
    let reader = Access { write: false, ..access(&alice) };
    assert_eq!(token.rotate(reader, private).err(), Some(Error::SessionReadOnly));
    let mut fleeting = key("session", true);
    fleeting.set(CKA_TOKEN, Value::Bool(false));
    let fleeting = insert(&token, access(&alice), fleeting).unwrap();
    assert_eq!(token.rotate(access(&alice), fleeting).err(), Some(Error::ActionProhibited));
    // One that may not be changed is replaced all the same: its owner decides, not a template.
    let mut fixed = key("fixed", true);
    fixed.set(CKA_MODIFIABLE, Value::Bool(false));
    let fixed = insert(&token, access(&alice), fixed).unwrap();
    assert_eq!(token.rotate(access(&alice), fixed).unwrap().version, 2);
}

#[test]
fn a_private_key_without_a_public_one_gets_one() {
    let house = House::new();
    let token = house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let (public, private) = pair(&token, &alice, "pair");
    token.destroy(access(&alice), public).unwrap();
    let rotated = token.rotate(access(&alice), private).unwrap();
    let made = object(&token, &alice, rotated.public.unwrap());
    assert!(made.flag(CKA_VERIFY) && !made.is_private() && made.bytes(CKA_LABEL) == b"pair");
    // Given away, its public half stays the giver's, who alone may change it.
    token.transfer(access(&alice), rotated.key, "bob").unwrap();
    let his = token.rotate(access(&bob), rotated.key).unwrap();
    assert!(!version::is_retired(&object(&token, &alice, rotated.public.unwrap())));
    let owner = token.attributes(access(&bob), his.public.unwrap(), &[CKA_STRONGROOM_OWNER]).unwrap();
    assert_eq!(owner[0], Ok(Value::Bytes(b"bob".to_vec())));
    for half in [his.key, his.public.unwrap()] {
        assert_eq!(version::number(&object(&token, &bob, half)), 3, "a pair has one number");
    }
}

#[test]
fn of_two_at_once_one_replaces() {
    let house = House::new();
    let token = house.process();
    let alice = person(&token, "alice");
    pair(&token, &alice, "pair");
    let rotate = || {
        let token = house.process();
        let alice = person(&token, "alice");
        let private = [named("pair"), set(CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY))].concat();
        let found = token.find(access(&alice), &private).unwrap()[0];
        token.rotate(access(&alice), found).map(|rotated| rotated.version)
    };
    for round in 0..4 {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = (0..3).map(|_| scope.spawn(rotate)).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(answers.iter().any(Result::is_ok), "round {round}: {answers:?}");
        for answer in &answers {
            assert!(matches!(answer, Ok(_) | Err(Error::ActionProhibited)), "{answer:?}");
        }
        assert_eq!(token.find(access(&alice), &named("pair")).unwrap().len(), 2, "round {round}");
    }
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

#[test]
fn a_suspended_key_is_used_by_nobody() {
    let house = House::new();
    let (here, there) = (house.process(), house.process());
    let (alice, bob) = (person(&here, "alice"), person(&there, "bob"));
    let mut fixed = key("key", true);
    fixed.set(CKA_MODIFIABLE, Value::Bool(false));
    let handle = insert(&here, access(&alice), fixed).unwrap();
    here.share(access(&alice), handle, &["bob"]).unwrap();
    let his = there.find(access(&bob), &named("key")).unwrap()[0];
    let (generation, used) = (there.generation(), there.key(access(&bob), his).unwrap());
    let suspended = |value| set(CKA_STRONGROOM_SUSPENDED, Value::Bool(value));
    assert_eq!(there.modify(access(&bob), his, suspended(true)), Err(Error::ActionProhibited));
    here.modify(access(&alice), handle, suspended(true)).unwrap();
    let refused = Some(Error::KeyFunctionNotPermitted);
    assert_eq!(here.key(access(&alice), handle).err(), refused);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!there.still_valid(&used, generation));
    assert_eq!(there.key(access(&bob), his).err(), refused);
    assert_eq!(there.find(access(&bob), &named("key")).unwrap(), [his], "it is seen");
    assert_eq!(here.copy(access(&alice), handle, Vec::new()).err(), Some(Error::ActionProhibited));
    here.modify(access(&alice), handle, suspended(true)).unwrap();
    here.modify(access(&alice), handle, suspended(false)).unwrap();
    assert!(here.key(access(&alice), handle).is_ok());
    there.look(&there.store().unwrap()).unwrap();
    assert!(there.key(access(&bob), his).is_ok());
    let twice = [suspended(true), suspended(false)].concat();
    assert_eq!(here.modify(access(&alice), handle, twice), Err(Error::TemplateInconsistent));
    let officer = here.log_in(Role::Officer, None, OFFICER).unwrap();
    assert_eq!(events(&here, &officer, &["suspend", "resume"]), ["suspend 1 {}", "resume 1 {}"]);
    // Of a session's key, and of what is no key.
    let mut fleeting = key("session", false);
    fleeting.set(CKA_TOKEN, Value::Bool(false));
    let fleeting = insert(&here, access(&alice), fleeting).unwrap();
    here.modify(access(&alice), fleeting, suspended(true)).unwrap();
    assert_eq!(here.key(access(&alice), fleeting).err(), refused);
    let note = Object::new(vec![(CKA_CLASS, Value::Ulong(CKO_DATA)), (CKA_TOKEN, Value::Bool(true))]);
    let note = insert(&here, access(&alice), note).unwrap();
    assert_eq!(here.modify(access(&alice), note, suspended(true)), Err(Error::AttributeTypeInvalid));
}

#[test]
fn dates_are_days_in_order_and_recorded() {
    let house = House::new();
    let token = house.process();
    let alice = person(&token, "alice");
    let handle = insert(&token, access(&alice), key("key", true)).unwrap();
    let date = |kind, text: &[u8; 8]| (kind, Value::Date(Some(*text)));
    let change = |changes| token.modify(access(&alice), handle, changes);
    change(vec![date(CKA_START_DATE, b"20300101"), date(CKA_END_DATE, b"20301231")]).unwrap();
    assert_eq!(change(vec![date(CKA_START_DATE, b"20310101")]), Err(Error::TemplateInconsistent));
    assert_eq!(change(vec![date(CKA_END_DATE, b"20300231")]), Err(Error::AttributeValueInvalid));
    let stored = object(&token, &alice, handle);
    assert_eq!(rules::read(&stored, CKA_END_DATE), Ok(Value::Date(Some(*b"20301231"))));
    let next = token.rotate(access(&alice), handle).unwrap();
    assert_eq!(object(&token, &alice, next.key).get(CKA_END_DATE), None, "each version has its own");
    let template = vec![date(CKA_START_DATE, b"20310101"), date(CKA_END_DATE, b"20300101")];
    let made = Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), template, Asker::User);
    assert_eq!(made.err(), Some(Error::TemplateInconsistent));
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let told = [r#"validity 1 {"from": "20300101", "until": "20301231"}"#];
    assert_eq!(events(&token, &officer, &["validity", "modify"]), told);
}

#[test]
fn what_a_deleted_sharer_kept_opens_nothing_that_comes_after() {
    let house = House::new();
    let token = house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let officer = token.log_in(Role::Officer, None, OFFICER).unwrap();
    let handle = insert(&token, access(&alice), key("hers", true)).unwrap();
    token.share(access(&alice), handle, &["bob", "user"]).unwrap();
    let store = token.store().unwrap();
    let id = token.resolve(access(&alice), handle).unwrap().0.unwrap().header.id;
    let kept = bob.keys.open_data_key(id, bob.user, &store.load_key(id, bob.user).unwrap().unwrap()).unwrap();
    let opens = || {
        let record = store.load(crate::store::Kind::Object, id).unwrap().unwrap();
        store.open_body(&record, crate::store::BodyKey::Data(&kept)).is_ok()
    };
    token.delete_user(access(&officer), "bob", false).unwrap();
    assert!(opens(), "nobody but the owner can seal it anew");
    token.modify(access(&alice), handle, named("renamed")).unwrap();
    assert!(!opens());
    let user = person(&token, "user");
    assert_eq!(token.find(access(&user), &named("renamed")).unwrap(), [handle], "the others keep it");
    let version = token.resolve(access(&alice), handle).unwrap().0.unwrap().header.version;
    assert!(!store.write(|change| change.has_term(id, alice.user, &custody_lost())).unwrap(), "{version}");
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}

fn custody_lost() -> crate::store::Term {
    crate::token::custody::lost_term()
}

/// A rotation beside another change of the same key, each in a process of its own: one comes first, both
/// are whole, and there is at most one key of the label.
#[test]
fn a_rotation_races_with_other_changes() {
    let house = House::new();
    let token = house.process();
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    type Other = fn(&Token, &Arc<Login>, Handle) -> Result<()>;
    let others: [(&str, Other); 4] = [
        ("share", |token, alice, key| token.share(access(alice), key, &["bob"])),
        ("transfer", |token, alice, key| token.transfer(access(alice), key, "bob")),
        ("destroy", |token, alice, key| token.destroy(access(alice), key)),
        ("suspend", |token, alice, key| {
            token.modify(access(alice), key, set(CKA_STRONGROOM_SUSPENDED, Value::Bool(true)))
        }),
    ];
    let private = |label: &str| [named(label), set(CKA_CLASS, Value::Ulong(CKO_PRIVATE_KEY))].concat();
    for round in 0..5 {
        for (what, other) in others {
            let label = format!("{what}-{round}");
            pair(&token, &alice, &label);
            let start = std::sync::Barrier::new(2);
            let in_a_process = |work: Other| {
                let token = house.process();
                let alice = person(&token, "alice");
                let key = token.find(access(&alice), &private(&label)).unwrap()[0];
                start.wait();
                work(&token, &alice, key)
            };
            let (rotated, changed) = std::thread::scope(|scope| {
                let rotating = scope
                    .spawn(|| in_a_process(|token, alice, key| token.rotate(access(alice), key).map(drop)));
                let changing = scope.spawn(|| in_a_process(other));
                (rotating.join().unwrap(), changing.join().unwrap())
            });
            assert_eq!(changed, Ok(()), "{label}");
            let gone = matches!(what, "transfer" | "destroy");
            assert!(
                rotated == Ok(()) || gone && rotated == Err(Error::ObjectHandleInvalid),
                "{label}: {rotated:?}"
            );
            let hers = token.find(access(&alice), &private(&label)).unwrap();
            let his = token.find(access(&bob), &private(&label)).unwrap();
            match (what, rotated) {
                ("destroy", Err(_)) => assert_eq!((hers.len(), his.len()), (0, 0), "{label}"),
                ("transfer", Err(_)) => assert_eq!((hers.len(), his.len()), (0, 1), "{label}"),
                ("share", _) => assert!(hers.len() == 1 && his.len() <= 1, "{label}"),
                _ => assert_eq!((hers.len(), his.len()), (1, 0), "{label}"),
            }
            for key in hers {
                assert!(!version::is_retired(&object(&token, &alice, key)), "{label}");
            }
        }
    }
    assert!(token.verify(&mut |_, _| {}).unwrap().faults.is_empty());
}
