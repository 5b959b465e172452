//! How the other hosts do, as this one hears it: when each said something new, and whether it is in step.
//!
//! Whether a host is silent is told by this host's clock and by etcd's revisions of what it says, not by the
//! time it writes there: its clock may be wrong.

use super::status::Said;
use crate::store::Id;
use crate::store::keeper::{Sighting, Standing};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a host may say nothing; it says something every `STATUS` of the loop.
pub const SILENT: Duration = Duration::from_secs(15);

/// What another host says, if it ever did, and etcd's revision of it.
pub struct Heard<'a> {
    pub id: Id,
    pub name: &'a str,
    pub said: Option<(i64, Said)>,
}

/// How the host that said this does. `here`: what this host would say; `newest`: the last revision at which
/// anybody wrote a record.
pub fn standing(said: Option<&Said>, silent: bool, here: &Said, newest: i64) -> Standing {
    let Some(said) = said else { return Standing::Unheard };
    // A digest means something only of a host that has read and sent everything.
    let has_all = |host: &Said| host.pending == 0 && host.revision >= newest;
    match () {
        () if silent => Standing::Silent,
        () if !has_all(said) => Standing::Behind,
        () if has_all(here) && said.digest != here.digest => Standing::Differs,
        () => Standing::InStep,
    }
}

struct Seen {
    revision: i64,
    heard: Instant,
    since: Instant,
    mark: Mark,
    /// What the log has of it.
    told: Standing,
    public: Sighting,
}

/// What a host that is behind has to come past: one that reads on and sends on while others write is no news.
#[derive(Clone, Default)]
struct Mark {
    newest: i64,
    pending: u64,
    digest: String,
    time: u64,
}

impl Mark {
    /// Whether the host has read all that was there then, and whether it sent something, too, if it had to.
    fn is_passed(&self, said: &Said) -> (bool, bool) {
        let sends = said.pending == 0 || said.pending != self.pending || said.digest != self.digest;
        (said.revision >= self.newest, sends)
    }
}

/// Of all other hosts.
#[derive(Default)]
pub struct Sightings(BTreeMap<Id, Seen>);

/// How long something must last before the log tells of it: what passes by itself is no news.
fn patience(standing: Standing) -> Duration {
    Duration::from_secs(match standing {
        Standing::InStep | Standing::Silent | Standing::Unheard => 0,
        Standing::Differs => 3,
        Standing::Behind => 30,
    })
}

impl Sightings {
    /// After a time without word of anybody: nobody is silent for that.
    pub fn resume(&mut self, now: Instant) {
        self.0.values_mut().for_each(|seen| seen.heard = now);
    }

