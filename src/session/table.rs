//! Where sessions live: cells that are used again and never freed or moved, so that finding one takes
//! no lock, and a late call on another thread meets a closed session and not freed memory.
//!
//! A handle is the cell's place and how often the cell was used before: no handle comes twice in the
//! life of the process.

use super::sessions::{Session, Slot, State};
use crate::error::{Error, Result};
use crate::lock::{ForkGuard, Mutex, MutexGuard, Rank, RwLock};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The low bits of a handle are the cell's place, counted from 1.
const PLACE_BITS: u32 = 24;
/// The first row of cells; each row is twice as long as the one before.
const FIRST_ROW: u64 = 16;
const ROWS: usize = 20;

pub(super) struct Cell {
    /// The session's handle; 0 while there is none.
    handle: AtomicU64,
    /// The slot's number, to pick sessions without waiting for their locks.
    slot: AtomicU64,
    /// Whether it is a read-write session.
    write: AtomicBool,
    /// Forks before the session was opened.
    generation: AtomicU64,
    state: Mutex<State>,
}

/// A session that ended.
pub(super) struct Ended {
    pub slot: u64,
    pub write: bool,
}

pub(super) struct Table {
    rows: [OnceLock<Box<[Cell]>>; ROWS],
    free: RwLock<Free>,
}

/// Which cells have no session.
pub(super) struct Free {
    /// Places beyond this were never used.
    used: u64,
    places: Vec<u64>,
}

impl Cell {
    fn new() -> Cell {
        Cell {
            handle: AtomicU64::new(0),
            slot: AtomicU64::new(0),
            write: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            state: Mutex::new(Rank::Session, State::default()),
        }
    }

    /// The cell's lock. In a forked child, a session that another thread of the parent held at that
    /// moment stays locked for ever: it answers `FunctionFailed` instead of hanging.
    fn lock(&self, generation: u64) -> Result<MutexGuard<'_, State>> {
        if self.generation.load(Ordering::Relaxed) == generation {
            Ok(self.state.lock())
        } else {
            self.state.try_lock().ok_or(Error::FunctionFailed)
        }
    }
}

/// The row and the column of a place.
fn position(place: u64) -> (usize, usize) {
    let row = (place / FIRST_ROW + 1).ilog2();
    (row as usize, (place - FIRST_ROW * ((1 << row) - 1)) as usize)
}

impl Table {
    pub const fn new() -> Table {
        Table {
            rows: [const { OnceLock::new() }; ROWS],
            free: RwLock::new(Rank::Leaf, Free { used: 0, places: Vec::new() }),
        }
    }

    fn cell(&self, place: u64) -> Option<&Cell> {
        let (row, column) = position(place);
        self.rows.get(row)?.get()?.get(column)
    }

    fn of_handle(&self, handle: u64) -> Option<&Cell> {
        self.cell((handle & ((1 << PLACE_BITS) - 1)).checked_sub(1)?)
    }

    /// Whether a session is open; waits for nothing.
    pub fn is_open(&self, handle: u64) -> bool {
        self.of_handle(handle).is_some_and(|cell| cell.handle.load(Ordering::Acquire) == handle)
    }

