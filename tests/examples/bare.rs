//! A bare hyper server that answers the same bytes from memory to everything: the yardstick for tile reads.
//! Usage: `bare CHECKPOINT-FILE BUNDLE-FILE`. Prints its URL.

use std::convert::Infallible;
use std::io::Write;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut files = std::env::args().skip(1);
    let mut read = || -> anyhow::Result<Bytes> {
        let path = files.next().ok_or_else(|| anyhow::anyhow!("usage: bare CHECKPOINT-FILE BUNDLE-FILE"))?;
        Ok(std::fs::read(path)?.into())
    };
    let (checkpoint, bundle) = (read()?, read()?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (checkpoint, bundle) = (checkpoint.clone(), bundle.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let wanted = if request.uri().path() == "/checkpoint" { &checkpoint } else { &bundle };
            let mut response = Response::new(Full::new(wanted.clone()));
            let kind = HeaderValue::from_static("application/octet-stream");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            async move { Ok::<_, Infallible>(response) }
        });
        tokio::spawn(async move {
            let connection =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that goes away is the end of a measurement.
            let _ = connection.await;
        });
    }
}
