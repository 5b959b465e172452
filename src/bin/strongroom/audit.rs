//! `strongroom audit`: the token's log of what was done. Reading it needs an officer; whether it is whole
//! can be asked by anyone who can open the file, and of an export by anyone at all.

use crate::context::{Context, unusable};
use crate::output::{Answer, Failure, Outcome};
use crate::{Run, pem};
use serde::Serialize;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use strongroom::audit::chain::{Findings, check_export};
use strongroom::audit::{Entry, Event, Person, time};
use strongroom::error::Error;
use strongroom::token::{Access, Filter, Token};

/// How often `follow` looks.
const LOOK: Duration = Duration::from_millis(250);

#[derive(clap::Args)]
pub struct Wanted {
    /// Not before: 2026-11-28T02:00:00Z, or how long ago: 30min, 12h, 7d.
    #[arg(long)]
    since: Option<String>,
    /// Only this event: login, generate-pair, wrap …
    #[arg(long, value_parser = Event::ALL.iter().map(|event| event.name()).collect::<Vec<_>>())]
    event: Option<String>,
    /// Only what this user did or had done to him: a name or an id.
    #[arg(long, value_name = "NAME")]
    about: Option<String>,
    /// Only what was done to or with this object: its CKA_UNIQUE_ID.
    #[arg(long)]
    object: Option<String>,
}

#[derive(clap::Subcommand)]
pub enum Command {
    /// What was recorded, the newest last; with --json a line each, as it is stored. Needs an officer.
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// Only the last so many.
        #[arg(long)]
        last: Option<usize>,
    },
    /// What is recorded from now on, until it is stopped; --json as for `list`. Needs an officer.
    Follow {
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Sign the log and write it out as it is stored, for keeping elsewhere. Needs an officer.
    Export {
        /// A new file; without it standard output.
        #[arg(long = "out", alias = "output", value_name = "FILE")]
        output: Option<PathBuf>,
        /// The first entry: one more than the last of an earlier export.
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// Whether the log is whole: cut, altered, reordered and forged entries are found.
    Verify {
        /// An exported file, instead of the token's own log.
        export: Option<PathBuf>,
        /// The public key for it (`audit key`), if the token is not at hand.
        #[arg(long = "audit-key", alias = "key", value_name = "FILE", requires = "export")]
        key: Option<PathBuf>,
        /// An earlier export: the token's log must go on from it.
        #[arg(long, value_name = "FILE", conflicts_with = "export")]
        against: Option<PathBuf>,
    },
    /// Remove old entries, up to a checkpoint, that an export has. Needs an officer.
    Prune {
        /// What is older than this: 2026-01-01T00:00:00Z, or 90d for ninety days ago.
        #[arg(long)]
        before: String,
        /// The export that keeps what goes.
        #[arg(long, value_name = "FILE")]
        exported: PathBuf,
    },
    /// The public key that the log is signed with, as PEM: keep it apart from the token.
    Key,
}

/// What `verify` found.
#[derive(Serialize)]
struct Verified {
    entries: u64,
    first: u64,
    last: u64,
    checkpoints: u64,
    /// The last entry that a signature stands for; 0: none.
    signed: u64,
    faults: Vec<String>,
}

impl From<Findings> for Verified {
    fn from(found: Findings) -> Verified {
        Verified {
            entries: found.entries,
            first: found.first,
            last: found.tip.sequence,
            checkpoints: found.checkpoints,
            signed: found.signed,
            faults: found.faults,
        }
    }
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::List { wanted, last } => list(context, wanted, *last),
            Command::Follow { wanted } => follow(context, wanted),
            Command::Export { output, from } => {
                let officer = context.officer(false)?;
                export(context.ready_token()?, officer.access(), *from, output.as_deref())
            }
            Command::Verify { export: Some(path), key, .. } => {
                let key = match key {
                    Some(path) => pem::read(path)?,
                    None => public_key(context.present_token()?)?,
                };
                shown_verified(check(path, key)?.into())
            }
            Command::Verify { against, .. } => {
                shown_verified(verify(context.present_token()?, against.as_deref())?)
            }
            Command::Prune { before, exported } => prune(context, before, exported),
            Command::Key => Ok(Answer::text(pem::write(&public_key(context.present_token()?)?))),
        }
    }
}

