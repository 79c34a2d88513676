//! One listener for programs and for people: what is no path of the machine service is a page.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use serde::Deserialize;

use super::Pages;
use crate::service::{HttpService, is_mine};

/// `[web]` in `monitor.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// The address under which readers reach this monitor; feeds and alerts link to it.
    pub public_url: Option<String>,
}

impl WebConfig {
    /// Without a slash at its end; the listener's where none is set.
    #[must_use]
    pub fn address(&self, listen: SocketAddr, tls: bool) -> String {
        let own = || format!("{}://{listen}", if tls { "https" } else { "http" });
        self.public_url.as_ref().map_or_else(own, |url| url.trim_end_matches('/').to_owned())
    }
}

/// Both services.
#[derive(Clone, Debug)]
pub struct Front {
    machines: HttpService,
    pages: Pages,
}

impl Front {
    /// Both.
    #[must_use]
    pub fn new(machines: HttpService, pages: Pages) -> Self {
        Self { machines, pages }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if is_mine(request.uri().path()) {
            let answer = self.machines.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Body::new)) });
        }
        Box::pin(self.pages.call(request))
    }
}
