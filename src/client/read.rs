//! What a log says of its agencies, registers and records. Its word only: see [`super::receipt`] for what can be
//! believed.

use record::ids::{AgencyId, RecordKey, RegisterId};
use record::json::Value as Json;
use record::registry::Chain;
use record::statement::{Body, EntryRef, Kind, Register};
use record::time::UtcTime;
use serde_json::Value;
use tlog::hash::Hash;
use tlog::ids::LeafIndex;
use tlog::vkey::VerifierKey;

use super::{Client, ClientError};
use crate::http::records::route::encode;

/// A statement as the log shows it in a list.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its place and leaf hash.
    pub entry: EntryRef,
    /// What it says.
    pub body: Body,
}

/// A key of an agency.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// The key.
    pub key: VerifierKey,
    /// `officer`, `publisher`, `recovery` or `delegate`.
    pub grant: String,
    /// The entry that brought it in.
    pub since: u64,
    /// The entry that ended it.
    pub until: Option<u64>,
}

impl KeyFacts {
    /// Whether it is a live officer's.
    #[must_use]
    pub fn is_officer(&self) -> bool {
        self.grant == "officer" && self.until.is_none()
    }
}

/// An agency.
#[derive(Clone, Debug)]
pub struct AgencyFacts {
    /// Which.
    pub agency: AgencyId,
    /// Its name for people.
    pub title: String,
    /// How many officers must sign.
    pub quorum: u8,
    /// The latest statement about its keys.
    pub latest: EntryRef,
    /// All keys that it ever had.
    pub keys: Vec<KeyFacts>,
    /// Its registers.
    pub registers: Vec<String>,
}

/// A register.
#[derive(Clone, Debug)]
pub struct RegisterFacts {
    /// Its definition.
    pub definition: Register,
    /// The statement that says so.
    pub latest: EntryRef,
    /// Statements about it and its records.
    pub entries: u64,
    /// Records in it.
    pub records: u64,
}

