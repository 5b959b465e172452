//! `strongroom crypto`: a key's work on a text or a file, in the session's one life cycle.

mod signature;

use crate::Run;
use crate::context::Context;
use crate::mechanism::named;
use crate::output::{Answer, Failure, Outcome};
use crate::parameters::{Bytes, Parameters, hex};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cryptoki_sys::*;
use serde_json::{Value as Json, json};
use signature::Format;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use strongroom::audit;
use strongroom::crypto::Curve;
use strongroom::error::Error;
use strongroom::mechanism::{Mechanism, Params};
use strongroom::object::{Template, Value};
use strongroom::session::{Library, Output, Purpose};

#[derive(clap::Subcommand)]
pub enum Command {
    /// Sign, or make a MAC.
    Sign {
        #[command(flatten)]
        work: Work,
        /// How an ECDSA signature is written.
        #[arg(long, value_enum, default_value = "raw")]
        signature_format: Format,
    },
    /// Check a signature or a MAC.
    Verify {
        #[command(flatten)]
        work: Work,
        /// How an ECDSA signature is written.
        #[arg(long, value_enum, default_value = "raw")]
        signature_format: Format,
        /// The signature in base64.
        #[arg(long, value_name = "BASE64", required_unless_present = "signature_path")]
        signature: Option<String>,
        /// A file with the signature as it is.
        #[arg(long, value_name = "FILE", conflicts_with = "signature")]
        signature_path: Option<PathBuf>,
    },
    /// Encrypt; a random IV stands before the ciphertext, unless --iv gives one.
    Encrypt(Work),
    /// Decrypt.
    Decrypt(Work),
    /// Hash; needs no login and no key.
    Hash {
        /// Such as sha256 or CKM_SHA3_512.
        #[arg(long, short)]
        mechanism: String,
        #[command(flatten)]
        data: Data,
    },
}

#[derive(clap::Args)]
pub struct Work {
    /// Its name, with or without CKM_, such as ecdsa-sha256; `strongroom mechanism list` shows all.
    #[arg(long, short)]
    mechanism: String,
    #[command(flatten)]
    key: KeyChoice,
    #[command(flatten)]
    data: Data,
    #[command(flatten)]
    parameters: Parameters,
    /// Write the result as it is into this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub struct KeyChoice {
    /// The key's label.
    #[arg(long, value_name = "LABEL")]
    key_label: Option<String>,
    /// The key's id (CKA_ID) in hex.
    #[arg(long, value_name = "HEX", value_parser = hex)]
    key_id: Option<Bytes>,
}

#[derive(clap::Args)]
pub struct Data {
    /// The data as text.
    #[arg(long, value_name = "TEXT")]
    data: Option<String>,
    /// A file with the data; without either standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    data_path: Option<PathBuf>,
    /// --data is base64.
    #[arg(long, requires = "data")]
    base64: bool,
}

fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|e| Failure::new(format!("{}: {e}.", path.display())).next("name a file you can read."))
}

fn from_base64(text: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(text.trim()).map_err(|e| Failure::usage(format!("This is not base64: {e}.")))
}

impl Data {
    fn read(&self) -> Result<Vec<u8>, Failure> {
        match (&self.data, &self.data_path) {
            (Some(text), _) if self.base64 => from_base64(text),
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(path)) => file(path),
            (None, None) => {
                let mut data = Vec::new();
                let read = std::io::stdin().read_to_end(&mut data);
                read.map(|_| data).map_err(|e| Failure::new(format!("Standard input: {e}.")))
            }
        }
    }
}

fn searched(library: &Library, session: u64, template: Template) -> Result<Vec<u64>, Failure> {
    library.find_init(session, template)?;
    let found = library.find(session, usize::MAX)?;
    library.find_final(session)?;
    Ok(found)
}

/// A public key with the same numbers, if the token has one.
fn other_half(library: &Library, session: u64, private: u64) -> Result<Option<u64>, Failure> {
    let info = library.attributes(session, private, &[CKA_PUBLIC_KEY_INFO])?.pop();
    let Some(Ok(info)) =
        info.filter(|info| info.as_ref().is_ok_and(|info| info.bytes().is_some_and(|b| !b.is_empty())))
    else {
        return Ok(None);
    };
    let same = vec![(CKA_CLASS, Value::Ulong(CKO_PUBLIC_KEY)), (CKA_PUBLIC_KEY_INFO, info)];
    Ok(searched(library, session, same)?.first().copied())
}

