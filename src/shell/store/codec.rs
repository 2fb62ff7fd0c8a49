//! Rows to values and back. A row that cannot be is an error naming table and row.

use std::cell::Cell;

use rusqlite::types::FromSql;
use rusqlite::{Connection, Params, Row, Statement};
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use serde::{Deserialize, Serialize};

use super::{Result, StoreError};
use crate::engine::model::{Millis, Name};

/// A row being decoded.
pub(super) struct Fields<'r> {
    row: &'r Row<'r>,
    table: &'static str,
    key: &'static str,
    /// Where the next column is looked for first: rows are read in about the order of their columns, and a search from the
    /// front for each of thirty was a fifth of the time that long lists take.
    next: Cell<usize>,
}

impl<'r> Fields<'r> {
    /// A row of `table`; `key` is the column that names it.
    pub fn new(row: &'r Row<'r>, table: &'static str, key: &'static str) -> Self {
        let next = Cell::new(0);
        Self { row, table, key, next }
    }

    /// The error for this row.
    pub fn corrupt(&self, why: impl std::fmt::Display) -> StoreError {
        let id = match self.row.get::<_, rusqlite::types::Value>(self.key) {
            Ok(rusqlite::types::Value::Integer(i)) => i.to_string(),
            Ok(rusqlite::types::Value::Text(t)) => t,
            _ => "?".to_owned(),
        };
        StoreError::Corrupt {
            table: self.table,
            id,
            why: why.to_string(),
        }
    }

    /// A plain column.
    pub fn get<T: FromSql>(&self, column: &'static str) -> Result<T> {
        let got = match self.place(column) {
            Some(place) => self.row.get(place),
            None => self.row.get(column),
        };
        got.map_err(|e| match e {
            rusqlite::Error::SqliteFailure(..) => e.into(),
            _ => self.corrupt(format!("{column}: {e}")),
        })
    }

    /// Where this column stands.
    fn place(&self, column: &'static str) -> Option<usize> {
        let statement: &Statement<'_> = self.row.as_ref();
        let (count, next) = (statement.column_count(), self.next.get());
        let named = |at: &usize| statement.column_name(*at).is_ok_and(|name| name == column);
        let place = (next..count).chain(0..next.min(count)).find(named)?;
        self.next.set(place + 1);
        Some(place)
    }

    /// A number that must fit the smaller type.
    pub fn small<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let wide: i64 = self.get(column)?;
        T::try_from(wide).map_err(|_| self.corrupt(format!("{column}: {wide} is out of range")))
    }

    /// A number that may be missing and must fit the smaller type.
    pub fn small_opt<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>> {
        let wide: Option<i64> = self.get(column)?;
        wide.map(|w| T::try_from(w).map_err(|_| self.corrupt(format!("{column}: {w} is out of range"))))
            .transpose()
    }

    /// A time.
    pub fn time(&self, column: &'static str) -> Result<Millis> {
        self.get(column).map(Millis)
    }

    /// A time that may be missing.
    pub fn time_opt(&self, column: &'static str) -> Result<Option<Millis>> {
        Ok(self.get::<Option<i64>>(column)?.map(Millis))
    }

    /// A name.
    pub fn name(&self, column: &'static str) -> Result<Name> {
        self.get::<String>(column).map(Name::from)
    }

    /// A JSON column.
    pub fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|e| self.corrupt(format!("{column}: {e}")))
    }

    /// A JSON column that may be missing.
    pub fn json_opt<T: DeserializeOwned>(&self, column: &'static str) -> Result<Option<T>> {
        let text: Option<String> = self.get(column)?;
        text.map(|t| serde_json::from_str(&t).map_err(|e| self.corrupt(format!("{column}: {e}"))))
            .transpose()
    }

    /// A column holding the name of a unit variant.
    pub fn word<T: for<'de> Deserialize<'de>>(&self, column: &'static str) -> Result<T> {
        let text: String = self.get(column)?;
        unword(&text).map_err(|e| self.corrupt(format!("{column}: {e}")))
    }

    /// A column holding the name of a unit variant, or nothing.
    pub fn word_opt<T: for<'de> Deserialize<'de>>(&self, column: &'static str) -> Result<Option<T>> {
        let text: Option<String> = self.get(column)?;
        text.map(|t| unword(&t).map_err(|e| self.corrupt(format!("{column}: {e}"))))
            .transpose()
    }
}

