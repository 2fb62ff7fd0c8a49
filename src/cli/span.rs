//! Times and spans as people say them.

use crate::engine::model::Millis;

/// A span: `45 s`, `3 min`, `2 h 05 min`, `4 d 3 h`.
#[must_use]
pub fn span(ms: i64) -> String {
    let secs = ms.max(0) / 1000;
    let (mins, hours, days) = (secs / 60, secs / 3600, secs / 86_400);
    match () {
        () if secs < 60 => format!("{secs} s"),
        () if mins < 60 => format!("{mins} min"),
        () if hours < 24 => format!("{hours} h {:02} min", mins % 60),
        () => format!("{days} d {} h", hours % 24),
    }
}

/// How long ago: `3 min ago`, `just now`; a time ahead is told as such.
#[must_use]
pub fn ago(at: Millis, now: Millis) -> String {
    let past = now.0.saturating_sub(at.0);
    match past {
        ..=-1000 => format!("in {}", span(past.saturating_neg())),
        -999..=999 => "just now".to_owned(),
        _ => format!("{} ago", span(past)),
    }
}

/// The time of day here; with the date when it was not today.
#[must_use]
pub fn clock(at: Millis, now: Millis) -> String {
    let zone = jiff::tz::TimeZone::system();
    let here = |t: Millis| jiff::Timestamp::from_millisecond(t.0).map(|t| t.to_zoned(zone.clone()));
    match (here(at), here(now)) {
        (Ok(then), Ok(today)) if then.date() == today.date() => then.strftime("%H:%M:%S").to_string(),
        (Ok(then), _) => then.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        _ => at.0.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_ages() {
        assert_eq!(span(-5), "0 s");
        assert_eq!(span(59_999), "59 s");
        assert_eq!(span(180_000), "3 min");
        assert_eq!(span(7_500_000), "2 h 05 min");
        assert_eq!(span(356_400_000), "4 d 3 h");
        assert_eq!(ago(Millis(0), Millis(200_000)), "3 min ago");
        assert_eq!(ago(Millis(500), Millis(0)), "just now");
        assert_eq!(ago(Millis(20_000), Millis(0)), "in 20 s");
        assert!(ago(Millis(i64::MIN), Millis(i64::MAX)).contains("ago"));
        assert_eq!(clock(Millis(i64::MAX), Millis(0)), i64::MAX.to_string());
    }
}