impl KeyChoice {
    /// The handle of the one key that is meant, of a class that can do it. Where a public key can, a private
    /// one stands for its other half.
    fn find(&self, library: &Library, session: u64, classes: &[u64]) -> Result<u64, Failure> {
        let mut template = Vec::new();
        template.extend(self.key_id.clone().map(|Bytes(id)| (CKA_ID, Value::Bytes(id))));
        template.extend(self.key_label.clone().map(|label| (CKA_LABEL, Value::Bytes(label.into_bytes()))));
        let of_class = |class: &u64| {
            searched(library, session, [&template[..], &[(CKA_CLASS, Value::Ulong(*class))]].concat())
        };
        let mut fit = Vec::new();
        for class in classes {
            fit.extend(of_class(class)?);
        }
        if fit.is_empty() && classes.contains(&CKO_PUBLIC_KEY) {
            for private in of_class(&CKO_PRIVATE_KEY)? {
                fit.extend(other_half(library, session, private)?);
            }
        }
        match fit[..] {
            [key] => Ok(key),
            [] => Err(Failure::new("No key of yours that could do this has that label and id.")
                .next("`strongroom key list` shows what is yours or shared with you; an officer (CO) sees no private keys.")),
            _ => Err(Failure::new(format!("{} keys have that label and id.", fit.len()))
                .next("say which one by --key-label and --key-id together.")),
        }
    }

    fn told(&self) -> Json {
        let id = self.key_id.as_ref().map(|Bytes(id)| audit::hex(id));
        json!({ "label": self.key_label, "id": id })
    }
}

/// The result of a running operation.
fn one_shot(library: &Library, session: u64, purpose: Purpose, input: &[u8]) -> Result<Vec<u8>, Error> {
    let mut length = Output { buffer: None, length: 0 };
    library.one_shot(session, purpose, input, &mut length)?;
    let mut result = vec![0; length.length];
    let mut output = Output { buffer: Some(&mut result), length: 0 };
    library.one_shot(session, purpose, input, &mut output)?;
    let length = output.length;
    result.truncate(length);
    Ok(result)
}

/// An operation that was started, and what it is to work on.
struct Begun {
    session: u64,
    key: u64,
    mechanism: &'static Mechanism,
    data: Vec<u8>,
    /// Stands before the ciphertext.
    fresh_iv: Vec<u8>,
}

impl Work {
    /// Logs in, finds the key and starts the operation.
    fn start(&self, context: &mut Context, purpose: Purpose) -> Result<Begun, Failure> {
        let mechanism = named(&self.mechanism)?;
        let mut data = self.data.read()?;
        signature::must_be_hash(mechanism, &data)?;
        let ciphertext = (purpose == Purpose::Decrypt).then_some(&data[..]);
        let mut started = self.parameters.of(mechanism, ciphertext)?;
        data.drain(..started.taken);
        let session = context.crypto_user()?.session;
        let library = context.library()?;
        let classes = match purpose {
            Purpose::Sign | Purpose::Decrypt => [CKO_PRIVATE_KEY, CKO_SECRET_KEY],
            _ => [CKO_PUBLIC_KEY, CKO_SECRET_KEY],
        };
        let key = self.key.find(library, session, &classes)?;
        library.start(session, purpose, mechanism, &mut started.params, Some(key))?;
        Ok(Begun { session, key, mechanism, data, fresh_iv: started.fresh_iv })
    }

    /// Signs, encrypts or decrypts; `name` is the result's.
    fn run(&self, context: &mut Context, purpose: Purpose, name: &str) -> Outcome {
        let Begun { session, mechanism, data, fresh_iv: mut result, .. } = self.start(context, purpose)?;
        result.extend(one_shot(context.library()?, session, purpose, &data)?);
        self.answer(mechanism, purpose, name, (result, ""))
    }

