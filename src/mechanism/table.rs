//! The table of mechanisms for pkcs11-tests/reference/mechanisms.md and `strongroom mechanism list`.

use super::{FAMILIES, Mechanism};
use cryptoki_sys::*;
use std::fmt::Write;

/// What a row can do, in words.
pub fn abilities(row: &Mechanism) -> String {
    let words = [
        (CKF_GENERATE, "generate"),
        (CKF_GENERATE_KEY_PAIR, "generate pair"),
        (CKF_SIGN, "sign"),
        (CKF_VERIFY, "verify"),
        (CKF_SIGN_RECOVER, "sign recover"),
        (CKF_VERIFY_RECOVER, "verify recover"),
        (CKF_ENCRYPT, "encrypt"),
        (CKF_DECRYPT, "decrypt"),
        (CKF_MESSAGE_ENCRYPT, "messages"),
        (CKF_WRAP, "wrap"),
        (CKF_UNWRAP, "unwrap"),
        (CKF_DERIVE, "derive"),
        (CKF_ENCAPSULATE, "encapsulate"),
        (CKF_DECAPSULATE, "decapsulate"),
        (CKF_DIGEST, "digest"),
    ];
    let flags = row.flags();
    words.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, word)| *word).collect::<Vec<_>>().join(", ")
}

/// The key sizes, in the standard's unit for the mechanism.
pub fn sizes(row: &Mechanism) -> String {
    match row.sizes {
        (0, 0) => String::new(),
        (least, most) if least == most => format!("{least}"),
        (least, most) => format!("{least}–{most}"),
    }
}

/// The switch of `[slot.allow]` that it needs, and for what if not for all.
pub fn needs(row: &Mechanism) -> String {
    let of_wrap = match (row.wrap_needs, row.unwrap_needs) {
        (Some(switch), Some(_)) => Some((switch, " to wrap and unwrap")),
        (Some(switch), None) => Some((switch, " to wrap")),
        (None, other) => other.map(|switch| (switch, " to unwrap")),
    };
    let needed = row.needs.map(|switch| (switch, "")).or(of_wrap);
    needed.map_or_else(String::new, |(switch, what)| format!("{}{what}", switch.name()))
}

/// The whole table in Markdown.
pub fn markdown() -> String {
    let mut text =
        String::from("| mechanism | can | key sizes | FIPS-approved | needs |\n|---|---|---|---|---|\n");
    for (family, rows) in FAMILIES {
        let _ = writeln!(text, "| **{family}** | | | | |");
        for row in *rows {
            let approved = if row.approved { "yes" } else { "" };
            let (can, sizes, needs) = (abilities(row), sizes(row), needs(row));
            let _ = writeln!(text, "| {} | {can} | {sizes} | {approved} | {needs} |", row.name);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_holds_the_table() {
        let page = include_str!("../../pkcs11-tests/reference/mechanisms.md");
        let inner = page
            .split("<!-- mechanisms -->\n")
            .nth(1)
            .and_then(|rest| rest.split("<!-- /mechanisms -->").next());
        assert_eq!(inner, Some(&*super::markdown()), "run: strongroom mechanism list --markdown");
    }
}
