//! `strongroom cluster init|join|approve|list` and, in rooms of their own, `remove` and `rotate` (`epochs`), `status`
//! (with `report`), `verify` and `resync` (`records`): tokens on several hosts that hold the same.

mod epochs;
mod records;
mod report;
mod status;

use crate::Run;
use crate::context::Context;
use crate::output::{Answer, Failure, Outcome};
use crate::progress::Progress;
use serde::Serialize;
use serde_json::json;
use std::io::{BufRead, Write};
use std::time::Duration;
use strongroom::config::ClusterConfig;
use strongroom::error::Error;
use strongroom::store::Id;
use strongroom::sync::status::Observer;
use strongroom::sync::{Stop, join};
use strongroom::token::{JoinRequest, Joined, Joining};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Make this token the first member of a cluster. Needs an officer.
    Init {
        /// This host's name among its peers [default: the host's].
        #[arg(long)]
        name: Option<String>,
    },
    /// Bring a cluster's token to this host, which has none yet. An officer on a member approves it.
    ///
    /// Waits for the approval. Then the code that `cluster approve` showed is asked for, or read from
    /// standard input: without it, somebody else may have answered.
    Join {
        /// This host's name among its peers [default: the host's].
        #[arg(long)]
        name: Option<String>,
        /// How long to wait for the approval, in seconds.
        #[arg(long, default_value_t = 900, value_name = "SECONDS")]
        wait: u64,
    },
    /// Let a host join, which gets the seal key. Needs an officer.
    Approve {
        /// As `cluster join` (or `clone`) shows it on the new host: compare all of it.
        fingerprint: String,
        /// The host asks by `cluster clone`: it takes a copy of everything to a cluster of its own, and is no member
        /// of this one.
        #[arg(long)]
        as_clone: bool,
    },
    /// Take a host out of the cluster. Needs an officer, on a member that stays.
    ///
    /// What it writes is refused from then on, and a new epoch begins: nothing written later opens with what it has.
    /// It keeps its own copy of what there was, and serves on alone.
    Remove {
        /// Its name or id, as `cluster list` shows it.
        #[arg(value_name = "MEMBER")]
        member: String,
    },
    /// Begin a new epoch: new keys for all that the members send each other. Needs an officer.
    Rotate,
    /// The members, and hosts that ask to join. Needs no login.
    List,
    /// How the members do: who has what, and who lags behind. Needs no login.
    Status(status::Status),
    /// Compare this host's records with etcd's, one by one, and its digest with each member's. Needs no login.
    Verify(records::Verify),
    /// Read everything from etcd again, and send what it lacks. Needs no login.
    Resync(records::Resync),
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Init { name } => init(context, name.clone()),
            Command::Join { name, wait } => ask_to_join(context, name.clone(), *wait),
            Command::Approve { fingerprint, as_clone } => approve(context, fingerprint, *as_clone),
            Command::Remove { member } => epochs::remove(context, member),
            Command::Rotate => epochs::rotate(context),
            Command::List => list(context),
            Command::Status(status) => status.run(context),
            Command::Verify(verify) => verify.run(context),
            Command::Resync(resync) => resync.run(context),
        }
    }
}

/// The slot's engine.
pub fn engine(context: &mut Context) -> Result<ClusterConfig, Failure> {
    context.slot()?.cluster.ok_or_else(|| {
        Failure::new("The configuration names no etcd for this slot.").next(
            "write [slot.cluster] with endpoints, ca, certificate and key; README, \"A cluster\", has an example.",
        )
    })
}

/// A failure of the engine or of this host, in words.
pub fn stopped(what: &str, stop: Stop) -> Failure {
    match stop {
        Stop::Host(error) => Failure::new(what).because(error.cause()).next(error.remedy()),
        Stop::Engine(fault) => Failure::new(what)
            .because(fault)
            .next("look at [slot.cluster] in the configuration, and at etcd."),
        Stop::Removed | Stop::WrongEpoch(..) => Failure::new(what).because(stop),
    }
}

