//! The page: HTML that needs nothing else, and no script.

use crate::duration::Length;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::model::{Instance, KeyDetails, Moment, Ring};
use super::timeline::{Span, WIDTH};
use crate::manifest::status_json::VerdictJson;

const STYLE: &str = include_str!("page.css");

/// No script, no frame, nothing to load: the one style sheet of the page, by its hash.
pub(super) fn policy() -> HeaderValue {
    static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
        let hash = base64_simd::STANDARD.encode_to_string(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'"
        );
        HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
    });
    POLICY.clone()
}

pub(super) fn render(rings: &[Ring], refresh: Option<u16>) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = refresh {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { "Keys" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (patterns())
                header {
                    h1 { "Keys" }
                    p.soft {
                        @if let Some(ring) = rings.first() { "As of " (time(ring.now)) ". " }
                        a href="?format=json" { "As JSON" } ". "
                        @match refresh {
                            Some(seconds) => {
                                "Loads itself every " (seconds) " s: " a href="?" { "stop that" } "."
                            }
                            None => a href="?refresh=30" { "Load every 30 s" }
                        }
                    }
                }
                nav aria-label="Rings" {
                    ul {
                        @for (place, ring) in rings.iter().enumerate() {
                            li { a href=(format!("#ring-{place}")) { (ring.name) } ": " (ring.advice) }
                        }
                    }
                }
                main {
                    @if rings.is_empty() { p { "No ring is watched." } }
                    @for (place, ring) in rings.iter().enumerate() { (section(place, ring)) }
                }
                footer { (legend()) }
            }
        }
    }
}

fn section(place: usize, ring: &Ring) -> Markup {
    let span = Span::for_ring(ring);
    let id = format!("ring-{place}");
    html! {
        section id=(id) aria-labelledby=(format!("{id}-name")) {
            h2 id=(format!("{id}-name")) { (ring.name) " " span.soft { "(" (ring.purpose) ")" } }
            p.advice { (ring.advice) }
            @for warning in &ring.warnings { p.blocked { "The stored policy has a fault: " (warning) } }
            @for shown in ring.keys.iter() { (key(ring, span, shown)) }
            (uses(ring))
            (facts(ring))
        }
    }
}

fn key(ring: &Ring, span: Span, key: &KeyDetails) -> Markup {
    let now = ring.now.0;
    html! {
        div.key data-kid=(key.status.kid) data-state=(key.status.state) {
            h3 { code { (key.status.kid) } (variable(key)) " " span.state { (key.status.state) } }
            p { (life(now, key)) }
            (bar(span, key))
            div.scale aria-hidden="true" {
                span { (ago(now, span.from)) } span { "now" } span { (time_until(now, span.to)) }
            }
            @if let Some(answer) = &key.status.verdict { (verdict(ring, key, answer)) }
        }
    }
}

/// The life of a key in words: what the bar shows, for who does not see it.
fn life(now: SystemTime, key: &KeyDetails) -> String {
    let mut parts = Vec::new();
    match (key.status.signs_from, key.status.state) {
        (_, "revoked") => {}
        (Some(from), "staged") => parts.push(format!("signs from {}", moment(now, from.0))),
        (None, "staged") => {
            parts.push(format!("staged {}, not to sign yet", ago(now, key.added_at.0)))
        }
        (None, _) => parts.push(format!("verifies only, since {}", ago(now, key.added_at.0))),
        (Some(from), "primary") => parts.push(format!("signs since {}", ago(now, from.0))),
        (Some(_), _) => {
            parts.extend(key.superseded_at.map(|time| format!("superseded {}", ago(now, time.0))));
        }
    }
    if let Some(revoked) = &key.revoked {
        parts.push(format!("revoked {}: {}", ago(now, revoked.at.0), revoked.reason));
    } else if let Some(ends) = key.status.verifies_until {
        parts.push(if ends.0 > now {
            format!("verifies until {}", moment(now, ends.0))
        } else {
            format!("ended {}", ago(now, ends.0))
        });
    }
    match key.last_as_fallback {
        Some(last) => parts.push(format!("last needed as a fallback {}", ago(now, last.0))),
        None if key.status.state == "fallback" => {
            parts.push("not needed as a fallback yet".to_owned())
        }
        None => {}
    }
    let text = parts.join("; ");
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect::<String>() + ".")
        .unwrap_or_default()
}

