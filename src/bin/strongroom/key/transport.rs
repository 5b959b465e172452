//! Bring your own key: a transport key pair is made here, its public half goes to the customer, who wraps
//! the key with it (`openssl`, or `key wrap-for`, which needs no token); `key import wrapped` takes it in.

use super::generate::{fresh_id, pair, template, text};
use super::import::read::{self, Encoding, Item, Kind};
use super::lifecycle::day;
use super::wrap::{Hashes, Method, written};
use super::{attributes, describe, find_one};
use crate::Run;
use crate::context::{Context, Person};
use crate::output::{Answer, Failure, Outcome};
use cryptoki_sys::*;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom::audit::hex;
use strongroom::crypto::Secret;
use strongroom::crypto::pkcs8::{self, PublicKey};
use strongroom::mechanism::Key;
use strongroom::object::{Object, Value};
use strongroom::token::{Handle, Token};

#[derive(clap::Subcommand)]
pub enum Command {
    /// A key pair that wraps keys on their way here, and does nothing else; it ends by itself.
    Create {
        #[arg(long)]
        label: String,
        /// 3072 or 4096.
        #[arg(long, value_name = "BITS", default_value_t = 3072, value_parser = clap::value_parser!(u64).range(3072..=4096))]
        modulus_size_bits: u64,
        /// Its last day is so many days from today.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=366))]
        days: u32,
    },
    /// Its public half as PEM, for the one who sends a key.
    Export {
        transport: String,
        /// [default: standard output]
        #[arg(long = "out", alias = "path", value_name = "FILE")]
        path: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
pub struct WrapFor {
    /// The transport key's public half.
    transport: PathBuf,
    /// The key: PEM or DER of a private key, or with --secret the key's bytes.
    key: PathBuf,
    /// The file is a secret key.
    #[arg(long)]
    secret: bool,
    /// How the secret key stands in its file.
    #[arg(long, value_enum, default_value = "binary", requires = "secret")]
    encoding: Encoding,
    #[command(flatten)]
    password: read::KeyPassword,
    #[command(flatten)]
    hashes: Hashes,
    /// [default: standard output]
    #[arg(long = "out", alias = "path", value_name = "FILE")]
    path: Option<PathBuf>,
}

impl Run for Command {
    fn run(&self, context: &mut Context) -> Outcome {
        let (label, bits, days) = match self {
            Command::Create { label, modulus_size_bits, days } => (label, *modulus_size_bits, *days),
            Command::Export { transport, path } => {
                let person = context.crypto_user()?;
                return describe::export(context.ready_token()?, &person, transport, path.as_deref());
            }
        };
        let (id, last) = (fresh_id()?, day(days));
        let not = |kinds: &[u64]| kinds.iter().map(|kind| (*kind, Value::Bool(false))).collect::<Vec<_>>();
        let dates = [(CKA_START_DATE, Value::Date(Some(day(0)))), (CKA_END_DATE, Value::Date(Some(last)))];
        let both = [vec![text(CKA_LABEL, label), (CKA_ID, id)], dates.to_vec()].concat();
        let mut public = [both.clone(), not(&[CKA_ENCRYPT, CKA_VERIFY, CKA_VERIFY_RECOVER])].concat();
        public.extend([(CKA_WRAP, Value::Bool(true)), (CKA_MODULUS_BITS, Value::Ulong(bits))]);
        let mut private = [both, not(&[CKA_DECRYPT, CKA_SIGN, CKA_EXTRACTABLE])].concat();
        private.push((CKA_UNWRAP, Value::Bool(true)));
        let (public, private) = (template(public, &[], &[]), template(private, &[], &[]));
        let (_, id) = pair(context, "rsa-pkcs-key-pair-gen", public, private)?;
        let last = attributes::shown(&Value::Date(Some(last)));
        Ok(Answer::done(
            format!(
                "{label} is made; its last day is {last} (UTC).\nNext: `strongroom key transport export {label}`, and the other side wraps the key with it."
            ),
            json!({ "label": label, "id": id, "end_date": last }),
        ))
    }
}

/// The private half of a transport key; one whose last day has passed is refused.
pub fn usable(token: &Token, person: &Person, name: &str) -> Result<Handle, Failure> {
    let key = find_one(token, person, name, &[CKO_PRIVATE_KEY])?;
    let values = token.attributes(person.access(), key, &[CKA_END_DATE])?;
    match values.first() {
        Some(Ok(Value::Date(Some(last)))) if *last < day(0) => {
            let last = attributes::shown(&Value::Date(Some(*last)));
            Err(Failure::new(format!("{name} ended on {last}; nothing was imported.")).next(
                "`strongroom key transport create` makes another one, with which the key is wrapped anew.",
            ))
        }
        _ => Ok(key),
    }
}

/// What `key transport create` makes: it unwraps and does nothing else, and has a last day. Another key is not
/// deleted with a transport key's option.
pub fn must_be_one(token: &Token, person: &Person, key: Handle, name: &str) -> Result<(), Failure> {
    let kinds = [CKA_UNWRAP, CKA_END_DATE, CKA_DECRYPT, CKA_SIGN, CKA_SIGN_RECOVER, CKA_DERIVE];
    let values = token.attributes(person.access(), key, &kinds)?;
    let has = |at: usize| values.get(at) == Some(&Ok(Value::Bool(true)));
    let ends = matches!(values.get(1), Some(Ok(Value::Date(Some(_)))));
    match has(0) && ends && !(2..kinds.len()).any(has) {
        true => Ok(()),
        false => Err(Failure::new(format!(
            "{name} is no transport key: it does more than unwrap, or has no last day; nothing was imported."
        ))
        .next("leave out --delete-transport; `strongroom key delete` deletes other keys.")),
    }
}

/// Both halves go: it has done its work.
pub fn delete(context: &mut Context, person: &Person, private: Handle) -> Result<(), Failure> {
    let token = context.ready_token()?;
    let mut halves = token.public_halves_of(person.access(), private)?;
    halves.push(private);
    token.destroy_all(person.access(), &halves).map_err(|error| {
        Failure::from(error).next(
            "the key is imported; delete its transport key yourself: `strongroom key delete NAME --with-public`.",
        )
    })
}

impl WrapFor {
    /// The public key of the PEM file, as the token's mechanisms take it.
    fn transport(&self) -> Result<Arc<Key>, Failure> {
        let path = self.transport.display();
        let found = read::keys(&self.transport, &mut self.password.reader())?;
        let [Item { kind: Kind::Public(info), .. }] = &found[..] else {
            return Err(Failure::new(format!("{path}: this is not one public key."))
                .next("`strongroom key transport export` gives the right file."));
        };
        let Some(PublicKey::Rsa(rsa)) = pkcs8::decode_public(info) else {
            return Err(Failure::new(format!("{path}: a transport key is an RSA key.")));
        };
        let object = Object::new(vec![
            (CKA_CLASS, Value::Ulong(CKO_PUBLIC_KEY)),
            (CKA_KEY_TYPE, Value::Ulong(CKK_RSA)),
            (CKA_MODULUS, Value::Bytes(rsa.modulus)),
            (CKA_PUBLIC_EXPONENT, Value::Bytes(rsa.public_exponent)),
        ]);
        let key = Arc::new(Key::new(object));
        match key.size() {
            2048.. => Ok(key),
            bits => Err(Failure::new(format!("{path}: {bits} bits are too few for a transport key."))),
        }
    }

    /// PKCS#8 of a private key, or a secret key's bytes.
    fn payload(&self) -> Result<Secret, Failure> {
        if self.secret {
            return read::secret(&self.key, self.encoding);
        }
        let found = read::keys(&self.key, &mut self.password.reader())?;
        let mut private = found.into_iter().filter_map(|item| match item.kind {
            Kind::Private(key) => Some(key),
            _ => None,
        });
        match (private.next(), private.next()) {
            (Some(key), None) => Ok(pkcs8::encode(&key)?),
            _ => Err(Failure::new(format!("{}: this is not one private key.", self.key.display()))
                .next("a secret key needs --secret.")),
        }
    }
}

impl Run for WrapFor {
    fn run(&self, _: &mut Context) -> Outcome {
        let (transport, payload) = (self.transport()?, self.payload()?);
        let wrap = Method::RsaAes.row()?.wrap.ok_or_else(|| Failure::new("It cannot be wrapped."))?;
        let params = Method::RsaAes.params(self.hashes.hash, self.hashes.mgf);
        let wrapped = wrap(&transport, params, &payload)?.to_vec();
        written(self.path.as_deref(), wrapped, |wrapped| json!({ "wrapped": hex(wrapped) }))
    }
}
