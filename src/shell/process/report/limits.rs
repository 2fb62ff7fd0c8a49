//! What the words and status codes of model services mean.

use std::sync::LazyLock;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use regex::Regex;
use serde_json::Value;

use super::{Failure, Kind, word};
use crate::engine::model::Millis;
use crate::shell::process::retry_after::again;

macro_rules! pattern {
    ($text:expr) => {
        LazyLock::new(|| Regex::new($text).ok())
    };
}

type Pattern = LazyLock<Option<Regex>>;

static USAGE_LIMIT: Pattern = LazyLock::new(|| Regex::new(&format!("(?i){LIMIT_WORDS}")).ok());
/// The same at the beginning of a line, behind the time, and behind who speaks.
static USAGE_LIMIT_SAID: Pattern = LazyLock::new(|| {
    let speaker = r"(?:\[[^\]]*\]|[^a-z]|\b(?:t|z|error|warn|warning|api|claude|codex|ai|anthropic|openai|you|ve|have|re|are|your)\b)*";
    Regex::new(&format!("(?im)^{speaker}(?:{LIMIT_WORDS})")).ok()
});
/// What agents say at the usage limit of a subscription.
const LIMIT_WORDS: &str = r"usage limit reached|hit your (?:\w+ ){0,3}limit|(?:session|weekly|daily|opus|sonnet|usage) limit (?:·|reached|exceeded|will reset)|reached your (?:\w+ ){0,3}usage limit|out of (?:extra |your )?usage\b|\d+-hour limit (?:reached|exceeded)";
static MONEY: Pattern = pattern!(
    r"(?i)credit balance is too low|spend(?:ing)? limit reached|insufficient_quota|exceeded your current quota|billing hard limit|payment required"
);
static CREDENTIALS: Pattern = pattern!(
    r"(?i)not logged in|invalid (?:x-)?api[ -]?key|incorrect api key|oauth token (?:has |is )?(?:been )?(?:expired|revoked)|authentication_(?:error|failed)|\b401 unauthorized|please run /login|no api key"
);
/// `usage limit reached|1767225600`: seconds since the epoch, or milliseconds.
static LEGACY: Pattern = pattern!(r"(?i)limit reached\|\s*(\d{9,14})\b");
/// `resets 3:45pm`, `resets 15:45`, `resets Mon 12:00am`, `will reset at 3pm (America/Bogota)`, `resets Nov 26, 9am (UTC)`,
/// `try again at Nov 26th, 2026 3:45 PM`.
static CLOCK: Pattern = pattern!(
    r"(?ix) (?: resets? | again )\s+ (?:(?:at|on)\s+)?
      (?: (?<week>mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+ )?
      (?: (?<month>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+ (?<day>\d{1,2})(?:st|nd|rd|th)?\b (?: ,?\s+ (?<year>20\d\d)\b )? ,?\s+ )?
      (?:at\s+)? (?<hour>\d{1,2}) (?: :(?<minute>\d{2}) )? (?: \s*(?<half>[ap])\.?m\b )? (?: \s*\((?<zone>[\w/+-]+)\) )?"
);
/// Months as they are written.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// Hours for which a time of day is one that has just been.
const JUST: i64 = 1;
/// Longest wait that is counted on from now: some three years. Nobody believes it, but it is a moment.
const SPAN_MOST: Millis = Millis::secs(100_000_000);

/// How a line begins in which a service or a connection speaks, and not somebody who tells of work.
static SERVICE: Pattern = pattern!(
    r#"(?im)^[\s"'\[({]*(?:claude|anthropic|api|http|network|fetch|request|server|service|upstream|connection|socket|stream|overloaded|rate|too many|timed? ?out|timeout|(?:(?:connect|read|write|getaddrinfo) )?e(?:conn\w*|timed\w*|ai_again|notfound|pipe)|error|\d{3})\b"#
);

/// What agents say of a service or a connection that fails for a while, at the beginning of a line of theirs.
static WEATHER: Pattern = pattern!(
    r"(?imx) ^[\s'(]* (?: (?:api\ )?error:?\s* \(?5\d\d\b
      | (?: (?:api\ )?error:?\s* )? \(? (?: (?:unexpected|http)\ status(?:\ code)?:?\ (?:429|5\d\d)\b
        | (?:connection|stream)\ (?:error|lost|failed|closed|reset|refused|aborted|timed\ out|disconnected)
        | server\ is\ temporarily | repeated\ 529 | request\ (?:timed\ out|rejected\ \(429\)) | rate\ limit\ reached
        | (?:typeerror:\ )?fetch\ failed | network\ error | transport\ error | idle\ timeout | error\ sending\ request
        | internal\ server\ error | bad\ gateway | service\ unavailable | gateway\ time-?out | overloaded
        | we(?:'|’)re\ currently\ experiencing\ high\ demand | selected\ model\ is\ at\ capacity ) )"
);

/// Whether a line of it is a service's or a connection's own error.
pub(in crate::shell::process) fn of_service(text: &str) -> bool {
    text.split("\\n").any(|line| says(&SERVICE, line))
}

/// Numbers beyond this are no seconds since the epoch any more.
const SECONDS_MOST: i64 = 100_000_000_000;

fn says(pattern: &Pattern, text: &str) -> bool {
    pattern.as_ref().is_some_and(|p| p.is_match(text))
}

/// A moment since the epoch as a number: of seconds, or of milliseconds where it would lie thousands of years ahead.
pub(in crate::shell::process) fn epoch(number: i64) -> Millis {
    if number > SECONDS_MOST {
        Millis(number)
    } else {
        Millis::secs(number.max(0))
    }
}

/// The same as whatever a document has it: a number, one with a fraction, one in quotes, or a date and a time.
pub(super) fn moment(value: &Value) -> Option<Millis> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|n| n.is_finite());
    let at = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(at) => return Some(Millis(at.as_millisecond())),
            Err(_) => number(text),
        },
        _ => None,
    }?;
    // A float that is too large becomes the largest integer; absurd, but nobody believes it.
    #[allow(clippy::cast_possible_truncation)]
    Some(epoch(at as i64))
}

/// Whether it is the usage limit of a subscription, and until when if that is said as a number.
pub(in crate::shell::process) fn usage_limit(text: &str) -> Option<Option<Millis>> {
    let legacy = LEGACY.as_ref().and_then(|p| p.captures(text)?.get(1)?.as_str().parse().ok());
    match legacy {
        Some(at) => Some(Some(epoch(at))),
        None => says(&USAGE_LIMIT, text).then_some(None),
    }
}

/// The same of a line without any structure: it begins with it, or with who says it. `The page says: usage limit reached` is
/// of somebody's work.
pub(in crate::shell::process) fn usage_limit_said(text: &str) -> Option<Option<Millis>> {
    let line = text.lines().rev().find(|line| says(&USAGE_LIMIT_SAID, line))?;
    usage_limit(line)
}

/// Whether a line of it begins with what agents say of a service or a connection that fails for a while.
pub(in crate::shell::process) fn weather_said(text: &str) -> bool {
    text.split("\\n").any(|line| says(&WEATHER, line))
}

/// What a status code means; without one, the words.
pub(super) fn kind(code: Option<u64>, text: &str) -> Kind {
    if says(&MONEY, text) {
        return Kind::Lasting("there is no money left");
    }
    match code {
        Some(401 | 403) => Kind::Lasting("its credentials are not accepted"),
        Some(408 | 425 | 429 | 500..=599) => Kind::Weather,
        Some(400..=499) => Kind::Lasting("the service refuses the request"),
        _ => of_text(text),
    }
}

/// The error of a service in the service's own document: `{"type":"error","error":{"type":"overloaded_error", …}}`,
/// `{"error":{"code":429, …}}`.
pub(super) fn passed_on(doc: &Value) -> Option<Failure> {
    let error = doc.get("error").filter(|error| error.is_object())?;
    if !matches!(word(doc, "type"), "" | "error") {
        return None;
    }
    let code = ["code", "status"].into_iter().find_map(|key| error.get(key)?.as_u64());
    let kind = match word(error, "type") {
        "rate_limit_error" | "overloaded_error" | "api_error" | "timeout_error" | "server_error" => Kind::Weather,
        "authentication_error" | "permission_error" => Kind::Lasting("its credentials are not accepted"),
        _ => kind(code.filter(|code| (400..600).contains(code)), word(error, "message")),
    };
    // All of it: how long it asks to be left alone may stand beside.
    Some(Failure::new(kind, doc.to_string()))
}

/// What words mean without any structure.
pub(super) fn of_text(text: &str) -> Kind {
    if says(&MONEY, text) {
        Kind::Lasting("there is no money left")
    } else if says(&CREDENTIALS, text) {
        Kind::Lasting("its credentials are not accepted")
    } else {
        let else_ = if text.split("\\n").any(|line| says(&WEATHER, line)) {
            Kind::Weather
        } else {
            Kind::Unknown
        };
        usage_limit(text).map_or(else_, Kind::Limit)
    }
}

/// The end of a limit as words tell it, seen from `now`: a time of day is the next one, in the
/// zone it names, else in ours.
pub(in crate::shell::process) fn until(text: &str, now: Millis) -> Option<Millis> {
    if let Some(span) = again(text) {
        return Some(now.plus(span.min(SPAN_MOST)));
    }
    let found = CLOCK.as_ref()?.captures_iter(text).last()?;
    let part = |name: &str| found.name(name).map(|m| m.as_str());
    let zone = match part("zone") {
        Some(name) => TimeZone::get(name).ok()?,
        None => TimeZone::system(),
    };
    let now = Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone);
    let hour: i8 = part("hour")?.parse().ok()?;
    let hour = match part("half").map(|half| half.eq_ignore_ascii_case("p")) {
        Some(afternoon) => Some(hour % 12 + if afternoon { 12 } else { 0 }).filter(|_| (1..=12).contains(&hour)),
        // Without minutes it may be a number of anything.
        None => Some(hour).filter(|h| (0..=23).contains(h) && part("minute").is_some()),
    }?;
    let minute: i8 = part("minute").map_or(Some(0), |m| m.parse().ok())?;
    match (part("month"), part("day")) {
        (Some(month), Some(day)) => dated(&now, (part("year"), month, day), hour, minute),
        _ => next(&now, part("week").and_then(weekday), hour, minute),
    }
}

