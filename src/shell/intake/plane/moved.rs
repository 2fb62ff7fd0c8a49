//! What people did to an issue's status. The issue itself shows the last of it only; its history has all, each examined
//! once: a stop counts though the card was moved on, or written over by us, before anybody looked.

use crate::engine::model::Millis;
use crate::shell::clock;
use crate::shell::store::{BoardChanges, NewEvent, Taken};
use crate::shell::tracker::Standing;
use crate::shell::tracker::plane::{Activity, Item, Ref, User, standing, time};

use super::LookError;
use super::hint::{Hint, What};
use super::history::{History, PATIENCE, age};
use super::sync::Look;

/// Said of a move that was followed by another before anybody looked.
const IN_BETWEEN: &str = " in between";

/// Clocks may differ by so much, in milliseconds, besides what is known of it: a start in that time counts.
const DOUBT: i64 = 60_000;

/// A person's move of an issue.
struct Move {
    by: User,
    /// By the board's clock, in milliseconds.
    at: i64,
    status: String,
    activity: String,
}

/// What follows from moves.
#[derive(Default)]
struct Meant {
    events: Vec<NewEvent>,
    told: Vec<String>,
    /// Whether one of them has no effect by itself: the board is to show what is true again.
    again: bool,
}

impl Look<'_> {
    /// People moved the issue, told or not.
    pub(super) async fn state(&self, item: &Item, hint: Option<&Hint>) -> Result<Option<String>, LookError> {
        let Some(stands) = standing(item) else { return Ok(None) };
        let known = self.service.store.projection(&self.project.name, self.issue).await?;
        let moved = known.stands.as_deref() != Some(stands.status.as_str());
        let told = hint.filter(|hint| matches!(hint.what, What::State(_)));
        if !moved && told.is_none() {
            return Ok(None);
        }
        let history = History::new(self.plane.activities(self.issue).await?, &known);
        let own = self.plane.own().await?;
        let news = history.news();
        let shown = moved && self.explained(&history, item, &stands);
        if let Some(Hint {
            what: What::State(Some(new)),
            actor: Some(by),
            at: Some(at),
            ..
        }) = told
            && !history.tells(new, &by.id, *at)
            && age(*at, self.plane.skew()) < PATIENCE
        {
            return Err(LookError::Behind);
        }
        let mut moves = self.of_people(&news, &own).await?;
        let ours = shown && history.newest().is_some_and(|newest| newest.by(&own));
        if moved && !shown {
            moves.extend(self.unexplained(&history, item, &stands, hint)?);
        }
        let meant = self.meaning(&moves, IN_BETWEEN).await?;
        let found = BoardChanges {
            before: known.stands.clone(),
            stands: (moved && !ours).then(|| stands.status.clone()),
            seen: stands.changed_at,
            examined: history.with(&news),
            events: meant.events,
            again: meant.again,
        };
        let (project, issue, now) = (&self.project.name, self.issue, clock::now());
        let taken = self.service.store.take_changes(project, issue, found, now).await?;
        if ours && taken != Taken::Moved {
            // Written, and not noted: the service died in between.
            self.service.store.save_projection(project, issue, &stands.status, now).await?;
        }
        Ok(match taken {
            Taken::Moved => None,
            Taken::Now(_) => (!meant.told.is_empty()).then(|| meant.told.join("; ")),
        })
    }

    /// Whether the history's newest entry tells how the issue came where it stands.
    fn explained(&self, history: &History<'_>, item: &Item, stands: &Standing) -> bool {
        let state = item.state.as_ref().map_or("", Ref::id);
        history
            .newest()
            .is_some_and(|newest| newest.leads_to(state) || newest.leads_to(&stands.status))
    }

    /// How an issue came where it stands that its history does not tell of: it was made there, or the history is behind.
    /// If that lasts, somebody moved it, nobody knows who.
    fn unexplained(&self, history: &History<'_>, item: &Item, stands: &Standing, hint: Option<&Hint>) -> Result<Option<Move>, LookError> {
        let of = |text: &Option<String>| text.as_deref().and_then(time);
        let (changed, skew) = (of(&item.updated_at).unwrap_or_default(), self.plane.skew());
        let state = item.state.as_ref().map_or("", Ref::id);
        let moved = |by: User, at: i64| {
            Some(Move {
                by,
                at,
                status: stands.status.clone(),
                activity: format!("plane {} state {state} {at}", self.issue),
            })
        };
        if history.made_so(item, skew) {
            let by = item.created_by.as_ref().map(user).unwrap_or_default();
            return Ok(moved(by, of(&item.created_at).unwrap_or(changed)));
        }
        if age(changed, skew) < PATIENCE {
            return Err(LookError::Behind);
        }
        tracing::warn!(
            issue = self.issue,
            status = stands.status,
            "the history of the issue does not tell who moved it: it counts as a move by nobody who may decide"
        );
        let told = hint.and_then(|hint| match &hint.what {
            What::State(Some(new)) if *new == state || *new == stands.status => hint.actor.clone(),
            _ => None,
        });
        let nobody = || User {
            display_name: Some("somebody".to_owned()),
            ..User::default()
        };
        Ok(moved(told.unwrap_or_else(nobody), changed))
    }

    /// Moves by people among these entries.
    async fn of_people(&self, entries: &[&Activity], own: &[String]) -> Result<Vec<Move>, LookError> {
        let states = self.plane.states().await?;
        let people = entries.iter().filter(|entry| !entry.by(own));
        let moves = people.filter_map(|entry| {
            let state = states.iter().find(|s| entry.leads_to(&s.id) || entry.leads_to(&s.name))?;
            Some(Move {
                by: user(entry.actor.as_ref()?),
                at: entry.done_at()?,
                status: state.name.clone(),
                activity: format!("plane {} activity {}", self.issue, entry.key()),
            })
        });
        Ok(moves.collect())
    }

    /// What follows from moves; `gone` says of those that the board shows no longer since when.
    async fn meaning(&self, moves: &[Move], gone: &str) -> Result<Meant, LookError> {
        let mut found = Meant::default();
        for (n, this) in moves.iter().enumerate() {
            let status = &this.status;
            let gone = if gone == IN_BETWEEN && n + 1 == moves.len() { "" } else { gone };
            let Some(name) = self.meant(status) else {
                let idle = self.task.is_some() && self.means(status).is_some();
                let why = if idle {
                    "where there is nothing to do any more"
                } else {
                    "which is no signal here"
                };
                found.told.push(format!("moved to {status:?}{gone}, {why}"));
                found.again |= idle;
                continue;
            };
            if name == "start" && self.stood_before(this.at).await? {
                found.told.push(format!(
                    "moved to {status:?}{gone} before the service knew this board: it starts nothing, until it is moved away and back"
                ));
                continue;
            }
            let event = self.event(&name, None, &this.by, this.at, this.activity.clone()).await?;
            let refused = if event.is_some() { "" } else { ", refused" };
            found.told.push(format!("moved to {status:?}{gone}: the signal `{name}`{refused}"));
            found.again |= event.is_none() || name != "stop";
            found.events.extend(event);
        }
        Ok(found)
    }

    /// Whether an issue that has no task was brought to its status, at `at` by the board's clock, before the service knew the board.
    async fn stood_before(&self, at: i64) -> Result<bool, LookError> {
        if self.task.is_some() {
            return Ok(false);
        }
        let known = self.service.store.board(&self.project.name).await?;
        let ours = at.saturating_add(self.plane.skew());
        Ok(known.is_some_and(|known| ours < known.since.0.saturating_sub(DOUBT)))
    }

    /// What people did before we wrote `status` over it, at `written`: nobody may ever tell us of it. It counts.
    pub(super) async fn between(&self, status: &str, written: Millis) -> Result<Option<String>, LookError> {
        let known = self.service.store.projection(&self.project.name, self.issue).await?;
        let history = History::new(self.plane.activities(self.issue).await?, &known);
        let own = self.plane.own().await?;
        let Some(entries) = history.up_to_ours(status, &own) else {
            // Where somebody else had moved it there just before, there is no entry of ours.
            let waiting = clock::now().since(written).0 < PATIENCE;
            return if waiting { Err(LookError::Behind) } else { Ok(None) };
        };
        let meant = self.meaning(&self.of_people(&entries, &own).await?, " while we wrote").await?;
        let found = BoardChanges {
            before: known.stands.clone(),
            stands: None,
            seen: None,
            examined: history.with(&entries),
            events: meant.events,
            again: false,
        };
        let (project, issue) = (&self.project.name, self.issue);
        let taken = self.service.store.take_changes(project, issue, found, clock::now()).await?;
        let told = matches!(taken, Taken::Now(n) if n > 0).then(|| meant.told.join("; "));
        Ok(told)
    }
}

fn user(of: &Ref) -> User {
    User {
        id: of.id().to_owned(),
        ..User::default()
    }
}
