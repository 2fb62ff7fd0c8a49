//! Names of branches: what git allows, and what must stay protected.

use super::codes;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::draft::Draft;
use super::reader::Sp;
use super::value::{check_glob, check_placeholders};
use super::{BranchRules, value};

/// Why a text cannot be the short name of a branch; `None` when it can.
pub fn illegal(name: &str) -> Option<&'static str> {
    let parts: Vec<&str> = name.split('/').collect();
    if name.is_empty() || parts.iter().any(|p| p.is_empty()) {
        return Some("a part between slashes is empty");
    }
    if name.len() > 200 {
        return Some("it is longer than 200 bytes");
    }
    if name.chars().any(|c| c.is_control() || " ~^:?*[\\".contains(c)) || name.contains("@{") || name == "@" {
        return Some("it holds a character that git does not allow");
    }
    if name.contains("..") || name.ends_with('.') || parts.iter().any(|p| p.starts_with('.')) {
        return Some("a dot stands where git does not allow one");
    }
    if parts.iter().any(|p| p.to_ascii_lowercase().ends_with(".lock")) {
        return Some("a part ends with `.lock`");
    }
    if name.starts_with('-') {
        return Some("it begins with a dash");
    }
    if parts.first() == Some(&"refs") || name == "HEAD" {
        return Some("it names something of git's own");
    }
    None
}

/// Whether a protected pattern covers this branch.
pub fn covered(protected: &[String], branch: &str) -> bool {
    protected.iter().any(|p| {
        let glob = globset::GlobBuilder::new(p).literal_separator(true).build();
        glob.is_ok_and(|g| g.compile_matcher().is_match(branch))
    })
}

/// Takes `branch` as it is: the projects that use the pipeline judge it, by their own names.
pub fn unjudged(draft: &Draft) -> Option<BranchRules> {
    Some(BranchRules {
        task: draft.branch.as_ref()?.v.clone(),
        protected: draft
            .protected
            .as_ref()
            .map(|list| list.v.iter().map(|p| p.v.clone()).collect())
            .unwrap_or_default(),
    })
}

/// Checks `branch`; `default` is the default branch, where a project names it.
pub fn check(draft: &Draft, prefix: Option<&str>, default: Option<&str>, sink: &Sink) -> Option<BranchRules> {
    let before = sink.errors();
    let Some(task) = &draft.branch else {
        if draft.protected.is_none() {
            let problem = Problem::error(codes::MISSING_KEY, &draft.at, "the pipeline needs `branch`").label("`branch` is missing");
            sink.push(problem.help("branch = { task = \"feature/{id}-{slug}\", protected = [\"main\", \"master\", \"release/*\"] }"));
        }
        return None;
    };
    let protected: Vec<String> = match &draft.protected {
        Some(list) => list
            .v
            .iter()
            .filter(|p| check_glob(p, "the names of branches", sink))
            .map(|p| p.v.clone())
            .collect(),
        None => Vec::new(),
    };
    check_default(draft, task, &protected, default, sink);
    check_template(task, &protected, prefix.unwrap_or("ORCH"), sink);
    (sink.errors() == before).then(|| BranchRules {
        task: task.v.clone(),
        protected,
    })
}

fn check_default(draft: &Draft, task: &Sp<String>, protected: &[String], default: Option<&str>, sink: &Sink) {
    let due: Vec<&str> = default.map_or_else(|| vec!["main", "master"], |d| vec![d]);
    let at: &Place = draft.protected.as_ref().map_or(&task.at, |p| &p.at);
    for branch in due {
        if !covered(protected, branch) {
            let problem = Problem::error(
                codes::UNPROTECTED,
                at,
                format!("no protected pattern covers the branch {}", quoted(branch)),
            );
            sink.push(
                problem
                    .label("nothing here covers it")
                    .help(format!("add \"{branch}\" to protected")),
            );
        }
    }
}

fn check_template(task: &Sp<String>, protected: &[String], prefix: &str, sink: &Sink) {
    if !check_placeholders(task, &["id", "slug"], sink) {
        return;
    }
    if !value::placeholders(&task.v).is_ok_and(|p| p.contains(&"id")) {
        let problem = Problem::error(codes::BRANCH_ILLEGAL, &task.at, "two tasks would share a branch").label("`{id}` is missing");
        sink.push(problem.help("task = \"feature/{id}-{slug}\""));
        return;
    }
    // A slug is small letters, digits and dashes, or empty where a title has none of them.
    for slug in ["some-words", "1", ""] {
        let sample = task.v.replace("{id}", &format!("{prefix}-001")).replace("{slug}", slug);
        if let Some(why) = illegal(&sample) {
            let words = format!("this template makes {}, which git refuses: {why}", quoted(&sample));
            sink.push(Problem::error(codes::BRANCH_ILLEGAL, &task.at, words).label("illegal branch names"));
            return;
        }
        if covered(protected, &sample) || ["main", "master"].contains(&sample.as_str()) {
            let words = format!("this template makes {}, which is protected", quoted(&sample));
            let problem = Problem::error(codes::BRANCH_PROTECTED, &task.at, words).label("protected branch names");
            sink.push(problem.help("task branches are pushed and deleted: choose a folder that no protected pattern covers"));
            return;
        }
    }
}
