//! Setting up webhooks: on Gitea by its API; for Plane, which lets no key do it, in words.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::engine::rules::{self, Config, Forge, Gitea, Plane, Tracker};
use crate::shell::forge::GiteaError;
use crate::shell::forge::gitea::{Client, Hook};
use crate::shell::secret::Secret;

use super::hooks::{self, Version};
use super::{Ask, timely};

/// The address at which peers reach the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base(Url);

/// Why a text is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} cannot be the service's address: {why}")]
pub struct BadAddress {
    shown: String,
    why: String,
}

impl std::str::FromStr for Base {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let shown: String = text.chars().filter(|c| !c.is_control()).take(100).collect();
        let bad = |why: &str| BadAddress {
            // What stands before an @ may be a password.
            shown: shown.rsplit('@').next().unwrap_or_default().to_owned(),
            why: why.to_owned(),
        };
        let url = Url::parse(text.trim()).map_err(|e| bad(&format!("{e}; it looks like https://signalbox.example")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("it must begin with http:// or https://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("a user name or password stands in it; webhooks are signed and need none"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("nothing may follow the path"));
        }
        if url.path().contains("/webhook/") {
            return Err(bad("give the address of the service alone; /webhook/… is added"));
        }
        Ok(Self(url))
    }
}

impl Base {
    /// Where a peer's webhooks go.
    pub(super) fn hook(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }

    fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The word of Gitea's ALLOWED_HOST_LIST for such a host; none for one that is let through.
    fn inside(&self) -> Option<&'static str> {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => Some("loopback"),
            Ok(IpAddr::V4(v4)) if v4.is_private() || v4.is_link_local() => Some("private"),
            Ok(IpAddr::V6(v6)) if v6.is_unique_local() || v6.is_unicast_link_local() => Some("private"),
            Ok(_) => None,
            Err(_) if host == "localhost" => Some("loopback"),
            // A name without a dot is one of the own network.
            Err(_) => (!host.contains('.')).then_some("private"),
        }
    }
}

/// What was done, or would be, about a Gitea's webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Done {
    /// `created`, `mended`, or `kept`: it was right, and its secret was set again, as it cannot be read.
    pub action: &'static str,
    /// Number of the webhook; none while it is only planned.
    pub id: Option<i64>,
    /// Where it leads.
    pub url: String,
    /// What was wrong with it.
    pub mended: Vec<String>,
    /// What remains to be known.
    pub notes: Vec<String>,
}

/// Why nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotDone {
    /// What went wrong.
    pub error: String,
    /// What to do about it.
    pub help: String,
}

/// What to do by hand in Plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Steps {
    /// Projects that it is for: a workspace has one webhook for all.
    pub projects: Vec<String>,
    /// The page where webhooks are made.
    pub page: String,
    /// The address to enter.
    pub url: String,
    /// What to tick.
    pub events: [&'static str; 2],
    /// Where the secret that Plane shows belongs, one place per project.
    pub secret: Vec<String>,
    /// Settings of the Plane server without which it refuses the address; any one will do.
    pub allow: Vec<String>,
}

/// The webhook of a project's repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfProject {
    /// The project.
    pub project: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What came of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Outcome {
    /// It leads here.
    Done(Done),
    /// It does not.
    Failed(NotDone),
}

/// What came of it all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookSetup {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Gitea's webhooks.
    pub gitea: Vec<OfProject>,
    /// What to do in Plane.
    pub plane: Vec<Steps>,
}

/// Sets up the webhooks of all projects, or of the one named. `token` is used instead of the
/// projects' own; with `dry_run` everything is read and nothing written.
pub async fn setup(ask: Ask<'_>, config: &Config, base: &Base, only: Option<&str>, token: Option<&Secret>, dry_run: bool) -> HookSetup {
    let mut done = HookSetup {
        dry_run,
        gitea: Vec::new(),
        plane: Vec::new(),
    };
    for (name, project) in &config.projects {
        if only.is_some_and(|only| only != name.as_str()) {
            continue;
        }
        if let Forge::Gitea(gitea) = &project.forge {
            let outcome = one(ask, gitea, base, token, dry_run)
                .await
                .map_or_else(Outcome::Failed, Outcome::Done);
            let project = name.to_string();
            done.gitea.push(OfProject { project, outcome });
        }
        if let Tracker::Plane(plane) = &project.tracker {
            steps(&mut done.plane, name.as_str(), plane, base, ask);
        }
    }
    done
}

