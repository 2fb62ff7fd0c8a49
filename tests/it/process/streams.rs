//! Two streams and one log: what one has begun is not cut by the other.

use std::fs;

use signalbox::shell::process::{Containment, Supervisor, read_from};

use super::{EXE, World, until};

/// A result line as long as an agent's may be.
fn result_line() -> String {
    format!(
        "{{\"type\":\"result\",\"result\":\"{}\",\"total_cost_usd\":4.2}}",
        "x".repeat(300_000)
    )
}

async fn whole(world: &World) -> String {
    let (bytes, _) = read_from(&world.path("7.log"), 0, 4 << 20).await.expect("the log");
    String::from_utf8(bytes).expect("text")
}

/// ★ A warning on standard error in the middle of a result on standard output: both are whole.
#[tokio::test]
async fn a_result_line_is_not_cut_by_a_warning() {
    for level in Containment::ALL {
        let supervisor = Supervisor::new(EXE.into(), level);
        let world = World::new();
        fs::write(world.path("line"), result_line()).expect("a line");
        let script = "head -c 150000 line; echo '(node:42) Warning' >&2; tail -c +150001 line; echo";
        let mut spec = world.sh(script);
        spec.containment = level;
        let alive = supervisor.spawn(&world.run_dir(), &spec).await.expect("spawned");
        let exit = world.exit(&alive).await;
        let text = whole(&world).await;
        let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
        lines.sort_unstable();
        assert!(
            lines == ["(node:42) Warning\n", &format!("{}\n", result_line())],
            "{} lines",
            lines.len()
        );
        assert_eq!((exit.code, exit.log_bytes, exit.log_truncated), (Some(0), text.len() as u64, false));
    }
}

/// ★ A result without a newline at its end, and a warning right behind it.
#[tokio::test]
async fn a_result_without_a_newline_is_a_line_of_its_own() {
    let world = World::new();
    fs::write(world.path("line"), result_line()).expect("a line");
    let alive = world.spawn(&world.sh("cat line; printf 'npm notice' >&2; exit 3")).await;
    assert_eq!(world.exit(&alive).await.code, Some(3));
    let text = whole(&world).await;
    let mut lines: Vec<&str> = text.split('\n').collect();
    lines.sort_unstable();
    assert!(lines == ["npm notice", &result_line()], "{} lines", lines.len());
}

/// ★ Whoever reads along sees a prompt without a newline at once, and what comes on the other stream while it is unanswered.
#[tokio::test]
async fn a_prompt_without_a_newline_does_not_hold_the_other_stream_back() {
    let world = World::new();
    let wait = |name: &str| format!("while ! test -e {name}; do sleep 0.02; done");
    let script = format!("printf 'name? '; {}; echo warning >&2; {}; echo Hello", wait("one"), wait("two"));
    let alive = world.spawn(&world.sh(&script)).await;
    let read = &world;
    let log = |text: &'static str| until(text, move || (read.log() == text).then_some(()));
    log("name? ").await;
    fs::write(world.path("one"), "").expect("a file");
    log("name? \nwarning\n").await;
    fs::write(world.path("two"), "").expect("a file");
    log("name? \nwarning\nHello\n").await;
    assert_eq!(world.exit(&alive).await.code, Some(0));
}

/// Both streams to one place by the command's own will: every byte as it comes.
#[tokio::test]
async fn a_command_that_joins_its_streams_sees_no_change() {
    let world = World::new();
    let script = "exec 2>&1; printf one; printf ' two' >&2; printf ' three\\n'; printf four >&2";
    let alive = world.spawn(&world.sh(script)).await;
    assert_eq!(world.exit(&alive).await.code, Some(0));
    assert_eq!(world.log(), "one two three\nfour");
}

/// One who was left behind with a single stream does not keep the run from its end, and what it said is there.
#[tokio::test]
async fn whoever_holds_one_stream_only_is_ended_and_heard() {
    for (closed, open) in [("2>/dev/null", ""), (">/dev/null", " >&2")] {
        let world = World::new();
        let script =
            format!("sh -c 'echo left{open}; echo > here; sleep 600' {closed} & until test -e here; do sleep 0.02; done; echo done");
        let alive = world.spawn(&world.sh(&script)).await;
        let exit = world.exit(&alive).await;
        assert!(exit.code == Some(0) && exit.survivors > 0, "{exit:?}");
        let log = world.log();
        assert!(log.contains("left\n") && log.contains("done\n"), "{log}");
        assert_eq!(world.tagged(), Vec::<i32>::new());
    }
}
