//! Agencies, registers and records as JSON and CSV; as pages for people in `pages.rs`.
//!
//! ```text
//! {"tree_size":42,"items":[{"index":7,"leaf_hash":"...","kind":"record","statement":{...}}],"next":"from=8"}
//! ```
//!
//! `statement` is the second line of the statement as it is in the leaf. The receipt of an item is at
//! `/entry/<index>`, with `Accept: text/plain`.

use std::collections::BTreeSet;
use std::sync::Arc;

use daemon::problem::Problem;
use http::{HeaderMap, header};
use record::ids::{AgencyId, RegisterId};
use record::json::Value as Json;
use record::registry::{AgencyState, Grant, KeyState};
use record::statement::{Body, EntryRef};
use serde_json::{Value, json};

use super::pages::Language;
use super::query::{Item, Page, Query, View};
use super::route::{RecordsRoute, RegisterView};
use crate::csv::row;
use crate::http::answer::{Answer, Caching, answer, json as json_answer, prefers};
use crate::http::{App, Outcome, error};
use crate::records::marks;

const CSV: &str = "text/csv; charset=utf-8";

/// How a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For programs: the default.
    Json,
    /// For spreadsheets.
    Csv,
    /// For people, in this language.
    Html(Language),
}

impl Form {
    fn of(headers: &HeaderMap) -> Self {
        if prefers(headers, "text/html") {
            Self::Html(Language::of(headers))
        } else if prefers(headers, "text/csv") {
            Self::Csv
        } else {
            Self::Json
        }
    }
}

impl App {
    pub(super) async fn read(
        self: Arc<Self>,
        route: RecordsRoute,
        query: Option<String>,
        headers: &HeaderMap,
    ) -> Outcome {
        let form = Form::of(headers);
        let query = Query::parse(query.as_deref().unwrap_or(""))?;
        let mut answer = self.on_disk(move |app| app.read_now(&route, query, form)).await?;
        let vary = http::HeaderValue::from_static("Accept, Accept-Language");
        answer.headers_mut().insert(header::VARY, vary);
        Ok(answer)
    }

    fn read_now(&self, route: &RecordsRoute, query: Query, form: Form) -> Outcome {
        let view = self.view(query)?;
        match route {
            RecordsRoute::Agencies => Ok(agencies(self, &view, form)),
            RecordsRoute::Agency(id) => agency(self, &view, id, query, form),
            RecordsRoute::Register(agency, register, what) => {
                if view.registry.register(agency, register).is_none() {
                    return Err(no_register(&view, agency, register));
                }
                register_view(self, &view, (agency, register, what), query, form)
            }
            _ => Err(error::internal()),
        }
    }
}

fn no_register(view: &View<'_>, agency: &AgencyId, register: &RegisterId) -> Problem {
    error::not_there(format!(
        "The agency {agency} has no register {register} in the first {} entries; see /agencies.",
        view.size
    ))
}

fn entry_ref(entry: EntryRef) -> Value {
    json!({ "index": entry.index.get(), "leaf_hash": entry.leaf.to_string() })
}

fn agency_json(id: &AgencyId, state: &AgencyState) -> Value {
    json!({
        "agency": id.as_str(),
        "title": state.title.as_str(),
        "quorum": state.quorum,
        "since": entry_ref(state.since),
        "latest": entry_ref(state.latest),
    })
}

/// What a key may do, in one word.
pub(super) fn grant(grant: &Grant) -> &'static str {
    match grant {
        Grant::Officer => "officer",
        Grant::Publisher => "publisher",
        Grant::Recovery => "recovery",
        Grant::Delegate { .. } => "delegate",
    }
}

fn key_json(state: &KeyState) -> Value {
    json!({
        "key": state.key.to_string(),
        "grant": grant(&state.grant),
        "since": state.since.get(),
        "until": state.end.map(|end| end.index().get()),
    })
}

fn agencies(app: &App, view: &View<'_>, form: Form) -> Answer {
    match form {
        Form::Html(language) => app.agencies_page(view, language),
        Form::Csv => {
            let mut out = row(&["agency", "title", "quorum", "since", "latest"]);
            for (id, state) in view.registry.agencies() {
                let (since, latest) = (state.since.index.to_string(), state.latest.index.to_string());
                let quorum = state.quorum.to_string();
                out.push_str(&row(&[id.as_str(), state.title.as_str(), &quorum, &since, &latest]));
            }
            answer(CSV, Caching::Never, out)
        }
        Form::Json => {
            let agencies: Vec<Value> =
                view.registry.agencies().map(|(id, state)| agency_json(id, state)).collect();
            let registrar = view.registry.registrar().map(AgencyId::as_str);
            let body = json!({ "tree_size": view.size.get(), "registrar": registrar, "agencies": agencies });
            json_answer(Caching::Never, &body)
        }
    }
}