fn no_member(error: Error) -> Failure {
    match error {
        Error::ActionProhibited => {
            Failure::new("This token is no member of a cluster, or was removed from it.")
                .next("`strongroom cluster init` makes it the first one.")
        }
        other => other.into(),
    }
}

pub fn name_or_host(name: Option<String>) -> String {
    let of_host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.unwrap_or_else(|| of_host().trim().to_owned())
}

pub fn bad_name(error: Error) -> Failure {
    match error {
        Error::ArgumentsBad => {
            Failure::new("A host's name has 1 to 64 visible ASCII characters and no spaces.")
                .next("choose one with --name.")
        }
        other => other.into(),
    }
}

/// That nothing of this token lies in etcd where the configuration says: two clusters of one token never share a
/// place.
pub fn is_free(etcd: &ClusterConfig, token: Id) -> Result<(), Failure> {
    let failed = |stop| stopped("Whether etcd has this token already is not known; nothing was made.", stop);
    if !join::holds(etcd, token).map_err(failed)? {
        return Ok(());
    }
    Err(Failure::new(format!(
        "There is a cluster of this token below `{}` in this etcd already; nothing was made.",
        etcd.prefix
    ))
    .next(
        "give [slot.cluster] another `prefix`, or another etcd; or join that one: `strongroom cluster join`.",
    ))
}

fn init(context: &mut Context, name: Option<String>) -> Outcome {
    let (name, etcd) = (name_or_host(name), engine(context)?);
    let officer = context.officer(false)?;
    let token = context.ready_token()?;
    if token.peer()?.is_none() {
        is_free(&etcd, token.id()?)?;
    }
    token.found_cluster(officer.access(), &name).map_err(|error| match error {
        Error::ActionProhibited => Failure::new("This token is a member of a cluster already.")
            .next("`strongroom cluster list` shows who is."),
        other => bad_name(other),
    })?;
    let sentence = format!(
        "{name} is the first member of a new cluster.\nNext: `strongroom agent` on this host, as a service; \
         then `strongroom cluster join` on the others."
    );
    Ok(Answer::done(sentence, json!({ "name": name, "peer": token.peer()?.map(|id| id.to_string()) })))
}

fn ask_to_join(context: &mut Context, name: Option<String>, wait: u64) -> Outcome {
    let (slot, engine) = (context.slot()?, engine(context)?);
    if context.token()?.path().exists() {
        return Err(Failure::new(format!("There is a token already at {}.", slot.path.display()))
            .next("nothing, if it is the cluster's; else give the slot another `path`."));
    }
    let joining = Joining::new(&name_or_host(name)).map_err(bad_name)?;
    let joined = answered(&joining, &engine, wait, "")?;
    if !joined.as_member() {
        return Err(Failure::new(
            "The officer approved a clone, and this host asks to join; nothing was made.",
        )
        .next("join again, and have it approved without --as-clone."));
    }
    joined.make(&slot)?;
    let token = context.ready_token()?;
    let mut progress = Progress::new("records");
    let read = join::read_everything(token, &engine, &mut |done, all| progress.at(done, all));
    progress.end();
    read.map_err(|stop| stopped("This host joined, and could not read everything yet.", stop))?;
    let name = joining.request.member.name;
    let info = token.info()?;
    let sentence = format!(
        "{name} is a member of the cluster of token {} and has all it holds.\nNext: `strongroom agent` on this \
         host, as a service, and a copy of its seal key in a safe place.",
        info.serial
    );
    Ok(Answer::done(sentence, json!({ "name": name, "serial": info.serial })))
}

