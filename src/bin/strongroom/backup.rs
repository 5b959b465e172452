//! `strongroom backup`: making, looking at and restoring backups. Making, scheduling and removing them needs an
//! officer; so does restoring over a present token. Where there is no token, the backup's secret is enough.

mod restore;
mod schedule;
pub mod secrets;

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::progress::Progress;
use secrets::{For, With};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use strongroom::error::Error;
use strongroom::token::backup::{BackupFile, Listed, Made, Place};
use strongroom::token::{Access, Token};

/// Nobody who is logged in, for what needs nobody.
const NOBODY: Access<'static> = Access { login: None, write: true, session: 0 };

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a backup, while everybody works on. Needs an officer.
    Create {
        #[command(flatten)]
        recipients: For,
        /// The file to make [default: a name with label and time, in the folder].
        #[arg(long, value_name = "FILE", conflicts_with = "folder")]
        out: Option<PathBuf>,
        /// The folder it goes to [default: `backups` beside the token's file].
        #[arg(long)]
        folder: Option<PathBuf>,
        /// Make the one that is scheduled, and remove those that are old. Needs nobody.
        #[arg(long, conflicts_with_all = ["out", "folder", "recipient", "passphrase_file"])]
        scheduled: bool,
    },
    /// The backups in a folder. Needs no login.
    List {
        /// [default: the schedule's folder, or `backups` beside the token's file].
        #[arg(long)]
        folder: Option<PathBuf>,
        /// As --folder.
        #[arg(hide = true, conflicts_with = "folder")]
        place: Option<PathBuf>,
    },
    /// Open a backup to its end, check everything and count what is inside. Needs its secret, no login.
    Verify {
        file: PathBuf,
        #[command(flatten)]
        secret: With,
    },
    /// Bring a backup back. Needs its secret; over a present token also an officer.
    Restore(restore::Restore),
    /// Backups that make themselves. Needs an officer.
    Schedule(schedule::Scheduling),
    /// Remove this token's old backups, never the last good one. Needs an officer.
    Prune(schedule::Prune),
    /// Keys that open backups, kept elsewhere.
    #[command(subcommand)]
    RecoveryKey(secrets::RecoveryKeys),
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Create { scheduled: true, .. } => create_scheduled(context),
            Command::Create { recipients, out, folder, .. } => {
                create(context, recipients, out.as_deref(), folder.as_deref())
            }
            Command::List { folder, place } => list(context, folder.as_deref().or(place.as_deref())),
            Command::Verify { file, secret } => verify(context, file, secret),
            Command::Restore(restore) => restore.run(context),
            Command::Schedule(scheduling) => scheduling.run(context),
            Command::Prune(prune) => prune.run(context),
            Command::RecoveryKey(keys) => keys.run(context),
        }
    }
}

/// Where a token's backups are when nobody says: the schedule's folder, or one beside its file.
pub fn folder_of(token: &Token, folder: Option<&Path>) -> PathBuf {
    let beside = || token.path().with_file_name("backups");
    match folder {
        Some(folder) => folder.to_owned(),
        None => token.schedule().ok().flatten().map_or_else(beside, |schedule| schedule.folder),
    }
}

/// In a line, for `status`: what is scheduled, and when the last backup was made.
pub fn described(token: &Token) -> Result<String, Error> {
    let schedule = match token.schedule()? {
        Some(schedule) => format!("every {} hours", schedule.every_hours),
        None => "not scheduled".to_owned(),
    };
    let folder = folder_of(token, None);
    // A folder that this user may not read is no reason against a status.
    let last = match token.newest_backup(&folder) {
        Ok(Some(file)) => format!("the last of {}", file.header.made),
        Ok(None) => format!("none in {}", folder.display()),
        Err(_) => format!("{} cannot be read", folder.display()),
    };
    Ok(format!("{schedule}; {last}"))
}

fn not_made(error: Error) -> Failure {
    let next = match error {
        Error::DeviceMemory => "make room on the disk, or say another place with --folder.",
        Error::DeviceError => "`strongroom verify` says what is wrong with the token; no backup was left.",
        Error::UserNotLoggedIn => "say who acts with --user NAME; a schedule needs recovery keys.",
        _ => "mend what is said above; no file was left.",
    };
    Failure::new("No backup was made.").next(next)
}

fn create(context: &mut Context, recipients: &For, out: Option<&Path>, folder: Option<&Path>) -> Outcome {
    let recipients = recipients.read()?;
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    let place = match out {
        Some(file) => Place::File(file.to_owned()),
        None => Place::Folder(folder_of(token, folder)),
    };
    let mut progress = Progress::new("rows");
    let watch = &mut |done, all| progress.at(done, all);
    let made = token.back_up(officer.access(), &place, &recipients, SystemTime::now(), watch);
    progress.end();
    Ok(said(&made.map_err(not_made)?, &[]))
}

fn create_scheduled(context: &mut Context) -> Outcome {
    let token = context.ready_token()?;
    let mut progress = Progress::new("rows");
    let watch = &mut |done, all| progress.at(done, all);
    let made = token.back_up_as_scheduled(NOBODY, SystemTime::now(), watch);
    progress.end();
    let made = made.map_err(|error| match error {
        Error::ArgumentsBad => Failure::new("No backup was made.")
            .next("`strongroom backup schedule --every 24h --recipient KEY`, by an officer."),
        other => not_made(other),
    })?;
    let gone = token.prune_as_scheduled(NOBODY, SystemTime::now()).map_err(|_| {
        Failure::new(format!("{} was made; old backups were not removed.", made.path.display()))
            .next("look at the folder's permissions, or `strongroom backup prune`.")
    })?;
    Ok(said(&made, &gone))
}

