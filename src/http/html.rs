//! What pages for people have in common. They are readable without JavaScript, load nothing from anywhere, and their
//! content security policy says so.
//!
//! Everything that comes from somebody else is escaped, and stands in an element of its own with `dir="auto"`, so that
//! text of any direction reads as it should and cannot reorder what is around it.

use daemon::html::escape;
use daemon::problem::Problem;
use http::{HeaderMap, HeaderValue, Response, header};
use tlog::hash::sha256;

use super::answer::{Answer, AnswerBody, Caching, answer, prefers};
use super::texts::{Language, Texts};

const STYLE: &str = include_str!("page.css");
const HTML: &str = "text/html; charset=utf-8";

/// Text of others, on its own.
pub(super) fn own(text: &str) -> String {
    format!("<bdi dir=\"auto\">{}</bdi>", escape(text))
}

/// A link with text of others.
pub(super) fn link(path: &str, text: &str) -> String {
    format!("<a href=\"{}\">{}</a>", escape(path), own(text))
}

/// A link to an entry and its receipt.
pub(super) fn entry_link(index: impl std::fmt::Display) -> String {
    format!("<a href=\"/entry/{index}\">{index}</a>")
}

/// A table, or words that nothing is there.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>], texts: &Texts) -> String {
    if rows.is_empty() {
        return format!("<p>{}</p>\n", texts.nothing_here);
    }
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{head}</th>")).collect();
    let row = |cells: &Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{cell}</td>")).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>\n")
}

/// A whole page: a title, which is text of others, and what stands under it.
pub(super) fn page(caching: Caching, texts: &Texts, title: &str, body: &str) -> Answer {
    let page = format!(
        "<!doctype html>\n<html lang=\"{}\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{}</title><style>{STYLE}</style></head><body>\n{body}\
         </body></html>\n",
        texts.tag,
        escape(title),
    );
    let mut answer = answer(HTML, caching, page);
    let style = sha256(STYLE.as_bytes()).to_base64();
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let headers = answer.headers_mut();
    let policy = HeaderValue::from_str(&policy).expect("the policy is a header value");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(texts.tag));
    answer
}

/// In which language somebody wants to read what went wrong; `None` for a program, which gets a problem document.
pub(super) fn reads_pages(headers: &HeaderMap) -> Option<Language> {
    prefers(headers, "text/html").then(|| Language::of(headers))
}

/// What went wrong, for people: the same status and headers as the document that programs get.
pub(super) fn error_page(problem: Problem, texts: &Texts) -> Answer {
    let said = texts.error(&problem);
    let body = format!(
        "<nav><a href=\"/\">{}</a></nav>\n<main><h1>{}</h1>\n<p>{}</p>\n<p>{}: <span lang=\"en\">{}</span></p></main>\n",
        texts.errors.start,
        said.heading,
        said.sentence,
        texts.errors.detail,
        own(problem.detail()),
    );
    let (page, body) = page(Caching::Never, texts, said.heading, &body).into_parts();
    let (mut parts, _) = problem.into_response().map(AnswerBody::Whole).into_parts();
    parts.headers.extend(page.headers);
    parts.headers.insert(header::VARY, HeaderValue::from_static("Accept, Accept-Language"));
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_name_is_shown_and_not_obeyed() {
        assert_eq!(link("/a\"b", "<b>"), "<a href=\"/a&quot;b\"><bdi dir=\"auto\">&lt;b&gt;</bdi></a>");
    }

    #[test]
    fn text_of_others_is_escaped_and_keeps_its_direction_to_itself() {
        assert_eq!(own("<b>\u{5d0}"), "<bdi dir=\"auto\">&lt;b&gt;\u{5d0}</bdi>");
    }
}