    fn sign(&self, context: &mut Context, format: Format) -> Outcome {
        format.check(named(&self.mechanism)?)?;
        let Begun { session, mechanism, data, .. } = self.start(context, Purpose::Sign)?;
        let raw = one_shot(context.library()?, session, Purpose::Sign, &data)?;
        let result = match (format, signature::is_ecdsa(mechanism)) {
            (Format::Der, _) => (signature::to_der(&raw), ""),
            (Format::Raw, true) => (
                raw,
                ": ECDSA's two numbers side by side, as PKCS#11 has them; for OpenSSL say --signature-format der",
            ),
            (Format::Raw, false) => (raw, ""),
        };
        self.answer(mechanism, Purpose::Sign, "signature", result)
    }

    /// The result, into a file or to the answer; `remark` is what to know of a file.
    fn answer(
        &self,
        mechanism: &Mechanism,
        purpose: Purpose,
        name: &str,
        (result, remark): (Vec<u8>, &str),
    ) -> Outcome {
        let told =
            json!({ "key": self.key.told(), "mechanism": mechanism.name, name: STANDARD.encode(&result) });
        if let Some(path) = &self.out {
            // What is decrypted is nobody else's.
            let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
            file.and_then(|mut file| file.write_all(&result)).map_err(|e| {
                Failure::new(format!("{}: {e}.", path.display())).next("name a file you can write.")
            })?;
            let (many, path) = (result.len(), path.display().to_string());
            return Ok(Answer::done(
                format!("{many} bytes are in {path}{remark}."),
                json!({ "file": path, "bytes": many }),
            ));
        }
        match purpose {
            Purpose::Decrypt => Ok(Answer::bytes(result, told)),
            _ => Ok(Answer::done(STANDARD.encode(&result), told)),
        }
    }
}

/// The curve of a key; of P-521 when it has none, which is the longest.
fn curve(library: &Library, session: u64, key: u64) -> Curve {
    let curve = match library.attributes(session, key, &[CKA_EC_PARAMS]).as_deref() {
        Ok([Ok(Value::Bytes(params))]) => Curve::from_params(params),
        _ => None,
    };
    curve.unwrap_or(Curve::P521)
}

fn verify(context: &mut Context, work: &Work, given: &[u8], format: Format) -> Outcome {
    format.check(named(&work.mechanism)?)?;
    let Begun { session, key, mechanism, data, .. } = work.start(context, Purpose::Verify)?;
    let library = context.library()?;
    let as_der = match signature::is_ecdsa(mechanism) {
        true => signature::from_der(given, curve(library, session, key)),
        false => None,
    };
    let signature = match format {
        Format::Raw => given,
        Format::Der => as_der.as_deref().ok_or_else(|| {
            Failure::new("This is no ECDSA signature in DER of the key's curve.")
                .next("leave --signature-format out for one as PKCS#11 has it.")
        })?,
    };
    match library.verify(session, &data, signature) {
        Err(Error::SignatureLenRange) if format == Format::Raw && as_der.is_some() => {
            Err(Failure::new("This signature is in DER, and not as PKCS#11 has it.")
                .next("say --signature-format der."))
        }
        Ok(()) => Ok(Answer::done(
            "The signature is right.",
            json!({ "key": work.key.told(), "mechanism": mechanism.name, "valid": true }),
        )),
        Err(error) => Err(error.into()),
    }
}

fn hash(context: &mut Context, mechanism: &str, data: &Data) -> Outcome {
    let mechanism = named(mechanism)?;
    let data = data.read()?;
    let (session, library) = (context.session()?, context.library()?);
    library.start(session, Purpose::Digest, mechanism, &mut Params::None, None)?;
    let digest = one_shot(library, session, Purpose::Digest, &data)?;
    let digest = audit::hex(&digest);
    Ok(Answer::done(digest.clone(), json!({ "mechanism": mechanism.name, "digest": digest })))
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Command::Sign { work, signature_format } => work.sign(context, *signature_format),
            Command::Encrypt(work) => work.run(context, Purpose::Encrypt, "ciphertext"),
            Command::Decrypt(work) => work.run(context, Purpose::Decrypt, "plaintext"),
            Command::Hash { mechanism, data } => hash(context, mechanism, data),
            Command::Verify { work, signature, signature_path, signature_format } => {
                let signature = match (signature, signature_path) {
                    (Some(text), _) => from_base64(text)?,
                    (None, Some(path)) => file(path)?,
                    (None, None) => return Err(Failure::usage("No signature was given.")),
                };
                verify(context, work, &signature, *signature_format)
            }
        }
    }
}
