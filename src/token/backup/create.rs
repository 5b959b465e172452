//! Making a backup while everybody works on.

use super::super::policy::{self, Operation};
use super::super::{Access, Login, Role, Token, appliance, custody::still_good};
use super::header::{self, Header, SUFFIX};
use super::recipients::{MOST_SLOTS, Recipient, RecoveryKey, Slot, too_many};
use super::rows;
use super::schedule::Schedule;
use super::stream::{HashingFile, Sealer};
use crate::audit::{Event, Note, hex};
use crate::crypto::Secret;
use crate::error::{Error, Result};
use crate::store::{Check, Identity, Row, Store, file_error, make_folder, sync_folder};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Where a backup goes.
pub enum Place {
    /// Into a folder, under a name that tells token and time.
    Folder(PathBuf),
    File(PathBuf),
}

/// A backup that was made.
pub struct Made {
    pub path: PathBuf,
    pub header: Header,
    pub bytes: u64,
    pub records: u64,
}

/// A draft that nobody wrote to for so long was left by a process that died.
const STALE: Duration = Duration::from_secs(600);

/// Gone, unless it was moved to its place.
struct Draft(PathBuf);

impl Draft {
    /// A new file beside `path`, and throws away what died there.
    fn new(path: &Path) -> Result<(Draft, fs::File)> {
        let draft =
            path.with_file_name(format!("{}.draft", path.file_name().unwrap_or_default().to_string_lossy()));
        remove_stale_drafts(path, &draft);
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let file = file.map_err(|e| match e.kind() {
            ErrorKind::AlreadyExists => Error::ArgumentsBad.because(format_args!(
                "{} is there: another backup to this name is being made, or died within the last {} minutes",
                draft.display(),
                STALE.as_secs() / 60
            )),
            _ => file_error(&draft, &e),
        })?;
        Ok((Draft(draft), file))
    }

    /// Never over a file that is there.
    fn into_place(self, path: &Path) -> Result<()> {
        let failed = |e: std::io::Error| file_error(path, &e);
        not_there(path)?;
        fs::rename(&self.0, path).map_err(failed)?;
        sync_folder(path).map_err(failed)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Of the folder's backups, and this one, whatever its name.
fn remove_stale_drafts(path: &Path, own: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_draft = name.to_string_lossy().ends_with(&format!(".{SUFFIX}.draft"))
            || Some(name.as_os_str()) == own.file_name();
        let modified = entry.metadata().and_then(|file| file.modified()).ok();
        let stale = modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STALE);
        if is_draft && stale {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// The name itself, or where another backup of this second has it, one with a number.
fn free_name(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..).map(|number| path.with_file_name(format!("{stem}-{number}.{SUFFIX}")));
    let taken = |path: &PathBuf| path.exists() || path.with_extension(format!("{SUFFIX}.draft")).exists();
    std::iter::once(path.to_owned()).chain(numbered).find(|path| !taken(path)).unwrap_or_default()
}

fn not_there(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(_) => Err(Error::ArgumentsBad.because(format_args!("{} is there already", path.display()))),
        Err(_) => Ok(()),
    }
}

impl Token {
    /// Who may make a backup for whom: an officer for anyone; without one, for the schedule's recovery keys
    /// only, which an officer registered. The one place that decides it.
    fn may_back_up(
        &self,
        access: Access<'_>,
        recipients: &[Recipient],
        schedule: Option<&Schedule>,
    ) -> Result<()> {
        let Some(schedule) = schedule else { return policy::may_manage(access, Operation::Backup) };
        let registered = schedule.recovery_keys()?;
        let is_registered = |recipient: &Recipient| match recipient {
            Recipient::Recovery(key) => registered.contains(key),
            Recipient::Passphrase(_) => false,
        };
        if recipients.iter().all(is_registered) { Ok(()) } else { Err(Error::UserNotLoggedIn) }
    }

