//! What a script is given: typed, read-only values, in which a misspelt field is an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};
use serde_json::Value as Json;

use super::sandbox::{ARRAY_SIZE, MAP_SIZE, STRING_SIZE, failure};
use crate::engine::model::{CheckFact, CheckState, FileFact, HeadFact, Issue, MergeFact, ReviewFact, ReviewState, Value};

/// Deepest nesting of a JSON value that a script is given.
const DEPTH: usize = 32;

/// A value passed to a script; what is absent arrives as `()`.
#[derive(Debug, Clone, Copy)]
pub enum ScriptArg<'a> {
    /// The front-matter of an artefact: a record of texts.
    Frontmatter(Option<&'a BTreeMap<String, String>>),
    /// A JSON artefact. Whole numbers beyond 64 bits arrive as texts.
    Json(Option<&'a Json>),
    /// The text of an artefact.
    Text(Option<&'a str>),
    /// Files of the artefact folder: records with `path`, `fresh`.
    Files(&'a [FileFact]),
    /// Commit statuses: records with `context`, `state` (`success`, `pending`, `failure`).
    Checks(&'a [CheckFact]),
    /// Reviews: records with `author`, `state` (`approved`, `changes`), `commit`, `current`, `body`.
    Reviews(&'a [ReviewFact]),
    /// A record with `conflicts`, `behind`, `base`.
    Mergeable(&'a MergeFact),
    /// A record with `id`, `number`, `title`, `description`, `labels`, `author`.
    Issue(&'a Issue),
    /// A record with `sha`, `subject` (both `()` without a branch), `base`, `descends`.
    Head(&'a HeadFact),
    /// There is no such thing.
    Absent,
}

impl<'a> ScriptArg<'a> {
    /// The argument for a gathered fact; `None` for one that is absent.
    #[must_use]
    pub fn of(fact: Option<&'a Value>) -> Self {
        match fact {
            None => Self::Absent,
            Some(Value::Issue(issue)) => Self::Issue(issue),
            Some(Value::Head(head)) => Self::Head(head),
            Some(Value::Files(files)) => Self::Files(files),
            Some(Value::Frontmatter(found)) => Self::Frontmatter(Some(&found.values)),
            Some(Value::Json(json)) => Self::Json(Some(json)),
            Some(Value::Text(text)) => Self::Text(Some(text)),
            Some(Value::Checks(checks)) => Self::Checks(checks),
            Some(Value::Reviews(reviews)) => Self::Reviews(reviews),
            Some(Value::Mergeable(merge)) => Self::Mergeable(merge),
        }
    }

    /// As the script sees it. `Err` says what is too large.
    pub(super) fn to_dynamic(self) -> Result<Dynamic, String> {
        match self {
            Self::Frontmatter(None) | Self::Json(None) | Self::Text(None) | Self::Absent => Ok(Dynamic::UNIT),
            Self::Frontmatter(Some(values)) => record(
                values
                    .iter()
                    .map(|(key, value)| Ok((key.as_str(), text(value)?)))
                    .collect::<Result<Vec<_>, String>>()?,
            ),
            Self::Json(Some(json)) => from_json(json),
            Self::Text(Some(found)) => text(found),
            Self::Files(files) => list(files, |file| {
                record(vec![("path", text(&file.path)?), ("fresh", file.fresh.into())])
            }),
            Self::Checks(checks) => list(checks, check),
            Self::Reviews(reviews) => list(reviews, review),
            Self::Mergeable(merge) => record(vec![
                ("conflicts", list(&merge.conflicts, |path| text(path))?),
                ("behind", merge.behind.into()),
                ("base", text(&merge.base)?),
            ]),
            Self::Issue(found) => issue(found),
            Self::Head(found) => head(found),
        }
    }
}

fn check(found: &CheckFact) -> Result<Dynamic, String> {
    let state = match found.state {
        CheckState::Success => "success",
        CheckState::Pending => "pending",
        CheckState::Failure => "failure",
    };
    record(vec![("context", text(&found.context)?), ("state", state.into())])
}

fn review(found: &ReviewFact) -> Result<Dynamic, String> {
    let state = match found.state {
        ReviewState::Approved => "approved",
        ReviewState::Changes => "changes",
    };
    record(vec![
        ("author", text(&found.author)?),
        ("state", state.into()),
        ("commit", text(&found.commit)?),
        ("current", found.current.into()),
        ("body", text(&found.body)?),
    ])
}

fn issue(found: &Issue) -> Result<Dynamic, String> {
    record(vec![
        ("id", text(&found.id)?),
        ("number", found.number.map_or(Dynamic::UNIT, Into::into)),
        ("title", text(&found.title)?),
        ("description", text(&found.description)?),
        ("labels", list(&found.labels, |label| text(label))?),
        ("author", text(&found.author)?),
    ])
}

fn head(found: &HeadFact) -> Result<Dynamic, String> {
    let (sha, subject) = match &found.head {
        Some(head) => (text(&head.sha)?, text(&head.subject)?),
        None => (Dynamic::UNIT, Dynamic::UNIT),
    };
    record(vec![
        ("sha", sha),
        ("subject", subject),
        ("base", text(&found.base)?),
        ("descends", found.descends.into()),
    ])
}

/// A JSON value as a script sees it.
pub(super) fn from_json(json: &Json) -> Result<Dynamic, String> {
    json_at(json, DEPTH)
}

fn json_at(json: &Json, depth: usize) -> Result<Dynamic, String> {
    let Some(below) = depth.checked_sub(1) else {
        return Err(format!("a JSON value is nested deeper than {DEPTH} levels"));
    };
    match json {
        Json::Null => Ok(Dynamic::UNIT),
        Json::Bool(value) => Ok((*value).into()),
        Json::Number(number) => Ok(json_number(number)),
        Json::String(value) => text(value),
        Json::Array(entries) => list(entries, |entry| json_at(entry, below)),
        Json::Object(entries) => {
            let fields = entries.iter().map(|(key, value)| Ok((key.as_str(), json_at(value, below)?)));
            record(fields.collect::<Result<Vec<_>, String>>()?)
        }
    }
}

/// Beyond 64 bits a whole number would silently become another one: it arrives as text instead.
fn json_number(number: &serde_json::Number) -> Dynamic {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => whole.into(),
        (None, Some(float)) if number.is_f64() && float.abs() < BEYOND => float.into(),
        _ => number.to_string().into(),
    }
}

fn text(value: &str) -> Result<Dynamic, String> {
    if value.len() > STRING_SIZE {
        return Err(format!("a text of {} bytes; at most {STRING_SIZE} are allowed", value.len()));
    }
    Ok(value.into())
}

fn list<T>(entries: &[T], each: impl Fn(&T) -> Result<Dynamic, String>) -> Result<Dynamic, String> {
    if entries.len() > ARRAY_SIZE {
        return Err(format!("a list of {} entries; at most {ARRAY_SIZE} are allowed", entries.len()));
    }
    Ok(Dynamic::from_array(entries.iter().map(each).collect::<Result<Array, String>>()?))
}

fn record(fields: Vec<(&str, Dynamic)>) -> Result<Dynamic, String> {
    if fields.len() > MAP_SIZE {
        return Err(format!("a record of {} fields; at most {MAP_SIZE} are allowed", fields.len()));
    }
    Ok(Dynamic::from(Record(Arc::new(
        fields.into_iter().map(|(key, value)| (key.into(), value)).collect(),
    ))))
}

/// A read-only record: it has getters only, and an unknown field is an error.
#[derive(Debug, Clone)]
pub(super) struct Record(Arc<Map>);

impl Record {
    /// Its fields.
    pub(super) fn fields(&self) -> &Map {
        &self.0
    }

    fn field(&self, name: &str) -> Result<Dynamic, Box<EvalAltResult>> {
        self.0.get(name).cloned().ok_or_else(|| {
            let known = self.0.keys().map(|key| key.as_str()).take(20).collect::<Vec<_>>().join(", ");
            failure(format!(
                "there is no field `{name}`; there are: {known} (test with `\"{name}\" in …` where it may be absent)"
            ))
        })
    }
}

/// Teaches the engine what records can do.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Record>("record");
    engine.register_indexer_get(|record: &mut Record, name: &str| record.field(name));
    engine.register_fn("get", |record: &mut Record, name: &str| record.field(name));
    engine.register_fn("get", |record: &mut Record, name: &str, otherwise: Dynamic| {
        record.0.get(name).cloned().unwrap_or(otherwise)
    });
    engine.register_fn("contains", |record: &mut Record, name: &str| record.0.contains_key(name));
    engine.register_fn("len", |record: &mut Record| i64::try_from(record.0.len()).unwrap_or(i64::MAX));
    engine.register_fn("is_empty", |record: &mut Record| record.0.is_empty());
    engine.register_fn("keys", |record: &mut Record| {
        record.0.keys().map(|key| Dynamic::from(key.to_string())).collect::<Array>()
    });
    engine.register_fn("values", |record: &mut Record| record.0.values().cloned().collect::<Array>());
}
