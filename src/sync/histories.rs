//! Whole tokens through random histories: people make, change, share, give away and destroy objects, are locked,
//! unlocked and given new passwords, on three hosts that hear of each other in any order, late, twice or not at all. At the end all hear
//! everything: then all files hold the same bytes, what was destroyed is gone, and what is left opens.
//!
//! Each history has a number, which is its seed. `HISTORIES` in the environment: how many.

use super::peer::Peer;
use super::wire;
use crate::audit::{Event, Note};
use crate::config::SlotConfig;
use crate::error::Error;
use crate::object::template::{Asker, Draft, Origin};
use crate::object::{Object, Template, Value};
use crate::store::{Id, Kind, RecordRow};
use crate::sync::engine::Seen;
use crate::token::{Access, Joining, Login, Role, Token};
use cryptoki_sys::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HOSTS: usize = 3;
const OFFICER: &[u8] = b"officer-1";
const PEOPLE: [&str; 2] = ["alice", "bob"];

/// Any numbers, the same ones for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

fn access(login: &Arc<Login>) -> Access<'_> {
    Access { login: Some(login), write: true, session: 1 }
}

fn text(kind: u64, text: &str) -> Template {
    vec![(kind, Value::Bytes(text.as_bytes().to_vec()))]
}

/// A key of a history: its CKA_ID is the history's number.
fn key(history: &str, label: &str, private: bool) -> Object {
    let template = vec![
        (CKA_TOKEN, Value::Bool(true)),
        (CKA_PRIVATE, Value::Bool(private)),
        (CKA_SENSITIVE, Value::Bool(false)),
        (CKA_EXTRACTABLE, Value::Bool(true)),
        (CKA_LABEL, Value::Bytes(label.as_bytes().to_vec())),
        (CKA_ID, Value::Bytes(history.as_bytes().to_vec())),
    ];
    let draft = Draft::new(Origin::Generated, Some(CKO_SECRET_KEY), Some(CKK_AES), template, Asker::User);
    draft.unwrap().complete(vec![(CKA_VALUE, Value::Secret([7; 32][..].into()))]).unwrap()
}

/// Three hosts with one token, its officer and two people.
struct Hosts {
    _folders: Vec<tempfile::TempDir>,
    tokens: Vec<Token>,
}

impl Hosts {
    fn new() -> Hosts {
        // In memory where there is such a folder: each change is synced.
        let folder = || tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let folders: Vec<_> = (0..HOSTS).map(|_| folder()).collect();
        let configs: Vec<_> = folders.iter().map(|folder| SlotConfig::for_test(folder.path())).collect();
        let first = Token::new(configs[0].clone());
        first.initialize(OFFICER, "test").unwrap();
        let officer = first.log_in(Role::Officer, None, OFFICER).unwrap();
        for name in PEOPLE {
            first.create_user(access(&officer), name, Role::User, b"pw-0").unwrap();
        }
        first.found_cluster(access(&officer), "one").unwrap();
        let mut tokens = vec![first];
        for config in &configs[1..] {
            let asks = Joining::new("another").unwrap();
            let welcome = tokens[0].welcome(access(&officer), &asks.request).unwrap();
            asks.open(&welcome.sealed).unwrap().make(config).unwrap();
            tokens.push(Token::new(config.clone()));
        }
        Hosts { _folders: folders, tokens }
    }
}

/// The hosts, who is logged in there, and what was ever sent in a history.
struct World<'a> {
    tokens: &'a [Token],
    peers: Vec<Peer<'a>>,
    logins: BTreeMap<(usize, &'static str), Arc<Login>>,
    /// All that were ever good, the newest last.
    passwords: BTreeMap<&'static str, Vec<String>>,
    mail: Vec<(Vec<u8>, Vec<u8>)>,
    revision: i64,
    dice: Dice,
}

