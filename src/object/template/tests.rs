//! Templates held to the rows, and what changes may do to an object: never make it weaker.

use super::super::rules::legal;
use super::super::search;
use super::*;

fn secret(extra: Template) -> Template {
    let mut template = vec![
        (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
        (CKA_KEY_TYPE, Value::Ulong(CKK_AES)),
        (CKA_VALUE, Value::Secret([1; 16][..].into())),
    ];
    template.extend(extra);
    template
}

fn created(extra: Template) -> Result<Object> {
    Draft::new(Origin::Created, None, None, secret(extra), Asker::User)?.complete(vec![])
}

#[test]
fn an_imported_key_was_never_safe() {
    let key = created(vec![]).unwrap();
    for (kind, expected) in [
        (CKA_PRIVATE, true),
        (CKA_SENSITIVE, true),
        (CKA_EXTRACTABLE, false),
        (CKA_LOCAL, false),
        (CKA_ALWAYS_SENSITIVE, false),
        (CKA_NEVER_EXTRACTABLE, false),
        (CKA_WRAP, false),
    ] {
        assert_eq!(key.flag(kind), expected, "{}", named(kind));
    }
}

#[test]
fn templates_are_held_to_the_rows() {
    for (extra, error) in [
        ((CKA_LOCAL, Value::Bool(true)), Error::AttributeReadOnly),
        ((CKA_UNIQUE_ID, Value::Bytes(vec![1])), Error::AttributeReadOnly),
        ((CKA_MODULUS, Value::Bytes(vec![1])), Error::AttributeTypeInvalid),
        ((CKA_TRUSTED, Value::Bool(true)), Error::AttributeReadOnly),
        ((CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)), Error::TemplateInconsistent),
    ] {
        assert_eq!(created(vec![extra.clone()]).err(), Some(error), "{extra:?}");
    }
    let without = secret(vec![])[..2].to_vec();
    assert_eq!(
        Draft::new(Origin::Created, None, None, without.clone(), Asker::User).err(),
        Some(Error::TemplateIncomplete)
    );
    assert!(Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), without, Asker::User).is_ok());
    assert_eq!(
        Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), secret(vec![]), Asker::User).err(),
        Some(Error::TemplateInconsistent)
    );
    assert_eq!(
        Draft::new(Origin::Generated, Some(CKO_PUBLIC_KEY), Some(CKK_AES), vec![], Asker::User).err(),
        Some(Error::AttributeValueInvalid)
    );
}

#[test]
fn one_way_attributes_go_one_way() {
    let key =
        created(vec![(CKA_EXTRACTABLE, Value::Bool(true)), (CKA_SENSITIVE, Value::Bool(false))]).unwrap();
    let safer = modify(
        &key,
        vec![(CKA_SENSITIVE, Value::Bool(true)), (CKA_EXTRACTABLE, Value::Bool(false))],
        Asker::User,
    )
    .unwrap();
    for back in [(CKA_SENSITIVE, Value::Bool(false)), (CKA_EXTRACTABLE, Value::Bool(true))] {
        assert_eq!(modify(&safer, vec![back.clone()], Asker::User).err(), Some(Error::AttributeReadOnly));
        assert_eq!(copy(&safer, vec![back], Asker::User).err(), Some(Error::AttributeReadOnly));
    }
    assert_eq!(
        modify(&key, vec![(CKA_TOKEN, Value::Bool(true))], Asker::User).err(),
        Some(Error::AttributeReadOnly)
    );
    assert!(copy(&key, vec![(CKA_TOKEN, Value::Bool(true))], Asker::User).unwrap().is_token());
    assert_eq!(
        modify(&key, vec![(CKA_TRUSTED, Value::Bool(true))], Asker::User).err(),
        Some(Error::AttributeReadOnly)
    );
    assert!(modify(&key, vec![(CKA_TRUSTED, Value::Bool(true))], Asker::Officer).is_ok());
    let fixed =
        created(vec![(CKA_MODIFIABLE, Value::Bool(false)), (CKA_COPYABLE, Value::Bool(false))]).unwrap();
    assert_eq!(modify(&fixed, vec![], Asker::User).err(), Some(Error::ActionProhibited));
    assert_eq!(copy(&fixed, vec![], Asker::User).err(), Some(Error::ActionProhibited));
}

