//! How long an agent's service asks to be left alone.

use std::sync::LazyLock;

use regex::Regex;

use super::report::epoch;
use crate::engine::model::Millis;

/// `Retry-After: 12`, `"retry_after": 12.5`, `"retryAfterMs": 250`, `retry-after=Wed, 21 Oct 2026 07:28:00 GMT`.
static RETRY_AFTER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let days = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} \w{3} \d{4} \d{2}:\d{2}:\d{2} (?:GMT|UTC|[+-]\d{4})";
    Regex::new(&format!(
        r#"(?i)retry[-_ ]?after(?:[-_]?(ms|millis|milliseconds))?["']?\s*[:=]?\s*["']?(?:({days})|(\d+(?:\.\d+)?)\s*(ms|milliseconds|m|min|minutes)?\b)"#
    ))
    .ok()
});

/// `Claude AI usage limit reached|1767225600`, `"resetsAt": 1767225600` (seconds since the epoch, or milliseconds).
static RESET_AT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"(?i)(?:limit reached\|\s*|"?resets_?at"?\s*[:=]\s*)(\d{9,14})\b"#).ok());

/// The wait that the last such line of `text` asks for, counted from `now`; never negative, not capped.
pub(super) fn retry_after(text: &str, now: Millis) -> Option<Millis> {
    let reset = RESET_AT
        .as_ref()
        .and_then(|re| re.captures_iter(text).last())
        .and_then(|c| c.get(1)?.as_str().parse::<i64>().ok());
    if let Some(at) = reset {
        return Some(epoch(at).since(now));
    }
    let found = RETRY_AFTER.as_ref()?.captures_iter(text).last()?;
    if let Some(date) = found.get(2) {
        return Some(moment(date.as_str())?.since(now));
    }
    let number: f64 = found.get(3)?.as_str().parse().ok()?;
    // A unit behind the number is nearer to it than the key's.
    let unit = match found.get(4).or(found.get(1)).map(|u| u.as_str().to_ascii_lowercase()).as_deref() {
        Some("ms" | "millis" | "milliseconds") => 1.0,
        Some(_) => 60_000.0,
        None => 1000.0,
    };
    // A float that is too large becomes the largest integer; absurd, but the engine caps it.
    #[allow(clippy::cast_possible_truncation)]
    Some(Millis((number * unit) as i64))
}

/// The moment of a date. Whoever computes one may get its day of the week wrong, or a year that no calendar of ours has:
/// that is as far ahead as can be, and the engine caps it.
fn moment(date: &str) -> Option<Millis> {
    let (_, plain) = date.split_once(", ")?;
    let plain = plain.replace("UTC", "GMT");
    match jiff::fmt::rfc2822::parse(&plain) {
        Ok(at) => Some(Millis(at.timestamp().as_millisecond())),
        Err(_) => plain.contains(" 9999 ").then_some(Millis(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        // 2026-10-21 07:27:00 UTC
        let now = Millis(1_792_567_620_000);
        let cases = [
            ("HTTP 429\nRetry-After: 12\n", Some(12_000)),
            (r#"{"retry_after": 1.5}"#, Some(1_500)),
            ("retry after 2 minutes", Some(120_000)),
            ("retry-after: 250 ms", Some(250)),
            ("Retry-After: 7\n… Retry-After: 9", Some(9_000)),
            ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", Some(60_000)),
            ("Retry-After: Wed, 21 Oct 2020 07:28:00 GMT", Some(0)),
            ("Retry-After: 99999999999999999999999", Some(i64::MAX)),
            // 2100 begins on a Friday.
            ("Retry-After: Wed, 01 Jan 2100 00:00:00 GMT", Some(2_309_877_180_000)),
            ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", Some(i64::MAX - now.0)),
            ("Retry-After: Wed, 42 Oct 2026 07:28:00 GMT", None),
            (r#"{"retry_after_ms":45000}"#, Some(45_000)),
            (r#"{"retryAfterMs": 45000, "x": 1}"#, Some(45_000)),
            (r#"{"retryAfter": 45}"#, Some(45_000)),
            ("retry-after-ms: 250", Some(250)),
            ("Claude AI usage limit reached|1792567680", Some(60_000)),
            ("Claude AI usage limit reached|1792567680000", Some(60_000)),
            (r#""rate_limit_info":{"resetsAt":1792567680000}"#, Some(60_000)),
            (r#""rate_limit_info":{"resetsAt":1792567680}"#, Some(60_000)),
            ("Retry-After: soon", None),
            ("nothing", None),
        ];
        for (text, want) in cases {
            assert_eq!(retry_after(text, now).map(|m| m.0), want, "{text}");
        }
    }
}
