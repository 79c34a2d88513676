//! Metrics in the Prometheus text format, and the admin pages: `/metrics`, `/livez`, `/readyz`.
//!
//! The admin pages belong on a listener of their own, off the public network.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::problem::Problem;

/// Upper bounds of time histograms, in seconds.
const SECONDS_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The metrics of one process.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    registry: Registry,
}

impl Metrics {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A counter.
    ///
    /// # Panics
    /// If the name is taken or malformed, here and below: names are constants.
    #[must_use]
    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        let counter = IntCounter::new(name, help).expect("metric names are constants");
        self.register(counter)
    }

    /// Counters told apart by one label.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn counters(&self, name: &str, help: &str, label: &str) -> IntCounterVec {
        self.counters_by(name, help, &[label])
    }

    /// Counters told apart by several labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn counters_by(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        let counters = IntCounterVec::new(Opts::new(name, help), labels).expect("metric names are constants");
        self.register(counters)
    }

    /// A gauge.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        let gauge = IntGauge::new(name, help).expect("metric names are constants");
        self.register(gauge)
    }

    /// Gauges told apart by labels.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let gauges = IntGaugeVec::new(Opts::new(name, help), labels).expect("metric names are constants");
        self.register(gauges)
    }

    /// A histogram of seconds.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn seconds(&self, name: &str, help: &str) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(SECONDS_BUCKETS.to_vec());
        let histogram = Histogram::with_opts(options).expect("metric names are constants");
        self.register(histogram)
    }

    /// Histograms of seconds told apart by one label.
    ///
    /// # Panics
    /// As [`Metrics::counter`].
    #[must_use]
    pub fn seconds_by(&self, name: &str, help: &str, label: &str) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(SECONDS_BUCKETS.to_vec());
        let histograms = HistogramVec::new(options, &[label]).expect("metric names are constants");
        self.register(histograms)
    }

    fn register<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> C {
        self.registry.register(Box::new(collector.clone())).expect("every metric is registered once");
        collector
    }

    /// The text that Prometheus reads.
    #[must_use]
    pub fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("memory takes every write");
        text
    }
}

/// Says whether the process is ready, and why not.
pub type Readiness = dyn Fn() -> Result<(), String> + Send + Sync;

/// The admin pages.
#[derive(Clone)]
pub struct AdminService {
    metrics: Metrics,
    readiness: Arc<Readiness>,
}

impl AdminService {
    /// Pages for these metrics and this readiness.
    #[must_use]
    pub fn new(metrics: Metrics, readiness: Arc<Readiness>) -> Self {
        Self { metrics, readiness }
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(path, "/metrics" | "/livez" | "/readyz") {
            let detail = "Here are /metrics, /livez and /readyz.";
            return Problem::new(StatusCode::NOT_FOUND, "not-found", "Not found", detail).into_response();
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            let status = StatusCode::METHOD_NOT_ALLOWED;
            return Problem::new(
                status,
                "method-not-allowed",
                "Method not allowed",
                "Use GET: this path is only read.",
            )
            .allow("GET, HEAD")
            .into_response();
        }
        match path {
            "/metrics" => text(self.metrics.render()),
            "/livez" => text(b"alive\n".to_vec()),
            _ => match (self.readiness)() {
                Ok(()) => text(b"ready\n".to_vec()),
                Err(reason) => {
                    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", "Not ready", reason)
                        .into_response()
                }
            },
        }
    }
}

fn text(body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl hyper::service::Service<Request<Incoming>> for AdminService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri().path())))
    }
}
