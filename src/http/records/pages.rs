//! Pages for people: agencies, their keys and registers, registers and lists of entries. Records and their histories are in
//! [`super::record_pages`].

use daemon::html::escape;
use daemon::problem::Problem;
use record::ids::{AgencyId, RegisterId};
use record::registry::{AgencyState, KeyState, RegisterState};
use record::statement::{Body, Record};

use super::query::{Entry, Page, View};
use super::read::{Agencies, Keys, Registers};
use super::record_pages::record_title;
use super::route::{RegisterView, encode};
use crate::http::answer::{Answer, Caching};
use crate::http::html::{entry_link, link, own, page as whole_page, table};
use crate::http::texts::{Language, Texts};
use crate::http::{App, Outcome};

/// What lists of entries are made of.
type Rows = Result<Vec<Vec<String>>, Problem>;

fn agency_path(agency: &AgencyId) -> String {
    format!("/agencies/{agency}")
}

pub(super) fn register_path(agency: &AgencyId, register: &RegisterId) -> String {
    format!("/registers/{agency}/{register}")
}

pub(super) fn record_path(record: &Record) -> String {
    let key = encode(record.key.as_str());
    format!("{}/records/{key}", register_path(&record.agency, &record.register))
}

/// A link to the following page, which has the same path if none is given.
fn more(path: &str, next: Option<&str>, texts: &Texts) -> String {
    next.map(|next| format!("<p><a href=\"{path}?{}\">{}</a></p>\n", escape(next), texts.more))
        .unwrap_or_default()
}

fn entry_row(entry: &Entry, texts: &Texts) -> Result<Vec<String>, Problem> {
    let item = entry.item()?;
    let body = item.statement.body();
    let about = match body {
        Body::Record(record) => link(&record_path(record), record.key.as_str()),
        Body::Tombstone(tombstone) => own(tombstone.key.as_str()),
        Body::Register(register) => {
            link(&register_path(&register.agency, &register.register), register.title.as_str())
        }
        other => own(other.agency().as_str()),
    };
    Ok(vec![
        entry_link(entry.index),
        texts.kind_of(body.kind()).to_owned(),
        about,
        body.at().to_string(),
        format!("<code>{}</code>", entry.leaf),
    ])
}

fn entry_rows(page: &Page, texts: &Texts) -> Rows {
    page.entries.iter().map(|entry| entry_row(entry, texts)).collect()
}

fn record_rows(page: &Page, texts: &Texts) -> Rows {
    let mut rows = Vec::new();
    for entry in &page.entries {
        let item = entry.item()?;
        let Body::Record(record) = item.statement.body() else { continue };
        let title = match &record.content {
            None => texts.withdrawn.to_owned(),
            Some(content) => content.title.as_ref().map(|title| own(title.as_str())).unwrap_or_default(),
        };
        let key = link(&record_path(record), record.key.as_str());
        rows.push(vec![key, title, record.at.to_string(), entry_link(entry.index)]);
    }
    Ok(rows)
}

fn records_table(page: &Page, texts: &Texts) -> Result<String, Problem> {
    Ok(table(&[texts.key, texts.title, texts.at, texts.index], &record_rows(page, texts)?, texts))
}

