//! From what a file holds to objects of the token: checked, compared with what is there, and made all
//! together or not at all.

use super::read::{Item, Kind};
use super::sound::{Half, half, material, public_info};
use crate::context::Person;
use crate::key::attributes::{Assignment, assignment};
use crate::key::describe::Seen;
use crate::key::generate::{template, text};
use crate::output::Failure;
use crate::parameters::{Bytes, hex};
use cryptoki_sys::*;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use strongroom::crypto::pkcs8::PrivateKey;
use strongroom::crypto::{Hash, Secret};
use strongroom::error::Error;
use strongroom::mechanism::import;
use strongroom::object::{Template, Value};
use strongroom::session::Library;
use strongroom::token::{Handle, Token};
use x509_parser::parse_x509_certificate;

/// How imported keys are to be.
#[derive(clap::Args)]
pub struct Placing {
    /// [default: the name in the file, or the file's name]
    #[arg(long)]
    pub label: Option<String>,
    /// CKA_ID in hex [default: SHA-1 of the public key, for it and its certificate].
    #[arg(long, value_name = "HEX", value_parser = hex)]
    pub id: Option<Bytes>,
    /// Of the private or secret key, such as extractable=true.
    #[arg(long, num_args = 1.., value_name = "NAME=VALUE", value_parser = assignment)]
    pub attributes: Vec<Assignment>,
    /// Users (CU) who may use the key.
    #[arg(long, num_args = 1.., value_name = "NAME", alias = "share-crypto-users")]
    pub share_with: Vec<String>,
    /// Take what is there already for done.
    #[arg(long)]
    pub skip_existing: bool,
}

/// Why a file is not imported: for what is in it, or because the token takes nothing.
pub enum Refused {
    File(Failure),
    Token(Error),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused::File(failure)
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Token(error)
    }
}

/// What became of a file.
pub struct Placed {
    pub label: String,
    pub id: Vec<u8>,
    /// What was made: `private RSA-3072`, `certificate`.
    pub made: Vec<String>,
    /// The key was there before.
    pub present: bool,
}

/// A file on its way into the token.
struct Placer<'a> {
    token: &'a Token,
    person: &'a Person,
    placing: &'a Placing,
    /// The file's, when nothing in it has a name.
    fallback: &'a str,
    new: Vec<Template>,
    made: Vec<String>,
    /// Public keys that are done: their info, label and id.
    done: Vec<(Vec<u8>, String, Vec<u8>)>,
    /// Keys that were there before.
    present: Vec<String>,
    /// Label and id of the first thing.
    first: Option<(String, Vec<u8>)>,
}

/// The token's objects of a class with these attributes.
fn stored(token: &Token, person: &Person, class: u64, terms: &[Assignment]) -> Result<Vec<Handle>, Failure> {
    let own = [(CKA_CLASS, Value::Ulong(class)), (CKA_TOKEN, Value::Bool(true))];
    Ok(token.find(person.access(), &[terms, &own].concat())?)
}

fn label_of(token: &Token, person: &Person, object: Handle) -> String {
    String::from_utf8_lossy(&Seen { token, person, key: object }.bytes(CKA_LABEL)).into_owned()
}