impl Client {
    /// Who enrols agencies.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn registrar(&self) -> Result<AgencyId, ClientError> {
        let document = self.get_json("agencies")?.ok_or_else(|| self.odd("agencies", "404"))?;
        let registrar = document["registrar"].as_str().and_then(|text| text.parse().ok());
        registrar.ok_or_else(|| self.odd("agencies", "no registrar"))
    }

    /// An agency; none if it is not enrolled.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn agency(&self, agency: &AgencyId) -> Result<Option<AgencyFacts>, ClientError> {
        let path = format!("agencies/{agency}");
        let Some(document) = self.get_json(&path)? else { return Ok(None) };
        let (keys, registers) = (self.whole(&document, "keys")?, self.whole(&document, "registers")?);
        let facts = || {
            Some(AgencyFacts {
                agency: agency.clone(),
                title: document["title"].as_str()?.to_owned(),
                quorum: u8::try_from(document["quorum"].as_u64()?).ok()?,
                latest: entry_ref(&document["latest"])?,
                keys: keys.iter().map(key_facts).collect::<Option<_>>()?,
                registers: registers
                    .iter()
                    .filter_map(|one| Some(one["register"].as_str()?.to_owned()))
                    .collect(),
            })
        };
        facts().map(Some).ok_or_else(|| self.odd(&path, "no description of an agency"))
    }

    /// A list that an agency's document begins, and that goes on elsewhere.
    fn whole(&self, document: &Value, name: &str) -> Result<Vec<Value>, ClientError> {
        let list = |document: &Value| document[name].as_array().cloned().unwrap_or_default();
        let mut all = list(document);
        let mut next = document[format!("{name}_next")].as_str().map(str::to_owned);
        while let Some(page) = next {
            let path = page.trim_start_matches('/');
            let base = path.split('?').next().unwrap_or_default();
            let more = self.get_json(path)?.ok_or_else(|| self.odd(base, "404"))?;
            let found = list(&more);
            if found.is_empty() {
                return Err(self.odd(base, "a list that goes on with nothing"));
            }
            all.extend(found);
            next = more["next"].as_str().map(|query| format!("{base}?{query}"));
        }
        Ok(all)
    }

    /// A register; none if it is not open.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn register(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
    ) -> Result<Option<RegisterFacts>, ClientError> {
        let path = format!("registers/{agency}/{register}");
        let Some(document) = self.get_json(&path)? else { return Ok(None) };
        let facts = || {
            let Item { entry, body } = item(&document)?;
            let Body::Register(definition) = body else { return None };
            let (entries, records) = (document["entries"].as_u64()?, document["records"].as_u64()?);
            Some(RegisterFacts { definition, latest: entry, entries, records })
        };
        facts().map(Some).ok_or_else(|| self.odd(&path, "no description of a register"))
    }

    /// The latest entry of a chain; none where there is none.
    ///
    /// Cost: one request; for tombstones and disputes the pages of the list that they stand in.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn latest(&self, chain: &Chain) -> Result<Option<Item>, ClientError> {
        match chain {
            Chain::Agency(agency) => self.last_of(&format!("agencies/{agency}?before={ALL}"), |body| {
                matches!(body, Body::Agency(_) | Body::Genesis(_))
            }),
            Chain::Register(agency, register) => self.item_at(&format!("registers/{agency}/{register}")),
            Chain::Record(agency, register, key) => {
                self.item_at(&format!("registers/{agency}/{register}/records/{}", encode(key.as_str())))
            }
            // Tombstones of an entry stand in the list of its register, which a leaf hash does not name.
            Chain::Tombstones(leaf) => self.latest_tombstone(leaf),
            Chain::Disputes(agency) => self
                .last_of(&format!("agencies/{agency}?before={ALL}"), |body| matches!(body, Body::Dispute(_))),
        }
    }

    /// The latest versions of records of a register, several at a time, in order.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn latest_records(
        &self,
        agency: &AgencyId,
        register: &RegisterId,
        keys: &[&RecordKey],
    ) -> Result<Vec<Option<Item>>, ClientError> {
        let path =
            |key: &&RecordKey| format!("registers/{agency}/{register}/records/{}", encode(key.as_str()));
        let paths: Vec<String> = keys.iter().map(path).collect();
        let found = self.get_all(&paths)?.into_iter().zip(&paths);
        let read = |(document, path): (Option<Value>, &String)| match document {
            None => Ok(None),
            Some(document) => item(&document).map(Some).ok_or_else(|| self.odd(path, "no statement")),
        };
        found.map(read).collect()
    }

    fn latest_tombstone(&self, leaf: &Hash) -> Result<Option<Item>, ClientError> {
        let Some(entered) = self.entry_by_hash(leaf)? else { return Ok(None) };
        let statement = record::statement::Statement::parse(&entered.bytes);
        let Ok(Body::Record(record)) = statement.map(|statement| statement.body().clone()) else {
            return Ok(None);
        };
        let list = format!("registers/{}/{}/entries?before={ALL}", record.agency, record.register);
        self.last_of(
            &list,
            |body| matches!(body, Body::Tombstone(tombstone) if tombstone.entry.leaf == *leaf),
        )
    }

    fn item_at(&self, path: &str) -> Result<Option<Item>, ClientError> {
        let Some(document) = self.get_json(path)? else { return Ok(None) };
        item(&document).map(Some).ok_or_else(|| self.odd(path, "no statement"))
    }

    /// The first item of a list that is wanted, going from page to page.
    fn last_of(&self, list: &str, wanted: impl Fn(&Body) -> bool) -> Result<Option<Item>, ClientError> {
        let path = list.split('?').next().unwrap_or_default().to_owned();
        let mut page = list.to_owned();
        loop {
            let Some(document) = self.get_json(&page)? else { return Ok(None) };
            let items = self.items_of(&path, &document)?;
            if let Some(found) = items.into_iter().find(|item| wanted(&item.body)) {
                return Ok(Some(found));
            }
            match document["next"].as_str() {
                Some(next) => page = format!("{path}?{next}"),
                None => return Ok(None),
            }
        }
    }

    /// Every item of a list, such as `registers/<agency>/<register>/records/<key>/history`, oldest first; none if the
    /// list is not there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn items(&self, path: &str) -> Result<Option<Vec<Item>>, ClientError> {
        let mut all = Vec::new();
        let mut page = path.to_owned();
        loop {
            let Some(document) = self.get_json(&page)? else { return Ok(None) };
            all.extend(self.items_of(path, &document)?);
            match document["next"].as_str() {
                Some(next) => page = format!("{path}?{next}"),
                None => return Ok(Some(all)),
            }
        }
    }

    fn items_of(&self, path: &str, document: &Value) -> Result<Vec<Item>, ClientError> {
        let items = document["items"].as_array().map(|items| items.iter().map(item).collect());
        items.flatten().ok_or_else(|| self.odd(path, "a list that is none"))
    }
}

/// Past every index: lists are read from their end.
const ALL: u64 = (1 << 53) - 1;

fn entry_ref(value: &Value) -> Option<EntryRef> {
    let index = LeafIndex::new(value["index"].as_u64()?).ok()?;
    Some(EntryRef { index, leaf: value["leaf_hash"].as_str()?.parse().ok()? })
}

fn key_facts(value: &Value) -> Option<KeyFacts> {
    Some(KeyFacts {
        key: value["key"].as_str()?.parse().ok()?,
        grant: value["grant"].as_str()?.to_owned(),
        since: value["since"].as_u64()?,
        until: value["until"].as_u64(),
    })
}

fn item(value: &Value) -> Option<Item> {
    let word = value["kind"].as_str()?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == word)?;
    let json = Json::from_serde(&value["statement"]).ok()?;
    let body = Body::parse_text(&format!("daybook/{}/v1\n{}\n", kind.as_str(), json.to_text())).ok()?;
    Some(Item { entry: entry_ref(value)?, body })
}

/// The time now, as statements write it.
///
/// # Panics
/// If the clock is outside the years 0001 to 9999.
#[must_use]
pub fn now(clock: &dyn daemon::clock::Clock) -> UtcTime {
    let seconds = i64::try_from(clock.unix_millis() / 1000).unwrap_or(i64::MAX);
    UtcTime::from_unix_seconds(seconds).expect("the clock is within ten thousand years")
}
