//! The chain of lines: what follows from what, and the token's signatures in it.
//!
//! A checkpoint is an entry like others. Its details hold the token's id, its public key (Ed25519,
//! 32 bytes) and a signature over [`statement`]: everything before it, named by the hash of the last
//! line. A log whose old entries were removed begins with a checkpoint, and an entry in it says so. Whoever has
//! an export and the public key needs nothing of the token to check it.

use super::{Entry, Event, Note, Tip, from_hex, hash, hex};
use crate::crypto::ed25519::{PrivateKey, PublicKey};
use crate::error::Result;
use std::io::BufRead;

/// How many faults are told one by one.
const TOLD: usize = 100;
/// No line is longer; a file with longer ones is no export.
const LONGEST_LINE: u64 = 1 << 20;

/// What a checkpoint signs: that the token's log up to `tip` is this one. Four lines, each ended by a
/// newline: the purpose, the token's id, the number of the last line, its hash in hex.
pub fn statement(token: &str, tip: &Tip) -> String {
    format!("strongroom audit checkpoint 1\n{token}\n{}\n{}\n", tip.sequence, hex(&tip.hash))
}

/// The note of a checkpoint over everything up to `tip`.
pub fn checkpoint(seed: &[u8], token: &str, tip: &Tip) -> Result<Note> {
    let (key, mut signature) = (PrivateKey::new(seed)?, [0; 64]);
    key.sign(statement(token, tip).as_bytes(), &mut signature)?;
    let note = Note::of(Event::Checkpoint).detail("token", token).detail("key", hex(&key.public()));
    Ok(note.detail("signature", hex(&signature)))
}

/// What was found in a chain of lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    pub entries: u64,
    /// The number of the first line.
    pub first: u64,
    /// The last line.
    pub tip: Tip,
    /// Signatures of the token that were right.
    pub checkpoints: u64,
    /// The last line that a right signature stands for; 0: none.
    pub signed: u64,
    /// One sentence per fault, the first hundred; empty when all is well.
    pub faults: Vec<String>,
}

/// Takes lines in order and checks each against the one before.
pub struct Chain {
    key: Option<[u8; 32]>,
    /// The token that checkpoints must name, once it is known.
    token: Option<String>,
    /// A whole log, which begins at 1 or where it was pruned.
    whole: bool,
    /// The last entry that was removed, by the entries that say so; 0: none.
    pruned: u64,
    /// The line before could not be read: nobody knows its hash.
    blind: bool,
    found: Findings,
}

impl Chain {
    /// Of a whole log. `key`: the public key that signs, if there is one yet.
    pub fn whole(token: String, key: Option<[u8; 32]>) -> Chain {
        let found = Findings { first: 1, ..Findings::default() };
        Chain { key, token: Some(token), whole: true, pruned: 0, blind: false, found }
    }

    /// Of lines from any one on.
    pub fn part(key: [u8; 32]) -> Chain {
        let found = Findings::default();
        Chain { key: Some(key), token: None, whole: false, pruned: 0, blind: false, found }
    }

    fn fault(&mut self, words: String) {
        if self.found.faults.len() < TOLD {
            self.found.faults.push(words);
        }
    }

    /// The number that the next line should have; `None`: any.
    fn next(&self) -> Option<u64> {
        (self.found.first > 0).then_some(self.found.tip.sequence + 1)
    }