#[test]
fn a_generated_key_is_local_and_safe() {
    let draft =
        Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), vec![], Asker::User).unwrap();
    let key = draft.complete(vec![(CKA_VALUE, Value::Secret([1; 16][..].into()))]).unwrap();
    assert!(key.flag(CKA_LOCAL) && key.flag(CKA_ALWAYS_SENSITIVE) && key.flag(CKA_NEVER_EXTRACTABLE));
}

/// Every class and key type that callers make, with what C_CreateObject needs at least.
fn makings() -> Vec<(u64, Option<u64>, Template)> {
    let bytes = |kind| (kind, Value::Bytes(vec![1, 2, 3]));
    let secret = |kind| (kind, Value::Secret([1; 16][..].into()));
    let mut all = vec![
        (CKO_DATA, None, vec![]),
        (CKO_CERTIFICATE, None, vec![(CKA_CERTIFICATE_TYPE, Value::Ulong(CKC_X_509)), secret(CKA_VALUE)]),
        (CKO_PUBLIC_KEY, Some(CKK_RSA), vec![bytes(CKA_MODULUS), bytes(CKA_PUBLIC_EXPONENT)]),
        (CKO_PRIVATE_KEY, Some(CKK_RSA), vec![bytes(CKA_MODULUS), secret(CKA_PRIVATE_EXPONENT)]),
    ];
    for curve in [CKK_EC, CKK_EC_EDWARDS, CKK_EC_MONTGOMERY] {
        all.push((CKO_PUBLIC_KEY, Some(curve), vec![bytes(CKA_EC_PARAMS), bytes(CKA_EC_POINT)]));
        all.push((CKO_PRIVATE_KEY, Some(curve), vec![bytes(CKA_EC_PARAMS), secret(CKA_VALUE)]));
    }
    for key_type in [CKK_AES, CKK_GENERIC_SECRET].iter().chain(rules::HMAC_KEY_TYPES) {
        all.push((CKO_SECRET_KEY, Some(*key_type), vec![secret(CKA_VALUE)]));
    }
    for (class, key_type, template) in &mut all {
        template.insert(0, (CKA_CLASS, Value::Ulong(*class)));
        template.extend(key_type.map(|number| (CKA_KEY_TYPE, Value::Ulong(number))));
    }
    all
}

fn create(template: Template) -> Result<Object> {
    Draft::new(Origin::Created, None, None, template, Asker::User)?.complete(vec![])
}

#[test]
fn what_a_class_needs_is_needed_and_suffices() {
    for (class, key_type, template) in makings() {
        let object = create(template.clone()).unwrap_or_else(|e| panic!("{class} {key_type:?}: {e}"));
        for kind in legal(class, key_type) {
            let answer = rules::read(&object, kind);
            let hidden = Rules::of(&object).unwrap().find(kind).unwrap().has(rules::HIDDEN);
            let expected = if hidden { Some(Error::AttributeSensitive) } else { None };
            assert_eq!(answer.err(), expected, "{class} {key_type:?} {}", named(kind));
        }
        for left_out in 0..template.len() {
            let mut without = template.clone();
            let (kind, _) = without.remove(left_out);
            assert_eq!(
                create(without).err(),
                Some(Error::TemplateIncomplete),
                "{class} {key_type:?} {}",
                named(kind)
            );
        }
    }
}

/// Some value of an attribute's shape.
fn some_value(kind: AttributeType) -> Value {
    use super::super::Shape;
    match attribute::shape(kind).unwrap() {
        Shape::Bool => Value::Bool(true),
        // Every key is version 1.
        Shape::Ulong if kind == attribute::CKA_STRONGROOM_VERSION => Value::Ulong(9),
        Shape::Ulong => Value::Ulong(1),
        Shape::Bytes => Value::Bytes(vec![9]),
        Shape::Secret => Value::Secret([9][..].into()),
        Shape::Date => Value::Date(Some(*b"20300101")),
        Shape::Mechanisms => Value::Mechanisms(vec![1]),
        Shape::Template => Value::Template(vec![]),
    }
}

