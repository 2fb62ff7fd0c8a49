//! Protection of branches on the forge, against what the pipeline does.

use std::collections::BTreeSet;

use crate::engine::rules::{GateKind, Patterns, Ruleset};
use crate::shell::forge::gitea::{Guard, Protection};

use super::Notes;

/// The default branch's protection: present, and no stricter than the pipeline waits for.
pub(super) fn default(notes: &mut Notes, rules: &Ruleset, branch: &str, guard: &Guard) {
    if !guard.protected {
        notes.warning(
            "forge.branch.open",
            format!("{branch} is not protected"),
            "whoever may write to the repository can push past every gate",
            "protect it in Gitea (Settings → Branches): require pull requests, and let the service's user merge",
        );
    }
    if guard.user_can_merge == Some(false) {
        notes.problem(
            "forge.branch.merge",
            format!("the token's user may not merge into {branch}"),
            "every merge is refused (405) and its task is parked",
            "add the user to the merge allow-list of the branch's protection (Settings → Branches)",
        );
    }
    let before = notes.findings.len();
    contexts(notes, rules, branch, guard);
    if guard.required_approvals > 0 {
        notes.warning(
            "forge.branch.approvals",
            format!("{branch} requires {} approvals on the forge", guard.required_approvals),
            "approvals on the board are none on the forge: a merge is refused (405) until somebody with write access has approved the pull request there",
            "approve there as well, or set required approvals to 0 in the branch's protection",
        );
    }
    if guard.protected && notes.findings.len() == before && guard.user_can_merge != Some(false) {
        notes.ok("forge.branch", format!("{branch} is protected, and the service may merge into it"));
    }
}

/// Contexts that the forge requires and the pipeline does not wait for.
fn contexts(notes: &mut Notes, rules: &Ruleset, branch: &str, guard: &Guard) {
    if !guard.enable_status_check {
        return;
    }
    let waited: BTreeSet<&str> = rules
        .gates
        .values()
        .filter_map(|gate| match &gate.kind {
            GateKind::Checks { contexts } => Some(contexts),
            _ => None,
        })
        .flatten()
        .map(String::as_str)
        .collect();
    let required = Patterns::new(guard.status_check_contexts.clone());
    let unmet: Vec<&str> = required.unmatched(|| waited.iter().copied()).collect();
    for context in unmet {
        let known: Vec<&str> = waited.iter().copied().collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        notes.warning(
            "forge.branch.checks",
            format!("{branch} requires the check {context:?}, and no gate of the pipeline waits for it (they wait for: {known})"),
            "a merge is refused (405) while it is not green, and its task is parked",
            "name it in the gate's `checks.contexts`, or take it off the branch's protection",
        );
    }
}

/// The rules that protect branches, as administrators see them.
pub(super) fn rules(notes: &mut Notes, rules: &Ruleset, branch: &str, all: &[Protection]) {
    let item = format!("{}-001", rules.prefix);
    let task = rules.branch.task.replace("{id}", &item).replace("{slug}", "example");
    let covers = |p: &Protection, name: &str| p.pattern() == name || Patterns::new(vec![p.pattern().to_owned()]).matches(name);
    for protection in all {
        if covers(protection, &task) {
            notes.problem(
                "forge.branch.tasks",
                format!(
                    "the protection of {:?} covers tasks' branches, such as {task}",
                    protection.pattern()
                ),
                "pushes to them, and deleting them after a stop, are refused",
                "narrow the pattern in Gitea (Settings → Branches), or change `branch.task` in the rules",
            );
        }
        if protection.require_signed_commits && covers(protection, branch) {
            notes.warning(
                "forge.branch.signed",
                format!("{branch} takes signed commits only"),
                "the service signs none: merges are refused",
                "let the server sign merges ([repository.signing] in app.ini), or lift the requirement",
            );
        }
    }
}
