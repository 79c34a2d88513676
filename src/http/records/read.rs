//! Agencies, registers and records: which question a path asks, and the answer in the form that is wanted. Pages of entries
//! are written by [`super::forms`], pages for people by [`super::pages`].
//!
//! Agencies, keys and registers are in memory. They are listed in parts, by the index of the entry that brought each in.

use std::sync::Arc;

use daemon::problem::Problem;
use http::{HeaderMap, header};
use record::ids::{AgencyId, RegisterId};
use record::registry::{AgencyState, Chain, Grant, KeyState, RegisterState};
use record::statement::EntryRef;
use serde_json::{Value, json};

use super::forms;
use super::query::{PAGE_BYTES_MAX, PAGE_FOR_PEOPLE_BYTES_MAX, Part, Query, View};
use super::route::{RecordsRoute, RegisterView};
use crate::csv::row;
use crate::http::answer::{Answer, Caching, json as json_answer, prefers};
use crate::http::texts::Language;
use crate::http::{App, Outcome, error};
use crate::records::marks;

/// Keys and registers that an agency's own page shows; the rest is under `/keys` and `/registers`.
const SHOWN_MAX: usize = 1000;

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

    fn page_bytes_max(self) -> usize {
        match self {
            Self::Html(_) => PAGE_FOR_PEOPLE_BYTES_MAX,
            Self::Json | Self::Csv => PAGE_BYTES_MAX,
        }
    }
}