#[test]
fn what_the_token_computes_or_makes_is_not_the_callers_to_give() {
    let derived = Origin::Derived { always_sensitive: true, never_extractable: true };
    let (mut computed, mut made) = (0, 0);
    for (class, key_type, template) in makings() {
        let identity: Template =
            template.iter().filter(|(kind, _)| matches!(*kind, CKA_CLASS | CKA_KEY_TYPE)).cloned().collect();
        for rule in Rules::new(class, key_type).unwrap().iter() {
            let place = format!("{class} {key_type:?} {}", named(rule.kind));
            let extra = (rule.kind, some_value(rule.kind));
            if rule.has(rules::COMPUTED) {
                computed += 1;
                let mut more = template.clone();
                more.push(extra.clone());
                assert_eq!(create(more).err(), Some(Error::AttributeReadOnly), "{place}");
                let object = create(template.clone()).unwrap();
                for change in [modify, copy] {
                    let answer = change(&object, vec![extra.clone()], Asker::Officer);
                    assert_eq!(answer.err(), Some(Error::AttributeReadOnly), "{place}");
                }
            }
            if rule.has(rules::MADE) {
                made += 1;
                for origin in [Origin::Generated, Origin::Unwrapped, derived] {
                    let mut more = identity.clone();
                    more.push(extra.clone());
                    let answer = Draft::new(origin, None, None, more, Asker::User);
                    assert_eq!(answer.err(), Some(Error::TemplateInconsistent), "{place} {origin:?}");
                }
            }
        }
    }
    assert!(computed > 60 && made > 30, "{computed} {made}");
}

#[test]
fn what_key_material_is_never_changes() {
    for (class, key_type, template) in makings().into_iter().filter(|(_, key_type, _)| key_type.is_some()) {
        let mut template = template;
        if class != CKO_PUBLIC_KEY {
            template.push((CKA_SENSITIVE, Value::Bool(false)));
            template.push((CKA_EXTRACTABLE, Value::Bool(true)));
        }
        let object = create(template.clone()).unwrap();
        for rule in Rules::new(class, key_type).unwrap().iter() {
            if rule.has(rules::CREATE | rules::MADE | rules::HIDDEN) {
                for change in [modify, copy] {
                    let answer = change(&object, vec![(rule.kind, some_value(rule.kind))], Asker::Officer);
                    assert_eq!(answer.err(), Some(Error::AttributeReadOnly), "{class} {}", named(rule.kind));
                }
            }
        }
    }
}

#[test]
fn guessing_at_a_hidden_value_tells_nothing() {
    let key = created(vec![]).unwrap();
    for guess in [[1; 16], [2; 16]] {
        let guess = vec![(CKA_VALUE, Value::Secret(guess[..].into()))];
        assert_eq!(modify(&key, guess.clone(), Asker::User).err(), Some(Error::AttributeReadOnly));
        assert_eq!(copy(&key, guess.clone(), Asker::User).err(), Some(Error::AttributeReadOnly));
        assert!(!search::matches(&key, &guess));
    }
}

#[test]
fn a_copy_is_no_way_around_modifiable() {
    let key = created(vec![
        (CKA_MODIFIABLE, Value::Bool(false)),
        (CKA_DECRYPT, Value::Bool(false)),
        (CKA_SENSITIVE, Value::Bool(false)),
        (CKA_EXTRACTABLE, Value::Bool(true)),
    ])
    .unwrap();
    for refused in [
        (CKA_DECRYPT, Value::Bool(true)),
        (CKA_MODIFIABLE, Value::Bool(true)),
        (CKA_LABEL, Value::Bytes(b"mine".to_vec())),
        (CKA_CHECK_VALUE, Value::Bytes(vec![])),
    ] {
        let mut key = key.clone();
        key.set(CKA_CHECK_VALUE, Value::Bytes(vec![1, 2, 3]));
        let answer = copy(&key, vec![refused.clone()], Asker::User);
        assert_eq!(answer.err(), Some(Error::AttributeReadOnly), "{refused:?}");
    }
    let safer = vec![
        (CKA_TOKEN, Value::Bool(true)),
        (CKA_SENSITIVE, Value::Bool(true)),
        (CKA_EXTRACTABLE, Value::Bool(false)),
    ];
    let safer = copy(&key, safer, Asker::User).unwrap();
    assert!(safer.is_token() && safer.flag(CKA_SENSITIVE) && !safer.flag(CKA_EXTRACTABLE));
    assert!(
        !safer.flag(CKA_MODIFIABLE)
            && !safer.flag(CKA_ALWAYS_SENSITIVE)
            && !safer.flag(CKA_NEVER_EXTRACTABLE)
    );
}

