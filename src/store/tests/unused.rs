//! What lies in a token file and is in no use: SQLite's format walked from the schema, by the pages'
//! own description, and not by what SQLite says.

use super::*;

const PAGE: usize = 4096;
const ZERO: [u8; PAGE] = [0; PAGE];

#[test]
fn a_file_with_pages_of_another_kind_is_refused() {
    let (_folder, config, store) = fresh();
    put(&store, 1, 1, "text").unwrap();
    drop(store);
    for (setting, opens) in [("1", Err(Error::TokenNotRecognized)), ("0", Ok(()))] {
        raw(&config).execute_batch(&format!("PRAGMA auto_vacuum = {setting}; VACUUM;")).unwrap();
        assert_eq!(Store::open(&config).map(|_| ()), opens);
    }
}

struct Walk {
    file: Vec<u8>,
    /// The pages that were looked at.
    pages: Vec<usize>,
    /// Bytes in no use that are not zero, by their place.
    found: Vec<String>,
}

/// The places in the file, with the log moved into it, where bytes are not zero and in no use. Every page
/// is found in one place of the file's trees, chains and lists, or this panics.
pub fn unused(config: &SlotConfig, connection: &rusqlite::Connection) -> Vec<String> {
    let mut statement =
        connection.prepare_cached("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").unwrap();
    let roots =
        statement.query_map([], |row| row.get::<_, u32>(0)).unwrap().map(|root| root.unwrap() as usize);
    let file = std::fs::read(&config.path).unwrap();
    let mut walk = Walk { file, pages: Vec::new(), found: Vec::new() };
    walk.tree(1);
    roots.for_each(|root| walk.tree(root));
    walk.free_list();
    walk.pages.sort_unstable();
    assert_eq!(walk.pages, (1..=walk.file.len() / PAGE).collect::<Vec<_>>(), "each page once");
    walk.found
}

impl Walk {
    fn number(&self, at: usize, length: usize) -> usize {
        self.file[at..at + length].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }

    /// SQLite's number of variable length; where it ends.
    fn varint(&self, at: usize) -> (usize, usize) {
        let mut number = 0;
        for (position, byte) in self.file[at..at + 9].iter().enumerate() {
            if position == 8 {
                return (number << 8 | usize::from(*byte), at + 9);
            }
            number = number << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return (number, at + position + 1);
            }
        }
        unreachable!()
    }

    fn check(&mut self, what: &str, from: usize, to: usize) {
        if self.file[from..to] != ZERO[..to - from] {
            let (page, at) = (from / PAGE + 1, from % PAGE);
            self.found.push(format!("{what} of page {page}, {} bytes from {at}", to - from));
        }
    }

    fn tree(&mut self, page: usize) {
        self.pages.push(page);
        let start = (page - 1) * PAGE;
        let head = if page == 1 { start + 100 } else { start };
        let (kind, cells, content) = (self.file[head], self.number(head + 3, 2), self.number(head + 5, 2));
        assert!(matches!(kind, 2 | 5 | 10 | 13), "page {page} of kind {kind}");
        let leaf = kind & 8 != 0;
        let pointers = head + if leaf { 8 } else { 12 };
        self.check("the gap", pointers + 2 * cells, start + content);
        let mut used: Vec<(usize, usize)> = (0..cells)
            .map(|cell| {
                let at = start + self.number(pointers + 2 * cell, 2);
                (at, self.cell(kind, at))
            })
            .collect();
        let mut block = self.number(head + 1, 2);
        while block != 0 {
            used.push((start + block, start + block + 4));
            block = self.number(start + block, 2);
        }
        used.sort_unstable();
        let mut end = start + content;
        for (from, to) in used {
            assert!(from >= end, "page {page} has things in each other");
            self.check("a free block", end, from);
            end = to;
        }
        self.check("the end", end, start + PAGE);
        if !leaf {
            self.tree(self.number(head + 8, 4));
        }
    }

    /// Where a cell ends; walks what it leads to.
    fn cell(&mut self, kind: u8, start: usize) -> usize {
        let mut at = start;
        if kind & 8 == 0 {
            self.tree(self.number(at, 4));
            at += 4;
        }
        if kind == 5 {
            return self.varint(at).1;
        }
        let (length, after) = self.varint(at);
        at = if kind == 13 { self.varint(after).1 } else { after };
        let (least, most) = ((PAGE - 12) * 32 / 255 - 23, (PAGE - 12) * 64 / 255 - 23);
        let most = if kind == 13 { PAGE - 35 } else { most };
        if length <= most {
            return (at + length).max(start + 4);
        }
        let here = least + (length - least) % (PAGE - 4);
        let here = if here <= most { here } else { least };
        let (mut next, mut rest) = (self.number(at + here, 4), length - here);
        while rest > 0 {
            self.pages.push(next);
            let page = (next - 1) * PAGE;
            let part = rest.min(PAGE - 4);
            self.check("the end of a chain", page + 4 + part, page + PAGE);
            (next, rest) = (self.number(page, 4), rest - part);
        }
        assert_eq!(next, 0);
        at + here + 4
    }

    fn free_list(&mut self) {
        let mut trunk = self.number(32, 4);
        while trunk != 0 {
            self.pages.push(trunk);
            let start = (trunk - 1) * PAGE;
            let leaves = self.number(start + 4, 4);
            for leaf in 0..leaves {
                let leaf = self.number(start + 8 + 4 * leaf, 4);
                self.pages.push(leaf);
                self.check("a free page", (leaf - 1) * PAGE, leaf * PAGE);
            }
            // Behind the list what was on it before: numbers of pages.
            let numbers = self.file[start + 8 + 4 * leaves..start + PAGE].chunks(4);
            assert!(
                numbers
                    .map(|number| u32::from_be_bytes(number.try_into().unwrap()))
                    .all(|page| page as usize <= self.file.len() / PAGE)
            );
            trunk = self.number(start, 4);
        }
    }
}
