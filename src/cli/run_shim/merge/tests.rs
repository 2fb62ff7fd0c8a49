use proptest::prelude::*;

use super::Stream::{Err, Out};
use super::*;

/// A merge at work, and the log that it makes.
struct Bench {
    merge: Merge,
    now: Instant,
    log: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        Self {
            merge: Merge::default(),
            now: Instant::now(),
            log: Vec::new(),
        }
    }

    fn say(&mut self, from: Stream, text: impl AsRef<[u8]>) {
        self.log.extend(self.merge.push(from, text.as_ref(), self.now));
    }

    /// So much time goes by, and nobody says anything.
    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.log.extend(self.merge.overdue(self.now));
    }

    fn end(&mut self, stream: Stream) {
        self.log.extend(self.merge.end(stream, self.now));
    }

    #[track_caller]
    fn has(&self, text: &str) {
        assert_eq!(String::from_utf8_lossy(&self.log), text);
    }
}

#[test]
fn a_line_that_one_has_begun_is_not_cut_by_the_other() {
    let mut bench = Bench::new();
    bench.say(Out, "first\n{\"type\":");
    bench.say(Err, "(node:42) Warning\nand mo");
    bench.has("first\n{\"type\":");
    bench.say(Out, "\"result\"");
    bench.has("first\n{\"type\":\"result\"");
    bench.say(Out, "}\n{\"next");
    bench.has("first\n{\"type\":\"result\"}\n(node:42) Warning\n{\"next");
    bench.say(Out, "\"}\n");
    bench.has("first\n{\"type\":\"result\"}\n(node:42) Warning\n{\"next\"}\nand mo");
    // Now that stands unfinished.
    bench.say(Out, "{\"last\"}\n");
    bench.say(Err, "re\n");
    bench.has("first\n{\"type\":\"result\"}\n(node:42) Warning\n{\"next\"}\nand more\n{\"last\"}\n");
    assert_eq!((bench.merge.owner(), bench.merge.due()), (None, None));
}

#[test]
fn a_line_without_its_newline_is_ended_before_the_other_goes_on() {
    let mut bench = Bench::new();
    bench.say(Out, "{\"type\":\"result\"}");
    bench.say(Err, "npm notice\n");
    bench.end(Out);
    bench.has("{\"type\":\"result\"}\nnpm notice\n");
    bench.end(Err);
    bench.has("{\"type\":\"result\"}\nnpm notice\n");
    // Also where the other speaks only after the end; and where nobody does, nothing is added.
    for (more, whole) in [("npm notice", "the end\nnpm notice"), ("", "the end")] {
        let mut bench = Bench::new();
        bench.say(Out, "the end");
        bench.end(Out);
        bench.say(Err, more);
        bench.end(Err);
        bench.has(whole);
    }
}

#[test]
fn a_prompt_without_a_newline_does_not_hold_the_other_back_for_ever() {
    let mut bench = Bench::new();
    bench.say(Out, "Your name? ");
    bench.pass(60_000);
    bench.say(Err, "warning\n");
    let due = bench.merge.due().expect("something waits");
    bench.pass(u64::try_from((due - bench.now).as_millis()).expect("a moment"));
    bench.has("Your name? \nwarning\n");
    bench.say(Out, "Hello\n");
    bench.has("Your name? \nwarning\nHello\n");
}

#[test]
fn a_line_that_goes_on_slowly_is_left_alone_for_a_while_and_not_for_ever() {
    let mut bench = Bench::new();
    bench.say(Out, ".");
    bench.say(Err, "warning\n");
    for n in 1..=15 {
        assert_eq!(bench.log.len(), n);
        bench.pass(1_000);
        bench.say(Out, ".");
    }
    bench.has(&format!("{}\nwarning\n.", ".".repeat(15)));
}

#[test]
fn a_spinner_keeps_results_waiting_for_a_second_at_most() {
    let mut bench = Bench::new();
    bench.say(Err, "\r|");
    bench.say(Out, "{\"type\":\"result\"}\n");
    bench.pass(199);
    bench.has("\r|");
    bench.pass(1);
    bench.has("\r|\n{\"type\":\"result\"}\n");
    bench.say(Err, "\r/");
    bench.say(Out, "more\n");
    for _ in 0..10 {
        bench.pass(100);
        bench.say(Err, "\r-");
    }
    let text = String::from_utf8_lossy(&bench.log).into_owned();
    assert!(text.contains("-\nmore\n"), "{text:?}");
}

