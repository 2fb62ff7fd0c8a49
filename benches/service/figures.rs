//! Figures of many measurements.

use std::time::Duration;

/// Times in order.
pub struct Times(Vec<Duration>);

impl Times {
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort();
        Self(all)
    }

    /// The time below which this part of them lies, from 0 to 1.
    pub fn quantile(&self, part: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (last as f64 * part).ceil() as usize;
        self.0.get(at.min(last)).copied().unwrap_or_default()
    }

    /// Prints median, 99th percentile and worst.
    pub fn show(&self, what: &str, goal: &str) {
        let ms = |d: Duration| d.as_secs_f64() * 1e3;
        println!(
            "{what:<44} p50 {:>8.1} ms  p99 {:>8.1} ms  worst {:>8.1} ms  of {}   {goal}",
            ms(self.quantile(0.5)),
            ms(self.quantile(0.99)),
            ms(self.quantile(1.0)),
            self.0.len()
        );
    }
}
