//! A Gitea or Forgejo: whether it answers, what the token may, and how the repository is set up.

use std::time::Duration;

use crate::engine::rules::{GateKind, Gitea, Ruleset};
use crate::shell::forge::GiteaError;
use crate::shell::forge::gitea::{Client, Repository};

use super::hooks::{self, Fault, Version};
use super::setup::Base;
use super::{Ask, Notes, branch, checks, timely};

/// Looks at one project's repository.
pub(super) async fn look(ask: Ask<'_>, gitea: &Gitea, rules: &Ruleset, mut notes: Notes) -> Notes {
    notes.secret("forge.secret", "forge.secret", &gitea.secret, ask.dir);
    let Some(token) = notes.secret("forge.secret", "forge.token", &gitea.token, ask.dir) else {
        return notes;
    };
    let client = match Client::new(&gitea.url, &gitea.owner, &gitea.repo, token) {
        Ok(client) => client,
        Err(error) => {
            notes.problem(
                "forge.address",
                error.to_string(),
                "nothing can be asked of the forge",
                "see `forge.url` and `forge.token`",
            );
            return notes;
        }
    };
    let site = Site {
        client,
        gitea,
        rules,
        patience: ask.patience,
    };
    if let Err(error) = site.read(ask.url, &mut notes).await {
        refused(&mut notes, gitea, &error);
    }
    notes
}

/// A repository, and how long to wait for each of its answers.
struct Site<'a> {
    client: Client,
    gitea: &'a Gitea,
    rules: &'a Ruleset,
    patience: Duration,
}

