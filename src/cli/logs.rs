//! `signalbox logs`: the last 1000 lines, then what comes.

use std::time::Duration;

use super::args::Logs;
use super::client::{Client, part};
use super::exit::{self, Failure};
use super::out;
use crate::shell::view::{LogView, RunView, ShowView};

/// Lines shown of what is there already.
const LAST: usize = 1000;
/// Bytes asked for at once.
const PIECE: u64 = 256 * 1024;
/// Bytes looked at for the last lines, at most.
const LOOK_BACK: u64 = 4 * 1024 * 1024;
/// Pause between two looks while nothing new comes.
const PAUSE: Duration = Duration::from_millis(500);

/// Shows a log.
///
/// # Errors
/// As the service answers, or when it does not.
pub async fn run(client: &Client, args: &Logs, json: bool) -> Result<(), Failure> {
    let run = choose(client, args).await?;
    let tail = if args.all { 0 } else { LOOK_BACK };
    let mut piece = read(client, run, args.raw, None, tail).await?;
    let begun = piece.from;
    let mut held = String::new();
    // What is there already: read to its end before anything is shown, to find the last lines.
    if !args.all {
        while !piece.text.is_empty() {
            held.push_str(&piece.text);
            piece = read(client, run, args.raw, Some(piece.next), 0).await?;
        }
        if json {
            tell(left_out(run, begun));
            let from = begun;
            return out::json(&LogView { text: held, from, ..piece });
        }
        let last = last_lines(&held, LAST);
        tell(left_out(run, begun + (held.len() - last.len()) as u64));
        show(last, args.raw)?;
    }
    // Not among what the run wrote, which may go into a pipe.
    if held.is_empty() && piece.text.is_empty() {
        out::note(&nothing(run, piece.ended, args.follow));
    }
    loop {
        if !piece.text.is_empty() {
            show(&piece.text, args.raw)?;
        } else if piece.ended || !args.follow {
            return Ok(());
        } else {
            tokio::time::sleep(PAUSE).await;
        }
        piece = read(client, run, args.raw, Some(piece.next), 0).await?;
    }
}

async fn choose(client: &Client, args: &Logs) -> Result<i64, Failure> {
    let Some(item) = &args.item else {
        return args
            .run
            .ok_or_else(|| Failure::usage("whose log? name a task, or a run with --run N"));
    };
    let view: ShowView = client.get(&format!("/api/tasks/{}", part(item))).await?;
    if let Some(run) = args.run {
        return of_task(&view, run);
    }
    let fits = |run: &&RunView| args.stage.as_ref().is_none_or(|stage| run.stage == *stage);
    view.runs.iter().rfind(fits).map(|run| run.id).ok_or_else(|| {
        let which = args.stage.as_ref().map(|s| format!(" at stage {s}")).unwrap_or_default();
        Failure {
            code: exit::NOT_FOUND,
            ..Failure::other(format!("{} has no run{which} yet", view.task.item))
        }
        .help(format!("signalbox why {}", view.task.item))
    })
}

/// The run, where it is the task's: another's log under this one's name would mislead.
fn of_task(view: &ShowView, run: i64) -> Result<i64, Failure> {
    let item = &view.task.item;
    let runs: Vec<String> = view.runs.iter().map(|r| r.id.to_string()).collect();
    if view.runs.iter().any(|r| r.id == run) {
        return Ok(run);
    }
    let which = match runs.is_empty() {
        true => format!("{item} has no run yet"),
        false => format!("its runs are {}", runs.join(", ")),
    };
    Err(Failure {
        code: exit::NOT_FOUND,
        ..Failure::other(format!("run {run} is not one of {item}: {which}"))
    }
    .help(format!("signalbox logs --run {run}    # whoever's it is")))
}

async fn read(client: &Client, run: i64, raw: bool, offset: Option<u64>, tail: u64) -> Result<LogView, Failure> {
    let from = match offset {
        None if tail > 0 => format!("tail={tail}"),
        from => format!("offset={}", from.unwrap_or(0)),
    };
    client
        .get(&format!("/api/runs/{run}/log?{from}&max={PIECE}&raw={}", u8::from(raw)))
        .await
}

/// Where a person may see it, and not among what the run wrote.
fn tell(words: Option<String>) {
    if let Some(words) = words {
        out::note(&words);
    }
}

/// Says that a log has more than what is shown, by so many bytes.
fn left_out(run: i64, bytes: u64) -> Option<String> {
    let size = match bytes {
        0 => return None,
        1..=0xf_ffff => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes >> 20),
    };
    Some(format!("the first {size} of the log of run {run} are left out: `--all` shows them"))
}

fn nothing(run: i64, ended: bool, follow: bool) -> String {
    match (ended, follow) {
        (true, _) => format!("run {run} has ended and wrote nothing; `signalbox why` says how it ended"),
        (false, true) => format!("run {run} has written nothing yet; what it writes will be shown here"),
        (false, false) => format!("run {run} has written nothing yet; `--follow` waits for it"),
    }
}

fn last_lines(text: &str, n: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    match body.rmatch_indices('\n').nth(n - 1) {
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

fn show(text: &str, raw: bool) -> Result<(), Failure> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    // The service defused it; a second time does no harm should it be an older one.
    let safe = if raw {
        text.to_owned()
    } else {
        crate::shell::process::defuse(text)
    };
    stdout.write_all(safe.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{last_lines, left_out};

    #[test]
    fn what_is_left_out_is_told() {
        assert_eq!(left_out(7, 0), None);
        for (bytes, size) in [(1, "1 KiB"), (1 << 20, "1 MiB"), (60 << 20, "60 MiB")] {
            let told = left_out(7, bytes).unwrap();
            assert!(
                told.contains(&format!("first {size} of the log of run 7")) && told.contains("--all"),
                "{told}"
            );
        }
    }

    #[test]
    fn the_last_lines_are_whole() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a\nb\nc", 2), "b\nc");
        assert_eq!(last_lines("a\n", 2), "a\n");
        assert_eq!(last_lines("", 2), "");
    }
}