/// The variable of a key, which remains where its kid is a number.
fn variable(key: &KeyDetails) -> Markup {
    html! { @if let Some(variable) = &key.status.variable { " in " code { (variable) } } }
}

fn bar(span: Span, key: &KeyDetails) -> Markup {
    let segments = span.segments(key);
    let states: Vec<_> = segments.iter().map(|segment| segment.state).collect();
    html! {
        svg.bar viewBox=(format!("0 0 {WIDTH} 24")) preserveAspectRatio="none" role="img"
            aria-label=(format!("Time line of {}: {}", key.status.kid, states.join(", then "))) {
            @for segment in &segments {
                rect data-state=(segment.state) x=(segment.x) y="4" width=(segment.width) height="16"
                    fill=(format!("url(#{})", segment.state)) {}
            }
            line.now-line x1=(WIDTH / 2) x2=(WIDTH / 2) y1="0" y2="24" stroke-width="4" {}
        }
    }
}

/// What fills a bar: a pattern for each state, so that no colour is the only sign.
fn patterns() -> Markup {
    html! {
        svg.defs aria-hidden="true" focusable="false" {
            defs {
                pattern id="primary" patternUnits="userSpaceOnUse" width="8" height="8" {
                    rect.primary-fill width="8" height="8" {}
                }
                pattern id="fallback" patternUnits="userSpaceOnUse" width="16" height="16" {
                    path.fallback-stroke d="M-4 4 L4 -4 M0 16 L16 0 M12 20 L20 12" stroke-width="5" {}
                }
                pattern id="staged" patternUnits="userSpaceOnUse" width="16" height="8" {
                    circle.staged-fill cx="5" cy="4" r="2.6" {}
                }
                pattern id="expired" patternUnits="userSpaceOnUse" width="24" height="24" {
                    path.gone-stroke d="M0 12 H12" stroke-width="2" {}
                }
                pattern id="revoked" patternUnits="userSpaceOnUse" width="24" height="24" {
                    path.revoked-stroke d="M4 6 L20 18 M20 6 L4 18" stroke-width="2" {}
                }
            }
        }
    }
}

fn legend() -> Markup {
    let states = [
        ("staged", "staged: verifies, does not sign yet"),
        ("primary", "primary: signs and verifies"),
        ("fallback", "overlap: verifies only"),
        ("expired", "expired: verifies nothing any more"),
        ("revoked", "revoked: verifies nothing"),
    ];
    html! {
        ul.legend {
            @for (state, text) in states {
                li {
                    svg.swatch viewBox="0 0 64 24" aria-hidden="true" focusable="false" {
                        rect y="4" width="64" height="16" fill=(format!("url(#{state})")) {}
                    }
                    " " (text)
                }
            }
        }
    }
}

fn verdict(ring: &Ring, key: &KeyDetails, verdict: &VerdictJson<Moment>) -> Markup {
    let who = if ring.is_fleet { "" } else { ", as far as this process can tell" };
    html! {
        p data-verdict=(verdict.answer) {
            "May it go? " span class=(format!("answer {}", verdict.answer)) { (verdict.answer) }
            @match (verdict.answer, verdict.until) {
                (_, Some(until)) => { " until " (moment(ring.now.0, until.0)) "." }
                ("safe", _) if key.status.state == "fallback" => { ": nothing that is valid needs it" (who) "." }
                ("safe", _) => { ": its secret may be destroyed" (who) "." }
                _ => { ":" }
            }
        }
        @if !verdict.reasons.is_empty() {
            ul { @for reason in &verdict.reasons { li { (reason) } } }
        }
    }
}

