//! Every text of the pages, in every language: a struct with a field for each, so that a missing one does not compile.
//!
//! `{0}` and `{1}` stand for what [`fill`] puts there. What comes from a log is never translated.

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// English.
    #[default]
    English,
    /// Chinese, in simplified letters.
    Chinese,
}

impl Lang {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Its code in HTML and in `?lang=`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its own name for itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// The language with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lang| lang.code() == code)
    }

    /// The first language of an `Accept-Language` header that there is.
    #[must_use]
    pub fn accepted(header: &str) -> Option<Self> {
        let codes = header.split(',').map(|part| part.split(';').next().unwrap_or("").trim());
        codes
            .filter_map(|code| Self::parse(&code.split('-').next().unwrap_or("").to_ascii_lowercase()))
            .next()
    }

    /// Its texts.
    #[must_use]
    pub fn texts(self) -> &'static Texts {
        match self {
            Self::English => &super::english::TEXTS,
            Self::Chinese => &super::chinese::TEXTS,
        }
    }
}

/// Puts values where `{0}`, `{1}` stand; what a value holds is left as it is.
#[must_use]
pub fn fill(text: &str, values: &[&str]) -> String {
    let mut parts = text.split('{');
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let filled =
            part.split_once('}').and_then(|(at, rest)| Some((*values.get(at.parse::<usize>().ok()?)?, rest)));
        match filled {
            Some((value, rest)) => out.extend([value, rest]),
            None => out.extend(["{", part]),
        }
    }
    out
}

/// The texts of one language.
#[derive(Debug)]
#[expect(missing_docs, reason = "the English text beside each name says what it is")]
pub struct Texts {
    pub site: &'static str,
    pub skip: &'static str,
    pub menu: &'static str,
    pub overview: &'static str,
    pub search: &'static str,
    pub agencies: &'static str,
    pub watches: &'static str,
    pub evidence: &'static str,
    pub health: &'static str,
    pub language: &'static str,
    pub footer: &'static str,
    pub not_found: &'static str,
    pub not_found_detail: &'static str,
    pub failed: &'static str,
    pub failed_detail: &'static str,
    pub forbidden: &'static str,
    pub forbidden_detail: &'static str,
    pub bad_request: &'static str,
    pub busy: &'static str,
    pub busy_detail: &'static str,

