//! What a look at names and modes cannot tell: whether the token's records are as they were written, and
//! whether there is a backup that is young and whole.

use super::Finding;
use crate::backup::folder_of;
use crate::progress::Progress;
use std::time::{Duration, SystemTime};
use strongroom::error::Error;
use strongroom::token::Token;

/// Every record of the file, as `strongroom verify` reads them.
pub fn records(check: String, token: &Token) -> Finding {
    let mut progress = Progress::new("records");
    let report = token.verify(&mut |done, all| progress.at(done, all));
    progress.end();
    let next = "`strongroom verify` names all of them; restore it from a backup.";
    match report {
        Ok(report) if report.faults.is_empty() => Finding::ok(
            check,
            format!("{} records and {} entries of the audit log are whole", report.records, report.entries),
        ),
        Ok(report) => {
            let first = report.faults.first().cloned().unwrap_or_default();
            Finding::wrong(check, format!("{} faults; the first: {first}", report.faults.len()), next)
        }
        Err(error) => Finding::wrong(check, format!("they cannot be read ({})", error.name()), next),
    }
}

/// The newest backup; of a schedule that does not keep its time, too.
pub fn backups(check: String, token: &Token, now: SystemTime) -> Finding {
    let folder = folder_of(token, None);
    let (schedule, newest) = match (token.schedule(), token.newest_backup(&folder)) {
        (Ok(schedule), Ok(newest)) => (schedule, newest),
        (Err(error), _) | (_, Err(error)) => return unreadable(check, &folder.display().to_string(), error),
    };
    let Some(newest) = newest else {
        let found = format!("none in {}", folder.display());
        let next = match schedule {
            Some(_) => "`strongroom backup create --scheduled` makes the first; a timer has to run it.",
            None => {
                "`strongroom backup create` makes one, `strongroom backup schedule` sees to the next ones."
            }
        };
        return Finding::look(check, found, next);
    };
    let made = format!("the last of {}", newest.header.made);
    let age = newest.header.made_at().and_then(|made| now.duration_since(made).ok()).unwrap_or_default();
    if !newest.is_intact() {
        return Finding::wrong(
            check,
            format!("{made} is damaged"),
            "`strongroom backup create` makes another one.",
        );
    }
    match schedule {
        // Twice: a timer may be late, and a host asleep.
        Some(schedule) if age > Duration::from_secs(u64::from(schedule.every_hours) * 2 * 3600) => {
            Finding::wrong(
                check,
                format!("every {} hours, and {made}", schedule.every_hours),
                "Look at the timer (`systemctl status strongroom-backup.timer`); `strongroom backup create --scheduled` \
             makes one now.",
            )
        }
        Some(schedule) => Finding::ok(check, format!("every {} hours, {made}", schedule.every_hours)),
        None => Finding::ok(check, format!("not scheduled, {made}")),
    }
}

fn unreadable(check: String, folder: &str, error: Error) -> Finding {
    let next = "Run this as the user who makes the backups.";
    Finding::look(check, format!("{folder} cannot be read ({})", error.name()), next)
}
