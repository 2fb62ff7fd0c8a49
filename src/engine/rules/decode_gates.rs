//! Gates, as written.

use std::collections::BTreeMap;

use crate::engine::model::{FactKey, Millis};

use super::codes;
use super::diagnostic::{Problem, list, quoted};
use super::draft::{ClauseDraft, GateDraft, KindDraft};
use super::later;
use super::reader::{Reader, Sp, wrong_type};
use super::tree::{Entry, Table, Value};
use super::value::{check_glob, check_name, check_path, usable};

const KINDS: &[&str] = &[
    "files",
    "frontmatter",
    "checks",
    "review",
    "mergeable",
    "command",
    "human",
    "wait",
    "first_of",
    "all_of",
    "script",
    "http",
];

const FOLDER: &str = "the artefact folder";

/// A gate: exactly one of the kinds.
pub fn gate(r: &Reader) -> GateDraft {
    r.truth("enabled");
    r.not_yet(&["enabled"]);
    let given: Vec<&'static str> = KINDS.iter().copied().filter(|k| r.has(k)).collect();
    for kind in KINDS {
        r.entry(kind);
    }
    match given.as_slice() {
        [kind] => GateDraft(read_kind(r, kind)),
        [] => {
            r.missing("files", &format!("a gate is one of {}", list(KINDS)));
            GateDraft(None)
        }
        [first, ..] => {
            let problem = Problem::error(
                codes::CONFLICT,
                &r.at,
                format!("{} is of several kinds: {}", r.what(), list(&given)),
            );
            let related = given.iter().filter_map(|k| r.entry(k));
            let problem = related.fold(problem.label("one kind per gate"), |p, e| p.related(&e.key_place, "a kind"));
            r.sink
                .push(problem.help(format!("an inherited kind is taken away by `{first} = \"unset\"`")));
            GateDraft(None)
        }
    }
}

fn read_kind(r: &Reader, kind: &'static str) -> Option<KindDraft> {
    let what = format!("`{kind}` of {}", r.what());
    match kind {
        "files" => return files(r),
        "first_of" => return r.some_texts("first_of").map(|t| KindDraft::FirstOf(t.v)),
        "all_of" => return r.some_texts("all_of").map(|t| KindDraft::AllOf(t.v)),
        _ => {}
    }
    let inner = r.table(kind, what)?;
    let read = match kind {
        "frontmatter" => frontmatter(&inner),
        "checks" => checks(&inner),
        "review" => inner
            .need_text("changes", "name the outcome: changes = \"changes\"")
            .filter(|o| outcome(o, r))
            .map(KindDraft::Review),
        "mergeable" => Some(KindDraft::Mergeable),
        "command" => command(&inner),
        "human" => human(&inner),
        "wait" => wait(&inner),
        "http" => {
            r.not_yet(&["http"]);
            Some(KindDraft::Http(later::http_gate(&inner)))
        }
        _ => script(&inner),
    };
    inner.finish();
    read
}

/// Outcome names: `ok` is the only reserved word that is one.
fn outcome(name: &Sp<String>, r: &Reader) -> bool {
    const TAKEN: &[&str] = &["pending", "waiting", "unreachable", "unreadable", "error", "none"];
    if TAKEN.contains(&name.v.as_str()) {
        let problem = Problem::error(
            codes::BAD_NAME,
            &name.at,
            format!("{} is the engine's own outcome", quoted(&name.v)),
        );
        r.sink.push(problem.label("taken").help("choose another word"));
        return false;
    }
    name.v == "ok" || check_name(&name.v, &name.at, "an outcome", r.sink)
}

