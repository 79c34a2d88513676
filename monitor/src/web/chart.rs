//! Drawings as SVG: growth over time, entries by month. Each has its numbers in words for whoever does not see it.

use maud::{Markup, html};

use crate::index::amount::grouped;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 160.0;
const LEFT: f64 = 8.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 22.0;
/// Points of a line; more are thinned out.
const POINTS_MAX: usize = 320;
/// Bars of a chart: the last ones.
const BARS_MAX: usize = 36;

fn scale(value: u64, from: u64, to: u64, length: f64) -> f64 {
    if to <= from {
        return 0.0;
    }
    (value.saturating_sub(from)) as f64 / (to - from) as f64 * length
}

/// Values over time, rising steps.
pub(super) fn line(points: &[(u64, u64)], title: &str) -> Markup {
    let step = points.len().div_ceil(POINTS_MAX).max(1);
    let last = points.len().saturating_sub(1);
    let kept: Vec<(u64, u64)> = points
        .iter()
        .enumerate()
        .filter(|(at, _)| at % step == 0 || *at == last)
        .map(|(_, point)| *point)
        .collect();
    let (from, to) = (kept.first().map_or(0, |point| point.0), kept.last().map_or(0, |point| point.0));
    let most = kept.iter().map(|point| point.1).max().unwrap_or(0);
    let (across, up) = (WIDTH - 2.0 * LEFT, HEIGHT - TOP - BOTTOM);
    let place = |(at, value): (u64, u64)| {
        let (x, y) = (LEFT + scale(at, from, to, across), HEIGHT - BOTTOM - scale(value, 0, most, up));
        format!("{x:.1},{y:.1}")
    };
    let line: Vec<String> = kept.into_iter().map(place).collect();
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (title) ": " (grouped(most)) } {
            line.axis x1=(LEFT) x2=(WIDTH - LEFT) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM) {}
            polyline.line points=(line.join(" ")) {}
            text.soft-text x=(WIDTH - LEFT) y="12" text-anchor="end" { (grouped(most)) }
            text.soft-text x=(LEFT) y=(HEIGHT - 6.0) { (super::layout::time_text(from)) }
            text.soft-text x=(WIDTH - LEFT) y=(HEIGHT - 6.0) text-anchor="end" { (super::layout::time_text(to)) }
        }
    }
}

/// A bar for each name.
pub(super) fn bars(values: &[(String, u64)], title: &str) -> Markup {
    let shown = &values[values.len().saturating_sub(BARS_MAX)..];
    let most = shown.iter().map(|(_, value)| *value).max().unwrap_or(0);
    let room = (WIDTH - 2.0 * LEFT) / shown.len().max(1) as f64;
    let up = HEIGHT - TOP - BOTTOM;
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ (title) ": " (grouped(most)) } {
            line.axis x1=(LEFT) x2=(WIDTH - LEFT) y1=(HEIGHT - BOTTOM) y2=(HEIGHT - BOTTOM) {}
            @for (at, (name, value)) in shown.iter().enumerate() {
                @let height = scale(*value, 0, most, up).max(if *value > 0 { 1.0 } else { 0.0 });
                rect.bar x={ (format!("{:.1}", LEFT + room * at as f64 + 1.0)) } width={ (format!("{:.1}", (room - 2.0).clamp(1.0, 60.0))) }
                    y={ (format!("{:.1}", HEIGHT - BOTTOM - height)) } height={ (format!("{height:.1}")) } {
                    title { (name) ": " (grouped(*value)) }
                }
            }
            text.soft-text x=(WIDTH - LEFT) y="12" text-anchor="end" { (grouped(most)) }
            @if let Some((first, _)) = shown.first() { text.soft-text x=(LEFT) y=(HEIGHT - 6.0) { (first) } }
            @if shown.len() > 1 { text.soft-text x=(WIDTH - LEFT) y=(HEIGHT - 6.0) text-anchor="end" { (shown[shown.len() - 1].0) } }
        }
    }
}
