//! Tasks whose board is followed no longer, because the configuration names another one for their project: nobody is heard there.

use crate::engine::model::{Millis, Name};
use crate::shell::clock;
use crate::shell::service::Service;
use crate::shell::store::{LeftBoard, StoreError};

/// What is left behind now, with what to do about it, and since when.
///
/// # Errors
/// As all of the store.
pub async fn problems(service: &Service) -> Result<Vec<(String, Millis)>, StoreError> {
    let mut found = Vec::new();
    for project in service.boards.keys() {
        let left = service.store.boards_left(project).await?;
        found.extend(left.iter().map(|left| (text(project, left), left.since)));
    }
    Ok(found)
}

/// Operators are told at a start.
///
/// # Errors
/// As all of the store.
pub async fn begin(service: &Service) -> Result<(), StoreError> {
    let now = clock::now();
    for name in service.boards.keys() {
        let Some(project) = service.projects.get(name) else { continue };
        for left in service.store.boards_left(name).await? {
            let key = format!("left-board-{name}-{}", now.0);
            service.store.alert(name, project.repo, &key, &text(name, &left), now).await?;
        }
    }
    Ok(())
}

fn text(project: &Name, left: &LeftBoard) -> String {
    let tasks = match left.tasks {
        1 => "its open task".to_owned(),
        more => format!("its {more} open tasks"),
    };
    format!(
        "project {project} follows another board than {tasks} began on: {}/projects/{}. Nothing that people do there is heard, a STOP neither, and \
         nothing is shown there: bring it back (`projects.{project}.tracker` in signalbox.toml, then a restart), or stop them (`signalbox stop ITEM`)",
        left.server, left.board
    )
}
