//! Dependencies between tasks: declared, bound to the task when it is born, never in a circle.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rusqlite::{Connection, Row, params};

use super::codec::{Fields, exec, first, list, one, word};
use super::{NewEvent, Result, Store, StoreError, inbox};
use crate::engine::model::{Dependency, Millis, Source, Task, TaskId, Wanted};

/// Who ends a dependency that the issue names no more.
const ISSUE: &str = "issue";

/// What came of declaring a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Declared {
    /// It is made.
    Made,
    /// It was there already.
    Already,
    /// It is refused: it would close this circle, from the task round to itself.
    Circle(Vec<String>),
}

/// What tasks that are not over wait for. In an order that the index of what lasts does not have: for that of the ids all
/// that was ever declared would be read.
pub(super) const ALL: &str =
    "SELECT d.* FROM dependencies d JOIN tasks t ON t.id = d.task WHERE d.ended_at IS NULL AND t.terminal = 0 ORDER BY +d.id";

impl Store {
    /// A person declares that `task` waits for the work item `on`; `event` is recorded with it.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when there is no such task.
    pub async fn depend(&self, task: TaskId, on: &str, who: &str, event: NewEvent) -> Result<Declared> {
        let (named, who) = (Wanted::Item(on.to_owned()), who.to_owned());
        self.write(move |conn| {
            let made = declare(conn, task, &named, Source::Command, &who, event.at)?;
            if made == Declared::Made {
                inbox::insert(conn, &event)?;
            }
            Ok(made)
        })
        .await
    }

    /// A person takes away every dependency of `task` on what is named so, wherever it was
    /// declared; whether there was one.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn undepend(&self, task: TaskId, on: &str, who: &str, event: NewEvent) -> Result<bool> {
        let (on, who) = (on.to_owned(), who.to_owned());
        self.write(move |conn| {
            let sql = "UPDATE dependencies SET ended_at = ?3, ended_by = ?4 WHERE task = ?1 AND ended_at IS NULL AND (item = ?2 OR issue = ?2 \
                       OR needs IN (SELECT id FROM tasks WHERE item = ?2))";
            let ended = exec(conn, sql, params![task.0, on, event.at.0, who])?;
            if ended > 0 {
                inbox::insert(conn, &event)?;
            }
            Ok(ended > 0)
        })
        .await
    }

    /// The dependencies of tasks that are not over, in the order in which they were declared.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn dependencies(&self) -> Result<Vec<Dependency>> {
        self.read(all).await
    }
}

/// Dependencies of tasks that are not over.
pub(super) fn all(conn: &Connection) -> Result<Vec<Dependency>> {
    list(conn, ALL, [], decode)
}

fn decode(row: &Row<'_>) -> Result<Dependency> {
    let f = Fields::new(row, "dependencies", "id");
    let (item, issue): (Option<String>, Option<String>) = (f.get("item")?, f.get("issue")?);
    Ok(Dependency {
        task: TaskId(f.get("task")?),
        on: f.get::<Option<i64>>("needs")?.map(TaskId),
        name: item.or(issue).unwrap_or_default(),
        source: f.word("source")?,
        since: f.time("since")?,
    })
}

/// What the task's issue names now takes the place of what it named before; the circles that were refused.
///
/// What a person took away stays away: the issue's word does not bring it back.
pub(super) fn named_by_issue(conn: &Connection, task: TaskId, wanted: &[Wanted], now: Millis) -> Result<Vec<Vec<String>>> {
    let sql = "SELECT id, item, issue FROM dependencies WHERE task = ?1 AND source <> 'command' AND ended_at IS NULL";
    for (id, there) in list(conn, sql, [task.0], |row| {
        let f = Fields::new(row, "dependencies", "id");
        let there = match f.get::<Option<String>>("item")? {
            Some(item) => Wanted::Item(item),
            None => Wanted::Issue(f.get("issue")?),
        };
        Ok((f.get::<i64>("id")?, there))
    })? {
        if !wanted.contains(&there) {
            let sql = "UPDATE dependencies SET ended_at = ?2, ended_by = ?3 WHERE id = ?1";
            exec(conn, sql, params![id, now.0, ISSUE])?;
        }
    }
    let mut circles = Vec::new();
    for name in wanted {
        let source = match name {
            Wanted::Item(_) => Source::Text,
            Wanted::Issue(_) => Source::Relation,
        };
        if taken_away(conn, task, name, source)? {
            continue;
        }
        if let Declared::Circle(circle) = declare(conn, task, name, source, ISSUE, now)? {
            circles.push(circle);
        }
    }
    Ok(circles)
}

