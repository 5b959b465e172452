//! etcd itself, by the client that the sync uses: what ours is compared with.

use crate::config::ClusterConfig;
use crate::engine::{Engine, Put};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

pub struct Bare {
    runtime: Runtime,
    engine: Engine,
    next: u64,
}

impl Bare {
    pub fn connect(config: &ClusterConfig) -> Bare {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let engine = runtime.block_on(Engine::connect(config)).expect("etcd");
        Bare { runtime, engine, next: 0 }
    }

    /// A name of the length that ours have, at no place that any host looks at.
    fn name(&mut self, length: usize) -> Vec<u8> {
        self.next += 1;
        // In no order, as ours.
        let mixed = self.next.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let name = format!("strongroom/bare/{mixed:016x}/");
        format!("{name:x<length$}").into_bytes()
    }

    /// How long a put of a new key takes.
    pub fn put(&mut self, (name, value): (usize, usize)) -> Duration {
        let key = self.name(name);
        let begun = Instant::now();
        self.runtime.block_on(self.engine.put(key, vec![7; value])).expect("put");
        begun.elapsed()
    }

    /// New keys per second, in transactions as the sync makes them.
    pub fn stream(&mut self, (name, value): (usize, usize), batch: usize, time: Duration) -> f64 {
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < time {
            let put = |key| Put { key, value: vec![7; value], since: 0 };
            let puts = (0..batch).map(|_| put(self.name(name))).collect();
            assert!(self.runtime.block_on(self.engine.swap(puts)).expect("a transaction").is_ok());
            count += batch;
        }
        count as f64 / begun.elapsed().as_secs_f64()
    }

    /// How many keys begin with this.
    pub fn count(&mut self, prefix: &str) -> usize {
        let range = (prefix.as_bytes(), prefix.as_bytes());
        self.runtime.block_on(self.engine.changed(range, 1, 0, 0)).expect("a range").count as usize
    }

    /// The lengths of name and value of the newest key that begins with this.
    pub fn size_of_newest(&mut self, prefix: &str) -> (usize, usize) {
        let found = self.runtime.block_on(self.engine.all(prefix.as_bytes())).expect("a range");
        let newest = found.kvs.last().expect("a key");
        (newest.key.len(), newest.value.len())
    }

    /// The first key that begins with this.
    pub fn first(&mut self, prefix: &str) -> String {
        let found = self.runtime.block_on(self.engine.all(prefix.as_bytes())).expect("a range");
        String::from_utf8(found.kvs.into_iter().next().expect("a key").key).expect("a name")
    }
}
