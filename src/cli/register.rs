//! `daybook register`: what a register holds, and what its records must look like.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use record::json::{Number, Object, Value};
use record::statement::{Body, FieldType};

use super::ceremony::{self, Out};
use super::desk::{At, RegisterArg};
use super::failure::Failure;
use super::output::Output;
use super::signers::Signers;
use crate::clerk::{files, json};

#[derive(Debug, Subcommand)]
pub(super) enum RegisterCommand {
    /// Open a register.
    Open(Define),
    /// Define an open register anew.
    Amend(Define),
}

impl RegisterCommand {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Open(define) => define.run(false, output),
            Self::Amend(define) => define.run(true, output),
        }
    }
}

/// A register's definition as a whole: options, a file, or a file with options over it.
#[derive(Args, Debug)]
pub(super) struct Define {
    #[command(flatten)]
    at: At,
    /// The register: AGENCY/REGISTER, such as treasury.gov.example/country.
    register: RegisterArg,
    /// The register's name for people.
    #[arg(long)]
    title: Option<String>,
    /// Under which licence its contents may be used, such as OGL-UK-3.0.
    #[arg(long)]
    licence: Option<String>,
    /// A field: NAME=TYPE, then :public (unless you say otherwise), :sealed or :erasable, and :required; repeat for each.
    /// Types: any, boolean, date, decimal, integer, list, number, object, string, time. Without fields a register
    /// takes any public content.
    #[arg(long = "field", value_name = "NAME=TYPE[:CLASS][:required]")]
    fields: Vec<String>,
    /// Keys are 128 random bits, because anything else could identify a person. Fixed for the register's life.
    #[arg(long)]
    opaque_keys: bool,
    /// How many officers sign each record; 0 leaves it to any one key of the agency.
    #[arg(long, value_name = "N")]
    approvals: Option<u8>,
    /// What every key begins with.
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// The classes of attachments: public, erasable, or both.
    #[arg(long, value_name = "CLASS", value_delimiter = ',')]
    attachments: Vec<String>,
    /// What records name as their schema.
    #[arg(long)]
    schema: Option<String>,
    /// A JSON file with the definition's members, as in docs/spec/record.md, 1.5: title, licence, fields, keys,
    /// approvals, prefix, attachments, schema, calendar.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    #[command(flatten)]
    signers: Signers,
    #[command(flatten)]
    out: Out,
}

/// What a definition file may say; the rest is where and when.
const MEMBERS: [&str; 9] =
    ["approvals", "attachments", "calendar", "fields", "keys", "licence", "prefix", "schema", "title"];

impl Define {
    fn run(self, again: bool, output: &Output) -> Result<(), Failure> {
        let mut members = self.members()?;
        let signers = self.signers.load()?;
        let desk = self.at.open()?;
        let agency = desk.agency(&self.register.agency)?;
        let before = desk.client.register(&agency.agency, &self.register.register);
        let before = before.map_err(ceremony::failed)?;
        match (&before, again) {
            (Some(_), false) => {
                let message =
                    format!("{} is open already; define it anew with: daybook register amend", self.register);
                return Err(Failure::Failed(message));
            }
            (None, true) => {
                let message = format!("{} is not open yet: daybook register open", self.register);
                return Err(Failure::Failed(message));
            }
            _ => {}
        }
        members.insert("agency", agency.agency.as_str());
        members.insert("at", desk.now().to_string());
        members.insert("log", desk.origin.as_str());
        members.insert("register", self.register.register.as_str());
        let previous = before.map_or(Value::Null, |facts| facts.latest.leaf.to_string().into());
        members.insert("previous", previous);
        let text = format!("daybook/register/v1\n{}\n", Value::Object(members).to_text());
        let body = Body::parse_text(&text)
            .map_err(|error| Failure::Malformed(format!("the definition of {}: {error}", self.register)))?;
        let word = if again { "amend" } else { "open" };
        let default = || format!("{}.{}.{word}.txt", self.register.agency, self.register.register).into();
        let file = self.out.out.clone().unwrap_or_else(default);
        let carried = ceremony::begin(&desk.client, &desk.policy, &body, &signers, &file)?;
        output.result(&carried, || carried.text(&format!("The register {}", self.register)));
        Ok(())
    }