fn public_key(token: &Token) -> Result<[u8; 32], Failure> {
    let key = token.audit_key().map_err(|error| unusable(token, error))?;
    key.ok_or_else(|| {
        Failure::new("This token has signed nothing yet.").next("`strongroom audit export` makes its key.")
    })
}

fn moment(text: &str) -> Result<SystemTime, Failure> {
    let ago = humantime::parse_duration(text).ok().and_then(|ago| SystemTime::now().checked_sub(ago));
    ago.or_else(|| humantime::parse_rfc3339_weak(text).ok()).ok_or_else(|| {
        Failure::usage(format!("{text} is no time: 2026-11-28T02:00:00Z, or 12h for twelve hours ago."))
    })
}

fn prune(context: &mut Context, before: &str, exported: &Path) -> Outcome {
    let before = time(moment(before)?);
    let file = File::open(exported).map_err(|e| Failure::new(format!("{}: {e}.", exported.display())))?;
    let officer = context.officer(false)?;
    let pruned = context.ready_token()?.audit_prune(officer.access(), &before, BufReader::new(file));
    let pruned = pruned.map_err(|error| match error {
        Error::ActionProhibited => Failure::new("The log stays as it is.")
            .next("`strongroom audit export --out FILE` writes what can be removed then."),
        other => other.into(),
    })?;
    let sentence =
        format!("{} entries are removed; the log begins with entry {}.", pruned.removed, pruned.first);
    Ok(Answer::done(sentence, json!({ "removed": pruned.removed, "first": pruned.first })))
}

fn filter(wanted: &Wanted) -> Result<Filter, Failure> {
    Ok(Filter {
        since: wanted.since.as_deref().map(moment).transpose()?.map(time),
        event: wanted.event.clone(),
        user: wanted.about.clone(),
        object: wanted.object.clone(),
    })
}

fn unreadable(error: Error) -> Failure {
    Failure::new(format!("The log cannot be read further ({error})."))
        .next("`strongroom audit verify` says what is wrong with it.")
}

fn list(context: &mut Context, wanted: &Wanted, last: Option<usize>) -> Outcome {
    let (filter, officer) = (filter(wanted)?, context.officer(false)?);
    let (json, token) = (context.options.json, context.ready_token()?);
    let mut kept = std::collections::VecDeque::new();
    let mut whole = true;
    let read = token.audit_lines(officer.access(), 1, |entry, line| {
        if filter.wants(&entry) {
            let text = shown(&entry, line, json);
            match last {
                None => whole = print_line(&text),
                Some(last) => {
                    kept.push_back(text);
                    if kept.len() > last {
                        kept.pop_front();
                    }
                }
            }
        }
        whole
    });
    kept.iter().all(|text| print_line(text));
    read.map_err(unreadable)?;
    Ok(Answer::silence())
}

fn follow(context: &mut Context, wanted: &Wanted) -> Outcome {
    let (filter, officer) = (filter(wanted)?, context.officer(false)?);
    let (json, token) = (context.options.json, context.ready_token()?);
    let mut next = 1;
    // What is there already is passed over, unless it was asked for.
    let mut passed = wanted.since.is_some();
    loop {
        let mut whole = true;
        next = token
            .audit_lines(officer.access(), next, |entry, line| {
                if passed && filter.wants(&entry) {
                    whole = print_line(&shown(&entry, line, json));
                }
                whole
            })
            .map_err(unreadable)?;
        if !whole {
            return Ok(Answer::silence());
        }
        passed = true;
        std::thread::sleep(LOOK);
    }
}

fn export(token: &Token, access: Access<'_>, from: u64, output: Option<&Path>) -> Outcome {
    let name = |path: &Path| path.display().to_string();
    match token.audit_checkpoint(access) {
        Ok(()) => {}
        Err(Error::TokenWriteProtected) => {
            eprintln!("strongroom: the token's file cannot be written: the end of this export is not signed");
        }
        Err(error) => {
            return Err(Failure::new(format!("The log cannot be signed ({error}); nothing was exported."))
                .next(error.remedy()));
        }
    }
    let (place, mut out): (String, Box<dyn Write>) = match output {
        Some(path) => {
            let file = File::options().write(true).create_new(true).mode(0o600).open(path);
            let file = file.map_err(|e| Failure::new(format!("{}: {e}.", path.display())))?;
            (name(path), Box::new(BufWriter::new(file)))
        }
        None => ("standard output".into(), Box::new(BufWriter::new(std::io::stdout()))),
    };
    let mut failed = None;
    let read = token.audit_lines(access, from, |_, line| {
        let written = out.write_all(line).and_then(|()| out.write_all(b"\n"));
        failed = written.err();
        failed.is_none()
    });
    read.map_err(unreadable)?;
    match failed.map_or_else(|| out.flush(), Err) {
        Ok(()) => Ok(Answer::silence()),
        Err(error) => Err(Failure::new(format!("{place}: {error}; the export is not complete."))),
    }
}