/// Shows the fingerprint, waits for an officer of a member to say yes (with this option), and makes sure that it
/// was one.
pub fn answered<'a>(
    joining: &'a Joining,
    etcd: &ClusterConfig,
    wait: u64,
    option: &str,
) -> Result<Joined<'a>, Failure> {
    let fingerprint = joining.request.fingerprint();
    eprintln!("This host's fingerprint is\n\n    {fingerprint}\n");
    eprintln!(
        "On a member, an officer compares it and runs `strongroom cluster approve {fingerprint}{option}`."
    );
    let failed = |stop| stopped("This host did not join; nothing was made.", stop);
    let sealed = join::ask(etcd, &joining.request, Duration::from_secs(wait)).map_err(failed)?;
    let sealed = sealed.ok_or_else(|| {
        Failure::new("Nobody approved this host in time; nothing was made.")
            .next("try again, with a longer --wait; the fingerprint will be another one.")
    })?;
    let foreign = || {
        Failure::new("The answer is not from the cluster that was meant; nothing was made.")
            .next("find out who wrote to etcd: somebody tried to give this host a token of his own.")
    };
    let joined = joining.open(&sealed).map_err(|_| foreign())?;
    if !same(&asked_code()?, &joined.code()) {
        return Err(foreign());
    }
    Ok(joined)
}

/// The code that the officer reads out.
fn asked_code() -> Result<String, Failure> {
    eprint!("Approved. The code that `cluster approve` showed: ");
    let _ = std::io::stderr().flush();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    let none = || {
        Failure::new("No code was given; nothing was made.").next("ask the officer for it, and join again.")
    };
    match read {
        Ok(length) if length > 0 => Ok(line),
        _ => Err(none()),
    }
}

fn same(given: &str, wanted: &str) -> bool {
    let digits = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_hexdigit()).map(|c| c.to_ascii_lowercase()).collect()
    };
    digits(given) == digits(wanted)
}

fn approve(context: &mut Context, fingerprint: &str, as_clone: bool) -> Outcome {
    let engine = engine(context)?;
    let officer = context.officer(false)?;
    let failed = |stop| stopped("The host was not let in.", stop);
    let waiting = join::waiting(&engine).map_err(failed)?;
    let request = waiting.into_iter().find(|request| same(&request.fingerprint(), fingerprint));
    let request = request.ok_or_else(|| {
        Failure::new(format!("No host with the fingerprint {fingerprint} asks to join.")).next(
            "`strongroom cluster join` must be waiting on it; `strongroom cluster list` shows who asks.",
        )
    })?;
    let token = context.ready_token()?;
    // Approved, and the answer lost: then it may be given again. One that was heard of has it.
    let here =
        Observer::new(token, &engine).and_then(|mut observer| observer.look()).map_err(no_member)?.members;
    if here.iter().any(|row| row.member.id == request.member.id && (row.this_host || row.said.is_some())) {
        let name = &request.member.name;
        return Err(Failure::new(format!("{name} is a member already; it gets nothing again.")).next(
            "nothing: somebody left its old request in etcd. `strongroom cluster list` shows who asks.",
        ));
    }
    let welcome = match as_clone {
        true => token.welcome_clone(officer.access(), &request),
        false => token.welcome(officer.access(), &request),
    };
    let welcome = welcome.map_err(no_member)?;
    join::answer(&engine, &request.fingerprint(), welcome.sealed).map_err(failed)?;
    let may = if as_clone { "make a clone" } else { "join" };
    let sentence = format!(
        "{} may {may}, and gets the seal key.\nOn the new host, this code is asked for: {}",
        request.member.name, welcome.code
    );
    Ok(Answer::done(sentence, json!({ "name": request.member.name, "code": welcome.code })))
}

#[derive(Serialize)]
struct Listed {
    name: String,
    state: &'static str,
    fingerprint: String,
    peer: String,
}

fn list(context: &mut Context) -> Outcome {
    let engine = engine(context)?;
    let members = context.ready_token()?.members()?;
    let known: Vec<_> = members.iter().map(|member| member.id).collect();
    let mut rows: Vec<Listed> = members
        .into_iter()
        .map(|member| Listed {
            state: "member",
            peer: member.id.to_string(),
            name: member.name,
            fingerprint: String::new(),
        })
        .collect();
    let asks = join::waiting(&engine).map_err(|stop| stopped("Who asks to join is not known.", stop))?;
    rows.extend(asks.into_iter().map(|request: JoinRequest| Listed {
        state: if known.contains(&request.member.id) { "asks again" } else { "asks to join" },
        fingerprint: request.fingerprint(),
        peer: request.member.id.to_string(),
        name: request.member.name,
    }));
    Ok(Answer::rows("members", rows))
}
