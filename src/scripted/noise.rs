//! What it prints.

use std::io::Write as _;

use super::work::ok;
use super::{Failure, Stage};

/// The model's API had enough of us.
pub(super) fn limited() -> i32 {
    println!("Thinking …");
    eprintln!("API Error: 429 {{\"type\":\"error\",\"error\":{{\"type\":\"rate_limit_error\",\"message\":\"Too many requests\"}}}}");
    eprintln!("Retry-After: 1");
    1
}

/// Talks about rate limits, and does well.
pub(super) fn mention(stage: &Stage) -> Result<i32, Failure> {
    println!("The handler must answer 429 with Retry-After when the rate limit is reached; a timeout must not be retried.");
    ok(stage)
}

/// Prints a lot, some of it not fit for terminals, and does well.
pub(super) fn noisy(stage: &Stage, lines: u64) -> Result<i32, Failure> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for n in 1..=lines {
        match n % 5 {
            0 => out.write_all(b"not UTF-8: \xff\xfe\xc3\x28 \xf0\x9f\n")?,
            1 => writeln!(out, "line {n}: \x1b[31mred\x1b[0m \x1b]0;another title\x07 \x1b[2J")?,
            2 => writeln!(out, "line {n}: \u{202e}backwards\u{202c} <script>alert(1)</script>")?,
            3 => write!(out, "line {n}: progress\r100 %\r\n")?,
            _ => writeln!(out, "line {n}: {}", "and so on ".repeat(8))?,
        }
    }
    out.flush()?;
    drop(out);
    ok(stage)
}
