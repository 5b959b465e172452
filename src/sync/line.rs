//! The connection to a member of etcd, as a guest in somebody else's process: it never raises SIGPIPE, makes
//! no thread, and is closed in forked children, which would keep it open for etcd after their parent's end.

use super::descriptors::Entry;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;

/// A connection. Fields are dropped in this order.
pub struct Line {
    _entry: Entry,
    stream: TcpStream,
}

impl Line {
    async fn to(uri: Uri) -> io::Result<Line> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "no address");
        for address in addresses(&uri)? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Line { _entry: Entry::of(&stream)?, stream });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// By this thread: looking a name up without waiting would take another one.
fn addresses(uri: &Uri) -> io::Result<impl Iterator<Item = SocketAddr>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    (host, uri.port_u16().unwrap_or(443)).to_socket_addrs()
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

/// One buffer at a time: `send` is told not to raise SIGPIPE, `writev`, which takes many, cannot be, and that
/// would end a host in which the signal has its default.
impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Makes lines for tonic.
pub struct Dial;

impl Service<Uri> for Dial {
    type Response = TokioIo<Line>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Line>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move { Line::to(uri).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_numbers_of_either_kind() {
        for (uri, want) in [("https://127.0.0.1:7", "127.0.0.1:7"), ("https://[::1]", "[::1]:443")] {
            let found: Vec<_> = addresses(&uri.parse().unwrap()).unwrap().collect();
            assert_eq!(found, [want.parse().unwrap()]);
        }
        assert!(addresses(&"https://localhost:7".parse().unwrap()).unwrap().next().is_some());
    }
}
