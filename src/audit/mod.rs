//! The audit log as data: the list of events, an entry as a line of JSON, and what its hash is.
//!
//! A line is one JSON object. Its hash is SHA-256 of its bytes without a newline, and each line says the
//! hash of the one before it, so that `sha256sum` alone can follow the chain. `chain` checks lines and
//! signs checkpoints, `syslog` sends them. Nothing here reads or writes a file: `token` records, `store`
//! keeps. Lines hold names of users and ids of objects, no labels and no secrets.
//!
//! To add an event: a row in `events!`, and `change.audit(access.login, Note::of(Event::…))` in the
//! transaction that does it.

pub mod chain;
pub mod syslog;

use crate::crypto::Hash;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::SystemTime;

macro_rules! events {
    ($($(#[$says:meta])* $event:ident = $name:literal,)*) => {
        /// What can happen; in brackets the model's name of it, where it has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event { $($(#[$says])* $event,)* }

        impl Event {
            pub const ALL: &[Event] = &[$(Event::$event,)*];

            /// As lines and commands say it.
            pub const fn name(self) -> &'static str {
                match self { $(Event::$event => $name,)* }
            }
        }
    };
}

events! {
    /// C_InitToken (CN_INIT_TOKEN); of a present token: its id and the end of its log, which goes with it.
    TokenInitialized = "token-initialized",
    /// This host's identity (AU), in a file of before there was any.
    ApplianceMade = "appliance-made",
    /// The first right password of a user in a process (CN_LOGIN).
    Login = "login",
    /// A wrong name or password, or a locked user's; the name as it was typed (CN_LOGIN).
    LoginFailed = "login-failed",
    /// Too many wrong passwords.
    Locked = "locked",
    /// The end of a login (CN_LOGOUT, CN_APP_FINALIZE, CN_CLOSE_SESSION).
    Logout = "logout",
    /// Further logins and logouts of a user in one process, counted.
    LoginsRepeated = "logins-repeated",
    /// (CN_CREATE_USER, CN_CREATE_CO).
    UserCreated = "user-created",
    /// (CN_DELETE_USER).
    UserDeleted = "user-deleted",
    /// By the user (CN_CHANGE_PSWD).
    PasswordChanged = "password-changed",
    /// By an officer (CN_CHANGE_PSWD).
    PasswordReset = "password-reset",
    /// An officer ends a user's lock; the password stays.
    Unlocked = "unlocked",
    /// An officer asks the others for a reset of a user's password (reset policy `quorum`).
    ResetRequested = "reset-requested",
    /// Another one says yes.
    ResetApproved = "reset-approved",
    /// The request is taken back.
    ResetCanceled = "reset-canceled",
    /// Enough officers said yes to one who is new: he holds shares from now on (reset policy `quorum`).
    ShareholderAdded = "shareholder-added",
    /// Another key, or passphrase, opens the token's file.
    SealAdded = "seal-added",
    /// One of them does no more.
    SealRemoved = "seal-removed",
    /// What the configuration names was exchanged for something fresh.
    SealRotated = "seal-rotated",
    /// C_CreateObject (CN_CREATE_OBJECT).
    Create = "create",
    /// C_GenerateKey (CN_GENERATE_KEY).
    Generate = "generate",
    /// C_GenerateKeyPair (CN_GENERATE_KEY_PAIR).
    GeneratePair = "generate-pair",
    /// C_UnwrapKey (CN_UNWRAP_KEY).
    Unwrap = "unwrap",
    /// C_DeriveKey (CN_DERIVE_KEY).
    Derive = "derive",
    /// C_CopyObject.
    Copy = "copy",
    /// C_SetAttributeValue (CN_MODIFY_OBJECT).
    Modify = "modify",
    /// A new version takes a key's place.
    Rotate = "rotate",
    /// Nobody uses a key until it is resumed.
    Suspend = "suspend",
    /// The end of that.
    Resume = "resume",
    /// From when and until when a key may be used (CKA_START_DATE, CKA_END_DATE).
    Validity = "validity",
    /// (CN_SHARE_OBJECT).
    Share = "share",
    /// (CN_SHARE_OBJECT).
    Unshare = "unshare",
    /// A new owner.
    Transfer = "transfer",
    /// C_WrapKey: a key leaves the token (CN_WRAP_KEY, CN_NIST_AES_WRAP).
    Wrap = "wrap",
    /// C_DestroyObject (CN_TOMBSTONE_OBJECT).
    Destroy = "destroy",
    /// A cryptographic operation with a key that asks for it (CKA_STRONGROOM_AUDIT_USE).
    Use = "use",
    /// The token becomes the first member of a cluster.
    ClusterFounded = "cluster-founded",
    /// This host's token came from a cluster.
    ClusterJoined = "cluster-joined",
    /// An officer lets a host join: it gets the seal key.
    MemberApproved = "member-approved",
    /// An officer lets a host take everything to a cluster of its own: it gets the seal key.
    CloneApproved = "clone-approved",
    /// What came from another cluster is the first member of one of its own.
    ClusterCloned = "cluster-cloned",
    /// A key or a user went to another cluster, or token, with the same seal key.
    ReplicatedOut = "replicated-out",
    /// A key or a user came from there.
    ReplicatedIn = "replicated-in",
    /// An officer takes a host out: what it sends is refused from then on.
    MemberRemoved = "member-removed",
    /// An officer begins a new epoch of the cluster.
    EpochRotated = "epoch-rotated",
    /// This host has the secret of a new epoch.
    EpochBegun = "epoch-begun",
    /// Everything is sealed anew, and the secrets of earlier epochs are gone.
    EpochEnded = "epoch-ended",
    /// A change made here gives way to a peer's of the same time.
    Overruled = "overruled",
    /// A backup was made: its file, for whom, where the log inside ends.
    Backup = "backup",
    /// Something came back from a backup: all of it, a user or an object.
    Restore = "restore",
    /// Backups that make themselves: how often, where, for whom; or no more.
    BackupSchedule = "backup-schedule",
    /// Old backups were removed.
    BackupPruned = "backup-pruned",
    /// Old entries were removed, which an export has: up to which one.
    AuditPruned = "audit-pruned",
    /// The configuration loosens other rules against attacks than before: which ones now.
    RulesChanged = "rules-changed",
    /// The token's signature over everything before.
    Checkpoint = "checkpoint",
}

/// Someone, as a line says it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: String,
    /// Empty for a name that nobody has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// CO, CU or AU, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
}