    /// The definition's own members.
    fn members(&self) -> Result<Object, Failure> {
        let mut members = match &self.definition {
            Some(file) => read_definition(file)?,
            None => Object::new(),
        };
        let texts = [
            ("title", &self.title),
            ("licence", &self.licence),
            ("prefix", &self.prefix),
            ("schema", &self.schema),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name, text.as_str());
            }
        }
        if self.opaque_keys {
            members.insert("keys", "opaque");
        } else if members.get("keys").is_none() {
            members.insert("keys", "public");
        }
        if self.approvals.is_some() || members.get("approvals").is_none() {
            let approvals = Number::from_i64(self.approvals.unwrap_or(0).into()).expect("a small number");
            members.insert("approvals", Value::Number(approvals));
        }
        if !self.attachments.is_empty() {
            let mut classes = self.attachments.clone();
            classes.sort();
            members.insert("attachments", Value::List(classes.into_iter().map(Value::from).collect()));
        }
        let mut fields = match members.remove("fields") {
            Some(Value::Object(fields)) => fields,
            None => Object::new(),
            Some(_) => return Err(Failure::malformed("the definition's `fields` are no object")),
        };
        for text in &self.fields {
            let (name, rule) = field(text)?;
            fields.insert(name, rule);
        }
        members.insert("fields", fields);
        for (name, option) in [("title", "--title"), ("licence", "--licence")] {
            if members.get(name).is_none() {
                return Err(Failure::Malformed(format!("a register has a {name}: give {option} TEXT")));
            }
        }
        Ok(members)
    }
}

fn read_definition(file: &Path) -> Result<Object, Failure> {
    let malformed = |error: String| Failure::Malformed(format!("{}: {error}", file.display()));
    let bytes = files::read(file).map_err(Failure::failed)?;
    let text = String::from_utf8(bytes).map_err(|_| malformed("is not UTF-8 text".to_owned()))?;
    let name = file.display().to_string();
    let Value::Object(members) = json::read(&name, &text).map_err(Failure::malformed)? else {
        return Err(malformed("is no JSON object with a register's definition".to_owned()));
    };
    let other =
        members.iter().map(|(name, _)| name.to_owned()).find(|name| !MEMBERS.contains(&name.as_str()));
    match other {
        Some(name) => {
            Err(malformed(format!("/{name} is not part of a definition, which has {}", MEMBERS.join(", "))))
        }
        None => Ok(members),
    }
}

/// `salary=decimal:sealed`
fn field(text: &str) -> Result<(String, Object), Failure> {
    let form = || {
        let types: Vec<&str> = FieldType::ALL.iter().map(|kind| kind.as_str()).collect();
        Failure::Malformed(format!(
            "--field {text}: write NAME=TYPE, then :public, :sealed or :erasable, and :required; types are {}",
            types.join(", ")
        ))
    };
    let (name, rule) = text.rsplit_once('=').ok_or_else(form)?;
    let mut words = rule.split(':');
    let kind = words.next().unwrap_or_default();
    if !FieldType::ALL.iter().any(|known| known.as_str() == kind) {
        return Err(form());
    }
    let mut out = Object::new();
    out.insert("type", kind);
    out.insert("class", "public");
    for word in words {
        match word {
            "public" | "sealed" | "erasable" => out.insert("class", word),
            "required" => out.insert("required", true),
            _ => return Err(form()),
        };
    }
    Ok((name.to_owned(), out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_written_in_a_word() {
        let rule = |text: &str| field(text).map(|(name, rule)| (name, Value::Object(rule).to_text()));
        let (name, text) = rule("salary=decimal:sealed").unwrap();
        assert_eq!((name.as_str(), text.as_str()), ("salary", r#"{"class":"sealed","type":"decimal"}"#));
        let (name, text) = rule("a=b=string:required").unwrap();
        assert_eq!(name, "a=b");
        assert_eq!(text, r#"{"class":"public","required":true,"type":"string"}"#);
        for bad in ["name", "name=", "name=text", "name=string:secret", "name=string:"] {
            assert!(rule(bad).is_err(), "{bad}");
        }
    }
}