    pub overview_lead: &'static str,
    pub no_logs: &'static str,
    pub states: [(&'static str, &'static str, &'static str); 7],
    pub log: &'static str,
    pub state: &'static str,
    pub verified_entries: &'static str,
    pub indexed_entries: &'static str,
    pub indexing_behind: &'static str,
    pub newest_head: &'static str,
    pub rate: &'static str,
    pub time_left: &'static str,
    pub growth: &'static str,
    pub growth_alt: &'static str,
    pub witnesses: &'static str,
    pub no_witnesses: &'static str,
    pub witness: &'static str,
    pub last_signed: &'static str,
    pub witnesses_signed: &'static str,
    pub others: &'static str,
    pub other: &'static str,
    pub other_said: &'static str,
    pub answers: [(&'static str, &'static str); 7],
    pub never: &'static str,
    pub policy: &'static str,
    pub policy_help: &'static str,
    pub open_alarms: &'static str,
    pub no_alarms: &'static str,
    pub newest_entries: &'static str,
    pub entries_unit: &'static str,
    pub publication: &'static str,
    pub time_to_publication: &'static str,
    pub time_to_publication_none: &'static str,

    pub search_label: &'static str,
    pub search_button: &'static str,
    pub search_help: &'static str,
    pub search_examples: &'static [(&'static str, &'static str)],
    pub hits: &'static str,
    pub hits_many: &'static str,
    pub hits_page: &'static str,
    pub no_hits: &'static str,
    pub cut_short: &'static str,
    pub query_cut: &'static str,
    pub older: &'static str,
    pub newer_first: &'static str,
    pub older_first: &'static str,
    pub next_page: &'static str,
    pub download: &'static str,
    pub whole_index: &'static str,
    pub whole_index_help: &'static str,
    pub feed: &'static str,
    pub filter: &'static str,
    pub from_day: &'static str,
    pub to_day: &'static str,
    pub amount_from: &'static str,
    pub all: &'static str,
    pub watch_this: &'static str,

    pub entry: &'static str,
    pub kind: &'static str,
    pub agency: &'static str,
    pub register: &'static str,
    pub key: &'static str,
    pub title: &'static str,
    pub at: &'static str,
    pub logged: &'static str,
    pub logged_between: &'static str,
    pub logged_before: &'static str,
    pub logged_after: &'static str,
    pub logged_unknown: &'static str,
    pub late_at_least: &'static str,
    pub in_time_unknown: &'static str,
    pub leaf_hash: &'static str,
    pub index: &'static str,
    pub amounts: &'static str,
    pub content: &'static str,
    pub signed_by: &'static str,
    pub raw: &'static str,
    pub raw_binary: &'static str,
    pub history: &'static str,
    pub history_of: &'static str,
    pub first_version: &'static str,
    pub no_change: &'static str,
    pub withdrawn: &'static str,
    pub erased: &'static str,
    pub erased_later: &'static str,
    pub disputed: &'static str,
    pub superseded: &'static str,
    pub latest_version: &'static str,
    pub field: &'static str,
    pub before: &'static str,
    pub after: &'static str,
    pub absent: &'static str,
    pub citation: &'static str,
    pub citation_text: &'static str,
    pub copy: &'static str,
    pub bundle: &'static str,
    pub bundle_help: &'static str,
    pub proof: &'static str,
    pub proof_lead: &'static str,
    pub proof_drawing: &'static str,
    pub proof_none: &'static str,
    pub proof_leaf: &'static str,
    pub proof_step_left: &'static str,
    pub proof_step_right: &'static str,
    pub proof_root: &'static str,
    pub proof_signed: &'static str,
    pub not_indexed: &'static str,

    pub agencies_lead: &'static str,
    pub registers: &'static str,
    pub entries: &'static str,
    pub newest: &'static str,
    pub average_late: &'static str,
    pub worst_late: &'static str,
    pub late_note: &'static str,
    pub volume: &'static str,
    pub volume_alt: &'static str,
    pub late_by_month: &'static str,
    pub month: &'static str,
    pub delay_days: &'static str,
    pub time: &'static str,
    pub chart_numbers: &'static str,
    pub late_by_month_alt: &'static str,
    pub key_changes: &'static str,

    pub watches_lead: &'static str,
    pub no_watches: &'static str,
    pub watch_name: &'static str,
    pub watch_query: &'static str,
    pub watch_rule: &'static str,
    pub watch_rules: [(&'static str, &'static str); 6],
    pub watch_events: [(&'static str, &'static str); 8],
    pub watch_days: &'static str,
    pub watch_pattern: &'static str,
    pub watch_channels: &'static str,
    pub watch_channels_help: &'static str,
    pub watch_add: &'static str,
    pub watch_remove: &'static str,
    pub watch_test: &'static str,
    pub watch_tested: &'static str,
    pub watch_import: &'static str,
    pub watch_import_help: &'static str,
    pub watch_hits: &'static str,
    pub watch_no_hits: &'static str,
    pub watch_searching: &'static str,
    pub watch_past: &'static str,
    pub watch_newest: &'static str,
    pub token: &'static str,
    pub token_help: &'static str,
    pub sign_in: &'static str,
    pub sign_out: &'static str,
    pub wrong_token: &'static str,

    pub evidence_lead: &'static str,
    pub no_evidence: &'static str,
    pub evidence_check: &'static str,
    /// Forms of evidence; `{0}` is the log.
    pub accusations: &'static [(&'static str, &'static str)],
    pub accusation_unknown: &'static str,
    /// Sorts of alarms; `{0}` is the log, `{1}` what it is about.
    pub alarm_kinds: &'static [(&'static str, &'static str)],
    pub alarm_unknown: &'static str,
    pub alarm_over: &'static str,
    pub alarms: &'static str,
    pub alarm_since: &'static str,

    pub health_lead: &'static str,
    pub channels: &'static str,
    pub channel: &'static str,
    pub channel_ok: &'static str,
    pub channel_failing: &'static str,
    pub channel_waiting: &'static str,
    pub last_delivery: &'static str,
    pub no_channels: &'static str,

    pub seconds: &'static str,
    pub minutes: &'static str,
    pub hours: &'static str,
    pub days: &'static str,
}

impl Texts {
    /// What evidence of a form shows that a log, or one of its witnesses, has done.
    #[must_use]
    pub fn accusation(&self, form: &str, origin: &str) -> String {
        let known = self.accusations.iter().find(|(name, _)| *name == form);
        fill(known.map_or(self.accusation_unknown, |(_, text)| *text), &[origin, form])
    }

    /// What an alarm says, in a sentence that names the log.
    #[must_use]
    pub fn alarm(&self, kind: &str, subject: &str, origin: &str) -> String {
        match self.alarm_kinds.iter().find(|(name, _)| *name == kind) {
            Some((_, text)) => fill(text, &[origin, subject]),
            None => fill(self.alarm_unknown, &[origin, &format!("{kind} {subject}")]),
        }
    }
}

#[cfg(test)]
mod tests {
    use record::evidence::Form;

    use super::*;
    use crate::report;

    #[test]
    fn the_language_is_the_first_that_the_reader_knows() {
        assert_eq!(Lang::accepted("fr, zh-CN;q=0.9, en;q=0.8"), Some(Lang::Chinese));
        assert_eq!(Lang::accepted("EN-gb"), Some(Lang::English));
        assert_eq!(Lang::accepted("*"), None);
    }

    #[test]
    fn every_form_of_evidence_and_every_sort_of_alarm_has_words_that_name_the_log() {
        let trees = ["two-roots", "two-subtrees", "two-leaves"];
        let trees = ["log", "witness"].into_iter().flat_map(|who| trees.map(|what| format!("{who}-{what}")));
        let forms: Vec<String> =
            trees.chain(Form::ALL.into_iter().map(|form| form.as_str().to_owned())).collect();
        for lang in Lang::ALL {
            let texts = lang.texts();
            let known: Vec<&str> = texts.accusations.iter().map(|(form, _)| *form).collect();
            assert_eq!(known, forms);
            for form in forms.iter().map(String::as_str).chain(["form-of-tomorrow"]) {
                assert!(texts.accusation(form, "log.example").contains("log.example"), "{form}");
            }
            let kinds: Vec<&str> = texts.alarm_kinds.iter().map(|(kind, _)| *kind).collect();
            assert!(report::KINDS.iter().all(|kind| kinds.contains(kind)), "{kinds:?}");
            for kind in kinds.into_iter().chain(["kind-of-tomorrow"]) {
                assert!(texts.alarm(kind, "tile/0/000", "log.example").contains("log.example"), "{kind}");
            }
        }
        let text = Lang::English.texts().alarm("new", "tile/0/000", "log.example");
        assert_eq!(text, "Alarm about log.example: new tile/0/000");
    }

    #[test]
    fn what_fills_a_text_is_not_filled_itself() {
        assert_eq!(fill("{0} and {1}", &["{1}", "two"]), "{1} and two");
    }

    #[test]
    fn every_language_fills_the_same_places() {
        let debug = |lang: Lang| format!("{:#?}", lang.texts());
        let places = |text: &str| (text.matches("{0}").count(), text.matches("{1}").count());
        let (english, chinese) = (debug(Lang::English), debug(Lang::Chinese));
        let field = |line: &&str| {
            line.strip_prefix("    ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        };
        let fields = |text: &str| text.lines().filter(field).count();
        assert_eq!(fields(&english), fields(&chinese));
        for (one, other) in english.lines().zip(chinese.lines()) {
            assert_eq!(places(one), places(other), "{one} / {other}");
        }
    }
}