/// The process that did it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    /// The program's file name.
    pub program: String,
}

/// One entry of the log, in the order of its line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1, without gaps.
    pub sequence: u64,
    /// RFC 3339, UTC, microseconds.
    pub time: String,
    /// An [`Event::name`]; of a newer version perhaps.
    pub event: String,
    /// Who did it; `None`: nobody who was logged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Person>,
    /// Whom it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Person>,
    /// Ids (CKA_UNIQUE_ID) of what it was done to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    pub process: Process,
    /// The hash of the line before, in hex; zeros in the first.
    pub previous: String,
}

/// What is to be recorded; sequence, time and process are added when it is.
#[derive(Clone, Debug)]
pub struct Note {
    pub(crate) event: Event,
    actor: Option<Person>,
    user: Option<Person>,
    objects: Vec<String>,
    details: BTreeMap<String, String>,
}

/// The most characters of a text that came from outside.
const LONGEST: usize = 64;

fn bounded(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

impl Note {
    pub fn of(event: Event) -> Note {
        Note { event, actor: None, user: None, objects: Vec::new(), details: BTreeMap::new() }
    }

    /// Who did it.
    pub fn by(mut self, actor: Option<Person>) -> Note {
        self.actor = actor;
        self
    }

    /// Whom it was done to.
    pub fn user(mut self, user: Person) -> Note {
        self.user = Some(Person { name: bounded(&user.name), ..user });
        self
    }

    /// What it was done to; may be called again.
    pub fn object(mut self, id: impl Display) -> Note {
        self.objects.push(id.to_string());
        self
    }

    pub fn detail(mut self, name: &str, value: impl Display) -> Note {
        self.details.insert(name.to_owned(), value.to_string());
        self
    }
}

/// Time as lines say it.
pub fn time(at: SystemTime) -> String {
    humantime::format_rfc3339_micros(at).to_string()
}

impl Process {
    /// This one.
    pub fn this() -> Process {
        let program = std::env::current_exe().ok();
        let name = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default();
        Process { pid: std::process::id(), program: bounded(&name.to_string_lossy()) }
    }
}

impl Entry {
    /// The entry that follows.
    pub fn new(note: Note, after: Tip, now: SystemTime) -> Entry {
        Entry {
            sequence: after.sequence + 1,
            time: time(now),
            event: note.event.name().to_owned(),
            actor: note.actor,
            user: note.user,
            objects: note.objects,
            details: note.details,
            process: Process::this(),
            previous: hex(&after.hash),
        }
    }

    /// Its line, without a newline.
    pub fn line(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| Error::GeneralError.because(format_args!("audit entry: {e}")))
    }

    /// `None` when it is none.
    pub fn parse(line: &[u8]) -> Option<Entry> {
        serde_json::from_slice(line).ok()
    }

    /// Whether this user, by name or id, did it or had it done to him.
    pub fn concerns(&self, user: &str) -> bool {
        [&self.actor, &self.user].into_iter().flatten().any(|person| person.name == user || person.id == user)
    }
}

/// An end of a log: the last line's number and hash. Nothing yet: 0 and zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    pub sequence: u64,
    pub hash: [u8; 32],
}

impl Tip {
    /// The end when this line was added.
    pub fn and(self, line: &[u8]) -> Tip {
        Tip { sequence: self.sequence + 1, hash: hash(line) }
    }
}

/// The hash of a line.
pub fn hash(line: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(&Hash::Sha256.digest(line));
    out
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The reverse; `None` when it is not hex.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_one_name() {
        for (place, event) in Event::ALL.iter().enumerate() {
            assert!(Event::ALL[..place].iter().all(|earlier| earlier.name() != event.name()), "{event:?}");
        }
    }

    #[test]
    fn a_line_says_what_was_noted_and_nothing_empty() {
        let typed = Person { name: "n\u{202e}\"\n".to_owned() + &"x".repeat(100), ..Person::default() };
        let note = Note::of(Event::LoginFailed).user(typed).detail("mechanism", "CKM_X").object("id");
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(1_795_606_254_000_007);
        let line = Entry::new(note, Tip { sequence: 2, hash: [0xab; 32] }, at).line().unwrap();
        assert!(!line.contains(&b'\n') && !String::from_utf8_lossy(&line).contains("actor"));
        let entry = Entry::parse(&line).unwrap();
        assert_eq!((entry.sequence, &*entry.time), (3, "2026-11-25T11:30:54.000007Z"));
        assert_eq!(entry.user.unwrap().name.chars().count(), LONGEST + 1);
        assert_eq!(from_hex(&entry.previous).unwrap(), [0xab; 32]);
        assert_eq!(entry.process.pid, std::process::id());
        assert_eq!((from_hex("0"), from_hex("0g"), from_hex("")), (None, None, Some(Vec::new())));
    }
}
