//! The live card of a task in a chat: HTML from a template, every value escaped.

use std::collections::BTreeMap;

use minijinja::{Value, context};
use serde::Serialize;

use super::{environment, fence};
use crate::engine::rules::Ruleset;

/// Longest text of a value, in characters: a card is read at a glance.
const LONGEST: usize = 300;

/// The template's name in the messages.
const KEY: &str = "card.task";

/// How a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// Its agents are queued or at work.
    #[default]
    Work,
    /// Its gates are being asked.
    Gates,
    /// A person's verdict is awaited.
    Review,
    /// Something else is awaited; the detail says what.
    Waits,
    /// An action is next or under way.
    Action,
    /// The base is being merged into its branch.
    Updating,
    /// An agent asked something.
    Question,
    /// It is parked for a person.
    Escalated,
    /// It is being stopped.
    Stopping,
    /// Its stop waits for an irreversible step.
    StopDeferred,
    /// It has arrived.
    Done,
    /// It was stopped.
    Cancelled,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Work,
        Self::Gates,
        Self::Review,
        Self::Waits,
        Self::Action,
        Self::Updating,
        Self::Question,
        Self::Escalated,
        Self::Stopping,
        Self::StopDeferred,
        Self::Done,
        Self::Cancelled,
    ];

    /// As templates spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Gates => "gates",
            Self::Review => "review",
            Self::Waits => "waits",
            Self::Action => "action",
            Self::Updating => "updating",
            Self::Question => "question",
            Self::Escalated => "escalated",
            Self::Stopping => "stopping",
            Self::StopDeferred => "stop_deferred",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Time spent in a stage that was left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// The stage.
    pub stage: String,
    /// All its visits together, in seconds.
    pub seconds: i64,
    /// How often it was visited.
    pub visits: u32,
}

/// Something to be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `issue`, `change`, `branch`.
    pub name: String,
    /// Address, `http` or `https`.
    pub url: String,
}

/// What a card can say; every field is a placeholder of the same name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CardWords {
    /// Work item id.
    pub item: String,
    /// The title.
    pub title: String,
    /// The project.
    pub project: String,
    /// The stage it stands at.
    pub stage: String,
    /// How it stands; templates get [`Standing::as_str`].
    pub standing: Standing,
    /// What it waits for, the question, the reason of the escalation.
    pub detail: String,
    /// When the present stage was entered, or the task ended: date and time in UTC.
    pub since: String,
    /// Stages that were left, in the order in which they were first entered.
    pub stages: Vec<Spent>,
    /// From its beginning to its end, in seconds; 0 while it is not over.
    pub total: i64,
    /// Human review time in closed periods, in seconds.
    pub review: i64,
    /// When the open period of review began: date and time in UTC; empty when none is open.
    pub review_since: String,
    /// What all ended runs cost, in United States dollars, `1.25`; empty when nothing is known.
    pub cost: String,
    /// Task branch.
    pub branch: String,
    /// Number of the change request; 0 when there is none.
    pub change: i64,
    /// Where to read on.
    pub links: Vec<Link>,
}

/// Placeholders of cards.
const WORDS: &[&str] = &[
    "item",
    "title",
    "project",
    "stage",
    "standing",
    "detail",
    "since",
    "stages",
    "total",
    "review",
    "review_since",
    "cost",
    "branch",
    "change",
    "links",
    "vars",
];

impl CardWords {
    fn context(&self, vars: &BTreeMap<String, String>) -> Value {
        let stages: Vec<Spent> = self
            .stages
            .iter()
            .map(|s| Spent {
                stage: tame(&s.stage),
                ..s.clone()
            })
            .collect();
        context! {
            item => tame(&self.item), title => tame(&self.title), project => tame(&self.project), stage => tame(&self.stage),
            standing => self.standing.as_str(), detail => tame(&self.detail), since => self.since, stages => stages, total => self.total,
            review => self.review, review_since => self.review_since, cost => self.cost, branch => tame(&self.branch),
            change => self.change, links => self.links, vars => vars,
        }
    }
}

