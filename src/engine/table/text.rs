//! The table as text: one row a line, aligned within its stage, so that a change of one row is a change of one line.

use super::Row;

/// Widest that a column is made for the sake of others; what is longer stands out.
const WIDEST: usize = 60;

/// The table as aligned text; every line can be read by itself.
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
    let mut widths = [0; 4];
    for row in block {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = cell.chars().count().min(WIDEST).max(*width);
        }
    }
    for row in block {
        for (width, cell) in widths.iter().zip(cells(row)) {
            // An empty column takes no room.
            if *width > 0 {
                out.push_str(&format!("{cell:width$}  "));
            }
        }
        out.push_str(&format!("=> {}\n", row.then.replace('\n', " ")));
    }
}
