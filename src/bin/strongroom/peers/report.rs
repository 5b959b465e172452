//! What `cluster status` shows: each member in a line, for people and for programs, and what is wrong.

use crate::output::Answer;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use strongroom::store::keeper::{Condition, Standing};
use strongroom::sync::status::{Overview, Row};

/// How long what may pass by itself lasts before a monitor hears of it, in seconds.
const BEHIND: u64 = 60;
const DIFFERS: u64 = 30;
/// A member, for programs.
#[derive(Serialize)]
struct Shown {
    name: String,
    here: bool,
    state: String,
    /// By this host's clock where somebody keeps it in step, else by the member's.
    last_seen: String,
    revision: i64,
    lag: Option<i64>,
    lag_seconds: Option<u64>,
    records: u64,
    digest: String,
    same_digest: bool,
    pending: u64,
    epoch: u32,
    to_seal_anew: u64,
    refused: u64,
    last_error: String,
    peer: String,
}

/// The same for people.
#[derive(Serialize)]
struct Line {
    name: String,
    state: String,
    revision: i64,
    lag: String,
    records: u64,
    digest: &'static str,
    outbox: u64,
    epoch: String,
    refused: u64,
    last_seen: String,
}

/// What was found, in both forms.
pub struct Report {
    rows: Vec<Shown>,
    pub data: Value,
    head: String,
    problems: Vec<(Level, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Warning = 1,
    Critical = 2,
}

pub fn report(overview: &Overview) -> Report {
    let now = seconds_now();
    let rows: Vec<Shown> = overview.members.iter().map(|row| shown(overview, row, now)).collect();
    let problems = problems(overview, now);
    let level = match problems.iter().map(|(level, _)| *level).max() {
        None => "ok",
        Some(Level::Warning) => "warning",
        Some(Level::Critical) => "critical",
    };
    let kept_by = overview.agent.as_ref().map(keeper);
    let data = json!({
        "state": level,
        "problems": problems.iter().map(|(_, what)| what).collect::<Vec<_>>(),
        "kept_in_step_by": kept_by,
        "connected": overview.agent.as_ref().is_some_and(|agent| agent.connected),
        "endpoint": overview.agent.as_ref().map(|agent| &agent.endpoint),
        "reading": overview.agent.as_ref().and_then(|agent| agent.reading),
        "etcd_revision": overview.engine.as_ref().map(|(revision, _)| revision),
        "newest_revision": overview.newest,
        "unreachable": overview.unreachable,
        "members": rows,
    });
    Report { head: head(overview, kept_by), rows, data, problems }
}

impl Report {
    /// The worst of what is wrong.
    pub fn level(&self) -> Option<Level> {
        self.problems.iter().map(|(level, _)| *level).max()
    }

    /// Clocks aside: what changes only because time passes is no change.
    pub fn without_time(&self) -> Value {
        let mut data = self.data.clone();
        for row in data["members"].as_array_mut().into_iter().flatten() {
            row["last_seen"].take();
            row["lag_seconds"].take();
        }
        data["etcd_revision"].take();
        data
    }

    /// As a monitor wants it: the state, why, and numbers.
    pub fn line(&self) -> String {
        let word = self.data["state"].as_str().unwrap_or_default().to_uppercase();
        let in_step = self.rows.iter().filter(|row| row.state == "in step").count();
        let why = match self.problems.is_empty() {
            true => format!("{in_step} of {} members in step", self.rows.len()),
            false => self.problems.iter().map(|(_, what)| what.as_str()).collect::<Vec<_>>().join("; "),
        };
        let here = self.rows.iter().find(|row| row.here);
        let number = |of: fn(&Shown) -> u64| here.map(of).unwrap_or_default();
        let lag = here.and_then(|row| row.lag).map(|lag| format!(" lag={lag}")).unwrap_or_default();
        format!(
            "{word} - {why} | members={} in_step={in_step}{lag} outbox={} refused={}c",
            self.rows.len(),
            number(|row| row.pending),
            number(|row| row.refused),
        )
    }

