//! Records over HTTP: statements in, and what they add up to out.
//!
//! | Room | Does |
//! |---|---|
//! | `route` | what a path means |
//! | `post`, `batch`, `outcomes`, `receipts` | one statement, or a stream of them and its answer |
//! | `blobs`, `attachments` | public attachments; erasable ones, until they are erased |
//! | `downloads` | how both leave, slowly if need be |
//! | `disclosures` | values outside the tree, until they are erased |
//! | `query`, `read`, `forms` | agencies, registers, records and histories, as JSON and CSV |
//! | `pages`, `record_pages` | the same for people, in two languages |
//! | `problem`, `fault` | from a refusal to a problem document, which names what is at fault |
//!
//! In a log that takes any bytes nothing is at these paths.

mod attachments;
mod batch;
mod blobs;
mod disclosures;
pub(super) mod downloads;
mod fault;
mod forms;
mod outcomes;
mod pages;
mod post;
mod problem;
mod query;
mod read;
pub(super) mod receipts;
mod record_pages;
pub mod route;

use std::sync::Arc;

use daemon::listen::ClientAddress;
use daemon::problem::Problem;
use http::{Method, Request};
use hyper::body::Incoming;

use super::limiter::network;
use super::{App, Outcome, error};
use crate::records::Records;
use attachments::ATTACHMENT_HEADER;
use route::RecordsRoute;

impl App {
    pub(super) async fn records_route(
        self: Arc<Self>,
        route: RecordsRoute,
        request: Request<Incoming>,
    ) -> Outcome {
        self.records()?;
        let reads = *request.method() == Method::GET || *request.method() == Method::HEAD;
        // A stream's statements are counted as they come.
        if !reads && route != RecordsRoute::SubmitBatch {
            self.count_against_network(&request, 1)?;
        }
        match route {
            RecordsRoute::Submit => self.post_record(request).await,
            RecordsRoute::SubmitBatch => self.post_records(request),
            RecordsRoute::Blob(hash) if *request.method() == Method::PUT => {
                match request.headers().contains_key(ATTACHMENT_HEADER) {
                    true => self.put_attachment(hash, request).await,
                    false => self.put_blob(hash, request).await,
                }
            }
            RecordsRoute::Blob(hash) => self.get_blob(hash, request.extensions()).await,
            RecordsRoute::Disclosures(leaf) if *request.method() == Method::PUT => {
                self.put_disclosure(leaf, request).await
            }
            RecordsRoute::Disclosures(leaf) => self.get_disclosures(leaf).await,
            route => {
                let query = request.uri().query().map(str::to_owned);
                self.read(route, query, request.headers()).await
            }
        }
    }

    /// What a log of records has beside every log.
    fn records(&self) -> Result<&Records, Problem> {
        self.log.records.as_ref().ok_or_else(|| {
            error::not_there("This log takes any bytes. It has no agencies, registers or records.")
        })
    }

    fn count_against_network(&self, request: &Request<Incoming>, count: usize) -> Result<(), Problem> {
        let Some(ClientAddress(address)) = request.extensions().get() else { return Ok(()) };
        self.networks.take(network(*address), count).map_err(problem::too_many_from_network)
    }
}
