//! Logins that the verifier answers without a write, and logouts, counted until the next write or the end
//! of the library. A durable write for each would cost more than all they do.

use crate::audit::{Event, Note, Person, time};
use crate::store::Id;
use std::collections::BTreeMap;
use std::time::SystemTime;

struct Count {
    person: Person,
    logins: u64,
    logouts: u64,
    first: SystemTime,
    last: SystemTime,
}

/// What this process has to say of each user.
#[derive(Default)]
pub struct Repeats {
    /// Who counted: a forked child does not say what its parent will.
    process: u32,
    users: BTreeMap<Id, Count>,
}

impl Repeats {
    pub fn count(&mut self, user: Id, person: Person, logs_in: bool) {
        let process = std::process::id();
        if self.process != process {
            *self = Repeats { process, users: BTreeMap::new() };
        }
        let now = SystemTime::now();
        let fresh = || Count { person, logins: 0, logouts: 0, first: now, last: now };
        let count = self.users.entry(user).or_insert_with(fresh);
        count.logins += u64::from(logs_in);
        count.logouts += u64::from(!logs_in);
        count.last = now;
    }

    /// Takes back what could not be written.
    pub fn add(&mut self, earlier: Repeats) {
        if self.process != earlier.process {
            if self.users.is_empty() {
                *self = earlier;
            }
            return;
        }
        for (user, count) in earlier.users {
            match self.users.get_mut(&user) {
                Some(present) => {
                    present.logins += count.logins;
                    present.logouts += count.logouts;
                    present.first = count.first;
                }
                None => drop(self.users.insert(user, count)),
            }
        }
    }

    /// One for each user: a plain logout, or the counts.
    pub fn notes(&self) -> Vec<Note> {
        if self.process != std::process::id() {
            return Vec::new();
        }
        let note = |count: &Count| {
            let note = match (count.logins, count.logouts) {
                (0, 1) => {
                    return Note::of(Event::Logout)
                        .by(Some(count.person.clone()))
                        .detail("at", time(count.last));
                }
                (logins, logouts) => {
                    Note::of(Event::LoginsRepeated).detail("logins", logins).detail("logouts", logouts)
                }
            };
            let note = note.by(Some(count.person.clone()));
            note.detail("first", time(count.first)).detail("last", time(count.last))
        };
        self.users.values().map(note).collect()
    }
}