impl Placer<'_> {
    fn label(&self, name: Option<&String>) -> String {
        self.placing
            .label
            .as_ref()
            .or(name)
            .filter(|name| !name.is_empty())
            .map_or(self.fallback, |name| name)
            .into()
    }

    /// The id of a public key: as it was said, as its halves in the token have it, or its own.
    fn id(&self, half: &Half) -> Result<Vec<u8>, Failure> {
        if let Some(Bytes(id)) = &self.placing.id {
            return Ok(id.clone());
        }
        for class in [CKO_PRIVATE_KEY, CKO_PUBLIC_KEY] {
            for found in stored(self.token, self.person, class, std::slice::from_ref(&half.term))? {
                let id = Seen { token: self.token, person: self.person, key: found }.bytes(CKA_ID);
                if !id.is_empty() {
                    return Ok(id);
                }
            }
        }
        Ok(half.id.clone())
    }

    fn base(class: u64, key_type: u64, label: &str, id: &[u8]) -> Vec<Assignment> {
        let mut base = vec![(CKA_CLASS, Value::Ulong(class)), (CKA_KEY_TYPE, Value::Ulong(key_type))];
        base.push(text(CKA_LABEL, label));
        if !id.is_empty() {
            base.push((CKA_ID, Value::Bytes(id.to_vec())));
        }
        base
    }

    fn private(&mut self, key: &PrivateKey, name: Option<&String>) -> Result<(), Failure> {
        let material = material(key)?;
        let half = half(&public_info(&material))?;
        if self.done.iter().any(|(info, ..)| *info == half.info) {
            return Ok(());
        }
        let (id, label) = (self.id(&half)?, self.label(name));
        let there = stored(self.token, self.person, CKO_PRIVATE_KEY, std::slice::from_ref(&half.term))?;
        match there.first() {
            Some(there) => self.present.push(label_of(self.token, self.person, *there)),
            None => {
                let base = [Self::base(CKO_PRIVATE_KEY, half.key_type, &label, &id), material].concat();
                self.new.push(template(base, &self.placing.attributes, &self.placing.share_with));
                self.made.push(format!("private {}", half.said));
            }
        }
        self.first.get_or_insert((label.clone(), id.clone()));
        self.public(half, label, id, &[])
    }

    fn public(&mut self, half: Half, label: String, id: Vec<u8>, said: &[Assignment]) -> Result<(), Failure> {
        if self.done.iter().any(|(info, ..)| *info == half.info) {
            return Ok(());
        }
        if stored(self.token, self.person, CKO_PUBLIC_KEY, std::slice::from_ref(&half.term))?.is_empty() {
            let base = [Self::base(CKO_PUBLIC_KEY, half.key_type, &label, &id), half.parts].concat();
            self.new.push(template(base, said, &[]));
            self.made.push(format!("public {}", half.said));
        }
        self.first.get_or_insert((label.clone(), id.clone()));
        self.done.push((half.info, label, id));
        Ok(())
    }

    fn secret(&mut self, kind: u64, value: &Secret, name: Option<&String>) -> Result<(), Failure> {
        let material = import::from_bytes(CKO_SECRET_KEY, kind, value).map_err(|_| {
            Failure::new(format!("No key of that type has {} bytes.", value.len()))
                .next("an AES key has 16, 24 or 32; a file of hex digits needs --encoding hex.")
        })?;
        let label = self.label(name);
        let public: Vec<_> = material.iter().filter(|(kind, _)| *kind != CKA_VALUE).cloned().collect();
        let same = [public, vec![text(CKA_LABEL, &label)]].concat();
        let id = self.placing.id.as_ref().map(|Bytes(id)| id.clone()).unwrap_or_default();
        match stored(self.token, self.person, CKO_SECRET_KEY, &same)?.is_empty() {
            false => self.present.push(label.clone()),
            true => {
                let base = [Self::base(CKO_SECRET_KEY, kind, &label, &id), material].concat();
                self.new.push(template(base, &self.placing.attributes, &self.placing.share_with));
                self.made.push(format!("secret {} bits", value.len() * 8));
            }
        }
        self.first.get_or_insert((label, id));
        Ok(())
    }

    fn certificate(&mut self, der: &[u8], name: Option<&String>) -> Result<(), Failure> {
        let broken = || Failure::new("A certificate in it is damaged.");
        let (rest, certificate) = parse_x509_certificate(der).map_err(|_| broken())?;
        if !rest.is_empty() {
            return Err(broken());
        }
        let info = certificate.public_key();
        let half = half(info.raw).ok();
        let own =
            half.as_ref().and_then(|half| self.done.iter().find(|(info, ..)| *info == half.info)).cloned();
        let common = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let common = common.map(str::to_owned);
        let (label, id) = match (own, half) {
            (Some((_, label, id)), _) => (label, id),
            (None, half) => {
                let only = self.placing.label.as_ref().filter(|_| self.first.is_none());
                let label = only.or(name).or(common.as_ref()).map_or(self.fallback, |name| name);
                let id = match &half {
                    Some(half) => self.id(half)?,
                    None => Hash::Sha1.digest(&info.subject_public_key.data).to_vec(),
                };
                (label.to_owned(), id)
            }
        };
        let terms = [
            (CKA_SUBJECT, Value::Bytes(certificate.subject().as_raw().to_vec())),
            (CKA_VALUE, Value::Bytes(der.to_vec())),
        ];
        let there = !stored(self.token, self.person, CKO_CERTIFICATE, &terms)?.is_empty();
        let value = &terms[1];
        if !there && !self.new.iter().any(|template| template.contains(value)) {
            self.new.push(vec![
                (CKA_CLASS, Value::Ulong(CKO_CERTIFICATE)),
                (CKA_CERTIFICATE_TYPE, Value::Ulong(CKC_X_509)),
                (CKA_TOKEN, Value::Bool(true)),
                (CKA_PRIVATE, Value::Bool(false)),
                text(CKA_LABEL, &label),
                (CKA_ID, Value::Bytes(id.clone())),
                value.clone(),
            ]);
            self.made.push("certificate".into());
        }
        self.first.get_or_insert((label, id));
        Ok(())
    }
}

fn there_already(label: &str) -> Failure {
    Failure::new(format!("It is there already, as {label}."))
        .next("--skip-existing takes that for done; `strongroom key list` shows it.")
}

