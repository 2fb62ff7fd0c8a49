//! What the words and status codes of model services mean.

use std::sync::LazyLock;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use regex::Regex;

use super::Kind;
use crate::engine::model::Millis;
use crate::shell::process::retry_after::again;

macro_rules! pattern {
    ($text:expr) => {
        LazyLock::new(|| Regex::new($text).ok())
    };
}

type Pattern = LazyLock<Option<Regex>>;

static USAGE_LIMIT: Pattern = pattern!(
    r"(?i)usage limit reached|hit your (?:\w+ ){0,3}limit|(?:session|weekly|daily|opus|sonnet|usage) limit (?:·|reached|exceeded|will reset)|reached your (?:\w+ ){0,3}usage limit"
);
static MONEY: Pattern = pattern!(
    r"(?i)credit balance is too low|spend(?:ing)? limit reached|insufficient_quota|exceeded your current quota|billing hard limit|payment required"
);
static CREDENTIALS: Pattern = pattern!(
    r"(?i)not logged in|invalid (?:x-)?api[ -]?key|incorrect api key|oauth token (?:has |is )?(?:been )?(?:expired|revoked)|authentication_(?:error|failed)|\b401 unauthorized|please run /login|no api key"
);
/// `usage limit reached|1767225600`: seconds since the epoch, or milliseconds.
static LEGACY: Pattern = pattern!(r"(?i)limit reached\|\s*(\d{9,14})\b");
/// `resets 3:45pm`, `resets 15:45`, `resets Mon 12:00am`, `will reset at 3pm (America/Bogota)`.
static CLOCK: Pattern = pattern!(
    r"(?i)resets?\s+(?:at\s+|on\s+)?(?:(mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?(?:at\s+)?(\d{1,2})(?::(\d{2}))?(?:\s*([ap])\.?m\b)?(?:\s*\(([\w/+-]+)\))?"
);
/// Longest wait that is counted on from now: some three years. Nobody believes it, but it is a moment.
const SPAN_MOST: Millis = Millis::secs(100_000_000);

/// How a line begins in which a service or a connection speaks, and not somebody who tells of work.
static SERVICE: Pattern = pattern!(
    r#"(?im)^[\s"'\[({]*(?:claude|anthropic|api|http|network|fetch|request|server|service|upstream|connection|socket|stream|overloaded|rate|too many|timed? ?out|timeout|(?:(?:connect|read|write|getaddrinfo) )?e(?:conn\w*|timed\w*|ai_again|notfound|pipe)|error|\d{3})\b"#
);

/// Whether a line of it is a service's or a connection's own error.
pub(super) fn of_service(text: &str) -> bool {
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

/// Whether it is the usage limit of a subscription, and until when if that is said as a number.
pub(in crate::shell::process) fn usage_limit(text: &str) -> Option<Option<Millis>> {
    let legacy = LEGACY.as_ref().and_then(|p| p.captures(text)?.get(1)?.as_str().parse().ok());
    match legacy {
        Some(at) => Some(Some(epoch(at))),
        None => says(&USAGE_LIMIT, text).then_some(None),
    }
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

/// What words mean without any structure.
pub(super) fn of_text(text: &str) -> Kind {
    if says(&MONEY, text) {
        Kind::Lasting("there is no money left")
    } else if says(&CREDENTIALS, text) {
        Kind::Lasting("its credentials are not accepted")
    } else {
        usage_limit(text).map_or(Kind::Unknown, Kind::Limit)
    }
}

/// The end of a limit as words tell it, seen from `now`: a time of day is the next one, in the
/// zone it names, else in ours.
pub(in crate::shell::process) fn until(text: &str, now: Millis) -> Option<Millis> {
    if let Some(span) = again(text) {
        return Some(now.plus(span.min(SPAN_MOST)));
    }
    let found = CLOCK.as_ref()?.captures_iter(text).last()?;
    let zone = match found.get(5) {
        Some(name) => TimeZone::get(name.as_str()).ok()?,
        None => TimeZone::system(),
    };
    let day = found.get(1).and_then(|d| weekday(d.as_str()));
    let hour: i8 = found[2].parse().ok()?;
    let hour = match found.get(4).map(|half| half.as_str().eq_ignore_ascii_case("p")) {
        Some(afternoon) => Some(hour % 12 + if afternoon { 12 } else { 0 }).filter(|_| (1..=12).contains(&hour)),
        // Without minutes it may be a number of anything.
        None => Some(hour).filter(|h| (0..=23).contains(h) && found.get(3).is_some()),
    }?;
    let minute: i8 = found.get(3).map_or(Some(0), |m| m.as_str().parse().ok())?;
    next(&Timestamp::from_millisecond(now.0).ok()?.to_zoned(zone), day, hour, minute)
}

/// The next time the clock shows this, on this day of the week.
fn next(now: &Zoned, day: Option<Weekday>, hour: i8, minute: i8) -> Option<Millis> {
    (0..8).find_map(|days| {
        let date = now.date().checked_add(days.days()).ok()?;
        let at = date.at(hour, minute.clamp(0, 59), 0, 0).to_zoned(now.time_zone().clone()).ok()?;
        (at > *now && day.is_none_or(|d| d == date.weekday())).then(|| Millis(at.timestamp().as_millisecond()))
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
