//! How long something takes, as people say it.

use super::Millis;

/// A wait in words: `45 s`, `25 min`, `6 h 25 min`, `4 d 3 h`. Never shorter than it is.
#[must_use]
pub fn lasting(wait: Millis) -> String {
    let up = |unit: i64| wait.0.max(0).saturating_add(unit - 1) / unit;
    let (secs, mins, hours) = (up(1000), up(60_000), up(3_600_000));
    match () {
        () if secs < 120 => format!("{secs} s"),
        () if mins < 60 => format!("{mins} min"),
        () if mins < 24 * 60 && mins % 60 == 0 => format!("{} h", mins / 60),
        () if mins < 24 * 60 => format!("{} h {} min", mins / 60, mins % 60),
        () if hours % 24 == 0 => format!("{} d", hours / 24),
        () => format!("{} d {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_the_units_of_people() {
        let of = |ms: i64| lasting(Millis(ms));
        assert_eq!(of(-5), "0 s");
        assert_eq!(of(1), "1 s");
        assert_eq!(of(119_000), "119 s");
        assert_eq!(of(119_001), "2 min");
        assert_eq!(of(3_600_000), "1 h");
        assert_eq!(of(23_080_000), "6 h 25 min");
        assert_eq!(of(86_400_000), "1 d");
        assert_eq!(of(356_400_000), "4 d 3 h");
        assert!(of(i64::MAX).ends_with(" h"), "{}", of(i64::MAX));
    }
}
