//! Rulesets by content hash: what a task was decided under stays readable.

use rusqlite::params;

use super::codec::{Fields, exec, first, json};
use super::{Result, Store};
use crate::engine::model::Millis;

impl Store {
    /// Keeps the files of a ruleset under their content hash. A hash that is there already stays as it is.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn save_ruleset(&self, hash: &str, files: serde_json::Value, now: Millis) -> Result<()> {
        let hash = hash.to_owned();
        self.write(move |conn| {
            let sql = "INSERT INTO rulesets (hash, files, saved_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            exec(conn, sql, params![hash, json(&files)?, now.0]).map(|_| ())
        })
        .await
    }

    /// The files of a ruleset.
    ///
    /// # Errors
    /// As all of the store.
    pub async fn ruleset(&self, hash: &str) -> Result<Option<serde_json::Value>> {
        let hash = hash.to_owned();
        self.read(move |conn| {
            first(conn, "SELECT hash, files FROM rulesets WHERE hash = ?1", [&hash], |row| {
                Fields::new(row, "rulesets", "hash").json("files")
            })
        })
        .await
    }
}
