//! The tables' columns as Parquet's types.

use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, Type};

use super::Layout;
use crate::export::cell::{Head, Kind, Null};
use crate::export::tables::Which;

/// Columns of a file. In a tree the host is in the path and, as in every such tree, not in the file.
pub(super) fn heads(table: Which, layout: Layout) -> Vec<(usize, Head)> {
    let all = table.heads().into_iter().enumerate();
    all.filter(|(_, h)| layout == Layout::Flat || h.name != "host").collect()
}

/// In Parquet's own language.
fn message(table: Which, heads: &[(usize, Head)]) -> String {
    let mut text = format!("message {} {{\n", table.name());
    for (_, h) in heads {
        let null = if h.null == Null::Never { "required" } else { "optional" };
        let name = h.name;
        text += &match h.kind {
            Kind::Bool => format!("  {null} boolean {name};\n"),
            Kind::U32 => format!("  {null} int32 {name} (INTEGER(32,false));\n"),
            Kind::U64 => format!("  {null} int64 {name} (INTEGER(64,false));\n"),
            Kind::Ns => format!("  {null} int64 {name};\n"),
            Kind::Time => format!("  {null} int64 {name} (TIMESTAMP(NANOS,true));\n"),
            Kind::Text => format!("  {null} binary {name} (STRING);\n"),
            Kind::List => format!(
                "  required group {name} (LIST) {{ repeated group list {{ required binary element (STRING); }} }}\n"
            ),
        };
    }
    text + "}\n"
}

/// The schema of a table.
pub(super) fn schema(table: Which, heads: &[(usize, Head)]) -> anyhow::Result<Type> {
    Ok(parse_message_type(&message(table, heads))?)
}

/// How it is written: times as differences, ids as what they do not share with the one before, the rest by a
/// dictionary.
pub(super) fn properties(heads: &[(usize, Head)]) -> WriterProperties {
    let mut props = WriterProperties::builder()
        .set_created_by(concat!("zctrace ", env!("CARGO_PKG_VERSION")).into())
        // Every reader has it, it is Rust, and after these encodings others save less than a twentieth.
        .set_compression(Compression::SNAPPY)
        // For each page: an engine passes over pages that cannot match.
        .set_statistics_enabled(EnabledStatistics::Page);
    for (_, h) in heads {
        let path = ColumnPath::from(h.name);
        let is_id = matches!(h.name, "id" | "mutation" | "transfer");
        let encoding = match h.kind {
            Kind::Ns | Kind::Time => Encoding::DELTA_BINARY_PACKED,
            Kind::Text if is_id => Encoding::DELTA_BYTE_ARRAY,
            _ => continue,
        };
        props = props.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding);
    }
    props.build()
}
