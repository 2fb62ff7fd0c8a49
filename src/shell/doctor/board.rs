//! A Plane board: whether it answers, whether the keys are good, and whether it has what the rules
//! speak of.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::model::Name;
use crate::engine::rules::{Config, Plane, Ruleset};
use crate::shell::secret::Secret;
use crate::shell::tracker::PlaneTracker;
use crate::shell::tracker::plane::{Budgets, Details, PlaneError, User};

use super::{Ask, Notes, people, statuses, timely};

/// Looks at one project's board.
pub(super) async fn look(ask: Ask<'_>, config: &Config, plane: &Plane, rules: &Ruleset, budgets: &Budgets, mut notes: Notes) -> Notes {
    notes.secret("tracker.secret", "tracker.secret", &plane.secret, ask.dir);
    let key = notes.secret("tracker.secret", "tracker.token", &plane.token, ask.dir);
    let mut agents = BTreeMap::new();
    for (slot, from) in &plane.agents {
        if let Some(key) = notes.secret("tracker.secret", &format!("tracker.agents.{slot}.token"), from, ask.dir) {
            agents.insert(slot.clone(), key);
        }
    }
    let Some(key) = key else { return notes };
    let slots: Vec<Name> = agents.keys().cloned().collect();
    let board = match Board::open(plane, key, agents, budgets, ask.patience) {
        Ok(board) => board,
        Err(why) => {
            notes.problem(
                "tracker.reach",
                format!("connections to the tracker cannot be made: {why}"),
                "",
                "see to the machine's certificates",
            );
            return notes;
        }
    };
    if let Err(error) = board.read(plane, config, rules, &slots, &mut notes).await {
        refused(&mut notes, plane, &error);
    }
    notes
}

/// A board, and how long to wait for each of its answers.
struct Board {
    tracker: PlaneTracker,
    patience: Duration,
}

impl Board {
    fn open(plane: &Plane, key: Secret, agents: BTreeMap<Name, Secret>, budgets: &Budgets, patience: Duration) -> Result<Self, String> {
        let tracker = PlaneTracker::new(plane, key, agents, budgets)?;
        Ok(Self { tracker, patience })
    }

    async fn wait<T>(&self, answer: impl Future<Output = Result<T, PlaneError>>) -> Result<T, PlaneError> {
        timely(self.patience, answer, || PlaneError::Timeout).await
    }

    /// Everything, until something cannot be read.
    async fn read(&self, plane: &Plane, config: &Config, rules: &Ruleset, slots: &[Name], notes: &mut Notes) -> Result<(), PlaneError> {
        let me = self.wait(self.tracker.me()).await?;
        notes.ok("tracker.key", format!("{} takes the key of {}", plane.url, named(&me)));
        let details = self.wait(self.tracker.details()).await?;
        project(notes, &details, &rules.prefix);
        let states = self.wait(self.tracker.states()).await?;
        let names: Vec<String> = states.iter().map(|s| s.name.clone()).collect();
        statuses::compare(notes, rules, &names);
        statuses::labels(notes, rules, &self.wait(self.tracker.labels()).await?);
        let members = self.wait(self.tracker.members()).await?;
        people::compare(notes, &config.people, &members, &me);
        let mut owners = vec![("signalbox".to_owned(), me.id.clone())];
        for slot in slots {
            match self.wait(self.tracker.agent(slot)).await {
                Ok(Some(user)) => agent(notes, slot, &user, &members, &mut owners),
                Ok(None) => {}
                Err(error @ PlaneError::Key(_)) => notes.problem(
                    "tracker.agent",
                    format!("the key of the agent `{slot}` is refused: {error}"),
                    "its questions and comments come under the service's own name",
                    "make a new key for the agent's user and put it where its `token` points",
                ),
                Err(error) => return Err(error),
            }
        }
        let mend = "`signalbox setup webhooks --url …` says what to enter in Plane, and where";
        notes.unknown(
            "tracker.webhook",
            "Plane tells no key about webhooks: whether one leads here cannot be told",
            mend,
        );
        Ok(())
    }
}

fn named(user: &User) -> &str {
    user.display_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(&user.id)
}

fn project(notes: &mut Notes, details: &Details, prefix: &str) {
    if details.archived_at.is_some() {
        notes.problem(
            "tracker.project",
            format!("the project {:?} is archived", details.name),
            "its issues cannot be read",
            "restore it in Plane (Projects → Archived), or name another in `tracker.project`",
        );
    } else if details.identifier != prefix && !details.identifier.is_empty() {
        notes.warning(
            "tracker.prefix",
            format!("the board calls its issues {}-7, the rules {prefix}-007", details.identifier),
            "people look for one and find the other",
            &format!(
                "set `prefix = \"{}\"` while the project has no tasks, or change the identifier in Plane",
                details.identifier
            ),
        );
    } else {
        notes.ok("tracker.project", format!("the project {:?}, identifier {prefix}", details.name));
    }
}

/// An agent's own user: a member, and nobody else's.
fn agent(notes: &mut Notes, slot: &Name, user: &User, members: &[User], owners: &mut Vec<(String, String)>) {
    let twin = owners.iter().find(|(_, id)| *id == user.id).map(|(who, _)| who.clone());
    owners.push((format!("the agent `{slot}`"), user.id.clone()));
    if let Some(twin) = twin {
        notes.warning(
            "tracker.agent",
            format!("the key of the agent `{slot}` is of the same user as that of {twin}"),
            "people cannot tell on the board who asks",
            "give each its own user and key, or take the key out of `tracker.agents`",
        );
    } else if !members.iter().any(|m| m.id == user.id) {
        notes.problem(
            "tracker.agent",
            format!("{}, the user of the agent `{slot}`, is no member of the project", named(user)),
            "its comments are refused",
            "add the user to the project with the role Member (Project settings → Members)",
        );
    } else {
        notes.ok("tracker.agent", format!("the agent `{slot}` writes as {}", named(user)));
    }
}

/// Why the board could not be read, by what has to be done about it.
fn refused(notes: &mut Notes, plane: &Plane, error: &PlaneError) {
    let (check, mend): (&'static str, String) = match error {
        PlaneError::Key(_) => (
            "tracker.key",
            "make a key for the service's user in Plane (Settings → API tokens) and put it where `tracker.token` points".to_owned(),
        ),
        PlaneError::Forbidden(_) => (
            "tracker.access",
            format!(
                "make the key's owner a member of the project with the role Member, and see that workspace {:?} and project {:?} are right",
                plane.workspace, plane.project
            ),
        ),
        PlaneError::NoProject | PlaneError::NotFound => (
            "tracker.project",
            "`workspace` and `project` stand in the board's address: …/WORKSPACE/projects/PROJECT/issues/".to_owned(),
        ),
        PlaneError::Redirect { .. } | PlaneError::NotJson { .. } | PlaneError::Malformed { .. } => (
            "tracker.address",
            "set `tracker.url` to the address of the Plane server itself, without a path".to_owned(),
        ),
        PlaneError::Limited { .. } => (
            "tracker.reach",
            "ask again in a minute, or raise API_KEY_RATE_LIMIT on the Plane server".to_owned(),
        ),
        _ => (
            "tracker.reach",
            "see that the server runs, that `tracker.url` is right, and that this machine may go there".to_owned(),
        ),
    };
    let why = "nothing is read from the board or shown there; tasks under way go on";
    notes.problem(check, format!("{}: {error}", plane.url), why, &mend);
}
