//! Files of keys and certificates: what is in them, checked as far as it can be without a token. Nothing
//! is taken from a file that is damaged in any part.

use super::pkcs12;
use crate::identity;
use crate::output::Failure;
use crate::parameters::hex;
use crate::pem;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use strongroom::crypto::Secret;
use strongroom::crypto::der::{OCTET_STRING, Reader, SEQUENCE};
use strongroom::crypto::pkcs8::{self, PrivateKey};

/// The largest file, in bytes: RSA-8192 with a long chain is a hundredth of it.
const LARGEST: u64 = 4 << 20;
/// What a stranger's file may make us stretch a password.
const MOST_ITERATIONS: u32 = 10_000_000;

/// One thing out of a file.
pub struct Item {
    pub kind: Kind,
    /// The name that the file gives it.
    pub name: Option<String>,
}

pub enum Kind {
    Private(PrivateKey),
    /// SubjectPublicKeyInfo.
    Public(Vec<u8>),
    /// CKK_ and the key.
    Secret(u64, Secret),
    /// X.509.
    Certificate(Vec<u8>),
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoding {
    Binary,
    Hex,
}

/// Where the password of a file of keys comes from.
#[derive(clap::Args)]
pub struct KeyPassword {
    /// A file with the password of the file of keys [or STRONGROOM_KEY_PASSWORD].
    #[arg(long, value_name = "FILE")]
    key_password_file: Option<PathBuf>,
    /// The same from an open file descriptor.
    #[arg(long, value_name = "NUMBER", conflicts_with = "key_password_file")]
    key_password_fd: Option<u32>,
}

/// Reads a given password once; asks for each file when none is given.
pub struct Passwords<'a> {
    options: &'a KeyPassword,
    given: Option<Secret>,
}

impl KeyPassword {
    pub fn reader(&self) -> Passwords<'_> {
        Passwords { options: self, given: None }
    }
}

impl Passwords<'_> {
    pub fn of(&mut self, path: &Path) -> Result<Secret, Failure> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let (file, descriptor) = (self.options.key_password_file.as_deref(), self.options.key_password_fd);
        let (password, asked) = identity::password_of_keys(file, descriptor, path)?;
        if !asked {
            self.given = Some(password.clone());
        }
        Ok(password)
    }
}

pub fn damaged(path: &Path, what: &str) -> Failure {
    Failure::new(format!("{}: {what}; nothing was imported of it.", path.display()))
}

