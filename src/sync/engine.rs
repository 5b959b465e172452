//! etcd over gRPC: mutual TLS, the user's token, and the calls that the sync makes. Knows bytes and
//! revisions, nothing of records.

use super::etcd::*;
use super::line::Dial;
use crate::config::ClusterConfig;
use std::path::Path;
use std::time::Duration;
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Streaming};
use tonic_prost::ProstCodec;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long reaching a member of etcd may take, until both ends trust each other.
const CONNECT: Duration = Duration::from_secs(3);
/// The most that a message may have; etcd's own limit of a request is 1.5 MiB.
const LARGEST: usize = 16 << 20;

/// Why the engine did not do something: a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be reached, or has no majority.
    CutOff(String),
    /// It says no, whatever is asked: no right to, no room left.
    Refused(String),
    /// It says no to this request, which is too large or makes no sense.
    Unfit(String),
    /// The answer is more than is taken at once: ask for less.
    TooMuch,
    /// What was asked for is too old: read everything anew.
    Compacted,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::CutOff(why) => write!(f, "etcd cannot be reached: {why}"),
            Fault::Refused(why) | Fault::Unfit(why) => write!(f, "etcd refuses: {why}"),
            Fault::TooMuch => write!(f, "etcd's answer is too long"),
            Fault::Compacted => write!(f, "etcd no longer has the changes since the last look"),
        }
    }
}

pub type Result<T> = std::result::Result<T, Fault>;

fn of_status(status: &tonic::Status) -> Fault {
    let why = || status.message().to_owned();
    match status.code() {
        // etcd's own; the same code is our side's for a message above the limit.
        Code::OutOfRange if status.message().contains("revision") => Fault::Compacted,
        Code::OutOfRange => Fault::TooMuch,
        Code::InvalidArgument => Fault::Unfit(why()),
        Code::PermissionDenied | Code::FailedPrecondition | Code::ResourceExhausted => Fault::Refused(why()),
        _ => Fault::CutOff(format!("{} ({})", status.message(), status.code())),
    }
}

/// A connection to one member of etcd.
pub struct Engine {
    /// Which one.
    pub endpoint: String,
    grpc: Grpc<Channel>,
    token: Option<MetadataValue<Ascii>>,
}

/// A key's new value; `None`: deleted.
pub struct Seen {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub revision: i64,
}

/// What to put where, if nobody changed it since this revision (0: if it is not there).
pub struct Put {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub since: i64,
}

/// The changes of a range, as they come.
pub struct Watch(Streaming<WatchResponse>);

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Fault::Refused(format!("{}: {e}", path.display())))
}

/// The end of the range of all keys that begin with this.
fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

