//! Which rules against attacks this host loosens, as the audit log is told: at the first login after the
//! configuration changed, because a file of configuration tells nobody when it was written.

use super::{Login, Token, keychain};
use crate::audit::{Event, Note};
use crate::crypto::Secret;
use crate::error::Result;
use crate::store::{Change, Store};
use std::sync::Arc;

const SECRET: &[u8] = b"rules against attacks";
/// The row of `meta`: the switches that were on, sealed for this file.
const ROW: &str = "rules";

/// What was noted last; an altered row is noted anew.
fn noted(secret: &Secret, token: &[u8], row: Option<Vec<u8>>) -> Option<Vec<u8>> {
    Some(keychain::unwrap(secret, token, &row?).ok()?.to_vec())
}

impl Token {
    /// Records a change of the switches since the last login, with who sees it first.
    pub(super) fn note_rules(&self, store: &Store, login: &Arc<Login>) -> Result<()> {
        let now = self.allowed().names();
        let token = store.token_id();
        let same = |secret: &Secret, row| noted(secret, &token.0, row).unwrap_or_default() == now.as_bytes();
        if store.read_only() || same(&store.derived_secret(SECRET), store.local(ROW)?) {
            return Ok(());
        }
        self.write_here(store, |change: &mut Change<'_>| {
            let secret = change.derived_secret(SECRET);
            let before = noted(&secret, &token.0, change.local(ROW)?).unwrap_or_default();
            if before == now.as_bytes() {
                return Ok(());
            }
            change.set_local(ROW, &keychain::wrap(&secret, &token.0, &Secret::from(now.as_bytes()))?)?;
            let note = Note::of(Event::RulesChanged).detail("allowed", &now);
            change.audit(Some(login), note.detail("before", String::from_utf8_lossy(&before)))
        })
        .map(drop)
    }
}