fn files(r: &Reader) -> Option<KindDraft> {
    let entry = r.entry("files")?;
    let Value::Array(nodes) = &entry.node.value else {
        wrong_type(r.sink, &entry.node, "`files`", "an array of clauses");
        return None;
    };
    let mut clauses = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let Some(table) = node.table() else {
            wrong_type(r.sink, node, "each clause of `files`", "a table");
            continue;
        };
        let c = Reader::new(table, &node.place, "a clause of `files`", r.sink);
        clauses.extend(clause(&c, i + 1 == nodes.len()));
        c.finish();
    }
    let decided = clauses.last().is_some_and(|c| matches!(c, ClauseDraft::Else(_)));
    if !decided && clauses.len() == nodes.len() {
        let problem = Problem::error(codes::MISSING_KEY, &entry.key_place, format!("{} may come to no outcome", r.what()));
        r.sink.push(
            problem
                .label("the last clause must be `else`")
                .help("add { else = \"missing\" } at the end"),
        );
    }
    Some(KindDraft::Files(clauses))
}

fn clause(c: &Reader, last: bool) -> Option<ClauseDraft> {
    let otherwise = c.text("else");
    let any = c.some_texts("any");
    let all = c.some_texts("all");
    let given = [any.is_some(), all.is_some(), otherwise.is_some()].iter().filter(|b| **b).count();
    let is = c.text("is");
    if given != 1 {
        let present = ["any", "all", "else"].iter().filter(|k| c.has(k)).count();
        if present != 1 {
            let problem = Problem::error(codes::CONFLICT, &c.at, "a clause has exactly one of `any`, `all` and `else`");
            c.sink.push(problem.label(format!("has {present} of them")));
        }
        return None;
    }
    if let Some(o) = otherwise {
        if !last {
            let problem = Problem::error(codes::CONFLICT, &o.at, "`else` always holds: the clauses after it are never asked");
            c.sink.push(problem.label("not the last clause").help("move it to the end"));
        }
        return outcome(&o, c).then_some(ClauseDraft::Else(o));
    }
    if is.is_none() && !c.has("is") {
        c.missing("is", "name the outcome: is = \"ok\"");
    }
    let is = is.filter(|o| outcome(o, c))?;
    let patterns = |t: Sp<Vec<Sp<String>>>| t.v.into_iter().filter(|p| check_glob(p, FOLDER, c.sink)).map(|p| p.v).collect();
    match (any, all) {
        (Some(t), _) => Some(ClauseDraft::Any(patterns(t), is)),
        (_, Some(t)) => Some(ClauseDraft::All(patterns(t), is)),
        _ => None,
    }
}

fn frontmatter(r: &Reader) -> Option<KindDraft> {
    let file = r
        .need_text("file", "the artefact's name: file = \"12-review.md\"")
        .filter(|f| check_path(f, FOLDER, r.sink));
    let key = r.need_text("key", "the entry that decides: key = \"verdict\"");
    let mut map = BTreeMap::new();
    if !r.has("map") {
        r.missing(
            "map",
            "map its values to outcomes: map = { APPROVED = \"ok\", REQUEST_CHANGES = \"changes\" }",
        );
    }
    for entry in r.entries("map") {
        if let Some(o) = outcome_of(entry, r) {
            map.insert(entry.key.clone(), o);
        }
    }
    let passes = map.values().any(|o| o.v == "ok");
    if !passes && !map.is_empty() {
        let problem = Problem::error(codes::MISSING_KEY, &r.at, "no value of `map` passes this gate").label("nothing leads to `ok`");
        r.sink.push(problem.help("map one of the values to \"ok\""));
    }
    Some(KindDraft::Frontmatter {
        file: file?,
        key: key?.v,
        map,
    })
}

fn outcome_of(entry: &Entry, r: &Reader) -> Option<Sp<String>> {
    let Value::Str(text) = &entry.node.value else {
        wrong_type(r.sink, &entry.node, &quoted(&entry.key), "the name of an outcome");
        return None;
    };
    let name = usable(text, &entry.node.place, &entry.key, r.sink)?;
    outcome(&name, r).then_some(name)
}

fn checks(r: &Reader) -> Option<KindDraft> {
    if !r.has("contexts") {
        r.missing("contexts", "the required contexts: contexts = [\"ci/test\"]");
    }
    let contexts = r.some_texts("contexts")?;
    Some(KindDraft::Checks(contexts.v.into_iter().map(|c| c.v).collect()))
}

