//! Etcd keeps past values until its history is compacted: after something was destroyed, and after an epoch's
//! end, whoever sent that compacts it. A member that is further behind than that reads what there is; it needs no
//! past.

use super::engine::{Engine, Fault};
use super::peer::Peer;
use std::time::{Duration, Instant};

/// So long after: what others read just now stays readable, and many deletions cost one compaction.
const AFTER: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct History {
    /// Up to which revision, and when.
    due: Option<(i64, Instant)>,
    /// Etcd said no, and that was said.
    refused: bool,
}

impl Peer<'_> {
    /// What was there before this revision is not to stay in etcd.
    pub(super) fn outdate(&mut self, revision: i64) {
        let due = self.history.due.map_or_else(|| Instant::now() + AFTER, |(_, due)| due);
        self.history.due = Some((revision, due));
    }

    /// Compacts what is due. Nothing else depends on it.
    pub(super) async fn compact(&mut self, engine: &mut Engine) -> Result<(), Fault> {
        let Some((revision, _)) = self.history.due.filter(|(_, due)| *due <= Instant::now()) else {
            return Ok(());
        };
        self.history.due = None;
        match engine.compact(revision).await {
            Ok(()) => self.history.refused = false,
            // Somebody else was faster.
            Err(Fault::Compacted) => {}
            Err(Fault::Refused(why)) if !std::mem::replace(&mut self.history.refused, true) => {
                self.notice(format!("past values stay in etcd's history, which is not compacted: {why}"));
            }
            Err(Fault::Refused(_)) => {}
            Err(fault) => {
                self.history.due = Some((revision, Instant::now()));
                return Err(fault);
            }
        }
        Ok(())
    }
}
