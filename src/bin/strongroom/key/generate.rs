//! `key generate-symmetric` and `key generate-asymmetric-pair`: nouns and options as CloudHSM's command
//! has them. Keys stay in the token's file; what is not said otherwise is as the token's rules say.

use super::attributes::{Assignment, assignment};
use super::tell_namesakes;
use crate::Run;
use crate::context::Context;
use crate::key::describe::slh_dsa_name;
use crate::mechanism::named;
use crate::output::{Answer, Failure, Outcome};
use crate::parameters::{Bytes, hex};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use cryptoki_sys::*;
use serde_json::json;
use std::collections::BTreeSet;
use strongroom::crypto::pkcs8::ED25519_OID;
use strongroom::crypto::{Curve, random, slh_dsa};
use strongroom::error::Error;
use strongroom::mechanism::{self, Params};
use strongroom::object::attribute::CKA_STRONGROOM_SHARED_WITH;
use strongroom::object::{Template, Value};
use strongroom::token::Handle;

#[derive(clap::Subcommand)]
pub enum Symmetric {
    /// An AES key.
    Aes {
        /// 16, 24 or 32.
        #[arg(long, value_name = "BYTES")]
        key_length_bytes: u64,
        #[command(flatten)]
        secret: Secret,
    },
    /// A secret for MACs and derivation.
    GenericSecret {
        #[arg(long, value_name = "BYTES")]
        key_length_bytes: u64,
        #[command(flatten)]
        secret: Secret,
    },
}

#[derive(clap::Args)]
pub struct Secret {
    #[arg(long)]
    label: String,
    /// CKA_ID in hex.
    #[arg(long, value_name = "HEX", value_parser = hex)]
    id: Option<Bytes>,
    /// Such as extractable=true or sign=false.
    #[arg(long, num_args = 1.., value_name = "NAME=VALUE", value_parser = assignment)]
    attributes: Vec<Assignment>,
    /// Users (CU) who may use the key.
    #[arg(long, num_args = 1.., value_name = "NAME", alias = "share-crypto-users")]
    share_with: Vec<String>,
}