    /// The next line; gives its entry if it is one.
    pub fn take(&mut self, line: &[u8]) -> Option<Entry> {
        let blind = std::mem::take(&mut self.blind);
        let Some(entry) = Entry::parse(line) else {
            let place = self.next().map_or("the first line".to_owned(), |next| format!("line {next}"));
            self.fault(format!("{place} is no entry of a log"));
            self.found.tip = Tip { sequence: self.next().unwrap_or(1), hash: hash(line) };
            self.found.first = self.found.first.max(1);
            self.found.entries += 1;
            return None;
        };
        match self.next() {
            None => self.found.first = entry.sequence,
            // Whether it may begin here is known at the end.
            Some(1) if self.whole && entry.event == Event::Checkpoint.name() => {
                self.found.first = entry.sequence;
            }
            Some(next) if entry.sequence > next => {
                self.fault(format!("entries {next} to {} are missing", entry.sequence - 1));
            }
            Some(next) if entry.sequence < next => {
                self.fault(format!("entry {} stands where {next} should", entry.sequence));
            }
            Some(_) if !blind && entry.previous != hex(&self.found.tip.hash) => self.fault(format!(
                "entry {} does not follow from the one before it: one was altered, or the log was forked",
                entry.sequence
            )),
            Some(_) => {}
        }
        if entry.event == Event::Checkpoint.name() {
            self.check_signature(&entry);
        } else if entry.event == Event::AuditPruned.name() {
            let upto = entry.details.get("upto").and_then(|upto| upto.parse().ok());
            self.pruned = self.pruned.max(upto.unwrap_or(0));
        }
        self.found.tip = Tip { sequence: entry.sequence, hash: hash(line) };
        self.found.entries += 1;
        Some(entry)
    }

    /// Of a line that is there and cannot be read.
    pub fn unreadable(&mut self, sequence: u64) {
        self.fault(format!("entry {sequence} was altered"));
        self.found.tip = Tip { sequence, hash: [0; 32] };
        self.blind = true;
        self.found.entries += 1;
    }

    fn check_signature(&mut self, entry: &Entry) {
        let detail = |name: &str| entry.details.get(name).map(String::as_str).unwrap_or_default();
        let token = self.token.get_or_insert_with(|| detail("token").to_owned()).clone();
        let before = from_hex(&entry.previous).and_then(|hash| hash.try_into().ok());
        let key = self.key.and_then(|key| PublicKey::new(&key).ok());
        let (Some(hash), Some(key), Some(signature)) = (before, key, from_hex(detail("signature"))) else {
            return self.fault(format!("checkpoint {} cannot be checked", entry.sequence));
        };
        let sequence = entry.sequence.saturating_sub(1);
        let said = statement(&token, &Tip { sequence, hash });
        if key.verify(said.as_bytes(), &signature).is_err() {
            return self.fault(format!("checkpoint {} was not signed by this token's key", entry.sequence));
        }
        self.found.checkpoints += 1;
        self.found.signed = sequence;
    }

    /// What was found, the log's end compared with where it must be, if that is known.
    pub fn finish(mut self, end: Option<Tip>) -> Findings {
        let missing = self.found.first.saturating_sub(1);
        if self.whole && missing > self.pruned {
            self.fault(format!("entries {} to {missing} are missing", self.pruned + 1));
        } else if self.whole && missing < self.pruned && self.found.faults.is_empty() {
            self.fault(format!("entries {} to {}, which were removed, are there", missing + 1, self.pruned));
        }
        let unknown = |end: &Tip| self.blind && end.sequence == self.found.tip.sequence;
        if let Some(end) = end.filter(|end| *end != self.found.tip && !unknown(end)) {
            let tip = self.found.tip.sequence;
            match tip.cmp(&end.sequence) {
                std::cmp::Ordering::Less => {
                    self.fault(format!("entries {} to {} are missing at the end", tip + 1, end.sequence));
                }
                std::cmp::Ordering::Greater => self.fault(format!(
                    "there are entries after {}, which is the last that the token knows",
                    end.sequence
                )),
                std::cmp::Ordering::Equal => {
                    self.fault(format!("entry {tip}, the last one, is not the one that the token knows"));
                }
            }
        }
        self.found
    }
}

