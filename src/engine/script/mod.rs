//! The Rhai sandbox: the only user of rhai.
//!
//! Scripts compute and nothing else: they are given facts and answer with the name of an
//! outcome. There is no clock, no file, no network, no way to make code at run time; every call
//! is bounded by counted operations, so that the same facts give the same answer in a debug
//! build, in a release build and in a replay years later.

mod check;
mod compare;
mod sandbox;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rhai::{AST, CallFnOptions, Dynamic, EvalAltResult, Position, Scope};

pub use check::{FieldRead, Literals};
pub use value::ScriptArg;

use sandbox::ENGINE;

/// Longest source file, in bytes.
const SOURCE_SIZE: usize = 64 * 1024;

/// Compiled functions, by `file.rhai::function`.
#[derive(Default, Clone)]
pub struct Scripts {
    files: BTreeMap<String, File>,
}

#[derive(Clone)]
struct File {
    ast: AST,
    /// Parameters, by function.
    functions: BTreeMap<String, Vec<String>>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.files.iter().map(|(name, file)| (name, &file.functions)))
            .finish()
    }
}

/// What kind of problem a script has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// It cannot be parsed, uses what scripts may not use, or is too large.
    Syntax,
    /// A statement outside of any function.
    Misplaced,
    /// A call of a function that does not exist.
    UnknownFunction,
    /// A call of a function with another number of arguments than it takes.
    WrongArity,
    /// A comparison of values that can never be alike.
    MixedComparison,
}

/// A problem of a script, found without running it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptProblem {
    /// The script file.
    pub file: String,
    /// Line, from 1; 0 where unknown.
    pub line: usize,
    /// Column in characters, from 1; 0 where unknown.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub message: String,
    /// What kind of problem it is.
    pub kind: ProblemKind,
}

/// Why a call gave no outcome. For the engine all of these are the gate's outcome `error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The key names no function.
    #[error("there is no function `{key}`; a key is `file.rhai::function`")]
    Unknown {
        /// The key.
        key: String,
    },
    /// What is passed is not what the function takes.
    #[error("`{key}` takes ({takes}) but is given ({given}): the names under `reads` must be its parameters, besides `args`")]
    Arguments {
        /// The key.
        key: String,
        /// The function's parameters.
        takes: String,
        /// What was passed.
        given: String,
    },
    /// A fact is larger than scripts may be given.
    #[error("`{key}` cannot be given `{parameter}`: {what}")]
    TooLarge {
        /// The key.
        key: String,
        /// The parameter.
        parameter: String,
        /// What is too large.
        what: String,
    },
    /// The script failed or reached a limit.
    #[error("{file}:{line}:{column}: {message}")]
    Failed {
        /// The script file.
        file: String,
        /// Line, from 1; 0 where unknown.
        line: usize,
        /// Column, from 1; 0 where unknown.
        column: usize,
        /// What happened.
        message: String,
    },
    /// The function returned something else than a text.
    #[error("`{key}` returned {got}; it must return the name of one of its declared outcomes, a text")]
    NotText {
        /// The key.
        key: String,
        /// What it returned.
        got: String,
    },
}