impl Engine {
    /// The first of the configured members that answers.
    pub async fn connect(config: &ClusterConfig) -> Result<Engine> {
        let mut last = Fault::CutOff("no endpoint".into());
        for endpoint in &config.endpoints {
            match Self::connect_to(config, endpoint).await {
                Ok(engine) => return Ok(engine),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn connect_to(config: &ClusterConfig, endpoint: &str) -> Result<Engine> {
        let broken = |e: tonic::transport::Error| Fault::CutOff(format!("{endpoint}: {}", root_of(&e)));
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read(&config.ca)?))
            .identity(Identity::from_pem(read(&config.certificate)?, read(&config.key)?));
        let reached = Endpoint::from_shared(endpoint.to_owned())
            .and_then(|endpoint| endpoint.tls_config(tls))
            .map_err(broken)?
            .connect_timeout(CONNECT);
        // Of its TLS, too: whoever takes the connection and says nothing would hold us for ever.
        let silent = |_| Fault::CutOff(format!("{endpoint}: no answer in {} s", CONNECT.as_secs()));
        let channel = tokio::time::timeout(CONNECT, reached.connect_with_connector(Dial)).await;
        let channel = channel.map_err(silent)?.map_err(broken)?;
        let grpc = Grpc::new(channel).max_decoding_message_size(LARGEST);
        let mut engine = Engine { endpoint: endpoint.to_owned(), grpc, token: None };
        if let Some((name, file)) = &config.user {
            let password = read(file)?;
            let password = String::from_utf8_lossy(&password).trim_end_matches(['\n', '\r']).to_owned();
            let request = AuthenticateRequest { name: name.clone(), password };
            let answer: AuthenticateResponse =
                engine.call("/etcdserverpb.Auth/Authenticate", request).await?;
            let token = answer.token.parse().map_err(|_| Fault::Refused("a token that is none".into()))?;
            engine.token = Some(token);
        }
        // Whether it has a majority, and we may read there.
        engine.get(config.prefix.as_bytes()).await?;
        Ok(engine)
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }

    async fn ready(&mut self) -> Result<()> {
        self.grpc.ready().await.map_err(|e| Fault::CutOff(root_of(&e)))
    }

    async fn call<Q, A>(&mut self, path: &'static str, message: Q) -> Result<A>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let request = self.request(message);
        let work = async {
            self.ready().await?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = self.grpc.unary(request, PathAndQuery::from_static(path), codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| of_status(&status))
        };
        let late = || Fault::CutOff(format!("no answer in {} s", PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| Err(late()))
    }

    /// All keys that begin with `prefix`, in the order of their last changes.
    pub async fn all(&mut self, prefix: &[u8]) -> Result<RangeResponse> {
        let request = RangeRequest {
            key: prefix.to_vec(),
            range_end: end_of(prefix),
            sort_order: ASCENDING,
            sort_target: BY_REVISION,
            ..RangeRequest::default()
        };
        self.call("/etcdserverpb.KV/Range", request).await
    }

    /// Whether there is a key that begins with `prefix`.
    pub async fn has(&mut self, prefix: &[u8]) -> Result<bool> {
        let (key, range_end) = (prefix.to_vec(), end_of(prefix));
        let request = RangeRequest { key, range_end, limit: 1, ..RangeRequest::default() };
        let found: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(!found.kvs.is_empty())
    }

    /// A page of the keys that begin with `prefix`, from `from` on in the order of their names, as they were
    /// at a revision: those changed since another one.
    pub async fn changed(
        &mut self,
        (prefix, from): (&[u8], &[u8]),
        limit: i64,
        since: i64,
        revision: i64,
    ) -> Result<RangeResponse> {
        let request = RangeRequest {
            key: from.to_vec(),
            range_end: end_of(prefix),
            limit,
            revision,
            min_mod_revision: since,
            ..RangeRequest::default()
        };
        self.call("/etcdserverpb.KV/Range", request).await
    }

    /// As `changed`, of at most so many, and of fewer from now on where that is too much for one answer.
    pub async fn page(
        &mut self,
        range: (&[u8], &[u8]),
        limit: &mut i64,
        since: i64,
        revision: i64,
    ) -> Result<RangeResponse> {
        loop {
            match self.changed(range, *limit, since, revision).await {
                Err(Fault::TooMuch) if *limit > 1 => *limit = (*limit / 8).max(1),
                answer => return answer,
            }
        }
    }

    /// One key as it was at a revision.
    pub async fn get_at(&mut self, key: &[u8], revision: i64) -> Result<Option<KeyValue>> {
        let request = RangeRequest { key: key.to_vec(), revision, ..RangeRequest::default() };
        let answer: RangeResponse = self.call("/etcdserverpb.KV/Range", request).await?;
        Ok(answer.kvs.into_iter().next())
    }

    /// One key.
    pub async fn get(&mut self, key: &[u8]) -> Result<Option<KeyValue>> {
        self.get_at(key, 0).await
    }

    /// Whatever is there.
    pub async fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        self.call::<_, Acknowledged>("/etcdserverpb.KV/Put", PutRequest { key, value }).await.map(drop)
    }

    pub async fn delete(&mut self, key: Vec<u8>) -> Result<()> {
        self.call::<_, Acknowledged>("/etcdserverpb.KV/DeleteRange", DeleteRequest { key }).await.map(drop)
    }

    /// Throws away what was there before a revision. [`Fault::Compacted`]: it is gone already.
    pub async fn compact(&mut self, revision: i64) -> Result<()> {
        self.call::<_, Acknowledged>("/etcdserverpb.KV/Compact", CompactionRequest { revision })
            .await
            .map(drop)
    }

    /// All or nothing, if nobody changed any of them meanwhile: the new revision. Else what is there of the
    /// first one.
    pub async fn swap(&mut self, puts: Vec<Put>) -> Result<std::result::Result<i64, Option<KeyValue>>> {
        let first = puts.first().map(|put| put.key.clone()).unwrap_or_default();
        let step = |request| Step { request: Some(request) };
        let compare = |put: &Put| Compare {
            result: 0,
            target: MODIFIED,
            key: put.key.clone(),
            with: Some(CompareWith::ModRevision(put.since)),
        };
        let request = TxnRequest {
            compare: puts.iter().map(compare).collect(),
            success: puts
                .into_iter()
                .map(|Put { key, value, .. }| step(Request::Put(PutRequest { key, value })))
                .collect(),
            failure: vec![step(Request::Range(RangeRequest { key: first, ..RangeRequest::default() }))],
        };
        let answer: TxnResponse = self.call("/etcdserverpb.KV/Txn", request).await?;
        if answer.succeeded {
            return Ok(Ok(answer.header.unwrap_or_default().revision));
        }
        let there = answer.responses.into_iter().find_map(|done| match done.response {
            Some(Response::Range(found)) => found.kvs.into_iter().next(),
            _ => None,
        });
        Ok(Err(there))
    }

    /// What changes below `prefix` from this revision on.
    pub async fn watch(&mut self, prefix: &[u8], from: i64) -> Result<Watch> {
        let create = WatchCreate { key: prefix.to_vec(), range_end: end_of(prefix), start_revision: from };
        let order = WatchRequest { order: Some(WatchOrder::Create(create)) };
        // etcd ends the watch when we end our half of the stream.
        let orders = tokio_stream::iter([order]).chain(tokio_stream::pending());
        let request = self.request(orders);
        self.ready().await?;
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let opened = tokio::time::timeout(PATIENCE, self.grpc.streaming(request, path, codec)).await;
        let opened = opened.map_err(|_| Fault::CutOff("no answer to a watch".into()))?;
        opened.map(|answer| Watch(answer.into_inner())).map_err(|status| of_status(&status))
    }
}

impl Watch {
    /// The next changes, in order.
    pub async fn next(&mut self) -> Result<Vec<Seen>> {
        let message = self.0.message().await.map_err(|status| of_status(&status))?;
        let message = message.ok_or_else(|| Fault::CutOff("the watch ended".into()))?;
        if message.compact_revision > 0 {
            return Err(Fault::Compacted);
        }
        if message.canceled {
            return Err(Fault::CutOff(format!("the watch was ended: {}", message.cancel_reason)));
        }
        let seen = message.events.into_iter().filter_map(|event| {
            let KeyValue { key, mod_revision, value } = event.kv?;
            Some(Seen { key, value: (event.kind != DELETED).then_some(value), revision: mod_revision })
        });
        Ok(seen.collect())
    }
}

/// What lies at the bottom of an error: the upper ones say "transport error".
fn root_of(error: &dyn std::error::Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}
