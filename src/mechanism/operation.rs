//! What a running mechanism looks like to the one operation life cycle in `session`, and the
//! shapes that most mechanisms share.
//!
//! Lengths are asked before bytes are written, so that a length query or a too-small buffer never
//! changes a running operation. All mechanisms work in parts; those that by nature take one piece
//! collect it.

use super::Params;
use crate::crypto::Secret;
use crate::crypto::hash::{Context, Hash};
use crate::error::{Error, Result};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// Encrypt, decrypt, digest or sign.
pub trait Transform: Send {
    /// The most bytes `update` would give for `input` more bytes now (0 for digest and sign).
    fn update_length(&self, _input: usize) -> usize {
        0
    }
    /// Takes `input`, writes to `out` (at least `update_length` bytes), answers how many.
    fn update(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize>;
    /// The most bytes `finish` would give now.
    fn finish_length(&self) -> usize;
    /// Ends the operation; `out` has at least `finish_length` bytes.
    fn finish(&mut self, out: &mut [u8]) -> Result<usize>;
    /// The most bytes `one_shot` would give for `input` bytes.
    fn one_shot_length(&self, _input: usize) -> usize {
        self.finish_length()
    }
    /// The whole operation at once, without `update` before it. `input` and `out` do not overlap.
    fn one_shot(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        let written = self.update(input, out)?;
        Ok(written + self.finish(&mut out[written..])?)
    }
    /// After the end: wipes what the run left, and answers whether it can start again.
    fn rest(&mut self) -> bool {
        false
    }
    /// Starts a rested one again, as if built anew with the same key. False, and nothing taken, when
    /// it cannot with these parameters.
    fn restart(&mut self, _params: &mut Params) -> bool {
        false
    }
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

/// The most bytes that a mechanism which needs its input whole collects over several parts.
const COLLECT_AT_MOST: usize = 1 << 30;

fn collect(parts: &mut Zeroizing<Vec<u8>>, more: &[u8]) -> Result<()> {
    if parts.len() + more.len() > COLLECT_AT_MOST {
        return Err(Error::DataLenRange);
    }
    parts.try_reserve(more.len()).map_err(|_| Error::HostMemory)?;
    parts.extend_from_slice(more);
    Ok(())
}

/// A mechanism that takes its input in one piece: `length` of the output for an input length, and
/// the work itself.
pub struct Whole<L, W> {
    length: L,
    work: W,
    parts: Zeroizing<Vec<u8>>,
}

impl<L: Fn(usize) -> usize + Send, W: FnMut(&[u8], &mut [u8]) -> Result<usize> + Send> Whole<L, W> {
    pub fn new(length: L, work: W) -> Self {
        Self { length, work, parts: Zeroizing::default() }
    }
}

impl<L: Fn(usize) -> usize + Send, W: FnMut(&[u8], &mut [u8]) -> Result<usize> + Send> Transform
    for Whole<L, W>
{
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        collect(&mut self.parts, input).map(|()| 0)
    }
    fn finish_length(&self) -> usize {
        (self.length)(self.parts.len())
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        (self.work)(&self.parts, out)
    }
    fn one_shot_length(&self, input: usize) -> usize {
        (self.length)(input)
    }
    fn one_shot(&mut self, input: &[u8], out: &mut [u8]) -> Result<usize> {
        (self.work)(input, out)
    }
}

/// A verification that takes its data in one piece.
pub struct WholeVerify<W> {
    work: W,
    parts: Zeroizing<Vec<u8>>,
}

impl<W: FnMut(&[u8], &[u8]) -> Result<()> + Send> WholeVerify<W> {
    pub fn new(work: W) -> Self {
        Self { work, parts: Zeroizing::default() }
    }
}

impl<W: FnMut(&[u8], &[u8]) -> Result<()> + Send> Verifier for WholeVerify<W> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        collect(&mut self.parts, data)
    }
    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        (self.work)(&self.parts, signature)
    }
    fn one_shot(&mut self, data: &[u8], signature: &[u8]) -> Result<()> {
        (self.work)(data, signature)
    }
}

/// A signature over a digest: hash first, then the work on the digest.
pub struct HashThen<W> {
    context: Context,
    length: usize,
    work: W,
}

impl<W: FnMut(&[u8], &mut [u8]) -> Result<()> + Send> HashThen<W> {
    pub fn new(hash: Hash, length: usize, work: W) -> Self {
        Self { context: Context::new(hash), length, work }
    }
}

/// The digest so far, on the stack: no hash is longer.
fn digest(context: &mut Context) -> ([u8; 64], usize) {
    let (mut digest, length) = ([0; 64], context.length());
    context.finish(&mut digest[..length]);
    (digest, length)
}

impl<W: FnMut(&[u8], &mut [u8]) -> Result<()> + Send> Transform for HashThen<W> {
    fn update(&mut self, input: &[u8], _: &mut [u8]) -> Result<usize> {
        self.context.update(input);
        Ok(0)
    }
    fn finish_length(&self) -> usize {
        self.length
    }
    fn finish(&mut self, out: &mut [u8]) -> Result<usize> {
        let (digest, length) = digest(&mut self.context);
        (self.work)(&digest[..length], &mut out[..self.length])?;
        Ok(self.length)
    }
}

/// The verification of a signature over a digest.
pub struct HashThenVerify<W> {
    context: Context,
    work: W,
}

impl<W: FnMut(&[u8], &[u8]) -> Result<()> + Send> HashThenVerify<W> {
    pub fn new(hash: Hash, work: W) -> Self {
        Self { context: Context::new(hash), work }
    }
}

impl<W: FnMut(&[u8], &[u8]) -> Result<()> + Send> Verifier for HashThenVerify<W> {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.context.update(data);
        Ok(())
    }
    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let (digest, length) = digest(&mut self.context);
        (self.work)(&digest[..length], signature)
    }
}

/// A MAC is verified by making it again and comparing in constant time.
pub struct MacVerify(pub Box<dyn Transform>);

impl Verifier for MacVerify {
    fn update(&mut self, data: &[u8]) -> Result<()> {
        self.0.update(data, &mut []).map(drop)
    }
    fn finish(&mut self, signature: &[u8]) -> Result<()> {
        let mut expected = Secret::zeroed(self.0.finish_length());
        self.0.finish(&mut expected)?;
        if signature.len() != expected.len() {
            return Err(Error::SignatureLenRange);
        }
        if bool::from(expected.ct_eq(signature)) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}

/// Runs a whole transform over `input` into a vector of its own: for wrapping and unwrapping.
pub fn run(mut transform: Box<dyn Transform>, input: &[u8]) -> Result<Secret> {
    let mut out = Secret::zeroed(transform.one_shot_length(input.len()));
    let written = transform.one_shot(input, &mut out)?;
    out.truncate(written);
    Ok(out)
}
