//! Keys in a Strongroom token, used through the crate `cryptoki`; every result is checked by `ring`.
//!
//! Usage: strongroom-cryptoki-example MODULE.so TOKEN-LABEL    (the PIN is in the variable TOKEN_PIN)

mod keys;
mod secrets;

use std::env;
use std::error::Error;
use std::process::ExitCode;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as TokenError, RvError};
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let mut arguments = env::args().skip(1);
    let (Some(module), Some(label)) = (arguments.next(), arguments.next()) else {
        return Err("usage: strongroom-cryptoki-example MODULE.so TOKEN-LABEL".into());
    };
    let token = Pkcs11::new(module)?;
    token.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
    let slot = slot_of(&token, &label)?;
    let session = token.open_rw_session(slot)?;
    log_in(&session, &env::var("TOKEN_PIN")?)?;

    keys::rsa(&session)?;
    keys::elliptic(&session)?;
    keys::edwards(&session)?;
    secrets::encryption(&session)?;
    secrets::wrapping(&session)?;
    searching(&session)?;
    keys::threads(&token, slot)?;
    tidy(&session)?;
    session.logout()?;
    session.close()?;
    Ok(token.finalize()?)
}

fn slot_of(token: &Pkcs11, label: &str) -> Outcome<Slot> {
    for slot in token.get_slots_with_token()? {
        if token.get_token_info(slot)?.label() == label {
            return Ok(slot);
        }
    }
    Err(format!("no token is called {label}").into())
}

fn log_in(session: &Session, pin: &str) -> Outcome {
    match session.login(UserType::User, Some(&AuthPin::new(pin.into()))) {
        Err(TokenError::Pkcs11(RvError::PinIncorrect, _)) => Err("the PIN is wrong".into()),
        Err(TokenError::Pkcs11(RvError::PinLocked, _)) => Err("the user is locked".into()),
        other => Ok(other?),
    }
}

/// The one object of a class with a label.
fn find(session: &Session, class: ObjectClass, label: &str) -> Outcome<ObjectHandle> {
    let found = session.find_objects(&[Attribute::Class(class), Attribute::Label(label.into())])?;
    match found[..] {
        [one] => Ok(one),
        _ => Err(format!("{} objects are called {label}", found.len()).into()),
    }
}

/// The bytes of an attribute that is a byte string.
fn bytes(session: &Session, object: ObjectHandle, wanted: AttributeType) -> Outcome<Vec<u8>> {
    match session.get_attributes(object, &[wanted])?.pop() {
        Some(
            Attribute::Modulus(value)
            | Attribute::PublicExponent(value)
            | Attribute::EcPoint(value)
            | Attribute::Value(value)
            | Attribute::Label(value),
        ) => Ok(value),
        other => Err(format!("{wanted} is {other:?}").into()),
    }
}

/// `result` must be refused with `code`.
fn refused<T>(result: cryptoki::error::Result<T>, code: RvError) -> Outcome {
    match result {
        Err(TokenError::Pkcs11(got, _)) if got == code => Ok(()),
        Err(other) => Err(format!("{code} expected, got: {other}").into()),
        Ok(_) => Err(format!("{code} expected, but it was done").into()),
    }
}

fn searching(session: &Session) -> Outcome {
    let private = find(session, ObjectClass::PRIVATE_KEY, "rs rsa")?;
    assert!(session.get_attributes(private, &[AttributeType::PrivateExponent])?.is_empty());
    let facts = session.get_attributes(private, &[AttributeType::Sensitive, AttributeType::Extractable])?;
    assert_eq!(facts, [Attribute::Sensitive(true), Attribute::Extractable(false)]);
    session.update_attributes(private, &[Attribute::Label(b"rs renamed".to_vec())])?;
    assert_eq!(find(session, ObjectClass::PRIVATE_KEY, "rs renamed")?, private);
    let pair = session.find_objects(&[Attribute::Id(vec![0x21])])?;
    assert_eq!(pair.len(), 2);
    for object in pair {
        session.destroy_object(object)?;
    }
    assert!(session.find_objects(&[Attribute::Id(vec![0x21])])?.is_empty());
    println!("ok - search by class, label and id; attributes; rename; destroy");
    Ok(())
}

/// Destroys what the example left in the token, so that it can run again.
fn tidy(session: &Session) -> Outcome {
    for (class, label) in [
        (ObjectClass::PRIVATE_KEY, "rs ec"),
        (ObjectClass::PUBLIC_KEY, "rs ec"),
        (ObjectClass::PRIVATE_KEY, "rs ed"),
        (ObjectClass::PUBLIC_KEY, "rs ed"),
        (ObjectClass::SECRET_KEY, "rs aes"),
    ] {
        session.destroy_object(find(session, class, label)?)?;
    }
    Ok(())
}