/// What to do in Plane for one more project.
fn steps(all: &mut Vec<Steps>, project: &str, plane: &Plane, base: &Base, ask: Ask<'_>) {
    let page = format!("{}/{}/settings/webhooks/", plane.url, plane.workspace);
    let secret = match &plane.secret {
        rules::Secret::Env(name) => format!("the variable {name} of the service"),
        rules::Secret::File(path) => format!("the file {}", ask.dir.join(path).display()),
    };
    if let Some(same) = all.iter_mut().find(|s| s.page == page) {
        same.projects.push(project.to_owned());
        if !same.secret.contains(&secret) {
            same.secret.push(secret);
        }
        return;
    }
    let host = base.host();
    let by_address = host.parse::<IpAddr>().is_ok();
    let allow = match base.inside() {
        Some(_) if by_address => vec![format!("WEBHOOK_ALLOWED_IPS={host}")],
        Some(_) => vec![format!("WEBHOOK_ALLOWED_HOSTS={host}")],
        None => Vec::new(),
    };
    all.push(Steps {
        projects: vec![project.to_owned()],
        page,
        url: base.hook("/webhook/plane").to_string(),
        events: ["Issues", "Issue comments"],
        secret: vec![secret],
        allow,
    });
}

/// One repository's webhook.
async fn one(ask: Ask<'_>, gitea: &Gitea, base: &Base, token: Option<&Secret>, dry_run: bool) -> Result<Done, NotDone> {
    let unreadable = |key: &str, why: String| NotDone {
        error: format!("`{key}` cannot be read: {why}"),
        help: "put the value there, readable for you".to_owned(),
    };
    let secret = Secret::read(&gitea.secret, ask.dir).map_err(|why| unreadable("forge.secret", why))?;
    let token = match token {
        Some(token) => token.clone(),
        None => Secret::read(&gitea.token, ask.dir).map_err(|why| unreadable("forge.token", why))?,
    };
    let scrub = |n: NotDone| NotDone {
        error: secret.scrub(&token.scrub(&n.error)),
        ..n
    };
    let client = Client::new(&gitea.url, &gitea.owner, &gitea.repo, token.clone()).map_err(|e| scrub(not_done(gitea, &e)))?;
    let put = put(&client, ask.patience, base, &secret, dry_run).await;
    put.map_err(|error| scrub(not_done(gitea, &error)))
}

async fn put(client: &Client, patience: Duration, base: &Base, secret: &Secret, dry_run: bool) -> Result<Done, GiteaError> {
    let late = || GiteaError::Timeout {
        what: "webhooks".to_owned(),
        seconds: patience.as_secs(),
    };
    let version = Version::parse(&timely(patience, client.version(), late).await?);
    let all = timely(patience, client.hooks(), late).await?;
    let there: Vec<&Hook> = all.iter().filter(|h| hooks::ours(h, Some(base))).collect();
    let present = there.first().copied();
    let faults = present.map(|h| hooks::faults(h, version)).unwrap_or_default();
    let mut done = Done {
        action: match present {
            None => "created",
            Some(_) if faults.is_empty() => "kept",
            Some(_) => "mended",
        },
        id: present.map(|h| h.id),
        url: base.hook(hooks::PATH).to_string(),
        mended: faults.iter().map(hooks::Fault::what).collect(),
        notes: notes(base, version, &there),
    };
    // On these versions a change would end that it hears of everything, which nothing else replaces.
    let as_it_is = !version.chooses_status() && done.action == "kept" && present.is_some_and(hooks::everything);
    if as_it_is {
        done.notes
            .push("it was left as it is: its secret is not known here; set it in Gitea if deliveries are refused".to_owned());
    }
    if dry_run || as_it_is {
        return Ok(done);
    }
    let made = timely(patience, client.put_hook(done.id, &body(&done.url, secret, present)), late).await?;
    done.id = Some(made.id);
    // Unknown words are ignored without a word: what it is now, is what counts.
    for fault in hooks::faults(&made, version) {
        done.notes.push(format!("the server did not take all of it: {}", fault.what()));
    }
    Ok(done)
}