/// A day of a month, of this year or of the one in which it comes next.
fn dated(now: &Zoned, (year, month, day): (Option<&str>, &str, &str), hour: i8, minute: i8) -> Option<Millis> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let (month, day): (i8, i8) = (i8::try_from(month + 1).ok()?, day.parse().ok()?);
    let at = |year: i16| {
        let at = Date::new(year, month, day).ok()?.at(hour, minute.clamp(0, 59), 0, 0);
        at.to_zoned(now.time_zone().clone()).ok()
    };
    let at = match year {
        Some(year) => at(year.parse().ok()?),
        // One of yesterday is over; one of months ago is of the year to come.
        None => [now.year(), now.year().saturating_add(1)]
            .into_iter()
            .filter_map(at)
            .find(|at| *at > now.saturating_sub(30.days())),
    }?;
    Some(Millis(at.timestamp().as_millisecond()))
}

/// The next time the clock shows this, on this day of the week; where it has just shown it, that time: what is told to the minute,
/// or to the hour, may be over when it is read, and no limit is told a whole day ahead by the time of day.
fn next(now: &Zoned, day: Option<Weekday>, hour: i8, minute: i8) -> Option<Millis> {
    let since = now.saturating_sub(JUST.hours());
    (-1..8).find_map(|days| {
        let date = now.date().checked_add(days.days()).ok()?;
        let at = date.at(hour, minute.clamp(0, 59), 0, 0).to_zoned(now.time_zone().clone()).ok()?;
        (at > since && day.is_none_or(|d| d == date.weekday())).then(|| Millis(at.timestamp().as_millisecond()))
    })
}

fn weekday(text: &str) -> Option<Weekday> {
    Some(match text.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}