fn taken_away(conn: &Connection, task: TaskId, name: &Wanted, source: Source) -> Result<bool> {
    let (item, issue) = parts(name);
    let sql = "SELECT ended_by FROM dependencies WHERE task = ?1 AND source = ?2 AND item IS ?3 AND issue IS ?4 ORDER BY id DESC LIMIT 1";
    let by = first(conn, sql, params![task.0, word(&source)?, item, issue], |row| {
        Ok(row.get::<_, Option<String>>(0)?)
    })?;
    Ok(by.flatten().is_some_and(|by| by != ISSUE))
}

fn declare(conn: &Connection, task: TaskId, name: &Wanted, source: Source, who: &str, now: Millis) -> Result<Declared> {
    let on = resolve(conn, task, name)?;
    if let Some(on) = on
        && let Some(circle) = circle(conn, task, on)?
    {
        return Ok(Declared::Circle(circle));
    }
    let (item, issue) = parts(name);
    let sql = "INSERT INTO dependencies (task, needs, item, issue, source, who, since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
               ON CONFLICT (task, source, COALESCE(item, ''), COALESCE(issue, '')) WHERE ended_at IS NULL DO NOTHING";
    let values = params![task.0, on.map(|t| t.0), item, issue, word(&source)?, who, now.0];
    Ok(if exec(conn, sql, values)? == 1 {
        Declared::Made
    } else {
        Declared::Already
    })
}

fn parts(name: &Wanted) -> (Option<&str>, Option<&str>) {
    match name {
        Wanted::Item(item) => (Some(item), None),
        Wanted::Issue(issue) => (None, Some(issue)),
    }
}

/// The task that is named so: the one that is not cancelled, else the latest.
fn resolve(conn: &Connection, task: TaskId, name: &Wanted) -> Result<Option<TaskId>> {
    let project: String =
        first(conn, "SELECT project FROM tasks WHERE id = ?1", [task.0], |row| Ok(row.get(0)?))?.ok_or(StoreError::Gone)?;
    let (item, issue) = parts(name);
    let sql = "SELECT id FROM tasks WHERE item = ?1 OR (project = ?2 AND issue = ?3) ORDER BY phase = 'cancelled', id DESC LIMIT 1";
    first(conn, sql, params![item, project, issue], |row| Ok(TaskId(row.get(0)?)))
}

/// Binds what waited for an issue that nobody had started to the task that it became.
pub(super) fn born(conn: &Connection, id: TaskId, task: &Task) -> Result<()> {
    let sql = "UPDATE dependencies SET needs = ?1 WHERE ended_at IS NULL AND needs IS NULL AND task <> ?1 \
               AND (item = ?2 OR (issue = ?3 AND task IN (SELECT id FROM tasks WHERE project = ?4)))";
    exec(conn, sql, params![id.0, task.item, task.issue, task.project.as_str()]).map(|_| ())
}

/// The circle that "`task` waits for `on`" would close, by names, from the task round to itself.
fn circle(conn: &Connection, task: TaskId, on: TaskId) -> Result<Option<Vec<String>>> {
    let sql = "SELECT d.task, d.needs FROM dependencies d JOIN tasks a ON a.id = d.task JOIN tasks b ON b.id = d.needs \
               WHERE d.ended_at IS NULL AND a.terminal = 0 AND b.terminal = 0";
    let mut edges: BTreeMap<TaskId, Vec<TaskId>> = BTreeMap::new();
    for (from, to) in list(conn, sql, [], |row| Ok((TaskId(row.get(0)?), TaskId(row.get(1)?))))? {
        edges.entry(from).or_default().push(to);
    }
    // The shortest way back, breadth first.
    let mut came: BTreeMap<TaskId, TaskId> = BTreeMap::new();
    let (mut seen, mut next) = (BTreeSet::from([on]), VecDeque::from([on]));
    while let Some(here) = next.pop_front() {
        if here == task {
            let mut way = vec![here];
            while let Some(before) = way.last().and_then(|t| came.get(t)) {
                way.push(*before);
            }
            way.push(task);
            way.reverse();
            way.dedup();
            let name = |id: &TaskId| one(conn, "SELECT item FROM tasks WHERE id = ?1", [id.0]);
            let mut names = way.iter().map(name).collect::<Result<Vec<String>>>()?;
            if names.len() == 1 {
                names.extend(names.first().cloned());
            }
            return Ok(Some(names));
        }
        for to in edges.get(&here).into_iter().flatten() {
            if seen.insert(*to) {
                came.insert(*to, here);
                next.push_back(*to);
            }
        }
    }
    Ok(None)
}
