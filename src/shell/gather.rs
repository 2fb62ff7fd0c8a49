//! Gathering the facts that a step asks for. What cannot be had is itself a fact.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::{Actor, Event, Fact, FactKey, Facts, FileFact, FrontmatterFact, Head, HeadFact, MergeFact, Task, Value};
use crate::engine::rules::{People, Ruleset};
use crate::engine::step;
use crate::shell::clock;
use crate::shell::front_matter;
use crate::shell::git::{GitError, MergeTree};
use crate::shell::intake::plane::standing_orders;
use crate::shell::service::Project;
use crate::shell::tracker::Tracker;
use crate::shell::tracker::plane::Haste;

/// Longest artefact that is read, in bytes.
const ARTEFACT_MAX: usize = 256 * 1024;
/// Longest text put into a fact, in bytes.
const TEXT_MAX: usize = 16 * 1024;
/// Most commits listed in a head fact.
const COMMITS_MAX: usize = 50;

/// Gathers `keys` for `task`, as `event` leaves its branch.
pub async fn gather(project: &Project, people: &People, rules: &Ruleset, task: &Task, event: &Event, keys: &[FactKey]) -> Facts {
    let (head, round_base) = step::reading(task, event);
    let by_person = matches!(event.actor, Actor::Person { .. });
    let gathering = Gathering {
        project,
        tracker: project.tracker.at(if by_person { Haste::PERSON } else { Haste::DECISION }),
        people,
        rules,
        task,
        head,
        round_base,
        folder: project.folder(rules, task),
    };
    let mut facts = Facts::default();
    let remote = keys
        .iter()
        .any(|k| matches!(k, FactKey::Head | FactKey::Mergeable | FactKey::Reviews));
    let fetched = if remote { fetch(project, rules, task, keys).await } else { Ok(()) };
    for key in keys {
        let needs_remote = matches!(key, FactKey::Head | FactKey::Mergeable | FactKey::Reviews);
        let fact = match (&fetched, needs_remote) {
            (Err(why), true) => unreachable(why),
            _ => gathering.one(key).await,
        };
        facts.0.insert(key.clone(), fact);
    }
    facts
}

/// Brings the vault up to date; first the forge itself, where it matters what people did to the
/// default branch elsewhere.
async fn fetch(project: &Project, rules: &Ruleset, task: &Task, keys: &[FactKey]) -> Result<(), String> {
    let irreversible = rules.stages.get(&task.control.stage).is_some_and(|s| !s.actions.is_empty());
    if irreversible || keys.contains(&FactKey::Mergeable) {
        project.forge.sync().await.map_err(|e| e.to_string())?;
    }
    project.vault.fetch().await.map_err(|e| e.to_string())
}

struct Gathering<'a> {
    project: &'a Project,
    tracker: Tracker,
    people: &'a People,
    rules: &'a Ruleset,
    task: &'a Task,
    head: Option<Head>,
    round_base: Option<String>,
    folder: String,
}

