//! `key import`: keys made elsewhere. Each file is one transaction: what was said to be imported is there
//! whole, whatever happens after. Imported keys are never local, always sensitive or never extractable.

mod pkcs12;
pub mod place;
pub mod read;
mod sound;

use super::transport;
use super::wrap::{Hashes, KeyTypeClass, Method, Wrapped};
use crate::Run;
use crate::context::{Context, Person};
use crate::output::{Answer, Failure, Outcome};
use crate::progress::Progress;
use cryptoki_sys::*;
use place::{Placed, Placing, Refused};
use read::{Encoding, Item, KeyPassword, Kind};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use strongroom::audit::hex;
use strongroom::error::Error;
use strongroom::token::Token;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Keys and certificates of PEM or DER files: PKCS#8 (encrypted or not), SEC1, PKCS#1, X.509.
    #[command(override_usage = "strongroom key import pem <FILE>... [OPTIONS]")]
    Pem {
        /// Files, or folders with files called .pem, .key, .der, .crt or .cer.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        password: KeyPassword,
        #[command(flatten)]
        placing: Placing,
    },
    /// Keys with their certificates of PKCS#12 files.
    #[command(override_usage = "strongroom key import pkcs12 <FILE>... [OPTIONS]")]
    Pkcs12 {
        /// Files, or folders with files called .p12 or .pfx.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        password: KeyPassword,
        #[command(flatten)]
        placing: Placing,
    },
    /// Secret keys, a file for each.
    #[command(
        visible_alias = "raw",
        override_usage = "strongroom key import secret <FILE>... --key-type <KEY_TYPE> [OPTIONS]"
    )]
    Secret {
        /// Files, or folders with files called .bin, .key or .hex.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[arg(long, value_enum)]
        key_type: SecretType,
        #[arg(long, value_enum, default_value = "binary")]
        encoding: Encoding,
        #[command(flatten)]
        placing: Placing,
    },
    /// A key that was wrapped with a transport key's public half (CKM_RSA_AES_KEY_WRAP).
    #[command(
        override_usage = "strongroom key import wrapped <FILE> --transport <KEY> --key-type-class <CLASS> [OPTIONS]"
    )]
    Wrapped {
        file: PathBuf,
        /// The transport key, by its label or id.
        #[arg(long, value_name = "KEY")]
        transport: String,
        /// What the key is.
        #[arg(long, value_enum, value_name = "CLASS")]
        key_type_class: KeyTypeClass,
        #[command(flatten)]
        hashes: Hashes,
        /// Delete the transport key afterwards.
        #[arg(long)]
        delete_transport: bool,
        #[command(flatten)]
        placing: Placing,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SecretType {
    Aes,
    GenericSecret,
}

const IMPORTED: &str = "imported";

#[derive(Default, Serialize)]
struct Row {
    file: String,
    outcome: &'static str,
    label: String,
    objects: Vec<String>,
    key_id: String,
}

impl Row {
    fn of(path: &Path, placed: Placed) -> Row {
        Row {
            file: path.display().to_string(),
            outcome: if placed.present { "there already" } else { IMPORTED },
            label: placed.label,
            objects: placed.made,
            key_id: hex(&placed.id),
        }
    }
}

/// The files of folders, by name; files as they are.
fn walked(paths: &[PathBuf], extensions: &[&str]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable = |e: std::io::Error| Failure::new(format!("{}: {e}.", path.display()));
        let entries = std::fs::read_dir(path)
            .map_err(unreadable)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        let fits = |file: &PathBuf| {
            let extension = file.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            extensions.contains(&&*extension) && !file.is_dir()
        };
        found.retain(fits);
        found.sort();
        if found.is_empty() {
            return Err(Failure::new(format!(
                "{}: no file there is called {}.",
                path.display(),
                extensions.join(", ")
            ))
            .next("name the files themselves."));
        }
        files.extend(found);
    }
    Ok(files)
}

/// Whether no further file can do better.
fn hopeless(error: Error) -> bool {
    matches!(
        error,
        Error::DeviceMemory
            | Error::DeviceError
            | Error::DeviceRemoved
            | Error::UserNotLoggedIn
            | Error::TokenWriteProtected
    )
}

