//! Webhooks of a Gitea: which of them lead here, and what is wrong with them.

use reqwest::Url;

use crate::shell::forge::gitea::Hook;

use super::same_address;
use super::setup::Base;

/// Where the service takes webhooks of a Gitea, below its own address.
pub(super) const PATH: &str = "/webhook/gitea";
/// What is asked for. `pull_request` stands for all of its kinds; names that a version does not
/// know are ignored by it without a word.
pub(super) const EVENTS: [&str; 7] = ["push", "create", "delete", "pull_request", "status", "workflow_run", "workflow_job"];

/// A version of Gitea, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version(Option<(u32, u32)>);

impl Version {
    /// Reads `1.23.8`, `1.27.0+dev-3-g…` or Forgejo's `9.0.3+gitea-1.22.0`.
    pub fn parse(text: &str) -> Self {
        let text = text.split_once("gitea-").map_or(text, |(_, gitea)| gitea);
        let mut parts = text.split(['.', '+', '-']).map(|p| p.parse::<u32>().ok());
        Self(parts.next().flatten().zip(parts.next().flatten()))
    }

    /// Whether commit statuses can be chosen one by one; what cannot be read is taken for a newer one.
    pub fn chooses_status(self) -> bool {
        self.0.is_none_or(|v| v >= (1, 24))
    }
}

/// What is wrong with a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is never sent.
    Inactive,
    /// It does not hear of these.
    Events(Vec<&'static str>),
    /// It is sent in this form instead of JSON.
    Form(String),
    /// It hears of these branches only.
    Filter(String),
}

impl Fault {
    /// What is so.
    pub fn what(&self) -> String {
        match self {
            Self::Inactive => "it is not active".to_owned(),
            Self::Events(names) => format!("it does not hear of {}", names.join(", ")),
            Self::Form(form) => format!("its content type is {form:?}, not json"),
            Self::Filter(filter) => format!("it hears of the branches {filter:?} only"),
        }
    }

    /// Why it matters.
    pub fn why(&self) -> &'static str {
        match self {
            Self::Inactive => "Gitea sends nothing",
            Self::Events(_) => "such changes are seen late, or with the next event only",
            Self::Form(_) => "Gitea signs something else than it sends then: every delivery is refused",
            Self::Filter(_) => "what happens on other branches, tasks' own among them, is not told",
        }
    }
}

/// Whether it leads to the service: at this address, or at any that ends like ours.
pub(super) fn ours(hook: &Hook, base: Option<&Base>) -> bool {
    match base {
        Some(base) => same_address(&hook.config.url, &base.hook(PATH)),
        None => Url::parse(&hook.config.url).is_ok_and(|u| u.path().ends_with(PATH)),
    }
}

/// Whether it seems to hear of everything, which no version says outright.
pub(super) fn everything(hook: &Hook) -> bool {
    let rare = ["fork", "issues", "repository", "release", "pull_request_milestone"];
    rare.iter().all(|r| hook.events.iter().any(|e| e == r))
}

/// What is wrong with it on this version.
pub(super) fn faults(hook: &Hook, version: Version) -> Vec<Fault> {
    let mut found = Vec::new();
    if !hook.active {
        found.push(Fault::Inactive);
    }
    let has = |name: &str| hook.events.iter().any(|e| e == name);
    // Until 1.23 the three kinds of reviews are listed one by one, from 1.24 on by their group.
    let reviews = has("pull_request_review") || (has("pull_request_review_approved") && has("pull_request_review_rejected"));
    let mut missing: Vec<&'static str> = ["push", "create", "delete", "pull_request", "pull_request_sync"]
        .into_iter()
        .filter(|e| !has(e))
        .collect();
    if !reviews {
        missing.push("pull_request_review");
    }
    if version.chooses_status() && !has("status") {
        missing.push("status");
    }
    if !missing.is_empty() {
        found.push(Fault::Events(missing));
    }
    if hook.config.content_type != "json" {
        found.push(Fault::Form(hook.config.content_type.clone()));
    }
    if !["", "*", "**"].contains(&hook.branch_filter.trim()) {
        found.push(Fault::Filter(hook.branch_filter.clone()));
    }
    found
}

/// What a change must say so that it keeps all that the webhook hears of and adds what it lacks: a
/// change replaces the whole list.
pub(super) fn events(hook: Option<&Hook>) -> Vec<String> {
    let mut all: Vec<String> = EVENTS.iter().map(|e| (*e).to_owned()).collect();
    for event in hook.map(|h| h.events.as_slice()).unwrap_or_default() {
        // What is read as `issues` is the narrow event; written, the word stands for all its kinds.
        let written = if event == "issues" { "issues_only" } else { event };
        if !written.starts_with("pull_request") && !all.iter().any(|e| e == written) {
            all.push(written.to_owned());
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(events: &[&str]) -> Hook {
        let mut hook = Hook {
            active: true,
            events: events.iter().map(|e| (*e).to_owned()).collect(),
            ..Hook::default()
        };
        hook.config.content_type = "json".to_owned();
        hook
    }

    #[test]
    fn versions_of_both_servers_are_read() {
        let chooses = |text| Version::parse(text).chooses_status();
        for old in ["1.16.1", "1.23.8", "9.0.3+gitea-1.22.0", "1.9.0"] {
            assert!(!chooses(old), "{old}");
        }
        for new in ["1.24.0", "1.27.0+dev-3-gabc", "11.0.1+gitea-1.24.0", "", "nonsense", "2.0"] {
            assert!(chooses(new), "{new:?}");
        }
    }

    #[test]
    fn reviews_are_known_by_their_group_or_by_their_kinds() {
        let new = Version::parse("1.25.1");
        let plain = ["push", "create", "delete", "pull_request", "pull_request_sync", "status"];
        let with = |more: &[&str]| faults(&hook(&[&plain[..], more].concat()), new);
        assert_eq!(with(&["pull_request_review"]), []);
        assert_eq!(with(&["pull_request_review_approved", "pull_request_review_rejected"]), []);
        assert_eq!(
            with(&["pull_request_review_approved"]),
            [Fault::Events(vec!["pull_request_review"])]
        );
        let old = Version::parse("1.23.8");
        let without_status = hook(&[
            "push",
            "create",
            "delete",
            "pull_request",
            "pull_request_sync",
            "pull_request_review",
        ]);
        assert_eq!(faults(&without_status, old), []);
        assert_eq!(faults(&without_status, new), [Fault::Events(vec!["status"])]);
    }

    #[test]
    fn a_change_keeps_what_was_chosen_and_widens_nothing_else() {
        let kept = events(Some(&hook(&["push", "issues", "pull_request_label", "wiki"])));
        assert_eq!(kept[..EVENTS.len()], EVENTS);
        assert_eq!(kept[EVENTS.len()..], ["issues_only", "wiki"]);
    }
}