    /// Takes what all others say now; lines for the log, and whether each is a warning.
    pub fn look(
        &mut self,
        all: &[Heard<'_>],
        here: &Said,
        newest: i64,
        (now, time): (Instant, SystemTime),
    ) -> Vec<(bool, String)> {
        self.0.retain(|id, _| all.iter().any(|heard| heard.id == *id));
        let time = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        all.iter().filter_map(|heard| self.look_at(heard, here, newest, (now, time))).collect()
    }

    fn look_at(
        &mut self,
        heard: &Heard<'_>,
        here: &Said,
        newest: i64,
        (now, time): (Instant, u64),
    ) -> Option<(bool, String)> {
        let seen = self.0.entry(heard.id).or_insert_with(|| Seen {
            revision: 0,
            heard: now,
            since: now,
            mark: Mark::default(),
            told: Standing::Unheard,
            public: Sighting {
                peer: heard.id.to_string(),
                heard: 0,
                in_step: 0,
                standing: Standing::Unheard,
                since: time,
            },
        });
        let said = heard.said.as_ref();
        if let Some((revision, _)) = said
            && *revision != seen.revision
        {
            seen.revision = *revision;
            seen.heard = now;
            seen.public.heard = time;
        }
        let silent = now.duration_since(seen.heard) >= SILENT;
        let standing = standing(said.map(|(_, said)| said), silent, here, newest);
        let was_in_step = seen.public.in_step;
        let mut begins = standing != seen.public.standing;
        if standing == Standing::InStep {
            seen.public.in_step = time;
        } else if let Some((_, said)) = said.filter(|_| standing == Standing::Behind) {
            let (read, sent) = seen.mark.is_passed(said);
            if read && !begins {
                seen.public.in_step = seen.public.in_step.max(seen.mark.time);
                begins = sent;
            }
            if read || begins {
                seen.mark = Mark { newest, time, pending: said.pending, digest: said.digest.clone() };
            }
        }
        if begins {
            seen.since = now;
            seen.public.since = time;
            seen.public.standing = standing;
        }
        if standing == seen.told || now.duration_since(seen.since) < patience(standing) {
            return None;
        }
        let before = std::mem::replace(&mut seen.told, standing);
        let away = (was_in_step > 0).then(|| time.saturating_sub(was_in_step));
        Some((standing != Standing::InStep, line(heard, standing, before, away)))
    }

    /// For other processes of this host.
    pub fn public(&self) -> Vec<Sighting> {
        self.0.values().map(|seen| seen.public.clone()).collect()
    }
}

/// What the log says of a host; `away`: seconds since it was last in step.
fn line(heard: &Heard<'_>, now: Standing, before: Standing, away: Option<u64>) -> String {
    let name = heard.name;
    let since = away.map(|away| format!(", {away} s after it was in step last")).unwrap_or_default();
    match now {
        Standing::InStep if before == Standing::Unheard => format!("{name} appeared, and is in step"),
        Standing::InStep => format!("{name} is in step again{since}"),
        Standing::Behind => format!("{name} is behind{since}"),
        Standing::Silent => format!("{name} went silent: no word of it for {} s", SILENT.as_secs()),
        Standing::Unheard => format!("{name} says nothing any more that can be believed"),
        Standing::Differs => {
            let digest = heard.said.as_ref().map(|(_, said)| said.digest.as_str()).unwrap_or_default();
            format!(
                "{name} says that it has everything, and its digest {digest} differs{since}: `strongroom cluster \
                 verify` on both hosts names the records"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(revision: i64, digest: &str, pending: u64) -> Said {
        Said { revision, pending, digest: digest.into(), ..Said::default() }
    }

    #[test]
    fn digests_count_only_between_hosts_that_have_everything() {
        let here = said(10, "one", 0);
        let judge = |peer: &Said| standing(Some(peer), false, &here, 10);
        assert_eq!(judge(&said(10, "one", 0)), Standing::InStep);
        assert_eq!(judge(&said(12, "one", 0)), Standing::InStep);
        assert_eq!(judge(&said(9, "two", 0)), Standing::Behind);
        assert_eq!(judge(&said(10, "two", 3)), Standing::Behind);
        assert_eq!(judge(&said(10, "two", 0)), Standing::Differs);
        // It is this host that is behind.
        assert_eq!(standing(Some(&said(10, "two", 0)), false, &said(9, "one", 0), 10), Standing::InStep);
        assert_eq!(standing(Some(&said(10, "two", 0)), true, &here, 10), Standing::Silent);
        assert_eq!(standing(None, true, &here, 10), Standing::Unheard);
    }

    #[test]
    fn each_change_is_told_once_and_what_passes_by_itself_is_not() {
        let (begun, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000));
        let at = |seconds| (begun + Duration::from_secs(seconds), wall + Duration::from_secs(seconds));
        let here = said(10, "one", 0);
        let mut sightings = Sightings::default();
        let mut look = |revision: i64, peer: Said, seconds: u64| {
            let all = [Heard { id: Id([1; 16]), name: "b", said: Some((revision, peer)) }];
            let lines = sightings.look(&all, &here, 10, at(seconds));
            let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
            (lines.join("; "), sightings.public()[0].clone())
        };
        assert_eq!(look(100, said(10, "one", 0), 0).0, "b appeared, and is in step");
        assert_eq!(look(101, said(10, "one", 0), 5).0, "");
        // A difference that is gone at the next look, then one that stays.
        assert_eq!(look(102, said(10, "two", 0), 6).0, "");
        assert_eq!(look(103, said(10, "one", 0), 7).0, "");
        assert_eq!(look(104, said(10, "two", 0), 8).0, "");
        let (line, public) = look(104, said(10, "two", 0), 11);
        assert!(line.contains("two differs, 4 s after it was in step last"), "{line}");
        assert_eq!((public.standing, public.since, public.in_step), (Standing::Differs, 1_008, 1_007));
        assert_eq!(look(105, said(10, "two", 0), 20).0, "", "once");
        assert_eq!(look(106, said(10, "one", 0), 21).0, "b is in step again, 14 s after it was in step last");
        // Behind for a moment, then for long, then gone, and back.
        assert_eq!(look(107, said(9, "one", 0), 22).0, "");
        assert_eq!(look(108, said(9, "one", 0), 36).0, "");
        assert_eq!(look(109, said(9, "one", 0), 50).0, "");
        assert_eq!(look(110, said(9, "one", 0), 52).0, "b is behind, 31 s after it was in step last");
        assert_eq!(look(110, said(9, "one", 0), 66).0, "");
        let (line, public) = look(110, said(9, "one", 0), 67);
        assert_eq!(line, "b went silent: no word of it for 15 s");
        assert_eq!((public.standing, public.heard), (Standing::Silent, 1_052));
        assert!(look(111, said(10, "one", 0), 68).0.starts_with("b is in step again"));
    }

    #[test]
    fn a_host_that_keeps_up_while_others_write_is_not_told_of() {
        let (begun, wall) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000));
        let mut sightings = Sightings::default();
        let mut look = |peer: Said, newest: i64, seconds: u64| {
            let all = [Heard { id: Id([1; 16]), name: "b", said: Some((seconds as i64 + 1, peer)) }];
            let now = (begun + Duration::from_secs(seconds), wall + Duration::from_secs(seconds));
            let lines = sightings.look(&all, &said(newest, "one", 0), newest, now);
            (lines.len(), sightings.public()[0].clone())
        };
        assert_eq!(look(said(0, "one", 0), 0, 0).0, 1);
        for seconds in 1..100 {
            let newest = seconds as i64 * 10;
            let (lines, seen) = look(said(newest - 10, &format!("at {seconds}"), 2), newest, seconds);
            assert_eq!((lines, seen.standing), (0, Standing::Behind));
            assert!(seconds == 1 || seen.in_step >= 1_000 + seconds - 2, "{seen:?} at {seconds}");
        }
        // It reads no more.
        let late: usize = (100..140).map(|seconds| look(said(980, "other", 2), 2_000, seconds).0).sum();
        assert_eq!(late, 1);
        // It reads, and sends nothing.
        assert_eq!(look(said(2_000, "one", 0), 2_000, 140).0, 1);
        let stuck: usize = (141..180).map(|seconds| look(said(2_000, "two", 1), 2_000, seconds).0).sum();
        assert_eq!(stuck, 1);
    }

    #[test]
    fn nobody_is_silent_while_this_host_was_cut_off() {
        let (begun, wall) = (Instant::now(), UNIX_EPOCH);
        let mut sightings = Sightings::default();
        let look = |sightings: &mut Sightings, seconds: u64| {
            let all = [Heard { id: Id([1; 16]), name: "b", said: Some((1, said(1, "one", 0))) }];
            sightings.look(&all, &said(1, "one", 0), 1, (begun + Duration::from_secs(seconds), wall));
            sightings.public()[0].standing
        };
        assert_eq!(look(&mut sightings, 0), Standing::InStep);
        sightings.resume(begun + Duration::from_secs(100));
        assert_eq!(look(&mut sightings, 101), Standing::InStep);
        assert_eq!(look(&mut sightings, 115), Standing::Silent);
    }
}
