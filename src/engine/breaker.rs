//! The breaker of an agent command: when the weather behind it is bad, nothing more is started,
//! until one run has tried it out. It is durable, and moves only when runs end.

use crate::engine::model::{Millis, RunEnd, RunId, lasting};

/// The command line that lets the agent's command be used at once: an account was paid for, an outage is known to be over.
/// A name that is no plain word stands in quotes, as a shell takes it.
#[must_use]
pub fn closing(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let name = if plain {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    };
    format!("signalbox breaker close {name}")
}

#[cfg(test)]
mod tests;

/// Shortest time that a usage limit is believed to last.
const LIMIT_LEAST: Millis = Millis::secs(60);
/// Longest time: the longest limits are weekly. One that is to end later is not believed.
const LIMIT_MOST: Millis = Millis::secs(7 * 86_400);
/// After this long one that is not believed is asked again.
const LIMIT_DOUBTED: Millis = Millis::secs(86_400);

/// How long a usage limit holds that an agent says ends at `until`: what it says of the time is bounded.
#[must_use]
pub fn believed(until: Millis, now: Millis) -> Millis {
    let wait = until.since(now);
    if wait > LIMIT_MOST { LIMIT_DOUBTED } else { wait.max(LIMIT_LEAST) }
}

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Failures by weather in a row that open it.
    pub failures: u32,
    /// How long nothing is started then.
    pub pause: Millis,
}

/// A time during which nothing is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Millis,
    /// Until when.
    pub until: Millis,
    /// Why.
    pub why: String,
}

/// The breaker of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Breaker {
    /// Failures by weather since the last run that had none.
    pub streak: u32,
    /// It is open; once that time is over, half open.
    pub open: Option<Pause>,
    /// The account behind the command has reached its usage limit.
    pub limit: Option<Pause>,
    /// The run that was let through last to try the command out, since it opened: that by its id, for times move
    /// when the clock is set. It may have ended.
    pub probe: Option<RunId>,
}

/// What is known of the command a job would run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The program, as it would be executed.
    pub name: String,
    /// Its breaker, as far as the rules have one; see [`Breaker::under`].
    pub breaker: Option<Breaker>,
    /// The run that is trying it out.
    pub probing: Option<RunId>,
    /// Whether it can be used.
    pub preflight: Preflight,
    /// The program that the rules in force now name for the agent, where the task keeps older ones that name another.
    pub newer: Option<String>,
}

/// Whether a command can be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Preflight {
    /// It can, or nobody asks.
    #[default]
    Good,
    /// It is being looked at.
    Unknown,
    /// It cannot.
    Bad {
        /// Why not.
        why: String,
        /// Since when.
        since: Millis,
    },
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stand<'a> {
    /// Everything.
    Closed,
    /// Nothing.
    Open(&'a Pause),
    /// One run at a time, to try it out.
    HalfOpen(&'a Pause),
}

impl Breaker {
    /// What it lets through now.
    #[must_use]
    pub fn stand(&self, now: Millis) -> Stand<'_> {
        match &self.open {
            None => Stand::Closed,
            Some(pause) if now < pause.until => Stand::Open(pause),
            Some(pause) => Stand::HalfOpen(pause),
        }
    }

    /// The run that is trying the command out, where it is half open and that run is `open` still.
    #[must_use]
    pub fn probing(&self, now: Millis, open: impl Fn(RunId) -> bool) -> Option<RunId> {
        let half_open = matches!(self.stand(now), Stand::HalfOpen(_));
        self.probe.filter(|run| half_open && open(*run))
    }

    /// What of it counts under rules with these limits: where they switch the breaker off, the usage limit only.
    #[must_use]
    pub fn under(&self, limits: Option<Limits>) -> Self {
        match limits {
            Some(_) => self.clone(),
            None => Self {
                limit: self.limit.clone(),
                ..Self::default()
            },
        }
    }

    /// The usage limit in force now.
    #[must_use]
    pub fn limited(&self, now: Millis) -> Option<&Pause> {
        self.limit.as_ref().filter(|limit| now < limit.until)
    }

    /// Takes in how a run of the command ended; without `limits` its rules switch the breaker off, and only usage
    /// limits count. Gives what operators are to be told: once for each change.
    pub fn after(&mut self, command: &str, end: &RunEnd, run: RunId, limits: Option<Limits>, now: Millis) -> Option<String> {
        match end {
            RunEnd::Ok | RunEnd::OutOfScope { .. } => {
                // Nothing is claimed while a limit is in force: a run that works then had begun before the limit was met, and
                // says nothing about it.
                self.limit.take_if(|limit| limit.until <= now);
                limits.and_then(|_| self.worked(command))
            }
            // A limit that is over already holds nothing back: it is weather like any other.
            RunEnd::Limited { detail, until } if *until > now => self.suspend(command, detail, *until, now),
            RunEnd::Transient { detail, .. } | RunEnd::Limited { detail, .. } => {
                limits.and_then(|limits| self.failed(command, detail, run, limits, now))
            }
            RunEnd::NoOutput | RunEnd::Denied { .. } | RunEnd::Ignored { .. } | RunEnd::Permanent { .. } => {
                // It says nothing about the weather, so it neither opens nor closes.
                self.streak = if limits.is_some() { 0 } else { self.streak };
                None
            }
            // What became of it here says nothing about what is behind the command.
            RunEnd::Exited { .. } | RunEnd::NoRoom { .. } | RunEnd::Killed(_) | RunEnd::Lost => None,
        }
    }

    fn worked(&mut self, command: &str) -> Option<String> {
        self.streak = 0;
        self.probe = None;
        // Also when the run began before it opened: whatever was wrong is over.
        self.open.take().map(|_| format!("`{command}` works again: its breaker is closed"))
    }

    fn failed(&mut self, command: &str, detail: &str, run: RunId, limits: Limits, now: Millis) -> Option<String> {
        self.streak = self.streak.saturating_add(1);
        let again = match &self.open {
            None if self.streak < limits.failures => return None,
            None => false,
            // A run from before: it was counted on when the breaker opened.
            Some(_) if self.probe != Some(run) => return None,
            Some(_) => true,
        };
        self.probe = None;
        self.open = Some(Pause {
            since: now,
            until: now.plus(limits.pause),
            why: told(detail),
        });
        let wait = lasting(limits.pause);
        Some(if again {
            format!(
                "`{command}` still fails: nothing is started with it for another {wait} ({})",
                told(detail)
            )
        } else {
            format!(
                "`{command}` failed {} times in a row: nothing is started with it for {wait} ({})",
                self.streak,
                told(detail)
            )
        })
    }

    fn suspend(&mut self, command: &str, detail: &str, until: Millis, now: Millis) -> Option<String> {
        let until = now.plus(believed(until, now));
        let known = self.limited(now).map(|limit| limit.since);
        self.limit = Some(Pause {
            since: known.unwrap_or(now),
            until,
            why: told(detail),
        });
        let wait = lasting(until.since(now));
        known.is_none().then(|| {
            format!(
                "`{command}` has reached its usage limit: nothing is started with it for {wait} ({})",
                told(detail)
            )
        })
    }
}

/// The end of what is known of a failure, on one line.
fn told(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let line = lines.join(" / ");
    let skip = line.chars().count().saturating_sub(200);
    line.chars().skip(skip).collect()
}
