//! The block `task_deps` of `/queue`.

use std::collections::BTreeSet;

use crate::engine::model::{Dependency, Source};
use crate::shell::queue;
use crate::shell::service::Service;
use crate::shell::store::QueueView as Rows;

use super::{DependencyView, TaskDepsView};

/// What holds tasks back because they wait for others.
pub(super) async fn task_deps(service: &Service, rows: &Rows) -> TaskDepsView {
    let open = queue::dependencies(service, rows).await;
    let knows = |p: &&crate::shell::service::Project| p.rules().depends.enabled;
    let repos: Vec<String> = service.projects.values().filter(knows).map(|p| p.name.to_string()).collect();
    let blocked: BTreeSet<_> = open.iter().map(|d| d.task).collect();
    TaskDepsView {
        enabled: !repos.is_empty(),
        repos,
        blocked: blocked.len() as u64,
        open: open.iter().map(|d| view(rows, d)).collect(),
    }
}

fn view(rows: &Rows, dependency: &Dependency) -> DependencyView {
    let task = |id| rows.tasks.iter().find(|t| t.id == id);
    let on = dependency.on.and_then(task);
    DependencyView {
        item: task(dependency.task).map(|t| t.item.clone()).unwrap_or_default(),
        on: on.map_or_else(|| dependency.name.clone(), |t| t.item.clone()),
        state: on.map_or_else(|| "not started".to_owned(), |t| t.control.stage.to_string()),
        source: match dependency.source {
            Source::Relation => "relation",
            Source::Text => "text",
            Source::Command => "command",
        }
        .to_owned(),
        since: dependency.since.into(),
    }
}
