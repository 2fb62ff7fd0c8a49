use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::*;
use crate::engine::model::FileFact;

fn compile(source: &str) -> Result<Scripts, Vec<ScriptProblem>> {
    Scripts::compile(&BTreeMap::from([("t.rhai".to_owned(), source.to_owned())]))
}

fn scripts(source: &str) -> Scripts {
    compile(source).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// Runs `fn f(x) { <body> }` on a JSON value.
fn eval(body: &str, x: &Json) -> Result<String, ScriptError> {
    scripts(&format!("fn f(x) {{ {body} }}")).call("t.rhai::f", &[ScriptArg::Json(Some(x))], &Json::Null)
}

/// Whether the condition holds of a JSON value; `Err` is what the script engine said.
fn holds(condition: &str, x: &Json) -> Result<bool, String> {
    match eval(&format!("if {condition} {{ \"yes\" }} else {{ \"no\" }}"), x) {
        Ok(answer) => Ok(answer == "yes"),
        Err(ScriptError::Failed { message, .. }) => Err(message),
        Err(other) => panic!("{condition}: {other}"),
    }
}

#[test]
fn words_that_reach_outside_or_hide_errors_are_refused_at_compile_time() {
    let uses = [
        ("eval", "eval(\"1\")"),
        ("import", "import \"x\" as y;"),
        ("export", "export x;"),
        ("print", "print(\"x\")"),
        ("debug", "debug(\"x\")"),
        ("timestamp", "timestamp()"),
        ("sleep", "sleep(1)"),
        ("Fn", "Fn(\"f\")"),
        ("curry", "curry(x, 1)"),
        ("is_def_fn", "is_def_fn(\"f\", 1)"),
        ("is_def_var", "is_def_var(\"x\")"),
        ("try", "try { x.y } catch { \"ok\" }"),
        ("switch", "switch x { 1 => \"ok\", _ => \"red\" }"),
    ];
    assert_eq!(uses.len(), sandbox::REFUSED.len());
    for (word, body) in uses {
        let problems = compile(&format!("fn f(x) {{ {body} }}")).expect_err(word);
        assert_eq!(problems[0].line, 1, "{word}");
        assert!(
            problems[0].message.contains(&format!("`{word}` is not available to scripts")),
            "{word}: {}",
            problems[0].message
        );
    }
}

#[test]
fn functions_of_packages_that_are_left_out_are_not_there() {
    for call in [
        "exit()",
        "rand()",
        "parse_json(\"1\")",
        "blob()",
        "sleep_(1)",
        "get_fn_metadata_list()",
    ] {
        let found = scripts(&format!("fn f(x) {{ {call} }}"));
        let problems = found.problems("t.rhai");
        assert_eq!(problems.len(), 1, "{call}");
        assert_eq!(problems[0].kind, ProblemKind::UnknownFunction, "{call}");
        let error = found.call("t.rhai::f", &[ScriptArg::Absent], &Json::Null).expect_err(call);
        assert!(error.to_string().contains("not found"), "{call}: {error}");
    }
}

#[test]
fn syntax_errors_of_all_files_come_at_once_with_their_place() {
    let sources = BTreeMap::from([
        ("a.rhai".to_owned(), "fn f( {".to_owned()),
        ("b.rhai".to_owned(), "fn f() { \"ok\" }".to_owned()),
        ("c.rhai".to_owned(), "fn f() {\n  unknown_variable\n}".to_owned()),
        ("d.rhai".to_owned(), "fn f(x) { let x = 1; \"ok\" }".to_owned()),
        ("e.rhai".to_owned(), "fn f(x) { \"ok\" }\nfn f(x, y) { \"ok\" }".to_owned()),
    ]);
    let problems = Scripts::compile(&sources).expect_err("four files are wrong");
    let files = problems.iter().map(|problem| problem.file.as_str()).collect::<Vec<_>>();
    assert_eq!(files, ["a.rhai", "c.rhai", "d.rhai", "e.rhai"]);
    assert_eq!((problems[1].line, problems[1].column), (2, 3));
    assert!(problems[1].message.contains("unknown_variable"));
    assert!(problems[2].message.contains("already defined"), "{}", problems[2].message);
    assert!(problems[3].message.contains("twice"));
}

#[test]
fn a_mixed_comparison_is_an_error_and_never_silently_false() {
    let x = json!({"n": 3, "s": "3", "f": 1.5, "b": true, "l": [1, "a"], "o": {"k": 1}});
    for condition in [
        "x.n == \"3\"",
        "x.s == 3",
        "x.s != 3",
        "x.s > 3",
        "3 <= x.s",
        "x.s >= 3",
        "1 < x.s",
        "x.b == \"true\"",
        "x.b == 1",
        "x.l == \"a\"",
        "x.o == \"k\"",
        "x.o == x.l",
        "x.l == [1, 2]",
        "x == x.o.k",
        "() < 1",
        "x.s > ()",
        "1 == \"1\"",
        "2 in [\"1\", \"2\"]",
        "x.s in [1, 2, 3]",
        "[1, 2, 3].contains(x.s)",
        "[1, 2].index_of(x.s) >= 0",
        "[1, 2].all(|n| n == x.s)",
        "#{a: 1} == #{a: \"1\"}",
    ] {
        let message = holds(condition, &x).expect_err(condition);
        assert!(message.contains("only like compares with like"), "{condition}: {message}");
    }
}

#[test]
fn like_compares_with_like_and_everything_with_nothing() {
    let x = json!({"n": 3, "s": "3", "f": 1.5, "none": null, "l": [1, 2], "o": {"k": "v"}});
    for condition in [
        "x.n == 3",
        "x.n > 2 && x.n >= 3 && x.n < 4 && x.n <= 3 && x.n != 4",
        "x.f < x.n",
        "x.f == 1.5",
        "x.s == \"3\"",
        "x.s < \"4\"",
        "x.s[0] == '3'",
        "x.s == '3'",
        "x.none == ()",
        "x.s != ()",
        "() != x.l",
        "x.l == [1, 2]",
        "x.l != [1, 2, 3]",
        "x.o == x.o",
        "#{a: 1} == #{a: 1}",
        "true != false",
        "\"k\" in x.o && !(\"z\" in x.o)",
        "2 in x.l",
        "\"3\" in \"123\"",
        "!(x.l.filter(|n| n > 1).is_empty())",
        "x.o.keys() == [\"k\"]",
        "x.o.get(\"z\", \"none\") == \"none\"",
        "x.o[\"k\"] == \"v\"",
    ] {
        assert_eq!(holds(condition, &x), Ok(true), "{condition}");
    }
    assert_eq!(holds("x.o == ()", &x), Ok(false));
}

#[test]
fn a_misspelt_field_is_an_error_wherever_it_is_read() {
    let x = json!({"status": "OK", "deep": {"a": 1}, "list": [1]});
    for expr in [
        "x.statsu == ()",
        "x[\"statsu\"] == ()",
        "x.get(\"statsu\") == ()",
        "x.deep.b == ()",
        "#{a: 1}.b == ()",
        "#{a: 1}[\"b\"] == ()",
        "#{a: 1}.get(\"b\") == ()",
        "x.list[5] == ()",
        "x.list.get(5) == ()",
        "x.status.a == ()",
        "().a == ()",
    ] {
        assert!(holds(expr, &x).is_err(), "{expr}");
    }
    let Err(ScriptError::Failed { file, line, message, .. }) = eval("\n x.statsu", &x) else {
        panic!("must fail")
    };
    assert_eq!((file.as_str(), line), ("t.rhai", 2));
    assert!(
        message.contains("there is no field `statsu`; there are: deep, list, status"),
        "{message}"
    );
}

#[test]
fn what_is_given_cannot_be_written() {
    for body in [
        "x.status = \"OK\"; x.status",
        "x[\"status\"] = \"OK\"; x.status",
        "x.deep.status = \"OK\"; \"ok\"",
        "let m = #{}; m.a = m; \"ok\"",
        "let a = [1]; a[0] = a; \"ok\"",
        "x.list += 1; \"ok\"",
        "this = 1; \"ok\"",
    ] {
        let problems = compile(&format!("fn f(x) {{ {body} }}")).expect_err(body);
        assert!(problems[0].message.contains("read-only"), "{body}: {}", problems[0].message);
    }
    for body in [
        "x.set(\"status\", \"OK\")",
        "x.remove(\"status\")",
        "x.clear()",
        "x.mixin(#{status: \"OK\"})",
        "x += #{status: 1}",
    ] {
        assert!(eval(&format!("{body}; \"ok\""), &json!({"status": "RED"})).is_err(), "{body}");
    }
}

#[test]
fn what_is_absent_is_unit() {
    let found = scripts("fn f(a, b, c, d) { if a == () && b == () && c == () && d == () { \"none\" } else { \"some\" } }");
    let absent = [
        ScriptArg::Frontmatter(None),
        ScriptArg::Json(None),
        ScriptArg::Text(None),
        ScriptArg::Absent,
    ];
    assert_eq!(found.call("t.rhai::f", &absent, &Json::Null), Ok("none".to_owned()));
    let some = [
        ScriptArg::Frontmatter(None),
        ScriptArg::Json(None),
        ScriptArg::Text(Some("")),
        ScriptArg::Absent,
    ];
    assert_eq!(found.call("t.rhai::f", &some, &Json::Null), Ok("some".to_owned()));
}

#[test]
fn numbers_beyond_64_bits_become_texts() {
    let x: Json = serde_json::from_str("[9223372036854775807, 9223372036854775808, 18446744073709551616, 0.5]").expect("JSON");
    assert_eq!(
        holds("x[0] == 9223372036854775807 && x[1] == \"9223372036854775808\" && x[3] == 0.5", &x),
        Ok(true)
    );
    assert_eq!(holds("type_of(x[2]) == \"string\"", &x), Ok(true));
}

#[test]
fn files_checks_and_args_have_their_fields() {
    let files = [
        FileFact {
            id: String::new(),
            path: "01-brd.md".to_owned(),
            fresh: true,
        },
        FileFact {
            id: String::new(),
            path: "old.md".to_owned(),
            fresh: false,
        },
    ];
    let found = scripts("fn f(files, args) { files.filter(|f| f.fresh && f.path in args.wanted)[0].path }");
    let args = json!({"wanted": ["01-brd.md", "old.md"]});
    assert_eq!(
        found.call("t.rhai::f", &[ScriptArg::Files(&files)], &args),
        Ok("01-brd.md".to_owned())
    );
}

#[test]
fn limits_end_a_call_with_an_error() {
    let long = "x".repeat(sandbox::STRING_SIZE);
    for (body, what) in [
        ("loop { }", "operations"),
        ("let n = 0; while n < 1000000 { n += 1; } \"ok\"", "operations"),
        ("f(x)", "levels"),
        ("let s = \"xxxxxxxx\"; for i in 0..40 { s += s; } s", "string"),
        ("let a = [1]; for i in 0..40 { a += a; } \"ok\"", "array"),
        ("let a = [1]; for i in 0..40 { a.push(a); } \"ok\"", "array"),
        ("let a = [1]; for i in 0..40 { a = [a, a]; } \"ok\"", "array"),
        ("let m = #{}; for i in 0..400 { m.set(i.to_string(), i); } \"ok\"", "map"),
        ("let m = #{}; for i in 0..400 { m.set(i.to_string(), m); } \"ok\"", "map"),
        ("let m = #{}; for i in 0..400 { set(m, i.to_string(), m); } \"ok\"", "map"),
        (
            "let m = #{}; for i in 0..400 { let n = #{}; n.set(i.to_string(), m); m += n; } \"ok\"",
            "map",
        ),
        ("let m = #{}; for i in 0..400 { m.mixin(#{a: m, b: m}); } \"ok\"", "map"),
        ("let a = [1, 2]; for i in 0..40 { a.set(0, a); a.set(1, a); } \"ok\"", "array"),
        ("let a = [1, 2]; for i in 0..40 { a.insert(0, a); } \"ok\"", "array"),
        ("let a = [1, 2]; for i in 0..40 { a.append(a); } \"ok\"", "array"),
        ("let a = [1, 2]; for i in 0..40 { push(a, a); } \"ok\"", "array"),
        (
            "let a = [1, 2]; let g = |n| a.push(a); for i in 0..40 { g.call(i); } \"ok\"",
            "array",
        ),
        ("let s = \"xx\"; for i in 0..40 { s.append(s); } s", "string"),
        ("let s = \"xx\"; for i in 0..40 { s = `${s}${s}`; } s", "string"),
        ("let m = #{a: 1}; for i in 0..40 { m = #{a: m, b: m}; } \"ok\"", "map"),
        ("let s = x + \"\"; s.replace(\"\", x); s", "grow"),
        ("let a = []; a.pad(100000, 1); \"ok\"", "array"),
        ("let s = \"\"; s.pad(100000, \" \"); s", "string"),
        ("let a = 0; for i in 0..9223372036854775807 { a = i; } \"ok\"", "operations"),
        ("range(0, 9223372036854775807, 1).len(); \"ok\"", "len"),
    ] {
        let error = eval(body, &Json::String(long.clone())).expect_err(body).to_string();
        assert!(error.to_lowercase().contains(what), "{body}: {error}");
    }
}

#[test]
fn depth_limits_hold_at_compile_time() {
    let deep = format!("fn f(x) {{ {}1{} }}", "(1 + ".repeat(40), ")".repeat(40));
    assert!(compile(&deep).is_err(), "40 levels within a function");
    let nested = format!(
        "fn f(x) {{ {}\"ok\"{} }}",
        "if x == () { ".repeat(200),
        "} else { \"no\" }".repeat(200)
    );
    assert!(compile(&nested).is_err(), "200 nested blocks");
    let flat = format!("fn f(x) {{ {}1{} }}", "(1 + ".repeat(10), ")".repeat(10));
    assert!(compile(&flat).is_ok());
    assert!(compile(&"// padding\n".repeat(SOURCE_SIZE / 10)).is_err(), "too long a file");
}

#[test]
fn facts_that_are_too_large_are_refused_before_the_call() {
    let found = scripts("fn f(x) { \"ok\" }");
    let call = |x: &Json| found.call("t.rhai::f", &[ScriptArg::Json(Some(x))], &Json::Null);
    assert!(matches!(call(&json!(vec![1; 1025])), Err(ScriptError::TooLarge { .. })));
    assert!(matches!(call(&json!("x".repeat(20_000))), Err(ScriptError::TooLarge { .. })));
    let wide: serde_json::Map<String, Json> = (0..300).map(|n| (n.to_string(), Json::Null)).collect();
    assert!(matches!(call(&Json::Object(wide)), Err(ScriptError::TooLarge { .. })));
    let deep = (0..200).fold(Json::Null, |inner, _| json!([inner]));
    assert!(matches!(call(&deep), Err(ScriptError::TooLarge { .. })));
    assert_eq!(call(&json!(vec![1; 1024])), Ok("ok".to_owned()));
}

#[test]
fn only_a_text_is_an_outcome() {
    for (body, got) in [
        ("1", "a number"),
        ("()", "`()`"),
        ("true", "a boolean"),
        ("[\"ok\"]", "a list"),
        ("x", "a record"),
        ("|y| y", "function"),
    ] {
        let error = eval(body, &json!({})).expect_err(body);
        assert!(
            matches!(&error, ScriptError::NotText { got: found, .. } if found.contains(got)),
            "{body}: {error}"
        );
    }
}

#[test]
fn parameters_are_bound_by_name_whatever_their_order() {
    let found = scripts("fn f(log, failed, args) { log + failed + args }");
    let (log, failed) = (ScriptArg::Text(Some("L")), ScriptArg::Text(Some("F")));
    let args = json!("A");
    assert_eq!(
        found.call_named("t.rhai::f", &[("failed", failed), ("log", log)], &args),
        Ok("LFA".to_owned())
    );
    assert_eq!(
        found.parameters("t.rhai", "f"),
        Some(&["log".to_owned(), "failed".to_owned(), "args".to_owned()][..])
    );
    for params in [
        vec![("log", log)],
        vec![("log", log), ("faild", failed)],
        vec![("log", log), ("failed", failed), ("more", log)],
    ] {
        assert!(
            matches!(found.call_named("t.rhai::f", &params, &args), Err(ScriptError::Arguments { .. })),
            "{params:?}"
        );
    }
    assert!(matches!(found.call("t.rhai::f", &[log], &args), Err(ScriptError::Arguments { .. })));
    assert!(matches!(found.call("t.rhai::g", &[log], &args), Err(ScriptError::Unknown { .. })));
    assert!(matches!(found.call("f", &[log], &args), Err(ScriptError::Unknown { .. })));
}

#[test]
fn static_analysis_finds_calls_that_cannot_work() {
    let source = "let top = 1;\nfn f(x) {\n  let y = helper(x);\n  y.no_such(1);\n  x.starts_with();\n  g(1, 2);\n  x.to_uper();\n  if \"3\" == 3 { }\n  if x.len() == \"3\" { }\n  \"ok\"\n}\nfn g(a) { a }\n";
    let problems = scripts(source).problems("t.rhai");
    let found = problems.iter().map(|problem| (problem.line, problem.kind)).collect::<Vec<_>>();
    assert_eq!(
        found,
        [
            (1, ProblemKind::Misplaced),
            (3, ProblemKind::UnknownFunction),
            (4, ProblemKind::UnknownFunction),
            (5, ProblemKind::WrongArity),
            (6, ProblemKind::WrongArity),
            (7, ProblemKind::UnknownFunction),
            (8, ProblemKind::MixedComparison),
            (9, ProblemKind::MixedComparison),
        ],
        "{problems:#?}"
    );
    assert!(problems[5].message.contains("did you mean `to_upper`?"), "{}", problems[5].message);
}

#[test]
fn static_analysis_accepts_what_works() {
    let source = "fn f(x, args) {\n  let big = x.filter(|n| n > args.least);\n  let twice = |n| n * 2;\n  for n in big { if twice.call(n) == 0 { return \"zero\"; } }\n  let s = type_of(x).to_upper();\n  if s.len() == 5 && big.len() == 0 && helper(big) == \"\" { return \"none\"; }\n  if helper(s) != () { throw \"odd\"; }\n  if -big.len() < 0 { \"some\" } else { `${s}` }\n}\nfn helper(x) { if x.is_empty() { \"\" } else { () } }\n";
    let found = scripts(source);
    assert_eq!(found.problems("t.rhai"), []);
    let call = |x: &Json| found.call("t.rhai::f", &[ScriptArg::Json(Some(x))], &json!({"least": 1}));
    assert_eq!(call(&json!([1, 2])), Ok("some".to_owned()));
    assert_eq!(call(&json!([1])), Ok("none".to_owned()));
    assert_eq!(found.functions("t.rhai"), ["f", "helper"]);
    assert_eq!(found.function("t.rhai", "helper"), Some(1));
    assert_eq!(found.function("t.rhai", "none"), None);
}

#[test]
fn literal_outcomes_and_read_fields_are_seen() {
    let source = "fn f(log) {\n  if log.status == \"GOOD\" { return \"ok\"; }\n  if log[\"status\"] != \"BAD\" || log.other == 1 { \"red\" } else { if true { \"pink\" } else { \"blue\" } }\n}\nfn g(x) { x.name }\nfn h(x) { if x == 1 { \"one\" } }";
    let found = scripts(source);
    let seen = found.literals("t.rhai::f");
    let mut texts = seen.texts.iter().map(|(text, line, _)| (text.as_str(), *line)).collect::<Vec<_>>();
    texts.sort_unstable();
    assert_eq!(texts, [("blue", 3), ("ok", 2), ("pink", 3), ("red", 3)]);
    assert!(!seen.open);
    assert!(found.literals("t.rhai::g").open);
    let others = found.literals("t.rhai::h").others;
    assert!(
        matches!(others.as_slice(), [(what, 6, _)] if what.starts_with("nothing")),
        "without an else it may return (): {others:?}"
    );
    let read = found.fields("t.rhai::f", "log");
    assert_eq!(
        read[0],
        FieldRead {
            field: "status".to_owned(),
            compared: vec!["GOOD".to_owned(), "BAD".to_owned()]
        }
    );
    assert_eq!(read[1].field, "other");
    assert_eq!(read.len(), 2);
}

fn staging(log: Option<&str>, failed: Option<&Json>, tolerate: bool) -> String {
    let source = include_str!("../../../rules/staging.rhai").to_owned();
    let found = Scripts::compile(&BTreeMap::from([("staging.rhai".to_owned(), source)])).expect("it compiles");
    assert_eq!(found.problems("staging.rhai"), []);
    let log = log.map(|status| BTreeMap::from([("staging_status".to_owned(), status.to_owned())]));
    let params = [("failed", ScriptArg::Json(failed)), ("log", ScriptArg::Frontmatter(log.as_ref()))];
    let args = json!({"tolerate": tolerate, "waivable": ["registry", "dns"]});
    found.call_named("staging.rhai::verdict", &params, &args).expect("a verdict")
}

#[test]
fn staging_verdict_is_ok_only_when_clearly_good() {
    assert_eq!(staging(Some("SUCCESS"), None, true), "ok");
    assert_eq!(staging(Some("FAILED"), Some(&json!(["registry"])), true), "ok");
    assert_eq!(staging(Some("FAILED"), Some(&json!(["registry", "dns"])), true), "ok");
    assert_eq!(staging(Some("FAILED"), Some(&json!(["registry", "login"])), true), "red");
    assert_eq!(
        staging(Some("FAILED"), Some(&json!(["registry"])), false),
        "red",
        "the tolerance is off"
    );
    assert_eq!(
        staging(Some("FAILED"), Some(&json!([])), true),
        "red",
        "no failed check explains it"
    );
    assert_eq!(staging(Some("FAILED"), None, true), "red");
    assert_eq!(staging(Some("success"), None, true), "red");
    assert_eq!(staging(Some(""), None, true), "red");
    assert_eq!(staging(None, None, true), "red");
}

#[test]
fn staging_log_is_understood_by_the_analysis() {
    let source = include_str!("../../../rules/staging.rhai").to_owned();
    let found = Scripts::compile(&BTreeMap::from([("staging.rhai".to_owned(), source)])).expect("it compiles");
    let read = found.fields("staging.rhai::verdict", "log");
    assert_eq!(
        read,
        [FieldRead {
            field: "staging_status".to_owned(),
            compared: vec!["SUCCESS".to_owned(), "FAILED".to_owned()]
        }]
    );
    let mut texts = found
        .literals("staging.rhai::verdict")
        .texts
        .into_iter()
        .map(|(text, ..)| text)
        .collect::<Vec<_>>();
    texts.sort();
    texts.dedup();
    assert_eq!(texts, ["ok", "red"]);
}

#[test]
fn compiled_scripts_are_shared_between_threads_and_print_their_signatures() {
    fn shared<T: Send + Sync + Default + std::fmt::Debug>(_: &T) {}
    let found = scripts("fn f(x) { \"ok\" }");
    shared(&found);
    assert_eq!(format!("{found:?}"), r#"{"t.rhai": {"f": ["x"]}}"#);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), ..Default::default() })]

    #[test]
    fn no_source_makes_it_panic(source in "[a-z0-9 (){}\\[\\].,;:=<>!|&\"'#$`_+*/-]{0,200}") {
        if let Ok(found) = compile(&source) {
            drop(found.problems("t.rhai"));
            for name in found.functions("t.rhai") {
                drop(found.call(&format!("t.rhai::{name}"), &[], &Json::Null));
            }
        }
    }
}

/// Nests a piece of source around `core`: opening, closing.
const SHAPES: &[(&str, &str)] = &[
    ("if x == () || true { 1 + ", " } else { 0 }"),
    ("(1 + ", ")"),
    ("[", "]"),
    ("#{a: ", "}"),
    ("{ ", " }"),
    ("for i in [1] { ", " }"),
    ("while true { ", " }"),
    ("true && (", ")"),
    ("() ?? (", ")"),
    ("[x].map(|y| ", ")"),
    ("`${", "}`"),
    ("!", ""),
    ("-", ""),
    ("return ", ""),
    ("f(", ")"),
    ("x[", "]"),
    ("x.y(", ")"),
    ("x.y.", ""),
    ("let a = ", ""),
    ("|y| ", ""),
    ("if true { } else ", " { }"),
    ("loop { break ", " }"),
    ("/*", "*/"),
];

#[test]
fn the_deepest_allowed_nesting_does_not_overflow_the_stack() {
    let mut ran = 0;
    for (open, close) in SHAPES {
        for levels in 1..70 {
            let source = format!("fn f(x) {{ {} f(x) {} }}", open.repeat(levels), close.repeat(levels));
            let Ok(found) = compile(&source) else { continue };
            drop(found.problems("t.rhai"));
            drop(found.literals("t.rhai::f"));
            if let Err(error) = found.call("t.rhai::f", &[ScriptArg::Absent], &Json::Null) {
                ran += usize::from(error.to_string().contains("16 levels"));
            }
        }
    }
    assert!(ran > 50, "only {ran} of the sources reached the depth of calls");
}

#[test]
fn no_depth_of_source_overflows_the_stack() {
    for (open, close) in SHAPES {
        for levels in [100, 1000, SOURCE_SIZE / (open.len() + close.len()) - 10] {
            for core in ["1", ""] {
                let nested = format!("{}{core}{}", open.repeat(levels), close.repeat(levels));
                drop(compile(&format!("fn f(x) {{ {nested} }}")));
                drop(compile(&nested));
                drop(compile(&open.repeat(levels)));
            }
        }
    }
}
