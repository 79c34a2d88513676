//! Drawings as SVG: growth over time, values by month. What is written beside a drawing is text of the page, so that it
//! stays as large on a phone; and the numbers stand in a table below, for whoever does not see the drawing.

use maud::{Markup, html};

use super::layout::time_text;
use super::texts::Texts;
use crate::index::amount::grouped;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 140.0;
/// Room for half a line's width above and below.
const EDGE: f64 = 2.0;
/// Points of a line; more are thinned out.
const POINTS_MAX: usize = 320;
/// Rows of a line's table; more are thinned out.
const ROWS_MAX: usize = 40;
/// Bars of a chart: the last ones.
pub(super) const BARS_MAX: usize = 36;
/// A bar, as a part of its room.
const BAR_PART: f64 = 0.7;
/// The widest bar.
const BAR_WIDTH_MAX: f64 = 60.0;

/// A drawing in words.
pub(super) struct Words<'a> {
    pub(super) texts: &'a Texts,
    /// What is drawn.
    pub(super) title: &'a str,
    /// What the columns of its table are.
    pub(super) columns: [&'a str; 2],
}

fn scale(value: u64, from: u64, to: u64, length: f64) -> f64 {
    if to <= from {
        return 0.0;
    }
    (value.saturating_sub(from)) as f64 / (to - from) as f64 * length
}

/// How high a value is drawn above the lower edge.
fn height(value: u64, most: u64) -> f64 {
    scale(value, 0, most, HEIGHT - 2.0 * EDGE)
}

/// At most about so many, and the last one always.
fn thinned<T: Copy>(values: &[T], most: usize) -> Vec<T> {
    let step = values.len().div_ceil(most).max(1);
    let last = values.len().saturating_sub(1);
    let kept = values.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last);
    kept.map(|(_, value)| *value).collect()
}

/// Values over time.
pub(super) fn line(words: &Words<'_>, points: &[(u64, u64)]) -> Markup {
    let kept = thinned(points, POINTS_MAX);
    let (from, to) = (kept.first().map_or(0, |point| point.0), kept.last().map_or(0, |point| point.0));
    let most = kept.iter().map(|point| point.1).max().unwrap_or(0);
    let place = |(at, value): (u64, u64)| {
        format!("{:.1},{:.1}", scale(at, from, to, WIDTH), HEIGHT - EDGE - height(value, most))
    };
    let line: Vec<String> = kept.into_iter().map(place).collect();
    let drawing = html! { polyline.line points=(line.join(" ")) {} };
    let rows: Vec<(String, Option<u64>)> =
        thinned(points, ROWS_MAX).into_iter().map(|(at, value)| (time_text(at), Some(value))).collect();
    figure(words, most, [&time_text(from), &time_text(to)], &drawing, &rows)
}

/// A bar for each name; none where nothing is known.
pub(super) fn bars(words: &Words<'_>, values: &[(String, Option<u64>)]) -> Markup {
    let shown = &values[values.len().saturating_sub(BARS_MAX)..];
    let most = shown.iter().filter_map(|(_, value)| *value).max().unwrap_or(0);
    let room = WIDTH / shown.len().max(1) as f64;
    let width = (room * BAR_PART).min(BAR_WIDTH_MAX);
    let drawing = html! {
        @for (at, (name, value)) in shown.iter().enumerate() {
            @if let Some(value) = value.filter(|value| *value > 0) {
                @let height = height(value, most).max(1.0);
                rect.bar x={ (format!("{:.1}", room * (at as f64 + 0.5) - width / 2.0)) } width={ (format!("{width:.1}")) }
                    y={ (format!("{:.1}", HEIGHT - EDGE - height)) } height={ (format!("{height:.1}")) } {
                    title { (name) ": " (grouped(value)) }
                }
            }
        }
    };
    let name = |end: Option<&(String, Option<u64>)>| end.map_or("", |(name, _)| name.as_str()).to_owned();
    figure(words, most, [&name(shown.first()), &name(shown.last())], &drawing, shown)
}

fn figure(
    words: &Words<'_>,
    most: u64,
    ends: [&str; 2],
    drawing: &Markup,
    rows: &[(String, Option<u64>)],
) -> Markup {
    html! {
        figure.chart {
            p.most aria-hidden="true" { (grouped(most)) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                aria-label={ (words.title) ": " (grouped(most)) } {
                line.grid x1="0" x2=(WIDTH) y1=(EDGE) y2=(EDGE) {}
                line.axis x1="0" x2=(WIDTH) y1=(HEIGHT - EDGE) y2=(HEIGHT - EDGE) {}
                (drawing)
            }
            p.ends aria-hidden="true" { @for end in ends { span { (end) } } }
            details {
                summary { (words.texts.chart_numbers) }
                div.scroll tabindex="0" role="group" aria-label=(words.title) { table {
                    thead { tr { th scope="col" { (words.columns[0]) } th.number scope="col" { (words.columns[1]) } } }
                    tbody { @for (name, value) in rows { tr {
                        th scope="row" { (name) }
                        td.number { @match value { Some(value) => (grouped(*value)), None => "–" } }
                    } } }
                } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::texts::Lang;

    fn words() -> Words<'static> {
        Words { texts: Lang::English.texts(), title: "Entries", columns: ["Month", "Number"] }
    }

    #[test]
    fn a_line_reaches_from_edge_to_edge_and_its_table_has_the_last_value() {
        let points: Vec<(u64, u64)> =
            (0..1_000).map(|step| (1_790_000_000 + step * 3_600, step * 2)).collect();
        let drawn = line(&words(), &points).into_string();
        assert!(drawn.contains("points=\"0.0,138.0 ") && drawn.contains(" 640.0,2.0\""), "{drawn}");
        assert!(drawn.contains("aria-label=\"Entries: 1,998\""), "{drawn}");
        assert!(drawn.matches("<tr>").count() <= ROWS_MAX + 2, "{drawn}");
        assert!(drawn.contains("<td class=\"number\">1,998</td>"), "{drawn}");
    }

    #[test]
    fn a_bar_is_drawn_for_what_is_known_and_the_table_tells_the_rest_apart() {
        let values = [("2026-09", Some(4)), ("2026-10", None), ("2026-11", Some(0)), ("2026-12", Some(2))];
        let values = values.map(|(name, value)| (name.to_owned(), value));
        let drawn = bars(&words(), &values).into_string();
        assert_eq!(drawn.matches("<rect").count(), 2, "{drawn}");
        assert!(drawn.contains("<span>2026-09</span><span>2026-12</span>"), "{drawn}");
        let cells: Vec<&str> = drawn
            .split("<td class=\"number\">")
            .skip(1)
            .map(|cell| cell.split('<').next().unwrap())
            .collect();
        assert_eq!(cells, ["4", "–", "0", "2"]);
    }
}
