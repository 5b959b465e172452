//! Secret keys: encryption and wrapping.

use cryptoki::error::RvError;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use ring::aead::{Aad, LessSafeKey, Nonce, UnboundKey, AES_256_GCM};
use ring::hmac;

use crate::{bytes, refused, Outcome};

/// A key that is outside the token too, to compare results.
const KNOWN: [u8; 32] = [7; 32];

fn secret(session: &Session, key_type: KeyType, value: &[u8], uses: &[Attribute]) -> Outcome<ObjectHandle> {
    let shape = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(key_type),
        Attribute::Value(value.into()),
    ];
    Ok(session.create_object(&[&shape[..], uses].concat())?)
}

fn gcm(nonce: &mut [u8]) -> Outcome<Mechanism<'_>> {
    Ok(Mechanism::AesGcm(GcmParams::new(nonce, b"header", 128.into())?))
}

pub fn encryption(session: &Session) -> Outcome {
    let text = b"what the example encrypts ".repeat(1000);
    let uses = [Attribute::Encrypt(true), Attribute::Decrypt(true)];
    let known = secret(session, KeyType::AES, &KNOWN, &uses)?;
    let mut nonce = [0; 12];
    session.generate_random_slice(&mut nonce)?;
    let outside = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KNOWN)?);

    let mut sealed = session.encrypt(&gcm(&mut nonce)?, known, &text)?;
    let open = Nonce::assume_unique_for_key(nonce);
    assert_eq!(outside.open_in_place(open, Aad::from(b"header"), &mut sealed.clone())?, text);
    let mut theirs = text.clone();
    let seal = Nonce::assume_unique_for_key(nonce);
    outside.seal_in_place_append_tag(seal, Aad::from(b"header"), &mut theirs)?;
    assert_eq!(theirs, sealed);
    assert_eq!(session.decrypt(&gcm(&mut nonce)?, known, &theirs)?, text);
    sealed[0] ^= 1;
    refused(session.decrypt(&gcm(&mut nonce)?, known, &sealed), RvError::EncryptedDataInvalid)?;

    let cbc = Mechanism::AesCbcPad([9; 16]);
    session.encrypt_init(&cbc, known)?;
    let mut parts = session.encrypt_update(&text[..1000])?;
    parts.extend(session.encrypt_update(&text[1000..])?);
    parts.extend(session.encrypt_final()?);
    assert_eq!(session.decrypt(&cbc, known, &parts)?, text);

    let mac_key = secret(session, KeyType::GENERIC_SECRET, &KNOWN, &[Attribute::Sign(true)])?;
    let mac = session.sign(&Mechanism::Sha256Hmac, mac_key, &text)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KNOWN), &text, &mac)?;
    println!("ok - AES-256-GCM both ways and HMAC agree with ring; an altered text refused; CBC in parts");
    Ok(())
}

pub fn wrapping(session: &Session) -> Outcome {
    let uses = [Attribute::Wrap(true), Attribute::Unwrap(true)];
    let wrapper = secret(session, KeyType::AES, &KNOWN, &uses)?;
    let leaves = session.generate_key(
        &Mechanism::AesKeyGen,
        &[Attribute::ValueLen(32.into()), Attribute::Sensitive(false), Attribute::Extractable(true)],
    )?;
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapper, leaves)?;
    let back = session.unwrap_key(
        &Mechanism::AesKeyWrapPad,
        wrapper,
        &wrapped,
        &[
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
        ],
    )?;
    let value = bytes(session, leaves, AttributeType::Value)?;
    assert_eq!(value.len(), 32);
    assert_eq!(bytes(session, back, AttributeType::Value)?, value);

    let stays = session.generate_key(
        &Mechanism::AesKeyGen,
        &[
            Attribute::Token(true),
            Attribute::Label(b"rs aes".to_vec()),
            Attribute::Id(vec![0x24]),
            Attribute::ValueLen(32.into()),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ],
    )?;
    refused(session.wrap_key(&Mechanism::AesKeyWrapPad, wrapper, stays), RvError::KeyUnextractable)?;
    println!("ok - a key wrapped and unwrapped is the same; a key that must stay cannot be wrapped");
    Ok(())
}
