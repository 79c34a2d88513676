//! Feeds: Atom (RFC 4287) and JSON Feed 1.1, written with every value escaped. Pure.

use jiff::Timestamp;
use serde::Serialize;

/// Letters of an item's text.
const TEXT_LETTERS_MAX: usize = 4_000;

/// A feed.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    /// Never changes.
    pub id: String,
    /// Its name.
    pub title: String,
    /// The page that it belongs to.
    pub page: String,
    /// Where it is itself, as Atom.
    pub atom_address: String,
    /// Where it is itself, as JSON Feed.
    pub json_address: String,
    /// Its items, newest first.
    pub items: Vec<Item>,
    /// Seconds since 1970, for a feed without items.
    pub now: i64,
}

/// An item of a feed.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// Never changes.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its page.
    pub link: String,
    /// Seconds since 1970.
    pub updated: i64,
    /// Who has published it.
    pub author: String,
    /// What it says, as text.
    pub text: String,
}

fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// Text in XML: escaped, without what XML cannot carry.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' => out.push(letter),
            // XML 1.0 has no other control characters, and neither of the last two of each plane's first.
            letter if letter < ' ' || matches!(letter, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
    out
}

fn shortened(text: &str) -> String {
    let mut letters = text.chars();
    let mut short: String = letters.by_ref().take(TEXT_LETTERS_MAX).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

impl Feed {
    fn updated(&self) -> i64 {
        self.items.iter().map(|item| item.updated).max().unwrap_or(self.now)
    }

    /// The feed as Atom.
    #[must_use]
    pub fn atom(&self) -> String {
        let mut out = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n<id>{}</id>\n\
             <title>{}</title>\n<updated>{}</updated>\n<link rel=\"self\" type=\"application/atom+xml\" href=\"{}\"/>\n\
             <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n<author><name>daybook-monitor</name></author>\n",
            escape(&self.id),
            escape(&self.title),
            time(self.updated()),
            escape(&self.atom_address),
            escape(&self.page),
        );
        for item in &self.items {
            out.push_str(&format!(
                "<entry>\n<id>{}</id>\n<title>{}</title>\n<updated>{}</updated>\n\
                 <link rel=\"alternate\" type=\"text/html\" href=\"{}\"/>\n<author><name>{}</name></author>\n\
                 <content type=\"text\">{}</content>\n</entry>\n",
                escape(&item.id),
                escape(&item.title),
                time(item.updated),
                escape(&item.link),
                escape(&item.author),
                escape(&shortened(&item.text)),
            ));
        }
        out.push_str("</feed>\n");
        out
    }

    /// The feed as JSON Feed.
    #[must_use]
    pub fn json(&self) -> String {
        let items = self.items.iter().map(|item| JsonItem {
            id: &item.id,
            url: &item.link,
            title: &item.title,
            content_text: shortened(&item.text),
            date_published: time(item.updated),
            authors: [Author { name: &item.author }],
        });
        let json = JsonFeed {
            version: "https://jsonfeed.org/version/1.1",
            title: &self.title,
            home_page_url: &self.page,
            feed_url: &self.json_address,
            items: items.collect(),
        };
        serde_json::to_string(&json).expect("a feed has a JSON form")
    }
}

#[derive(Serialize)]
struct JsonFeed<'a> {
    version: &'static str,
    title: &'a str,
    home_page_url: &'a str,
    feed_url: &'a str,
    items: Vec<JsonItem<'a>>,
}

#[derive(Serialize)]
struct JsonItem<'a> {
    id: &'a str,
    url: &'a str,
    title: &'a str,
    content_text: String,
    date_published: String,
    authors: [Author<'a>; 1],
}

#[derive(Serialize)]
struct Author<'a> {
    name: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        let item = Item {
            id: "https://m.example/log/a/1".to_owned(),
            title: "<script>alert(1)</script> & \"more\"".to_owned(),
            link: "https://m.example/log/a/1?x=1&y=2".to_owned(),
            updated: 1_795_424_400,
            author: "a.gov.example".to_owned(),
            text: "]]> \u{0} \u{b} 北京".to_owned(),
        };
        Feed {
            id: "https://m.example/feed".to_owned(),
            title: "Watch".to_owned(),
            page: "https://m.example/".to_owned(),
            atom_address: "https://m.example/feed/watch/1/atom".to_owned(),
            json_address: "https://m.example/feed/watch/1/json".to_owned(),
            items: vec![item],
            now: 0,
        }
    }

    #[test]
    fn an_atom_feed_has_what_the_standard_asks_for_and_escapes_the_rest() {
        let atom = feed().atom();
        for element in
            ["<id>", "<title>", "<updated>2026-11-23T09:00:00Z</updated>", "rel=\"self\"", "<author><name>"]
        {
            assert!(atom.contains(element), "{element} in {atom}");
        }
        assert!(!atom.contains("<script>") && !atom.contains("]]>") && !atom.contains('\u{0}'), "{atom}");
        assert!(atom.contains("&lt;script&gt;") && atom.contains("x=1&amp;y=2") && atom.contains("北京"));
        assert_eq!(atom.matches("<entry>").count(), atom.matches("</entry>").count());
    }

    #[test]
    fn a_json_feed_is_json_of_version_1_1() {
        let value: serde_json::Value = serde_json::from_str(&feed().json()).unwrap();
        assert_eq!(value["version"], "https://jsonfeed.org/version/1.1");
        assert_eq!(value["items"][0]["title"], "<script>alert(1)</script> & \"more\"");
        assert_eq!(value["feed_url"], "https://m.example/feed/watch/1/json");
    }

    #[test]
    fn a_feed_without_items_is_still_a_feed() {
        let atom = Feed { now: 1_795_424_400, ..Feed::default() }.atom();
        assert!(atom.contains("<updated>2026-11-23T09:00:00Z</updated>") && atom.ends_with("</feed>\n"));
    }
}
