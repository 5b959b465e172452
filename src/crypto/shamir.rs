//! Shamir's secret sharing over GF(2^8), byte by byte, in constant time.

use super::Secret;
use crate::error::{Error, Result};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use vsss_rs::Gf256;
use zeroize::Zeroize;

/// As many shares as asked for (at most 255), each a byte longer than the secret; any `threshold` of them
/// (at least 2) give it back, fewer say nothing of it.
pub fn split(secret: &Secret, threshold: usize, shares: usize) -> Result<Vec<Secret>> {
    // A system without randomness makes this panic, which ends the call and nothing else.
    let shares = Gf256::split_array(threshold, shares, &secret[..], UnwrapErr(SysRng));
    shares
        .map(|shares| shares.into_iter().map(Secret::from).collect())
        .map_err(|e| Error::GeneralError.because(format_args!("a secret cannot be shared: {e}")))
}

/// The secret of at least `threshold` shares; of fewer, something else. `EncryptedDataInvalid` when they
/// are no shares, or one comes twice.
pub fn combine(shares: &[Secret]) -> Result<Secret> {
    let mut plain: Vec<Vec<u8>> = shares.iter().map(|share| share.to_vec()).collect();
    let secret = Gf256::combine_array(&plain);
    plain.zeroize();
    secret.map(Secret::from).map_err(|_| Error::EncryptedDataInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_needed() {
        let secret = Secret::random(32).unwrap();
        let shares = split(&secret, 3, 5).unwrap();
        assert_eq!(shares.len(), 5);
        for left_out in 0..5 {
            let mut some = shares.clone();
            some.remove(left_out);
            assert_eq!(combine(&some).unwrap(), secret);
            some.pop();
            assert_eq!(combine(&some).unwrap(), secret);
            some.pop();
            assert_ne!(combine(&some).ok(), Some(secret.clone()));
        }
        let twice = vec![shares[0].clone(), shares[0].clone(), shares[1].clone()];
        assert!(combine(&twice).is_err() && combine(&[]).is_err());
        assert!(split(&secret, 3, 2).is_err());
    }

    /// Two shares of one secret, of a field we know: x^8 + x^4 + x^3 + x + 1. A line through 0x05 with
    /// the slope 0x02: at 1 it is 0x07, at 2 it is 0x01.
    #[test]
    fn a_known_line() {
        let shares = [Secret::from(&[1, 7][..]), Secret::from(&[2, 1][..])];
        assert_eq!(combine(&shares).unwrap()[..], [5]);
    }
}
