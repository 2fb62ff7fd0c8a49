//! Honest work: artefacts with front-matter, code with commits.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::git::commit;
use super::{Context, Failure, Stage};

/// How the work differs from plain good work.
#[derive(Default)]
pub(super) struct Twist<'a> {
    /// Index of the verdict's value, 0 being the good one.
    pub(super) value: usize,
    /// The nonce to write instead of the run's own.
    pub(super) nonce: Option<&'a str>,
    /// Written below the front-matter.
    pub(super) body: Option<&'a str>,
    /// Leave files that carry a verdict alone.
    pub(super) skip_verdicts: bool,
}

/// Does the stage's work well.
pub(super) fn ok(stage: &Stage) -> Result<i32, Failure> {
    work(stage, &Twist::default())
}

/// Does the work, with the second value of the expected verdict.
pub(super) fn changes(stage: &Stage) -> Result<i32, Failure> {
    work(
        stage,
        &Twist {
            value: 1,
            ..Twist::default()
        },
    )
}

/// Asks instead of working.
pub(super) fn questions(stage: &Stage) -> Result<i32, Failure> {
    let text = "# Questions\n\n1. Which of the two readings of the request is meant?\n2. Who is to be told when it is done?\n";
    artefact(stage.context, "01-questions.md", None, text, None)?;
    println!("I have questions.");
    Ok(0)
}

/// Finds that the requirements contradict each other.
pub(super) fn conflict(stage: &Stage) -> Result<i32, Failure> {
    let text = "# Conflict\n\nThe requirements contradict each other: the answer must be both immediate and reviewed by a person.\n";
    artefact(stage.context, "10-conflict.md", None, text, None)?;
    println!("The requirements contradict each other.");
    Ok(0)
}

/// The work of the stage: what is expected, or code where nothing is.
pub(super) fn work(stage: &Stage, twist: &Twist) -> Result<i32, Failure> {
    let context = stage.context;
    if context.expects.is_empty() {
        develop(context)?;
    } else {
        let written = write_expected(context, twist)?;
        println!("Written: {}", written.join(", "));
        // Both ways occur: an agent that commits, and one whose files the service has to collect.
        if context.run % 2 == 0 {
            commit(&written, &format!("{}: {} by {}", context.task.item, context.stage, context.agent))?;
        }
    }
    report(context);
    Ok(0)
}

/// Code of a developer: one more line, committed.
fn develop(context: &Context) -> Result<(), Failure> {
    let path = format!("src/feature-{}.txt", context.task.item);
    fs::create_dir_all("src")?;
    let mut file = fs::OpenOptions::new().append(true).create(true).open(&path)?;
    writeln!(
        file,
        "{}: run {} in visit {} of {}",
        context.task.item, context.run, context.visit, context.stage
    )?;
    drop(file);
    commit(&[path], &format!("{}: a line of work (run {})", context.task.item, context.run))?;
    println!("Committed one line of work.");
    Ok(())
}

fn write_expected(context: &Context, twist: &Twist) -> Result<Vec<String>, Failure> {
    let mut written = Vec::new();
    for expect in context.expects.iter().filter(|e| !(twist.skip_verdicts && e.verdict())) {
        let Some(name) = expect.name() else { continue };
        let verdict = expect.key.as_deref().zip(expect.values.get(twist.value).or(expect.values.last()));
        let verdict = verdict.map(|(key, value)| (key, value.as_str()));
        let text = format!("# {name}\n\n{}\n", twist.body.unwrap_or("Written by the scripted agent."));
        written.push(artefact(context, &name, verdict, &text, twist.nonce)?);
    }
    Ok(written)
}

/// Writes an artefact; returns its path below the checkout.
pub(super) fn artefact(
    context: &Context,
    name: &str,
    verdict: Option<(&str, &str)>,
    text: &str,
    nonce: Option<&str>,
) -> Result<String, Failure> {
    let path = context.artefacts.join(name);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let head = front_matter(context, verdict, nonce.unwrap_or(&context.nonce));
    let yaml = Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml");
    let whole = if yaml {
        format!("{head}cases:\n  - name: it works\n")
    } else {
        format!("---\n{head}---\n\n{text}")
    };
    fs::write(&path, whole)?;
    Ok(path.to_string_lossy().into_owned())
}

/// The lines that every artefact begins with, and its verdict.
fn front_matter(context: &Context, verdict: Option<(&str, &str)>, nonce: &str) -> String {
    // JSON strings are YAML strings: whatever a name holds, the header stays readable.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec![
        format!("work_item: {}", quoted(&context.task.item)),
        format!("stage: {}", quoted(&context.stage)),
        format!("author_agent: {}", quoted(&context.agent)),
        "status: final".to_owned(),
        format!("created_at: {}", quoted(&jiff::Timestamp::now().to_string())),
        format!("run: {}", quoted(nonce)),
    ];
    lines.extend(verdict.map(|(key, value)| format!("{key}: {}", quoted(value))));
    lines.join("\n") + "\n"
}

/// The closing line of an agent that reports what it cost.
fn report(context: &Context) {
    let result = serde_json::json!({
        "type": "result", "subtype": "success", "is_error": false, "num_turns": 1,
        "result": format!("{} done", context.stage), "total_cost_usd": 0.01,
        "usage": { "input_tokens": 1200, "output_tokens": 340 },
    });
    println!("{result}");
}