/// One line without characters that nobody sees, at most [`LONGEST`] characters of it: a value is
/// cut before it is escaped.
fn tame(text: &str) -> String {
    let line = fence::clean(text).split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// The card as HTML. It never fails: where the template is missing or broken, people get one plain line.
#[must_use]
pub fn card(rules: &Ruleset, words: &CardWords) -> String {
    let rendered = rules
        .messages
        .get(KEY)
        .map(|t| environment::render_html(t, words.context(&rules.vars)));
    match rendered {
        Some(Ok(text)) if !text.trim().is_empty() => tidy(&text),
        _ => fence::escape(&tame(&format!(
            "{}: {} ({}) {}",
            words.item,
            words.stage,
            words.standing.as_str(),
            words.title
        ))),
    }
}

/// Without empty lines at the ends and without more than one in a row.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0_u32;
    for line in text.trim().lines().map(str::trim_end) {
        empty = if line.is_empty() { empty.saturating_add(1) } else { 0 };
        if empty <= 1 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim_end().to_owned()
}

/// Whether the template of a card can be used.
///
/// # Errors
/// What is wrong with it: its syntax, an unknown placeholder, or what fails when it is tried out.
pub fn check_card(text: &str) -> Result<(), String> {
    let vars = environment::check_placeholders(text, WORDS)?;
    let full = CardWords {
        item: "x".to_owned(),
        title: "x".to_owned(),
        standing: Standing::Work,
        stages: vec![Spent {
            stage: "x".to_owned(),
            seconds: 90_000,
            visits: 2,
        }],
        links: vec![Link {
            name: "issue".to_owned(),
            url: "https://example.org".to_owned(),
        }],
        detail: "x".to_owned(),
        total: 4_000,
        review: 70,
        cost: "0.10".to_owned(),
        change: 1,
        ..CardWords::default()
    };
    for words in [full, CardWords::default()] {
        environment::render_html(text, words.context(&vars))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rules::{Language, load};
    use crate::shell::embedded::embedded;

    fn rules(language: Language) -> Ruleset {
        let mut files = embedded();
        let text = format!(
            "schema = 1\nlanguage = \"{}\"\n[projects.p]\npipeline = \"local\"\nprefix = \"P\"\ntracker = {{ kind = \"local\" }}\n\
             forge = {{ kind = \"local\", source = \"r\", default_branch = \"main\" }}\nset = {{ \"agents.*.run\" = [\"true\"] }}\n",
            language.code()
        );
        files.insert("signalbox.toml", text, "signalbox.toml");
        let mut loaded = load(&files);
        assert!(!loaded.failed(), "{:#?}", loaded.diagnostics);
        std::sync::Arc::into_inner(loaded.rulesets.pop_first().unwrap().1).unwrap()
    }

    fn words() -> CardWords {
        CardWords {
            item: "P-007".to_owned(),
            title: "<b>bold</b> & \"co\"\u{202e}".to_owned(),
            project: "p".to_owned(),
            stage: "review".to_owned(),
            standing: Standing::Review,
            detail: "approved.waiting: x".to_owned(),
            since: "2026-11-20 10:00".to_owned(),
            stages: vec![
                Spent {
                    stage: "analysis".to_owned(),
                    seconds: 59,
                    visits: 1,
                },
                Spent {
                    stage: "development".to_owned(),
                    seconds: 7_500,
                    visits: 2,
                },
            ],
            review: 180,
            review_since: "2026-11-20 10:05".to_owned(),
            cost: "1.25".to_owned(),
            branch: "feature/P-007".to_owned(),
            change: 3,
            links: vec![Link {
                name: "issue".to_owned(),
                url: "https://example.org/a?b=1&c=2".to_owned(),
            }],
            total: 0,
        }
    }

    /// B-UX: stage, time per stage, human review time, cost, link; values are text.
    #[test]
    fn the_card_shows_what_it_must_and_values_are_text() {
        insta::with_settings!({ snapshot_path => "../../../snapshots/cards", prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!("review_en", card(&rules(Language::En), &words()));
            insta::assert_snapshot!("review_ru", card(&rules(Language::Ru), &words()));
            let done = CardWords { standing: Standing::Done, total: 90_061, review_since: String::new(), detail: String::new(), ..words() };
            insta::assert_snapshot!("done_en", card(&rules(Language::En), &done));
            insta::assert_snapshot!("bare_en", card(&rules(Language::En), &CardWords { item: "P-1".to_owned(), standing: Standing::Work, ..CardWords::default() }));
        });
    }

    #[test]
    fn every_standing_is_told_in_words() {
        for language in [Language::En, Language::Ru] {
            let rules = rules(language);
            let mut seen = std::collections::BTreeSet::new();
            for standing in Standing::ALL {
                let text = card(
                    &rules,
                    &CardWords {
                        standing,
                        ..CardWords::default()
                    },
                );
                assert!(seen.insert(text.clone()), "{standing:?}: {text}");
                assert!(text.lines().count() > 1, "{standing:?}: {text}");
            }
        }
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let long = CardWords {
            title: "😀".repeat(10_000),
            ..words()
        };
        let text = card(&rules(Language::En), &long);
        assert!(
            text.contains(&format!("{}…", "😀".repeat(300))) && text.chars().count() < 1500,
            "{text}"
        );
    }

    #[test]
    fn a_broken_template_is_told_and_a_missing_one_is_survived() {
        assert!(check_card("{{ itm }}").unwrap_err().contains("item"));
        assert!(check_card("{{ stages.x.y }}").is_err());
        assert!(check_card("{% for s in stages %}{{ s.stage }}{{ s.seconds // 60 }}{% endfor %}").is_ok());
        let mut rules = rules(Language::En);
        rules.messages.clear();
        assert_eq!(
            card(&rules, &words()),
            "P-007: review (review) &lt;b&gt;bold&lt;/b&gt; &amp; &quot;co&quot;"
        );
    }
}