fn uses(ring: &Ring) -> Markup {
    let window = Length(Duration::from_secs(ring.observation_window_seconds));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(format!("Uses of {}", ring.name)) {
            table {
                caption { "Verified and signed within the last " (format!("{window:#}")) }
                thead {
                    tr {
                        th scope="col" { "instance" }
                        @for key in &ring.keys { th scope="col" { code { (key.status.kid) } (variable(key)) " " (key.status.state) } }
                        th scope="col" { "keys held" }
                    }
                }
                tbody {
                    @for report in &ring.instances { (instance(ring, report)) }
                }
            }
        }
    }
}

fn instance(ring: &Ring, report: &Instance) -> Markup {
    html! {
        tr data-instance=(report.name) {
            th scope="row" { (report.name) }
            @for uses in &report.uses {
                td data-kid=(uses.kid) data-primary=(uses.verified_as_primary)
                    data-fallback=(uses.verified_as_fallback) data-signed=(uses.signed) {
                    (uses.verified_as_primary.saturating_add(uses.verified_as_fallback)) " verified"
                    @if uses.verified_as_fallback > 0 {
                        br; (uses.verified_as_fallback) " as a fallback"
                    }
                    @if uses.signed > 0 { br; (uses.signed) " signed" }
                }
            }
            td {
                @match (report.may_run, report.agrees) {
                    _ if report.problem.is_some() => "unknown",
                    _ if report.has_stopped => "stopped",
                    (false, _) => "gone",
                    (true, true) => "these",
                    (true, false) => "others",
                }
                br;
                span.soft { "said " (ago(ring.now.0, report.reported_at.0)) }
                @if let Some(problem) = &report.problem {
                    br; span.blocked { "cannot read its report: " (problem) }
                }
                @if report.is_from_the_future {
                    br; span.blocked { "reported from the future: its clock was ahead" }
                }
            }
        }
    }
}

fn facts(ring: &Ring) -> Markup {
    let now = ring.now.0;
    let none = || "none".to_owned();
    html! {
        dl {
            div { dt { "Generation" } dd data-fact="generation" { (ring.generation) } }
            div { dt { "Fingerprint" } dd data-fact="fingerprint" { code { (ring.fingerprint) } } }
            div {
                dt { "Next change by itself" }
                dd { (ring.next_transition.map_or_else(none, |time| moment(now, time.0))) }
            }
            div {
                dt { "Next rotation due" }
                dd { (ring.rotation_due.map_or_else(|| "no schedule".to_owned(), |time| moment(now, time.0))) }
            }
            div { dt { "Overlap" } dd { (format!("{:#}", Length(Duration::from_secs(ring.overlap_seconds)))) } }
            @if let Some(store) = &ring.store {
                div { dt { "Revision" } dd data-fact="revision" { (ring.revision) } }
                div {
                    dt { "Last reload" }
                    dd data-fact="last-reload" {
                        (ago(now, store.last_reload.0)) ", " (store.reloads) " changes since the start"
                    }
                }
                div {
                    dt { "Failed reloads" }
                    dd { (store.failures) ", " (store.failures_in_a_row) " in a row up to now" }
                }
            } @else {
                div { dt { "Store" } dd { "none: what is changed here is gone at a restart" } }
            }
        }
        @if let Some(store) = &ring.store {
            @for error in &store.errors { p.blocked { "The store: " (error) } }
        }
    }
}

fn time(time: Moment) -> Markup {
    let text = time.text().unwrap_or_else(|| "a time beyond the calendar".to_owned());
    html! { time datetime=(text) { (clock(time.0)) } }
}

/// A moment, and how far it is.
pub(super) fn moment(now: SystemTime, time: SystemTime) -> String {
    if time > now {
        format!("{} ({})", clock(time), time_until(now, time))
    } else {
        format!("{} ({})", clock(time), ago(now, time))
    }
}

fn clock(time: SystemTime) -> String {
    match jiff::Timestamp::try_from(time) {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "beyond the calendar".to_owned(),
    }
}

pub(super) fn ago(now: SystemTime, moment: SystemTime) -> String {
    match now.duration_since(moment) {
        Ok(since) => format!("{:#} ago", Length(since)),
        Err(ahead) => format!("in {:#}", Length(ahead.duration())),
    }
}

fn time_until(now: SystemTime, moment: SystemTime) -> String {
    format!("in {:#}", Length(moment.duration_since(now).unwrap_or_default()))
}