    /// A backup of the token as it is at one moment; needs an officer. `watch`: rows done, of all. Errors:
    /// `DeviceMemory` when the disk is full, `ArgumentsBad` for a place that is taken, `DeviceError` when
    /// the token is damaged: then no file is left.
    pub fn back_up(
        &self,
        access: Access<'_>,
        place: &Place,
        recipients: &[Recipient],
        now: SystemTime,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Made> {
        self.may_back_up(access, recipients, None)?;
        self.write_backup(access, place, recipients, now, watch)
    }

    /// The backup that the schedule says; needs nobody. `ArgumentsBad` when there is no schedule.
    pub fn back_up_as_scheduled(
        &self,
        access: Access<'_>,
        now: SystemTime,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Made> {
        let schedule = self.schedule()?.ok_or_else(|| Error::ArgumentsBad.because("nothing is scheduled"))?;
        let keys: Vec<RecoveryKey> = schedule.recovery_keys()?;
        let recipients: Vec<_> = keys.into_iter().map(Recipient::Recovery).collect();
        self.may_back_up(access, &recipients, Some(&schedule))?;
        // The log says that it was the host itself (AU).
        let host = appliance::login(&*self.store()?)?;
        let access = Access { login: Some(&host), ..access };
        self.write_backup(access, &Place::Folder(schedule.folder.clone()), &recipients, now, watch)
    }

    /// As the token's file says it now: another process may have deleted the officer. `UserNotLoggedIn`.
    fn still_may_back_up(&self, store: &Store, access: Access<'_>) -> Result<()> {
        let Some(officer) = officer_of(access) else { return Ok(()) };
        let now = self.load_user(store, officer.user)?;
        let same = officer.token == store.token_id()
            && now.is_some_and(|user| user.role == Role::Officer && user.public == officer.keys.public);
        if same { Ok(()) } else { Err(Error::UserNotLoggedIn) }
    }

    /// Records what was done with backups, if who did it may still do it.
    pub(super) fn record_backup(&self, store: &Store, access: Access<'_>, note: Note) -> Result<()> {
        if store.read_only() {
            return self.still_may_back_up(store, access);
        }
        self.write_own(store, |change| {
            officer_of(access).map_or(Ok(()), |officer| still_good(change, officer))?;
            change.audit(access.login, note)
        })
    }

    fn write_backup(
        &self,
        access: Access<'_>,
        place: &Place,
        recipients: &[Recipient],
        now: SystemTime,
        watch: &mut dyn FnMut(u64, u64),
    ) -> Result<Made> {
        if recipients.is_empty() {
            return Err(Error::ArgumentsBad.because("a backup is for a passphrase or a recovery key"));
        }
        if recipients.len() > MOST_SLOTS {
            return Err(too_many());
        }
        let store = self.store()?;
        let label = self.label(&store)?;
        let path = match place {
            Place::File(path) => path.clone(),
            Place::Folder(folder) => {
                make_folder(folder)?;
                free_name(&folder.join(Header::file_name(&label, now)))
            }
        };
        not_there(&path)?;
        self.still_may_back_up(&store, access)?;
        let (draft, file) = Draft::new(&path)?;
        // Before the token is read: stretching a passphrase takes a while.
        let backup_key = Secret::random(32)?;
        let slot =
            |recipient: &Recipient| Slot::new(recipient, self.config.kdf, store.token_id(), &backup_key);
        let slots = recipients.iter().map(slot).collect::<Result<Vec<_>>>()?;
        let begin = |identity: &Identity| start(file, &path, identity, &label, slots, &backup_key, now);
        let written = export(&store, begin, watch);
        // Bytes that somebody deleted while the backup read the file lie in SQLite's log still.
        store.empty_log();
        let (header, stream, records) = written?;
        let bytes = stream.finish()?;
        let note = Note::of(Event::Backup).detail("file", path.display()).detail("sequence", header.sequence);
        let told: Vec<_> = recipients.iter().map(Recipient::told).collect();
        let note = note.detail("hash", &header.hash).detail("records", records);
        // Recorded before it has its name: there is no backup that the log does not know.
        self.record_backup(&store, access, note.detail("recipients", told.join(", ")))?;
        draft.into_place(&path)?;
        Ok(Made { path, header, bytes, records })
    }
}

/// The officer who acts; none for the schedule, which is the host's own.
fn officer_of(access: Access<'_>) -> Option<&Arc<Login>> {
    access.login.filter(|login| login.role != Role::Appliance)
}

/// The header, and the stream behind it.
fn start(
    file: fs::File,
    path: &Path,
    identity: &Identity,
    label: &str,
    slots: Vec<Slot>,
    backup_key: &Secret,
    now: SystemTime,
) -> Result<(Header, Sealer)> {
    let tip = Check::new(identity)?.tip();
    let header = Header {
        token: identity.token.to_string(),
        label: label.to_owned(),
        made: header::moment(now),
        sequence: tip.sequence,
        hash: hex(&tip.hash),
        recipients: slots,
    };
    let mut out = HashingFile::new(file, path);
    out.write(&header.encode()?)?;
    Ok((header, Sealer::new(out, backup_key)?))
}

/// All rows into a stream that `begin` starts; gives it back open, and how many records there were.
fn export(
    store: &Store,
    begin: impl FnOnce(&Identity) -> Result<(Header, Sealer)>,
    watch: &mut dyn FnMut(u64, u64),
) -> Result<(Header, Sealer, u64)> {
    let (mut begin, mut started) = (Some(begin), None);
    let (mut all, mut done, mut records) = (0, 0, 0);
    store.export(&mut |row| {
        if let (Row::Identity(identity), Some(begin)) = (&row, begin.take()) {
            let check = Check::new(identity)?;
            all = check.records() + check.tip().sequence;
            started = Some(begin(identity)?);
        }
        let (_, stream) = started.as_mut().ok_or(Error::GeneralError)?;
        rows::write(stream, &row)?;
        match row {
            Row::Identity(_) => return Ok(()),
            Row::Record(_) => records += 1,
            Row::Line(..) => {}
        }
        done += 1;
        watch(done, all);
        Ok(())
    })?;
    let (header, stream) = started.ok_or(Error::GeneralError)?;
    Ok((header, stream, records))
}