fn unword<T: for<'de> Deserialize<'de>>(text: &str) -> std::result::Result<T, value::Error> {
    T::deserialize(text.into_deserializer())
}

/// The name of a unit variant.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(other) => Err(StoreError::refused(format!("{other} is no plain name"))),
        Err(e) => Err(StoreError::refused(e.to_string())),
    }
}

/// JSON that is known to read back: a number that is none, or a value nested too deeply, is
/// refused here, not found when the row is needed.
pub(super) fn json<T: Serialize + DeserializeOwned>(value: &T) -> Result<String> {
    let text = serde_json::to_string(value).map_err(|e| StoreError::refused(e.to_string()))?;
    serde_json::from_str::<T>(&text).map_err(|e| StoreError::refused(format!("the value does not read back: {e}")))?;
    Ok(text)
}

/// Every row.
pub(super) fn list<T>(conn: &Connection, sql: &str, params: impl Params, decode: impl Fn(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(decode(row)?);
    }
    Ok(out)
}

/// The first row.
pub(super) fn first<T>(conn: &Connection, sql: &str, params: impl Params, decode: impl Fn(&Row<'_>) -> Result<T>) -> Result<Option<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(decode).transpose()
}

/// The first column of the one row that there must be.
pub(super) fn one<T: FromSql>(conn: &Connection, sql: &str, params: impl Params) -> Result<T> {
    Ok(conn.prepare_cached(sql)?.query_row(params, |row| row.get(0))?)
}

/// The first column of every row.
pub(super) fn column<T: FromSql>(conn: &Connection, sql: &str, params: impl Params) -> Result<Vec<T>> {
    list(conn, sql, params, |row| Ok(row.get(0)?))
}

/// Carries out a statement; how many rows it changed.
pub(super) fn exec(conn: &Connection, sql: &str, params: impl Params) -> Result<usize> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::model::{JobKind, Usage};

    #[test]
    fn words_round_trip_and_strangers_are_refused() {
        assert_eq!(word(&JobKind::Command).as_deref(), Ok("command"));
        assert_eq!(unword::<JobKind>("agent"), Ok(JobKind::Agent));
        assert!(unword::<JobKind>("magic").is_err());
    }

    #[test]
    fn a_number_that_is_none_is_refused_when_written() {
        let usage = Usage {
            input_tokens: 1,
            output_tokens: 1,
            cost_usd: f64::NAN,
        };
        assert!(matches!(json(&usage), Err(StoreError::Refused { .. })));
        assert!(json(&Usage { cost_usd: 0.5, ..usage }).is_ok());
    }

    #[test]
    fn a_row_that_cannot_be_names_table_and_row() {
        let conn = Connection::open_in_memory().unwrap();
        let found = first(&conn, "SELECT 7 AS id, 'magic' AS kind, -1 AS visit, '{' AS body", [], |row| {
            let f = Fields::new(row, "jobs", "id");
            Ok((
                f.word::<JobKind>("kind").unwrap_err(),
                f.small::<u32>("visit").unwrap_err(),
                f.json::<Usage>("body").unwrap_err(),
            ))
        });
        let (kind, visit, body) = found.unwrap().unwrap();
        for error in [kind, visit, body] {
            assert!(
                matches!(&error, StoreError::Corrupt { table: "jobs", id, .. } if id == "7"),
                "{error}"
            );
        }
    }
}