    /// A session's state, locked; `generation` counts the forks so far.
    pub fn lock(&self, handle: u64, generation: u64) -> Result<MutexGuard<'_, State>> {
        let cell = self.of_handle(handle).ok_or(Error::SessionHandleInvalid)?;
        // Do not wait for the lock of another session.
        if cell.handle.load(Ordering::Acquire) != handle {
            return Err(Error::SessionHandleInvalid);
        }
        let state = cell.lock(generation)?;
        // It was closed, and perhaps opened anew, while this call waited.
        if cell.handle.load(Ordering::Acquire) == handle {
            Ok(state)
        } else {
            Err(Error::SessionHandleInvalid)
        }
    }

    /// Opens a session; its handle. `SessionCount` when there is no place left.
    pub fn insert(&self, slot: &'static Slot, write: bool, generation: u64) -> Result<u64> {
        let (place, cell, mut held) = loop {
            let place = self.free_place()?;
            let cell = self.cell(place).ok_or(Error::GeneralError)?;
            // In a forked child, a thread of the parent may have held a free cell for the moment in which
            // it found it closed: such a cell is lost.
            if let Ok(held) = cell.lock(generation) {
                break (place, cell, held);
            }
        };
        cell.slot.store(slot.id, Ordering::Relaxed);
        cell.write.store(write, Ordering::Relaxed);
        cell.generation.store(generation, Ordering::Relaxed);
        let handle = held.uses << PLACE_BITS | (place + 1);
        held.session = Some(Session { handle, slot, write });
        cell.handle.store(handle, Ordering::Release);
        Ok(handle)
    }

    fn free_place(&self) -> Result<u64> {
        let mut free = self.free.write();
        if let Some(place) = free.places.pop() {
            return Ok(place);
        }
        let place = free.used;
        let (row, _) = position(place);
        let cells = self.rows.get(row).ok_or(Error::SessionCount)?;
        cells.get_or_init(|| (0..FIRST_ROW << row).map(|_| Cell::new()).collect());
        free.used += 1;
        Ok(place)
    }

    /// Ends a session and wipes its state; waits for a call that is using it.
    pub fn remove(&self, handle: u64, generation: u64) -> Result<Ended> {
        let cell = self.of_handle(handle).ok_or(Error::SessionHandleInvalid)?;
        let state = self.lock(handle, generation);
        let ended =
            Ended { slot: cell.slot.load(Ordering::Relaxed), write: cell.write.load(Ordering::Relaxed) };
        match state {
            Ok(mut state) => {
                cell.handle.store(0, Ordering::Release);
                *state = State { uses: state.uses + 1, ..State::default() };
                drop(state);
                self.free.write().places.push((handle & ((1 << PLACE_BITS) - 1)) - 1);
            }
            // Locked for ever by a thread that this process does not have: the cell is lost.
            Err(Error::FunctionFailed) => {
                let once = cell.handle.compare_exchange(handle, 0, Ordering::AcqRel, Ordering::Relaxed);
                once.map_err(|_| Error::SessionHandleInvalid)?;
            }
            Err(error) => return Err(error),
        }
        Ok(ended)
    }

    /// The handles of all sessions, or of those of one slot.
    pub fn handles(&self, slot: Option<u64>) -> Vec<u64> {
        let used = self.free.read().used;
        (0..used)
            .filter_map(|place| self.cell(place))
            // The handle first: with the slot of before, a session just opened on another one would be named.
            .map(|cell| (cell.handle.load(Ordering::Acquire), cell.slot.load(Ordering::Relaxed)))
            .filter(|(handle, its)| *handle != 0 && slot.is_none_or(|slot| *its == slot))
            .map(|(handle, _)| handle)
            .collect()
    }

    /// Held over a fork, so that the child's list of free cells is whole.
    pub fn fork_guard(&self) -> ForkGuard<'_, Free> {
        self.free.write_for_fork()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SlotConfig;

    #[test]
    fn places_fill_the_rows_without_a_gap() {
        let mut next = (0, 0);
        for place in 0..1000 {
            assert_eq!(position(place), next);
            next = if next.1 + 1 == (FIRST_ROW as usize) << next.0 {
                (next.0 + 1, 0)
            } else {
                (next.0, next.1 + 1)
            };
        }
        let most = FIRST_ROW * ((1 << ROWS) - 1);
        assert_eq!(position(most - 1).0, ROWS - 1);
        assert!(most < 1 << PLACE_BITS);
    }

    fn slot(id: u64) -> &'static Slot {
        let config = SlotConfig { id, ..SlotConfig::for_test(std::path::Path::new("/nowhere")) };
        Box::leak(Box::new(Slot::new(config)))
    }

    #[test]
    fn no_handle_comes_twice_and_closed_ones_are_invalid() {
        let (table, slots) = (Table::new(), [slot(0), slot(1)]);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let open: Vec<u64> = (0..100).map(|n| table.insert(slots[n % 2], true, 0).unwrap()).collect();
            assert!(open.iter().all(|handle| seen.insert(*handle)));
            assert_eq!(table.handles(None).len(), 100);
            assert_eq!(table.handles(Some(1)).len(), 50);
            assert!(open.iter().all(|handle| table.lock(*handle, 0).is_ok()));
            assert!(open.iter().all(|handle| table.remove(*handle, 0).is_ok()));
            assert!(seen.iter().all(|handle| table.lock(*handle, 0).is_err()));
        }
        assert!(table.lock(0, 0).is_err() && table.lock(u64::MAX, 0).is_err());
    }

    #[test]
    fn a_session_held_over_a_fork_fails_and_does_not_hang() {
        let table = Table::new();
        let handle = table.insert(slot(0), true, 0).unwrap();
        let _held = table.lock(handle, 0).unwrap();
        // What the child of a fork sees: one generation on.
        let child =
            || (table.lock(handle, 1).err(), table.remove(handle, 1).is_ok(), table.handles(None).len());
        let seen = std::thread::scope(|scope| scope.spawn(child).join().unwrap());
        assert_eq!(seen, (Some(Error::FunctionFailed), true, 0));
    }

    #[test]
    fn a_free_cell_held_over_a_fork_is_passed_over() {
        let table = Table::new();
        let handle = table.insert(slot(0), true, 0).unwrap();
        table.remove(handle, 0).unwrap();
        let _held = table.of_handle(handle).unwrap().state.lock();
        let child = || table.insert(slot(0), true, 1).map(|handle| table.is_open(handle));
        assert_eq!(std::thread::scope(|scope| scope.spawn(child).join().unwrap()), Ok(true));
        assert!(!table.is_open(handle) && !table.is_open(0));
    }
}
