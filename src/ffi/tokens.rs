//! Slots, tokens and mechanisms (PKCS#11 3.2 §5.5).

use super::general::{MANUFACTURER, VERSION};
use super::memory::{bytes, padded, secret, write, write_list};
use super::{c_functions, trace, wanted};
use crate::error::Error;
use crate::mechanism;
use crate::session::SessionCounts;
use crate::token::Info;
use cryptoki_sys::*;

const LABEL: CK_ULONG = 32;

fn token_info(info: &Info, counts: SessionCounts) -> CK_TOKEN_INFO {
    CK_TOKEN_INFO {
        label: padded(&info.label),
        manufacturerID: padded(MANUFACTURER),
        model: padded("Strongroom"),
        serialNumber: padded(&info.serial),
        flags: CKF_RNG | CKF_LOGIN_REQUIRED | info.flags,
        ulMaxSessionCount: CK_EFFECTIVELY_INFINITE,
        ulSessionCount: counts.all,
        ulMaxRwSessionCount: CK_EFFECTIVELY_INFINITE,
        ulRwSessionCount: counts.read_write,
        ulMaxPinLen: info.max_pin_length as CK_ULONG,
        ulMinPinLen: info.min_pin_length as CK_ULONG,
        ulTotalPublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePublicMemory: CK_UNAVAILABLE_INFORMATION,
        ulTotalPrivateMemory: CK_UNAVAILABLE_INFORMATION,
        ulFreePrivateMemory: CK_UNAVAILABLE_INFORMATION,
        hardwareVersion: VERSION,
        firmwareVersion: VERSION,
        utcTime: [b' '; 16],
    }
}

c_functions! {
    fn C_GetSlotList(_tokenPresent: CK_BBOOL, pSlotList: *mut CK_SLOT_ID, pulCount: *mut CK_ULONG) |library| {
        write_list(pSlotList, wanted(pulCount)?, &library.slots())
    }

    fn C_GetSlotInfo(slotID: CK_SLOT_ID, pInfo: *mut CK_SLOT_INFO) |library| {
        if !library.slots().contains(&slotID) {
            return Err(Error::SlotIdInvalid);
        }
        let info = CK_SLOT_INFO {
            slotDescription: padded(&format!("Strongroom slot {slotID}")),
            manufacturerID: padded(MANUFACTURER),
            flags: CKF_TOKEN_PRESENT,
            hardwareVersion: VERSION,
            firmwareVersion: VERSION,
        };
        write(pInfo, info)
    }

    fn C_GetTokenInfo(slotID: CK_SLOT_ID, pInfo: *mut CK_TOKEN_INFO) |library| {
        let pInfo = wanted(pInfo)?;
        let (info, counts) = library.token_info(slotID)?;
        let given = token_info(&info, counts);
        trace::note_result(pInfo, || format!("{:?}, flags {:#x}", info.label, given.flags));
        write(pInfo, given)
    }

    fn C_GetMechanismList(slotID: CK_SLOT_ID, pMechanismList: *mut CK_MECHANISM_TYPE, pulCount: *mut CK_ULONG) |library| {
        let allowed = library.allowed(slotID)?;
        let there = mechanism::all().filter(|row| row.flags_where(allowed) != 0);
        let ids: Vec<CK_MECHANISM_TYPE> = there.map(|row| row.id).collect();
        write_list(pMechanismList, wanted(pulCount)?, &ids)
    }

    fn C_GetMechanismInfo(slotID: CK_SLOT_ID, kind: CK_MECHANISM_TYPE, pInfo: *mut CK_MECHANISM_INFO) |library| {
        let allowed = library.allowed(slotID)?;
        let (row, (least, most)) = mechanism::find(kind).map(|row| (row, row.sizes))?;
        let flags = row.flags_where(allowed);
        if flags == 0 {
            return Err(Error::MechanismInvalid);
        }
        write(pInfo, CK_MECHANISM_INFO { ulMinKeySize: least, ulMaxKeySize: most, flags })
    }

    fn C_InitToken(slotID: CK_SLOT_ID, pPin: *mut CK_UTF8CHAR, ulPinLen: CK_ULONG, pLabel: *mut CK_UTF8CHAR) |library| {
        let pin = secret(pPin, ulPinLen)?;
        let label = bytes(pLabel, LABEL)?;
        let label = std::str::from_utf8(label).map_err(|_| Error::ArgumentsBad)?;
        trace::note(pLabel, || format!("{label:?}"));
        library.init_token(slotID, &pin, label.trim_end_matches([' ', '\0']))
    }

    fn C_InitPIN(hSession: CK_SESSION_HANDLE, pPin: *mut CK_UTF8CHAR, ulPinLen: CK_ULONG) |library| {
        library.init_pin(hSession, &secret(pPin, ulPinLen)?)
    }

    fn C_SetPIN(
        hSession: CK_SESSION_HANDLE,
        pOldPin: *mut CK_UTF8CHAR,
        ulOldLen: CK_ULONG,
        pNewPin: *mut CK_UTF8CHAR,
        ulNewLen: CK_ULONG,
    ) |library| {
        library.set_pin(hSession, &secret(pOldPin, ulOldLen)?, &secret(pNewPin, ulNewLen)?)
    }
}
