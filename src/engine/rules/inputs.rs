//! What a ruleset was made of: stored under its hash, and enough to make it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::engine::model::Name;

use super::config::{Forge, InFlight, Language, Languages, Project, Tracker};
use super::decode_config::Placed;
use super::diagnostic::{Diagnostic, Place, Problem, Severity, Sink};
use super::files::Files;
use super::load::{Trees, Unit, build};
use super::merge::Override;
use super::shared::Shared;
use super::texts;
use super::tree::Node;
use super::{Ruleset, codes};

/// Version of the stored form.
const VERSION: u64 = 1;

/// The settings of a project that its ruleset depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Work item id prefix.
    pub prefix: String,
    /// Default branch of the repository.
    pub default_branch: String,
    /// Free values for templates.
    pub vars: BTreeMap<String, String>,
    /// Overrides: keys and value.
    pub set: Vec<(Vec<String>, Json)>,
}

impl Settings {
    /// Of a project.
    #[must_use]
    pub fn of(project: &Project) -> Self {
        let mut set: Vec<_> = project.set.iter().map(|o| (o.path.clone(), o.node.value.to_json())).collect();
        set.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            prefix: project.prefix.clone(),
            default_branch: project.forge.default_branch().to_owned(),
            vars: project.vars.clone(),
            set,
        }
    }
}

/// What a ruleset was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// The pipeline.
    pub pipeline: Name,
    /// The project's settings; `None` for a pipeline that is not bound.
    pub settings: Option<Settings>,
    /// Languages of the messages.
    pub languages: Languages,
    /// Texts by path.
    pub files: BTreeMap<String, String>,
}

impl Inputs {
    /// To be stored; the same inputs give the same text.
    #[must_use]
    pub fn stored(&self) -> Json {
        let settings = self
            .settings
            .as_ref()
            .map(|s| json!({ "prefix": s.prefix, "default_branch": s.default_branch, "vars": s.vars, "set": s.set }));
        let mut stored = json!({
            "version": VERSION,
            "pipeline": self.pipeline,
            "language": self.languages.texts.code(),
            "settings": settings,
            "files": self.files,
        });
        // Where the chat has no language of its own nothing is said about it, and the hash is as it was before there were chats.
        if self.languages.chat != self.languages.texts {
            stored["chat_language"] = json!(self.languages.chat.code());
        }
        stored
    }

    /// SHA-256 over what is stored, hex.
    #[must_use]
    pub fn hash(&self) -> String {
        // JSON objects are sorted by key here, so the text is canonical.
        hex::encode(Sha256::digest(self.stored().to_string().as_bytes()))
    }

    fn read(stored: &Json) -> Option<Self> {
        if stored.get("version")?.as_u64()? != VERSION {
            return None;
        }
        let settings = match stored.get("settings")? {
            Json::Null => None,
            s => Some(Settings {
                prefix: s.get("prefix")?.as_str()?.to_owned(),
                default_branch: s.get("default_branch")?.as_str()?.to_owned(),
                vars: serde_json::from_value(s.get("vars")?.clone()).ok()?,
                set: serde_json::from_value(s.get("set")?.clone()).ok()?,
            }),
        };
        let language = |key: &str| stored.get(key).and_then(Json::as_str).map(code);
        let texts = language("language")?;
        Some(Self {
            pipeline: Name::new(stored.get("pipeline")?.as_str()?),
            settings,
            languages: Languages {
                texts,
                chat: language("chat_language").unwrap_or(texts),
            },
            files: serde_json::from_value(stored.get("files")?.clone()).ok()?,
        })
    }
}

fn code(code: &str) -> Language {
    if code == "ru" { Language::Ru } else { Language::En }
}

/// Makes a ruleset again from what was stored.
///
/// # Errors
/// The findings, when what was stored is damaged or this version reads it differently.
pub fn revive(stored: &Json) -> Result<Ruleset, Vec<Diagnostic>> {
    let mut files = Files::default();
    let Some(inputs) = Inputs::read(stored) else {
        let sink = Sink::new(&files);
        let at = Place {
            file: Arc::from("stored rules"),
            span: 0..0,
        };
        let problem = Problem::error(codes::UNREADABLE_FILE, &at, "what was stored is no ruleset of this version").whole_file();
        sink.push(problem.help("reload the rules, and retry the task under them"));
        return Err(sink.into_sorted());
    };
    for (path, text) in &inputs.files {
        files.insert(path, text.clone(), format!("{path} (stored)"));
    }
    let sink = Sink::new(&files);
    let trees = Trees::read(&files, &sink);
    texts::check_all(&files, &sink);
    let shared = Shared::gather(&files, inputs.languages, &sink);
    let placed = inputs.settings.as_ref().map(|s| placed(&inputs.pipeline, s));
    let unit = Unit {
        used: true,
        pipeline: inputs.pipeline.clone(),
        settings: placed.as_ref().map(|p| (&p.project, p)),
    };
    let built = build(&files, &trees, &shared, &unit, inputs.languages, &sink);
    let found = sink.into_sorted();
    match built {
        Some(built) if !found.iter().any(|d| d.severity == Severity::Error) => Ok(built.rules),
        _ => Err(found),
    }
}

fn placed(pipeline: &Name, s: &Settings) -> Placed {
    let at = Place {
        file: Arc::from("signalbox.toml"),
        span: 0..0,
    };
    let set = s.set.iter().map(|(path, json)| Override {
        path: path.clone(),
        place: at.clone(),
        node: Node::from_json(json, &at),
    });
    let project = Project {
        pipeline: pipeline.clone(),
        prefix: s.prefix.clone(),
        tracker: Tracker::Local,
        forge: Forge::Local {
            source: String::new(),
            default_branch: s.default_branch.clone(),
        },
        vars: s.vars.clone(),
        set: set.collect(),
        max_concurrency: None,
        priority: 0,
        in_flight: InFlight::default(),
    };
    Placed {
        project,
        at: at.clone(),
        pipeline_at: at,
    }
}