/// An exported file by a public key.
fn check(path: &Path, key: [u8; 32]) -> Result<Findings, Failure> {
    let unread = |e: std::io::Error| Failure::new(format!("{}: {e}.", path.display()));
    let mut found = check_export(BufReader::new(File::open(path).map_err(unread)?), key).map_err(unread)?;
    if found.entries > 0 {
        // An export ends with a checkpoint: what nobody signed may be anybody's.
        if found.signed + 1 < found.tip.sequence || found.checkpoints == 0 {
            found.faults.push(format!(
                "entries {} to {} are signed by nothing: the end of the export is missing, or they were made up",
                found.first.max(found.signed + 1),
                found.tip.sequence
            ));
        }
        return Ok(found);
    }
    Err(Failure::new(format!("{} holds no entries.", path.display())))
}

fn verify(token: &Token, against: Option<&Path>) -> Result<Verified, Failure> {
    let remembered = against.map(|path| check(path, public_key(token)?)).transpose()?;
    let tip = remembered.as_ref().map(|found| found.tip);
    let verification = token.audit_verify(tip).map_err(|error| unusable(token, error))?;
    let mut verified = Verified::from(verification.found);
    if let Some(remembered) = remembered {
        let faults = remembered.faults.into_iter().map(|fault| format!("the earlier export: {fault}"));
        verified.faults.extend(faults);
        if verification.holds == Some(false) {
            verified.faults.push(format!(
                "the earlier export ends with an entry {} that this log does not have: the log was cut, forked or put \
                 back from an older copy",
                remembered.tip.sequence
            ));
        }
    }
    Ok(verified)
}

fn shown_verified(verified: Verified) -> Outcome {
    let sentence = format!(
        "{} entries, {} to {}; {} checkpoints, signed up to {}; {} faults",
        verified.entries,
        verified.first,
        verified.last,
        verified.checkpoints,
        verified.signed,
        verified.faults.len()
    );
    if verified.faults.is_empty() {
        return Ok(Answer::done(sentence, verified));
    }
    let failure = Failure::new(format!("The log is not what was recorded: {sentence}."))
        .next("compare it with an earlier export or the system's log.");
    Err(verified.faults.iter().fold(failure, |failure, fault| failure.because(format!("FAULT  {fault}"))))
}

/// Whether somebody still reads.
fn print_line(text: &str) -> bool {
    writeln!(std::io::stdout(), "{text}").is_ok()
}

fn shown(entry: &Entry, line: &[u8], json: bool) -> String {
    if json {
        return String::from_utf8_lossy(line).into_owned();
    }
    let who =
        |person: &Option<Person>| person.as_ref().map_or("-".to_owned(), |person| visible(&person.name));
    let mut text = format!(
        "{:>6}  {}  {:<17} {:<12} {}[{}]",
        entry.sequence,
        entry.time,
        visible(&entry.event),
        who(&entry.actor),
        visible(&entry.process.program),
        entry.process.pid
    );
    if entry.user.is_some() {
        text += &format!("  user={}", who(&entry.user));
    }
    for object in &entry.objects {
        text += &format!("  object={}", visible(object));
    }
    for (name, value) in entry.details.iter().filter(|(name, _)| !matches!(&***name, "signature" | "key")) {
        text += &format!("  {}={}", visible(name), visible(value));
    }
    text
}

/// Names are what somebody typed: nothing in them may move the terminal's cursor or the order of letters.
fn visible(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || (c.is_ascii() && !c.is_ascii_control()) || c == '…';
    text.chars().map(|c| if plain(c) { c.to_string() } else { c.escape_unicode().to_string() }).collect()
}
