//! `signalbox doctor`: compares the rules with the world as it is. Needs no service and writes nothing.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::args::Global;
use super::exit::{self, Failure};
use super::{find, out, validate};
use crate::engine::rules::{Files, Loaded, Severity, load};
use crate::shell::config::{ReadProblem, read_dir};
use crate::shell::doctor::{Ask, Base, Finding, Level, examine};
use crate::shell::folder;

/// Arguments of `doctor`.
#[derive(Debug, Clone, clap::Args)]
pub struct DoctorArgs {
    /// Exit with 11 when there are warnings
    #[arg(long)]
    pub strict: bool,
    /// The address at which peers reach the service; without it any webhook that ends like ours counts
    #[arg(long, value_name = "URL")]
    pub url: Option<Base>,
    /// Longest wait for one answer of a peer
    #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
}

/// The rules, read for a command that asks peers.
pub(super) struct Read {
    pub dir: PathBuf,
    pub files: Files,
    pub loaded: Loaded,
}

impl Read {
    /// What is asked about them.
    pub fn ask<'a>(&'a self, url: Option<&'a Base>, timeout: u64) -> Ask<'a> {
        Ask {
            loaded: &self.loaded,
            files: &self.files,
            dir: &self.dir,
            url,
            patience: Duration::from_secs(timeout),
        }
    }
}

/// Reads configuration and rules; where they have errors they come back as findings.
pub(super) fn read(global: &Global, embedded: &Files) -> Result<Result<Read, Vec<Finding>>, Failure> {
    let config = find::configuration(global)?;
    let parent = folder::of(&config);
    let dir = parent
        .canonicalize()
        .map_err(|e| Failure::other(format!("{} cannot be used: {e}", parent.display())))?;
    let files = match read_dir(&dir, embedded) {
        Ok(files) => files,
        Err(ReadProblem::Files { problems, .. }) => {
            let found = problems.iter().map(|p| broken(format!("{} cannot be read: {}", p.shown, p.why)));
            return Ok(Err(found.collect()));
        }
        Err(problem) => return Ok(Err(vec![broken(problem.to_string())])),
    };
    let loaded = load(&files);
    let errors = loaded.diagnostics.iter().filter(|d| d.severity == Severity::Error);
    let errors: Vec<Finding> = errors
        .map(|d| broken(format!("{}:{}: {} ({})", d.file, d.line, d.message, d.code)))
        .collect();
    if errors.is_empty() {
        return Ok(Ok(Read { dir, files, loaded }));
    }
    Ok(Err(errors))
}

fn broken(what: String) -> Finding {
    Finding {
        level: Level::Problem,
        check: "configuration",
        project: None,
        what,
        why: Some("the service does not start with it, and peers cannot be asked".to_owned()),
        mend: Some("`signalbox validate` shows every mistake with its place".to_owned()),
    }
}

/// Examines everything and tells what was found. Returns the exit code.
pub fn run(global: &Global, args: &DoctorArgs, embedded: &Files) -> u8 {
    let told = findings(global, args, embedded).and_then(|found| {
        let text = if global.json { None } else { Some(human(&found)) };
        text.map_or_else(|| out::json(&machine(&found)), |text| out::print(&text))?;
        Ok(code(&found, args.strict))
    });
    told.unwrap_or_else(|failure| {
        out::failure(&failure);
        failure.code
    })
}

fn findings(global: &Global, args: &DoctorArgs, embedded: &Files) -> Result<Vec<Finding>, Failure> {
    let read = match read(global, embedded)? {
        Ok(read) => read,
        Err(broken) => return Ok(broken),
    };
    let warnings = read.loaded.diagnostics.len();
    let config = Finding {
        level: if warnings == 0 { Level::Ok } else { Level::Warning },
        check: "configuration",
        project: None,
        what: match warnings {
            0 => format!("configuration and rules load: {} projects", read.loaded.rulesets.len()),
            n => format!("configuration and rules load, with {n} warnings"),
        },
        why: None,
        mend: (warnings > 0).then(|| "`signalbox validate` shows them".to_owned()),
    };
    let mut found = vec![config];
    found.extend(runtime()?.block_on(examine(read.ask(args.url.as_ref(), args.timeout))));
    Ok(found)
}

/// Enough of a runtime to wait for several peers at once.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::other(format!("the command cannot start: {e}")))
}

fn count(found: &[Finding], level: Level) -> usize {
    found.iter().filter(|f| f.level == level).count()
}

