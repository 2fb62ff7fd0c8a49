//! Agents and the programs they run, as written.

use crate::engine::model::Millis;

use super::codes;
use super::decode::named;
use super::decode_config::positive;
use super::diagnostic::{Problem, quoted};
use super::draft::{AgentDraft, Named, ProgramDraft};
use super::merge;
use super::reader::{Reader, Sp};
use super::tree::{Entry, Node, Table, Value};
use super::value::check_glob;
use super::{Input, Output};

const CHECKOUT: &str = "the checkout";
const DAY: Millis = Millis::secs(86_400);

/// Agents, the defaults of `*` laid under each.
pub fn agents(r: &Reader) -> Named<AgentDraft> {
    let entries = r.entries("agents");
    let mut defaults = Table::default();
    if let Some(entry) = entries.iter().find(|e| e.key == "*")
        && let Some(reader) = Reader::of(entry, "`agents.\"*\"`", r.sink)
    {
        agent(&reader);
        reader.finish();
        defaults = entry.node.table().cloned().unwrap_or_default();
    }
    let mut all = Table::default();
    for entry in entries.into_iter().filter(|e| e.key != "*") {
        let mut node = entry.node.clone();
        if let Value::Table(own) = node.value {
            let mut whole = defaults.clone();
            // An agent's own command takes the place of the program that others use, and the other way round.
            for (key, other) in [("run", "program"), ("program", "run")] {
                if own.get(key).is_some() && own.get(other).is_none() {
                    whole.remove(other);
                }
            }
            merge::lay(&mut whole, own, r.sink);
            node = Node {
                value: Value::Table(whole),
                place: node.place,
            };
        }
        all.0.push(Entry { node, ..entry.clone() });
    }
    // Read through a table of their own, so that defaults and agents are checked by the same code.
    let holder = Table(vec![Entry {
        key: "agents".to_owned(),
        key_place: r.at.clone(),
        node: Node {
            value: Value::Table(all),
            place: r.at.clone(),
        },
    }]);
    named(&Reader::new(&holder, &r.at, "agents", r.sink), "agents", "an agent", agent)
}

/// Programs that agents may name.
pub fn programs(r: &Reader) -> Named<ProgramDraft> {
    named(r, "programs", "a program", |p| {
        let draft = command(p);
        if draft.run.is_none() && !p.has("run") {
            p.missing("run", "program and arguments: run = [\"claude\", \"-p\"]");
        }
        has_place(&draft, &[], p);
        draft
    })
}

fn agent(r: &Reader) -> AgentDraft {
    let globs = |key: &'static str, folder: &str| {
        let texts = r.texts(key).unwrap_or_else(|| Sp {
            v: Vec::new(),
            at: r.at.clone(),
        });
        texts.map(|t| {
            t.into_iter()
                .filter(|g| check_glob(g, folder, r.sink))
                .map(|g| g.v)
                .collect::<Vec<_>>()
        })
    };
    let own = command(r);
    let program = r.text("program");
    let args = r.texts("args").map(|t| t.map(|t| t.into_iter().map(|a| a.v).collect::<Vec<_>>()));
    if let (Some(run), Some(program)) = (&own.run, &program) {
        let problem = Problem::error(codes::CONFLICT, &program.at, "`run` and `program` exclude one another");
        let problem = problem.label("whose command is it?").related(&run.at, "the command is here");
        r.sink
            .push(problem.help("remove one of them; an inherited or wide one goes with \"unset\""));
    }
    has_place(&own, args.as_ref().map_or(&[], |a| &a.v), r);
    AgentDraft {
        own,
        program,
        args,
        prompt: r.text("prompt"),
        timeout: r.duration("timeout", Millis(1)..=Millis(DAY.0 * 7)).unwrap_or(Millis::secs(1800)),
        grace: r.duration("grace", Millis(0)..=Millis::secs(600)).unwrap_or(Millis::secs(20)),
        max_concurrency: positive(r, "max_concurrency"),
        writes: globs("writes", CHECKOUT),
        artefacts: globs("artefacts", "the artefact folder").v,
    }
}

fn command(r: &Reader) -> ProgramDraft {
    let words = Output::ALL.map(|(word, _)| word);
    let output = r.choice("output", &words);
    ProgramDraft {
        run: r.some_texts("run").map(|s| s.map(|t| t.into_iter().map(|a| a.v).collect())),
        input: r.choice("input", &["stdin", "argument"]).map(|word| match word {
            "argument" => Input::Argument,
            _ => Input::Stdin,
        }),
        output: output
            .and_then(|word| Output::ALL.into_iter().find(|(w, _)| *w == word))
            .map(|(_, output)| output),
        env: env(r),
        share_home: r.choice("home", &["fresh", "service"]).map(|home| home == "service"),
        credentials: credentials(r),
    }
}

/// A prompt that goes into the arguments needs a place there.
fn has_place(command: &ProgramDraft, args: &[String], r: &Reader) {
    if let (Some(Input::Argument), Some(run)) = (command.input, &command.run)
        && !run.v.iter().skip(1).chain(args).any(|a| a.contains("{prompt}"))
    {
        let problem = Problem::error(
            codes::PLACEHOLDER,
            &run.at,
            "`input` is `argument`, but no argument holds `{prompt}`",
        );
        r.sink.push(
            problem
                .label("the prompt has no place here")
                .help("write run = [\"agent\", \"{prompt}\"], or input = \"stdin\""),
        );
    }
}

/// Names of variables, not assignments: values would be secrets in clear.
fn env(r: &Reader) -> Vec<String> {
    let mut names = Vec::new();
    for name in r.texts("env").map(|t| t.v).unwrap_or_default() {
        let good = name.v.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.v.starts_with(|c: char| c.is_ascii_digit());
        if good {
            names.push(name.v);
        } else if name.v.contains('=') {
            let problem = Problem::error(codes::SECRET, &name.at, "`env` names variables to inherit, it does not set them");
            r.sink.push(
                problem
                    .label("a value in clear")
                    .help("write the name only; the service's own environment holds the value"),
            );
        } else {
            let problem = Problem::error(codes::BAD_NAME, &name.at, format!("{} cannot name a variable", quoted(&name.v)));
            r.sink.push(problem.label("not a variable name"));
        }
    }
    names
}

/// Files below the service's HOME, without a way out of it.
fn credentials(r: &Reader) -> Vec<String> {
    let mut files = Vec::new();
    for file in r.texts("credentials").map(|t| t.v).unwrap_or_default() {
        if file.v.split('/').all(|part| !matches!(part, "" | "." | "..")) {
            files.push(file.v);
        } else {
            let words = format!("{} is not a file below the home folder", quoted(&file.v));
            let problem = Problem::error(codes::BAD_NAME, &file.at, words).label("must stay inside it");
            r.sink
                .push(problem.help("write it without the folder: credentials = [\".codex/auth.json\"]"));
        }
    }
    files
}
