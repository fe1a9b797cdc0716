//! The reference page: one row per key, from the definitions that the reading uses.

use crate::raw::{Described, Spec};
use crate::read::SPECS;

/// The page `docs/reference/configuration.md`: Markdown, one table of keys for each table of the file.
pub fn reference() -> String {
    SPECS.iter().fold(INTRODUCTION.to_owned(), |page, spec| page + &section(spec))
}

const INTRODUCTION: &str = "# Configuration

This page is made from the definitions in `config/src/read/`; change those, then run
`UPDATE=1 cargo nextest run -p weir-config`.

A file is TOML. `weir check FILE` reports every problem in it at once. A table that is not listed here, and a key that
its table does not list, is a problem. A duration is a whole number with `ms`, `s`, `m` or `h`; a size is a whole number
with `B`, `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024) or `KB`, `MB`, `GB`, `TB` (powers of 1000). Tables such as
`[route.body]` are mostly written in place: `body = { max = \"64MiB\" }`. A complete example is `config/example.toml`.
";

fn section(spec: &Spec) -> String {
    let title = if spec.header.is_empty() { "The file".to_owned() } else { format!("`{}`", spec.header) };
    let row = |key: &&dyn Described| {
        format!("| `{}` | {} | {} | {} |\n", key.name(), key.shape(), key.default(), key.meaning())
    };
    let rows: String = spec.keys.iter().map(row).collect();
    format!("\n## {title}\n\n{}\n\n| key | type | default | meaning |\n|---|---|---|---|\n{rows}", spec.about)
}
