//! `signalbox why`.

use super::client::{Client, part};
use super::exit::Failure;
use super::out::{self, STRONG};
use crate::shell::view::WhyView;

/// Says why a task waits.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, item: &str, json: bool) -> Result<(), Failure> {
    let view: WhyView = client.get(&format!("/api/tasks/{}/why", part(item))).await?;
    if json {
        return out::json(&view);
    }
    let mut text = format!(
        "{STRONG}{}{STRONG:#} stands at {}: {}\n",
        view.item,
        view.stage,
        out::safe(&view.sentence)
    );
    for blocker in &view.blockers {
        text.push_str(&out::blocker(blocker, view.now.0));
    }
    out::print(&text)
}
