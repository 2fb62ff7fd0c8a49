//! `signalbox reload`: the running service reads its rules again.

use std::fmt::Write as _;
use std::time::Duration;

use super::client::Client;
use super::exit::Failure;
use super::out;
use crate::shell::reload::{ProjectChange, Reloaded};

/// Longest wait: new rules are proved first, and each project's proof may take a minute.
const PATIENCE: Duration = Duration::from_mins(10);

/// Has the rules read again and tells what is different.
///
/// # Errors
/// The refusal: rules with errors (exit 10), tasks that would be stranded (exit 4).
pub async fn run(client: &Client, as_json: bool) -> Result<(), Failure> {
    let done: Reloaded = client.post_within(PATIENCE, "/api/reload", &serde_json::json!({})).await?;
    if as_json {
        return out::json(&done);
    }
    out::print(&tell(&done))
}

fn tell(done: &Reloaded) -> String {
    let mut text = String::new();
    for change in &done.projects {
        project(&mut text, change);
    }
    for setting in &done.settings {
        let _ = writeln!(text, "{setting}");
    }
    for later in &done.next_start {
        let _ = writeln!(text, "at the next start only: {later}");
    }
    if text.is_empty() {
        text.push_str("nothing is different\n");
    }
    if done.warnings > 0 {
        let _ = writeln!(text, "{} warnings: `signalbox validate` shows them", done.warnings);
    }
    text
}

fn project(text: &mut String, p: &ProjectChange) {
    let short = |hash: &str| hash.get(..10).unwrap_or(hash).to_owned();
    let rules = if p.before == p.after {
        short(&p.after)
    } else {
        format!("{} → {}", short(&p.before), short(&p.after))
    };
    let files = if p.files.is_empty() {
        String::new()
    } else {
        format!("   ({})", p.files.join(", "))
    };
    let _ = writeln!(text, "{}: {} {rules}{files}", p.project, p.pipeline);
    if !p.following.is_empty() {
        let _ = writeln!(text, "  move to the new rules: {}", p.following.join(", "));
    }
    if !p.pinned.is_empty() {
        let _ = writeln!(text, "  keep the rules they began with: {}", p.pinned.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_different_is_told_and_nothing_too() {
        assert_eq!(tell(&Reloaded::default()), "nothing is different\n");
        let change = ProjectChange {
            project: "shop".into(),
            pipeline: "local".into(),
            before: "a".repeat(64),
            after: "b".repeat(64),
            files: vec!["pipelines/local.toml".into()],
            in_flight: "pin".into(),
            following: vec![],
            pinned: vec!["SHOP-001".into()],
        };
        let done = Reloaded {
            projects: vec![change],
            next_start: vec!["data: d stays in use".into()],
            ..Reloaded::default()
        };
        let text = tell(&done);
        assert!(
            text.starts_with("shop: local aaaaaaaaaa → bbbbbbbbbb   (pipelines/local.toml)\n"),
            "{text}"
        );
        assert!(text.contains("keep the rules they began with: SHOP-001"), "{text}");
        assert!(text.contains("at the next start only: data"), "{text}");
    }
}