/// All of a file, which is neither empty nor larger than files of keys are.
pub fn file(path: &Path) -> Result<Secret, Failure> {
    let unreadable = |e: std::io::Error| {
        Failure::new(format!("{}: {e}.", path.display())).next("name a file you can read.")
    };
    let open = std::fs::File::open(path).map_err(unreadable)?;
    if open.metadata().map_err(unreadable)?.is_dir() {
        return Err(Failure::new(format!("{}: this is a folder.", path.display())));
    }
    let mut bytes = Vec::new();
    open.take(LARGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 {
        0 => Err(damaged(path, "the file is empty")),
        length if length > LARGEST => {
            Err(damaged(path, "the file is larger than 4 MiB, and no file of keys"))
        }
        _ => Ok(Secret::from(bytes)),
    }
}

/// The file's name without what follows the last dot: a label when there is no better one.
pub fn stem(path: &Path) -> String {
    path.file_stem().map(OsStr::to_string_lossy).unwrap_or_default().into_owned()
}

/// A secret key's bytes.
pub fn secret(path: &Path, encoding: Encoding) -> Result<Secret, Failure> {
    let bytes = file(path)?;
    match encoding {
        Encoding::Binary => Ok(bytes),
        Encoding::Hex => {
            let text =
                std::str::from_utf8(&bytes).ok().map(|text| text.split_whitespace().collect::<String>());
            let read = text.and_then(|text| hex(&text).ok()).filter(|read| !read.0.is_empty());
            read.map(|read| Secret::from(read.0)).ok_or_else(|| damaged(path, "this is not hex"))
        }
    }
}

/// Keys and certificates of a PEM file, or of one DER structure.
pub fn keys(path: &Path, passwords: &mut Passwords<'_>) -> Result<Vec<Item>, Failure> {
    let bytes = file(path)?;
    let mut items = Vec::new();
    if bytes.first() == Some(&SEQUENCE) {
        items.push(of_der(path, &bytes, passwords)?);
    } else {
        for block in pem::blocks(&bytes).map_err(|what| damaged(path, &what))? {
            if block.headers().get("DEK-Info").is_some() {
                return Err(damaged(path, "it is encrypted in the old way of OpenSSL (DEK-Info)")
                    .next("`openssl pkcs8 -topk8 -in FILE -out NEW` puts it into the modern form."));
            }
            let kind = of_block(path, block.tag(), block.contents(), passwords)?;
            items.extend(kind.map(|kind| Item { kind, name: None }));
        }
    }
    match items.is_empty() {
        true => Err(damaged(path, "there is no key and no certificate in it")),
        false => Ok(items),
    }
}

fn of_block(
    path: &Path,
    tag: &str,
    der: &[u8],
    passwords: &mut Passwords<'_>,
) -> Result<Option<Kind>, Failure> {
    let private = |key: strongroom::error::Result<PrivateKey>| {
        key.map(|key| Some(Kind::Private(key))).map_err(|_| no_key(path, tag))
    };
    match tag {
        "PRIVATE KEY" => private(pkcs8::decode(der)),
        "ENCRYPTED PRIVATE KEY" => Ok(Some(Kind::Private(encrypted(path, der, passwords)?))),
        "RSA PRIVATE KEY" => private(pkcs8::decode_pkcs1(der)),
        "EC PRIVATE KEY" => private(pkcs8::decode_sec1(der)),
        "PUBLIC KEY" if pkcs8::public_bits(der).is_some() => Ok(Some(Kind::Public(der.to_vec()))),
        "RSA PUBLIC KEY" => match pkcs8::decode_pkcs1_public(der) {
            Some(key) => Ok(Some(Kind::Public(pkcs8::rsa_public_info(&key)))),
            None => Err(no_key(path, tag)),
        },
        "CERTIFICATE" | "X509 CERTIFICATE" => Ok(Some(Kind::Certificate(der.to_vec()))),
        // `openssl ecparam -genkey` writes the curve's name before the key.
        "EC PARAMETERS" => Ok(None),
        "PUBLIC KEY" => Err(no_key(path, tag)),
        other => Err(damaged(path, &format!("{other:?} is nothing that can be imported"))),
    }
}

fn no_key(path: &Path, tag: &str) -> Failure {
    damaged(
        path,
        &format!(
            "its {tag} is damaged, its parts do not belong together, or it is of a kind that is not here"
        ),
    )
    .next("RSA, P-224, P-256, P-384, P-521, secp256k1 (curves by name), Ed25519 and X25519 can be imported.")
}

/// What DER is, if it is that.
type Shape = fn(&[u8]) -> Option<Kind>;

fn of_der(path: &Path, der: &[u8], passwords: &mut Passwords<'_>) -> Result<Item, Failure> {
    let shapes: [Shape; 5] = [
        |der| pkcs8::decode(der).ok().map(Kind::Private),
        |der| pkcs8::decode_public(der).map(|_| Kind::Public(der.to_vec())),
        |der| pkcs8::decode_pkcs1(der).ok().map(Kind::Private),
        |der| pkcs8::decode_sec1(der).ok().map(Kind::Private),
        |der| x509_parser::parse_x509_certificate(der).ok().map(|_| Kind::Certificate(der.to_vec())),
    ];
    let kind = match shapes.iter().find_map(|shape| shape(der)) {
        Some(kind) => kind,
        None if parts(der).is_some() => Kind::Private(encrypted(path, der, passwords)?),
        None => return Err(damaged(path, "it is damaged, or DER of nothing that can be imported")),
    };
    Ok(Item { kind, name: None })
}

/// The scheme and the ciphertext of an EncryptedPrivateKeyInfo (RFC 5958 §3).
fn parts(der: &[u8]) -> Option<(pkcs5::EncryptionScheme, &[u8])> {
    let mut outer = Reader::new(der);
    let mut info = outer.sequence()?;
    let scheme = pkcs5::EncryptionScheme::try_from(info.take_whole(SEQUENCE)?).ok()?;
    let ciphertext = info.take(OCTET_STRING)?;
    (info.is_empty() && outer.is_empty()).then_some((scheme, ciphertext))
}

fn affordable(scheme: &pkcs5::EncryptionScheme) -> bool {
    match scheme.pbes2().map(|parameters| &parameters.kdf) {
        Some(pkcs5::pbes2::Kdf::Pbkdf2(kdf)) => kdf.iteration_count <= MOST_ITERATIONS,
        Some(pkcs5::pbes2::Kdf::Scrypt(kdf)) => {
            let memory = u128::from(kdf.cost_parameter) * u128::from(kdf.block_size) * 128;
            memory <= 1 << 30 && kdf.parallelization <= 16
        }
        _ => true,
    }
}

fn encrypted(path: &Path, der: &[u8], passwords: &mut Passwords<'_>) -> Result<PrivateKey, Failure> {
    let modern = || {
        damaged(path, "it is damaged, or encrypted in a way that is not supported")
            .because("supported: PBES2 with PBKDF2 or scrypt, and AES or triple DES")
            .next("`openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out NEW` encrypts it anew.")
    };
    let (scheme, ciphertext) =
        parts(der).filter(|(scheme, _)| scheme.pbes2().is_some()).ok_or_else(modern)?;
    if !affordable(&scheme) {
        return Err(damaged(path, "its password would have to be stretched without end"));
    }
    let password = passwords.of(path)?;
    let opened = scheme.decrypt(&password[..], ciphertext).map(Secret::from);
    let wrong = || damaged(path, "the password is wrong, or the file is damaged");
    pkcs8::decode(&opened.map_err(|_| wrong())?).map_err(|_| wrong())
}

/// Keys and certificates of a PKCS#12 file.
pub fn container(path: &Path, passwords: &mut Passwords<'_>) -> Result<Vec<Item>, Failure> {
    let bytes = file(path)?;
    if bytes.first() != Some(&SEQUENCE) {
        return Err(damaged(path, "this is no PKCS#12 file"));
    }
    pkcs12::items(path, &bytes, &passwords.of(path)?)
}
