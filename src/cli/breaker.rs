//! `signalbox breaker`: what holds agents' commands back, and what lets them be used again.

use std::fmt::Write as _;

use serde_json::json;

use super::client::Client;
use super::exit::Failure;
use super::out::{self, BAD, CALL, FAINT, GOOD, STRONG};
use super::span::ago;
use crate::engine::breaker::closing;
use crate::engine::model::Millis;
use crate::shell::view::{BreakerView, CommandView, Part, QueueView, ResilienceView, Stamp, StatusView};

/// Arguments of `breaker`.
#[derive(Debug, clap::Args)]
pub struct Breaker {
    /// What to do; else all are shown
    #[command(subcommand)]
    pub command: Option<BreakerCommand>,
}

/// A command of `breaker`.
#[derive(Debug, clap::Subcommand)]
pub enum BreakerCommand {
    /// Show the breakers that are known: what each lets through, since when, until when and why
    List,
    /// Let an agent's command be used at once, whatever failed before and whatever limit it reached
    Close {
        /// The command, as `why` names it
        command: String,
    },
}

/// Shows the breakers, or closes one.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, command: Option<&BreakerCommand>, as_json: bool) -> Result<(), Failure> {
    match command {
        None | Some(BreakerCommand::List) => list(client, as_json).await,
        Some(BreakerCommand::Close { command }) => close(client, command, as_json).await,
    }
}

async fn list(client: &Client, as_json: bool) -> Result<(), Failure> {
    let queue: QueueView = client.get("/queue").await?;
    let view = match queue.resilience {
        Part::Known(view) => view,
        Part::Failed { error } => return Err(Failure::other(format!("the breakers cannot be shown: {error}"))),
    };
    if as_json {
        return out::json(&view);
    }
    // As ages of the queue are told: by the service's clock, not by ours.
    let now = client.get::<StatusView>("/status").await?.now.0;
    out::print(&text(&view, now))
}

async fn close(client: &Client, command: &str, as_json: bool) -> Result<(), Failure> {
    let view: BreakerView = client.post("/api/breakers/close", &json!({ "command": command })).await?;
    if as_json {
        return out::json(&view);
    }
    let name = out::safe(&view.command);
    out::print(&if view.closed {
        format!("`{name}` is used again at once")
    } else {
        format!("nothing held `{name}` back")
    })
}

fn text(view: &ResilienceView, now: Millis) -> String {
    let mut out = String::new();
    if view.commands.is_empty() {
        out.push_str("No breaker is known: no agent's command has met bad weather or a usage limit yet.\n");
    }
    for (name, command) in &view.commands {
        one(&out::safe(name), command, now, &mut out);
    }
    if let Some(reason) = &view.preflight_reason {
        let _ = writeln!(out, "{BAD}cannot be used{BAD:#}: {}", out::safe(reason));
    }
    out
}

fn one(name: &str, view: &CommandView, now: Millis, out: &mut String) {
    let streak = match view.consecutive_transient {
        0 => String::new(),
        1 => ", 1 failure by weather".to_owned(),
        n => format!(", {n} failures by weather in a row"),
    };
    let when = |at: &Option<Stamp>| at.as_ref().map_or_else(|| "–".to_owned(), |at| ago(at.0, now));
    let state = match view.state.as_str() {
        "open" => format!(
            "{BAD}open{BAD:#} since {}: nothing is started with it; one run tries it out {}{streak}",
            when(&view.since),
            when(&view.until)
        ),
        "half_open" => format!(
            "{CALL}half open{CALL:#} since {}, open since {}: {}{streak}",
            when(&view.until),
            when(&view.since),
            trial(view.probing)
        ),
        // The breaker lets it through, the limit does not.
        "closed" if view.limited_until.is_some() => format!("{BAD}limited{BAD:#}{streak}"),
        "closed" => format!("{GOOD}closed{GOOD:#}: it is used{streak}"),
        other => format!("{}{streak}", out::safe(other)),
    };
    let _ = writeln!(out, "{STRONG}{name}{STRONG:#}: {state}");
    if let Some(until) = &view.limited_until {
        let _ = writeln!(
            out,
            "  {BAD}usage limit{BAD:#} reached {}: nothing is started with it; it ends {}",
            when(&view.limited_since),
            ago(until.0, now)
        );
    }
    if let Some(why) = &view.why {
        let _ = writeln!(out, "  {}", out::safe(why));
    }
    if view.state != "closed" || view.limited_until.is_some() {
        let _ = writeln!(out, "  {FAINT}use it at once:{FAINT:#} {}", closing(name));
    }
}

fn trial(probing: Option<i64>) -> String {
    probing.map_or_else(
        || "the next run tries it out".to_owned(),
        |run| format!("run {run} is trying out whether it works again"),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn command(state: &str, streak: u32) -> CommandView {
        CommandView {
            state: state.to_owned(),
            consecutive_transient: streak,
            pause_remaining_s: 0,
            why: None,
            since: None,
            until: None,
            probing: None,
            limited_since: None,
            limited_until: None,
        }
    }

    fn shown(commands: &[(&str, CommandView)]) -> String {
        let commands: BTreeMap<String, CommandView> = commands.iter().map(|(name, c)| ((*name).to_owned(), c.clone())).collect();
        let view = ResilienceView {
            breaker: command("closed", 0),
            commands,
            preflight_ok: true,
            preflight_reason: None,
        };
        anstream::adapter::strip_str(&text(&view, Millis::secs(1000))).to_string()
    }

    #[test]
    fn b_q_8_each_breaker_is_told_with_its_state_since_and_until() {
        let at = |secs: i64| Some(Millis::secs(secs).into());
        let open = CommandView {
            since: at(820),
            until: at(1120),
            why: Some("API Error: 529 overloaded".to_owned()),
            ..command("open", 3)
        };
        assert_eq!(
            shown(&[("claude", open.clone())]),
            "claude: open since 3 min ago: nothing is started with it; one run tries it out in 2 min, 3 failures by weather in a row\n  \
             API Error: 529 overloaded\n  use it at once: signalbox breaker close claude\n"
        );
        let half = CommandView {
            state: "half_open".to_owned(),
            since: at(400),
            until: at(700),
            ..open
        };
        let tried = CommandView {
            probing: Some(4),
            ..half.clone()
        };
        assert!(shown(&[("claude", tried)]).contains("open since 10 min ago: run 4 is trying out whether it works again, 3 failures"));
        assert!(
            shown(&[("claude", half)]).starts_with("claude: half open since 5 min ago, open since 10 min ago: the next run tries it out")
        );
        let limited = CommandView {
            limited_since: at(940),
            limited_until: at(8200),
            ..command("closed", 0)
        };
        assert_eq!(
            shown(&[("codex", limited), ("gemini", command("closed", 1))]),
            "codex: limited\n  usage limit reached 1 min ago: nothing is started with it; it ends in 2 h 00 min\n  \
             use it at once: signalbox breaker close codex\ngemini: closed: it is used, 1 failure by weather\n"
        );
        assert!(shown(&[]).starts_with("No breaker is known"));
        assert_eq!(
            (closing("/opt/my-agent"), closing("my agent's")),
            (
                "signalbox breaker close /opt/my-agent".to_owned(),
                r"signalbox breaker close 'my agent'\''s'".to_owned()
            )
        );
    }
}
