//! How long an agent's service asks to be left alone.

use std::sync::LazyLock;

use regex::Regex;

use super::report::epoch;
use crate::engine::model::Millis;

/// `Retry-After: 12`, `"retry_after": 12.5`, `"retryAfterMs": 250`, `"retryDelay": "8s"`, and the three forms of an HTTP date:
/// `Wed, 21 Oct 2026 07:28:00 GMT`, `Wednesday, 21-Oct-26 07:28:00 GMT`, `Wed Oct 21 07:28:00 2026`.
static RETRY_AFTER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let day = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
    let fixed = format!(r"{day}, \d{{1,2}} \w{{3}} \d{{4}} \d{{2}}:\d{{2}}:\d{{2}} (?:GMT|UTC|[+-]\d{{4}})");
    let older = format!(r"{day}[a-z]*, \d{{1,2}}-\w{{3}}-\d{{2}} \d{{2}}:\d{{2}}:\d{{2}} (?:GMT|UTC)");
    let plain = format!(r"{day} \w{{3}} {{1,2}}\d{{1,2}} \d{{2}}:\d{{2}}:\d{{2}} \d{{4}}");
    Regex::new(&format!(
        r#"(?i)retry[-_ ]?(?:after|delay)(?:[-_]?(ms|millis|milliseconds))?["']?\s*[:=]?\s*["']?(?:({fixed}|{older}|{plain})|(\d+(?:\.\d+)?(?:e\d+)?)\s*(ms|milliseconds|m|min|minutes|s|secs?|seconds)?\b)"#
    ))
    .ok()
});

/// `try again in 20s`, `retry after 1m30s`: what follows is read by [`span`].
static AGAIN: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\b(?:try again|retry) (?:in|after)\s+").ok());

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
    let Some(found) = RETRY_AFTER.as_ref()?.captures_iter(text).last() else {
        return again(text);
    };
    if let Some(date) = found.get(2) {
        return Some(moment(date.as_str())?.since(now));
    }
    let number: f64 = found.get(3)?.as_str().parse().ok()?;
    // A unit behind the number is nearer to it than the key's.
    let unit = match found.get(4).or(found.get(1)).map(|u| u.as_str().to_ascii_lowercase()).as_deref() {
        Some("ms" | "millis" | "milliseconds") => 1.0,
        Some("m" | "min" | "minutes") => 60_000.0,
        _ => 1000.0,
    };
    // A float that is too large becomes the largest integer; absurd, but the engine caps it.
    #[allow(clippy::cast_possible_truncation)]
    Some(Millis((number * unit) as i64))
}

/// The wait that the last `try again in …` of `text` asks for; never negative, not capped.
pub(super) fn again(text: &str) -> Option<Millis> {
    let found = AGAIN.as_ref()?.find_iter(text).filter_map(|found| span(&text[found.end()..]));
    found.last()
}

/// A span as people and services write it at the beginning of `text`: `1m30s`, `6.5s`, `2 days 3 hours and 5 minutes`. A
/// number without a unit, or with one that nobody knows, ends it; `None` where nothing comes before that.
fn span(text: &str) -> Option<Millis> {
    let (mut rest, mut sum) = (text, None::<f64>);
    loop {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let behind = rest[number..].trim_start_matches(' ');
        let unit = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let Some((value, unit_ms)) = rest[..number].parse::<f64>().ok().zip(millis(&behind[..unit])) else {
            break;
        };
        sum = Some(sum.unwrap_or(0.0) + value * unit_ms);
        rest = behind[unit..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
    // A float that is too large becomes the largest integer; absurd, but the engine caps it.
    #[allow(clippy::cast_possible_truncation)]
    sum.map(|ms| Millis(ms as i64))
}

/// Milliseconds of a unit.
fn millis(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => 1.0,
        "s" | "sec" | "secs" | "second" | "seconds" => 1000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        _ => return None,
    })
}

/// The moment of a date. Whoever computes one may get its day of the week wrong, or a year that no calendar of ours has:
/// that is as far ahead as can be, and the engine caps it.
fn moment(date: &str) -> Option<Millis> {
    let plain = match date.split_once(", ") {
        Some((_, plain)) => plain.replace("UTC", "GMT"),
        None => date.to_owned(),
    };
    let words: Vec<&str> = plain.split([' ', '-']).filter(|word| !word.is_empty()).collect();
    let plain = match words.as_slice() {
        [_, month, day, time, year] if !date.contains(", ") => format!("{day} {month} {year} {time} GMT"),
        // Two digits are of the century in which they make a year since the epoch.
        [day, month, year, time, zone] if year.len() == 2 => {
            let century = if year.parse::<u8>().ok()? < 70 { 20 } else { 19 };
            format!("{day} {month} {century}{year} {time} {zone}")
        }
        _ => plain,
    };
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
            (
                r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"8s"}"#,
                Some(8_000),
            ),
            ("Retry-After: 1e9", Some(1_000_000_000_000)),
            ("retry-after: 250 ms", Some(250)),
            ("Retry-After: 7\n… Retry-After: 9", Some(9_000)),
            ("Retry-After: Wed, 21 Oct 2026 07:28:00 GMT", Some(60_000)),
            ("Retry-After: Wed, 21 Oct 2020 07:28:00 GMT", Some(0)),
            ("Retry-After: 99999999999999999999999", Some(i64::MAX)),
            // 2100 begins on a Friday.
            ("Retry-After: Wed, 01 Jan 2100 00:00:00 GMT", Some(2_309_877_180_000)),
            ("Retry-After: Fri, 31 Dec 9999 23:59:59 GMT", Some(i64::MAX - now.0)),
            ("Retry-After: Wed, 42 Oct 2026 07:28:00 GMT", None),
            // RFC 850 and asctime.
            ("Retry-After: Wednesday, 21-Oct-26 07:28:00 GMT", Some(60_000)),
            ("retry-after: Tuesday, 21-Oct-26 07:28:00 GMT", Some(60_000)),
            ("Retry-After: Sunday, 06-Nov-94 08:49:37 GMT", Some(0)),
            ("Retry-After: Wed Oct 21 07:28:00 2026", Some(60_000)),
            ("Retry-After: Sun Nov  1 07:27:00 2026", Some(11 * 86_400_000)),
            ("Retry-After: Wed Oct 42 07:28:00 2026", None),
            ("Retry-After: Wednesday, 21-Foo-26 07:28:00 GMT", None),
            // In words.
            ("Rate limit reached. Please try again in 1m30s.", Some(90_000)),
            (
                "Rate limit reached. Please try again in 6.5s. Visit https://example.com",
                Some(6_500),
            ),
            ("try again in 250ms", Some(250)),
            ("Rate limit: retry in 1h2m3s", Some(3_723_000)),
            ("try again in 2 hours, 5 minutes and 1 second", Some(7_501_000)),
            ("try again in 20s … try again in 40s", Some(40_000)),
            ("try again in 1m30s\nRetry-After: 7", Some(7_000)),
            ("try again in 5 months", None),
            ("try again in 5", None),
            ("try again in a minute", None),
            ("try again in 1.2.3s", None),
            ("try again in 99999999999999999999999h", Some(i64::MAX)),
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
