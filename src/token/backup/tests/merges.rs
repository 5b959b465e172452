//! Backups where a cluster is concerned: what a merge brings and what it leaves, and clusters of their own.

use super::*;
use crate::store::merge::{Verdict, decide};
use crate::store::{Kind, RecordRow};
use crate::token::Joining;

fn founded(token: &Token) {
    token.found_cluster(access(&officer(token)), "one").unwrap();
}

/// A second member, with all that the first one has.
fn joined(token: &Token, folder: &tempfile::TempDir) -> Token {
    let asks = Joining::new("two").unwrap();
    let welcome = token.welcome(access(&officer(token)), &asks.request).unwrap();
    let config = SlotConfig::for_test(folder.path());
    asks.open(&welcome.sealed).unwrap().make(&config).unwrap();
    let second = Token::new(config);
    tell(token, &second);
    second
}

/// What one has in its outbox comes to the other, by the rules of the cluster.
fn tell(from: &Token, to: &Token) {
    let (source, target) = (from.store().unwrap(), to.store().unwrap());
    let rows = source.outgoing(10_000).unwrap();
    let (source, target) = [(&source, &source), (&target, &target)]
        .map(|(store, same)| (&**store, same.peer().unwrap().unwrap()))
        .into();
    to.write_from_peers(target, |change| {
        rows.iter().try_for_each(|row| match decide(change.whole(row.record.header.id)?.as_ref(), row) {
            Verdict::Theirs => change.adopt(row),
            _ => Ok(()),
        })
    })
    .unwrap();
    from.write_from_peers(source, |change| rows.iter().try_for_each(|row| change.sent(row))).unwrap();
}

fn terms(cluster: Cluster) -> Terms {
    Terms { cluster, ..Terms::default() }
}

impl Site {
    fn restore_as(&self, token: &Token, file: &Path, what: What<'_>, terms: Terms) -> Result<Restored> {
        let officer = token.path().exists().then(|| officer(token));
        let access = officer.as_ref().map_or(NOBODY, access);
        token.restore_backup(access, file, &self.secrets, what, terms, &mut quiet())
    }
}

fn row(token: &Token, id: Id) -> RecordRow {
    token.store().unwrap().whole(id).unwrap().unwrap()
}

fn value(token: &Token, login: &Arc<Login>, label: &str) -> Vec<u8> {
    let found = token.find(access(login), &named(label)).unwrap()[0];
    token.object(access(login), found).unwrap().object().bytes(cryptoki_sys::CKA_VALUE).to_vec()
}

