//! What a running mechanism looks like to the one operation life cycle in `session`.
//!
//! Lengths are asked before bytes are written, so that a length query or a too-small buffer never
//! changes a running operation. All mechanisms work in parts; those that by nature take one piece
//! collect it.

use crate::error::Result;

/// Encrypt, decrypt, digest or sign.
pub trait Transform: Send {
    /// The most bytes `update` would give for `input` more bytes now (0 for digest and sign).
    fn update_length(&self, input: usize) -> usize;
    /// Takes `input`, writes to `out` (at least `update_length` bytes), answers how many.
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize>;
    /// The most bytes `finish` would give now.
    fn finish_length(&self) -> usize;
    /// Ends the operation; `out` has at least `finish_length` bytes.
    fn finish(&mut self, out: &mut [u8]) -> Result<usize>;
    /// The most bytes `one_shot` would give for `input` bytes.
    fn one_shot_length(&self, input: usize) -> usize;
    /// The whole operation at once, without `update` before it. `input` and `out` do not overlap.
    fn one_shot(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize>;
}

/// Verify.
pub trait Verifier: Send {
    fn update(&mut self, data: &[u8]) -> Result<()>;
    /// `SignatureInvalid`, or `SignatureLenRange`.
    fn finish(&mut self, signature: &[u8]) -> Result<()>;
    fn one_shot(&mut self, data: &[u8], signature: &[u8]) -> Result<()> {
        self.update(data)?;
        self.finish(signature)
    }
}
