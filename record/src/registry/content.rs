//! Rules for `record` and `tombstone`: where they stand, and what they say.

use tlog::hash::leaf_hash;
use tlog::ids::LeafIndex;

use super::authority::Signers;
use super::registers::{RegisterState, sealed_leaves};
use super::{Chain, History, JudgeError, Registry, Rule, follows};
use crate::json::escape_segment;
use crate::statement::{AttachmentContent, Body, Content, Erased, FieldClass, KeyRule};
use crate::statement::{Record, Statement, Tombstone};

impl Registry {
    pub(super) fn judge_record<H: History>(
        &self,
        record: &Record,
        chain: &Chain,
        signers: &Signers<'_>,
        history: &H,
    ) -> Result<(), JudgeError<H::Error>> {
        if !self.agencies.contains_key(&record.agency) {
            return Err(JudgeError::refused(Rule::UnknownAgency(record.agency.clone())));
        }
        let register = self.register(&record.agency, &record.register);
        let unknown = || JudgeError::refused(Rule::UnknownRegister(record.register.clone()));
        let register = register.ok_or_else(unknown)?;
        signers.may_publish(record, register.definition.approvals).map_err(JudgeError::refused)?;
        let latest = history.latest(chain).map_err(JudgeError::History)?;
        follows(record.previous, latest)?;
        register.admits(record).map_err(JudgeError::refused)
    }

    pub(super) fn judge_tombstone<H: History>(
        &self,
        index: LeafIndex,
        body: &Tombstone,
        signers: &Signers<'_>,
        history: &H,
    ) -> Result<(), JudgeError<H::Error>> {
        let agency = self.agencies.get(&body.agency);
        let agency = agency.ok_or_else(|| JudgeError::refused(Rule::UnknownAgency(body.agency.clone())))?;
        signers.approve_erasure(&body.agency, agency.quorum).map_err(JudgeError::refused)?;
        let latest = history.latest(&Chain::Tombstones(body.entry.leaf)).map_err(JudgeError::History)?;
        follows(body.previous, latest)?;
        let at = body.entry.index;
        let entry = if at < index { history.entry(at).map_err(JudgeError::History)? } else { None };
        let content = entry.and_then(|entry| target(&entry, body));
        let content = content.ok_or_else(|| JudgeError::refused(Rule::TombstoneEntry(at.get())))?;
        let absent = body.erased.iter().find(|erased| !holds(&content, erased));
        match absent {
            None => Ok(()),
            Some(erased) => Err(JudgeError::refused(Rule::NothingToErase(erased.to_string()))),
        }
    }
}

/// The content of the version that a tombstone is about, if the entry is that version.
fn target(entry: &[u8], tombstone: &Tombstone) -> Option<Content> {
    let record = match Statement::parse(entry).ok()?.body() {
        Body::Record(record) if leaf_hash(entry) == tombstone.entry.leaf => record.clone(),
        _ => return None,
    };
    let same = (&record.agency, &record.register, &record.key)
        == (&tombstone.agency, &tombstone.register, &tombstone.key);
    record.content.filter(|_| same)
}

/// Whether a version has something at that place that can be erased. Which sealed fields there are is hidden.
fn holds(content: &Content, erased: &Erased) -> bool {
    match erased {
        Erased::AllSealed | Erased::Sealed(_) => content.sealed.is_some(),
        Erased::Field(name) => content.erasable.contains_key(name.as_str()),
        Erased::Attachment(name) => content.attachments.iter().any(|attachment| {
            attachment.name == *name && matches!(attachment.content, AttachmentContent::Erasable(_))
        }),
    }
}

impl RegisterState {
    /// Whether a version of a record is what the register asks for, signatures and `previous` apart.
    ///
    /// # Errors
    /// [`Rule`] names the first field that is not.
    pub fn admits(&self, record: &Record) -> Result<(), Rule> {
        let definition = &self.definition;
        if definition.keys == KeyRule::Opaque && !record.key.is_opaque() {
            return Err(Rule::KeyNotOpaque);
        }
        if let Some(prefix) = &definition.prefix
            && !record.key.as_str().starts_with(prefix.as_str())
        {
            return Err(Rule::KeyPrefix(prefix.to_string()));
        }
        let Some(content) = &record.content else {
            return if record.previous.is_some() { Ok(()) } else { Err(Rule::NothingToWithdraw) };
        };
        if definition.keys == KeyRule::Opaque && content.title.is_some() {
            return Err(Rule::TitleNotAllowed);
        }
        if content.schema != definition.schema {
            return Err(Rule::Schema);
        }
        self.admits_public(content)?;
        self.admits_hidden(content)
    }

    fn admits_public(&self, content: &Content) -> Result<(), Rule> {
        let path = |name: &str| format!("/public/{}", escape_segment(name));
        let fields = &self.definition.fields;
        for (name, value) in content.public.iter() {
            let undeclared = || Rule::FieldUndeclared(path(name), FieldClass::Public);
            if self.classes.get(name).is_some_and(|class| *class != FieldClass::Public) {
                return Err(undeclared());
            }
            // A register that declares nothing takes everything.
            if fields.is_empty() {
                continue;
            }
            let rule = fields.get(name).ok_or_else(undeclared)?;
            if !rule.kind.admits(value) {
                return Err(Rule::FieldType(path(name), rule.kind));
            }
        }
        let missing = fields.iter().find(|(name, rule)| {
            rule.required && rule.class == FieldClass::Public && content.public.get(name).is_none()
        });
        missing.map_or(Ok(()), |(name, _)| Err(Rule::FieldRequired(path(name))))
    }

    fn admits_hidden(&self, content: &Content) -> Result<(), Rule> {
        let path = |name: &str| format!("/erasable/{}", escape_segment(name));
        let fields = &self.definition.fields;
        let erasable = |name: &str| fields.get(name).is_some_and(|rule| rule.class == FieldClass::Erasable);
        if let Some(name) = content.erasable.keys().find(|name| !erasable(name)) {
            return Err(Rule::FieldUndeclared(path(name), FieldClass::Erasable));
        }
        let missing = fields.iter().find(|(name, rule)| {
            rule.required && rule.class == FieldClass::Erasable && !content.erasable.contains_key(*name)
        });
        if let Some((name, _)) = missing {
            return Err(Rule::FieldRequired(path(name)));
        }
        // A record of a register with sealed fields always has the tree, so that its presence says nothing.
        let leaves = sealed_leaves(&self.definition);
        if content.sealed.map(|sealed| sealed.leaves) != leaves {
            return Err(Rule::SealedLeaves(leaves.unwrap_or(0)));
        }
        for attachment in &content.attachments {
            let class = match attachment.content {
                AttachmentContent::Public(_) => FieldClass::Public,
                AttachmentContent::Erasable(_) => FieldClass::Erasable,
            };
            if !self.definition.attachments.contains(&class) {
                return Err(Rule::AttachmentClass(class));
            }
        }
        Ok(())
    }
}