#[test]
fn a_stale_backup_brings_back_no_destroyed_key_and_no_old_password() {
    let site = Site::new();
    let token = site.house.process();
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("early", true)).unwrap();
    let early = id_of_object(&token, &alice, "early");
    let before = site.back_up(&token);
    let destroy = |label: &str| {
        let found = token.find(access(&alice), &named(label)).unwrap()[0];
        token.destroy(access(&alice), found).unwrap();
    };
    // Before the cluster: nothing is left of it.
    destroy("early");
    founded(&token);
    for label in ["doomed", "kept"] {
        insert(&token, access(&alice), key(label, true)).unwrap();
    }
    let doomed = id_of_object(&token, &alice, "doomed");
    let file = site.back_up(&token);
    destroy("doomed");
    let boss = officer(&token);
    token.reset_password(access(&boss), "alice", b"changed-later").unwrap();
    token.delete_user(access(&boss), "bob", true).unwrap();
    let rows = |token: &Token| {
        let all = token.store().unwrap().all_ids().unwrap().into_iter().map(|id| row(token, id));
        let not_hers = all.filter(|row| row.record.header.id != boss.user);
        not_hers.map(|row| row.encode()).collect::<std::collections::BTreeSet<_>>()
    };
    let state = rows(&token);

    // Somebody has to choose, and it has to be an officer.
    for what in [What::Whole, What::User("bob"), What::Key(doomed)] {
        let unsaid = site.restore_as(&token, &file, what, Terms { force: true, ..Terms::default() });
        assert_eq!(unsaid.err(), Some(Error::ActionProhibited), "{what:?}");
        for login in [Some(&alice), None] {
            let access = Access { login, ..NOBODY };
            let merge = terms(Cluster::Merge);
            let denied = token.restore_backup(access, &file, &site.secrets, what, merge, &mut quiet());
            assert_eq!(denied.err(), Some(Error::UserNotLoggedIn), "{what:?}");
        }
    }
    let restored = site.restore_as(&token, &file, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((restored.users, restored.objects, restored.left_out), (0, 0, 0));
    assert_eq!((restored.merged.destroyed, restored.merged.unknown), (2, 0), "doomed and bob");
    assert!(restored.merged.newer >= 1 && restored.merged.same >= 3, "{restored:?}");
    let restored = site.restore_as(&token, &before, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((restored.objects, restored.merged.unknown), (0, 1), "early: {restored:?}");
    assert!(rows(&token) == state, "nothing was put in");
    let old = token.log_in(Role::User, Some("alice"), b"pw-alice");
    assert_eq!(old.err(), Some(Error::PinIncorrect));
    let alice = token.log_in(Role::User, Some("alice"), b"changed-later").unwrap();
    assert_eq!(["early", "doomed", "kept"].map(|label| sees(&token, &alice, label)), [0, 0, 1]);

    // Where the officer says so.
    let all = Terms { unknown: true, ..terms(Cluster::Merge) };
    assert_eq!(site.restore_as(&token, &before, What::Whole, all).unwrap().objects, 1);
    assert_eq!(value(&token, &alice, "early"), VALUE);
    assert_eq!(row(&token, early).record.header.returns(), 0);
    let gone = row(&token, doomed);
    site.restore_as(&token, &file, What::Key(doomed), terms(Cluster::Merge)).unwrap();
    assert_eq!(value(&token, &alice, "doomed"), VALUE);
    assert_eq!(decide(Some(&gone), &row(&token, doomed)), Verdict::Theirs);
    // And over what is there with force.
    let present = site.restore_as(&token, &file, What::Key(doomed), terms(Cluster::Merge));
    assert_eq!(present.err(), Some(Error::ActionProhibited));
    let forced = Terms { force: true, ..terms(Cluster::Merge) };
    let present = row(&token, doomed);
    site.restore_as(&token, &file, What::Key(doomed), forced).unwrap();
    assert_eq!(decide(Some(&present), &row(&token, doomed)), Verdict::Theirs);
    whole(&token);
    // It is changed, shared and destroyed like any other.
    let handle = token.find(access(&alice), &named("doomed")).unwrap()[0];
    token.modify(access(&alice), handle, named("renamed")).unwrap();
    assert_eq!((sees(&token, &alice, "doomed"), value(&token, &alice, "renamed").len()), (0, 32));
    let brought = row(&token, doomed);
    token.destroy(access(&alice), handle).unwrap();
    assert_eq!(decide(Some(&brought), &row(&token, doomed)), Verdict::Theirs);
    whole(&token);
}

#[test]
fn what_only_a_lost_host_had_comes_into_the_cluster() {
    let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
    let token = site.house.process();
    founded(&token);
    let lost = joined(&token, &folder);
    let alice = person(&lost, "alice");
    let made = insert(&lost, access(&alice), key("only there", true)).unwrap();
    lost.share(access(&alice), made, &["bob"]).unwrap();
    lost.create_user(access(&officer(&lost)), "carol", Role::User, b"pw-carol").unwrap();
    let carol = person(&lost, "carol");
    insert(&lost, access(&carol), key("carol's", true)).unwrap();
    let file = site.back_up(&lost);
    drop(lost);
    let restored = site.restore_as(&token, &file, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((restored.users, restored.objects, restored.left_out), (1, 2, 0), "{restored:?}");
    let (alice, bob, carol) = (person(&token, "alice"), person(&token, "bob"), person(&token, "carol"));
    assert_eq!(value(&token, &alice, "only there"), VALUE);
    assert_eq!(value(&token, &bob, "only there"), VALUE);
    assert_eq!(value(&token, &carol, "carol's"), VALUE);
    whole(&token);
    // The peers get it, and a second time nothing is left to do.
    let ids: Vec<Id> =
        token.store().unwrap().outgoing(1000).unwrap().iter().map(|row| row.record.header.id).collect();
    assert!(ids.contains(&id_of_object(&token, &alice, "only there")));
    let again = site.restore_as(&token, &file, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((again.users, again.objects), (0, 0));
    let boss = officer(&token);
    let mut details = Vec::new();
    token
        .audit_lines(access(&boss), 1, |entry, _| {
            if entry.event == "restore" {
                details.push((entry.details["what"].clone(), entry.objects.len()));
            }
            true
        })
        .unwrap();
    // The two, carol, and the counts of logins of two others.
    assert_eq!(details, [("merge".to_owned(), 5), ("merge".to_owned(), 0)]);
}

#[test]
fn a_user_brought_back_wins_on_every_host() {
    let (site, folder) = (Site::new(), tempfile::tempdir().unwrap());
    let token = site.house.process();
    founded(&token);
    let (alice, bob) = (person(&token, "alice"), person(&token, "bob"));
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    token.share(access(&alice), hers, &["bob"]).unwrap();
    insert(&token, access(&bob), key("his", true)).unwrap();
    let file = site.back_up(&token);
    let boss = officer(&token);
    token.delete_user(access(&boss), "bob", true).unwrap();
    let peer = joined(&token, &folder);
    let word = terms(Cluster::Merge);
    let restored = site.restore_as(&token, &file, What::User("bob"), word).unwrap();
    assert_eq!((restored.users, restored.objects, restored.left_out), (1, 2, 0));
    tell(&token, &peer);
    assert_eq!(token.store().unwrap().summary().unwrap(), peer.store().unwrap().summary().unwrap());
    for host in [&token, &peer] {
        let bob = person(host, "bob");
        assert_eq!(value(host, &bob, "his"), VALUE);
        assert_eq!(value(host, &bob, "hers"), VALUE, "what alice shares with him");
        whole(host);
    }
    // The officer can give him a password, and what he makes now replaces what came back.
    peer.reset_password(access(&officer(&peer)), "bob", b"pw-later").unwrap();
    let bob = peer.log_in(Role::User, Some("bob"), b"pw-later").unwrap();
    assert_eq!(value(&peer, &bob, "his"), VALUE);
    tell(&peer, &token);
    token.log_in(Role::User, Some("bob"), b"pw-later").unwrap();
    assert!(token.log_in(Role::User, Some("bob"), b"pw-bob").is_err());
}

/// A new epoch, everything sealed anew, the secrets of before thrown away.
fn rotate(token: &Token) {
    let (store, secret) = (token.store().unwrap(), Secret::random(32).unwrap());
    let next = store.ring().present() + 1;
    store
        .write(|change| {
            change.learn_epochs([(next, secret)])?;
            change.reseal(Default::default(), 10_000)?;
            change.drop_epochs()
        })
        .unwrap();
    store.refresh().unwrap();
    assert_eq!(store.ring().epochs.len(), 1);
}

#[test]
fn a_backup_of_an_earlier_epoch_opens_and_what_came_back_outlives_the_next() {
    let site = Site::new();
    let token = site.house.process();
    founded(&token);
    let alice = person(&token, "alice");
    for (label, private) in [("hers", true), ("open", false)] {
        insert(&token, access(&alice), key(label, private)).unwrap();
    }
    let ids = ["hers", "open"].map(|label| id_of_object(&token, &alice, label));
    let file = site.back_up(&token);
    rotate(&token);
    let merge = site.restore_as(&token, &file, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((merge.users, merge.objects, merge.merged.updated), (0, 0, 0), "{merge:?}");
    assert!(merge.merged.same >= 5, "sealed anew it is the same: {merge:?}");
    token.delete_user(access(&officer(&token)), "bob", true).unwrap();
    for (label, id) in ["hers", "open"].iter().zip(ids) {
        let found = token.find(access(&alice), &named(label)).unwrap()[0];
        token.destroy(access(&alice), found).unwrap();
        site.restore_as(&token, &file, What::Key(id), terms(Cluster::Merge)).unwrap();
    }
    site.restore_as(&token, &file, What::User("bob"), terms(Cluster::Merge)).unwrap();
    rotate(&token);
    let all = |token: &Token| {
        let alice = person(token, "alice");
        assert_eq!([value(token, &alice, "hers"), value(token, &alice, "open")], [VALUE, VALUE]);
        person(token, "bob");
        whole(token);
    };
    all(&token);
    // Of it a clone, which goes on by epochs of its own; and what is made at either is taken to the other.
    let (_folder, config) = elsewhere();
    let clone = Token::new(config);
    clone.clone_of(&token, "far").unwrap();
    rotate(&clone);
    rotate(&token);
    all(&clone);
    let alice = person(&token, "alice");
    let made = insert(&token, access(&alice), key("later", false)).unwrap();
    let there = person(&clone, "alice");
    token.replicate(access(&alice), made, &clone, access(&there)).unwrap();
    assert_eq!(value(&clone, &there, "later"), VALUE);
    let again = token.replicate(access(&alice), made, &clone, access(&there));
    assert_eq!(again, Ok(crate::token::Replicated::Same));
    let (boss, chief) = (officer(&token), officer(&clone));
    token.create_user(access(&boss), "carol", Role::User, b"pw-carol").unwrap();
    token.replicate_user(access(&boss), "carol", &clone, access(&chief)).unwrap();
    person(&clone, "carol");
    whole(&clone);
}

#[test]
fn a_backup_of_a_member_is_a_new_cluster_or_a_merge_and_nothing_else() {
    let site = Site::new();
    let token = site.house.process();
    founded(&token);
    let alice = person(&token, "alice");
    insert(&token, access(&alice), key("hers", true)).unwrap();
    let file = site.back_up(&token);
    assert_eq!(site.read(&file).unwrap().counts.members, 1);
    let (_folder, config) = elsewhere();
    let there = Token::new(config);
    for word in [Cluster::Unsaid, Cluster::Merge] {
        for what in [What::Whole, What::User("alice")] {
            let refused = site.restore_as(&there, &file, what, terms(word));
            assert_eq!(refused.err(), Some(Error::ActionProhibited), "{word:?} {what:?}");
        }
    }
    assert!(!there.path().exists());
    site.restore_as(&there, &file, What::Whole, terms(Cluster::New)).unwrap();
    let alone = |token: &Token| {
        assert_eq!((token.members().unwrap().len(), token.peer().unwrap()), (0, None));
        assert_eq!(token.store().unwrap().position().unwrap(), Default::default());
        assert_eq!(value(token, &person(token, "alice"), "hers"), VALUE);
        whole(token);
    };
    alone(&there);
    assert_ne!(there.appliance().unwrap().unwrap().id, token.appliance().unwrap().unwrap().id);
    founded(&there);
    assert_eq!(there.members().unwrap().len(), 1);
    // Over a member: it leaves, and is another host to whoever knew it.
    let was = token.appliance().unwrap().unwrap().id;
    let partly = site.restore_as(&token, &file, What::User("alice"), terms(Cluster::New));
    assert_eq!(partly.err(), Some(Error::ArgumentsBad));
    site.restore_as(&token, &file, What::Whole, terms(Cluster::New)).unwrap();
    alone(&token);
    assert_eq!(token.store().unwrap().pending().unwrap(), 0);
    let store = token.store().unwrap();
    assert_eq!(token.write_from_peers((&*store, was), |_| Ok(())), Err(Error::TokenNotRecognized));
    assert_ne!(token.appliance().unwrap().unwrap().id, was);
    // A single token takes no merge.
    let merge = site.restore_as(&token, &file, What::Whole, terms(Cluster::Merge));
    assert_eq!(merge.err(), Some(Error::ActionProhibited));
    // Nor a member's backup without a word.
    let unsaid = site.restore_as(&token, &file, What::Whole, Terms { force: true, ..Terms::default() });
    assert_eq!(unsaid.err(), Some(Error::ActionProhibited));
    let left = row(&token, token.id().unwrap());
    assert_eq!(left.record.header.kind, Kind::Token);
}

#[test]
fn a_clone_has_everything_and_members_of_its_own() {
    let site = Site::new();
    let token = site.house.process();
    founded(&token);
    let alice = person(&token, "alice");
    let hers = insert(&token, access(&alice), key("hers", true)).unwrap();
    insert(&token, access(&alice), key("doomed", true)).unwrap();
    let doomed = id_of_object(&token, &alice, "doomed");
    let file = site.back_up(&token);
    let handle = token.find(access(&alice), &named("doomed")).unwrap()[0];
    token.destroy(access(&alice), handle).unwrap();
    let (_one, config) = elsewhere();
    let direct = Token::new(config);
    direct.clone_of(&token, "far").unwrap();
    let (_two, config) = elsewhere();
    let of_backup = Token::new(config);
    of_backup.clone_from_backup((&file, &site.secrets), "farther", None, &mut quiet()).unwrap();
    for (clone, name) in [(&direct, "far"), (&of_backup, "farther")] {
        let members = clone.members().unwrap();
        assert_eq!(members.iter().map(|member| &*member.name).collect::<Vec<_>>(), [name]);
        assert_eq!(clone.peer().unwrap(), Some(members[0].id));
        assert!(token.members().unwrap().iter().all(|other| other.id != members[0].id));
        assert_eq!(value(clone, &person(clone, "alice"), "hers"), VALUE);
        assert!(clone.store().unwrap().is_clone_of(&token.store().unwrap()));
        whole(clone);
        let again = clone.clone_of(&token, "far");
        assert_eq!(again, Err(Error::ActionProhibited));
        // All of it is its peers' to get; what was destroyed stays so.
        let store = clone.store().unwrap();
        assert_eq!(store.pending().unwrap(), store.summary().unwrap().1);
    }
    assert_eq!(row(&direct, doomed).record.header.kind, Kind::Gone);
    let merge = site.restore_as(&direct, &file, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((merge.objects, merge.merged.destroyed), (0, 1));
    // What the other cluster makes later is not this one's.
    token.modify(access(&alice), hers, named("renamed")).unwrap();
    let file = site.back_up(&token);
    let merge = site.restore_as(&direct, &file, What::Whole, terms(Cluster::Merge)).unwrap();
    assert_eq!((merge.objects, merge.merged.unknown > 0), (0, true), "{merge:?}");
    assert_eq!(sees(&direct, &person(&direct, "alice"), "renamed"), 0);
}
