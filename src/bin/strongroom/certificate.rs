//! `strongroom certificate`: X.509 certificates beside the keys; everybody sees them. `key import` brings
//! those that come with keys.

use crate::Run;
use crate::context::{Context, Person};
use crate::key::import::place::Placing;
use crate::key::import::read::{self, KeyPassword, Kind};
use crate::key::{called, import, written};
use crate::output::{Answer, Failure, Outcome};
use crate::pem;
use cryptoki_sys::*;
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use strongroom::audit::hex;
use strongroom::error::Error;
use strongroom::object::Value;
use strongroom::token::{Handle, Token};
use x509_parser::parse_x509_certificate;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Certificates of PEM or DER files; one that belongs to a key of the token gets its CKA_ID.
    #[command(override_usage = "strongroom certificate import <FILE>... [OPTIONS]")]
    Import {
        /// Files, or folders with files called .pem, .crt, .cer or .der.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        password: KeyPassword,
        #[command(flatten)]
        placing: Placing,
    },
    /// All certificates.
    List,
    /// One as PEM.
    Export {
        /// Its label or its id.
        certificate: String,
        /// [default: standard output]
        #[arg(long = "out", alias = "path", value_name = "FILE")]
        path: Option<PathBuf>,
    },
    /// Take one out of the token: by who brought it, or an officer.
    Delete {
        /// Its label or its id.
        certificate: String,
    },
}

#[derive(Serialize)]
struct Row {
    label: String,
    subject: String,
    issuer: String,
    not_after: String,
    key_id: String,
    id: String,
}

fn bytes(token: &Token, person: &Person, certificate: Handle, kind: u64) -> Result<Vec<u8>, Failure> {
    match token.attributes(person.access(), certificate, &[kind])?.first() {
        Some(Ok(value)) => Ok(value.bytes().unwrap_or_default().to_vec()),
        _ => Ok(Vec::new()),
    }
}

fn row(token: &Token, person: &Person, certificate: Handle) -> Result<Row, Failure> {
    let text = |kind| {
        bytes(token, person, certificate, kind).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let value = bytes(token, person, certificate, CKA_VALUE)?;
    let parsed = parse_x509_certificate(&value).ok().map(|(_, certificate)| certificate);
    let day = |certificate: &x509_parser::certificate::X509Certificate<'_>| {
        let end = certificate.validity().not_after.timestamp().try_into().unwrap_or_default();
        let end = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(end);
        humantime::format_rfc3339_seconds(end).to_string().chars().take(10).collect::<String>()
    };
    let key_id = bytes(token, person, certificate, CKA_ID)?;
    Ok(Row {
        label: text(CKA_LABEL)?,
        subject: parsed.as_ref().map(|parsed| parsed.subject().to_string()).unwrap_or_default(),
        issuer: parsed.as_ref().map(|parsed| parsed.issuer().to_string()).unwrap_or_default(),
        not_after: parsed.as_ref().map(day).unwrap_or_default(),
        key_id: hex(&key_id),
        id: text(CKA_UNIQUE_ID)?,
    })
}

fn one(token: &Token, person: &Person, name: &str) -> Result<Handle, Failure> {
    match called(token, person, name, &[CKO_CERTIFICATE])?[..] {
        [one] => Ok(one),
        [] => Err(Failure::new(format!("There is no certificate {name}."))
            .next("`strongroom certificate list` shows what there is.")),
        ref found => Err(Failure::new(format!("{} certificates are called {name}.", found.len()))
            .next("name one by its id: `strongroom certificate list`.")),
    }
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        if let Command::Import { files, password, placing } = self {
            let mut passwords = password.reader();
            return import::files(context, files, &["pem", "crt", "cer", "der"], placing, |path| {
                let items = read::keys(path, &mut passwords)?;
                match items.iter().all(|item| matches!(item.kind, Kind::Certificate(_))) {
                    true => Ok(items),
                    false => Err(read::damaged(path, "there are keys in it")
                        .next("`strongroom key import pem` takes keys with their certificates.")),
                }
            });
        }
        let person = context.anyone()?;
        let token = context.ready_token()?;
        match self {
            Command::Import { .. } => Err(Error::GeneralError.into()),
            Command::List => {
                let found = token.find(person.access(), &vec![(CKA_CLASS, Value::Ulong(CKO_CERTIFICATE))])?;
                let rows = found.into_iter().map(|found| row(token, &person, found));
                let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
                rows.sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
                Ok(Answer::rows("certificates", rows))
            }
            Command::Export { certificate, path } => {
                let value = bytes(token, &person, one(token, &person, certificate)?, CKA_VALUE)?;
                let text = pem::encode("CERTIFICATE", value).into_bytes();
                written(
                    path.as_deref(),
                    text,
                    |text| json!({ "certificate": certificate, "pem": String::from_utf8_lossy(text) }),
                )
            }
            Command::Delete { certificate } => {
                let found = one(token, &person, certificate)?;
                context.library()?.destroy_object(person.session, found).map_err(|error| match error {
                    Error::ActionProhibited => {
                        Failure::new("Only who brought it or an officer may delete it.")
                    }
                    other => other.into(),
                })?;
                Ok(Answer::done(format!("{certificate} is deleted."), json!({ "certificate": certificate })))
            }
        }
    }
}
