//! `strongroom backup schedule` and `prune`.

use super::folder_of;
use super::secrets::recovery_keys;
use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::service::{command_line, exec_start};
use serde_json::json;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use strongroom::error::Error;
use strongroom::token::backup::{DEFAULT_KEEP_DAYS, KEEP_DAYS, Schedule};

const HOUR: Duration = Duration::from_secs(3600);
const MOST_HOURS: u32 = 31 * 24;
const UNIT: &str = "strongroom-backup";

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Scheduling {
    #[command(subcommand)]
    command: Option<Subcommand>,
    /// How often: 1h to 31days, in whole hours.
    #[arg(long, value_parser = hours, default_value = "24h")]
    every: u32,
    /// How long backups are kept, in days.
    #[arg(long, default_value_t = DEFAULT_KEEP_DAYS, value_parser = days())]
    keep_days: u32,
    /// Where they go [default: `backups` beside the token's file].
    #[arg(long)]
    folder: Option<PathBuf>,
    /// A recovery public key; may be given again.
    #[arg(long, value_name = "PUBLIC KEY", required = true)]
    recipient: Vec<String>,
    /// A folder for the systemd units [default: they are shown].
    #[arg(long, value_name = "FOLDER")]
    systemd: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Subcommand {
    /// What is scheduled. Needs no login.
    Show,
    /// Nothing is scheduled any more.
    Off,
}

#[derive(clap::Args)]
pub struct Prune {
    /// What is older, in days, goes.
    #[arg(long, default_value_t = DEFAULT_KEEP_DAYS, value_parser = days())]
    keep_days: u32,
    /// [default: the schedule's folder, or `backups` beside the token's file].
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(i64::from(*KEEP_DAYS.start())..=i64::from(*KEEP_DAYS.end()))
}

fn hours(text: &str) -> Result<u32, String> {
    let wrong = || "how often is 1h to 31days, in whole hours".to_owned();
    let every = humantime::parse_duration(text).map_err(|_| wrong())?;
    let hours = u32::try_from(every.as_secs() / HOUR.as_secs()).map_err(|_| wrong())?;
    let whole = every == HOUR * hours;
    if whole && (1..=MOST_HOURS).contains(&hours) { Ok(hours) } else { Err(wrong()) }
}

impl Run for Scheduling {
    fn run(&self, context: &mut Context) -> Outcome {
        match self.command {
            Some(Subcommand::Show) => show(context),
            Some(Subcommand::Off) => {
                let officer = context.officer(false)?;
                context.ready_token()?.set_schedule(officer.access(), None)?;
                Ok(Answer::done(
                    format!(
                        "Nothing is scheduled any more. Stop the timer: `systemctl disable --now {UNIT}.timer`."
                    ),
                    json!({ "scheduled": false }),
                ))
            }
            None => self.set(context),
        }
    }
}

fn show(context: &mut Context) -> Outcome {
    match context.ready_token()?.schedule()? {
        Some(schedule) => Ok(Answer::record(schedule)),
        None => Ok(Answer::done("Nothing is scheduled.", json!({ "scheduled": false }))),
    }
}

impl Scheduling {
    fn set(&self, context: &mut Context) -> Outcome {
        recovery_keys(&self.recipient)?;
        let officer = context.officer(false)?;
        let token = context.ready_token()?;
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => token.path().with_file_name("backups"),
        };
        // The timer runs somewhere else.
        let absolute = std::path::absolute(&folder);
        let folder = absolute.map_err(|e| Failure::new(format!("{}: {e}.", folder.display())))?;
        let schedule = Schedule {
            every_hours: self.every,
            keep_days: self.keep_days,
            folder,
            recipients: self.recipient.clone(),
        };
        token.set_schedule(officer.access(), Some(&schedule))?;
        let command = command_line(context, &["backup", "create", "--scheduled"]);
        let units = units(self.every, &command);
        let mut sentence = format!(
            "A backup every {} hours into {}, kept {} days. The schedule is kept in the token; a timer has to run it.\n",
            self.every,
            schedule.folder.display(),
            self.keep_days
        );
        match &self.systemd {
            Some(folder) => write_units(folder, &units, &mut sentence)?,
            None => units.iter().for_each(|(name, text)| {
                let _ = write!(sentence, "\n# {name}\n{text}");
            }),
        }
        if let Some(line) = crontab(self.every, &command) {
            let _ = write!(sentence, "\n# or in a crontab\n{line}\n");
        }
        Ok(Answer::done(sentence, schedule))
    }
}

fn units(every_hours: u32, command: &str) -> [(String, String); 2] {
    let service = format!(
        "[Unit]\nDescription=Backup of a Strongroom token\n\n[Service]\nType=oneshot\nUMask=0077\nNice=10\n\
         IOSchedulingClass=idle\nNoNewPrivileges=yes\nExecStart={}\n",
        exec_start(command)
    );
    let timer = format!(
        "[Unit]\nDescription=Backups of a Strongroom token\n\n[Timer]\nOnBootSec=10min\nOnUnitActiveSec={every_hours}h\n\
         RandomizedDelaySec=5min\n\n[Install]\nWantedBy=timers.target\n"
    );
    [(format!("{UNIT}.service"), service), (format!("{UNIT}.timer"), timer)]
}

/// `None` where cron cannot say it.
fn crontab(every_hours: u32, command: &str) -> Option<String> {
    let command = command.replace('%', "\\%");
    match every_hours {
        1 => Some(format!("0 * * * * {command}")),
        24 => Some(format!("0 2 * * * {command}")),
        hours if hours < 24 && 24 % hours == 0 => Some(format!("0 */{hours} * * * {command}")),
        _ => None,
    }
}

fn write_units(folder: &Path, units: &[(String, String)], sentence: &mut String) -> Result<(), Failure> {
    for (name, text) in units {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|e| {
            Failure::new(format!("{}: {e}; the schedule is set, its timer is not.", path.display()))
                .next("name a folder you can write, or take the crontab line.")
        })?;
        let _ = writeln!(sentence, "{} is written.", path.display());
    }
    let _ = writeln!(sentence, "Next: `systemctl daemon-reload && systemctl enable --now {UNIT}.timer`.");
    Ok(())
}

impl Run for Prune {
    fn run(&self, context: &mut Context) -> Outcome {
        let officer = context.officer(false)?;
        let token = context.ready_token()?;
        let folder = folder_of(token, self.folder.as_deref());
        let gone = token.prune(officer.access(), &folder, self.keep_days, SystemTime::now());
        let gone = gone.map_err(|error| match error {
            Error::UserNotLoggedIn => Failure::from(error),
            other => Failure::new(format!("{}: not all old backups were removed.", folder.display()))
                .next(other.remedy()),
        })?;
        let names: Vec<_> = gone.iter().map(|path| path.display().to_string()).collect();
        let sentence = match names.len() {
            0 => format!("Nothing in {} is older than {} days.", folder.display(), self.keep_days),
            many => format!("{many} backups are removed:\n{}", names.join("\n")),
        };
        Ok(Answer::done(sentence, json!({ "removed": names })))
    }
}
