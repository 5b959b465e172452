//! The little DER (X.690) that keys and certificates need: definite lengths, minimal forms only.

use super::Secret;

pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OID: u8 = 0x06;
pub const SEQUENCE: u8 = 0x30;

/// One element: tag, length, contents.
pub fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|c| c.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let skip = bytes.iter().take_while(|b| **b == 0).count();
        out.push(0x80 | (bytes.len() - skip) as u8);
        out.extend_from_slice(&bytes[skip..]);
    }
    contents.iter().for_each(|c| out.extend_from_slice(c));
    out
}

/// A non-negative INTEGER from big-endian bytes.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().take_while(|b| **b == 0).count();
    let bytes = &bytes[start..];
    let pad: &[u8] = if bytes.first().is_none_or(|b| b & 0x80 != 0) { &[0] } else { &[] };
    element(INTEGER, &[pad, bytes])
}

/// Reads elements one after the other; every method answers `None` on anything that is not strict.
#[derive(Clone, Copy)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The contents of the next element, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (contents, rest) = self.split(tag)?;
        self.0 = rest;
        Some(contents)
    }

    /// The next element whole, tag and length included.
    pub fn take_whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        let all = self.0;
        self.take(tag)?;
        Some(&all[..all.len() - self.0.len()])
    }

    fn split(&self, tag: u8) -> Option<(&'a [u8], &'a [u8])> {
        let (first, rest) = self.0.split_first()?;
        if *first != tag {
            return None;
        }
        let (first, rest) = rest.split_first()?;
        if *first < 0x80 {
            return rest.split_at_checked(usize::from(*first));
        }
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let minimal = (1..=4).contains(&bytes.len()) && bytes[0] != 0;
        let length = bytes.iter().fold(0usize, |n, b| (n << 8) | usize::from(*b));
        if minimal && length >= 0x80 { rest.split_at_checked(length) } else { None }
    }

    /// A non-negative INTEGER as big-endian bytes without leading zeros.
    pub fn unsigned(&mut self) -> Option<Secret> {
        let bytes = self.take(INTEGER)?;
        match bytes {
            [] => None,
            [0] => Some(Secret::default()),
            [0, next, ..] if next & 0x80 == 0 => None,
            [0, rest @ ..] => Some(Secret::from(rest)),
            [first, ..] if first & 0x80 != 0 => None,
            _ => Some(Secret::from(bytes)),
        }
    }

    /// The elements of a SEQUENCE.
    pub fn sequence(&mut self) -> Option<Reader<'a>> {
        self.take(SEQUENCE).map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 127, 128, 255, 256, 70000] {
            let contents = vec![5; length];
            let written = element(OCTET_STRING, &[&contents]);
            let mut reader = Reader::new(&written);
            assert_eq!(reader.take(OCTET_STRING), Some(&contents[..]));
            assert!(reader.is_empty());
        }
        for number in [&[0x80u8, 1][..], &[1], &[0x7f, 0xff]] {
            assert_eq!(Reader::new(&integer(number)).unsigned().unwrap()[..], *number);
        }
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn sloppy_encodings_are_refused() {
        for sloppy in
            [&[4u8, 0x81, 0x05, 1, 1, 1, 1, 1][..], &[4, 0x80], &[4, 5, 1], &[4], &[4, 0x85, 1, 1, 1, 1, 1]]
        {
            assert_eq!(Reader::new(sloppy).take(OCTET_STRING), None, "{sloppy:?}");
        }
        for sloppy in [&[2u8, 0][..], &[2, 2, 0, 1], &[2, 1, 0x80]] {
            assert!(Reader::new(sloppy).unsigned().is_none(), "{sloppy:?}");
        }
    }
}
