//! What can be seen of a script without running it: a walk over its syntax tree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::sandbox::{ENGINE, REFUSED};
use super::{File, ProblemKind, ScriptProblem};

/// What a function can be seen to return.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Literals {
    /// Texts that it returns literally: text, line, column, both from 1.
    pub texts: Vec<(String, usize, usize)>,
    /// What it returns that is no text: what, line, column.
    pub others: Vec<(&'static str, usize, usize)>,
    /// Whether it may return something that is not written out.
    pub open: bool,
}

impl Literals {
    fn other(&mut self, what: &'static str, at: Position) {
        self.others.push((what, at.line().unwrap_or(0), at.position().unwrap_or(0)));
    }
}

/// A field that a function reads from a parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldRead {
    /// The field.
    pub field: String,
    /// Texts that it is compared with, in the order of the source.
    pub compared: Vec<String>,
}

/// Functions of the sandbox: name → numbers of arguments, the object included.
static HOST: LazyLock<BTreeMap<String, BTreeSet<usize>>> = LazyLock::new(|| {
    let mut known: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for (name, count) in ENGINE.collect_fn_metadata(None, |info| Some((info.metadata.name.to_string(), info.metadata.num_params)), true) {
        known.entry(name).or_default().insert(count);
    }
    // Built into the engine, not registered.
    known.entry("type_of".to_owned()).or_default().insert(1);
    known.entry("is_shared".to_owned()).or_default().insert(1);
    known
});

/// Whether this is the name the parser gives to a closure.
pub(super) fn is_closure(name: &str) -> bool {
    name.starts_with("anon$")
}

/// The first thing of a parsed file that no script may do. The parser refuses keywords by
/// itself, but neither the names of functions nor assignments to parts of a value.
pub(super) fn refused(ast: &AST) -> Option<(Position, String)> {
    let mut found = None;
    ast.walk(&mut |path| {
        found = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position)))
            | Some(ASTNode::Stmt(Stmt::FnCall(call, position))) => refusal(&call.name)
                .filter(|_| !written_by_parser(call))
                .map(|message| (*position, message)),
            // Rhai does not measure a value after such an assignment: `x.a = x` doubles it unseen.
            Some(ASTNode::Stmt(Stmt::Assignment(assignment))) if !matches!(assignment.1.lhs, Expr::Variable(..)) => {
                let message = "a part of a value cannot be assigned to: what a script is given is read-only; make a new value".to_owned();
                Some((assignment.1.lhs.position(), message))
            }
            _ => None,
        };
        found.is_none()
    });
    found
}

/// Whether this call stands for a closure: what it captures is curried into it.
fn written_by_parser(call: &FnCallExpr) -> bool {
    match call.args.first() {
        _ if call.name == "Fn" => matches!(call.args.first(), Some(Expr::StringConstant(name, _)) if is_closure(name)),
        Some(Expr::DynamicConstant(value, _)) => value.is_fnptr(),
        Some(Expr::FnCall(inner, _)) => written_by_parser(inner),
        _ => false,
    }
}

/// Why a word is refused.
pub(super) fn refusal(name: &str) -> Option<String> {
    let found = REFUSED.iter().find(|(word, _)| *word == name);
    found.map(|(word, why)| format!("`{word}` is not available to scripts: {why}"))
}

/// Problems of one file, in the order of the source.
pub(super) fn problems(name: &str, file: &File) -> Vec<ScriptProblem> {
    let mut found: Vec<(Position, ProblemKind, String)> = Vec::new();
    if let Some(stmt) = file.ast.statements().first() {
        let message = "only functions may stand here: nothing outside of them is ever run".to_owned();
        found.push((stmt.position(), ProblemKind::Misplaced, message));
    }
    file.ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position))) => {
                found.extend(call_problem(file, call, false, *position));
            }
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => found.extend(call_problem(file, call, true, *position)),
            _ => {}
        }
        true
    });
    found.sort_by_key(|(position, ..)| (position.line(), position.position()));
    let problem = |(position, kind, message): (Position, ProblemKind, String)| ScriptProblem {
        file: name.to_owned(),
        line: position.line().unwrap_or(0),
        column: position.position().unwrap_or(0),
        message,
        kind,
    };
    found.into_iter().map(problem).collect()
}

