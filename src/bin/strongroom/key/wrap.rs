//! `key wrap` and `key unwrap`: keys under keys, by the methods of CloudHSM's command.

use super::generate::{template, text};
use super::import::place::{Placing, alone, settled};
use super::{find_one, tell_namesakes};
use crate::Run;
use crate::context::{Context, Person};
use crate::mechanism::named;
use crate::output::{Answer, Failure, Outcome};
use crate::parameters::hash;
use cryptoki_sys::*;
use serde_json::{Value as Json, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use strongroom::audit::hex;
use strongroom::crypto::Hash;
use strongroom::error::Error;
use strongroom::mechanism::{Mechanism, Params};
use strongroom::object::{Template, Value};
use strongroom::session::Output;
use strongroom::token::{Handle, Token};

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// RSA-OAEP of an AES key that wraps the key: keys of any size.
    RsaAes,
    /// RSA-OAEP: secret keys, which are short.
    RsaOaep,
    /// AES key wrap with padding (RFC 5649): keys of any size.
    #[value(alias = "aes-kwp")]
    AesZeroPad,
    /// AES key wrap (RFC 3394): keys of a multiple of 8 bytes.
    #[value(alias = "aes-kw")]
    AesNoPad,
}

impl Method {
    pub fn row(self) -> Result<&'static Mechanism, Failure> {
        named(match self {
            Method::RsaAes => "rsa-aes-key-wrap",
            Method::RsaOaep => "rsa-pkcs-oaep",
            Method::AesZeroPad => "aes-key-wrap-kwp",
            Method::AesNoPad => "aes-key-wrap",
        })
    }

    pub fn params(self, hash: Hash, mgf: Option<Hash>) -> Params {
        let (mgf, label) = (mgf.unwrap_or(hash), Vec::new());
        match self {
            Method::RsaAes => Params::RsaAes { key_bits: 256, hash, mgf, label },
            Method::RsaOaep => Params::Oaep { hash, mgf, label },
            Method::AesZeroPad | Method::AesNoPad => Params::None,
        }
    }
}

/// What a wrapped key is, as CloudHSM's command calls it.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum KeyTypeClass {
    Aes,
    GenericSecret,
    RsaPrivate,
    EcPrivate,
    Ed25519Private,
}

impl KeyTypeClass {
    /// Class and key type.
    fn terms(self) -> [(u64, Value); 2] {
        let (class, key_type) = match self {
            KeyTypeClass::Aes => (CKO_SECRET_KEY, CKK_AES),
            KeyTypeClass::GenericSecret => (CKO_SECRET_KEY, CKK_GENERIC_SECRET),
            KeyTypeClass::RsaPrivate => (CKO_PRIVATE_KEY, CKK_RSA),
            KeyTypeClass::EcPrivate => (CKO_PRIVATE_KEY, CKK_EC),
            KeyTypeClass::Ed25519Private => (CKO_PRIVATE_KEY, CKK_EC_EDWARDS),
        };
        [(CKA_CLASS, Value::Ulong(class)), (CKA_KEY_TYPE, Value::Ulong(key_type))]
    }
}

/// The hashes of OAEP.
#[derive(clap::Args)]
pub struct Hashes {
    /// RSA: the hash of OAEP.
    #[arg(long, alias = "hash-function", value_name = "NAME", default_value = "sha256", value_parser = hash)]
    pub hash: Hash,
    /// RSA: the hash of its mask [default: the same].
    #[arg(long, value_name = "NAME", value_parser = hash)]
    pub mgf: Option<Hash>,
}

#[derive(clap::Args)]
pub struct Wrap {
    #[arg(value_enum)]
    method: Method,
    /// The key to be wrapped, by its label or id; it must be yours and extractable.
    #[arg(long, value_name = "KEY")]
    payload: String,
    /// The key that wraps; its wrap attribute is true.
    #[arg(long, value_name = "KEY")]
    wrapping: String,
    #[command(flatten)]
    hashes: Hashes,
    /// Where the wrapped key goes [default: standard output].
    #[arg(long = "out", alias = "path", value_name = "FILE")]
    path: Option<PathBuf>,
}

#[derive(clap::Args)]
pub struct Unwrap {
    #[arg(value_enum)]
    method: Method,
    /// The key that unwraps; its unwrap attribute is true.
    #[arg(long, value_name = "KEY")]
    unwrapping: String,
    /// A file with the wrapped key.
    #[arg(long = "data-path", alias = "path", value_name = "FILE")]
    path: PathBuf,
    /// What the key is.
    #[arg(long, value_enum, value_name = "CLASS")]
    key_type_class: KeyTypeClass,
    #[command(flatten)]
    hashes: Hashes,
    #[command(flatten)]
    placing: Placing,
}

/// Bytes into a new file that only its owner may read, or to standard output.
pub fn written(path: Option<&Path>, bytes: Vec<u8>, told: impl Fn(&[u8]) -> Json) -> Outcome {
    let Some(path) = path else {
        let told = told(&bytes);
        return Ok(Answer::bytes(bytes, told));
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(&bytes)).map_err(|e| {
        Failure::new(format!("{}: {e}.", path.display()))
            .next("name a new file, in a folder you can write to.")
    })?;
    let (many, path) = (bytes.len(), path.display().to_string());
    Ok(Answer::done(format!("{many} bytes are in {path}."), json!({ "file": path, "bytes": many })))
}

