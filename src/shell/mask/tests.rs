use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;

/// With a character for every kind of escape.
const SECRET: &str = "s3cr+t/\"wörd\"?&=\\end";

fn chunked(values: &[&str], chunks: &[&[u8]]) -> Vec<u8> {
    let mut mask = Mask::new(values);
    let mut out: Vec<u8> = chunks.iter().flat_map(|chunk| mask.push(chunk)).collect();
    out.extend(mask.finish());
    out
}

fn whole(values: &[&str], text: &str) -> String {
    String::from_utf8(chunked(values, &[text.as_bytes()])).unwrap()
}

#[test]
fn a_value_is_masked_in_every_form() {
    let json = serde_json::to_string(SECRET).unwrap();
    let plain = |text: &str| text.to_owned();
    let component = "s3cr%2Bt%2F%22w%C3%B6rd%22%3F%26%3D%5Cend";
    for form in [
        plain(SECRET),
        plain(json.trim_matches('"')).replace('/', "\\/"),
        plain(&json[1..json.len() - 1]),
        plain(component),
        component
            .replace("%2B", "%2b")
            .replace("%2F", "%2f")
            .replace("%C3%B6", "%c3%b6")
            .replace("%3F", "%3f")
            .replace("%3D", "%3d")
            .replace("%5C", "%5c"),
    ] {
        assert_eq!(whole(&[SECRET], &format!("a {form} b {form}")), "a *** b ***", "{form}");
    }
    for before in ["", "x", "xy", "xyz"] {
        for after in ["", "v", "vw"] {
            for engine in [STANDARD, URL_SAFE] {
                let text = engine.encode(format!("{before}{SECRET}{after}"));
                let shown = whole(&[SECRET], &text);
                assert!(shown.contains("***") && shown.len() <= 3 + 4 + 6, "{text}: {shown}");
            }
        }
    }
}

#[test]
fn the_longest_counts_and_short_values_do_not() {
    assert_eq!(whole(&["secret", "secret-more"], "secret-more secret"), "*** ***");
    assert_eq!(whole(&["short"], "a short word"), "a short word");
    assert_eq!(whole(&["", "  "], "nothing"), "nothing");
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nabc\n-----END KEY-----\n";
    assert_eq!(whole(&[key], &format!("[{}]", key.trim())), "[***]");
    assert_eq!(whole(&[key], "  MIIEvQIBADANBgkqhkiG"), "  ***", "one line of it");
}

#[test]
fn the_user_info_of_urls_is_masked() {
    for (text, shown) in [
        ("see https://u:pw@host/x", "see https://***@host/x"),
        ("git+ssh://u:p@w@host", "git+ssh://***@host"),
        ("https://ghp_0123456789abcdef@host", "https://***@host"),
        ("ssh://git@host/x.git", "ssh://git@host/x.git"),
        ("https://host:80/a@b", "https://host:80/a@b"),
        ("mail a@b: //c:d@e ://f:g@h", "mail a@b: //c:d@e ://f:g@h"),
        ("{\"url\":\"postgres://u:p@h/d\"}", "{\"url\":\"postgres://***@h/d\"}"),
        ("a://b://c:d@e", "a://b://***@e"),
        ("http://", "http://"),
    ] {
        assert_eq!(whole(&[], text), shown);
    }
    let long = format!("http://{}@h", "a:".repeat(2000));
    assert_eq!(whole(&[], &long), long, "bounded");
}

#[test]
fn names_tell_secrets() {
    for name in [
        "API_KEY",
        "github_token",
        "GITHUBTOKEN",
        "DB_PASSWORD",
        "AWS_CREDENTIALS",
        "SENTRY_DSN",
        "COOKIES",
        "NPM_AUTH",
    ] {
        assert!(secretive(name), "{name}");
    }
    for name in ["PATH", "HOME", "GIT_AUTHOR_NAME", "KEYBOARD", "TOKENIZER", "PASSAGE", ""] {
        assert!(!secretive(name), "{name}");
    }
}

#[test]
fn only_a_beginning_is_held_back() {
    let mut mask = Mask::new(["abcdefgh"]);
    assert_eq!(mask.push(b"1 abcdefg"), b"1 ");
    assert_eq!(mask.push(b"x 2"), b"abcdefgx 2");
    assert_eq!(mask.push(b" abc"), b" ");
    assert_eq!(mask.push(b"defgh"), b"***");
    assert_eq!(mask.push(b"abc"), b"");
    assert_eq!(mask.finish(), b"abc", "nothing is lost");
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let fixed = |text: &'static [u8]| Just(text.to_vec());
    let piece = prop_oneof![
        fixed(b"hunter2-abcabc"),
        fixed(b"hunter2-abc"),
        fixed(b"hunter2"),
        fixed(b"abcabc"),
        fixed(b"aHVudGVyMi1hYmM="),
        fixed(b"https://u:p"),
        fixed(b"://"),
        fixed(b"@"),
        fixed(b":"),
        fixed(b"\n"),
        fixed(b"\xff\xfe\xc3"),
        prop::collection::vec(any::<u8>(), 0..6),
        prop::collection::vec(prop::sample::select(b"abchunter2-:/@ ".to_vec()), 0..8),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|all| all.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..ProptestConfig::default() })]

    #[test]
    fn however_it_is_cut_it_comes_out_the_same(text in pieces(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12)) {
        let values = ["hunter2-abc", "abcabc", "hunter2-abcabc"];
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        at.extend([0, text.len()]);
        at.sort_unstable();
        let chunks: Vec<&[u8]> = at.windows(2).map(|w| &text[w[0]..w[1]]).collect();
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        let once = chunked(&values, &[&text]);
        prop_assert_eq!(&chunked(&values, &chunks), &once);
        prop_assert_eq!(&chunked(&values, &bytes), &once);
        for value in &values[..2] {
            prop_assert!(!once.windows(value.len()).any(|w| w == value.as_bytes()), "{:?}", String::from_utf8_lossy(&once));
        }
    }

    #[test]
    fn what_holds_no_secret_passes_unchanged(text in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assume!(!text.windows(3).any(|w| w == b"://"));
        prop_assert_eq!(chunked(&["a secret that is nowhere"], &[&text]), text);
    }
}
