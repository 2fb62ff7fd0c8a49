//! Whether anything could report the commit statuses that the pipeline waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::engine::model::Name;
use crate::engine::rules::{GateKind, Ruleset};
use crate::shell::forge::GiteaError;
use crate::shell::forge::gitea::{Client, Contents};

use super::{Notes, timely};

/// Folders of workflows, on one server or another.
const FOLDERS: &[&str] = &[".gitea/workflows", ".forgejo/workflows", ".github/workflows"];
/// Most workflows that are read of one folder.
const MOST: usize = 30;

/// Contexts without which a task cannot pass. Where a gate may be answered by another one instead, as by a command of the
/// project's own, its contexts are not needed.
pub(super) fn required(rules: &Ruleset) -> BTreeSet<&str> {
    let mut gates: Vec<(&Name, u8)> = rules.stages.values().flat_map(|s| &s.pass).map(|g| (g, 0)).collect();
    let mut found = BTreeSet::new();
    while let Some((gate, depth)) = gates.pop() {
        match rules.gates.get(gate).map(|g| &g.kind) {
            Some(GateKind::Checks { contexts }) => found.extend(contexts.iter().map(String::as_str)),
            Some(GateKind::AllOf(members)) if depth < 16 => gates.extend(members.iter().map(|m| (m, depth + 1))),
            // The last is asked when all the others have nothing to say.
            Some(GateKind::FirstOf(members)) if depth < 16 => gates.extend(members.last().map(|m| (m, depth + 1))),
            _ => {}
        }
    }
    found
}

/// Looks whether each required context was reported on the default branch, or could be by a workflow that lies there.
///
/// # Errors
/// The server.
pub(super) async fn look(client: &Client, rules: &Ruleset, branch: &str, patience: Duration, notes: &mut Notes) -> Result<(), GiteaError> {
    let required = required(rules);
    if required.is_empty() {
        return Ok(());
    }
    let late = || GiteaError::Timeout {
        what: "the workflows".to_owned(),
        seconds: patience.as_secs(),
    };
    let reported = timely(patience, client.reported(branch), late).await?;
    let workflows = timely(patience, workflows(client, branch), late).await?;
    let mut fine = true;
    for context in required {
        if reported.iter().any(|r| r == context) || workflows.iter().any(|(path, text)| reports(path, text, context)) {
            continue;
        }
        fine = false;
        let there = if workflows.is_empty() {
            format!("{branch} has no workflow ({})", FOLDERS.join(", "))
        } else {
            let paths: Vec<&str> = workflows.iter().map(|(path, _)| path.as_str()).collect();
            format!("none of its workflows would ({})", paths.join(", "))
        };
        notes.warning(
            "forge.checks",
            format!("nothing is seen that reports the check {context:?}: {branch}'s commit does not have it, and {there}"),
            "the gate that waits for it is never passed, and tasks stand there",
            "add a workflow that reports it, or correct `checks.contexts` in the rules (Actions report \"WORKFLOW / JOB (EVENT)\"); \
             where another CI reports it on tasks' branches only, all is well",
        );
    }
    if fine {
        notes.ok("forge.checks", "every check that the pipeline waits for can be reported");
    }
    Ok(())
}

/// Path and text of each workflow of the branch.
async fn workflows(client: &Client, branch: &str) -> Result<Vec<(String, String)>, GiteaError> {
    let mut found = Vec::new();
    for folder in FOLDERS {
        let Some(Contents::Folder(entries)) = client.contents(folder, branch).await? else {
            continue;
        };
        let flows = entries
            .iter()
            .filter(|e| e.kind == "file" && (e.name.ends_with(".yml") || e.name.ends_with(".yaml")));
        for entry in flows.take(MOST) {
            // One that is too large for the server to show may report anything: its name is what is known of it.
            let text = match client.contents(&format!("{folder}/{}", entry.name), branch).await? {
                Some(Contents::One(file)) => file.text().unwrap_or_default(),
                _ => String::new(),
            };
            found.push((format!("{folder}/{}", entry.name), text));
        }
    }
    Ok(found)
}

/// Whether a workflow may report a context: Actions call theirs `WORKFLOW / JOB (EVENT)`, with the file's name for a workflow
/// that has none; a step may report any other by its name.
fn reports(path: &str, text: &str, context: &str) -> bool {
    if text.contains(context) {
        return true;
    }
    let Some((workflow, job)) = context.split_once(" / ") else {
        return false;
    };
    let file = path.rsplit('/').next().unwrap_or(path);
    let named = |line: &str| {
        let name = line.strip_prefix("name:").map(|n| n.trim().trim_matches(['"', '\'']));
        name == Some(workflow)
    };
    job.ends_with(')') && (file == workflow || text.lines().any(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_reports_its_jobs_and_what_it_names() {
        let flow = "name: \"CI\"\non: [push]\njobs:\n  test:\n    steps:\n      - run: report ci/test\n";
        let path = ".gitea/workflows/build.yml";
        for context in ["CI / test (push)", "build.yml / test (pull_request)", "ci/test"] {
            assert!(reports(path, flow, context), "{context}");
        }
        for context in ["Other / test (push)", "CI / test", "ci/lint", "test"] {
            let found = reports(path, flow, context);
            assert_eq!(found, context == "test", "{context}");
        }
    }
}
