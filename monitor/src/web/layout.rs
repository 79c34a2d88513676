//! The frame of every page, and how times and spans of time are written.

use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, html};

use super::assets;
use super::request::Reader;
use super::texts::{Lang, Texts, fill};

/// No script and no style but ours, nothing from elsewhere, no frame around us.
pub(super) const SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A page around its content.
pub(super) struct Page<'a> {
    pub(super) reader: &'a Reader,
    pub(super) title: &'a str,
    /// Where this page is in the menu.
    pub(super) here: &'a str,
    /// The page's feed.
    pub(super) feed: Option<&'a str>,
}

impl Page<'_> {
    pub(super) fn render(&self, content: &Markup) -> Response {
        Html(self.markup(content).into_string()).into_response()
    }

    fn markup(&self, content: &Markup) -> Markup {
        let texts = self.reader.lang.texts();
        html! {
            (DOCTYPE)
            html lang=(self.reader.lang.code()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · " (texts.site) }
                    link rel="stylesheet" href=(assets::style_path());
                    link rel="icon" type="image/svg+xml" href=(assets::icon_path());
                    script src=(assets::script_path()) defer {}
                    @if let Some(feed) = self.feed {
                        link rel="alternate" type="application/atom+xml" title=(self.title) href=(feed);
                    }
                }
                body {
                    a.skip href="#content" { (texts.skip) }
                    header {
                        a.site href="/" { (texts.site) }
                        nav aria-label=(texts.menu) {
                            @for (path, name) in menu(texts) {
                                @if path == self.here {
                                    a href=(path) aria-current="page" { (name) }
                                } @else {
                                    a href=(path) { (name) }
                                }
                            }
                        }
                    }
                    main id="content" tabindex="-1" { (content) }
                    footer {
                        p { (texts.footer) }
                        p.languages aria-label=(texts.language) role="group" {
                            @for lang in Lang::ALL {
                                @if lang == self.reader.lang { span lang=(lang.code()) { (lang.name()) } }
                                @else { a href=(in_language(&self.reader.here, lang)) lang=(lang.code()) hreflang=(lang.code()) { (lang.name()) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The same page in another language.
fn in_language(here: &str, lang: Lang) -> String {
    let (path, query) = here.split_once('?').unwrap_or((here, ""));
    let kept = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("lang="));
    let chosen = format!("lang={}", lang.code());
    let pairs: Vec<&str> = kept.chain([chosen.as_str()]).collect();
    format!("{path}?{}", pairs.join("&"))
}

fn menu(texts: &Texts) -> [(&'static str, &'static str); 6] {
    [
        ("/", texts.overview),
        ("/search", texts.search),
        ("/agencies", texts.agencies),
        ("/watches", texts.watches),
        ("/evidence", texts.evidence),
        ("/health", texts.health),
    ]
}

/// A time in UTC, for people and for machines.
pub(super) fn time(seconds: i64) -> Markup {
    let Ok(time) = Timestamp::from_second(seconds) else { return html! { (seconds) } };
    let machine = time.to_string();
    html! { time datetime=(machine) { (short_time(&machine)) } }
}

/// `2026-11-23T09:00:00Z` as `2026-11-23 09:00`.
pub(super) fn short_time(machine: &str) -> String {
    machine.get(..16).map_or_else(|| machine.to_owned(), |short| short.replace('T', " "))
}

pub(super) fn time_text(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| seconds.to_string(), |time| short_time(&time.to_string()))
}

/// A span of time in the largest unit that keeps it readable.
pub(super) fn span(texts: &Texts, seconds: u64) -> String {
    let (text, number) = match seconds {
        0..120 => (texts.seconds, seconds),
        120..7_200 => (texts.minutes, seconds / 60),
        7_200..172_800 => (texts.hours, seconds / 3_600),
        _ => (texts.days, seconds / 86_400),
    };
    fill(text, &[&number.to_string()])
}

/// The name of a log's state, in a shape and colour of its own.
pub(super) fn state(texts: &Texts, state: &str) -> Markup {
    let (code, name, meaning) =
        texts.states.iter().find(|(code, ..)| *code == state).copied().unwrap_or(("unknown", "?", ""));
    html! { span class={ "state state-" (code) } title=(meaning) { (name) } }
}