#[derive(clap::Subcommand)]
pub enum Pair {
    /// An RSA key pair.
    Rsa {
        /// 2048 to 8192.
        #[arg(long, value_name = "BITS")]
        modulus_size_bits: u64,
        #[arg(long, value_name = "NUMBER", default_value_t = 65537)]
        public_exponent: u32,
        #[command(flatten)]
        halves: Halves,
    },
    /// A key pair on a curve, for ECDSA and ECDH.
    Ec {
        #[arg(long, value_enum)]
        curve: CurveName,
        #[command(flatten)]
        halves: Halves,
    },
    /// An Ed25519 key pair.
    Ed25519 {
        #[command(flatten)]
        halves: Halves,
    },
    /// An ML-DSA key pair.
    MlDsa {
        #[arg(long, value_enum)]
        parameter_set: MlDsaSet,
        #[command(flatten)]
        halves: Halves,
    },
    /// An SLH-DSA key pair: hash-based; s sets sign small and slowly, f sets fast and large.
    SlhDsa {
        #[arg(long, value_parser = slh_dsa_sets())]
        parameter_set: slh_dsa::Set,
        #[command(flatten)]
        halves: Halves,
    },
    /// An ML-KEM key pair.
    MlKem {
        #[arg(long, value_enum)]
        parameter_set: MlKemSet,
        #[command(flatten)]
        halves: Halves,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum CurveName {
    #[value(name = "p256", aliases = ["prime256v1", "secp256r1"])]
    P256,
    #[value(name = "p384", alias = "secp384r1")]
    P384,
    #[value(name = "p521", alias = "secp521r1")]
    P521,
    #[value(name = "secp256k1")]
    Secp256k1,
}

impl From<CurveName> for Curve {
    fn from(name: CurveName) -> Curve {
        match name {
            CurveName::P256 => Curve::P256,
            CurveName::P384 => Curve::P384,
            CurveName::P521 => Curve::P521,
            CurveName::Secp256k1 => Curve::Secp256k1,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum MlDsaSet {
    #[value(name = "44")]
    MlDsa44,
    #[value(name = "65")]
    MlDsa65,
    #[value(name = "87")]
    MlDsa87,
}

fn slh_dsa_sets() -> impl TypedValueParser<Value = slh_dsa::Set> {
    let named = |name: String| slh_dsa::Set::ALL.into_iter().find(|set| slh_dsa_name(*set) == name);
    PossibleValuesParser::new(slh_dsa::Set::ALL.map(slh_dsa_name))
        .try_map(move |name| named(name).ok_or("no such parameter set"))
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub enum MlKemSet {
    #[value(name = "512")]
    MlKem512,
    #[value(name = "768")]
    MlKem768,
    #[value(name = "1024")]
    MlKem1024,
}

#[derive(clap::Args)]
pub struct Halves {
    #[arg(long)]
    public_label: String,
    #[arg(long)]
    private_label: String,
    /// CKA_ID of both halves in hex [default: a random one].
    #[arg(long, value_name = "HEX", value_parser = hex)]
    id: Option<Bytes>,
    /// Such as wrap=true.
    #[arg(long, num_args = 1.., value_name = "NAME=VALUE", value_parser = assignment)]
    public_attributes: Vec<Assignment>,
    /// Such as extractable=true or sign=false.
    #[arg(long, num_args = 1.., value_name = "NAME=VALUE", value_parser = assignment)]
    private_attributes: Vec<Assignment>,
    /// Users (CU) who may use the private key.
    #[arg(long, num_args = 1.., value_name = "NAME", alias = "share-crypto-users")]
    share_with: Vec<String>,
}

pub fn text(kind: u64, text: &str) -> Assignment {
    (kind, Value::Bytes(text.as_bytes().to_vec()))
}

/// What a key in the token's file has by a command's options; what the person says comes last and wins.
pub fn template(base: Vec<Assignment>, said: &[Assignment], share_with: &[String]) -> Template {
    let mut template = base;
    template.push((CKA_TOKEN, Value::Bool(true)));
    if !share_with.is_empty() {
        template.push(text(CKA_STRONGROOM_SHARED_WITH, &share_with.join("\n")));
    }
    template.retain(|(kind, _)| said.iter().all(|(other, _)| other != kind));
    template.extend(said.iter().cloned());
    template
}

/// The one reason a person can do something about, in words.
fn refused(error: Error) -> Failure {
    match error {
        Error::KeySizeRange => Failure::new("No key has that length; none was made.")
            .next("AES: 16, 24 or 32 bytes; RSA: 2048 to 8192 bits in steps of 8; a secret: up to 64 KiB."),
        Error::ArgumentsBad => Failure::new("No key was made."),
        Error::AttributeTypeInvalid | Error::AttributeReadOnly | Error::TemplateInconsistent => {
            Failure::from(error)
                .next("leave out the attribute that such a key does not have or cannot be given.")
        }
        other => other.into(),
    }
}

/// CKA_UNIQUE_ID of a new object.
pub fn unique_id(context: &mut Context, session: u64, key: Handle) -> Result<String, Failure> {
    let values = context.library()?.attributes(session, key, &[CKA_UNIQUE_ID])?;
    match values.into_iter().next() {
        Some(Ok(Value::Bytes(id))) => Ok(String::from_utf8_lossy(&id).into_owned()),
        _ => Err(Error::GeneralError.into()),
    }
}

fn symmetric(context: &mut Context, mechanism: &str, length: u64, secret: &Secret) -> Outcome {
    let person = context.crypto_user()?;
    let session = person.session;
    let mut base = vec![text(CKA_LABEL, &secret.label), (CKA_VALUE_LEN, Value::Ulong(length))];
    base.extend(secret.id.clone().map(|Bytes(id)| (CKA_ID, Value::Bytes(id))));
    let template = template(base, &secret.attributes, &secret.share_with);
    let made = context.library()?.generate_key(session, named(mechanism)?, Params::None, template);
    let id = unique_id(context, session, made.map_err(refused)?)?;
    let label = &secret.label;
    tell_namesakes(context.ready_token()?, &person, label)?;
    Ok(Answer::done(format!("{label} is made ({} bits).", length * 8), json!({ "label": label, "id": id })))
}

/// A pair with these attributes of its kind; what both halves are to be.
pub fn pair(
    context: &mut Context,
    mechanism: &str,
    public: Template,
    private: Template,
) -> Result<(String, String), Failure> {
    let label = |template: &Template| match template.iter().find(|(kind, _)| *kind == CKA_LABEL) {
        Some((_, label)) => String::from_utf8_lossy(label.bytes().unwrap_or_default()).into_owned(),
        None => String::new(),
    };
    let labels = BTreeSet::from([label(&public), label(&private)]);
    let person = context.crypto_user()?;
    let (session, library) = (person.session, context.library()?);
    let made = library.generate_key_pair(session, named(mechanism)?, Params::None, public, private);
    let (public, private) = made.map_err(refused)?;
    let token = context.ready_token()?;
    labels.iter().try_for_each(|label| tell_namesakes(token, &person, label))?;
    Ok((unique_id(context, session, public)?, unique_id(context, session, private)?))
}

/// By it the halves of a pair find each other.
pub fn fresh_id() -> Result<Value, Failure> {
    let mut id = vec![0; 20];
    random::fill(&mut id)?;
    Ok(Value::Bytes(id))
}

fn asymmetric(context: &mut Context, mechanism: &str, kind: Vec<Assignment>, halves: &Halves) -> Outcome {
    let id = match &halves.id {
        Some(Bytes(id)) => Value::Bytes(id.clone()),
        None => fresh_id()?,
    };
    let mut public = vec![text(CKA_LABEL, &halves.public_label), (CKA_ID, id.clone())];
    public.extend(kind);
    let private = vec![text(CKA_LABEL, &halves.private_label), (CKA_ID, id)];
    let public = template(public, &halves.public_attributes, &[]);
    let private = template(private, &halves.private_attributes, &halves.share_with);
    let (public, private) = pair(context, mechanism, public, private)?;
    let (public_label, private_label) = (&halves.public_label, &halves.private_label);
    Ok(Answer::done(
        format!("{private_label} (private) and {public_label} (public) are made."),
        json!({
            "public": { "label": public_label, "id": public },
            "private": { "label": private_label, "id": private },
        }),
    ))
}

impl Run for Symmetric {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Symmetric::Aes { key_length_bytes, secret } => {
                symmetric(context, "aes-key-gen", *key_length_bytes, secret)
            }
            Symmetric::GenericSecret { key_length_bytes, secret } => {
                symmetric(context, "generic-secret-key-gen", *key_length_bytes, secret)
            }
        }
    }
}

impl Run for Pair {
    fn run(&self, context: &mut Context) -> Outcome {
        match self {
            Pair::Rsa { modulus_size_bits, public_exponent, halves } => {
                let exponent = public_exponent.to_be_bytes();
                let zeros = exponent.iter().take_while(|byte| **byte == 0).count();
                let kind = vec![
                    (CKA_MODULUS_BITS, Value::Ulong(*modulus_size_bits)),
                    (CKA_PUBLIC_EXPONENT, Value::Bytes(exponent[zeros..].to_vec())),
                ];
                asymmetric(context, "rsa-pkcs-key-pair-gen", kind, halves)
            }
            Pair::Ec { curve, halves } => {
                let params = Curve::from(*curve).oid_der().to_vec();
                asymmetric(context, "ec-key-pair-gen", vec![(CKA_EC_PARAMS, Value::Bytes(params))], halves)
            }
            Pair::Ed25519 { halves } => {
                let kind = vec![(CKA_EC_PARAMS, Value::Bytes(ED25519_OID.to_vec()))];
                asymmetric(context, "ec-edwards-key-pair-gen", kind, halves)
            }
            Pair::MlDsa { parameter_set, halves } => {
                let set = match parameter_set {
                    MlDsaSet::MlDsa44 => CKP_ML_DSA_44,
                    MlDsaSet::MlDsa65 => CKP_ML_DSA_65,
                    MlDsaSet::MlDsa87 => CKP_ML_DSA_87,
                };
                let kind = vec![(CKA_PARAMETER_SET, Value::Ulong(set))];
                asymmetric(context, "ml-dsa-key-pair-gen", kind, halves)
            }
            Pair::SlhDsa { parameter_set, halves } => {
                let set = Value::Ulong(mechanism::slh_dsa::number(*parameter_set));
                asymmetric(context, "slh-dsa-key-pair-gen", vec![(CKA_PARAMETER_SET, set)], halves)
            }
            Pair::MlKem { parameter_set, halves } => {
                let set = match parameter_set {
                    MlKemSet::MlKem512 => CKP_ML_KEM_512,
                    MlKemSet::MlKem768 => CKP_ML_KEM_768,
                    MlKemSet::MlKem1024 => CKP_ML_KEM_1024,
                };
                let kind = vec![(CKA_PARAMETER_SET, Value::Ulong(set))];
                asymmetric(context, "ml-kem-key-pair-gen", kind, halves)
            }
        }
    }
}
