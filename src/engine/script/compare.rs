//! Comparisons that never lie: rhai answers `"3" == 3` with `false`, here it is an error.

use std::cmp::Ordering;

use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::sandbox::failure;
use super::value::Record;

type Answer<T> = Result<T, Box<EvalAltResult>>;

/// Puts the six operators in place of rhai's own.
pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("==", |x: Dynamic, y: Dynamic| equal(&x, &y));
    engine.register_fn("!=", |x: Dynamic, y: Dynamic| equal(&x, &y).map(|same| !same));
    engine.register_fn("<", |x: Dynamic, y: Dynamic| {
        order(&x, &y).map(|found| found == Some(Ordering::Less))
    });
    engine.register_fn(">", |x: Dynamic, y: Dynamic| {
        order(&x, &y).map(|found| found == Some(Ordering::Greater))
    });
    engine.register_fn("<=", |x: Dynamic, y: Dynamic| {
        order(&x, &y).map(|found| matches!(found, Some(Ordering::Less | Ordering::Equal)))
    });
    engine.register_fn(">=", |x: Dynamic, y: Dynamic| {
        order(&x, &y).map(|found| matches!(found, Some(Ordering::Greater | Ordering::Equal)))
    });
}

/// Whether two values are equal. Anything may be asked whether it is `()`: that is how scripts
/// test for what is absent. Otherwise only like compares with like.
fn equal(x: &Dynamic, y: &Dynamic) -> Answer<bool> {
    if x.is_unit() || y.is_unit() {
        return Ok(x.is_unit() && y.is_unit());
    }
    if let (Ok(a), Ok(b)) = (x.as_bool(), y.as_bool()) {
        return Ok(a == b);
    }
    if let (Ok(a), Ok(b)) = (x.as_array_ref(), y.as_array_ref()) {
        return equal_lists(&a, &b);
    }
    if let (Ok(a), Ok(b)) = (x.as_map_ref(), y.as_map_ref()) {
        return equal_maps(&a, &b);
    }
    if let (Some(a), Some(b)) = (x.read_lock::<Record>(), y.read_lock::<Record>()) {
        return equal_maps(a.fields(), b.fields());
    }
    scalar(x, y).map(|found| found == Some(Ordering::Equal))
}

fn equal_lists(a: &Array, b: &Array) -> Answer<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (x, y) in a.iter().zip(b.iter()) {
        if !equal(x, y)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(a: &Map, b: &Map) -> Answer<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    for (key, x) in a {
        match b.get(key) {
            Some(y) if equal(x, y)? => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// The order of two values; `()` has none.
fn order(x: &Dynamic, y: &Dynamic) -> Answer<Option<Ordering>> {
    if x.is_unit() || y.is_unit() {
        return Err(unlike(x, y));
    }
    scalar(x, y)
}

/// Compares two numbers or two texts; `None` only where a float is not a number.
fn scalar(x: &Dynamic, y: &Dynamic) -> Answer<Option<Ordering>> {
    if let (Ok(a), Ok(b)) = (x.as_int(), y.as_int()) {
        return Ok(Some(a.cmp(&b)));
    }
    if let (Some(a), Some(b)) = (number(x), number(y)) {
        return Ok(a.partial_cmp(&b));
    }
    if let (Some(a), Some(b)) = (text(x), text(y)) {
        return Ok(Some(a.cmp(&b)));
    }
    Err(unlike(x, y))
}

#[allow(clippy::cast_precision_loss)] // a whole number beside a fraction: the fraction is as imprecise
fn number(x: &Dynamic) -> Option<f64> {
    x.as_float().ok().or_else(|| x.as_int().ok().map(|n| n as f64))
}

fn text(x: &Dynamic) -> Option<ImmutableString> {
    x.as_char()
        .ok()
        .map(|c| c.to_string().into())
        .or_else(|| x.as_immutable_string_ref().ok().map(|s| s.clone()))
}

fn unlike(x: &Dynamic, y: &Dynamic) -> Box<EvalAltResult> {
    failure(format!(
        "a comparison of {} with {}: only like compares with like (use `to_string()` or `parse_int()`)",
        kind(x),
        kind(y)
    ))
}

/// The type's name as people know it.
pub(super) fn kind(x: &Dynamic) -> &'static str {
    if x.is_unit() {
        "`()`"
    } else if x.is_bool() {
        "a boolean"
    } else if x.is_int() || x.is_float() {
        "a number"
    } else if x.is_string() || x.is_char() {
        "a text"
    } else if x.is_array() {
        "a list"
    } else if x.is_map() || x.is::<Record>() {
        "a record"
    } else {
        "a function or range"
    }
}
