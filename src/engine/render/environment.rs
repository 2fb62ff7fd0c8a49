//! The template engine: strict, without loaders, bounded.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::LazyLock;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Template, UndefinedBehavior, Value};

use super::fence;

/// Instructions of one rendering.
const FUEL: u64 = 50_000;
/// Longest rendered text, in bytes.
pub(super) const OUTPUT: usize = 64 * 1024;

/// Name of a template whose values are escaped as HTML.
pub(super) const HTML: &str = "card.html";
/// Name of every other template.
const TEXT: &str = "text";

/// Only what is listed here exists for templates; nothing reads a clock, a file or a loader.
static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    use minijinja::filters;
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_trim_blocks(true);
    env.set_lstrip_blocks(true);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(32);
    env.set_auto_escape_callback(|name| if name == HTML { AutoEscape::Html } else { AutoEscape::None });
    env.set_formatter(|out, state, value| match value.as_str() {
        // Only what HTML needs: chats know few entities by name.
        Some(text) if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() => {
            out.write_str(&fence::escape(text)).map_err(Error::from)
        }
        _ => minijinja::escape_formatter(out, state, value),
    });
    env.add_filter("upper", filters::upper);
    env.add_filter("lower", filters::lower);
    env.add_filter("trim", filters::trim);
    env.add_filter("length", filters::length);
    env.add_filter("join", filters::join);
    env.add_filter("first", filters::first);
    env.add_filter("last", filters::last);
    env.add_filter("fenced", |text: &str| fence::fenced(text));
    env.add_filter("quoted", |text: &str| fence::quoted(text));
    env.add_filter("plain", |text: &str| fence::plain(text));
    env.add_filter("line", |text: &str| fence::line(text));
    env.add_filter("code", |text: &str| fence::code(text));
    env.add_test("defined", |value: &Value| !value.is_undefined());
    env
});

fn environment<'a>() -> &'a Environment<'a> {
    &ENVIRONMENT
}

/// Longest `{{ … }}` or `{% … %}`, in bytes: its operators nest on the stack when it is compiled.
const TAG: usize = 1000;

/// Parses a template. `Err` says what is wrong and in which line of it.
fn parse<'env, 'a>(env: &'env Environment<'a>, name: &'a str, template: &'a str) -> Result<Template<'env, 'a>, String> {
    if template.len() > OUTPUT {
        return Err(format!("the template has {} bytes; at most {OUTPUT} are allowed", template.len()));
    }
    if let Some(at) = long_tag(template) {
        let line = template.get(..at).unwrap_or_default().lines().count().max(1);
        return Err(format!("line {line}: what begins here with a brace is longer than {TAG} bytes"));
    }
    env.template_from_named_str(name, template).map_err(|error| sentence(&error))
}

/// Where the first tag begins that is too long.
fn long_tag(template: &str) -> Option<usize> {
    let bytes = template.as_bytes();
    let mut at = 0_usize;
    while let Some(pair) = bytes.get(at..at.saturating_add(2)) {
        let length = match pair {
            b"{#" => template.get(at..).and_then(|rest| rest.find("#}")).unwrap_or(0).saturating_add(2),
            b"{{" | b"{%" => {
                let length = tag_length(bytes.get(at..).unwrap_or_default());
                if length > TAG {
                    return Some(at);
                }
                length
            }
            _ => 1,
        };
        at = at.saturating_add(length);
    }
    None
}

/// How long the tag is that these bytes begin with; texts in quotes may contain its end.
fn tag_length(bytes: &[u8]) -> usize {
    let end: &[u8] = if bytes.starts_with(b"{{") { b"}}" } else { b"%}" };
    let mut quote = None;
    let mut at = 2_usize;
    while let Some(&byte) = bytes.get(at) {
        match (quote, byte) {
            (Some(_), b'\\') => at = at.saturating_add(1),
            (Some(open), _) if byte == open => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, _) if bytes.get(at..).is_some_and(|rest| rest.starts_with(end)) => break,
            _ => {}
        }
        at = at.saturating_add(1);
    }
    at.min(bytes.len()).saturating_add(2)
}

/// Renders a template. `Err` says what is wrong and in which line of it.
pub(super) fn render(template: &str, context: Value) -> Result<String, String> {
    render_as(TEXT, template, context)
}

/// Renders a template, every value escaped as HTML.
pub(super) fn render_html(template: &str, context: Value) -> Result<String, String> {
    render_as(HTML, template, context)
}

fn render_as(name: &str, template: &str, context: Value) -> Result<String, String> {
    let env = environment();
    let compiled = parse(env, name, template)?;
    let mut out = Capped(Vec::new());
    match compiled.render_captured_to(context, &mut out) {
        Ok(_) => Ok(String::from_utf8_lossy(&out.0).into_owned()),
        Err(error) if error.kind() == ErrorKind::WriteFailure => Err(format!("the text would be longer than {OUTPUT} bytes")),
        Err(error) => Err(sentence(&error)),
    }
}

/// The placeholders that a template asks for, fields as `vars.name`; empty where it cannot be
/// parsed.
#[must_use]
pub fn placeholders(template: &str) -> BTreeSet<String> {
    let env = environment();
    env.template_from_str(template)
        .map(|compiled| compiled.undeclared_variables(true).into_iter().collect())
        .unwrap_or_default()
}

/// Checks syntax and placeholders; returns sample values for the `vars` that it asks for.
pub(super) fn check_placeholders(template: &str, known: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let env = environment();
    let compiled = parse(env, TEXT, template)?;
    let mut unknown: Vec<String> = compiled
        .undeclared_variables(false)
        .into_iter()
        .filter(|name| !known.contains(&name.as_str()))
        .collect();
    unknown.sort();
    if let Some(name) = unknown.first() {
        let near = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), *known)).min();
        let hint = near
            .filter(|(distance, _)| *distance <= 2)
            .map(|(_, near)| format!("; did you mean `{near}`?"));
        let all = format!("; there are: {}", known.join(", "));
        return Err(format!("there is no placeholder `{name}`{}", hint.unwrap_or(all)));
    }
    Ok(fields(template, "vars"))
}

/// Sample values for the fields of `of` that a template asks for.
pub(super) fn fields(template: &str, of: &str) -> BTreeMap<String, String> {
    let asked = placeholders(template).into_iter();
    let field = |name: String| name.strip_prefix(of)?.strip_prefix('.').map(str::to_owned);
    asked.filter_map(field).map(|name| (name, "x".to_owned())).collect()
}

fn sentence(error: &Error) -> String {
    let what = match error.kind() {
        ErrorKind::OutOfFuel => format!("the template does not end within {FUEL} steps"),
        kind => error
            .detail()
            .map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}")),
    };
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// A buffer that refuses to grow beyond the limit.
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > OUTPUT {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
