//! The few questions of `init`, where somebody is there to answer.

use std::io::{self, BufRead, IsTerminal, Write};

use super::config::Choices;
use crate::cli::args::Pipeline;
use crate::cli::exit::Failure;

/// Whether somebody can be asked.
pub fn possible() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks for everything; an empty answer takes the guess.
pub fn all(guess: Choices) -> Result<Choices, Failure> {
    let mut input = io::stdin().lock();
    let agent = command(
        &mut input,
        "Your agent's command (it reads its task from standard input)",
        guess.agent,
    )?;
    let test = command(&mut input, "The command that tests your code", guess.test)?;
    let pipeline = loop {
        let word = line(
            &mut input,
            "Pipeline: local (build, review, test, you confirm), orch, enduro or docs",
            guess.pipeline.name(),
        )?;
        match word.as_str() {
            "local" => break Pipeline::Local,
            "orch" => break Pipeline::Orch,
            "enduro" => break Pipeline::Enduro,
            "docs" => break Pipeline::Docs,
            _ => say("local, orch, enduro or docs, please."),
        }
    };
    let prefix = line(&mut input, "Prefix of work item ids", &guess.prefix)?.to_ascii_uppercase();
    Ok(Choices {
        agent,
        test,
        pipeline,
        prefix,
    })
}

fn command(input: &mut impl BufRead, question: &str, guess: Option<Vec<String>>) -> Result<Option<Vec<String>>, Failure> {
    let shown = guess
        .as_ref()
        .and_then(|words| shlex::try_join(words.iter().map(String::as_str)).ok())
        .unwrap_or_default();
    loop {
        let given = line(input, question, &shown)?;
        if given.is_empty() {
            return Ok(None);
        }
        match shlex::split(&given) {
            Some(words) if !words.is_empty() => return Ok(Some(words)),
            _ => say("A quotation mark is open."),
        }
    }
}

/// An answer; the guess where it is empty.
fn line(input: &mut impl BufRead, question: &str, guess: &str) -> Result<String, Failure> {
    let hint = if guess.is_empty() { String::new() } else { format!(" [{guess}]") };
    let mut err = io::stderr().lock();
    // A terminal that cannot be written to still takes answers.
    let _ = write!(err, "{question}{hint}: ").and_then(|()| err.flush());
    let mut answer = String::new();
    let read = input
        .read_line(&mut answer)
        .map_err(|e| Failure::other(format!("no answer can be read: {e}")))?;
    if read == 0 {
        return Err(Failure::usage("no answer: nothing was written"));
    }
    let answer = answer.trim();
    Ok(if answer.is_empty() { guess.to_owned() } else { answer.to_owned() })
}

fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_takes_the_guess_and_the_end_is_an_error() {
        let mut input = io::Cursor::new("\n'x y' z\n");
        assert_eq!(line(&mut input, "q", "guess").unwrap(), "guess");
        assert_eq!(command(&mut input, "q", None).unwrap().unwrap(), ["x y", "z"]);
        assert!(line(&mut input, "q", "guess").is_err());
    }

    #[test]
    fn an_open_quotation_mark_is_asked_about_again() {
        let mut input = io::Cursor::new("'x\nmake test\n");
        assert_eq!(command(&mut input, "q", None).unwrap().unwrap(), ["make", "test"]);
    }
}
