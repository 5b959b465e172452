//! The table of mechanisms for docs/mechanisms.md and `strongroom mechanism list`.

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

/// The whole table in Markdown.
pub fn markdown() -> String {
    let mut text = String::from("| mechanism | can | key sizes | FIPS-approved |\n|---|---|---|---|\n");
    for (family, rows) in FAMILIES {
        let _ = writeln!(text, "| **{family}** | | | |");
        for row in *rows {
            let approved = if row.approved { "yes" } else { "" };
            let _ = writeln!(text, "| {} | {} | {} | {approved} |", row.name, abilities(row), sizes(row));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_holds_the_table() {
        let page = include_str!("../../docs/mechanisms.md");
        let inner = page
            .split("<!-- mechanisms -->\n")
            .nth(1)
            .and_then(|rest| rest.split("<!-- /mechanisms -->").next());
        assert_eq!(inner, Some(&*super::markdown()), "run: strongroom mechanism list --markdown");
    }
}