fn said(made: &Made, removed: &[PathBuf]) -> Answer {
    let recipients: Vec<_> = made.header.recipients.iter().map(|slot| slot.told()).collect();
    let sentence = format!(
        "{}\n{} records and {} audit entries, for: {}.\nNext: `strongroom backup verify` with the secret, and a copy \
         on another machine.",
        made.path.display(),
        made.records,
        made.header.sequence,
        recipients.join(", ")
    );
    let data = json!({
        "file": made.path, "bytes": made.bytes, "records": made.records, "entries": made.header.sequence,
        "made": made.header.made, "recipients": recipients, "removed": removed,
    });
    Answer::done(sentence, data)
}

#[derive(Serialize)]
struct Row {
    file: String,
    made: String,
    token: String,
    bytes: u64,
    audit_entries: Option<u64>,
    recipients: Vec<String>,
    state: &'static str,
}

fn row(listed: Listed) -> Row {
    let state = match (&listed.header, listed.intact, listed.ours) {
        (None, ..) => "no backup",
        (Some(_), false, _) => "damaged",
        (Some(_), true, false) => "of another token",
        (Some(_), true, true) => "good",
    };
    let header = listed.header.as_ref();
    Row {
        file: listed.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        made: header.map(|header| header.made.clone()).unwrap_or_default(),
        token: header.map(|header| header.label.clone()).unwrap_or_default(),
        bytes: listed.bytes,
        audit_entries: header.map(|header| header.sequence),
        recipients: header
            .map(|header| header.recipients.iter().map(|slot| slot.told()).collect())
            .unwrap_or_default(),
        state,
    }
}

fn list(context: &mut Context, folder: Option<&Path>) -> Outcome {
    let token = context.token()?;
    let (named, folder) = (folder.is_some(), folder_of(token, folder));
    if !folder.is_dir() {
        return match named || token.schedule().is_ok_and(|schedule| schedule.is_some()) {
            true => Err(Failure::new(format!("There is no folder {}.", folder.display()))
                .next("name the one with the backups: --folder FOLDER.")),
            false => Ok(Answer::done(
                format!("No backups yet: there is no folder {}.", folder.display()),
                json!({ "backups": [] }),
            )),
        };
    }
    let mut progress = Progress::new("backups");
    let listed = token.list_backups(&folder, &mut |done, all| progress.at(done, all));
    progress.end();
    let listed = listed
        .map_err(|_| Failure::new(format!("{} cannot be listed.", folder.display())).next("look at it."))?;
    Ok(Answer::rows("backups", listed.into_iter().map(row).collect()))
}

/// A backup that cannot be used; the reasons are in the library's log. `done`: what became of it.
pub fn unusable(file: &Path, error: Error, done: &str) -> Failure {
    let next = match error {
        Error::PinIncorrect => {
            let next = "give the passphrase of that day, or a recovery key that it was made for: `strongroom backup list` \
                        shows for whom.";
            return Failure::new(format!(
                "{}: the backup is whole, and this secret does not open it.",
                file.display()
            ))
            .next(next);
        }
        Error::EncryptedDataInvalid | Error::DeviceError => {
            "take another backup: `strongroom backup list` shows which are good."
        }
        Error::ArgumentsBad => {
            "`strongroom backup list --folder FOLDER` shows which files are backups, and of what."
        }
        Error::ActionProhibited => {
            "look at what is said above; over what is newer --force does it all the same."
        }
        Error::DeviceMemory => "make room on the disk, and do it again.",
        other => other.remedy(),
    };
    Failure::new(format!("{}: {done}", file.display())).next(next)
}

fn verify(context: &mut Context, file: &Path, secret: &With) -> Outcome {
    let token = context.token()?;
    // What is no backup is told before a secret is asked for.
    let failed = |error| unusable(file, error, "the backup is not good.");
    BackupFile::open(file).map_err(failed)?;
    let secret = secret.read()?;
    let mut progress = Progress::new("bytes");
    let verified = token.verify_backup(file, &secret, &mut |done, all| progress.at(done, all));
    progress.end();
    let verified = verified.map_err(failed)?;
    let (header, counts) = (&verified.contents.header, &verified.contents.counts);
    let over = match &verified.over_present {
        None => "there is none".to_owned(),
        Some(Ok(())) => "would be accepted".to_owned(),
        Some(Err(why)) => format!("refused: {why}"),
    };
    let record = json!({
        "token": header.label, "made": header.made, "opens": true,
        "officers": counts.officers, "users": counts.users,
        "private_keys": counts.private_keys, "public_keys": counts.public_keys,
        "secret_keys": counts.secret_keys, "certificates": counts.certificates,
        "other_objects": counts.other_objects, "shares": counts.shares,
        "members": counts.members, "audit_entries": counts.entries, "audit_key": verified.contents.fingerprint(), "over_the_present_token": over,
    });
    Ok(Answer::record(record))
}
