//! Laying one table over another: `extends`, and a project's `set`.

use super::codes;
use super::diagnostic::{Place, Problem, Sink, quoted};
use super::tree::{Entry, Node, Table, Value};

/// The word that takes an inherited key away.
const UNSET: &str = "unset";

/// Lays `over` onto `base`, key by key; arrays and plain values replace.
pub fn lay(base: &mut Table, over: Table, sink: &Sink) {
    for entry in over.0 {
        lay_entry(base, entry, sink);
    }
}

fn lay_entry(base: &mut Table, entry: Entry, sink: &Sink) {
    if is_unset(&entry) {
        if base.remove(&entry.key).is_none() {
            nothing_to_unset(&entry, sink);
        }
        return;
    }
    let Some(old) = base.get_mut(&entry.key) else {
        base.0.push(cleaned(entry, sink));
        return;
    };
    match (&mut old.node.value, entry.node.value) {
        (Value::Table(below), Value::Table(above)) => {
            lay(below, above, sink);
            // Findings about the table as a whole point at who touched it last.
            old.key_place = entry.key_place;
            old.node.place = entry.node.place;
        }
        (below, above) => {
            *below = above;
            old.key_place = entry.key_place;
            old.node.place = entry.node.place;
        }
    }
}

fn is_unset(entry: &Entry) -> bool {
    matches!(&entry.node.value, Value::Str(word) if word == UNSET)
}

/// A new entry without `"unset"` leaves: nothing was inherited that they could take away.
fn cleaned(mut entry: Entry, sink: &Sink) -> Entry {
    if let Value::Table(table) = &mut entry.node.value {
        let (unset, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut table.0).into_iter().partition(is_unset);
        unset.iter().for_each(|e| nothing_to_unset(e, sink));
        table.0 = kept.into_iter().map(|e| cleaned(e, sink)).collect();
    }
    entry
}

fn nothing_to_unset(entry: &Entry, sink: &Sink) {
    let words = format!("{} is unset here, but nothing sets it", quoted(&entry.key));
    let problem = Problem::warning(codes::NOTHING_TO_UNSET, &entry.key_place, words);
    sink.push(problem.label("not inherited").help("drop the line, or look for a misspelt key"));
}

/// An override of a project: a path of keys and the value that goes there.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// The keys, outermost first; `*` stands for every key of its table.
    pub path: Vec<String>,
    /// Where it was written.
    pub place: Place,
    /// The value.
    pub node: Node,
}

/// Splits `agents.*.run` into keys; a key in double quotes may hold dots.
pub fn split(path: &str) -> Option<Vec<String>> {
    let mut keys = vec![String::new()];
    let mut in_quotes = false;
    for c in path.chars() {
        match c {
            '"' => in_quotes = !in_quotes,
            '.' if !in_quotes => keys.push(String::new()),
            c => keys.last_mut()?.push(c),
        }
    }
    (!in_quotes && keys.iter().all(|k| !k.is_empty()) && keys.len() <= 16).then_some(keys)
}

/// Applies the overrides: those with `*` first, so that a named one wins.
pub fn apply(root: &mut Table, overrides: &[Override], sink: &Sink) {
    let (wide, named): (Vec<_>, Vec<_>) = overrides.iter().partition(|o| o.path.iter().any(|k| k == "*"));
    let sound = |over: &&Override| leads_somewhere(root, over, sink);
    let all: Vec<&Override> = wide.into_iter().chain(named).filter(sound).collect();
    for over in all {
        make_room(root, over, overrides);
        put(root, &over.path, over, sink);
    }
}

/// What a path names must be there: a misspelt name would define something that nobody uses, and
/// leave in force what was to be changed.
fn leads_somewhere(root: &Table, over: &Override, sink: &Sink) -> bool {
    const DEFINED: [&str; 7] = ["stages", "gates", "agents", "counters", "hooks", "watches", "auto"];
    let [table, name, rest @ ..] = over.path.as_slice() else {
        return true;
    };
    // `[auto]` has a switch of its own besides its entries.
    if !DEFINED.contains(&table.as_str()) || name == "*" || (rest.is_empty() && table == "auto") {
        return true;
    }
    let Some(Value::Table(found)) = root.get(table).map(|e| &e.node.value) else {
        return true;
    };
    if found.get(name).is_some() {
        return true;
    }
    let words = format!("{} has no {}: nothing is changed by this", quoted(table), quoted(name));
    let known: Vec<&str> = found.0.iter().map(|e| e.key.as_str()).filter(|k| *k != "*").collect();
    let problem = Problem::error(codes::SET_KEY, &over.place, words).label("leads nowhere");
    let help = sink.suggest(name, known.iter().copied());
    sink.push(problem.maybe_help(help));
    false
}

/// An agent has a command of its own or a program: one that is set takes the other away, unless
/// both are set at the same place, which is then found to be a contradiction.
fn make_room(root: &mut Table, over: &Override, all: &[Override]) {
    let [agents, agent, key] = over.path.as_slice() else { return };
    let other = match key.as_str() {
        "run" => "program",
        "program" => "run",
        _ => return,
    };
    let unset = matches!(&over.node.value, Value::Str(word) if word == UNSET);
    let both = all
        .iter()
        .any(|o| matches!(o.path.as_slice(), [a, b, c] if a == agents && b == agent && c == other));
    if agents != "agents" || unset || both {
        return;
    }
    let Some(Value::Table(table)) = root.get_mut("agents").map(|e| &mut e.node.value) else {
        return;
    };
    for entry in table.0.iter_mut().filter(|e| agent == "*" || e.key == *agent) {
        if let Value::Table(own) = &mut entry.node.value {
            own.remove(other);
        }
    }
}

fn put(table: &mut Table, path: &[String], over: &Override, sink: &Sink) {
    let Some((key, rest)) = path.split_first() else { return };
    if key != "*" {
        put_key(table, key, rest, over, sink);
        return;
    }
    // The defaults of agents stand under `*` itself, whether or not the pipeline has some.
    let mut keys: Vec<String> = table.0.iter().map(|e| e.key.clone()).filter(|k| !k.starts_with("x-")).collect();
    if over.path.first().is_some_and(|k| k == "agents") && !keys.iter().any(|k| k == "*") {
        keys.push("*".to_owned());
    }
    if keys.is_empty() {
        let problem = Problem::error(codes::SET_KEY, &over.place, "`*` matches nothing here");
        sink.push(problem.label("no key at this place").help("name the key that you mean"));
    }
    for key in keys {
        put_key(table, &key, rest, over, sink);
    }
}

fn put_key(table: &mut Table, key: &str, rest: &[String], over: &Override, sink: &Sink) {
    if rest.is_empty() {
        let entry = Entry {
            key: key.to_owned(),
            key_place: over.place.clone(),
            node: over.node.clone(),
        };
        lay_entry(table, entry, sink);
        return;
    }
    if table.get(key).is_none() {
        let node = Node {
            value: Value::Table(Table::default()),
            place: over.place.clone(),
        };
        table.0.push(Entry {
            key: key.to_owned(),
            key_place: over.place.clone(),
            node,
        });
    }
    let Some(entry) = table.get_mut(key) else { return };
    if let Value::Table(inner) = &mut entry.node.value {
        put(inner, rest, over, sink);
    } else {
        let words = format!("{} is {}, nothing can be set inside it", quoted(key), entry.node.value.kind());
        let problem = Problem::error(codes::SET_KEY, &over.place, words).label("this path leads through a plain value");
        sink.push(problem.related(&entry.node.place, "the value is here"));
    }
}
