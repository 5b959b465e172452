//! Key pairs: signatures, decryption, key agreement, and several threads at once.

use std::thread;

use cryptoki::context::Pkcs11;
use cryptoki::error::RvError;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use ring::agreement::{agree_ephemeral, EphemeralPrivateKey, UnparsedPublicKey as Peer, ECDH_P256};
use ring::rand::SystemRandom;
use ring::signature::{
    RsaPublicKeyComponents, UnparsedPublicKey, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PSS_2048_8192_SHA256,
};

use crate::{bytes, find, refused, Outcome};

const TEXT: &[u8] = b"what the example signs";
/// The curves' object identifiers, DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];

/// A pair of token keys that signs; the private one never leaves.
fn pair(
    session: &Session,
    mechanism: Mechanism,
    label: &str,
    id: u8,
    shape: Attribute,
) -> Outcome<(ObjectHandle, ObjectHandle)> {
    let both = [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(vec![id])];
    let public = [&both[..], &[Attribute::Verify(true), shape]].concat();
    let private = [
        &both[..],
        &[
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ],
    ]
    .concat();
    Ok(session.generate_key_pair(&mechanism, &public, &private)?)
}

/// The point without the OCTET STRING around it (whose length is one byte for these curves).
fn point(session: &Session, public: ObjectHandle) -> Outcome<Vec<u8>> {
    Ok(bytes(session, public, AttributeType::EcPoint)?[2..].to_vec())
}

pub fn rsa(session: &Session) -> Outcome {
    let shape = Attribute::ModulusBits(2048.into());
    let (public, private) = pair(session, Mechanism::RsaPkcsKeyPairGen, "rs rsa", 0x21, shape)?;
    let pss = Mechanism::Sha256RsaPkcsPss(PkcsPssParams {
        hash_alg: MechanismType::SHA256,
        mgf: PkcsMgfType::MGF1_SHA256,
        s_len: 32.into(),
    });
    let signature = session.sign(&pss, private, TEXT)?;
    session.verify(&pss, public, TEXT, &signature)?;
    refused(session.verify(&pss, public, b"another text", &signature), RvError::SignatureInvalid)?;
    RsaPublicKeyComponents {
        n: bytes(session, public, AttributeType::Modulus)?,
        e: bytes(session, public, AttributeType::PublicExponent)?,
    }
    .verify(&RSA_PSS_2048_8192_SHA256, TEXT, &signature)?;
    println!("ok - RSA-2048: PSS signature verified outside");
    Ok(())
}

pub fn elliptic(session: &Session) -> Outcome {
    let shape = Attribute::EcParams(P256.into());
    let (public, private) = pair(session, Mechanism::EccKeyPairGen, "rs ec", 0x22, shape)?;
    let ours = point(session, public)?;
    let signature = session.sign(&Mechanism::EcdsaSha256, private, TEXT)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &ours).verify(TEXT, &signature)?;

    // ECDH: the token and a key that was never in it come to the same secret.
    let other = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
    let theirs = other.compute_public_key()?;
    let derive = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), theirs.as_ref()));
    let shared = session.derive_key(
        &derive,
        private,
        &[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ],
    )?;
    let shared = bytes(session, shared, AttributeType::Value)?;
    let agreed = agree_ephemeral(other, &Peer::new(&ECDH_P256, &ours), <[u8]>::to_vec)?;
    assert_eq!(shared, agreed);
    println!("ok - P-256: ECDSA verified outside, ECDH agrees with a key outside");
    Ok(())
}

pub fn edwards(session: &Session) -> Outcome {
    let shape = Attribute::EcParams(ED25519_OID.into());
    let (public, private) = pair(session, Mechanism::EccEdwardsKeyPairGen, "rs ed", 0x23, shape)?;
    let eddsa = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
    let signature = session.sign(&eddsa, private, TEXT)?;
    UnparsedPublicKey::new(&ED25519, point(session, public)?).verify(TEXT, &signature)?;
    println!("ok - Ed25519: signature verified outside");
    Ok(())
}

/// Each thread has a session of its own; the login is the whole process's.
pub fn threads(token: &Pkcs11, slot: Slot) -> Outcome {
    let worker = |number: usize| -> Result<(), String> {
        let work = || -> Outcome {
            let session = token.open_ro_session(slot)?;
            let private = find(&session, ObjectClass::PRIVATE_KEY, "rs ec")?;
            let public = point(&session, find(&session, ObjectClass::PUBLIC_KEY, "rs ec")?)?;
            for round in 0..500 {
                let text = format!("text {round} of thread {number}");
                let signature = session.sign(&Mechanism::EcdsaSha256, private, text.as_bytes())?;
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &public)
                    .verify(text.as_bytes(), &signature)?;
            }
            Ok(session.close()?)
        };
        work().map_err(|error| format!("thread {number}: {error}"))
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|number| scope.spawn(move || worker(number))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a thread panicked")?)
    })
    .map_err(|error: String| error)?;
    println!("ok - 8 threads sign 500 times each, every signature verified outside");
    Ok(())
}