fn agency(app: &App, view: &View<'_>, id: &AgencyId, query: Query, form: Form) -> Outcome {
    let none = || error::not_there(format!("The log has no agency {id} in its first {} entries.", view.size));
    let state = view.registry.agency(id).ok_or_else(none)?;
    let page = view.page(&marks::agency(id.as_str()), query)?;
    Ok(match form {
        Form::Html(language) => app.agency_page(view, id, state, &page, language),
        Form::Csv => answer(CSV, Caching::Never, csv(&page.items)),
        Form::Json => {
            let mut body = agency_json(id, state);
            body["tree_size"] = view.size.get().into();
            body["keys"] = view.registry.keys_of(id).map(key_json).collect();
            body["registers"] = state
                .registers()
                .map(|(register, state)| {
                    let title = state.definition.title.as_str();
                    json!({ "register": register.as_str(), "title": title, "latest": entry_ref(state.latest) })
                })
                .collect();
            with_page(&mut body, &page);
            json_answer(Caching::Never, &body)
        }
    })
}

fn register_view(
    app: &App,
    view: &View<'_>,
    (agency, register, what): (&AgencyId, &RegisterId, &RegisterView),
    query: Query,
    form: Form,
) -> Outcome {
    let list = marks::register(agency.as_str(), register.as_str());
    let page = match what {
        RegisterView::Register => return register_itself(app, view, (agency, register), query, form),
        RegisterView::Entries => view.page(&list, query)?,
        RegisterView::Records => view.records(agency, register, query)?,
        RegisterView::Record(key) => Page { items: vec![view.record(agency, register, key)?], next: None },
        RegisterView::History(key) => {
            let latest = view.record(agency, register, key)?;
            let chain = record::registry::Chain::of(latest.statement.body());
            view.page(&marks::chain(&chain), query)?
        }
    };
    Ok(match (form, what) {
        (Form::Csv, _) => answer(CSV, Caching::Never, csv(&page.items)),
        (Form::Json, RegisterView::Record(_)) => {
            let mut body = page.items.first().map(item_json).unwrap_or_default();
            body["tree_size"] = view.size.get().into();
            json_answer(Caching::Never, &body)
        }
        (Form::Json, _) => {
            let mut body = json!({ "tree_size": view.size.get() });
            with_page(&mut body, &page);
            json_answer(Caching::Never, &body)
        }
        (Form::Html(language), _) => app.list_page(view, (agency, register, what), &page, language)?,
    })
}

fn register_itself(
    app: &App,
    view: &View<'_>,
    (agency, register): (&AgencyId, &RegisterId),
    query: Query,
    form: Form,
) -> Outcome {
    let none = || no_register(view, agency, register);
    let state = view.registry.register(agency, register).ok_or_else(none)?;
    if let Form::Html(language) = form {
        let page = view.records(agency, register, query)?;
        return Ok(app.register_page(view, state, &page, language));
    }
    let definition = view.item(state.latest.index)?;
    if form == Form::Csv {
        return Ok(answer(CSV, Caching::Never, csv(&[definition])));
    }
    let mut body = item_json(&definition);
    body["tree_size"] = view.size.get().into();
    body["since"] = entry_ref(state.since);
    body["entries"] = view.length(&marks::register(agency.as_str(), register.as_str()))?.into();
    body["records"] = view.length(&marks::keys(agency.as_str(), register.as_str()))?.into();
    Ok(json_answer(Caching::Never, &body))
}

fn item_json(item: &Item) -> Value {
    let body = item.statement.body();
    json!({
        "index": item.index.get(),
        "leaf_hash": item.statement.leaf_hash().to_string(),
        "kind": body.kind().as_str(),
        "statement": body.to_object(),
    })
}

fn with_page(body: &mut Value, page: &Page) {
    body["items"] = page.items.iter().map(item_json).collect();
    body["next"] = page.next.clone().into();
}

/// Columns that every statement has, then the public fields of the page's records by name.
fn csv(items: &[Item]) -> String {
    let public = |item: &Item| match item.statement.body() {
        Body::Record(record) => record.content.clone().map(|content| content.public),
        _ => None,
    };
    let names: BTreeSet<String> = items
        .iter()
        .filter_map(public)
        .flat_map(|public| public.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
        .collect();
    let fixed = ["index", "leaf_hash", "kind", "agency", "register", "key", "at", "action", "title"];
    let mut heads: Vec<String> = fixed.iter().map(|&name| name.to_owned()).collect();
    heads.extend(names.iter().map(|name| format!("public.{name}")));
    let mut out = row(&heads);
    for item in items {
        let body = item.statement.body();
        let object = body.to_object();
        let text = |name: &str| object.get(name).and_then(Json::as_text).unwrap_or_default().to_owned();
        let mut cells = vec![
            item.index.to_string(),
            item.statement.leaf_hash().to_string(),
            body.kind().as_str().to_owned(),
            body.agency().to_string(),
        ];
        cells.extend(["register", "key", "at", "action", "title"].map(text));
        let public = public(item).unwrap_or_default();
        cells.extend(names.iter().map(|name| match public.get(name) {
            Some(Json::Text(text)) => text.clone(),
            Some(value) => value.to_text(),
            None => String::new(),
        }));
        out.push_str(&row(&cells));
    }
    out
}