/// What is sent. A change replaces the events, the filter and the header: what is to stay is repeated.
fn body(url: &str, secret: &Secret, present: Option<&Hook>) -> Json {
    let mut body = json!({
        "active": true, "events": hooks::events(present), "branch_filter": "*",
        "config": {"url": url, "content_type": "json", "secret": secret.reveal()},
    });
    match present.map(|h| h.authorization_header.as_str()) {
        None => body["type"] = "gitea".into(),
        Some("") => {}
        Some(header) => body["authorization_header"] = header.into(),
    }
    body
}

fn notes(base: &Base, version: Version, there: &[&Hook]) -> Vec<String> {
    let mut notes = Vec::new();
    if let [_, rest @ ..] = there
        && !rest.is_empty()
    {
        let ids: Vec<String> = rest.iter().map(|h| h.id.to_string()).collect();
        notes.push(format!(
            "more webhooks lead to the same address; remove them in Gitea: {}",
            ids.join(", ")
        ));
    }
    if !version.chooses_status() && !there.first().is_some_and(|h| hooks::everything(h)) {
        notes.push(
            "before 1.24 commit statuses go only to webhooks that hear of everything: choose \"All events\" in Gitea (Settings → Webhooks) if a gate waits for checks"
                .to_owned(),
        );
    }
    if let Some(word) = base.inside() {
        notes.push(format!(
            "Gitea refuses such addresses unless its app.ini says so, and only its own log tells: [webhook] ALLOWED_HOST_LIST = {word} (or {})",
            base.host()
        ));
    }
    notes
}

fn not_done(gitea: &Gitea, error: &GiteaError) -> NotDone {
    let help = match error {
        GiteaError::Forbidden { .. } => {
            "webhooks are for administrators of the repository: name the variable that holds an administrator's token with --token-env, or make the webhook in Gitea (Settings → Webhooks)"
        }
        GiteaError::Unauthorized { .. } => "give a valid token",
        GiteaError::NotFound { .. } => "see `forge.owner` and `forge.repo`, and that the token's user may see the repository",
        GiteaError::Unreachable { .. } | GiteaError::Timeout { .. } => {
            "see that the server runs and that `forge.url` is right, then say it again: nothing is done twice"
        }
        _ => "see `forge.url`; nothing is done twice when you say it again",
    };
    NotDone {
        error: format!("{}/{} on {}: {error}", gitea.owner, gitea.repo, gitea.url),
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_their_path() {
        let hook = |text: &str| text.parse::<Base>().map(|b| b.hook(hooks::PATH).to_string());
        assert_eq!(hook("https://sb.example").as_deref(), Ok("https://sb.example/webhook/gitea"));
        assert_eq!(
            hook(" http://sb.example:8500/box/ ").as_deref(),
            Ok("http://sb.example:8500/box/webhook/gitea")
        );
        for bad in [
            "",
            "sb.example",
            "ftp://sb.example",
            "https://",
            "https://a:b@sb",
            "https://sb/?a=1",
            "https://sb/#x",
            "https://sb/webhook/gitea",
        ] {
            assert!(hook(bad).is_err(), "{bad:?}");
        }
        let shown = "https://user:hunter2@sb".parse::<Base>().map_err(|e| e.to_string());
        assert!(shown.as_ref().is_err_and(|e| !e.contains("hunter2")), "{shown:?}");
    }

    #[test]
    fn addresses_of_the_own_network_are_told_apart() {
        let inside = |text: &str| text.parse::<Base>().ok().and_then(|b| b.inside());
        for (text, word) in [
            ("http://127.0.0.1:8500", Some("loopback")),
            ("http://[::1]:8500", Some("loopback")),
            ("http://localhost", Some("loopback")),
            ("http://10.1.2.3", Some("private")),
            ("http://[fd00::1]", Some("private")),
            ("http://signalbox-host", Some("private")),
            ("https://sb.example", None),
            ("https://8.8.8.8", None),
        ] {
            assert_eq!(inside(text), word, "{text}");
        }
    }
}
