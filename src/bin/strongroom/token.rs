//! `strongroom status` and `strongroom verify`.

use crate::Run;
use crate::context::{Context, unusable};
use crate::output::{Answer, Failure, Outcome};
use crate::progress::Progress;
use crate::{backup, reset};
use serde::Serialize;
use serde_json::json;
use strongroom::config::SealConfig;
use strongroom::token::Role;

#[derive(clap::Args)]
pub struct Status {}

#[derive(clap::Args)]
pub struct Verify {}

#[derive(Serialize)]
struct Description {
    slot: u64,
    file: String,
    initialized: bool,
    label: String,
    serial: String,
    version: &'static str,
    seal: String,
    writable: bool,
    /// The fingerprint of this host's identity (AU).
    appliance: String,
    officers: usize,
    users: usize,
    locked: usize,
    reset_policy: String,
    /// The switches of [slot.allow] that are on.
    loosened: String,
    password_bytes: String,
    backups: String,
}

pub fn seal(config: &SealConfig) -> String {
    match config {
        SealConfig::KeyFile(path) => format!("key file {}", path.display()),
        SealConfig::Credential { name, .. } => format!("credential {name}"),
        SealConfig::Passphrase(_) => "passphrase".into(),
    }
}

/// What the token is, for `status` and `cluster info`.
pub fn described(context: &mut Context) -> Outcome {
    let (slot, token) = (context.slot()?, context.token()?);
    let unusable = |error| unusable(token, error);
    let info = token.info().map_err(unusable)?;
    let initialized = !info.serial.is_empty();
    let people = if initialized { token.users().map_err(unusable)? } else { Vec::new() };
    let policy = if initialized { Some(token.reset_policy().map_err(unusable)?) } else { None };
    let host = if initialized { token.appliance().map_err(unusable)? } else { None };
    let backups = if initialized { backup::described(token).map_err(unusable)? } else { String::new() };
    let count = |role| people.iter().filter(|user| user.role == role).count();
    let description = Description {
        slot: slot.id,
        file: slot.path.display().to_string(),
        initialized,
        label: info.label,
        serial: info.serial,
        version: env!("CARGO_PKG_VERSION"),
        seal: seal(&slot.seal),
        writable: info.flags & cryptoki_sys::CKF_WRITE_PROTECTED == 0,
        appliance: host.map(|host| host.fingerprint()).unwrap_or_default(),
        officers: count(Role::Officer),
        users: count(Role::User),
        locked: people.iter().filter(|user| user.locked).count(),
        reset_policy: policy.map(reset::said).unwrap_or_default(),
        loosened: slot.allow.names(),
        password_bytes: format!("{} to {}", info.min_pin_length, info.max_pin_length),
        backups,
    };
    if !initialized {
        let sentence = format!(
            "There is no token yet at {}.\nNext: `strongroom cluster activate` makes it and gives its first officer a \
             password.",
            slot.path.display()
        );
        return Ok(Answer::done(sentence, description));
    }
    Ok(Answer::record(description))
}

impl Run for Status {
    fn run(&self, context: &mut Context) -> Outcome {
        described(context)
    }
}

impl Run for Verify {
    fn run(&self, context: &mut Context) -> Outcome {
        let token = context.present_token()?;
        let mut progress = Progress::new("records");
        let report =
            token.verify(&mut |done, all| progress.at(done, all)).map_err(|error| unusable(token, error))?;
        progress.end();
        let (records, entries, faults) = (report.records, report.entries, report.faults.len());
        let sentence = format!("{records} records, {entries} entries in the audit log, {faults} faults");
        if faults == 0 {
            return Ok(Answer::done(
                sentence,
                json!({ "records": records, "entries": entries, "faults": report.faults }),
            ));
        }
        let failure = Failure::new(format!("The token's file was altered or damaged: {sentence}."))
            .next("restore it from a backup; what is named above is not served, everything else is.");
        Err(report.faults.iter().fold(failure, |failure, fault| failure.because(format!("FAULT  {fault}"))))
    }
}