fn call_problem(file: &File, call: &FnCallExpr, method: bool, position: Position) -> Option<(Position, ProblemKind, String)> {
    if call.is_operator_call() {
        return mixed(call).map(|message| (position, ProblemKind::MixedComparison, message));
    }
    let name = call.name.as_str();
    // Closures: the parser itself writes `curry` for what they capture; `call` takes what they take.
    if is_closure(name) || matches!(name, "curry" | "call" | "Fn") {
        return None;
    }
    let given = call.args.len().saturating_add(usize::from(method));
    let own = file.functions.get(name).map(Vec::len);
    // `x.f(y)` on a function of the file binds `x` to `this`: it takes only `y`.
    let takes_own = own.is_some_and(|count| count == call.args.len());
    let host = HOST.get(name);
    if takes_own || host.is_some_and(|counts| counts.contains(&given)) {
        return None;
    }
    if let Some(count) = own {
        let message = format!("`{name}` takes {} but is given {}", arguments(count), arguments(call.args.len()));
        return Some((position, ProblemKind::WrongArity, message));
    }
    let shift = usize::from(method);
    if let Some(counts) = host {
        let takes = counts
            .iter()
            .map(|count| count.saturating_sub(shift).to_string())
            .collect::<Vec<_>>()
            .join(" or ");
        let message = format!("`{name}` takes {takes} arguments here but is given {}", call.args.len());
        return Some((position, ProblemKind::WrongArity, message));
    }
    let near = file
        .functions
        .keys()
        .chain(HOST.keys())
        .filter(|known| known.starts_with(char::is_alphabetic));
    let near = near.map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    let hint = match near {
        Some((distance, known)) if distance <= 2 => format!("; did you mean `{known}`?"),
        _ => String::new(),
    };
    Some((
        position,
        ProblemKind::UnknownFunction,
        format!("there is no function `{name}`{hint}"),
    ))
}

fn arguments(count: usize) -> String {
    if count == 1 {
        "1 argument".to_owned()
    } else {
        format!("{count} arguments")
    }
}

/// What a comparison compares, when both sides show their type and it differs.
fn mixed(call: &FnCallExpr) -> Option<String> {
    if !matches!(call.name.as_str(), "==" | "!=" | "<" | "<=" | ">" | ">=") {
        return None;
    }
    let (left, right) = (shape(call.args.first()?)?, shape(call.args.get(1)?)?);
    let absent = matches!(call.name.as_str(), "==" | "!=") && (left == "`()`" || right == "`()`");
    (left != right && !absent).then(|| format!("{left} is compared with {right}: at run time this is an error"))
}

/// The type of an expression, where it can be seen.
fn shape(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::BoolConstant(..) | Expr::And(..) | Expr::Or(..) => Some("a boolean"),
        Expr::IntegerConstant(..) | Expr::FloatConstant(..) => Some("a number"),
        Expr::CharConstant(..) | Expr::StringConstant(..) | Expr::InterpolatedString(..) => Some("a text"),
        Expr::Array(..) => Some("a list"),
        Expr::Map(..) => Some("a record"),
        Expr::Unit(..) => Some("`()`"),
        Expr::Dot(chain, flags, _) if !flags.contains(ASTFlags::NEGATED) => match &chain.rhs {
            Expr::MethodCall(call, _) => result(call.name.as_str()),
            Expr::Property(property, _) if property.2 == "len" => Some("a number"),
            Expr::Dot(..) => shape(&chain.rhs),
            _ => None,
        },
        Expr::FnCall(call, _) => result(call.name.as_str()),
        _ => None,
    }
}

fn result(function: &str) -> Option<&'static str> {
    match function {
        "len" | "parse_int" | "to_int" => Some("a number"),
        "to_string" | "to_upper" | "to_lower" | "type_of" => Some("a text"),
        "contains" | "starts_with" | "ends_with" | "is_empty" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "!" => Some("a boolean"),
        _ => None,
    }
}

/// One function of a file by itself, without the closures in it.
fn only(ast: &AST, function: &str) -> AST {
    let mut body = ast.clone_functions_only();
    body.retain_functions(|_, _, name, _| name == function);
    body
}

/// What the function can be seen to return.
pub(super) fn literals(ast: &AST, function: &str) -> Literals {
    let mut found = Literals::default();
    let body = only(ast, function);
    let mut last: Option<Stmt> = None;
    body.walk(&mut |path| {
        if let (1, Some(ASTNode::Stmt(stmt))) = (path.len(), path.last()) {
            last = Some((*stmt).clone());
        }
        if let Some(ASTNode::Stmt(Stmt::Return(value, flags, _))) = path.last()
            && !flags.contains(ASTFlags::BREAK)
        {
            match (value, path.last()) {
                (Some(value), _) => tail_expr(value, &mut found),
                (None, Some(ASTNode::Stmt(stmt))) => found.other("nothing", stmt.position()),
                (None, _) => found.open = true,
            }
        }
        true
    });
    match &last {
        Some(stmt) => tail(stmt, &mut found),
        None => found.open = true,
    }
    found
}

