//! The module, the configuration, and for each slot the token's file and its seal key.

use super::{Finding, records};
use crate::context::Context;
use crate::output::Failure;
use std::fs::Metadata;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use strongroom::config::{Config, PassphraseSource, SealConfig, SlotConfig};
use strongroom::error::Error;
use strongroom::token::{SealState, Token};

const MODULE: &str = "libstrongroom.so";

/// Where the module may lie, the likeliest first.
fn module_places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = std::env::var_os("STRONGROOM").map(PathBuf::from).into_iter().collect();
    if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        places.push(folder.join(MODULE));
        places.push(folder.join("../lib").join(MODULE));
    }
    for folder in [
        "/usr/local/lib",
        "/usr/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
    ] {
        places.extend([Path::new(folder).join("pkcs11").join(MODULE), Path::new(folder).join(MODULE)]);
    }
    places
}

pub fn module() -> Finding {
    match module_places().into_iter().find(|path| path.is_file()) {
        Some(path) => {
            let path = std::fs::canonicalize(&path).unwrap_or(path);
            Finding::ok("module", path.display().to_string())
        }
        None => Finding::look(
            "module",
            format!("no {MODULE} beside this command or in the usual folders"),
            "Install it, or name it in the variable STRONGROOM.",
        ),
    }
}

pub fn configuration(context: &mut Context) -> Finding {
    let path = context.options.config.clone().or_else(Config::place);
    let found = match &path {
        Some(path) => path.display().to_string(),
        None => "no file: built-in defaults".into(),
    };
    if context.config().is_err() {
        return Finding::wrong(
            "configuration",
            format!("{found} cannot be used"),
            "Mend what the reason below says.",
        );
    }
    match path.as_deref().map(std::fs::metadata) {
        Some(Ok(file)) if file.mode() & 0o022 != 0 => Finding::wrong(
            "configuration",
            format!("{found} can be written by others"),
            "chmod go-w: whoever writes it decides which token programs see.",
        ),
        _ => Finding::ok("configuration", found),
    }
}

/// Each slot's files and token; `quick`: without reading every record.
pub fn slots(context: &mut Context, quick: bool, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    let library = context.library()?;
    for slot in context.config()?.slots.clone() {
        let name = |what: &str| format!("slot {}: {what}", slot.id);
        let token = library.token(slot.id)?;
        findings.extend(loosened(name("rules"), &slot));
        if !slot.path.exists() {
            findings.push(Finding::none(
                name("token"),
                format!("{} is not there yet; `strongroom cluster activate` makes it", slot.path.display()),
            ));
            continue;
        }
        findings.push(folder(name("folder"), &slot.path));
        findings.push(private(name("token file"), &slot.path));
        findings.push(seal(name("seal key"), &slot));
        let opened = state(name("token"), token);
        let opens = !opened.is_wrong();
        findings.push(opened);
        if opens {
            findings.extend(seals(name("seals"), token));
            if !quick {
                findings.push(records::records(name("records"), token));
            }
            findings.push(records::backups(name("backups"), token, SystemTime::now()));
        }
    }
    Ok(())
}

/// What the rules against attacks do not stop here.
fn loosened(check: String, slot: &SlotConfig) -> Option<Finding> {
    let switches = slot.allow.switches().map(|switch| format!("{} ({})", switch.name(), switch.attack()));
    let found = switches.collect::<Vec<_>>().join("; ");
    let next = "Take out of [slot.allow] what no program needs.";
    (!found.is_empty()).then(|| Finding::look(check, format!("loosened: {found}"), next))
}

fn unreadable(check: String, path: &Path, error: &std::io::Error) -> Finding {
    let found = format!("{}: {error}", path.display());
    Finding::wrong(check, found, "Put it back, or run this as the user who owns it.")
}

/// The folder may be written by the owner only: others could put another token there.
fn folder(check: String, path: &Path) -> Finding {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match std::fs::metadata(folder) {
        Err(error) => unreadable(check, folder, &error),
        // A sticky folder lets nobody replace another's files.
        Ok(found) if found.mode() & 0o022 != 0 && found.mode() & 0o1000 == 0 => Finding::wrong(
            check,
            format!("{} can be written by others ({:o})", folder.display(), found.mode() & 0o7777),
            format!("chmod go-w {}", folder.display()),
        ),
        Ok(_) => Finding::ok(check, folder.display().to_string()),
    }
}

