//! All trees of [`crate::trees`], one after the other, as a table.

use std::io;

use crate::compare::{Plan, Totals, compare};
use crate::trees::{Place, TREES};
use crate::units;

/// The head of the table.
const HEAD: &str = "\
| tree | units | files per unit | missing | extra | doubts | first | text | directive | clang-scan-deps | gcc -E | MiB |
|---|---|---|---|---|---|---|---|---|---|---|---|";

/// Compares the trees of these names, or all if there are none. `false` if a file was missed.
///
/// # Errors
/// When a name is unknown, or no tree can be made.
pub fn run(
    place: &Place,
    only: &[String],
    plan: &Plan,
    adjust: &dyn Fn(Vec<units::Unit>) -> Vec<units::Unit>,
    say: &mut dyn FnMut(&str),
) -> io::Result<bool> {
    if let Some(name) = only
        .iter()
        .find(|name| TREES.iter().all(|it| it.name != **name))
    {
        let known: Vec<&str> = TREES.iter().map(|it| it.name).collect();
        return Err(io::Error::other(format!(
            "no tree {name}; there are {}",
            known.join(", ")
        )));
    }
    let mut rows = Vec::new();
    let mut complete = true;
    let wanted = |name: &str| only.is_empty() || only.iter().any(|it| it == name);
    for tree in TREES.iter().filter(|it| wanted(it.name)) {
        say(&format!("{}:", tree.name));
        let database = match place.database(tree) {
            Ok(database) => database,
            Err(error) => {
                say(&format!("not compared: {error}"));
                complete = false;
                continue;
            }
        };
        let units = adjust(units::read(&database)?);
        let answers = place.answers(tree);
        std::fs::create_dir_all(&answers)?;
        let plan = Plan {
            keep: Some(answers),
            ..plan.clone()
        };
        let totals = compare(&units, &plan, say)?;
        totals.report(say);
        complete &= totals.missing == 0;
        rows.push(row(tree.name, &totals));
    }
    say(HEAD);
    rows.iter().for_each(|row| say(row));
    Ok(complete)
}

#[expect(clippy::cast_precision_loss, reason = "means for people")]
fn row(name: &str, totals: &Totals) -> String {
    let units = totals.units.max(1) as f64;
    let ms = |sum: f64| format!("{:.2}", sum / units);
    format!(
        "| {name} | {} | {:.0} | {} | {:.2} | {} | {} | {} | {} | {} | {:.0} | {} |",
        totals.units,
        totals.needed as f64 / units,
        totals.missing,
        totals.extra_percent(),
        totals.doubts,
        ms(totals.first_ms),
        ms(totals.steady_ms),
        ms(totals.changed_ms),
        totals.scan_deps_ms.map_or("–".to_owned(), ms),
        totals.compiler_ms / units,
        totals.memory >> 20,
    )
}