fn command(r: &Reader) -> Option<KindDraft> {
    if !r.has("run") {
        r.missing("run", "program and arguments, without a shell: run = [\"make\", \"test\"]");
    }
    let run = r.some_texts("run");
    let timeout = r
        .duration("timeout", Millis(1)..=Millis::secs(86_400))
        .unwrap_or(Millis::secs(1200));
    let env = r.texts("env").map(|e| e.v.into_iter().map(|n| n.v).collect()).unwrap_or_default();
    let share_home = r.choice("home", &["fresh", "service"]) == Some("service");
    Some(KindDraft::Command {
        run: run?.v.into_iter().map(|c| c.v).collect(),
        timeout,
        env,
        share_home,
    })
}

fn human(r: &Reader) -> Option<KindDraft> {
    r.choice("shows", &["live_to_target"]);
    r.not_yet(&["shows"]);
    let signal = r.need_text("signal", "the signal that approves: signal = \"approve\"");
    let from = r.choice("from", &["approver", "operator"]).unwrap_or("approver");
    let quorum = r.int("quorum", 1..=20).and_then(|q| u32::try_from(q).ok()).unwrap_or(1);
    let auto = r.text("auto");
    Some(KindDraft::Human {
        signal: signal?,
        from,
        quorum,
        auto,
    })
}

fn wait(r: &Reader) -> Option<KindDraft> {
    r.choice("since", &["entered"]);
    if !r.has("for") {
        r.missing("for", "how long: for = \"24h\"");
    }
    let span = r.duration("for", Millis(1)..=Millis::secs(90 * 86_400));
    let restart = r.choice("subject_moves", &["restart", "ignore"]) == Some("restart");
    Some(KindDraft::Wait { span: span?, restart })
}

fn script(r: &Reader) -> Option<KindDraft> {
    let function = r.need_text("fn", "file and function: fn = \"staging.rhai::verdict\"");
    let declared = r.entries("reads");
    let reads: BTreeMap<String, FactKey> = declared.iter().filter_map(|e| Some((e.key.clone(), fact_of(e, r)?))).collect();
    let understood = reads.len() == declared.len();
    let args = match r.entry("args") {
        Some(entry) if entry.node.table().is_some() => entry.node.value.to_json(),
        Some(entry) => {
            wrong_type(r.sink, &entry.node, "`args`", "a table");
            return None;
        }
        None => Value::Table(Table::default()).to_json(),
    };
    if !r.has("returns") {
        r.missing("returns", "every outcome that the function returns: returns = [\"ok\", \"red\"]");
    }
    let returns: Vec<_> = r
        .some_texts("returns")
        .map(|t| t.v)
        .unwrap_or_default()
        .into_iter()
        .filter(|o| outcome(o, r))
        .collect();
    if !returns.is_empty() && !returns.iter().any(|o| o.v == "ok") {
        let problem = Problem::error(codes::MISSING_KEY, &r.at, "a script that never returns `ok` can never be passed");
        r.sink
            .push(problem.label("`ok` is missing in `returns`").help("add \"ok\" to returns"));
    }
    understood.then_some(KindDraft::Script {
        function: function?,
        reads,
        args,
        returns,
    })
}

fn fact_of(entry: &Entry, r: &Reader) -> Option<FactKey> {
    let Value::Str(text) = &entry.node.value else {
        wrong_type(r.sink, &entry.node, &quoted(&entry.key), "the name of a fact");
        return None;
    };
    match text.parse::<FactKey>() {
        Ok(key) => {
            let file = text.split_once(':').map(|(_, f)| Sp {
                v: f.to_owned(),
                at: entry.node.place.clone(),
            });
            file.is_none_or(|f| check_path(&f, FOLDER, r.sink)).then_some(key)
        }
        Err(why) => {
            r.sink
                .push(Problem::error(codes::FACT, &entry.node.place, why).label("no such fact"));
            None
        }
    }
}