impl Run for Wrap {
    fn run(&self, context: &mut Context) -> Outcome {
        // Before anything leaves the token and the log says so.
        if let Some(path) = self.path.as_deref().filter(|path| path.exists()) {
            return Err(Failure::new(format!("{}: File exists; nothing was wrapped.", path.display()))
                .next("name a new file."));
        }
        let person = context.crypto_user()?;
        let (token, library) = (context.ready_token()?, context.library()?);
        let key = find_one(token, &person, &self.payload, &[CKO_PRIVATE_KEY, CKO_SECRET_KEY])?;
        let wrapping = find_one(token, &person, &self.wrapping, &[CKO_PUBLIC_KEY, CKO_SECRET_KEY])?;
        let wrap = |output: &mut Output<'_>| {
            let params = self.method.params(self.hashes.hash, self.hashes.mgf);
            let wrapped = library.wrap_key(person.session, self.method.row()?, params, wrapping, key, output);
            wrapped.map_err(|error| not_allowed(error, &self.wrapping, &self.payload, "wrap"))?;
            Ok::<_, Failure>(output.length)
        };
        let length = wrap(&mut Output { buffer: None, length: 0 })?;
        let mut wrapped = vec![0; length];
        wrap(&mut Output { buffer: Some(&mut wrapped), length: 0 })?;
        written(self.path.as_deref(), wrapped, |wrapped| {
            let wrapped = hex(wrapped);
            json!({ "payload": self.payload, "wrapping": self.wrapping, "wrapped": wrapped })
        })
    }
}

/// A wrapped key that is to come into the token.
pub struct Wrapped<'a> {
    pub method: Method,
    pub kind: KeyTypeClass,
    pub hashes: &'a Hashes,
    pub unwrapping: Handle,
    /// As the person called it.
    pub name: &'a str,
    pub blob: &'a [u8],
    pub placing: &'a Placing,
}

/// That the attributes of the keys are the reason, in words that name the one to change.
fn not_allowed(error: Error, key: &str, other: &str, work: &str) -> Failure {
    let code = error.name();
    match error {
        Error::KeyFunctionNotPermitted => Failure::new(format!(
            "{key} may not {work}: its {work} attribute is false, or it is not to be used now. ({code})"
        ))
        .next(format!(
            "its owner can change that: `strongroom key set-attribute {key} --name {work} --value true`; `strongroom key \
             info {key}` shows it all."
        )),
        Error::KeyUnextractable => {
            Failure::new(format!("{other} never leaves the token: its extractable attribute is false. ({code})"))
                .next("that cannot be changed; make a new key with extractable=true, if it is to be taken out.")
        }
        other => other.into(),
    }
}

fn refused(error: Error) -> Failure {
    match error {
        Error::WrappedKeyInvalid | Error::WrappedKeyLenRange => {
            Failure::new("This key does not open it, or not to a key of that kind; nothing was imported.")
                .because("another key wrapped it, with another hash, or it was changed or cut; or a private key in it is not PKCS#8")
                .next("check the transport key, --hash, --mgf and --key-type-class; `openssl pkcs8 -topk8 -nocrypt -outform DER` writes PKCS#8.")
        }
        other => other.into(),
    }
}

impl Wrapped<'_> {
    fn open(&self, context: &mut Context, person: &Person, template: Template) -> Result<Handle, Failure> {
        let (library, row) = (context.library()?, self.method.row()?);
        let params = self.method.params(self.hashes.hash, self.hashes.mgf);
        let key = library.unwrap_key(person.session, row, params, self.unwrapping, self.blob, template);
        key.map_err(|error| match error {
            Error::KeyFunctionNotPermitted => not_allowed(error, self.name, "", "unwrap"),
            other => refused(other),
        })
    }

    fn template(&self, base: Vec<(u64, Value)>) -> Template {
        let mut template = template(base, &self.placing.attributes, &self.placing.share_with);
        template.extend(self.kind.terms());
        template
    }

    /// Unwraps it into the token's file. It is opened twice: what it is, and so its CKA_ID, is seen in a
    /// session object first.
    pub fn import(&self, context: &mut Context, person: &Person, label: &str) -> Outcome {
        let token: &Token = context.ready_token()?;
        let _alone = alone(token)?;
        let seen = self.open(context, person, self.kind.terms().to_vec())?;
        let found = settled(token, person, self.placing, seen, label);
        context.library()?.destroy_object(person.session, seen)?;
        let found = found?;
        let mut base = vec![text(CKA_LABEL, &found.label)];
        base.extend(found.id.clone().map(|id| (CKA_ID, Value::Bytes(id))));
        let outcome = match found.present {
            true => "is there already",
            false => {
                self.open(context, person, self.template(base))?;
                "is imported"
            }
        };
        if let Some(public) = found.public {
            context.library()?.create_object(person.session, public)?;
        }
        if !found.present {
            tell_namesakes(token, person, &found.label)?;
        }
        let id = hex(&found.id.unwrap_or_default());
        Ok(Answer::done(
            format!("{} {outcome} ({}).", found.label, found.said),
            json!({ "label": found.label, "key_id": id, "imported": !found.present, "kind": found.said }),
        ))
    }
}

impl Run for Unwrap {
    fn run(&self, context: &mut Context) -> Outcome {
        let blob = super::import::read::file(&self.path)?;
        let person = context.crypto_user()?;
        let token = context.ready_token()?;
        let unwrapping = find_one(token, &person, &self.unwrapping, &[CKO_PRIVATE_KEY, CKO_SECRET_KEY])?;
        let label = super::import::read::stem(&self.path);
        let (method, kind, hashes, placing) = (self.method, self.key_type_class, &self.hashes, &self.placing);
        let name = &self.unwrapping;
        Wrapped { method, kind, hashes, unwrapping, name, blob: &blob, placing }
            .import(context, &person, &label)
    }
}
