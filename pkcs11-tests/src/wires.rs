//! TCP connections that can be cut, held in one direction and slowed down: what lies between a host and etcd.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A direction.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// Requests, to etcd.
    There,
    /// Answers, from etcd.
    Back,
}

/// What a host's connections to etcd run through.
pub struct Wires {
    pub ports: Vec<u16>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    cut: AtomicBool,
    held: [AtomicBool; 2],
    delay_ms: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Wires {
    pub fn new(to: &[u16]) -> Wires {
        let mut wires = Wires { ports: Vec::new(), state: Arc::default() };
        for port in to.iter().copied() {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            wires.ports.push(listener.local_addr().expect("its number").port());
            let state = Arc::clone(&wires.state);
            std::thread::spawn(move || {
                for near in listener.incoming().flatten() {
                    if state.cut.load(Ordering::Acquire) {
                        continue;
                    }
                    let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                    state.connect(near, far);
                }
            });
        }
        wires
    }

    /// No word passes any more, and both ends know.
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::Release);
        for end in self.state.open.lock().expect("list").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    /// No word passes in this direction any more, and nobody knows.
    pub fn hold(&self, way: Way) {
        self.state.held[way as usize].store(true, Ordering::Release);
    }

    /// Every word takes so long, in each direction.
    pub fn slow(&self, delay: Duration) {
        self.state.delay_ms.store(delay.as_millis() as u64, Ordering::Release);
    }

    /// All is well again; what was held arrives.
    pub fn mend(&self) {
        self.state.cut.store(false, Ordering::Release);
        self.state.held.iter().for_each(|held| held.store(false, Ordering::Release));
        self.slow(Duration::ZERO);
    }
}

impl State {
    fn connect(self: &Arc<Self>, near: TcpStream, far: TcpStream) {
        let ends = || [&near, &far].map(|end| end.try_clone().expect("socket"));
        self.open.lock().expect("list").extend(ends());
        for way in [Way::There, Way::Back] {
            let [near, far] = ends();
            let (from, to) = if matches!(way, Way::There) { (near, far) } else { (far, near) };
            let (words, arriving) = channel();
            let state = Arc::clone(self);
            std::thread::spawn(move || hear(from, &words));
            std::thread::spawn(move || say(to, &arriving, &state, way));
        }
    }
}

type Word = (Instant, Vec<u8>);

fn hear(mut from: TcpStream, words: &Sender<Word>) {
    let mut bytes = [0; 16384];
    while let Ok(length) = from.read(&mut bytes) {
        if length == 0 || words.send((Instant::now(), bytes[..length].to_vec())).is_err() {
            break;
        }
    }
}

fn say(mut to: TcpStream, words: &Receiver<Word>, state: &State, way: Way) {
    while let Ok((heard, word)) = words.recv() {
        let at = heard + Duration::from_millis(state.delay_ms.load(Ordering::Acquire));
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        while state.held[way as usize].load(Ordering::Acquire) && !state.cut.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if to.write_all(&word).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