#[test]
fn a_trusted_key_keeps_its_uses() {
    let key = created(vec![(CKA_WRAP, Value::Bool(true)), (CKA_DECRYPT, Value::Bool(false))]).unwrap();
    let trusted = modify(&key, vec![(CKA_TRUSTED, Value::Bool(true))], Asker::Officer).unwrap();
    let (on, off) = (Value::Bool(true), Value::Bool(false));
    for changes in [
        vec![(CKA_DECRYPT, on.clone())],
        vec![(CKA_TRUSTED, off.clone())],
        vec![(CKA_TRUSTED, off.clone()), (CKA_DECRYPT, on.clone())],
    ] {
        for change in [modify, copy] {
            let answer = change(&trusted, changes.clone(), Asker::User);
            assert_eq!(answer.err(), Some(Error::AttributeReadOnly), "{changes:?}");
        }
    }
    assert!(modify(&key, vec![(CKA_DECRYPT, on)], Asker::User).is_ok(), "an untrusted one may");
    let narrower = modify(&trusted, vec![(CKA_WRAP, off.clone())], Asker::User).unwrap();
    assert!(narrower.flag(CKA_TRUSTED) && !narrower.flag(CKA_WRAP));
    assert!(modify(&trusted, vec![(CKA_TRUSTED, off)], Asker::Officer).is_ok());
}

#[test]
fn certificates_are_taken_as_they_come_and_fixed_when_trusted() {
    let certificate = |extra: Template| {
        let mut template = makings()[1].2.clone();
        template.extend(extra);
        create(template)
    };
    let plain = certificate(vec![]).unwrap();
    assert_eq!(plain.get(CKA_VALUE), Some(&Value::Bytes(vec![1; 16])));
    assert!(
        !plain.is_private() && plain.bytes(CKA_SUBJECT).is_empty() && plain.bytes(CKA_CHECK_VALUE).len() == 3
    );
    for wrong in [CKA_CERTIFICATE_CATEGORY, CKA_JAVA_MIDP_SECURITY_DOMAIN] {
        assert!(certificate(vec![(wrong, Value::Ulong(3))]).is_ok());
        let answer = certificate(vec![(wrong, Value::Ulong(4))]);
        assert_eq!(answer.err(), Some(Error::AttributeValueInvalid));
    }
    let rename: Template = vec![(CKA_LABEL, Value::Bytes(b"new".to_vec()))];
    assert!(modify(&plain, rename.clone(), Asker::User).is_ok());
    let trusted = modify(&plain, vec![(CKA_TRUSTED, Value::Bool(true))], Asker::Officer).unwrap();
    assert_eq!(modify(&trusted, rename.clone(), Asker::User).err(), Some(Error::ActionProhibited));
    assert_eq!(copy(&trusted, rename.clone(), Asker::User).err(), Some(Error::AttributeReadOnly));
    assert!(modify(&trusted, rename, Asker::Officer).is_ok());

    let mut by_url = makings()[1].2.clone();
    by_url.retain(|(kind, _)| *kind != CKA_VALUE);
    for (kind, text) in [
        (CKA_URL, "https://ca.example/1"),
        (CKA_HASH_OF_SUBJECT_PUBLIC_KEY, "subject"),
        (CKA_HASH_OF_ISSUER_PUBLIC_KEY, "issuer"),
    ] {
        assert_eq!(create(by_url.clone()).err(), Some(Error::TemplateIncomplete));
        by_url.push((kind, Value::Bytes(text.into())));
    }
    assert!(create(by_url).is_ok());
}

#[test]
fn a_check_value_can_be_declined_and_erased_but_not_invented() {
    let material = vec![(CKA_CHECK_VALUE, Value::Bytes(vec![1, 2, 3]))];
    let with = |given: Option<Vec<u8>>| {
        let extra = given.into_iter().map(|bytes| (CKA_CHECK_VALUE, Value::Bytes(bytes))).collect();
        Draft::new(Origin::Created, None, None, secret(extra), Asker::User)?.complete(material.clone())
    };
    let key = with(None).unwrap();
    assert_eq!(key.bytes(CKA_CHECK_VALUE), [1, 2, 3]);
    assert_eq!(with(Some(vec![1, 2, 3])), Ok(key.clone()));
    assert_eq!(with(Some(vec![3, 2, 1])).err(), Some(Error::AttributeValueInvalid));
    assert!(with(Some(vec![])).unwrap().bytes(CKA_CHECK_VALUE).is_empty());
    let set = |bytes: &[u8]| modify(&key, vec![(CKA_CHECK_VALUE, Value::Bytes(bytes.to_vec()))], Asker::User);
    assert!(set(&[]).unwrap().bytes(CKA_CHECK_VALUE).is_empty());
    assert_eq!(set(&[3, 2, 1]).err(), Some(Error::AttributeReadOnly));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let private = makings().into_iter().find(|(class, _, _)| *class == CKO_PRIVATE_KEY).unwrap().2;
    let with = |extra: Template| {
        let mut template = private.clone();
        template.extend(extra);
        create(template)
    };
    let each_time = (CKA_ALWAYS_AUTHENTICATE, Value::Bool(true));
    assert!(with(vec![each_time.clone()]).is_ok());
    assert_eq!(
        with(vec![each_time, (CKA_PRIVATE, Value::Bool(false))]).err(),
        Some(Error::TemplateInconsistent)
    );
    let key = with(vec![]).unwrap();
    let twice = vec![(CKA_ID, Value::Bytes(vec![1])), (CKA_ID, Value::Bytes(vec![2]))];
    assert_eq!(modify(&key, twice.clone(), Asker::User).err(), Some(Error::TemplateInconsistent));
    assert_eq!(copy(&key, twice, Asker::User).err(), Some(Error::TemplateInconsistent));
    let nobody = (0x8123_4567, Value::Bytes(vec![]));
    assert_eq!(modify(&key, vec![nobody], Asker::User).err(), Some(Error::AttributeTypeInvalid));
    let profile = vec![(CKA_CLASS, Value::Ulong(CKO_PROFILE)), (CKA_PROFILE_ID, Value::Ulong(1))];
    assert_eq!(create(profile).err(), Some(Error::AttributeValueInvalid), "profiles are built in");
}