#[test]
fn no_more_is_held_than_fits_the_bound() {
    let mut bench = Bench::new();
    bench.say(Out, "begun");
    let line = format!("{}\n", "x".repeat(1023));
    for _ in 0..1024 {
        bench.say(Err, &line);
    }
    bench.has("begun");
    bench.say(Err, "one more\n");
    bench.has(&format!("begun\n{}one more\n", line.repeat(1024)));
    bench.say(Out, " and ended\n");
    assert!(bench.log.ends_with(b"one more\n and ended\n"));
}

#[test]
fn a_long_line_goes_through_as_it_comes() {
    let mut bench = Bench::new();
    let chunk = "x".repeat(64 * 1024);
    bench.say(Err, "before\n");
    for n in 1..=200 {
        bench.say(Out, &chunk);
        bench.say(Err, "w\n");
        assert_eq!(bench.log.len(), 7 + n * chunk.len());
    }
    bench.say(Out, "\n");
    assert!(bench.log.ends_with(format!("x\n{}", "w\n".repeat(200)).as_bytes()));
}

/// What happens: who speaks, what, and how many milliseconds later.
fn events() -> impl Strategy<Value = Vec<(bool, Vec<bool>, u64)>> {
    let said = proptest::collection::vec(proptest::bool::weighted(0.2), 0..12);
    proptest::collection::vec((any::<bool>(), said, prop_oneof![Just(0_u64), 0..20_000_u64]), 0..60)
}

/// Small letters are of one stream, capitals of the other: a letter for each `false`, a newline for each `true`.
fn spoken(out: bool, said: &[bool], at: &mut u8) -> Vec<u8> {
    let mut letter = || {
        *at = (*at + 1) % 26;
        *at + if out { b'a' } else { b'A' }
    };
    said.iter().map(|newline| if *newline { b'\n' } else { letter() }).collect()
}

fn lines(text: &[u8], of: impl Fn(&u8) -> bool) -> Vec<Vec<u8>> {
    let lines = text.split(|b| *b == b'\n').filter(|line| line.iter().any(&of));
    lines.map(<[u8]>::to_vec).collect()
}

proptest! {
    /// ★ Whatever is said when: nothing is lost or moved within a stream, no line has words of both, and as long as
    /// nobody waits too long every line is whole.
    #[test]
    fn every_byte_of_each_stream_is_there_in_order(events in events(), timed in any::<bool>(), out_first in any::<bool>()) {
        let (mut bench, mut at) = (Bench::new(), 0);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for (is_out, said, later) in events {
            let (stream, all) = if is_out { (Out, &mut out) } else { (Err, &mut err) };
            let bytes = spoken(is_out, &said, &mut at);
            all.extend_from_slice(&bytes);
            bench.say(stream, &bytes);
            if timed {
                bench.pass(later);
            }
        }
        let order = if out_first { [Out, Err] } else { [Err, Out] };
        order.into_iter().for_each(|stream| bench.end(stream));

        let only = |text: &[u8], of: fn(&u8) -> bool| text.iter().copied().filter(of).collect::<Vec<u8>>();
        prop_assert_eq!(only(&bench.log, u8::is_ascii_lowercase), only(&out, u8::is_ascii_lowercase));
        prop_assert_eq!(only(&bench.log, u8::is_ascii_uppercase), only(&err, u8::is_ascii_uppercase));
        for line in bench.log.split(|b| *b == b'\n') {
            prop_assert!(!(line.iter().any(u8::is_ascii_lowercase) && line.iter().any(u8::is_ascii_uppercase)));
        }
        let newlines = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count();
        let added = newlines(&bench.log) - newlines(&out) - newlines(&err);
        if !timed {
            prop_assert!(added <= 1, "only behind a last line");
            prop_assert_eq!(lines(&bench.log, u8::is_ascii_lowercase), lines(&out, u8::is_ascii_lowercase));
            prop_assert_eq!(lines(&bench.log, u8::is_ascii_uppercase), lines(&err, u8::is_ascii_uppercase));
        }
        if err.is_empty() {
            prop_assert_eq!(bench.log, out);
        } else if out.is_empty() {
            prop_assert_eq!(bench.log, err);
        }
    }
}