/// A file that only its owner should read.
fn private(check: String, path: &Path) -> Finding {
    match std::fs::metadata(path) {
        Err(error) => unreadable(check, path, &error),
        Ok(file) if file.permissions().mode() & 0o007 != 0 => open_to_others(check, path, &file),
        Ok(_) => Finding::ok(check, path.display().to_string()),
    }
}

fn open_to_others(check: String, path: &Path, file: &Metadata) -> Finding {
    let mode = file.permissions().mode() & 0o7777;
    let found = format!("{} is open to others ({mode:o})", path.display());
    Finding::wrong(check, found, format!("chmod o-rwx {}", path.display()))
}

fn seal(check: String, slot: &SlotConfig) -> Finding {
    let (path, forbidden) = match &slot.seal {
        SealConfig::KeyFile(path) | SealConfig::Passphrase(PassphraseSource::File(path)) => (path, 0o077),
        SealConfig::Credential { name, folder: Some(folder) } => (&folder.join(name), 0o007),
        SealConfig::Credential { name, folder: None } => {
            let found = format!("credential {name}: CREDENTIALS_DIRECTORY is not set");
            return Finding::wrong(
                check,
                found,
                format!(
                    "Run this as the service does: systemd-run --pty -p LoadCredentialEncrypted={name} strongroom doctor"
                ),
            );
        }
        SealConfig::Passphrase(PassphraseSource::Environment) => {
            return Finding::ok(check, "the variable STRONGROOM_SEAL_PASSPHRASE");
        }
    };
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Err(error) => Finding::wrong(
            check,
            format!("{}: {error}", path.display()),
            "Without it nobody opens the token: put it back from your copy, or run this as its owner.",
        ),
        Ok(file) if file.permissions().mode() & forbidden != 0 => {
            let mode = file.permissions().mode() & 0o7777;
            let found = format!("{} is open to others ({mode:o})", path.display());
            Finding::wrong(check, found, format!("chmod 600 {}", path.display()))
        }
        Ok(_) => Finding::ok(check, path.display().to_string()),
    }
}

/// The seals that something is to be done about.
fn seals(check: String, token: &Token) -> Option<Finding> {
    let all = token.seals().unwrap_or_default();
    let numbers = |state: SealState| {
        let found = all.iter().filter(|seal| seal.state == state).map(|seal| seal.number.to_string());
        Some(found.collect::<Vec<_>>().join(", ")).filter(|numbers| !numbers.is_empty())
    };
    if let Some(numbers) = numbers(SealState::Altered) {
        let next = "`strongroom seal remove NUMBER`, and find out who writes the token's file.";
        return Some(Finding::wrong(check, format!("altered: {numbers}"), next));
    }
    let numbers = numbers(SealState::LeftOver)?;
    let next = "`strongroom seal rotate` once more, or `strongroom seal remove NUMBER`.";
    Some(Finding::look(check, format!("left of a rotation that was broken off: {numbers}"), next))
}

/// The reason is in the library's log, which the command shows at its end.
fn unusable(check: String, error: Error) -> Finding {
    let next = match error {
        Error::DeviceError => error.remedy(),
        _ => "The line below says why.",
    };
    Finding::wrong(check, format!("it cannot be opened ({})", error.name()), next)
}

fn state(check: String, token: &Token) -> Finding {
    let info = match token.info() {
        Ok(info) => info,
        Err(error) => return unusable(check, error),
    };
    if info.flags & cryptoki_sys::CKF_WRITE_PROTECTED != 0 {
        let found = format!("{} is read-only for this user", info.label);
        return Finding::look(
            check,
            found,
            "Give this user write access to file and folder, if it should write.",
        );
    }
    let users = match token.users() {
        Ok(users) => users,
        Err(error) => return unusable(check, error),
    };
    let locked: Vec<&str> = users.iter().filter(|user| user.locked).map(|user| user.name.as_str()).collect();
    let found = format!("{}, users: {}", info.label, users.len());
    match locked[..] {
        [] => Finding::ok(check, found),
        _ => Finding::look(
            check,
            format!("{found}; locked: {}", locked.join(", ")),
            "An officer ends a lock: `strongroom user unlock NAME`.",
        ),
    }
}