mod never_weaker {
    use super::*;
    use proptest::prelude::*;

    const FLAGS: [AttributeType; 12] = [
        CKA_TOKEN,
        CKA_PRIVATE,
        CKA_MODIFIABLE,
        CKA_COPYABLE,
        CKA_DESTROYABLE,
        CKA_SENSITIVE,
        CKA_EXTRACTABLE,
        CKA_WRAP_WITH_TRUSTED,
        CKA_WRAP,
        CKA_DECRYPT,
        CKA_DERIVE,
        CKA_TRUSTED,
    ];

    fn flags() -> impl Strategy<Value = Template> {
        let some = proptest::sample::subsequence(FLAGS.to_vec(), 0..=5);
        (some, any::<u16>()).prop_map(|(kinds, bits)| {
            let value = |place: usize| Value::Bool(bits >> place & 1 == 1);
            kinds.into_iter().enumerate().map(|(place, kind)| (kind, value(place))).collect()
        })
    }

    /// What must hold between an object and whatever a user made of it.
    fn check(before: &Object, after: &Object) -> std::result::Result<(), TestCaseError> {
        for kind in [CKA_PRIVATE, CKA_SENSITIVE, CKA_WRAP_WITH_TRUSTED, CKA_TRUSTED] {
            prop_assert!(!before.flag(kind) || after.flag(kind), "{}", named(kind));
        }
        for kind in [
            CKA_MODIFIABLE,
            CKA_COPYABLE,
            CKA_DESTROYABLE,
            CKA_EXTRACTABLE,
            CKA_ALWAYS_SENSITIVE,
            CKA_NEVER_EXTRACTABLE,
            CKA_LOCAL,
            CKA_TRUSTED,
        ] {
            prop_assert!(before.flag(kind) || !after.flag(kind), "{}", named(kind));
        }
        if before.flag(CKA_TRUSTED) || !before.flag(CKA_MODIFIABLE) {
            for kind in [CKA_WRAP, CKA_DECRYPT, CKA_DERIVE] {
                prop_assert!(before.flag(kind) || !after.flag(kind), "{}", named(kind));
            }
        }
        if rules::read(before, CKA_VALUE).is_err() {
            prop_assert_eq!(rules::read(after, CKA_VALUE), Err(Error::AttributeSensitive));
        }
        prop_assert_eq!(before.get(CKA_VALUE), after.get(CKA_VALUE));
        Ok(())
    }

    proptest! {
        #[test]
        fn whatever_a_user_does(
            first in flags(),
            trusted in any::<bool>(),
            steps in prop::collection::vec((any::<bool>(), flags()), 1..12),
        ) {
            let mut template = secret(first);
            template.retain(|(kind, _)| *kind != CKA_TRUSTED);
            template.push((CKA_TRUSTED, Value::Bool(trusted)));
            let start = Draft::new(Origin::Created, None, None, template, Asker::Officer).unwrap();
            let mut object = start.complete(vec![]).unwrap();
            for (by_copy, changes) in steps {
                let change = if by_copy { copy } else { modify };
                if let Ok(next) = change(&object, changes, Asker::User) {
                    check(&object, &next)?;
                    object = next;
                }
            }
        }
    }
}