fn code(found: &[Finding], strict: bool) -> u8 {
    let status = if count(found, Level::Problem) > 0 {
        validate::ERRORS
    } else if strict && count(found, Level::Warning) > 0 {
        validate::WARNINGS
    } else {
        validate::CLEAN
    };
    u8::try_from(status).unwrap_or(exit::FAILURE)
}

fn machine(found: &[Finding]) -> serde_json::Value {
    json!({
        "ok": count(found, Level::Problem) == 0,
        "problems": count(found, Level::Problem),
        "warnings": count(found, Level::Warning),
        "unknown": count(found, Level::Unknown),
        "findings": found,
    })
}

fn human(found: &[Finding]) -> String {
    let mut text = String::new();
    let mut place = None;
    for finding in found {
        let here = finding.project.as_deref();
        if place != Some(here) {
            place = Some(here);
            let strong = out::STRONG;
            let _ = writeln!(text, "{strong}{}{strong:#}", here.unwrap_or("all projects"));
        }
        one(&mut text, finding);
    }
    let plural = |n: usize, what: &str| if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") };
    let (problems, warnings) = (count(found, Level::Problem), count(found, Level::Warning));
    let not_seen = count(found, Level::Unknown);
    // What could not be looked at is not well.
    let _ = match (problems, warnings, not_seen) {
        (0, 0, 0) => writeln!(text, "all is well"),
        (0, 0, n) => writeln!(
            text,
            "all that could be looked at is well; {} could not be: see `unknown`",
            plural(n, "thing")
        ),
        (_, _, 0) => writeln!(text, "{}, {}", plural(problems, "problem"), plural(warnings, "warning")),
        (_, _, n) => writeln!(
            text,
            "{}, {}, {n} unknown",
            plural(problems, "problem"),
            plural(warnings, "warning")
        ),
    };
    text
}

fn one(text: &mut String, finding: &Finding) {
    let (word, style) = match finding.level {
        Level::Ok => ("ok", out::GOOD),
        Level::Unknown => ("unknown", out::FAINT),
        Level::Warning => ("warning", out::CALL),
        Level::Problem => ("problem", out::BAD),
    };
    let part = finding.check.split('.').next().unwrap_or_default();
    let _ = writeln!(text, "  {style}{word:<8}{style:#} {part}: {}", out::safe(&finding.what));
    let faint = out::FAINT;
    for (head, line) in [("why", &finding.why), ("do", &finding.mend)] {
        if let Some(line) = line {
            let _ = writeln!(text, "           {faint}{head:<4}{faint:#}{}", out::safe(line));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(level: Level) -> Finding {
        Finding {
            level,
            ..broken("x".to_owned())
        }
    }

    #[test]
    fn the_exit_code_is_of_the_worst_finding_that_counts() {
        use Level::{Ok, Problem, Unknown, Warning};
        for (levels, strict, expected) in [
            (vec![Ok, Unknown], true, 0),
            (vec![Ok, Warning], false, 0),
            (vec![Ok, Warning], true, 11),
            (vec![Warning, Problem], false, 10),
            (vec![Warning, Problem], true, 10),
        ] {
            let found: Vec<_> = levels.iter().map(|l| found(*l)).collect();
            assert_eq!(code(&found, strict), expected, "{levels:?} {strict}");
        }
    }

    #[test]
    fn only_what_was_looked_at_is_well() {
        use Level::{Ok, Problem, Unknown};
        for (levels, expected) in [
            (vec![Ok], "all is well"),
            (
                vec![Ok, Unknown],
                "all that could be looked at is well; 1 thing could not be: see `unknown`",
            ),
            (vec![Problem, Unknown], "1 problem, 0 warnings, 1 unknown"),
            (vec![Problem], "1 problem, 0 warnings"),
        ] {
            let found: Vec<_> = levels.iter().map(|l| found(*l)).collect();
            assert_eq!(human(&found).lines().last(), Some(expected), "{levels:?}");
        }
    }

    #[test]
    fn a_peers_words_cannot_move_the_cursor() {
        let finding = Finding {
            what: "a\x1b[2Jb\nc".to_owned(),
            ..found(Level::Warning)
        };
        let text = anstream::adapter::strip_str(&human(std::slice::from_ref(&finding))).to_string();
        assert!(text.contains("warning  configuration: "), "{text}");
        let mut line = String::new();
        one(&mut line, &finding);
        assert!(!line.contains("\x1b[2J"), "{line:?}");
        assert_eq!(line.lines().count(), 3, "{line:?}");
    }
}