impl Gathering<'_> {
    async fn one(&self, key: &FactKey) -> Fact {
        let found = match key {
            FactKey::Issue => return self.issue().await,
            FactKey::Head => self.head().await,
            FactKey::Files => self.files().await,
            FactKey::Frontmatter(file) => self.frontmatter(file).await,
            FactKey::Json(file) => self.json(file).await,
            FactKey::Text(file) => self.text(file).await,
            FactKey::Checks => return self.checks().await,
            FactKey::Reviews => return self.reviews().await,
            FactKey::Mergeable => self.mergeable().await,
        };
        found.unwrap_or_else(|error| unreachable(&error))
    }

    async fn issue(&self) -> Fact {
        match self.tracker.issue(&self.task.issue).await {
            Ok(Some(issue)) => match standing_orders(&self.tracker, self.rules, self.people, issue).await {
                Ok(issue) => Fact::Known(Value::Issue(issue)),
                Err(error) => unreachable(&error),
            },
            Ok(None) => Fact::Absent,
            Err(error) => unreachable(&error),
        }
    }

    async fn head(&self) -> Result<Fact, GitError> {
        let vault = &self.project.vault;
        let base = vault.base().await?;
        let Some(sha) = vault.branch(&self.task.branch).await? else {
            return Ok(Fact::Known(Value::Head(HeadFact {
                head: None,
                base,
                descends: false,
                touched: Vec::new(),
                commits: Vec::new(),
            })));
        };
        let subject = vault.subject(&sha, &self.folder).await?;
        let descends = match &self.head {
            Some(ours) => ours.sha == sha || vault.is_ancestor(&ours.sha, &sha).await?,
            None => true,
        };
        let touched = self.touched(&base, &sha).await?;
        let commits = vault.log(&base, &sha, COMMITS_MAX).await?;
        Ok(Fact::Known(Value::Head(HeadFact {
            head: Some(Head { sha, subject }),
            base,
            descends,
            touched,
            commits,
        })))
    }

    /// Paths in which the branch differs from where it left the default branch.
    async fn touched(&self, base: &str, sha: &str) -> Result<Vec<String>, GitError> {
        let vault = &self.project.vault;
        let from = vault.merge_base(base, sha).await?.unwrap_or_else(|| base.to_owned());
        let mut touched = vault.changed(&from, sha).await?;
        touched.truncate(HeadFact::TOUCHED_MAX);
        Ok(touched)
    }

    fn sha(&self) -> Option<&str> {
        self.head.as_ref().map(|h| h.sha.as_str())
    }

    async fn files(&self) -> Result<Fact, GitError> {
        let Some(sha) = self.sha() else {
            return Ok(Fact::Known(Value::Files(Vec::new())));
        };
        let vault = &self.project.vault;
        let all = vault.entries(sha, &self.folder).await?;
        let mut changed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        let bases = self.task.ledger.bases.values().chain(self.round_base.as_ref());
        for base in bases {
            let since = if base == sha {
                BTreeSet::new()
            } else {
                vault.changed(base, sha).await?.into_iter().collect()
            };
            changed.insert(base, since);
        }
        let facts = all.into_iter().map(|(path, id)| {
            let base = step::base_of(self.rules, self.task, &path).or(self.round_base.as_deref());
            let fresh = base.is_none_or(|base| changed.get(base).is_some_and(|c| c.contains(&format!("{}/{path}", self.folder))));
            FileFact { path, id, fresh }
        });
        Ok(Fact::Known(Value::Files(facts.collect())))
    }

    async fn artefact(&self, file: &str) -> Result<Option<Vec<u8>>, GitError> {
        let Some(sha) = self.sha() else { return Ok(None) };
        self.project.vault.read(sha, &format!("{}/{file}", self.folder), ARTEFACT_MAX).await
    }

    async fn frontmatter(&self, file: &str) -> Result<Fact, GitError> {
        let bytes = match self.artefact(file).await {
            Err(GitError::TooLarge { .. }) => return Ok(unreadable(format!("{file} is larger than {ARTEFACT_MAX} bytes"))),
            other => other?,
        };
        let Some(bytes) = bytes else { return Ok(Fact::Absent) };
        Ok(match front_matter::parse(&bytes) {
            Ok(values) => Fact::Known(Value::Frontmatter(FrontmatterFact { values })),
            Err(why) => unreadable(why),
        })
    }

    async fn json(&self, file: &str) -> Result<Fact, GitError> {
        let Some(bytes) = self.artefact(file).await? else {
            return Ok(Fact::Absent);
        };
        Ok(match serde_json::from_slice(&bytes) {
            Ok(json) => Fact::Known(Value::Json(json)),
            Err(error) => unreadable(format!("{file} is no JSON: {error}")),
        })
    }

    async fn text(&self, file: &str) -> Result<Fact, GitError> {
        let Some(bytes) = self.artefact(file).await? else {
            return Ok(Fact::Absent);
        };
        let body = front_matter::body(&bytes);
        let cut = &body[..body.len().min(TEXT_MAX)];
        Ok(Fact::Known(Value::Text(String::from_utf8_lossy(cut).trim_start().to_owned())))
    }

    async fn checks(&self) -> Fact {
        let Some(sha) = self.sha() else { return Fact::Absent };
        match self.project.forge.checks(sha).await {
            Ok(checks) => Fact::Known(Value::Checks(checks)),
            Err(error) => unreachable(&error),
        }
    }

    async fn reviews(&self) -> Fact {
        let found = match self.project.forge.reviews(&self.task.branch).await {
            Ok(found) => found,
            Err(error) => return unreachable(&error),
        };
        let mut subjects: BTreeMap<String, String> = BTreeMap::new();
        let mut reviews = Vec::with_capacity(found.len());
        let ours = self.head.as_ref().map(|h| h.subject.as_str());
        for mut review in found {
            if !subjects.contains_key(&review.commit) {
                let subject = self.project.vault.subject(&review.commit, &self.folder).await.unwrap_or_default();
                subjects.insert(review.commit.clone(), subject);
            }
            review.current = subjects.get(&review.commit).map(String::as_str) == ours;
            reviews.push(review);
        }
        Fact::Known(Value::Reviews(reviews))
    }

    async fn mergeable(&self) -> Result<Fact, GitError> {
        let Some(sha) = self.sha() else { return Ok(Fact::Absent) };
        let vault = &self.project.vault;
        let base = vault.base().await?;
        let behind = !vault.is_ancestor(&base, sha).await?;
        let conflicts = match vault.merge_tree(&base, sha).await? {
            MergeTree::Clean { .. } => Vec::new(),
            MergeTree::Conflict { files } => files,
        };
        Ok(Fact::Known(Value::Mergeable(MergeFact { conflicts, behind, base })))
    }
}

fn unreachable(error: &dyn std::fmt::Display) -> Fact {
    Fact::Unreachable {
        since: clock::now(),
        why: error.to_string(),
    }
}

fn unreadable(why: impl Into<String>) -> Fact {
    Fact::Unreadable { why: why.into() }
}