impl Site<'_> {
    async fn wait<T>(&self, answer: impl Future<Output = Result<T, GiteaError>>) -> Result<T, GiteaError> {
        let late = || GiteaError::Timeout {
            what: self.gitea.url.clone(),
            seconds: self.patience.as_secs(),
        };
        timely(self.patience, answer, late).await
    }

    /// Everything, until something is refused without which the rest means nothing.
    async fn read(&self, base: Option<&Base>, notes: &mut Notes) -> Result<(), GiteaError> {
        let version = self.wait(self.client.version()).await?;
        let user = self.wait(self.client.user()).await?;
        notes.ok(
            "forge.token",
            format!("{} (version {version}) knows the token of {user}", self.gitea.url),
        );
        let repository = self.wait(self.client.repository()).await?;
        self.repository(notes, &repository);
        self.scopes(notes).await?;
        if !repository.empty {
            self.protection(notes).await?;
            checks::look(&self.client, self.rules, &self.gitea.default_branch, self.patience, notes).await?;
        }
        self.hooks(notes, base, Version::parse(&version)).await
    }

    fn name(&self) -> String {
        format!("{}/{}", self.gitea.owner, self.gitea.repo)
    }

    /// Settings without which the pipeline cannot work.
    fn repository(&self, notes: &mut Notes, found: &Repository) {
        let before = notes.clean();
        let name = self.name();
        let push = "nothing can be pushed or merged";
        if found.archived {
            notes.problem(
                "forge.repository",
                format!("{name} is archived"),
                push,
                "restore it in Gitea (Settings), or name another repository",
            );
        }
        if found.mirror {
            notes.problem(
                "forge.repository",
                format!("{name} is a mirror"),
                push,
                "name the repository that it mirrors, or make it a regular one",
            );
        }
        if found.empty {
            let mend = format!("push a first commit to {}", self.gitea.default_branch);
            notes.problem(
                "forge.repository",
                format!("{name} is empty"),
                "tasks begin with the default branch's commit",
                &mend,
            );
        }
        if !found.permissions.push {
            let mend = "give the user write access (Settings → Collaborators)";
            notes.problem("forge.access", format!("the token's user may not write to {name}"), push, mend);
        }
        if found.has_pull_requests == Some(false) {
            let mend = "turn them on in Gitea (Settings → Units)";
            notes.problem(
                "forge.repository",
                format!("{name} has no pull requests"),
                "every change is asked for as one",
                mend,
            );
        }
        if found.allow_merge_commits == Some(false) {
            let mend = "allow merge commits in Gitea (Settings → Pull requests)";
            notes.problem(
                "forge.merge",
                format!("{name} allows no merge commits"),
                "every merge is asked for as one and refused (405)",
                mend,
            );
        }
        if found.default_delete_branch_after_merge {
            let mend = "turn it off in Gitea (Settings → Pull requests)";
            notes.warning(
                "forge.merge",
                format!("{name} deletes branches after a merge"),
                "the service still reads a branch while it verifies the merge, and leaves it as a record",
                mend,
            );
        }
        if !found.empty && found.default_branch != self.gitea.default_branch {
            notes.warning(
                "forge.default_branch",
                format!(
                    "the default branch of {name} is {:?}, the configuration says {:?}",
                    found.default_branch, self.gitea.default_branch
                ),
                "tasks begin with the configured one and are merged into it",
                &format!("set `default_branch = {:?}`, or change it on the forge", found.default_branch),
            );
        }
        if before && notes.clean() {
            notes.ok(
                "forge.repository",
                format!("{name} can be written to, default branch {}", found.default_branch),
            );
        }
    }

    /// What the token may, as far as reading tells: what it may write, only writing tells.
    async fn scopes(&self, notes: &mut Notes) -> Result<(), GiteaError> {
        for (list, scope) in [("pulls", "write:repository"), ("issues", "write:issue")] {
            match self.wait(self.client.readable(list)).await {
                Ok(()) => {}
                Err(GiteaError::Forbidden { message, .. }) => notes.problem(
                    "forge.scope",
                    format!("the token may not read {list}: {message}"),
                    "pull requests cannot be followed",
                    &format!("make a token with the scope {scope} besides the others (write:repository, write:issue, read:user)"),
                ),
                // A repository whose issues are turned off.
                Err(GiteaError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn protection(&self, notes: &mut Notes) -> Result<(), GiteaError> {
        let name = &self.gitea.default_branch;
        match self.wait(self.client.guard(name)).await {
            Ok(guard) => branch::default(notes, self.rules, name, &guard),
            Err(GiteaError::NotFound { .. }) => notes.problem(
                "forge.default_branch",
                format!("{} has no branch {name:?}", self.name()),
                "tasks begin with its commit",
                "correct `default_branch`, or push the branch",
            ),
            Err(error) => return Err(error),
        }
        match self.wait(self.client.protections()).await {
            Ok(all) => branch::rules(notes, self.rules, name, &all),
            Err(GiteaError::Forbidden { .. } | GiteaError::NotFound { .. }) => notes.unknown(
                "forge.branch.tasks",
                "only administrators of the repository see which patterns of branches are protected",
                "see in Gitea (Settings → Branches) that none covers tasks' branches",
            ),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn hooks(&self, notes: &mut Notes, base: Option<&Base>, version: Version) -> Result<(), GiteaError> {
        let all = match self.wait(self.client.hooks()).await {
            Ok(all) => all,
            Err(GiteaError::Forbidden { .. } | GiteaError::NotFound { .. }) => {
                let mend =
                    "see in Gitea (Settings → Webhooks), or run `signalbox setup webhooks --token-env NAME` with an administrator's token";
                notes.unknown("forge.webhook", "only administrators of the repository see its webhooks", mend);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let ours: Vec<_> = all.iter().filter(|h| hooks::ours(h, base)).collect();
        let address = base.map_or_else(|| format!("…{}", hooks::PATH), |b| b.hook(hooks::PATH).to_string());
        let mend = "`signalbox setup webhooks --url https://…`";
        let Some(hook) = ours.first() else {
            notes.problem(
                "forge.webhook",
                format!("{} has no webhook to {address}", self.name()),
                "reviews, checks and pushes are seen late, or with the next event only (one of the organisation or the server is not seen from here)",
                mend,
            );
            return Ok(());
        };
        if let [_, second, ..] = ours.as_slice() {
            let what = format!("{} webhooks lead here, {} and {} among them", ours.len(), hook.id, second.id);
            notes.warning(
                "forge.webhook.twice",
                what,
                "everything is told twice",
                "remove all but one in Gitea (Settings → Webhooks)",
            );
        }
        let faults = hooks::faults(hook, version);
        for fault in &faults {
            let check = match fault {
                Fault::Inactive => "forge.webhook.inactive",
                Fault::Events(_) => "forge.webhook.events",
                Fault::Form(_) => "forge.webhook.form",
                Fault::Filter(_) => "forge.webhook.filter",
            };
            notes.problem(
                check,
                format!("the webhook {}: {}", hook.config.url, fault.what()),
                fault.why(),
                mend,
            );
        }
        let checked = self.rules.gates.values().any(|g| matches!(g.kind, GateKind::Checks { .. }));
        if !version.chooses_status() && checked && !hooks::everything(hook) {
            notes.warning(
                "forge.webhook.status",
                "this version sends commit statuses only to webhooks that hear of everything",
                "a check that turns green is seen with the next event only",
                "choose \"All events\" for the webhook in Gitea (Settings → Webhooks), or go to Gitea 1.24",
            );
        } else if faults.is_empty() {
            notes.ok(
                "forge.webhook",
                format!("the webhook {} is active and hears of what it should", hook.config.url),
            );
        }
        Ok(())
    }
}

/// Why the forge could not be read, by what has to be done about it.
fn refused(notes: &mut Notes, gitea: &Gitea, error: &GiteaError) {
    let scopes = "make a token of the service's user with the scopes write:repository, write:issue and read:user, and put it where `forge.token` points";
    let (check, mend): (&'static str, &str) = match error {
        GiteaError::Unauthorized { .. } => ("forge.token", scopes),
        GiteaError::Forbidden { .. } => ("forge.scope", scopes),
        GiteaError::NotFound { .. } => (
            "forge.repository",
            "see `forge.owner` and `forge.repo`, and that the token's user may see the repository: to others it does not exist",
        ),
        GiteaError::Malformed { .. } | GiteaError::Status { status: 300..=399, .. } => (
            "forge.address",
            "see whether the repository was renamed or moved (`forge.owner`, `forge.repo`), and that `forge.url` is the address of the server as it names itself",
        ),
        _ => (
            "forge.reach",
            "see that the server runs, that `forge.url` is right, and that this machine may go there",
        ),
    };
    let why = "branches wait to be pushed, and gates that read the forge wait";
    notes.problem(check, format!("{}: {error}", gitea.url), why, mend);
}
