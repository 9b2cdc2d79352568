//! Tables that `table.js` sorts, filters and shortens; without it, all rows in the order of the program.

use std::fmt::Write as _;

use super::escaped;
use crate::text;

/// The head of a column: title, what it means, whether it has numbers.
pub(crate) type Head<'a> = (&'a str, &'a str, bool);

/// Begins a sortable table; `caption` is for those who do not see it.
pub(crate) fn head(out: &mut String, id: &str, caption: &str, columns: &[Head<'_>]) {
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table class=\"sortable\" id=\"{id}\">\n\
         <caption>{0}</caption>\n<thead><tr>",
        escaped(caption)
    );
    for (title, help, number) in columns {
        let class = if *number { " class=\"number\"" } else { "" };
        let help = if help.is_empty() { String::new() } else { format!(" title=\"{}\"", escaped(help)) };
        let _ = write!(
            out,
            "<th scope=\"col\"{class}{help}><button type=\"button\">{}</button></th>",
            escaped(title)
        );
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

/// What stands in a cell.
#[derive(Clone, Debug, Default)]
pub(crate) struct Td {
    /// Its words.
    pub(crate) words: String,
    /// What it is sorted by where that is not its words.
    pub(crate) by: Option<u64>,
    /// CSS classes.
    pub(crate) class: &'static str,
}

impl From<&str> for Td {
    fn from(words: &str) -> Self {
        Self { words: words.into(), ..Self::default() }
    }
}

impl From<String> for Td {
    fn from(words: String) -> Self {
        Self { words, ..Self::default() }
    }
}

/// A number; 0 is not worth a look.
pub(crate) fn number(n: u64, class: &'static str) -> Td {
    if n == 0 {
        Td { words: "\u{2013}".into(), by: Some(0), class: "number" }
    } else {
        Td { words: n.to_string(), by: Some(n), class }
    }
}

/// A time; what is not known sorts first.
pub(crate) fn time(ns: Option<u64>) -> Td {
    let words =
        ns.map_or_else(|| "\u{2013}".to_owned(), |ns| if ns == 0 { "0".into() } else { text::ns(ns) });
    Td { words, by: Some(ns.map_or(0, |ns| ns.saturating_add(1))), class: "number" }
}

/// One cell.
pub(crate) fn td(out: &mut String, cell: &Td) {
    let by = cell.by.map_or_else(String::new, |n| format!(" data-by=\"{n}\""));
    let class = if cell.class.is_empty() { String::new() } else { format!(" class=\"{}\"", cell.class) };
    let _ = write!(out, "<td{class}{by}>{}</td>", escaped(&cell.words));
}

/// One row, its first cell a heading. `attributes` are ours.
pub(crate) fn row(out: &mut String, attributes: &str, cells: &[Td]) {
    let _ = write!(out, "<tr{attributes}>");
    for (i, cell) in cells.iter().enumerate() {
        if i == 0 {
            let by = cell.by.map_or_else(String::new, |n| format!(" data-by=\"{n}\""));
            let _ =
                write!(out, "<th scope=\"row\" class=\"{}\"{by}>{}</th>", cell.class, escaped(&cell.words));
        } else {
            td(out, cell);
        }
    }
    out.push_str("</tr>\n");
}
