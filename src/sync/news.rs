//! What whoever keeps a token in step tells an operator: one line of the log for each change, and numbers for
//! those who measure. A state that lasts is told once.

use super::sightings::Sightings;
use crate::error::printable;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How many refused values the log names in a minute: etcd may be full of foreign ones.
const NAMED: u64 = 20;

/// Since the start, or as it is now. Revisions are etcd's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    pub connected: bool,
    /// Everything up to here is in the file.
    pub applied: i64,
    /// The last revision at which anybody wrote a record, as far as this host saw it itself.
    pub newest: i64,
    /// The same as far as any host says.
    pub anywhere: i64,
    /// The engine's own, which grows with what is no record, too.
    pub engine: i64,
    /// Records that peers have from here.
    pub sent: u64,
    /// Records of peers that are in the file since.
    pub taken: u64,
    pub refused: u64,
    /// Changes made here that gave way to a peer's.
    pub overruled: u64,
    /// How often the engine was lost.
    pub cut_off: u64,
    /// How often everything was read again.
    pub read_again: u64,
    /// When the engine last answered, in seconds since 1970; 0: never.
    pub contact: u64,
}

impl Numbers {
    /// How many revisions this host is behind; `None` while nobody tells it.
    pub fn lag(&self) -> Option<i64> {
        self.connected.then(|| (self.anywhere.max(self.newest) - self.applied).max(0))
    }
}

/// Lines of the log, and what was told before.
#[derive(Default)]
pub struct News {
    pub sightings: Sightings,
    /// Since when it is connected, or not.
    since: Option<(bool, Instant)>,
    /// Why everything is to be read again, when that is known.
    because: Option<String>,
    /// Refused values in this minute.
    refused: Option<(Instant, u64)>,
}

impl News {
    pub fn connected(&mut self, endpoint: &str) {
        let now = Instant::now();
        let away = self.since.filter(|(connected, _)| !connected).map(|(_, since)| now - since);
        let after = away.map(|away| format!(", after {}", seconds(away))).unwrap_or_default();
        log::info!("cluster: connected to {endpoint}{after}");
        self.since = Some((true, now));
        self.sightings.resume(now);
    }

    /// Tells why, once.
    pub fn cut_off(&mut self, why: &str) {
        let now = Instant::now();
        let after = match self.since {
            Some((false, _)) => return,
            Some((true, since)) => format!(" after {}", seconds(now - since)),
            None => String::new(),
        };
        log::warn!("cluster: cut off{after}: {}", printable(why));
        self.since = Some((false, now));
    }

    /// The reason of the next `everything`.
    pub fn read_again_because(&mut self, why: impl Into<String>) {
        self.because = Some(why.into());
    }

    /// Everything is read again.
    pub fn everything(&mut self, why: &str) {
        let why = self.because.take().unwrap_or_else(|| why.to_owned());
        log::info!("cluster: everything is read again: {why}");
    }

    pub fn caught_up(&self, taken: u64, took: Duration, revision: i64) {
        log::info!(
            "cluster: caught up: {taken} records taken in {}, up to revision {revision}",
            seconds(took)
        );
    }

    /// Whether the log should name one more refused value.
    pub fn names_refused(&mut self) -> bool {
        let now = Instant::now();
        let (_, count) = match &mut self.refused {
            Some(minute) if now - minute.0 < Duration::from_secs(60) => minute,
            other => other.insert((now, 0)),
        };
        *count += 1;
        if *count == NAMED + 1 {
            log::warn!("cluster: more values were refused in this minute than are named here");
        }
        *count <= NAMED
    }
}

/// Why everything is to be read, if it is. `position`: up to where what engine was read; then the engine as it
/// is.
pub fn why_everything(
    asked: bool,
    position: crate::store::Position,
    engine: u64,
    revision: i64,
) -> Option<&'static str> {
    match () {
        () if position.revision == 0 => Some("nothing was read yet"),
        () if position.engine != engine => Some("it is another etcd"),
        () if position.revision > revision => Some("etcd was put back to an older state"),
        () if asked => Some("something was left out"),
        () => None,
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Position;

    #[test]
    fn everything_is_read_for_a_reason() {
        let at = |revision| Position { engine: 1, revision };
        assert_eq!(why_everything(false, at(5), 1, 5), None);
        assert_eq!(why_everything(false, at(5), 1, 9), None);
        assert!(why_everything(true, at(5), 1, 9).is_some());
        assert!(why_everything(false, at(0), 1, 9).unwrap().contains("nothing"));
        assert!(why_everything(false, at(5), 2, 9).unwrap().contains("another"));
        assert!(why_everything(false, at(5), 1, 4).unwrap().contains("older"));
    }

    #[test]
    fn an_engine_full_of_foreign_values_does_not_fill_the_log() {
        let mut news = News::default();
        assert_eq!((0..1_000).filter(|_| news.names_refused()).count() as u64, NAMED);
    }
}
