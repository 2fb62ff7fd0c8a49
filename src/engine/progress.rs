//! The no-progress breaker: work that fails in the same way again and again, or that is sent back
//! again and again without changing anything, is not paid for once more.

use crate::engine::model::{Kill, Millis, Name, RunEnd, RunReport};

/// Characters of a failure that make up its signature.
const SIGNATURE: usize = 600;
/// A word this long of hexadecimal digits alone names a commit or the like.
const HEX_WORD: usize = 7;

/// Why a job would only repeat what was done before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// How often.
    pub times: u32,
    /// What happened, for people.
    pub what: String,
    /// When it happened last.
    pub since: Millis,
}

/// What is known of a job's past: since a person last had a word in it, newest first.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Past {
    /// What its agent was sent back with, and when; the waiting job's own first.
    pub notes: Vec<(Millis, String)>,
    /// How runs of the task ended, and when.
    pub reports: Vec<(Millis, RunReport)>,
}

/// Whether the slot's next run would be the same thing once more, after `limit` times.
#[must_use]
pub fn stuck(limit: u32, slot: &Name, writer: bool, past: &Past) -> Option<Stuck> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
    failed_alike(limit, slot, past)
        .or_else(|| sent_back_alike(limit, past))
        .or_else(|| changed_nothing(limit, slot, past).filter(|_| writer))
}

/// The last runs ended with the same failure.
fn failed_alike(limit: usize, slot: &Name, past: &Past) -> Option<Stuck> {
    let ends = past.reports.iter().filter(|(_, r)| r.slot == *slot && says_something(&r.end));
    let last: Vec<_> = ends.take(limit).collect();
    let (at, newest) = last.first()?;
    let signed = |r: &RunReport| (r.end.outcome(), signature(&r.end.detail()));
    let alike = last.len() == limit && fails(&newest.end) && last.iter().all(|(_, r)| signed(r) == signed(newest));
    alike.then(|| Stuck {
        times: count(limit),
        what: format!(
            "the last {limit} runs of {slot} ended in the same way: {}",
            short(&newest.end.detail())
        ),
        since: *at,
    })
}

/// It is sent back for the same reason as before.
fn sent_back_alike(limit: usize, past: &Past) -> Option<Stuck> {
    let last: Vec<_> = past.notes.iter().take(limit).collect();
    let (at, newest) = last.first()?;
    let alike = last.len() == limit && !newest.trim().is_empty() && last.iter().all(|(_, n)| signature(n) == signature(newest));
    alike.then(|| Stuck {
        times: count(limit),
        what: format!("it is sent back for the same reason, {limit} times now: {}", short(newest)),
        since: *at,
    })
}

/// Its last runs ended well and left the code as it was, although they were sent back to change it.
fn changed_nothing(limit: usize, slot: &Name, past: &Past) -> Option<Stuck> {
    if past.notes.len() < limit {
        return None;
    }
    let heads: Vec<_> = past.reports.iter().filter(|(_, r)| r.head.is_some()).collect();
    let subject = |r: &RunReport| r.head.as_ref().map(|h| h.subject.clone());
    let idle = heads.windows(2).filter(|pair| pair[0].1.slot == *slot);
    let last: Vec<_> = idle.take(limit).collect();
    let at = last.first()?[0].0;
    let still = last.len() == limit && last.iter().all(|pair| subject(&pair[0].1) == subject(&pair[1].1));
    still.then(|| Stuck {
        times: count(limit),
        what: format!("the last {limit} runs of {slot} were sent back and changed nothing of the code"),
        since: at,
    })
}

/// Whether an end tells anything about the work: weather, limits, stops and crashes do not.
fn says_something(end: &RunEnd) -> bool {
    fails(end) || matches!(end, RunEnd::Ok)
}

fn fails(end: &RunEnd) -> bool {
    matches!(
        end,
        RunEnd::NoOutput
            | RunEnd::Denied { .. }
            | RunEnd::Ignored { .. }
            | RunEnd::OutOfScope { .. }
            | RunEnd::Permanent { .. }
            | RunEnd::Killed(Kill::Deadline)
    )
}

/// What stays the same when the same thing fails again: words without numbers and without names of commits.
fn signature(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let hex = word.len() >= HEX_WORD && word.chars().all(|c| c.is_ascii_hexdigit());
        let mut number = hex;
        if hex {
            out.push('#');
        }
        for c in word.chars().filter(|_| !hex) {
            if !c.is_ascii_digit() {
                out.extend(c.to_lowercase());
            } else if !number {
                out.push('#');
            }
            number = c.is_ascii_digit();
        }
    }
    out.chars().take(SIGNATURE).collect()
}

