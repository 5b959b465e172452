//! Backups that make themselves: the schedule in the token's own record, what is in a folder, and what of
//! it is old enough to go.

use super::super::officers::own_field;
use super::super::policy::{self, Operation};
use super::super::{Access, Token, appliance, custody::still_good};
use super::header::{BackupFile, Header, SUFFIX};
use super::recipients::{MOST_SLOTS, RecoveryKey, too_many};
use crate::audit::{Event, Note};
use crate::error::{Error, Result};
use crate::object::Value;
use crate::store::file_error;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The token's field (`officers.rs` has others): the schedule as JSON.
const SCHEDULE: u64 = 30;
/// How long backups are kept, in days: as the model's 7 to 379.
pub const KEEP_DAYS: std::ops::RangeInclusive<u32> = 7..=379;
pub const DEFAULT_KEEP_DAYS: u32 = 90;
/// Names that a line of the log holds.
const MOST_NAMES: usize = 10;

/// What an officer decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub every_hours: u32,
    pub keep_days: u32,
    pub folder: PathBuf,
    /// Recovery public keys.
    pub recipients: Vec<String>,
}

impl Schedule {
    pub fn recovery_keys(&self) -> Result<Vec<RecoveryKey>> {
        self.recipients.iter().map(|text| text.parse()).collect()
    }

    fn check(&self) -> Result<()> {
        check_days(self.keep_days)?;
        if self.recovery_keys()?.len() > MOST_SLOTS {
            return Err(too_many());
        }
        if self.every_hours == 0 || self.recovery_keys()?.is_empty() || !self.folder.is_absolute() {
            return Err(Error::ArgumentsBad
                .because("a schedule has whole hours, an absolute folder and a recovery public key"));
        }
        Ok(())
    }
}

fn check_days(days: u32) -> Result<()> {
    if KEEP_DAYS.contains(&days) {
        return Ok(());
    }
    let (least, most) = (KEEP_DAYS.start(), KEEP_DAYS.end());
    Err(Error::ArgumentsBad.because(format_args!("backups are kept {least} to {most} days")))
}

/// A file in a folder of backups.
pub struct Listed {
    pub path: PathBuf,
    pub bytes: u64,
    /// `None`: no backup, or damaged in its first bytes.
    pub header: Option<Header>,
    /// As it was written, by its checksum. Whether it opens, only `verify` with the secret can tell.
    pub intact: bool,
    /// Of this token.
    pub ours: bool,
}

