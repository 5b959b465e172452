//! A record as it travels between the files of one token.

use super::seal::header_bytes;
use super::{Header, Id, Kind};

/// Version of the form.
const FORM: u8 = 1;

/// A record with all that belongs to it, as it travels and as it lies in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    pub header: Header,
    pub body: Vec<u8>,
    /// Wrapped data keys by holder, in order.
    pub keys: Vec<(Id, Vec<u8>)>,
    /// Blind index entries, in order.
    pub terms: Vec<[u8; 16]>,
}

impl Whole {
    /// Form (1), header (65), then body, keys and terms, each counted; numbers u32 LE.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![FORM];
        out.extend_from_slice(&header_bytes(&self.header));
        let counted =
            |out: &mut Vec<u8>, length: usize| out.extend_from_slice(&(length as u32).to_le_bytes());
        counted(&mut out, self.body.len());
        out.extend_from_slice(&self.body);
        counted(&mut out, self.keys.len());
        for (holder, wrapped) in &self.keys {
            out.extend_from_slice(&holder.0);
            counted(&mut out, wrapped.len());
            out.extend_from_slice(wrapped);
        }
        counted(&mut out, self.terms.len());
        self.terms.iter().for_each(|term| out.extend_from_slice(term));
        out
    }

    /// `None` when the bytes are not exactly one record of this form.
    pub fn decode(bytes: &[u8]) -> Option<Whole> {
        let mut rest = Reader(bytes);
        if rest.take(1)? != [FORM] {
            return None;
        }
        let header = decode_header(rest.take(65)?)?;
        let body = rest.counted()?.to_vec();
        let keys = (0..rest.number()?).map(|_| Some((rest.id()?, rest.counted()?.to_vec())));
        let keys = keys.collect::<Option<_>>()?;
        let terms = (0..rest.number()?).map(|_| rest.id().map(|id| id.0)).collect::<Option<_>>()?;
        rest.0.is_empty().then_some(Whole { header, body, keys, terms })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.try_into().map(u32::from_le_bytes).ok()
    }

    fn counted(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn id(&mut self) -> Option<Id> {
        self.take(16)?.try_into().map(Id).ok()
    }
}

fn decode_header(bytes: &[u8]) -> Option<Header> {
    let mut rest = Reader(bytes);
    let kind = Kind::from_row(i64::from(rest.take(1)?[0])).ok()?;
    let id = rest.id()?;
    let version = rest.take(8)?.try_into().map(u64::from_le_bytes).ok()?;
    // The file keeps it as a signed number.
    i64::try_from(version).ok()?;
    let (epoch, author, owner, flags) = (rest.number()?, rest.id()?, rest.id()?, rest.number()?);
    Some(Header { kind, id, version, epoch, author, owner, flags })
}