impl Scripts {
    /// Compiles all files.
    ///
    /// # Errors
    /// The first syntax error of each file that has one; nothing is compiled then.
    pub fn compile(sources: &BTreeMap<String, String>) -> Result<Self, Vec<ScriptProblem>> {
        let mut files = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, source) in sources {
            match compile_file(name, source) {
                Ok(file) => drop(files.insert(name.clone(), file)),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { files }) } else { Err(problems) }
    }

    /// How many parameters a function takes; `None` where there is no such function.
    #[must_use]
    pub fn function(&self, file: &str, name: &str) -> Option<usize> {
        self.parameters(file, name).map(<[String]>::len)
    }

    /// The names of a function's parameters, in order.
    #[must_use]
    pub fn parameters(&self, file: &str, name: &str) -> Option<&[String]> {
        self.files.get(file)?.functions.get(name).map(Vec::as_slice)
    }

    /// The functions of a file.
    #[must_use]
    pub fn functions(&self, file: &str) -> Vec<String> {
        self.files
            .get(file)
            .map(|file| file.functions.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// The files, by name.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Problems of a compiled file that can be seen without running it.
    #[must_use]
    pub fn problems(&self, file: &str) -> Vec<ScriptProblem> {
        self.files.get(file).map(|found| check::problems(file, found)).unwrap_or_default()
    }

    /// What a function can be seen to return.
    #[must_use]
    pub fn literals(&self, key: &str) -> Literals {
        self.find(key)
            .map(|(file, name, _)| check::literals(&file.ast, name))
            .unwrap_or_default()
    }

    /// The fields that a function can be seen to read from its parameter.
    #[must_use]
    pub fn fields(&self, key: &str, parameter: &str) -> Vec<FieldRead> {
        self.find(key)
            .map(|(file, name, _)| check::fields(&file.ast, name, parameter))
            .unwrap_or_default()
    }

    /// The fields of its `args` that a function reads, and whether it does nothing else with them;
    /// `None` where it takes none.
    #[must_use]
    pub fn arguments(&self, key: &str) -> Option<(Vec<String>, bool)> {
        let (file, name, takes) = self.find(key)?;
        takes.iter().any(|p| p == "args").then(|| {
            let fields = check::fields(&file.ast, name, "args").into_iter().map(|read| read.field);
            (fields.collect(), check::only_fields(&file.ast, name, "args"))
        })
    }

    /// Calls a function with its parameters in order; `args` is passed last where the function
    /// takes one more parameter than are given.
    ///
    /// # Errors
    /// See [`ScriptError`]; the caller takes each as the gate's outcome `error`.
    pub fn call(&self, key: &str, params: &[ScriptArg<'_>], args: &serde_json::Value) -> Result<String, ScriptError> {
        let Some((file, name, takes)) = self.find(key) else {
            return Err(ScriptError::Unknown { key: key.to_owned() });
        };
        let mut values = Vec::with_capacity(params.len().saturating_add(1));
        for (at, param) in params.iter().enumerate() {
            values.push((takes.get(at).map_or("", String::as_str), param.to_dynamic()));
        }
        if takes.len() == params.len().saturating_add(1) {
            values.push(("args", value::from_json(args)));
        }
        if takes.len() != values.len() {
            let given = format!("{} values", params.len());
            return Err(ScriptError::Arguments {
                key: key.to_owned(),
                takes: takes.join(", "),
                given,
            });
        }
        let values = values.into_iter().map(|(parameter, value)| {
            value.map_err(|what| ScriptError::TooLarge {
                key: key.to_owned(),
                parameter: parameter.to_owned(),
                what,
            })
        });
        run(file, key, name, values.collect::<Result<Vec<_>, _>>()?)
    }

    /// Calls a function with its parameters by name: each parameter must be among `params`,
    /// except `args`, and each of `params` must be a parameter.
    ///
    /// # Errors
    /// See [`ScriptError`]; the caller takes each as the gate's outcome `error`.
    pub fn call_named(&self, key: &str, params: &[(&str, ScriptArg<'_>)], args: &serde_json::Value) -> Result<String, ScriptError> {
        let Some((file, name, takes)) = self.find(key) else {
            return Err(ScriptError::Unknown { key: key.to_owned() });
        };
        let wrong = || ScriptError::Arguments {
            key: key.to_owned(),
            takes: takes.join(", "),
            given: params.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "),
        };
        if params.iter().any(|(name, _)| !takes.iter().any(|taken| taken == name)) {
            return Err(wrong());
        }
        let mut values = Vec::with_capacity(takes.len());
        for parameter in takes {
            let value = match params.iter().find(|(name, _)| name == parameter) {
                Some((_, param)) => param.to_dynamic(),
                None if parameter == "args" => value::from_json(args),
                None => return Err(wrong()),
            };
            values.push(value.map_err(|what| ScriptError::TooLarge {
                key: key.to_owned(),
                parameter: parameter.clone(),
                what,
            })?);
        }
        run(file, key, name, values)
    }

    fn find<'a>(&'a self, key: &'a str) -> Option<(&'a File, &'a str, &'a [String])> {
        let (name, function) = key.split_once("::")?;
        let file = self.files.get(name)?;
        Some((file, function, file.functions.get(function)?))
    }
}

fn compile_file(name: &str, source: &str) -> Result<File, ScriptProblem> {
    let problem = |position: Position, message: String, kind| ScriptProblem {
        file: name.to_owned(),
        line: position.line().unwrap_or(0),
        column: position.position().unwrap_or(0),
        message,
        kind,
    };
    if source.len() > SOURCE_SIZE {
        let message = format!("the file has {} bytes; at most {SOURCE_SIZE} are allowed", source.len());
        return Err(problem(Position::NONE, message, ProblemKind::Syntax));
    }
    let ast = catch_unwind(AssertUnwindSafe(|| ENGINE.compile(source)))
        .map_err(|_| {
            problem(
                Position::NONE,
                "the script engine cannot read this file".to_owned(),
                ProblemKind::Syntax,
            )
        })?
        .map_err(|error| problem(error.position(), parsed(error.err_type().to_string()), ProblemKind::Syntax))?;
    if let Some((position, message)) = check::refused(&ast) {
        return Err(problem(position, message, ProblemKind::Syntax));
    }
    let mut functions = BTreeMap::new();
    for found in ast.iter_functions().filter(|found| !check::is_closure(found.name)) {
        let params = found.params.iter().map(|param| (*param).to_owned()).collect();
        if functions.insert(found.name.to_owned(), params).is_some() {
            let message = format!(
                "`{}` is defined twice: a function is found by its name, whatever it takes",
                found.name
            );
            return Err(problem(Position::NONE, message, ProblemKind::Syntax));
        }
    }
    Ok(File { ast, functions })
}

/// The parser's message, with the reason where it names a refused word.
fn parsed(message: String) -> String {
    let word = message.split('\'').nth(1).unwrap_or_default();
    check::refusal(word).unwrap_or(message)
}

fn run(file: &File, key: &str, name: &str, values: Vec<Dynamic>) -> Result<String, ScriptError> {
    let source = key.split("::").next().unwrap_or(key);
    let failed = |position: Position, message: String| ScriptError::Failed {
        file: source.to_owned(),
        line: position.line().unwrap_or(0),
        column: position.position().unwrap_or(0),
        message,
    };
    let mut scope = Scope::new();
    let options = CallFnOptions::new().eval_ast(false);
    // A defect of the script engine must not end the service's one writer of decisions.
    let result = catch_unwind(AssertUnwindSafe(|| {
        ENGINE.call_fn_with_options::<Dynamic>(options, &mut scope, &file.ast, name, values)
    }));
    let returned = match result {
        Err(_) => return Err(failed(Position::NONE, "the script engine failed".to_owned())),
        Ok(Err(error)) => return Err(failed(innermost(&error), sentence(&error))),
        Ok(Ok(returned)) => returned.flatten(),
    };
    let kind = compare::kind(&returned);
    returned.into_string().map_err(|_| ScriptError::NotText {
        key: key.to_owned(),
        got: kind.to_owned(),
    })
}

/// Where it happened: in the innermost function of the file.
fn innermost(error: &EvalAltResult) -> Position {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, position) => {
            let found = innermost(inner);
            if found.is_none() { *position } else { found }
        }
        other => other.position(),
    }
}

fn sentence(error: &EvalAltResult) -> String {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) => sentence(inner),
        EvalAltResult::ErrorRuntime(value, _) => value.to_string(),
        EvalAltResult::ErrorTooManyOperations(_) => "the call was ended after 100 000 operations: it loops or works on too much".to_owned(),
        EvalAltResult::ErrorStackOverflow(_) => "functions call one another more than 16 levels deep".to_owned(),
        // The position is given beside the message.
        other => {
            let text = other.to_string();
            text.split(" (line ").next().unwrap_or(&text).chars().take(500).collect()
        }
    }
}
