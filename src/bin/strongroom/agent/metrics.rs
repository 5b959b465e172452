//! The agent's numbers for a monitor: OpenMetrics over HTTP, on a thread of its own, so that they come also
//! while the agent waits for etcd or for the disk.

use crate::output::Failure;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use strongroom::config::ClusterConfig;
use strongroom::store::keeper::{self, Standing};
use strongroom::sync::{Numbers, status};
use strongroom::token::Token;
use tokio::sync::Semaphore;

/// How long a scrape may take, and how many may be under way.
const PATIENCE: Duration = Duration::from_secs(10);
const AT_ONCE: usize = 8;
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(clap::Args)]
pub struct Options {
    /// Serve metrics (OpenMetrics) at http://ADDRESS/metrics [default: `metrics` of the configuration].
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Let that be an address that other machines reach.
    #[arg(long, requires = "metrics")]
    metrics_from_network: bool,
}

/// The loop's numbers, as it gave them last.
#[derive(Clone, Default)]
pub struct Latest(Arc<Mutex<Numbers>>);

impl Latest {
    pub fn set(&self, now: Numbers) {
        *self.0.lock().unwrap_or_else(|held| held.into_inner()) = now;
    }

    fn now(&self) -> Numbers {
        *self.0.lock().unwrap_or_else(|held| held.into_inner())
    }
}

impl Options {
    /// Serves them until the process ends, if an address is given anywhere.
    pub fn serve(
        &self,
        token: &'static Token,
        config: &ClusterConfig,
        numbers: &Latest,
    ) -> Result<(), Failure> {
        let Some(address) = self.metrics.or(config.metrics) else { return Ok(()) };
        if self.metrics.is_some() && !address.ip().is_loopback() && !self.metrics_from_network {
            return Err(Failure::usage(format!("{address} can be reached from other machines.")).next(
                "choose an address of loopback, such as 127.0.0.1:9464, or add --metrics-from-network.",
            ));
        }
        let failed = |error: std::io::Error| {
            Failure::new(format!("Metrics cannot be served on {address}."))
                .because(error)
                .next("choose another address with --metrics, or stop what uses it.")
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let source = Arc::new(Source { token, numbers: numbers.clone() });
        let work = move || runtime.block_on(listen(listener, source));
        std::thread::Builder::new().name("metrics".into()).spawn(work).map(drop).map_err(failed)
    }
}

/// Where the numbers come from.
struct Source {
    token: &'static Token,
    numbers: Latest,
}

async fn listen(listener: TcpListener, source: Arc<Source>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // No more descriptors, for now.
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = source.answer(&request);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            let served = http.serve_connection(TokioIo::new(stream), service);
            // Who left, or was too slow, asks again.
            let _ = tokio::time::timeout(PATIENCE, served).await;
            drop(place);
        });
    }
}

type Answer = Response<Full<Bytes>>;

fn answer(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer
}

impl Source {
    fn answer<B>(&self, request: &Request<B>) -> Answer {
        if request.uri().path() != "/metrics" {
            return answer(StatusCode::NOT_FOUND, "metrics are at /metrics\n".into());
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, String::new());
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match self.text() {
            Ok(text) => {
                let mut shown = answer(StatusCode::OK, text);
                shown.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
                shown
            }
            Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
        }
    }

    fn text(&self) -> Result<String, String> {
        let here = status::measured(self.token).map_err(|error| error.cause().to_owned())?;
        let mut registry = Registry::with_prefix("strongroom");
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        registry.register("build", "What runs here", Info::new(build));
        let numbers = self.numbers.now();
        let cluster = registry.sub_registry_with_prefix("cluster");
        self.gauges(cluster, &numbers, &here);
        counters(cluster, &numbers);
        self.peers(cluster).map_err(|error| error.cause().to_owned())?;
        let mut text = String::new();
        encode(&mut text, &registry).map_err(|error| error.to_string())?;
        Ok(text)
    }

    fn gauges(&self, cluster: &mut Registry, numbers: &Numbers, here: &status::Said) {
        let mut gauge = |name, help, value: i64| cluster.register(name, help, ConstGauge::new(value));
        gauge("connected", "Whether etcd answers and everything it had is here", numbers.connected.into());
        gauge(
            "applied_revision",
            "The revision of etcd up to which this host has everything",
            numbers.applied.max(here.revision),
        );
        gauge("etcd_revision", "The revision of etcd when it last answered", numbers.engine);
        gauge("epoch", "The epoch under whose keys this host writes", here.epoch.into());
        gauge(
            "stale_records",
            "Records that are still to be sealed under this epoch's keys",
            here.stale as i64,
        );
        if let Some(lag) = numbers.lag() {
            gauge("lag_revisions", "Revisions of records that this host does not have yet", lag);
        }
        gauge("outbox_records", "Records that etcd does not have yet", here.pending as i64);
        gauge("records", "Records in this host's file", here.records as i64);
        if numbers.contact > 0 {
            let contact = ConstGauge::new(numbers.contact as i64);
            let help = "When etcd last answered";
            cluster.register_with_unit("last_contact_timestamp", help, Unit::Seconds, contact);
        }
    }

    /// The other hosts, as the loop sees them.
    fn peers(&self, cluster: &mut Registry) -> strongroom::error::Result<()> {
        let labelled = || Family::<[(&'static str, String); 1], Gauge>::default();
        let (in_step, differs, heard) = (labelled(), labelled(), labelled());
        let condition = keeper::condition(self.token.path()).unwrap_or_default();
        for member in self.token.members()? {
            let id = member.id.to_string();
            let Some(seen) = condition.peers.iter().find(|one| one.peer == id) else { continue };
            let peer = [("peer", member.name)];
            in_step.get_or_create(&peer).set((seen.standing == Standing::InStep).into());
            differs.get_or_create(&peer).set((seen.standing == Standing::Differs).into());
            heard.get_or_create(&peer).set(seen.heard as i64);
        }
        cluster.register("peer_in_step", "Whether another host has everything", in_step);
        cluster.register(
            "peer_digest_differs",
            "Whether another host says that it has everything, and holds something else",
            differs,
        );
        let help = "When something new was last heard of another host; 0: never";
        cluster.register_with_unit("peer_heard_timestamp", help, Unit::Seconds, heard);
        Ok(())
    }
}

fn counters(cluster: &mut Registry, numbers: &Numbers) {
    let mut counter = |name, help, value| cluster.register(name, help, ConstCounter::new(value));
    counter("refused_values", "Values in etcd that were not taken", numbers.refused);
    counter("overruled_changes", "Changes made here that gave way to another host's", numbers.overruled);
    counter("sent_records", "Records that etcd has from here", numbers.sent);
    counter("taken_records", "Records of other hosts that are in the file since", numbers.taken);
    counter("disconnections", "How often etcd was lost", numbers.cut_off);
    counter("full_readings", "How often everything was read again", numbers.read_again);
}