impl<'a> World<'a> {
    fn new(tokens: &'a [Token]) -> World<'a> {
        let peers = tokens.iter().map(|token| Peer::new(token, "here/").unwrap()).collect();
        let passwords = PEOPLE.map(|name| (name, vec!["pw-0".to_owned()])).into_iter().collect();
        World {
            tokens,
            peers,
            logins: BTreeMap::new(),
            passwords,
            mail: Vec::new(),
            revision: 1,
            dice: Dice(0),
        }
    }

    /// With one of the passwords that were good at some time: which of them is, depends on what the host heard.
    fn login(&mut self, host: usize, name: &'static str) -> Option<Arc<Login>> {
        let token = &self.tokens[host];
        if let Some(login) = self.logins.get(&(host, name)) {
            // A look at the file ends it, if it must end.
            let _ = token.find(access(login), &text(CKA_ID, "nothing"));
            if !login.ended() {
                return Some(Arc::clone(login));
            }
        }
        let passwords = self.passwords.entry(name).or_default();
        // More wrong ones in a row than the lock allows are not tried.
        for at in (0..passwords.len()).rev().take(4) {
            if let Ok(login) = token.log_in(Role::User, Some(name), passwords[at].as_bytes()) {
                self.logins.insert((host, name), Arc::clone(&login));
                return Some(login);
            }
        }
        None
    }

    fn officer(&self, host: usize) -> Arc<Login> {
        self.tokens[host].log_in(Role::Officer, None, OFFICER).unwrap()
    }

    /// What a host has for the others goes out, and is in nobody's hands yet.
    fn post(&mut self, host: usize) {
        let peer = &self.peers[host];
        let waiting = peer.store.outgoing(10_000).unwrap();
        for whole in &waiting {
            self.mail.push(peer.letter(whole).unwrap());
        }
        self.peers[host].posted(&waiting).unwrap();
    }

    fn deliver(&mut self, host: usize, letters: &[usize]) {
        let seen = letters.iter().map(|at| {
            let (key, value) = self.mail[*at].clone();
            self.revision += 1;
            Seen { key, value: Some(value), revision: self.revision }
        });
        let seen = seen.collect();
        self.peers[host].take(seen).unwrap();
    }

    fn step(&mut self, history: &str) {
        let (host, name) = (self.dice.below(HOSTS), PEOPLE[self.dice.below(PEOPLE.len())]);
        let other = PEOPLE[usize::from(name == PEOPLE[0])];
        match self.dice.below(40) {
            0 => self.wrong_passwords(host, name),
            1 => self.officer_resets(host, name, &format!("reset-{}", self.revision)),
            2 => {
                let officer = self.officer(host);
                self.tokens[host].unlock(access(&officer), name).unwrap();
            }
            3..12 => self.post(host),
            12..20 => {
                if let Some(last) = self.mail.len().checked_sub(1) {
                    let letters: Vec<usize> =
                        (0..=self.dice.below(6)).map(|_| self.dice.below(last + 1)).collect();
                    self.deliver(host, &letters);
                }
            }
            20..24 => self.make(host, name, history),
            choice => self.change(host, name, other, history, choice),
        }
    }

    fn wrong_passwords(&mut self, host: usize, name: &str) {
        for _ in 0..self.dice.below(7) {
            let _ = self.tokens[host].log_in(Role::User, Some(name), b"wrong-pw");
        }
    }

    fn officer_resets(&mut self, host: usize, name: &'static str, password: &str) {
        let officer = self.officer(host);
        self.tokens[host].reset_password(access(&officer), name, password.as_bytes()).unwrap();
        self.passwords.entry(name).or_default().push(password.to_owned());
    }

    fn make(&mut self, host: usize, name: &'static str, history: &str) {
        let Some(login) = self.login(host, name) else { return };
        let made = key(history, &format!("made-{}", self.revision), self.dice.below(4) > 0);
        self.tokens[host].insert_all(access(&login), vec![made], Note::of(Event::Generate)).unwrap();
    }

    fn change(&mut self, host: usize, name: &'static str, other: &str, history: &str, choice: usize) {
        let Some(login) = self.login(host, name) else { return };
        let (token, access) = (&self.tokens[host], access(&login));
        let found = token.find(access, &text(CKA_ID, history)).unwrap();
        if found.is_empty() {
            return;
        }
        let handle = found[self.dice.below(found.len())];
        let flag = |kind, value| vec![(kind, Value::Bool(value))];
        let done = match choice {
            24..29 => token.modify(access, handle, text(CKA_LABEL, &format!("{choice}-{}", self.revision))),
            29 => token.modify(access, handle, flag(CKA_SENSITIVE, true)),
            30 => token.modify(access, handle, flag(CKA_EXTRACTABLE, false)),
            31 => token.modify(access, handle, flag(CKA_WRAP_WITH_TRUSTED, true)),
            32..34 => token.destroy(access, handle),
            34..36 => token.share(access, handle, &[other]),
            36..38 => token.unshare(access, handle, &[other]),
            _ => token.transfer(access, handle, other),
        };
        // Of others, shared ones, by one who lost his keys meanwhile.
        let refused = [
            Error::ActionProhibited,
            Error::ObjectHandleInvalid,
            Error::UserNotLoggedIn,
            Error::AttributeReadOnly,
            Error::ArgumentsBad,
        ];
        assert!(
            done.is_ok() || done.err().is_some_and(|error| refused.contains(&error)),
            "{choice}: {done:?}"
        );
    }

    /// Everybody hears everything, in an order of his own.
    fn settle(&mut self) {
        let mut heard = 0;
        loop {
            (0..HOSTS).for_each(|host| self.post(host));
            if heard == self.mail.len() {
                return;
            }
            for host in 0..HOSTS {
                let mut letters: Vec<usize> = (heard..self.mail.len()).collect();
                for at in (1..letters.len()).rev() {
                    letters.swap(at, self.dice.below(at + 1));
                }
                self.deliver(host, &letters);
            }
            heard = self.mail.len();
        }
    }

    /// What all hosts have of an id; they have the same.
    fn same(&self, id: Id, seed: u64) -> Option<RecordRow> {
        let of = |peer: &Peer<'_>| peer.store.write(|change| change.whole(id)).unwrap();
        let first = of(&self.peers[0]);
        for peer in &self.peers[1..] {
            assert_eq!(of(peer), first, "history {seed}: {id} differs");
        }
        first
    }

    /// Each object that is left is opened by its owner on every host.
    fn opens(&mut self, objects: &BTreeSet<Id>, history: &str, seed: u64) {
        for host in 0..HOSTS {
            let officer = self.officer(host);
            let mut open = 0;
            for name in PEOPLE {
                let _ = self.tokens[host].unlock(access(&officer), name);
                let login = self.login(host, name);
                let login = login.unwrap_or_else(|| panic!("history {seed}: {name} has no password"));
                let (token, access) = (&self.tokens[host], access(&login));
                for handle in token.find(access, &text(CKA_ID, history)).unwrap() {
                    let object = token.object(access, handle);
                    assert!(
                        object.is_ok(),
                        "history {seed}: {name} cannot open what is his: {:?}",
                        object.err()
                    );
                    let owner = crate::object::attribute::CKA_STRONGROOM_OWNER;
                    let owner = token.attributes(access, handle, &[owner]).unwrap().remove(0).unwrap();
                    if owner.bytes() == Some(name.as_bytes()) {
                        open += 1;
                    }
                }
            }
            let headers = || -> Vec<String> {
                let store = &self.peers[host].store;
                let all = objects
                    .iter()
                    .map(|id| (store.load(Kind::Object, *id).unwrap(), store.holders(*id).unwrap()));
                all.map(|(record, holders)| format!("{:?} held by {holders:?}", record.map(|r| r.header)))
                    .collect()
            };
            assert_eq!(
                open,
                objects.len(),
                "history {seed}: on host {host} some have no owner who opens them: {:#?}",
                headers()
            );
        }
    }

    fn history(&mut self, seed: u64) {
        self.dice = Dice(seed);
        self.mail.clear();
        let history = format!("history-{seed}");
        for _ in 0..5 + self.dice.below(40) {
            self.step(&history);
        }
        self.settle();
        let mut objects = BTreeSet::new();
        let keys: BTreeSet<Vec<u8>> = self.mail.iter().map(|(key, _)| key.clone()).collect();
        for key in keys {
            let id = self.peers[0].places.id(&key).unwrap();
            let whole = self.same(id, seed).unwrap();
            if whole.record.header.kind == Kind::Object {
                objects.insert(id);
            }
            let gone = self.mail.iter().filter(|(place, _)| *place == key).any(|(_, value)| {
                let place = (&self.peers[0].places, &key[..]);
                let sent = wire::unpack_record(&self.peers[0].store, &self.peers[0].signers, place, value);
                sent.unwrap().record.header.kind == Kind::Gone
            });
            assert!(!gone || whole.record.header.kind == Kind::Gone, "history {seed}: {id} is back");
        }
        self.opens(&objects, &history, seed);
        self.settle();
    }
}

#[test]
fn every_history_of_whole_tokens_ends_the_same_everywhere() {
    let hosts = Hosts::new();
    let mut world = World::new(&hosts.tokens);
    world.settle();
    let count = std::env::var("HISTORIES").map_or(100, |count| count.parse().unwrap());
    for seed in 0..count {
        world.history(seed);
    }
    let all: BTreeSet<Id> =
        hosts.tokens.iter().flat_map(|token| token.store().unwrap().all_ids().unwrap()).collect();
    assert!(all.len() > count as usize, "{} records", all.len());
    for id in all {
        assert!(world.same(id, count).is_some());
    }
    for token in &hosts.tokens {
        assert_eq!(token.verify(&mut |_, _| {}).unwrap().faults, Vec::<String>::new());
        assert_eq!(
            token.store().unwrap().summary().unwrap(),
            hosts.tokens[0].store().unwrap().summary().unwrap()
        );
    }
}

#[test]
fn who_was_removed_stays_out_when_his_record_is_put_back() {
    let hosts = Hosts::new();
    let (first, out) = (&hosts.tokens[0], hosts.tokens[2].peer().unwrap().unwrap());
    let before = Peer::new(first, "here/").unwrap();
    assert!(before.signers.contains_key(&out));
    let row = before.store.whole(out).unwrap().unwrap();
    let (key, value) = before.letter(&row).unwrap();
    let officer = first.log_in(Role::Officer, None, OFFICER).unwrap();
    first.remove_member(access(&officer), out).unwrap();
    // He, or etcd's operator, puts back what a member who stays had signed.
    let mut peer = Peer::new(first, "here/").unwrap();
    peer.take(vec![Seen { key, value: Some(value), revision: 99 }]).unwrap();
    assert!(!peer.signers.contains_key(&out), "he signs nothing");
    assert!(peer.store.is_gone(out).unwrap());
}