fn keys_table(keys: &Keys<'_>, texts: &Texts) -> String {
    let row = |state: &&KeyState| {
        vec![
            format!("<code>{}</code>", escape(&state.key.to_string())),
            texts.grant(&state.grant).to_owned(),
            entry_link(state.since),
            state.end.map(|end| entry_link(end.index())).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = keys.all.iter().map(row).collect();
    table(&[texts.keys, texts.may, texts.since, texts.until], &rows, texts)
}

fn registers_table(agency: &AgencyId, registers: &Registers<'_>, texts: &Texts) -> String {
    let row = |(register, state): &(&RegisterId, &RegisterState)| {
        let title = own(state.definition.title.as_str());
        vec![link(&register_path(agency, register), register.as_str()), title]
    };
    let rows: Vec<Vec<String>> = registers.all.iter().map(row).collect();
    table(&[texts.register, texts.title], &rows, texts)
}

impl App {
    pub(super) fn html(&self, view: &View<'_>, title: &str, body: &str, language: Language) -> Answer {
        let texts = language.texts();
        let body = format!(
            "<nav><a href=\"/\">{}</a> · <a href=\"/agencies\">{}</a></nav>\n<h1>{}</h1>\n{body}\
             <footer><p>{}: {}. {}</p></footer>\n",
            own(self.log.signer.origin().as_str()),
            texts.agencies,
            own(title),
            texts.tree_size,
            view.size,
            texts.not_evidence,
        );
        whole_page(Caching::Never, texts, title, &body)
    }

    pub(super) fn agencies_page(
        &self,
        view: &View<'_>,
        agencies: &Agencies<'_>,
        language: Language,
    ) -> Answer {
        let texts = language.texts();
        let row = |(id, state): &(&AgencyId, &AgencyState)| {
            let title = own(state.title.as_str());
            vec![link(&agency_path(id), id.as_str()), title, entry_link(state.since.index)]
        };
        let rows: Vec<Vec<String>> = agencies.all.iter().map(row).collect();
        let mut body = table(&[texts.agency, texts.title, texts.since], &rows, texts);
        body.push_str(&more("", agencies.next.as_deref(), texts));
        self.html(view, texts.agencies, &body, language)
    }

    pub(super) fn agency_page(
        &self,
        view: &View<'_>,
        (id, state): (&AgencyId, &AgencyState),
        (keys, registers): (&Keys<'_>, &Registers<'_>),
        page: &Page,
        language: Language,
    ) -> Outcome {
        let texts = language.texts();
        let path = agency_path(id);
        let heads = [texts.index, texts.kind, texts.title, texts.at, texts.leaf_hash];
        let body = format!(
            "<p>{}</p>\n<p>{}: {}</p>\n<h2>{}</h2>\n{}{}<h2>{}</h2>\n{}{}<h2>{}</h2>\n{}{}",
            own(id.as_str()),
            texts.quorum,
            state.quorum,
            texts.registers,
            registers_table(id, registers, texts),
            more(&format!("{path}/registers"), registers.next.as_deref(), texts),
            texts.keys,
            keys_table(keys, texts),
            more(&format!("{path}/keys"), keys.next.as_deref(), texts),
            texts.entries,
            table(&heads, &entry_rows(page, texts)?, texts),
            more("", page.next().as_deref(), texts),
        );
        Ok(self.html(view, state.title.as_str(), &body, language))
    }

    pub(super) fn keys_page(
        &self,
        view: &View<'_>,
        (id, state): (&AgencyId, &AgencyState),
        keys: &Keys<'_>,
        language: Language,
    ) -> Answer {
        let texts = language.texts();
        let agency = link(&agency_path(id), state.title.as_str());
        let table = keys_table(keys, texts);
        let body = format!("<p>{agency}</p>\n{table}{}", more("", keys.next.as_deref(), texts));
        self.html(view, texts.keys, &body, language)
    }

    pub(super) fn registers_page(
        &self,
        view: &View<'_>,
        (id, state): (&AgencyId, &AgencyState),
        registers: &Registers<'_>,
        language: Language,
    ) -> Answer {
        let texts = language.texts();
        let agency = link(&agency_path(id), state.title.as_str());
        let table = registers_table(id, registers, texts);
        let body = format!("<p>{agency}</p>\n{table}{}", more("", registers.next.as_deref(), texts));
        self.html(view, texts.registers, &body, language)
    }

    pub(super) fn register_page(
        &self,
        view: &View<'_>,
        state: &RegisterState,
        page: &Page,
        language: Language,
    ) -> Outcome {
        let texts = language.texts();
        let definition = &state.definition;
        let path = register_path(&definition.agency, &definition.register);
        let body = format!(
            "<dl><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd></dl>\n\
             <p><a href=\"{path}/entries\">{}</a></p>\n<h2>{}</h2>\n{}{}",
            texts.agency,
            link(&agency_path(&definition.agency), definition.agency.as_str()),
            texts.licence,
            own(definition.licence.as_str()),
            texts.since,
            entry_link(state.since.index),
            texts.entries,
            texts.records,
            records_table(page, texts)?,
            more("", page.next().as_deref(), texts),
        );
        Ok(self.html(view, definition.title.as_str(), &body, language))
    }

    pub(super) fn list_page(
        &self,
        view: &View<'_>,
        (agency, register, what): (&AgencyId, &RegisterId, &RegisterView),
        page: &Page,
        language: Language,
    ) -> Outcome {
        let texts = language.texts();
        let path = register_path(agency, register);
        let (title, listed) = match what {
            RegisterView::History(key) => {
                let (title, line) = record_title(&page.entries, texts.history, key)?;
                (title, format!("{line}{}", self.history_sections(view, agency, page, texts)?))
            }
            RegisterView::Records => (texts.records.to_owned(), records_table(page, texts)?),
            RegisterView::Entries | RegisterView::Register | RegisterView::Record(_) => {
                let heads = [texts.index, texts.kind, texts.key, texts.at, texts.leaf_hash];
                (texts.entries.to_owned(), table(&heads, &entry_rows(page, texts)?, texts))
            }
        };
        let next = more("", page.next().as_deref(), texts);
        let body = format!("<p>{}</p>\n{listed}{next}", link(&path, register.as_str()));
        Ok(self.html(view, &title, &body, language))
    }
}