fn short(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().collect();
    line.join(" ").chars().take(200).collect()
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{Head, JobId, RunId, Seq, Usage};

    fn report(n: i64, slot: &str, end: RunEnd, subject: Option<&str>) -> (Millis, RunReport) {
        let report = RunReport {
            run: RunId(n),
            job: JobId(n),
            visit: 1,
            slot: slot.into(),
            end,
            start: None,
            head: subject.map(|s| Head {
                sha: format!("{n}"),
                subject: s.to_owned(),
            }),
            nonce: String::new(),
            wrote: Vec::new(),
            usage: Usage::default(),
            heard: Seq(0),
        };
        (Millis(n), report)
    }

    fn bad(detail: &str) -> RunEnd {
        RunEnd::Permanent { detail: detail.to_owned() }
    }

    fn newest_first(mut reports: Vec<(Millis, RunReport)>, notes: &[&str]) -> Past {
        reports.reverse();
        let notes = notes
            .iter()
            .rev()
            .enumerate()
            .map(|(n, t)| (Millis(100 - n as i64), (*t).to_owned()));
        Past {
            notes: notes.collect(),
            reports,
        }
    }

    fn what(past: &Past) -> String {
        stuck(3, &"developer".into(), true, past).map(|s| s.what).unwrap_or_default()
    }

    #[test]
    fn no_progress_the_same_failure_three_times_whatever_its_numbers() {
        let fail = |n: i64| {
            report(
                n,
                "developer",
                bad(&format!("exit 1 (log runs/{n}.log): commit {n}abcdef{n} broke at line 1{n}")),
                None,
            )
        };
        let all = vec![fail(1), fail(2), fail(3)];
        assert!(
            what(&newest_first(all.clone(), &[])).contains("the last 3 runs of developer ended in the same way: exit 1"),
            "{}",
            what(&newest_first(all, &[]))
        );
        assert_eq!(what(&newest_first(vec![fail(1), fail(2)], &[])), "");
        let other = report(3, "developer", bad("exit 1: another defect"), None);
        assert_eq!(what(&newest_first(vec![fail(1), fail(2), other, fail(4)], &[])), "");
        let well = report(3, "developer", RunEnd::Ok, None);
        assert_eq!(
            what(&newest_first(vec![fail(1), fail(2), well, fail(4)], &[])),
            "",
            "a success ends the row"
        );
        let weather = report(3, "developer", RunEnd::Lost, None);
        assert_ne!(
            what(&newest_first(vec![fail(1), fail(2), weather, fail(4)], &[])),
            "",
            "weather does not"
        );
        let reviewer = report(3, "reviewer", bad("no"), None);
        assert_ne!(
            what(&newest_first(vec![fail(1), fail(2), reviewer, fail(4)], &[])),
            "",
            "nor does another agent"
        );
    }

    #[test]
    fn no_progress_sent_back_for_the_same_reason_three_times() {
        let same = ["test 12 failed at 10:31", "test 13 failed at 10:42", "Test 7 failed at 11:02"];
        assert!(
            what(&newest_first(vec![], &same)).contains("3 times now: Test 7 failed"),
            "{}",
            what(&newest_first(vec![], &same))
        );
        assert_eq!(what(&newest_first(vec![], &["a", "b", "b"])), "");
        assert_eq!(what(&newest_first(vec![], &["b", "b"])), "");
        assert_eq!(what(&newest_first(vec![], &["", "", ""])), "");
    }

    #[test]
    fn no_progress_a_run_that_changes_nothing_where_change_is_due() {
        let run = |n: i64, subject: &str| report(n, "developer", RunEnd::Ok, Some(subject));
        let all = vec![
            run(1, "a"),
            run(2, "a"),
            report(3, "reviewer", RunEnd::Ok, Some("a")),
            run(4, "a"),
            run(5, "a"),
        ];
        let notes = ["do this", "do that", "do it at last"];
        assert!(what(&newest_first(all.clone(), &notes)).contains("changed nothing"));
        assert_eq!(
            stuck(3, &"developer".into(), false, &newest_first(all.clone(), &notes)),
            None,
            "no change is due of it"
        );
        assert_eq!(what(&newest_first(all.clone(), &notes[1..])), "", "it was not sent back that often");
        let moved = vec![run(1, "a"), run(2, "a"), run(3, "b"), run(4, "b")];
        assert_eq!(what(&newest_first(moved, &notes)), "");
    }
}