/// Checks an exported log by the token's public key; reads line by line. An error of reading is one of
/// the file.
pub fn check_export(mut export: impl BufRead, key: [u8; 32]) -> std::io::Result<Findings> {
    let mut chain = Chain::part(key);
    let mut line = Vec::new();
    while {
        line.clear();
        std::io::Read::take(&mut export, LONGEST_LINE).read_until(b'\n', &mut line)? > 0
    } {
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        chain.take(&line);
    }
    Ok(chain.finish(None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    const SEED: [u8; 32] = [7; 32];
    const TOKEN: &str = "a token";

    fn public() -> [u8; 32] {
        PrivateKey::new(&SEED).unwrap().public()
    }

    /// Ten entries, the fifth and the last one signatures by this seed.
    fn log(seed: &[u8; 32], object: &str) -> Vec<Vec<u8>> {
        let (mut lines, mut tip) = (Vec::new(), Tip::default());
        for number in 1..=10 {
            let note = match number {
                5 | 10 => checkpoint(seed, TOKEN, &tip).unwrap(),
                _ => Note::of(Event::Wrap).object(object),
            };
            let line = Entry::new(note, tip, SystemTime::now()).line().unwrap();
            tip = tip.and(&line);
            lines.push(line);
        }
        lines
    }

    fn check(lines: &[Vec<u8>]) -> Findings {
        check_export(&lines.join(&b"\n"[..])[..], public()).unwrap()
    }

    #[test]
    fn an_export_is_checked_by_the_public_key_alone() {
        let lines = log(&SEED, "a");
        let whole = check(&lines);
        assert_eq!(whole.faults, Vec::<String>::new());
        assert_eq!((whole.entries, whole.first, whole.checkpoints, whole.signed), (10, 1, 2, 9));
        assert_eq!(whole.tip, lines.iter().fold(Tip::default(), |tip, line| tip.and(line)));
        let end = check(&lines[6..]);
        assert_eq!((end.faults.len(), end.first, end.signed), (0, 7, 9), "from any entry on");
        assert_eq!(check(&lines[..7]).signed, 4, "the cut end is not signed");
    }

    #[test]
    fn every_way_to_change_an_export_is_found() {
        let lines = log(&SEED, "a");
        let changed = |how: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut lines = lines.clone();
            how(&mut lines);
            check(&lines).faults
        };
        let edited = |lines: &mut Vec<Vec<u8>>| {
            let text = String::from_utf8(lines[2].clone()).unwrap();
            lines[2] = text.replace("\"a\"", "\"b\"").into_bytes();
        };
        assert!(changed(&edited)[0].contains("entry 4 does not follow"));
        assert!(changed(&|lines| drop(lines.remove(3)))[0].contains("entries 4 to 4 are missing"));
        assert!(changed(&|lines| lines.swap(3, 6))[0].contains("missing"));
        assert!(changed(&|lines| lines.insert(3, lines[2].clone()))[0].contains("stands where"));
        assert!(changed(&|lines| lines[3] = b"{}".to_vec())[0].contains("no entry"));
        let other = log(&SEED, "b");
        let forked = |lines: &mut Vec<Vec<u8>>| lines[6..].clone_from_slice(&other[6..]);
        assert!(changed(&forked)[0].contains("forked"));
    }

    #[test]
    fn a_log_made_up_with_another_key_is_not_the_tokens() {
        let faults = check(&log(&[8; 32], "a")).faults;
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("checkpoint 5 was not signed"));
        let mut chain = Chain::whole("another token".to_owned(), Some(public()));
        log(&SEED, "a").iter().for_each(|line| drop(chain.take(line)));
        assert_eq!(chain.finish(None).faults.len(), 2, "another token's signatures");
    }

    #[test]
    fn the_end_must_be_the_known_one() {
        let lines = log(&SEED, "a");
        let tip = |count: usize| lines[..count].iter().fold(Tip::default(), |tip, line| tip.and(line));
        let faults = |count: usize, end: Tip| {
            let mut chain = Chain::whole(TOKEN.to_owned(), Some(public()));
            lines[..count].iter().for_each(|line| drop(chain.take(line)));
            chain.finish(Some(end)).faults
        };
        assert_eq!(faults(10, tip(10)), Vec::<String>::new());
        assert!(faults(8, tip(10))[0].contains("entries 9 to 10 are missing at the end"));
        assert!(faults(10, tip(8))[0].contains("after 8"));
        assert!(faults(10, Tip { hash: [1; 32], ..tip(10) })[0].contains("the last one"));
        assert_eq!(Chain::whole(TOKEN.to_owned(), None).finish(Some(Tip::default())).faults.len(), 0);
    }
}