/// Agencies, keys or registers, and where they go on.
pub(super) type Agencies<'a> = Part<(&'a AgencyId, &'a AgencyState)>;
pub(super) type Keys<'a> = Part<&'a KeyState>;
pub(super) type Registers<'a> = Part<(&'a RegisterId, &'a RegisterState)>;

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
        let view = self.view(query)?.with_page_bytes_max(form.page_bytes_max());
        match route {
            RecordsRoute::Agencies => Ok(agencies(self, &view, query, form)),
            RecordsRoute::Agency(id) => agency(self, &view, id, query, form),
            RecordsRoute::AgencyKeys(id) => {
                let state = agency_of(&view, id)?;
                Ok(keys(self, &view, (id, state), query, form))
            }
            RecordsRoute::AgencyRegisters(id) => {
                let state = agency_of(&view, id)?;
                Ok(registers(self, &view, (id, state), query, form))
            }
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

fn agency_of<'a>(view: &'a View<'_>, id: &AgencyId) -> Result<&'a AgencyState, Problem> {
    let none = || error::not_there(format!("The log has no agency {id} in its first {} entries.", view.size));
    view.registry.agency(id).ok_or_else(none)
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
fn grant(grant: &Grant) -> &'static str {
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

fn register_json((register, state): (&RegisterId, &RegisterState)) -> Value {
    let title = state.definition.title.as_str();
    json!({ "register": register.as_str(), "title": title, "latest": entry_ref(state.latest) })
}

fn agencies(app: &App, view: &View<'_>, query: Query, form: Form) -> Answer {
    let part: Agencies<'_> = query.part(view.registry.agencies(), |(_, state)| state.since.index.get());
    match form {
        Form::Html(language) => app.agencies_page(view, &part, language),
        Form::Csv => {
            let mut out = row(&["agency", "title", "quorum", "since", "latest"]);
            for (id, state) in part.all {
                let (since, latest) = (state.since.index.to_string(), state.latest.index.to_string());
                let quorum = state.quorum.to_string();
                out.push_str(&row(&[id.as_str(), state.title.as_str(), &quorum, &since, &latest]));
            }
            forms::table(out, part.next)
        }
        Form::Json => {
            let agencies: Vec<Value> =
                part.all.into_iter().map(|(id, state)| agency_json(id, state)).collect();
            let registrar = view.registry.registrar().map(AgencyId::as_str);
            let body = json!({
                "tree_size": view.size.get(),
                "registrar": registrar,
                "agencies": agencies,
                "next": part.next,
            });
            json_answer(Caching::Never, &body)
        }
    }
}

fn keys_of<'a>(view: &'a View<'_>, id: &AgencyId, query: Query) -> Keys<'a> {
    query.part(view.registry.keys_of(id), |state| state.since.get())
}

fn registers_of(state: &AgencyState, query: Query) -> Registers<'_> {
    query.part(state.registers(), |(_, state)| state.since.index.get())
}

fn keys(
    app: &App,
    view: &View<'_>,
    (id, state): (&AgencyId, &AgencyState),
    query: Query,
    form: Form,
) -> Answer {
    let part = keys_of(view, id, query);
    match form {
        Form::Html(language) => app.keys_page(view, (id, state), &part, language),
        Form::Csv => {
            let mut out = row(&["key", "grant", "since", "until"]);
            for state in part.all {
                let until = state.end.map(|end| end.index().to_string()).unwrap_or_default();
                let since = state.since.to_string();
                out.push_str(&row(&[state.key.to_string().as_str(), grant(&state.grant), &since, &until]));
            }
            forms::table(out, part.next)
        }
        Form::Json => {
            let keys: Vec<Value> = part.all.into_iter().map(key_json).collect();
            let size = view.size.get();
            let body = json!({ "tree_size": size, "agency": id.as_str(), "keys": keys, "next": part.next });
            json_answer(Caching::Never, &body)
        }
    }
}

fn registers(
    app: &App,
    view: &View<'_>,
    (id, state): (&AgencyId, &AgencyState),
    query: Query,
    form: Form,
) -> Answer {
    let part = registers_of(state, query);
    match form {
        Form::Html(language) => app.registers_page(view, (id, state), &part, language),
        Form::Csv => {
            let mut out = row(&["register", "title", "since", "latest"]);
            for (register, state) in part.all {
                let (since, latest) = (state.since.index.to_string(), state.latest.index.to_string());
                out.push_str(&row(&[register.as_str(), state.definition.title.as_str(), &since, &latest]));
            }
            forms::table(out, part.next)
        }
        Form::Json => {
            let registers: Vec<Value> = part.all.into_iter().map(register_json).collect();
            let body = json!({
                "tree_size": view.size.get(),
                "agency": id.as_str(),
                "registers": registers,
                "next": part.next,
            });
            json_answer(Caching::Never, &body)
        }
    }
}

fn agency(app: &App, view: &View<'_>, id: &AgencyId, query: Query, form: Form) -> Outcome {
    let state = agency_of(view, id)?;
    let page = view.page(&marks::agency(id.as_str()), query)?;
    let shown = query.of_the_first(SHOWN_MAX);
    let (keys, registers) = (keys_of(view, id, shown), registers_of(state, shown));
    match form {
        Form::Html(language) => app.agency_page(view, (id, state), (&keys, &registers), &page, language),
        Form::Csv => forms::csv(page),
        Form::Json => {
            let mut body = agency_json(id, state);
            let rest = |next: &Option<String>, what: &str| -> Value {
                next.as_ref().map(|next| format!("/agencies/{id}/{what}?{next}")).into()
            };
            body["tree_size"] = view.size.get().into();
            body["keys_next"] = rest(&keys.next, "keys");
            body["keys"] = keys.all.into_iter().map(key_json).collect();
            body["registers_next"] = rest(&registers.next, "registers");
            body["registers"] = registers.all.into_iter().map(register_json).collect();
            forms::list(&body, &page)
        }
    }
}

fn register_view(
    app: &App,
    view: &View<'_>,
    (agency, register, what): (&AgencyId, &RegisterId, &RegisterView),
    query: Query,
    form: Form,
) -> Outcome {
    let page = match what {
        RegisterView::Register => return register_itself(app, view, (agency, register), query, form),
        RegisterView::Record(key) => {
            let entry = view.record(agency, register, key)?;
            return match form {
                Form::Json => forms::item(&json!({ "tree_size": view.size.get() }), &entry),
                Form::Csv => forms::csv(view.alone(entry)),
                Form::Html(language) => app.record_page(view, (agency, register), &entry, language),
            };
        }
        RegisterView::Entries => view.page(&marks::register(agency.as_str(), register.as_str()), query)?,
        RegisterView::Records => view.records(agency, register, query)?,
        RegisterView::History(key) => {
            // So that a key which never was is told apart from an empty page.
            view.record(agency, register, key)?;
            let chain = Chain::Record(agency.clone(), register.clone(), key.clone());
            view.page(&marks::chain(&chain), query)?
        }
    };
    match form {
        Form::Csv => forms::csv(page),
        Form::Json => forms::list(&json!({ "tree_size": view.size.get() }), &page),
        Form::Html(language) => app.list_page(view, (agency, register, what), &page, language),
    }
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
        return app.register_page(view, state, &page, language);
    }
    let definition = view.entry(state.latest.index)?;
    if form == Form::Csv {
        return forms::csv(view.alone(definition));
    }
    let own = json!({
        "tree_size": view.size.get(),
        "since": entry_ref(state.since),
        "entries": view.length(&marks::register(agency.as_str(), register.as_str()))?,
        "records": view.length(&marks::keys(agency.as_str(), register.as_str()))?,
    });
    forms::item(&own, &definition)
}