    pub fn answer(self) -> Answer {
        let lines: Vec<Line> = self.rows.iter().map(line).collect();
        let mut text = self.head.into_bytes();
        text.extend_from_slice(&Answer::rows("members", lines).for_people());
        for row in self.rows.iter().filter(|row| !row.last_error.is_empty()) {
            let error = strongroom::error::printable(&row.last_error);
            text.extend_from_slice(format!("{}: {error}\n", row.name).as_bytes());
        }
        Answer::bytes(text, self.data)
    }
}

fn shown(overview: &Overview, row: &Row, now: u64) -> Shown {
    let said = if row.this_host { overview.here.clone() } else { row.said.clone().unwrap_or_default() };
    let heard = row.sighting.as_ref().map(|sighting| sighting.heard).filter(|heard| *heard > 0);
    let lag = overview.unreachable.is_none() && (row.this_host || row.said.is_some());
    let lag = lag.then(|| (overview.newest - said.revision).max(0));
    let in_step = row.sighting.as_ref().map(|sighting| sighting.in_step).filter(|at| *at > 0);
    let lag_seconds = match row.standing {
        Some(Standing::InStep) => Some(0),
        _ => in_step.map(|at| now.saturating_sub(at)),
    };
    let last_error = match (&overview.agent, row.this_host) {
        (_, false) => said.last_error.clone(),
        (Some(agent), true) => agent.last_error.clone(),
        (None, true) => "nobody keeps this host in step: start `strongroom agent`".into(),
    };
    Shown {
        name: row.member.name.clone(),
        here: row.this_host,
        state: state(overview, row),
        last_seen: heard.map_or(said.time.clone(), rfc3339),
        revision: said.revision,
        lag,
        lag_seconds,
        records: said.records,
        same_digest: said.digest == overview.here.digest,
        digest: said.digest,
        pending: said.pending,
        epoch: said.epoch,
        to_seal_anew: said.stale,
        refused: said.refused,
        last_error,
        peer: row.member.id.to_string(),
    }
}

/// In a word or two.
fn state(overview: &Overview, row: &Row) -> String {
    if row.this_host {
        match &overview.agent {
            None => return "not kept in step".into(),
            Some(Condition { reading: Some((done, all)), .. }) => return format!("reads {done} of {all}"),
            Some(agent) if !agent.connected => return "cut off".into(),
            Some(_) => {}
        }
    }
    let word = match row.standing {
        None => "not known",
        Some(Standing::InStep) => "in step",
        Some(Standing::Behind) => "behind",
        Some(Standing::Differs) => "differs",
        Some(Standing::Silent) => "silent",
        Some(Standing::Unheard) => "never heard of",
    };
    word.into()
}

/// What is wrong, and did not pass by itself.
fn problems(overview: &Overview, now: u64) -> Vec<(Level, String)> {
    let mut found = Vec::new();
    match &overview.agent {
        None => found.push((Level::Critical, "nobody keeps this host in step".into())),
        Some(agent) if !agent.connected && agent.reading.is_none() => {
            found.push((Level::Critical, format!("this host is cut off: {}", agent.last_error)));
        }
        Some(_) => {}
    }
    if let (Some(why), Some(true)) =
        (&overview.unreachable, overview.agent.as_ref().map(|agent| agent.connected))
    {
        found.push((Level::Critical, why.clone()));
    }
    for row in overview.members.iter().filter(|row| !row.this_host) {
        // Without anybody who watches it is not known for how long.
        let lasts = row.sighting.as_ref().map_or(u64::MAX, |sighting| now.saturating_sub(sighting.since));
        let name = &row.member.name;
        match row.standing {
            Some(Standing::Differs) if lasts >= DIFFERS => {
                found.push((Level::Critical, format!("the digest of {name} differs")));
            }
            Some(Standing::Behind) if lasts >= BEHIND => {
                found.push((Level::Warning, format!("{name} is behind")));
            }
            Some(Standing::Silent) => found.push((Level::Warning, format!("{name} is silent"))),
            Some(Standing::Unheard) => found.push((Level::Warning, format!("{name} was never heard of"))),
            _ => {}
        }
    }
    found
}

fn line(row: &Shown) -> Line {
    let lag = match (row.lag, row.lag_seconds) {
        (None, _) => String::new(),
        (Some(lag), Some(seconds)) if seconds > 0 => format!("{lag} ({})", lasting(seconds)),
        (Some(lag), _) => lag.to_string(),
    };
    let seen = humantime::parse_rfc3339(&row.last_seen).ok();
    let seen = seen.map(|at| SystemTime::now().duration_since(at).unwrap_or_default().as_secs());
    Line {
        name: row.name.clone(),
        state: row.state.clone(),
        revision: row.revision,
        lag,
        records: row.records,
        digest: match (row.here, row.digest.is_empty(), row.same_digest) {
            (true, ..) => "",
            (false, true, _) => "not known",
            (false, false, true) => "same",
            (false, false, false) => "other",
        },
        outbox: row.pending,
        epoch: match row.to_seal_anew {
            0 => row.epoch.to_string(),
            left => format!("{} ({left} to seal anew)", row.epoch),
        },
        refused: row.refused,
        last_seen: match (row.here, seen) {
            (true, _) => "here".into(),
            (false, Some(ago)) => format!("{} ago", lasting(ago)),
            (false, None) => "never".into(),
        },
    }
}

fn lasting(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

/// What is said above the table.
fn head(overview: &Overview, kept_by: Option<String>) -> String {
    let who = match (kept_by, &overview.agent) {
        (Some(who), Some(agent)) if agent.connected => format!("{who}, connected to {}", agent.endpoint),
        (Some(who), _) => format!("{who}, cut off"),
        (None, _) => "nobody".into(),
    };
    let etcd = match (&overview.engine, &overview.unreachable) {
        (Some((revision, endpoint)), _) => format!("revision {revision}, asked at {endpoint}"),
        (None, why) => {
            format!("what the others said last is not known: {}", why.as_deref().unwrap_or_default())
        }
    };
    format!("This host is kept in step by: {who}\netcd: {etcd}\n\n")
}

/// The program and process that keeps this host in step.
fn keeper(agent: &Condition) -> String {
    let words = std::fs::read(format!("/proc/{}/cmdline", agent.pid)).unwrap_or_default();
    let mut words = words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let program = words.next().unwrap_or_default();
    let name = program.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("a process");
    let is_agent = name == "strongroom" && words.any(|word| word == "agent");
    format!("{name}{}, pid {}", if is_agent { " agent" } else { "" }, agent.pid)
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn rfc3339(seconds: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}