/// Every file for itself; the answer names each.
pub fn files(
    context: &mut Context,
    paths: &[PathBuf],
    extensions: &[&str],
    placing: &Placing,
    mut read: impl FnMut(&Path) -> Result<Vec<Item>, Failure>,
) -> Outcome {
    let paths = walked(paths, extensions)?;
    if paths.len() > 1 && (placing.label.is_some() || placing.id.is_some()) {
        return Err(Failure::usage("--label and --id are for one file."));
    }
    let person = context.crypto_user()?;
    let (token, library) = (context.ready_token()?, context.library()?);
    let mut attempt = |path: &Path| {
        let items = read(path)?;
        place::place(library, (token, &person), placing, &items, &read::stem(path))
    };
    if let [path] = &paths[..] {
        return match attempt(path) {
            Ok(placed) => {
                let rows = vec![Row::of(path, placed)];
                tell_namesakes(token, &person, &rows)?;
                Ok(Answer::rows("files", rows))
            }
            Err(Refused::File(failure)) => Err(failure.about(&path.display().to_string())),
            Err(Refused::Token(error)) => Err(error.into()),
        };
    }
    let mut progress = Progress::new("files");
    let (mut rows, mut reasons, mut stopped) = (Vec::new(), Vec::new(), false);
    for (done, path) in paths.iter().enumerate() {
        let file = path.display().to_string();
        let outcome = if stopped { "not tried" } else { "failed" };
        let refused = match stopped {
            true => None,
            false => match attempt(path) {
                Ok(placed) => {
                    rows.push(Row::of(path, placed));
                    progress.at(done as u64 + 1, paths.len() as u64);
                    continue;
                }
                Err(Refused::File(failure)) => Some(failure),
                Err(Refused::Token(error)) => {
                    stopped = hopeless(error);
                    Some(error.into())
                }
            },
        };
        reasons.extend(refused.map(|failure| failure.about(&file).in_a_line()));
        rows.push(Row { file, outcome, ..Row::default() });
        progress.at(done as u64 + 1, paths.len() as u64);
    }
    progress.end();
    tell_namesakes(token, &person, &rows)?;
    summary(rows, &reasons)
}

/// Of all keys that were imported, after what was said of files that were not.
fn tell_namesakes(token: &Token, person: &Person, rows: &[Row]) -> Result<(), Failure> {
    let labels: BTreeSet<_> =
        rows.iter().filter(|row| row.outcome == IMPORTED).map(|row| &row.label).collect();
    labels.into_iter().try_for_each(|label| super::tell_namesakes(token, person, label))
}

fn summary(rows: Vec<Row>, reasons: &[String]) -> Outcome {
    let all = rows.len();
    let failed = rows.iter().filter(|row| matches!(row.outcome, "failed" | "not tried")).count();
    let answer = Answer::rows("files", rows);
    if failed == 0 {
        return Ok(answer);
    }
    let next = match failed == all {
        true => "mend that, and run it again.",
        false => "the others are in the token; mend these, and run it again with --skip-existing.",
    };
    let failure = Failure::new(format!("{failed} of {all} files were not imported.")).next(next);
    Err(reasons.iter().fold(failure, Failure::because).showing(answer))
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Pem { files: paths, password, placing } => {
                let mut passwords = password.reader();
                let extensions = ["pem", "key", "der", "crt", "cer"];
                files(context, paths, &extensions, placing, |path| read::keys(path, &mut passwords))
            }
            Command::Pkcs12 { files: paths, password, placing } => {
                let mut passwords = password.reader();
                files(context, paths, &["p12", "pfx"], placing, |path| read::container(path, &mut passwords))
            }
            Command::Secret { files: paths, key_type, encoding, placing } => {
                let number = match key_type {
                    SecretType::Aes => CKK_AES,
                    SecretType::GenericSecret => CKK_GENERIC_SECRET,
                };
                files(context, paths, &["bin", "key", "hex"], placing, |path| {
                    let value = read::secret(path, *encoding)?;
                    Ok(vec![Item { kind: Kind::Secret(number, value), name: None }])
                })
            }
            Command::Wrapped { file, transport, key_type_class, hashes, delete_transport, placing } => {
                let blob = read::file(file)?;
                let person = context.crypto_user()?;
                let token = context.ready_token()?;
                let unwrapping = transport::usable(token, &person, transport)?;
                if *delete_transport {
                    transport::must_be_one(token, &person, unwrapping, transport)?;
                }
                let (method, kind) = (Method::RsaAes, *key_type_class);
                let name = transport;
                let wrapped = Wrapped { method, kind, hashes, unwrapping, name, blob: &blob, placing };
                let answer = wrapped.import(context, &person, &read::stem(file))?;
                if *delete_transport {
                    transport::delete(context, &person, unwrapping)?;
                }
                Ok(answer)
            }
        }
    }
}
