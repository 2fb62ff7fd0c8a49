//! The table as text: one row a line, in columns of fixed width, so that a change of one row is a change of one line.

use super::Row;

/// How wide the columns are, whatever stands in them; what is longer stands out.
const WIDTHS: [usize; 4] = [14, 26, 44, 30];

/// The table as text; every line can be read by itself.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let length = rest.iter().take_while(|row| row.stage == first.stage).count();
        let (block, after) = rest.split_at(length);
        if !out.is_empty() {
            out.push('\n');
        }
        lay(&together(block), &mut out);
        rest = after;
    }
    out
}

/// Signals that come to the same, one after the other, share a line.
fn together(block: &[Row]) -> Vec<Row> {
    let mut out: Vec<Row> = Vec::new();
    for row in block {
        let signal = row.when.strip_prefix("signal ");
        match (out.last_mut(), signal) {
            (Some(last), Some(signal))
                if last.when.starts_with("signal ")
                    && (&last.standing, &last.given, &last.then) == (&row.standing, &row.given, &row.then) =>
            {
                last.when = format!("{}, {signal}", last.when);
            }
            _ => out.push(row.clone()),
        }
    }
    out
}

fn lay(block: &[Row], out: &mut String) {
    let cells = |row: &Row| {
        let given = if row.given.is_empty() {
            String::new()
        } else {
            format!("if {}", row.given)
        };
        [row.stage.clone(), row.standing.clone(), row.when.clone(), given]
    };
    for row in block {
        for (width, cell) in WIDTHS.iter().zip(cells(row)) {
            out.push_str(&format!("{cell:width$}  "));
        }
        out.push_str(&format!("=> {}\n", row.then.replace('\n', " ")));
    }
}
