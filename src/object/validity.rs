//! From when and until when a key may be used: CKA_START_DATE and CKA_END_DATE of keys.
//!
//! Days of UTC, both included; none is no limit. Before the first day nothing is done with a key. After
//! the last one it protects nothing new (sign, encrypt, wrap, derive), and what it protected before can
//! still be verified, decrypted and unwrapped: the originator's and the recipient's usage period of
//! NIST SP 800-57 part 1 §5.3.5. The dates of certificates are for information only (PKCS#11 3.2 §4.6.2).

use super::{AttributeType, Object, Value};
use crate::error::{Error, Result};
use cryptoki_sys::*;

/// Days since 1970-01-01.
pub type Day = i64;

/// The two limits of a key that has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from: Day,
    until: Day,
}

/// What goes on after the last day.
const RECIPIENT: [AttributeType; 5] =
    [CKA_VERIFY, CKA_VERIFY_RECOVER, CKA_DECRYPT, CKA_UNWRAP, CKA_DECAPSULATE];

/// Why a key is not used today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    NotYet,
    Over,
}

impl Validity {
    /// `None` for an object without dates, and for what is not a key. A date that is no day (stored by
    /// something else than this version) lets nothing through.
    pub fn of(object: &Object) -> Option<Validity> {
        let date = |kind| match object.get(kind) {
            Some(Value::Date(date)) if object.key_type().is_some() => *date,
            _ => None,
        };
        match (date(CKA_START_DATE), date(CKA_END_DATE)) {
            (None, None) => None,
            (start, end) => Some(Validity {
                from: start.map_or(Day::MIN, |date| day(&date).unwrap_or(Day::MAX)),
                until: end.map_or(Day::MAX, |date| day(&date).unwrap_or(Day::MIN)),
            }),
        }
    }

    /// Whether a use (a CKA_ flag; 0: another one) is in time.
    pub fn allows(&self, usage: AttributeType, today: Day) -> std::result::Result<(), Outside> {
        if today < self.from {
            Err(Outside::NotYet)
        } else if today > self.until && !RECIPIENT.contains(&usage) {
            Err(Outside::Over)
        } else {
            Ok(())
        }
    }
}

/// That the dates of an object are days, and in order: `AttributeValueInvalid`, `TemplateInconsistent`.
pub fn check(object: &Object) -> Result<()> {
    let date = |kind| match object.get(kind) {
        Some(Value::Date(Some(date))) => day(date).map(Some).ok_or(Error::AttributeValueInvalid),
        _ => Ok(None),
    };
    match (date(CKA_START_DATE)?, date(CKA_END_DATE)?) {
        (Some(start), Some(end)) if start > end => Err(Error::TemplateInconsistent),
        _ => Ok(()),
    }
}

/// The day of a CK_DATE (YYYYMMDD) in the Gregorian calendar; `None`: there is no such day.
pub fn day(date: &[u8; 8]) -> Option<Day> {
    if !date.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<Day>().ok();
    let (year, month, day) = (number(&date[..4])?, number(&date[4..6])?, number(&date[6..])?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    if year == 0 || !(1..=length).contains(&day) {
        return None;
    }
    let before: Day = lengths[..month as usize - 1].iter().sum();
    let past = year - 1;
    // 719,162 days lie between 0001-01-01 and 1970-01-01.
    Some(past * 365 + past / 4 - past / 100 + past / 400 + before + day - 1 - 719_162)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(start: Option<&[u8; 8]>, end: Option<&[u8; 8]>) -> Object {
        Object::new(vec![
            (CKA_CLASS, Value::Ulong(CKO_SECRET_KEY)),
            (CKA_KEY_TYPE, Value::Ulong(CKK_AES)),
            (CKA_START_DATE, Value::Date(start.copied())),
            (CKA_END_DATE, Value::Date(end.copied())),
        ])
    }

    #[test]
    fn days_are_counted_as_everybody_counts_them() {
        for (date, seconds) in [
            (b"19700101", 0),
            (b"19691231", -86_400),
            (b"20000229", 951_782_400),
            (b"20240229", 1_709_164_800),
            (b"20261128", 1_795_824_000),
            (b"99991231", 253_402_214_400),
        ] {
            assert_eq!(day(date), Some(seconds / 86_400), "{}", String::from_utf8_lossy(date));
        }
        let days =
            [b"20230229", b"21000229", b"20241301", b"20240001", b"20240100", b"20240431", b"00000101"];
        for no_day in days.into_iter().chain([b"2024+1+1", b"20 40101"]) {
            assert_eq!(day(no_day), None, "{}", String::from_utf8_lossy(no_day));
        }
    }

    #[test]
    fn both_days_count_and_reading_goes_on() {
        let validity = Validity::of(&key(Some(b"20300101"), Some(b"20300131"))).unwrap();
        let on = |date| day(date).unwrap();
        for usage in [CKA_SIGN, CKA_ENCRYPT, CKA_WRAP, CKA_DERIVE, CKA_SIGN_RECOVER, 0] {
            assert_eq!(validity.allows(usage, on(b"20291231")), Err(Outside::NotYet));
            assert_eq!(validity.allows(usage, on(b"20300101")), Ok(()));
            assert_eq!(validity.allows(usage, on(b"20300131")), Ok(()));
            assert_eq!(validity.allows(usage, on(b"20300201")), Err(Outside::Over));
        }
        for usage in RECIPIENT {
            assert_eq!(validity.allows(usage, on(b"20291231")), Err(Outside::NotYet));
            assert_eq!(validity.allows(usage, on(b"20300201")), Ok(()));
        }
        let open_ended = Validity::of(&key(Some(b"20300101"), None)).unwrap();
        assert_eq!(open_ended.allows(CKA_SIGN, on(b"99991231")), Ok(()));
        let no_start = Validity::of(&key(None, Some(b"20300101"))).unwrap();
        assert_eq!(no_start.allows(CKA_SIGN, on(b"19700101")), Ok(()));
        assert_eq!(Validity::of(&key(None, None)), None);
    }

    #[test]
    fn what_is_no_day_lets_nothing_through_and_is_not_stored() {
        for broken in [key(Some(b"20301301"), None), key(None, Some(b"00000000"))] {
            let validity = Validity::of(&broken).unwrap();
            assert!(validity.allows(CKA_SIGN, day(b"20300101").unwrap()).is_err());
            assert_eq!(check(&broken), Err(Error::AttributeValueInvalid));
        }
        assert_eq!(check(&key(Some(b"20300102"), Some(b"20300101"))), Err(Error::TemplateInconsistent));
        assert_eq!(check(&key(Some(b"20300101"), Some(b"20300101"))), Ok(()));
        let mut certificate = key(Some(b"20300101"), None);
        certificate.take(CKA_KEY_TYPE);
        assert_eq!(Validity::of(&certificate), None);
    }
}