fn tail(stmt: &Stmt, found: &mut Literals) {
    match stmt {
        // Returns were taken by the walk; a throw returns nothing.
        Stmt::Return(..) => {}
        Stmt::Expr(expr) => tail_expr(expr, found),
        Stmt::Block(block) => tail_block(block.statements(), found),
        Stmt::If(flow, at) => {
            for branch in [flow.body.statements(), flow.branch.statements()] {
                if branch.is_empty() {
                    found.other("nothing where the condition leads elsewhere", *at);
                }
                tail_block(branch, found);
            }
        }
        Stmt::Var(..) | Stmt::Assignment(..) => found.other("nothing", stmt.position()),
        _ => found.open = true,
    }
}

fn tail_block(statements: &[Stmt], found: &mut Literals) {
    if let Some(stmt) = statements.last() {
        tail(stmt, found);
    }
}

fn tail_expr(expr: &Expr, found: &mut Literals) {
    match expr {
        Expr::StringConstant(text, position) => {
            found
                .texts
                .push((text.to_string(), position.line().unwrap_or(0), position.position().unwrap_or(0)));
        }
        Expr::Stmt(block) if block.statements().is_empty() => found.other("nothing", expr.position()),
        Expr::Stmt(block) => tail_block(block.statements(), found),
        Expr::BoolConstant(..) => found.other("a boolean", expr.position()),
        Expr::IntegerConstant(..) | Expr::FloatConstant(..) => found.other("a number", expr.position()),
        Expr::CharConstant(..) => found.other("a character", expr.position()),
        Expr::Array(..) => found.other("a list", expr.position()),
        Expr::Map(..) => found.other("a record", expr.position()),
        Expr::Unit(..) => found.other("nothing", expr.position()),
        _ => found.open = true,
    }
}

/// The fields that the function reads from its parameter, with what they are compared with.
pub(super) fn fields(ast: &AST, function: &str, parameter: &str) -> Vec<FieldRead> {
    let mut found: Vec<FieldRead> = Vec::new();
    only(ast, function).walk(&mut |path| {
        let compared = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _))) if matches!(call.name.as_str(), "==" | "!=") => sides(call, parameter),
            Some(ASTNode::Expr(expr)) => field(expr, parameter).map(|field| (field, None)),
            _ => None,
        };
        if let Some((field, text)) = compared {
            let at = found.iter().position(|read| read.field == field).unwrap_or_else(|| {
                found.push(FieldRead {
                    field,
                    compared: Vec::new(),
                });
                found.len().saturating_sub(1)
            });
            if let (Some(read), Some(text)) = (found.get_mut(at), text)
                && !read.compared.contains(&text)
            {
                read.compared.push(text);
            }
        }
        true
    });
    found
}

/// Whether the function does nothing with its parameter but read fields of it.
pub(super) fn only_fields(ast: &AST, function: &str, parameter: &str) -> bool {
    let (mut named, mut read) = (0_usize, 0_usize);
    only(ast, function).walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::Variable(variable, ..))) if variable.1 == parameter => named += 1,
            Some(ASTNode::Expr(expr)) if field(expr, parameter).is_some() => read += 1,
            _ => {}
        }
        true
    });
    named == read
}

fn sides(call: &FnCallExpr, parameter: &str) -> Option<(String, Option<String>)> {
    let (left, right) = (call.args.first()?, call.args.get(1)?);
    let (field, other) = match (field(left, parameter), field(right, parameter)) {
        (Some(field), _) => (field, right),
        (None, Some(field)) => (field, left),
        (None, None) => return None,
    };
    let text = if let Expr::StringConstant(text, _) = other {
        Some(text.to_string())
    } else {
        None
    };
    Some((field, text))
}

/// `parameter.field` or `parameter["field"]`.
fn field(expr: &Expr, parameter: &str) -> Option<String> {
    let (Expr::Dot(chain, ..) | Expr::Index(chain, ..)) = expr else {
        return None;
    };
    let Expr::Variable(variable, ..) = &chain.lhs else { return None };
    if variable.1 != parameter {
        return None;
    }
    match &chain.rhs {
        Expr::Property(property, _) => Some(property.2.to_string()),
        Expr::StringConstant(text, _) => Some(text.to_string()),
        _ => None,
    }
}