impl Token {
    /// What is scheduled; anyone may know.
    pub fn schedule(&self) -> Result<Option<Schedule>> {
        let text = own_field(&*self.store()?, SCHEDULE)?;
        if text.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|_| Error::DeviceError.because("the backup schedule does not decode"))
    }

    /// Sets the schedule, or takes it away; needs an officer.
    pub fn set_schedule(&self, access: Access<'_>, schedule: Option<&Schedule>) -> Result<()> {
        let officer = Self::officer(access, Operation::Backup)?;
        let value = match schedule {
            Some(schedule) => {
                schedule.check()?;
                Some(serde_json::to_vec(schedule).map_err(|e| Error::GeneralError.because(e))?)
            }
            None => None,
        };
        let note = match schedule {
            Some(schedule) => {
                let keys = schedule.recovery_keys()?;
                let keys: Vec<_> = keys.iter().map(RecoveryKey::fingerprint).collect();
                Note::of(Event::BackupSchedule)
                    .detail("every_hours", schedule.every_hours)
                    .detail("keep_days", schedule.keep_days)
                    .detail("folder", schedule.folder.display())
                    .detail("recipients", keys.join(", "))
            }
            None => Note::of(Event::BackupSchedule).detail("every_hours", "never"),
        };
        self.write(&*self.store()?, |change| {
            still_good(change, officer)?;
            change.set_own_field(SCHEDULE, value.map(Value::Bytes))?;
            change.audit(Some(officer), note)
        })
    }

    /// The files of a folder that look like backups by their name, the newest first. Reads them whole.
    pub fn list_backups(&self, folder: &Path, watch: &mut dyn FnMut(u64, u64)) -> Result<Vec<Listed>> {
        let token = if self.is_made() { Some(self.store()?.token_id()) } else { None };
        let paths = backups_in(folder)?;
        let all = paths.len() as u64;
        let mut found = Vec::new();
        for (done, path) in paths.into_iter().enumerate() {
            watch(done as u64, all);
            let bytes = fs::metadata(&path).map_or(0, |file| file.len());
            // Whatever is wrong with it is shown, not told.
            let file = BackupFile::open(&path).ok();
            let header = file.as_ref().map(|file| file.header.clone());
            let ours = header.as_ref().zip(token).is_some_and(|(header, token)| header.is_of(token));
            found.push(Listed { path, bytes, header, intact: file.is_some_and(BackupFile::is_intact), ours });
        }
        found.sort_by(|a, b| made(b).cmp(&made(a)).then_with(|| a.path.cmp(&b.path)));
        Ok(found)
    }

    /// The newest backup of this token in a folder, by what the headers say: nothing else of the files is read.
    pub fn newest_backup(&self, folder: &Path) -> Result<Option<BackupFile>> {
        let token = self.store()?.token_id();
        let files = backups_in(folder)?.into_iter().filter_map(|path| BackupFile::open(&path).ok());
        Ok(files.filter(|file| file.header.is_of(token)).max_by_key(|file| file.header.made_at()))
    }

    /// Removes this token's backups that are older than so many days, but never the newest one that is
    /// intact; gives what went. Needs an officer, or is the schedule's own.
    pub fn prune(
        &self,
        access: Access<'_>,
        folder: &Path,
        keep_days: u32,
        now: SystemTime,
    ) -> Result<Vec<PathBuf>> {
        policy::may_manage(access, Operation::Backup)?;
        self.remove_old(access, folder, keep_days, now)
    }

    /// The same as the schedule says, in its folder; needs nobody.
    pub fn prune_as_scheduled(&self, access: Access<'_>, now: SystemTime) -> Result<Vec<PathBuf>> {
        let schedule = self.schedule()?.ok_or_else(|| Error::ArgumentsBad.because("nothing is scheduled"))?;
        let host = appliance::login(&*self.store()?)?;
        let access = Access { login: Some(&host), ..access };
        self.remove_old(access, &schedule.folder, schedule.keep_days, now)
    }

    fn remove_old(
        &self,
        access: Access<'_>,
        folder: &Path,
        keep_days: u32,
        now: SystemTime,
    ) -> Result<Vec<PathBuf>> {
        check_days(keep_days)?;
        let age = Duration::from_secs(u64::from(keep_days) * 24 * 60 * 60);
        let ours: Vec<_> =
            self.list_backups(folder, &mut |_, _| {})?.into_iter().filter(|listed| listed.ours).collect();
        let Some(last_good) = ours.iter().find(|listed| listed.intact) else { return Ok(Vec::new()) };
        let old = |listed: &&Listed| {
            let made = listed.header.as_ref().and_then(Header::made_at);
            let aged = made.and_then(|made| now.duration_since(made).ok()).is_some_and(|is| is > age);
            aged && listed.path != last_good.path
        };
        let gone: Vec<PathBuf> = ours.iter().filter(old).map(|listed| listed.path.clone()).collect();
        if gone.is_empty() {
            return Ok(gone);
        }
        let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut names: Vec<_> = gone.iter().take(MOST_NAMES).map(name).collect();
        if gone.len() > MOST_NAMES {
            names.push("…".into());
        }
        let note = Note::of(Event::BackupPruned).detail("removed", gone.len()).detail("keep_days", keep_days);
        let note = note.detail("folder", folder.display()).detail("files", names.join(" "));
        self.record_backup(&*self.store()?, access, note)?;
        for path in &gone {
            fs::remove_file(path).map_err(|e| file_error(path, &e))?;
        }
        Ok(gone)
    }
}

/// When it says that it was made; what says nothing comes last.
fn made(listed: &Listed) -> Option<SystemTime> {
    listed.header.as_ref().and_then(Header::made_at)
}

fn backups_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_error(folder, &error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| file_error(folder, &e))?.path();
        if path.extension().is_some_and(|extension| extension == SUFFIX) {
            paths.push(path);
        }
    }
    Ok(paths)
}
