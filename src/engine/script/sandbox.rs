//! The engine that every script runs in: what it may use, and how much of it.

use std::sync::LazyLock;

use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicIteratorPackage, BasicMapPackage, BasicStringPackage, LogicPackage, MoreStringPackage,
    Package,
};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map, OptimizationLevel};

use super::{compare, value};

/// Operations of one call.
const OPERATIONS: u64 = 100_000;
/// Nested calls.
const CALL_LEVELS: usize = 16;
/// Depth of expressions at the top level.
const EXPR_DEPTH: usize = 64;
/// Depth of expressions within functions.
const FUNCTION_EXPR_DEPTH: usize = 32;
/// Longest text, in bytes.
pub(super) const STRING_SIZE: usize = 16 * 1024;
/// Longest list, nested entries included.
pub(super) const ARRAY_SIZE: usize = 1024;
/// Largest object map, nested entries included.
pub(super) const MAP_SIZE: usize = 256;
/// Variables alive at once, and functions of one file.
const NAMES: usize = 256;

/// Words that no script may use, and why not.
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("eval", "a script may not make code at run time"),
    ("import", "every script file stands alone"),
    ("export", "every script file stands alone"),
    ("print", "a script only computes; it has nowhere to print to"),
    ("debug", "a script only computes; it has nowhere to print to"),
    ("timestamp", "a decision that reads a clock cannot be replayed"),
    ("sleep", "a decision must not wait"),
    (
        "Fn",
        "call functions by their name or write a closure, so that the checker can see the call",
    ),
    ("curry", "write a closure instead"),
    ("is_def_fn", "call the function; the checker knows whether it exists"),
    ("is_def_var", "use the variable; the checker knows whether it exists"),
    ("try", "an error must stay an error: it is the gate's outcome `error`"),
    (
        "switch",
        "it compares values of different types as unequal without a word; use `if` … `else if`",
    ),
];

/// The one engine: immutable, so that it can be shared by all rulesets.
pub(super) static ENGINE: LazyLock<Engine> = LazyLock::new(build);

fn build() -> Engine {
    let mut engine = Engine::new_raw();
    ArithmeticPackage::new().register_into_engine(&mut engine);
    LogicPackage::new().register_into_engine(&mut engine);
    BasicStringPackage::new().register_into_engine(&mut engine);
    MoreStringPackage::new().register_into_engine(&mut engine);
    BasicArrayPackage::new().register_into_engine(&mut engine);
    BasicMapPackage::new().register_into_engine(&mut engine);
    BasicIteratorPackage::new().register_into_engine(&mut engine);
    for (word, _) in REFUSED {
        engine.disable_symbol(*word);
    }
    // Folding constants would compare `1 == "1"` with the built-in operator, before ours is asked.
    engine.set_optimization_level(OptimizationLevel::None);
    engine.set_fast_operators(false);
    engine.set_strict_variables(true);
    engine.set_allow_shadowing(false);
    engine.set_fail_on_invalid_map_property(true);
    // All set here: left alone, some differ between debug and release builds.
    engine.set_max_operations(OPERATIONS);
    engine.set_max_call_levels(CALL_LEVELS);
    engine.set_max_expr_depths(EXPR_DEPTH, FUNCTION_EXPR_DEPTH);
    engine.set_max_string_size(STRING_SIZE);
    engine.set_max_array_size(ARRAY_SIZE);
    engine.set_max_map_size(MAP_SIZE);
    engine.set_max_variables(NAMES);
    engine.set_max_functions(NAMES);
    compare::register(&mut engine);
    value::register(&mut engine);
    register_strict(&mut engine);
    engine
}

/// Replaces library functions that answer a missing entry with `()`, or grow without a bound.
fn register_strict(engine: &mut Engine) {
    engine.register_fn("get", |map: &mut Map, key: &str| {
        map.get(key)
            .cloned()
            .ok_or_else(|| failure(format!("there is no `{key}`; test with `\"{key}\" in …` first")))
    });
    engine.register_fn("get", |list: &mut Array, index: i64| {
        let found = usize::try_from(index).ok().and_then(|at| list.get(at)).cloned();
        found.ok_or_else(|| failure(format!("there is no entry {index}: the list has {}", list.len())))
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: &str, by: &str| {
        replace(text, find, by)
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: &str, by: char| {
        replace(text, find, by.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: char, by: &str| {
        replace(text, find.encode_utf8(&mut [0; 4]), by)
    });
    engine.register_fn("replace", |text: &mut ImmutableString, find: char, by: char| {
        replace(text, find.encode_utf8(&mut [0; 4]), by.encode_utf8(&mut [0; 4]))
    });
}

/// Replaces in place. The limit on texts is looked at only after a function returned; two texts
/// of full length would make a quarter of a gigabyte before that.
fn replace(text: &mut ImmutableString, find: &str, by: &str) -> Result<(), Box<EvalAltResult>> {
    let added = text.matches(find).count().saturating_mul(by.len());
    if text.len().saturating_add(added) > STRING_SIZE.saturating_mul(2) {
        return Err(failure(format!("the text would grow beyond {STRING_SIZE} bytes")));
    }
    *text = text.replace(find, by).into();
    Ok(())
}

/// An error raised by a host function; the engine adds the position.
pub(super) fn failure(message: String) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(message), rhai::Position::NONE).into()
}
