//! The board's states and labels against those that the rules speak of.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::model::Name;
use crate::engine::rules::{GateKind, Ruleset};
use crate::shell::door::known_signal;

use super::Notes;

/// What a status is in the rules.
#[derive(Debug, Default)]
struct Use {
    /// The signal that moving an issue there gives.
    signal: Option<Name>,
    /// Where it is shown.
    shown: BTreeSet<String>,
}

/// Every status that the rules show, and where.
fn shown(rules: &Ruleset) -> Vec<(&str, String)> {
    let mut all = Vec::new();
    for (name, stage) in &rules.stages {
        all.extend(stage.status.as_deref().map(|s| (s, format!("at the stage {name}"))));
        all.extend(
            stage
                .on
                .iter()
                .filter_map(|(on, e)| Some((e.status.as_deref()?, format!("at the stage {name}, {on}")))),
        );
    }
    all.extend(rules.on.iter().filter_map(|(on, e)| Some((e.status.as_deref()?, on.to_string()))));
    let spent = rules.counters.iter().map(|(name, c)| (name, &c.spent));
    all.extend(spent.filter_map(|(name, e)| Some((e.status.as_deref()?, format!("when {name} is used up")))));
    let refused = rules.entry.refused_status.as_deref();
    all.extend(refused.map(|s| (s, "when an issue is not taken".to_owned())));
    all
}

/// Every status of the rules.
fn uses(rules: &Ruleset) -> BTreeMap<&str, Use> {
    let mut all: BTreeMap<&str, Use> = BTreeMap::new();
    for (status, signal) in rules.signals.status.iter().filter(|(_, signal)| known_signal(rules, signal)) {
        all.entry(status).or_default().signal = Some(signal.clone());
    }
    for (status, place) in shown(rules) {
        all.entry(status).or_default().shown.insert(place);
    }
    all
}

/// Tells which statuses of the rules the board lacks, and which the board has twice, spelled
/// differently. (One status for two meanings is an error of the rules.)
pub(super) fn compare(notes: &mut Notes, rules: &Ruleset, board: &[String]) {
    let uses = uses(rules);
    let mut there = 0;
    for (status, used) in &uses {
        if board.iter().any(|s| s == status) {
            there += 1;
        } else {
            lacking(notes, rules, board, status, used);
        }
    }
    for (at, one) in board.iter().enumerate() {
        if let Some(other) = board
            .iter()
            .skip(at + 1)
            .find(|o| alike(o, one) && (uses.contains_key(one.as_str()) || uses.contains_key(o.as_str())))
        {
            notes.warning(
                "tracker.status.twice",
                format!("the board has both {one:?} and {other:?}"),
                "only the one that is spelled as in the rules means anything",
                "remove the other in Plane under Project settings → States",
            );
        }
    }
    if there == uses.len() {
        notes.ok("tracker.status", format!("the board has all {there} statuses of the rules"));
    }
}

fn alike(one: &str, other: &str) -> bool {
    let plain = |s: &str| s.split_whitespace().collect::<String>().to_lowercase();
    plain(one) == plain(other)
}

fn places(used: &Use) -> String {
    let places: Vec<&str> = used.shown.iter().take(3).map(String::as_str).collect();
    let more = used.shown.len().saturating_sub(3);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", places.join("; "))
}

/// One status that the board lacks: what it would mean, and what works without it.
fn lacking(notes: &mut Notes, rules: &Ruleset, board: &[String], status: &str, used: &Use) {
    let near = board.iter().find(|s| alike(s, status));
    let mend = match near {
        Some(near) => format!("rename the state {near:?} to {status:?} in Plane under Project settings → States"),
        None => format!("add a state {status:?} in Plane under Project settings → States, or change the rules"),
    };
    let Some(signal) = &used.signal else {
        let what = format!("the board has no status {status:?}: it is not shown {}", places(used));
        return notes.warning("tracker.status", what, "people see an older status on the board meanwhile", &mend);
    };
    let other = rules
        .signals
        .status
        .iter()
        .find(|(s, n)| *n == signal && s.as_str() != status && board.contains(s));
    if let Some((other, _)) = other {
        let what = format!("the board has no status {status:?}; {other:?} means `{signal}` as well");
        return notes.warning("tracker.status", what, "one way less to say it", &mend);
    }
    let what = format!("the board has no status {status:?}: the signal `{signal}` cannot be given there by moving the issue");
    let marker = rules.signals.comment.iter().find(|(_, n)| n == signal).map(|(m, _)| m);
    match signal.as_str() {
        "start" => notes.problem("tracker.status", what, "nothing starts work on this board", &mend),
        "stop" => notes.warning(
            "tracker.status",
            format!("the board's {status} does not exist; `signalbox stop` still works"),
            "who sees only the board cannot stop anything",
            &mend,
        ),
        name => {
            let command = match name {
                "reject" => "`signalbox reject ITEM \"why\"`".to_owned(),
                "answer" => "`signalbox answer ITEM \"…\"`".to_owned(),
                "approve" => "`signalbox approve ITEM`".to_owned(),
                other => format!("`signalbox approve ITEM --signal {other}`"),
            };
            let comment = marker.map(|m| format!("the comment {m} and ")).unwrap_or_default();
            notes.warning("tracker.status", what, &format!("{comment}{command} still give it"), &mend);
        }
    }
}

/// Tells which labels of standing orders the board lacks.
pub(super) fn labels(notes: &mut Notes, rules: &Ruleset, board: &[String]) {
    let ordered = rules.gates.values().filter_map(|gate| match &gate.kind {
        GateKind::Human { auto: Some(auto), .. } => rules.auto.get(auto),
        _ => None,
    });
    let wanted: BTreeSet<&str> = ordered.map(|order| order.label.as_str()).collect();
    for label in &wanted {
        if !board.iter().any(|l| l.trim().eq_ignore_ascii_case(label)) {
            notes.warning(
                "tracker.label",
                format!("the board has no label {label:?}"),
                "nobody can give that standing order on the board; every task asks a person",
                "add the label in Plane under Project settings → Labels, or leave it away on purpose",
            );
        }
    }
    if !wanted.is_empty() && wanted.iter().all(|w| board.iter().any(|l| l.trim().eq_ignore_ascii_case(w))) {
        notes.ok(
            "tracker.label",
            format!("the board has the labels {}", wanted.into_iter().collect::<Vec<_>>().join(", ")),
        );
    }
}
