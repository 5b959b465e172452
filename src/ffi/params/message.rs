//! The parameters of single messages: a nonce and a tag in the caller's memory, read before the work and
//! written after it.

use super::{inner, short_nonce, small, structure};
use crate::error::{Error, Result};
use crate::ffi::memory::room;
use crate::mechanism::{Message, MessageShape};
use cryptoki_sys::*;

/// Where nonce and tag are, and what is said about them.
struct Place {
    nonce: *mut CK_BYTE,
    nonce_length: CK_ULONG,
    fixed_bits: CK_ULONG,
    generator: CK_GENERATOR_FUNCTION,
    tag: *mut CK_BYTE,
    /// Bytes.
    tag_length: usize,
    data_length: CK_ULONG,
}

unsafe fn place(shape: MessageShape, pointer: *const u8, length: CK_ULONG) -> Result<Place> {
    // SAFETY: the caller's promises, passed on; each structure is read whole and by value.
    unsafe {
        Ok(match shape {
            MessageShape::Gcm => {
                let given: CK_GCM_MESSAGE_PARAMS = structure(pointer, length)?;
                if !given.ulTagBits.is_multiple_of(8) {
                    return Err(Error::MechanismParamInvalid);
                }
                Place {
                    nonce: given.pIv,
                    nonce_length: given.ulIvLen,
                    fixed_bits: given.ulIvFixedBits,
                    generator: given.ivGenerator,
                    tag: given.pTag,
                    tag_length: small(given.ulTagBits)? / 8,
                    data_length: 0,
                }
            }
            MessageShape::Ccm => {
                let given: CK_CCM_MESSAGE_PARAMS = structure(pointer, length)?;
                Place {
                    nonce: given.pNonce,
                    nonce_length: given.ulNonceLen,
                    fixed_bits: given.ulNonceFixedBits,
                    generator: given.nonceGenerator,
                    tag: given.pMAC,
                    tag_length: small(given.ulMACLen)?,
                    data_length: given.ulDataLen,
                }
            }
            // The structure has no generator: the caller makes the nonce. Its length is in bits or bytes.
            MessageShape::ChaCha20Poly1305 => {
                let given: CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS = structure(pointer, length)?;
                short_nonce(given.pNonce, given.ulNonceLen)?;
                Place {
                    nonce: given.pNonce,
                    nonce_length: 12,
                    fixed_bits: 0,
                    generator: CKG_NO_GENERATE,
                    tag: given.pTag,
                    tag_length: 16,
                    data_length: 0,
                }
            }
        })
    }
}

/// A message's parameter. `encrypts`: its nonce may be made here, and its tag is. A counter that starts
/// at zero with each C_MessageEncryptInit, as the standard has it, would repeat nonces under one key, so
/// these generators are refused.
///
/// # Safety
/// `pointer` is NULL or points to as many bytes as `length` says; what the structure in it points to is
/// as long as it says.
pub unsafe fn message(
    shape: MessageShape,
    pointer: *const u8,
    length: CK_ULONG,
    encrypts: bool,
) -> Result<Message> {
    const LONGEST_TAG: usize = 16;
    // SAFETY: passed on.
    unsafe {
        let place = place(shape, pointer, length)?;
        if place.nonce.is_null() || place.tag.is_null() || place.tag_length > LONGEST_TAG {
            return Err(Error::MechanismParamInvalid);
        }
        small(place.nonce_length)?;
        let fixed_bits = match place.generator {
            _ if !encrypts => None,
            CKG_NO_GENERATE => None,
            CKG_GENERATE | CKG_GENERATE_RANDOM => Some(small(place.fixed_bits)?),
            _ => return Err(Error::MechanismParamInvalid),
        };
        let tag_length = place.tag_length as CK_ULONG;
        Ok(Message {
            shape,
            nonce: inner(place.nonce, place.nonce_length)?,
            fixed_bits,
            tag: if encrypts { vec![0; place.tag_length] } else { inner(place.tag, tag_length)? },
            data_length: usize::try_from(place.data_length).unwrap_or(usize::MAX),
        })
    }
}

/// Writes what an encryption made: the nonce, and at the end the tag.
///
/// # Safety
/// As for [`message`], with the parameter that was read there.
pub unsafe fn give_message(
    message: &Message,
    pointer: *const u8,
    length: CK_ULONG,
    ended: bool,
) -> Result<()> {
    // SAFETY: passed on; the nonce and the tag are as long as the caller said.
    unsafe {
        let place = place(message.shape, pointer, length)?;
        if message.fixed_bits.is_some() {
            room(place.nonce, message.nonce.len() as CK_ULONG)?.copy_from_slice(&message.nonce);
        }
        if ended {
            room(place.tag, message.tag.len() as CK_ULONG)?.copy_from_slice(&message.tag);
        }
    }
    Ok(())
}