/// Between the look whether a key is there and its making no other import of this host comes: two of one file
/// make one key. Given free when dropped, and by the kernel when the process dies.
pub fn alone(token: &Token) -> Result<File, Failure> {
    let path = token.path().with_extension("import-lock");
    // Whoever may write the token may import into it.
    let mode = std::fs::metadata(token.path()).map_or(0o600, |file| file.mode() & 0o666);
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(mode).open(&path);
    file.or_else(|_| File::open(&path)).and_then(|file| file.lock().map(|()| file)).map_err(|e| {
        Failure::new(format!("{}: {e}; nothing was imported.", path.display()))
            .next("imports need a folder that this user can write to.")
    })
}

/// Makes objects of all that a file holds, or of nothing. Keys go first: certificates follow theirs.
pub fn place(
    library: &Library,
    (token, person): (&Token, &Person),
    placing: &Placing,
    items: &[Item],
    fallback: &str,
) -> Result<Placed, Refused> {
    let _alone = alone(token)?;
    let (new, made, done, present) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut placer = Placer { token, person, placing, fallback, new, made, done, present, first: None };
    for item in items {
        match &item.kind {
            Kind::Private(key) => placer.private(key, item.name.as_ref())?,
            Kind::Secret(kind, value) => placer.secret(*kind, value, item.name.as_ref())?,
            _ => {}
        }
    }
    let alone = placer.first.is_none();
    for item in items {
        if let Kind::Public(info) = &item.kind {
            let half = half(info)?;
            let (id, label) = (placer.id(&half)?, placer.label(item.name.as_ref()));
            placer.public(half, label, id, if alone { &placing.attributes } else { &[] })?;
        }
    }
    for item in items {
        if let Kind::Certificate(der) = &item.kind {
            placer.certificate(der, item.name.as_ref())?;
        }
    }
    let Placer { new, made, present, first, .. } = placer;
    let (label, id) = first.unwrap_or_default();
    let present_label = present.first().cloned().or_else(|| new.is_empty().then(|| label.clone()));
    if let Some(there) = present_label.as_ref().filter(|_| !placing.skip_existing) {
        return Err(there_already(there).into());
    }
    if !new.is_empty() {
        library.create_objects(person.session, new)?;
    }
    Ok(Placed { label: present_label.clone().unwrap_or(label), id, made, present: present_label.is_some() })
}

/// What an unwrapped key is, seen as a session object, and what is still to be made of it.
pub struct Settled {
    pub label: String,
    pub id: Option<Vec<u8>>,
    pub said: String,
    pub present: bool,
    /// Its public half, when that is not there.
    pub public: Option<Template>,
}

pub fn settled(
    token: &Token,
    person: &Person,
    placing: &Placing,
    seen: Handle,
    fallback: &str,
) -> Result<Settled, Failure> {
    let (new, made, done, present) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let placer = Placer { token, person, placing, fallback, new, made, done, present, first: None };
    let info = Seen { token, person, key: seen }.bytes(CKA_PUBLIC_KEY_INFO);
    let label = placer.label(None);
    let found = match info.is_empty() {
        true => {
            let kinds = [CKA_KEY_TYPE, CKA_CHECK_VALUE, CKA_VALUE_LEN];
            let values = token.attributes(person.access(), seen, &kinds)?;
            let bits = values.get(2).and_then(|value| match value {
                Ok(Value::Ulong(length)) => Some(length * 8),
                _ => None,
            });
            let mut same: Vec<_> =
                kinds.into_iter().zip(values).filter_map(|(kind, value)| Some((kind, value.ok()?))).collect();
            same.push(text(CKA_LABEL, &label));
            let id = placing.id.as_ref().map(|Bytes(id)| id.clone());
            let present = !stored(token, person, CKO_SECRET_KEY, &same)?.is_empty();
            Settled {
                label,
                id,
                said: format!("secret {} bits", bits.unwrap_or_default()),
                present,
                public: None,
            }
        }
        false => {
            let half = half(&info)?;
            let (id, term) = (placer.id(&half)?, std::slice::from_ref(&half.term));
            let there = stored(token, person, CKO_PRIVATE_KEY, term)?;
            let lacking = stored(token, person, CKO_PUBLIC_KEY, term)?.is_empty();
            let base = [Placer::base(CKO_PUBLIC_KEY, half.key_type, &label, &id), half.parts].concat();
            let public = lacking.then(|| template(base, &[], &[]));
            let label = there.first().map_or(label, |there| label_of(token, person, *there));
            Settled {
                label,
                id: Some(id),
                said: format!("private {}", half.said),
                present: !there.is_empty(),
                public,
            }
        }
    };
    match found.present && !placing.skip_existing {
        true => Err(there_already(&found.label)),
        false => Ok(found),
    }
}
